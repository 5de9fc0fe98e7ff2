"""The report page: tables → figures → one self-contained HTML file."""

from cislex.report.page import render_report
from cislex.report.specs import AnalysisTarget, RegionSet, TrainedModel

__all__ = ["AnalysisTarget", "RegionSet", "TrainedModel", "render_report"]
