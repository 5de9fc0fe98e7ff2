"""Section about the truth, where it is known: planted motifs, and which were recovered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from cislex.report.facts import cell, decimals, label, probability
from cislex.report.specs import AnalysisTarget
from cislex.report.tables import read_table

#: How numbers of ``truth.tsv`` are written; others are counts.
TRUTH_NUMBERS: dict[str, Callable[[float], str]] = {
    "q": probability,
    **{name: lambda value: decimals(value, 3) for name in ("pearson", "hits_precision", "hits_recall")},
}
#: Columns of ``truth.tsv`` that are told in words, or are of little use on the page.
TRUTH_IN_WORDS = {"motif", "name", "assay", "functional", "recovered_as", "variants", "p", "n_planted"}


@dataclass(frozen=True)
class Planted:
    """One planted motif: ``role`` is driving, elsewhere (drives other regions) or decoy (drives nothing)."""

    motif: str
    name: str
    role: str
    assay: str
    found_as: str
    cells: list[str]


@dataclass(frozen=True)
class TruthView:
    """What was planted and what came back."""

    columns: list[str]
    rows: list[Planted]
    driving: int
    recovered: int
    decoys: int
    decoys_found: int


def describe_truth(spec: AnalysisTarget) -> TruthView | None:
    """Read what was planted; ``None`` for real data."""
    if spec.truth is None:
        return None
    table = read_table(
        spec.truth, what=f"truth of {spec.label}", columns=["motif", "functional", "recovered_as"]
    )
    columns = [str(name) for name in table.columns if name not in TRUTH_IN_WORDS]
    rows = [_planted(row, columns) for _, row in table.iterrows()]
    rows.sort(key=lambda row: ("driving", "elsewhere", "decoy").index(row.role))
    driving = [row for row in rows if row.role == "driving"]
    decoys = [row for row in rows if row.role == "decoy"]
    return TruthView(
        columns=[label(name) for name in columns],
        rows=rows,
        driving=len(driving),
        recovered=sum(bool(row.found_as) for row in driving),
        decoys=len(decoys),
        decoys_found=sum(bool(row.found_as) for row in decoys),
    )


def _planted(row: pd.Series, columns: Sequence[str]) -> Planted:
    elsewhere = row.get("assay", "").strip(".")
    role = "elsewhere" if elsewhere else "decoy"
    if row["functional"].lower() in ("true", "1"):
        role = "driving"
    variants = row.get("variants", "")
    found = row["recovered_as"] + (f" (variants {variants.replace(',', ', ')})" if variants else "")
    cells = [cell(row[name], TRUTH_NUMBERS.get(name)) for name in columns]
    return Planted(row["motif"], row.get("name", ""), role, elsewhere, found, cells)
