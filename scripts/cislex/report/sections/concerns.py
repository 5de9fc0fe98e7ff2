"""Concerns that a reader should know before trusting the page, listed at its head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cislex.regions.row_ledger import ASKED_FOR, MANY_DROPPED
from cislex.report.facts import decimals, percent
from cislex.report.sections.completeness import QualityView
from cislex.report.sections.folds import POOR_AGREEMENT, FoldsView
from cislex.report.sections.predictions import POOR_CORRELATION, AgreementView
from cislex.report.sections.regions import RegionsView
from cislex.report.sections.training import FoldView

#: Concerns of one kind that the head lists; of more, the first one, and the others folded.
FOLDED = 3
#: Motifs that rest on this share of the seqlets or more are not doubtful for it.
NEARLY_ALL = 0.95


@dataclass(frozen=True)
class Concern:
    """A sentence, and the id of the section that tells more; ``severe``: what follows may be worthless.

    ``target`` is the id of the target that it is about; empty: of the run. Many of one ``kind`` are folded.
    """

    text: str
    anchor: str
    severe: bool = False
    target: str = ""
    kind: str = ""


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
                kind="rows",
            )
        )
    return found


def model_concerns(folds: Sequence[FoldView]) -> list[Concern]:
    """Models trained here that a known motif alone beats on the test windows."""
    return [
        Concern(f"Model {fold.spec.name}, {fold.spec.fold}: {defeat.text}", "models", True, kind="motif")
        for fold in folds
        for defeat in fold.beaten
    ]


def gate_concern(label: str, anchor: str, quality: QualityView) -> list[Concern]:
    """Regions over the limit of the quality gate: how many, and what was done with them."""
    if not quality.over:
        return []
    limit = "" if quality.limit is None else f" of {quality.limit:g}"
    share = percent(quality.over / quality.regions)
    over = (
        f"{label}: {quality.over:,} of {quality.regions:,} regions ({share}) are over the completeness limit"
        f"{limit} (largest relative delta {quality.largest})"
    )
    left = quality.regions - quality.dropped
    if not quality.dropped:
        what = (
            "and were kept (qc.on_fail: keep): their contributions do not sum to the difference in "
            "predictions, yet motifs and hits use them."
        )
    elif left:
        what = f"and were dropped (qc.on_fail: drop): motifs and hits use the other {left:,}."
    else:
        what = "and were dropped (qc.on_fail: drop): no regions remain."
    severe = not quality.dropped or quality.dropped > MANY_DROPPED * quality.regions
    return [Concern(f"{over} {what}", f"{anchor}-quality", severe=severe, target=anchor, kind="gate")]


def in_order(concerns: Sequence[Concern]) -> list[list[Concern]]:
    """Severe ones first, each once; more than ``FOLDED`` of one kind together, others alone."""
    groups: dict[tuple[bool, str], dict[str, Concern]] = {}
    for concern in sorted(concerns, key=lambda concern: not concern.severe):
        groups.setdefault((concern.severe, concern.kind), {}).setdefault(concern.text, concern)
    found = []
    for group in groups.values():
        alike = list(group.values())
        found += [alike] if len(alike) > FOLDED else [[concern] for concern in alike]
    return found


def cap_concern(label: str, anchor: str, attributes: Mapping[str, Any]) -> list[Concern]:
    """TF-MoDISco used a part of the seqlets, because there were more than its cap."""
    kept = float(attributes.get("seqlet_fraction_kept", 1.0))
    if not attributes.get("seqlet_cap_reached") or kept >= NEARLY_ALL:
        return []
    total = int(attributes["positive_seqlets"]) + int(attributes["negative_seqlets"])
    share = percent(kept)
    text = (
        f"{label}: motifs rest on {share} of the {total:,} seqlets, from a random sample of the regions "
        "(motifs.max_seqlets); motifs of few regions may be missing."
    )
    return [Concern(text, f"{anchor}-motifs", target=anchor, kind="cap")]


def note_concerns(
    label: str, anchor: str, fallbacks: Sequence[str], databases: Sequence[str]
) -> list[Concern]:
    """Fallbacks that the attributions took, and databases too small for TOMTOM, which are told once."""
    motifs = f"{anchor}-motifs"
    return [
        *(Concern(f"{label}: {note}.", anchor, target=anchor, kind="fallback") for note in fallbacks),
        *(
            Concern(f"{note[:1].upper()}{note[1:]}.", motifs, target=anchor, kind="database")
            for note in databases
        ),
    ]


def target_concerns(
    label: str,
    anchor: str,
    *,
    folds: FoldsView | None,
    agreement: AgreementView | None,
    quality: QualityView | None = None,
    silent: bool = False,
) -> list[Concern]:
    """Regions of one target over the limit, folds that disagree, predictions far from what was observed."""
    found = [] if quality is None else gate_concern(label, anchor, quality)
    if silent:
        text = (
            f"{label}: no attribution: every contribution is zero, so this output of the model does not "
            "depend on the sequence (a dead head, or a constant)."
        )
        found.append(Concern(text, f"{anchor}-motifs", severe=True, target=anchor, kind="silent"))
    if agreement is not None and agreement.correlation is not None:
        value = agreement.correlation
        if value < POOR_CORRELATION:
            found.append(
                Concern(
                    f"{label}: predictions correlate poorly with the observations (correlation "
                    f"{decimals(value, 2)}{agreement.scored_on}); what the model has learned may explain "
                    "little of them.",
                    f"{anchor}-observed",
                    target=anchor,
                    kind="observed",
                )
            )
    if folds is not None and folds.disagreement is not None and folds.disagreement > POOR_AGREEMENT:
        found.append(
            Concern(
                f"{label}: the folds disagree: their contributions differ by "
                f"{percent(folds.disagreement)} of their size (median).",
                f"{anchor}-folds",
                target=anchor,
                kind="folds",
            )
        )
    return found
