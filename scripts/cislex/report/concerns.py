"""What a reader should know before trusting the page; told at its head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cislex.report.agreement import POOR_CORRELATION, AgreementView
from cislex.report.facts import decimals, percent
from cislex.report.folds import POOR_AGREEMENT, FoldsView
from cislex.report.inputs import RegionsView

#: A larger share of rows that were lost is told.
MANY_DROPPED = 0.1
#: Reasons that the settings of a region set ask for: such rows are not lost.
ASKED_FOR = {"below_top", "not_sampled", "excluded_chromosome"}


@dataclass(frozen=True)
class Concern:
    """A sentence, and the id of the section that tells more."""

    text: str
    anchor: str


def region_concerns(sets: Sequence[RegionsView]) -> list[Concern]:
    """Region sets that lost more than a tenth of their rows for reasons that nobody asked for."""
    found = []
    for view in sets:
        lost = [reason for reason in view.reasons if reason.reason not in ASKED_FOR]
        rows = sum(reason.rows for reason in lost)
        if rows <= MANY_DROPPED * view.read:
            continue
        main = max(lost, key=lambda reason: reason.rows)
        why = main.reason.replace("_", " ")
        part = "" if main.rows == rows else f" ({main.rows:,} rows)"
        found.append(
            Concern(
                f"{rows:,} of {view.read:,} rows of region set {view.spec.name} "
                f"({percent(rows / view.read)}) were dropped; main reason: {why}{part}.",
                "regions",
            )
        )
    return found


def target_concerns(
    label: str, anchor: str, *, folds: FoldsView | None, agreement: AgreementView | None
) -> list[Concern]:
    """Folds of one target that disagree, and predictions that hardly follow what was observed."""
    found = []
    if agreement is not None and agreement.correlation is not None:
        value = agreement.correlation
        if value < POOR_CORRELATION:
            found.append(
                Concern(
                    f"{label}: the prediction hardly follows what was observed (correlation "
                    f"{decimals(value, 2)}{agreement.scored_on}); what the model has learned may explain "
                    "little of it.",
                    f"{anchor}-observed",
                )
            )
    if folds is not None and folds.disagreement is not None and folds.disagreement > POOR_AGREEMENT:
        found.append(
            Concern(
                f"{label}: the folds disagree: their contributions differ by "
                f"{percent(folds.disagreement)} of their size (median).",
                f"{anchor}-folds",
            )
        )
    return found
