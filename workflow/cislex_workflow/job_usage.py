"""Requested against used resources: a table by rule that marks requests that are too large or too small.

Jobs are known by their benchmark files; what they ask for is worked out again by the same functions, for a
first attempt. Plain Python without the package.
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cislex_workflow.expected_use.work import Work
from cislex_workflow.job_resources import LEAST_MB, LEAST_MINUTES, RULES, Request, ask

#: Used over asked for: above the first it was close, below the second wasteful (unless it is
#: near the least that every job asks for).
CLOSE, WASTEFUL = 0.8, 0.1


@dataclass(frozen=True)
class Job:
    """One benchmark file: what the job used (MB; None where it was too short to look), and asks for."""

    rule: str
    name: str
    mb: float | None
    minutes: float
    asked: Request


def read_jobs(work: Work) -> Iterator[Job]:
    """The jobs of a results folder, from their benchmark files."""
    folder = work.results / "benchmarks"
    for path in sorted(folder.rglob("*.tsv")):
        rule, *parts = str(path.relative_to(folder)).removesuffix(".tsv").split("/")
        wildcards = RULES[rule][0] if rule in RULES else None
        if wildcards is None or (wildcards and len(parts) != len(wildcards)):
            continue
        # A rule without wildcards has one benchmark file, whatever its name.
        values = dict(zip(wildcards, parts, strict=bool(wildcards)))
        try:
            asked = ask(work, rule, values)
        except KeyError:  # of an analysis that the config no longer has
            continue
        yield from _rows(path, rule, "/".join(values.values()), asked)


def _rows(path: Path, rule: str, name: str, asked: Request) -> Iterator[Job]:
    with path.open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            memory = None if row["max_rss"] in ("NA", "-") else float(row["max_rss"])
            yield Job(rule, name, memory, float(row["s"]) / 60, asked)


def table(jobs: Iterable[Job]) -> list[list[str]]:
    """Header and rows of text: a row a rule, in the order in which rules run."""
    rows = [["rule", "jobs", "MB asked", "MB used", "largest", "min asked", "min used", "longest", "remark"]]
    grouped: dict[str, list[Job]] = {}
    for job in jobs:
        grouped.setdefault(job.rule, []).append(job)
    for rule in RULES:
        if rule in grouped:
            rows.append(_row(rule, grouped[rule]))
    return rows


def _row(rule: str, jobs: list[Job]) -> list[str]:
    memory = [job.mb for job in jobs if job.mb is not None]
    minutes = [job.minutes for job in jobs]
    shares = [job.mb / job.asked.mem_mb for job in jobs if job.mb is not None]
    times = [job.minutes / job.asked.runtime for job in jobs]
    remarks = [
        *_remarks("memory", shares, all(job.asked.mem_mb <= 2 * LEAST_MB for job in jobs)),
        *_remarks("time", times, all(job.asked.runtime <= 2 * LEAST_MINUTES for job in jobs)),
    ]
    return [
        rule,
        str(len(jobs)),
        f"{max(job.asked.mem_mb for job in jobs)}",
        f"{statistics.median(memory):.0f}" if memory else "-",
        f"{max(memory):.0f}" if memory else "-",
        f"{max(job.asked.runtime for job in jobs)}",
        f"{statistics.median(minutes):.1f}",
        f"{max(minutes):.1f}",
        "; ".join(remarks),
    ]


def _remarks(what: str, shares: list[float], least: bool) -> list[str]:
    """What is wrong with a request, from used over asked."""
    if not shares:
        return []
    if max(shares) > 1:
        return [f"!! {what}: used {max(shares):.1f}× its request"]
    if max(shares) > CLOSE:
        return [f"! {what}: used {max(shares):.0%} of its request"]
    if max(shares) < WASTEFUL and not least:
        return [f"{what}: requests {1 / max(max(shares), 1e-9):.0f}× what was used"]
    return []


def as_text(rows: list[list[str]]) -> str:
    """Rows with their columns aligned: numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(w) if i in (0, len(row) - 1) else cell.rjust(w) for i, (cell, w) in
                 enumerate(zip(row, widths, strict=True))]  # fmt: skip
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
