"""The report page: tables → figures → one self-contained HTML file."""

from cislex.report.page import render_report
from cislex.report.specs import (
    AnalysisTarget,
    ComparisonTables,
    ContrastTables,
    EvolutionTables,
    InsertionTables,
    LexiconTables,
    RegionSet,
    TrainedModel,
)

__all__ = [
    "AnalysisTarget",
    "ComparisonTables",
    "ContrastTables",
    "EvolutionTables",
    "InsertionTables",
    "LexiconTables",
    "RegionSet",
    "TrainedModel",
    "render_report",
]
