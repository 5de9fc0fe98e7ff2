"""What in-silico experiments and variants cost: forward passes at the rates of the analyses' models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cislex.cost.rates import Rate
from cislex.cost.wording import duration

#: A pair of example and reference is a forward and a backward pass: three forward passes, about.
FORWARDS_PER_PAIR = 3


@dataclass(frozen=True)
class ForwardPlan:
    """The analysis whose model predicts, sequences that each fold predicts (about), chunks, and strands."""

    analysis: str
    sequences: int
    chunks: int
    both_strands: bool = False


def forward_hours(plan: ForwardPlan, rates: Sequence[Rate], passes: float) -> float:
    """Hours of the device over all folds, start-up of every job included.

    Parameters
    ----------
    plan
        What is predicted.
    rates
        Of each fold, as the inspection measured attribution.
    passes
        Pairs that one region of that attribution costs.
    """
    seconds = 0.0
    for rate in rates:
        forward = rate.seconds_per_region / (FORWARDS_PER_PAIR * passes)
        seconds += plan.sequences * (2 if plan.both_strands else 1) * forward
        seconds += plan.chunks * rate.startup_seconds
    return seconds / 3600


def forward_lines(
    heading: str, plans: Mapping[str, ForwardPlan], costs: Mapping[str, tuple[Sequence[Rate], float]]
) -> list[str]:
    """Lines of the text below a heading; ``costs`` has the rates and passes of each analysis."""
    if not plans:
        return []
    lines = ["", heading]
    for name, plan in plans.items():
        hours = forward_hours(plan, *costs[plan.analysis])
        lines.append(
            f"  {name}: {plan.sequences:,} sequences for each fold, {duration(hours)} in all "
            f"({plan.chunks} {'chunk' if plan.chunks == 1 else 'chunks'})"
        )
    return lines
