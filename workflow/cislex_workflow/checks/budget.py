"""Check once, before the first job, that the remaining attribution is within the budget.

Asked here and not by a rule: whatever a rule depends on, a new budget would make its results out of date.
Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from cislex_workflow.expected_use.work import Work
from cislex_workflow.job_resources import RULES


def problems(work: Work, planned: Iterable[tuple[str, str]], budget: Mapping[str, Any]) -> list[str]:
    """Why the planned jobs may not begin, with what to do.

    Parameters
    ----------
    work
        Knows the regions, and what the inspections measured.
    planned
        Rule and analysis of each planned job of ``inspect_model`` and ``attribute_chunk``.
    budget
        ``gpu_hours`` (None: no limit) and ``confirmed``.
    """
    limit = budget["gpu_hours"]
    if limit is None or budget["confirmed"]:
        return []
    jobs: dict[str, Counter[str]] = {"inspect_model": Counter(), "attribute_chunk": Counter()}
    for rule, analysis in planned:
        if rule in jobs:
            jobs[rule][analysis] += 1
    chunks = jobs["attribute_chunk"]
    unknown = [name for name in chunks if name in jobs["inspect_model"] or work.measured(name) is None]
    if unknown:
        return [
            f"budget.gpu_hours is {limit:g}, but the cost of attribution has not been measured yet for "
            f"{', '.join(unknown[:3])}{f' ({len(unknown)} in all)' if len(unknown) > 3 else ''}: run "
            "`make estimate CONFIG=…` first (the target `estimate`), then repeat this command"
        ]
    hours = {name: number * job_seconds(work, name) / 3600 for name, number in chunks.items()}
    total = sum(hours.values())
    if total <= limit:
        return []
    dearest = max(hours, key=lambda name: hours[name])
    return [
        f"attribution would take {total:.3g} hours of its device, and budget.gpu_hours is {limit:g}; most of "
        f"it is {dearest} ({hours[dearest]:.3g} hours in {chunks[dearest]} jobs). Nothing was started. Set "
        "budget.confirmed: true to run anyway, raise budget.gpu_hours, or compute less: fewer regions "
        "(top, sample), fewer references, a faster method. `make estimate CONFIG=…` shows the full cost"
    ]


def job_seconds(work: Work, analysis: str) -> float:
    """Seconds of one attribution job, at the rate of the slowest fold."""
    wildcards = {"analysis": analysis, "fold": "", "chunk": "0"}
    return RULES["attribute_chunk"][1](work, wildcards).seconds
