"""Section about the truth, where it is known: planted motifs, and which were recovered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from cislex.report.facts import cell, decimals, equation, label, probability
from cislex.report.sections.motifs import MotifView
from cislex.report.sections.summary import some
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
class Grammar:
    """One planted arrangement of words, what was found of it, and whether that is right."""

    words: str
    planted: str
    found: str
    recovered: bool


@dataclass(frozen=True)
class TruthView:
    """What was planted and what came back."""

    columns: list[str]
    rows: list[Planted]
    driving: int
    recovered: int
    decoys: int
    decoys_found: int
    grammar: Sequence[Grammar] = ()

    @property
    def has_unknown_strand(self) -> bool:
        """Whether the strand of some word found is not known."""
        return any("?" in row.found for row in self.grammar)


def describe_truth(spec: AnalysisTarget, motifs: Sequence[MotifView] = ()) -> TruthView | None:
    """Read what was planted; ``None`` for real data. ``motifs`` tell the words of the target's patterns."""
    if spec.truth is None:
        return None
    table = read_table(
        spec.truth, what=f"truth of {spec.label}", columns=["motif", "functional", "recovered_as"]
    )
    columns = [str(name) for name in table.columns if name not in TRUTH_IN_WORDS]
    known = {motif.name: motif for motif in motifs}
    rows = [_planted(row, columns, known) for _, row in table.iterrows()]
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
        grammar=_describe_grammar(spec),
    )


def _describe_grammar(spec: AnalysisTarget) -> list[Grammar]:
    """Planted arrangements of words; single words are told by their motifs."""
    if spec.grammar is None:
        return []
    columns = ["kind", "name_a", "name_b", "orientation", "found_orientation", "least", "most", "period", "q"]
    table = read_table(spec.grammar, what=f"grammar of {spec.label}", columns=[*columns, "recovered"])
    return [_grammar(row) for _, row in table.iterrows() if row["kind"] != "single"]


def _grammar(row: pd.Series) -> Grammar:
    pair = f"{row['name_a']} and {row['name_b']}" if row["name_b"] != row["name_a"] else row["name_a"]
    found = equation(probability(float(row["q"])), "q") if row["q"] else "not tested"
    if row["kind"] in ("pair", "helical"):
        planted = _distances(row["orientation"], row["least"], row["most"], row["period"])
        if row["found_orientation"]:
            keys = ("found_orientation", "found_least", "found_most", "found_period")
            found = f"{_distances(*(row[key] for key in keys))}, {found}"
    elif row["kind"] == "cluster":
        planted, found = "several sites of one word", f"close to each other: {found}"
    elif row["kind"] == "independent":
        planted, found = "independent of each other", f"smallest of all distances: {found}"
    else:
        pair, planted = row["name_a"], "lowers the signal"
        found = (
            f"mean contribution {decimals(float(row['contribution']), 3)}"
            if row["contribution"]
            else "not found"
        )
    return Grammar(pair, planted, found, row["recovered"] == "True")


def _distances(orientation: str, least: str, most: str, period: str) -> str:
    where = {"any": "any orientation"}.get(
        orientation, " ".join({"+": "→", "-": "←"}.get(x, x) for x in orientation)
    )
    reach = f", {least} bp" if least == most else f", {least}–{most} bp"
    where += reach if least else ""
    return where + (f", period {float(period):.3g} bp" if period else "")


def _planted(row: pd.Series, columns: Sequence[str], known: Mapping[str, MotifView]) -> Planted:
    elsewhere = row.get("assay", "").strip(".")
    role = "elsewhere" if elsewhere else "decoy"
    if row["functional"].lower() in ("true", "1"):
        role = "driving"
    found = _found_as(row["recovered_as"], row.get("variants", ""), known) if row["recovered_as"] else ""
    cells = [cell(row[name], TRUTH_NUMBERS.get(name)) for name in columns]
    return Planted(row["motif"], row.get("name", ""), role, elsewhere, found, cells)


def _found_as(first: str, others: str, known: Mapping[str, MotifView]) -> str:
    """The pattern that was recovered, its variants, and composites that hold it, by their words' names."""
    names = [name for name in others.split(",") if name]
    apart = [name for name in names if name in known and known[name].composite]
    variants = [name for name in names if name not in apart]
    said = known[first].said if first in known else f"pattern {first}"
    for head, found in (("variant", variants), ("in composite", apart)):
        if found:
            listed = (known[name].said if name in known else f"pattern {name}" for name in found)
            said += f"; {head}{'s' if len(found) > 1 else ''} {some(list(listed), ', ', first=4)}"
    return said
