"""A sentence on references whose number the inspection chose (``n: auto``)."""

from __future__ import annotations

from collections.abc import Mapping

from cislex.report.specs import AnalysisTarget
from cislex.report.tables import read_table


def reference_words(spec: AnalysisTarget) -> str:
    """How many references were chosen and why; empty where the config gives their number."""
    method = spec.settings.get("method")
    references = method.get("references") if isinstance(method, Mapping) else None
    if spec.inspection is None or not isinstance(references, Mapping) or references.get("n") != "auto":
        return ""
    table = read_table(
        spec.inspection, what=f"inspection of {spec.analysis}", columns=["section", "name", "value", "detail"]
    )
    for row in table[(table["section"] == "references") & (table["name"] == "number")].itertuples():
        return f"Number of references: {row.value}, {row.detail}."
    return ""
