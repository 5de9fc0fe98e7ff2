"""Estimate the cost of a run before it starts: hours, memory, bytes, files, and how many chunks suit it.

Rates come from the inspections (``inspect_model``), which timed a few regions of every analysis and fold on
the local device, or for a named GPU from measured records of other models (``cislex.cost.rates``).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from cislex.cost.disk import SEQUENCE_BYTES, TRACK_BYTES, StoredPart
from cislex.cost.forwards import ForwardPlan, forward_lines
from cislex.cost.rates import WITH_REFERENCES, Rate, passes, scale_rate, with_number
from cislex.cost.wording import cells_of, duration, in_bytes
from cislex.errors import StorageError
from cislex.files.compressed import open_bytes
from cislex.files.tables import require_file, write_table, write_text
from cislex.files.text_tables import read_text
from cislex.files.user_arrays import named_dataset, one_of_three_dimensions, open_arrays
from cislex.logs import get_logger

logger = get_logger(__name__)

#: Jobs at once for which wall time is told.
PARALLEL = (1, 10, 100)
#: Seconds that a job of a batch system takes besides what it does itself.
JOB_SECONDS = 3.0
#: Largest share of a job that may go into its start.
STARTUP_SHARE = 0.05
#: Bytes of a row of tables, and of a seqlet in modisco.h5.
ROW_BYTES, SEQLET_BYTES = 150, 2500
#: Files of an analysis and of a target that stay, beside the log and the benchmark of each chunk; logos,
#: three for each motif, come on top.
ANALYSIS_FILES, TARGET_FILES = 9, 18


@dataclass(frozen=True)
class RegionSource:
    """Where the number of regions of a set comes from.

    Parameters
    ----------
    extracted
        ``regions.bed``, which counts where it is there already.
    source, kind, dataset
        Else the file: ``peaks``, ``fasta`` or ``hdf5`` (with its dataset), each row of which may be kept.
    limit
        The most that ``top``, ``sample`` and lists leave, or None.
    length
        Length of the regions in bp.
    chunks
        Jobs per fold and analysis.
    filtered
        Sequences may be dropped for what only reading them tells.
    """

    extracted: str
    source: str
    kind: str
    dataset: str | None
    limit: int | None
    length: int
    chunks: int
    filtered: bool = False


@dataclass(frozen=True)
class AnalysisPlan:
    """What an analysis does: its region set, method settings, numbers of targets and seqlets.

    ``held_out`` says that each region goes to one fold only, ``stored`` what is stored of it; None: all.
    """

    regions: str
    method: Mapping[str, Any]
    targets: int
    seqlets: int
    held_out: bool = False
    stored: StoredPart | None = None


@dataclass(frozen=True)
class Estimate:
    """What one analysis costs, at the rate of each fold."""

    name: str
    regions: int
    exact: bool
    folds: int
    references: int
    chunks: int
    rates: tuple[Rate, ...]
    held_out: bool
    kept_bytes: float
    temporary_bytes: float
    files: int

    @property
    def pairs(self) -> int:
        """Regions × folds × references."""
        return self.regions * self.references * (1 if self.held_out else self.folds)

    @property
    def jobs(self) -> list[tuple[int, float]]:
        """Number of jobs of each fold, and the seconds of one."""
        rows = self.regions / self.chunks / (self.folds if self.held_out else 1)
        return [
            (self.chunks, JOB_SECONDS + rate.startup_seconds + rows * rate.seconds_per_region)
            for rate in self.rates
        ]

    @property
    def hours(self) -> float:
        """Hours of the device, start-up of every job included."""
        return sum(number * seconds for number, seconds in self.jobs) / 3600

    @property
    def startup_share(self) -> float:
        """Share of those hours that goes into starting jobs."""
        startup = self.chunks * sum(JOB_SECONDS + rate.startup_seconds for rate in self.rates)
        return startup / 3600 / self.hours


def wall_hours(estimates: Sequence[Estimate], parallel: int) -> float:
    """Hours until the last job ends, so many at once, the longest first."""
    durations = sorted(((seconds, number) for e in estimates for number, seconds in e.jobs), reverse=True)
    busy = [0.0] * parallel
    for seconds, number in durations:
        for _ in range(number):
            heapq.heapreplace(busy, busy[0] + seconds)
    return max(busy) / 3600


def suggest_chunks(estimates: Sequence[Estimate], minutes: float) -> int:
    """Chunks of a region set that let the longest job of its analyses last about ``minutes``."""
    wanted = 1
    for estimate in estimates:
        rows = estimate.regions / (estimate.folds if estimate.held_out else 1)
        for rate in estimate.rates:
            room = max(1.0, 60 * minutes - JOB_SECONDS - rate.startup_seconds)
            wanted = max(wanted, math.ceil(rows * rate.seconds_per_region / room))
    return min(wanted, max(1, min(100_000, *(e.regions for e in estimates))))


def count_regions(source: RegionSource) -> tuple[int, bool]:
    """Regions of a set, and whether they are exactly so many (else: at most, before rows are dropped)."""
    if Path(source.extracted).is_file():
        return _count_lines(source.extracted), True
    if source.kind == "hdf5":
        with open_arrays(source.source, what="sequences") as handle:
            name = source.dataset or next(iter(one_of_three_dimensions(handle)), "")
            rows = int(named_dataset(handle, name, source.source).shape[0])
    else:
        rows = _count_lines(source.source, fasta=source.kind == "fasta")
    return min(rows, source.limit or rows), source.kind != "peaks" and not source.filtered


def _count_lines(path: str | Path, *, fasta: bool = False) -> int:
    """Rows of a table without comments and header, or records of a FASTA file."""
    require_file(path, what="regions")
    skipped = (b"#", b"track", b"browser", b"\n", b"\r")
    with open_bytes(path) as handle:
        if fasta:
            return sum(line.startswith(b">") for line in handle)
        return sum(not line.startswith(skipped) for line in handle)


def read_rates(path: str | Path) -> tuple[dict[str, Rate], int]:
    """Rate of each fold, and bytes of all outputs of one region and fold, from ``inspection.tsv``.

    Raises
    ------
    StorageError
        When the table lacks what was measured.
    """
    require_file(path, what="inspection")
    table = read_text(path)
    rates, numbers = {}, 0
    for fold, rows in table.groupby("fold", sort=False):
        cost = rows[rows["section"] == "cost"].set_index("name")
        missing = sorted({"seconds_per_region", "startup_seconds", "flops_per_sequence"} - set(cost.index))
        if missing:
            raise StorageError(
                f"{path}: fold {fold} lacks {', '.join(missing)}; delete the file to recreate it"
            )
        values = cost["value"].astype(float)
        rates[str(fold)] = Rate(
            seconds_per_region=values["seconds_per_region"],
            startup_seconds=values["startup_seconds"],
            memory_mb=values["peak_memory_mb"],
            flops=values["flops_per_sequence"],
            device=str(cost.loc["seconds_per_region", "detail"]),
        )
        shapes = rows.loc[rows["section"] == "output", "value"]
        numbers = max(numbers, sum(_numbers(shape) for shape in shapes))
    return rates, 4 * numbers


def _numbers(shape: str) -> int:
    """Values of one region in an output such as ``N × 2 × 1000``."""
    return math.prod(int(part) for part in shape.split(" × ")[1:])


def estimate_analysis(
    name: str, plan: AnalysisPlan, source: RegionSource, inspection: str | Path, counted: tuple[int, bool]
) -> Estimate:
    """Cost of one analysis at the rates of the device that was inspected."""
    rates, output_bytes = read_rates(inspection)
    n, exact = counted
    stored, folds = plan.stored or StoredPart(source.length), len(rates)
    predicted, n = n, stored.rows(n)
    bases, used = n * stored.length, 1 if plan.held_out else folds
    scores, chunks = stored.scores(n, averaged=used > 1)
    references = int(plan.method["references"]["n"]) if plan.method["name"] in WITH_REFERENCES else 1
    small = n * (2 * ROW_BYTES + 12 * references * used)
    target = scores + bases * (SEQUENCE_BYTES + TRACK_BYTES) + small
    target += SEQLET_BYTES * min(2 * plan.seqlets, bases / 10)
    return Estimate(
        name=name,
        regions=n,
        exact=exact,
        folds=folds,
        references=references,
        chunks=source.chunks,
        rates=tuple(rates.values()),
        held_out=plan.held_out,
        kept_bytes=plan.targets * target + predicted * (folds * output_bytes + ROW_BYTES),
        temporary_bytes=plan.targets * used * (chunks + n * 8 * references),
        files=2 * folds * source.chunks + ANALYSIS_FILES + TARGET_FILES * plan.targets,
    )


def estimate_cost(
    analyses: Mapping[str, AnalysisPlan],
    regions: Mapping[str, RegionSource],
    inspections: Mapping[str, str | Path],
    table: str | Path,
    text: str | Path,
    *,
    job_minutes: float,
    gpu: str | None = None,
    records: str | Path | None = None,
    insertions: Mapping[str, ForwardPlan] | None = None,
    variants: Mapping[str, ForwardPlan] | None = None,
    evolution: Mapping[str, ForwardPlan] | None = None,
) -> None:
    """Write what every analysis costs, and the whole as text.

    Parameters
    ----------
    analyses, regions
        What is planned.
    inspections
        ``inspection.tsv`` of each analysis.
    table, text
        Outputs: a row an analysis, and the same with sums and advice for reading.
    job_minutes
        How long a job should last.
    gpu
        Part of the name of a GPU with a record in the folder ``records``: its rates are used in place of
        those of the device that was inspected.
    records
        Folder of measured records (``benchmarks/results``).
    insertions, variants, evolution
        In-silico experiments, sets of variants and designs, which the text has.

    Raises
    ------
    ConfigError
        When no record has the named GPU.
    """
    analyses = {
        name: replace(plan, method=with_number(plan.method, inspections[name]))
        for name, plan in analyses.items()
    }
    counts = {name: count_regions(source) for name, source in regions.items()}
    estimates = []
    for name, plan in analyses.items():
        source = regions[plan.regions]
        estimate = estimate_analysis(name, plan, source, inspections[name], counts[plan.regions])
        if gpu is not None:
            work = passes(plan.method, source.length)
            rates = tuple(scale_rate(rate, gpu, records, passes=work) for rate in estimate.rates)
            estimate = replace(estimate, rates=rates)
        estimates.append(estimate)
    users = {name: [e for e in estimates if analyses[e.name].regions == name] for name in regions}
    suggested = {name: suggest_chunks(found, job_minutes) for name, found in users.items() if found}
    sequences = {
        n: counts[n][0] * (source.length * SEQUENCE_BYTES + ROW_BYTES) for n, source in regions.items()
    }
    write_table(_table(estimates, {e.name: suggested[analyses[e.name].regions] for e in estimates}), table)
    page = _page(estimates, users, suggested, sum(sequences.values()), job_minutes)
    costs = {
        e.name: (e.rates, passes(analyses[e.name].method, regions[analyses[e.name].regions].length))
        for e in estimates
    }
    predicted = {"in-silico experiments": insertions, "variants": variants, "designs": evolution}
    for heading, plans in predicted.items():
        lines = forward_lines(f"{heading}, about:", plans or {}, costs)
        page += "".join(f"{line}\n" for line in lines)
    write_text(page, text)
    logger.info("cost estimate\n%s", page)


def _table(estimates: Sequence[Estimate], suggested: Mapping[str, int]) -> pd.DataFrame:
    rows = []
    for e in estimates:
        rows.append(
            {
                "analysis": e.name,
                "regions": e.regions,
                "counted": "exactly" if e.exact else "at most",
                "folds": e.folds,
                "references": e.references,
                "pairs": e.pairs,
                "seconds_per_region": max(rate.seconds_per_region for rate in e.rates),
                "startup_seconds": max(rate.startup_seconds for rate in e.rates),
                "device": e.rates[0].device,
                "gpu_hours": e.hours,
                **{f"wall_hours_{n}": wall_hours([e], n) for n in PARALLEL},
                "peak_memory_mb": max(rate.memory_mb for rate in e.rates),
                "kept_gb": e.kept_bytes / 1e9,
                "temporary_gb": e.temporary_bytes / 1e9,
                "files": e.files,
                "jobs": e.chunks * e.folds,
                "startup_share": e.startup_share,
                "chunks": e.chunks,
                "suggested_chunks": suggested[e.name],
            }
        )
    return pd.DataFrame(rows)


def _page(
    estimates: Sequence[Estimate],
    users: Mapping[str, Sequence[Estimate]],
    suggested: Mapping[str, int],
    sequences: float,
    minutes: float,
) -> str:
    """The estimate for reading."""
    walls = [f"at {n} jobs" for n in PARALLEL]
    heads = ("regions", "pairs", _hours_head(estimates), *walls, "memory", "disk")
    lines = [cells_of("analysis", heads)]
    for e in estimates:
        memory = max(rate.memory_mb for rate in e.rates) / 1000
        cells = (
            f"{'' if e.exact else '≤ '}{e.regions:,}",
            f"{e.pairs:.3g}",
            f"{e.hours:.3g}",
            *(duration(wall_hours([e], n)) for n in PARALLEL),
            f"{memory:.1f} GB",
            in_bytes(e.kept_bytes),
        )
        lines.append(cells_of(e.name, cells))
    hours = sum(e.hours for e in estimates)
    dearest = max(estimates, key=lambda e: e.hours)
    times = ", ".join(f"{duration(wall_hours(estimates, n))} at {n}" for n in PARALLEL)
    kept = sum(e.kept_bytes for e in estimates) + sequences
    temporary = sum(e.temporary_bytes for e in estimates)
    devices = sorted({rate.device for e in estimates for rate in e.rates})
    lines += [
        "",
        f"attribution: {hours:.3g} hours of {' and '.join(devices)}; jobs at once: {times}",
        f"most expensive: {dearest.name}, {dearest.hours / hours:.0%}",
        f"disk: {in_bytes(kept)} kept, {in_bytes(temporary)} of temporary chunks; "
        f"{sum(e.files for e in estimates):,} files, and 3 for each motif",
        "",
        f"chunks that let a job last {minutes:g} minutes:",
    ]
    for name, count in suggested.items():
        lines.append(_advice(name, count, users[name], minutes))
    return "\n".join(lines) + "\n"


def _hours_head(estimates: Sequence[Estimate]) -> str:
    """Hours are of a GPU only where every model was timed on one."""
    devices = [rate.device for e in estimates for rate in e.rates]
    return "hours" if any(device.startswith("CPU") for device in devices) else "GPU-hours"


def _advice(name: str, count: int, users: Sequence[Estimate], minutes: float) -> str:
    """Chunks of a region set, and what part of the time goes into starting."""
    now, then = users[0].chunks, [replace(e, chunks=count) for e in users]
    share = sum(e.startup_share * e.hours for e in then) / sum(e.hours for e in then)
    line = f"  regions.{name}.chunks: {count}   (now {now}); start-up {share:.1%} of the time"
    if share > STARTUP_SHARE and count > 1:
        start = max(JOB_SECONDS + rate.startup_seconds for e in users for rate in e.rates)
        line += f"; set estimate.job_minutes to {math.ceil(start / STARTUP_SHARE / 60)} to keep it under 5 %"
    elif share > STARTUP_SHARE:
        line += ": the whole set fits in one job"
    return line
