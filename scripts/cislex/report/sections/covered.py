"""How much of the contributions lies under motif hits: what the named motifs do not explain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.files.tables import has_coordinates, open_hdf5, read_regions
from cislex.files.unpacked_rows import unpack_rows
from cislex.regions.extraction import bed_names
from cislex.report.facts import count, percent
from cislex.report.specs import AnalysisTarget
from cislex.report.tables import numbers

#: Runs of neighbouring regions whose contributions are read, spread evenly over the file; regions of a run.
RUNS, RUN = 40, 50
#: Positions that are read at once.
BLOCK = 1 << 21

Ints = NDArray[np.int64]


@dataclass
class Intervals:
    """Starts and ends of the hits of each chromosome, collected from blocks of rows."""

    _found: dict[str, list[NDArray[np.int64]]] = field(default_factory=dict)

    def add(self, block: pd.DataFrame) -> None:
        """Add the rows of a block with ``chrom``, ``start`` and ``end``."""
        ends = np.stack([numbers(block, name).to_numpy(np.int64) for name in ("start", "end")], axis=1)
        for chrom, rows in block.groupby("chrom", sort=False).indices.items():
            self._found.setdefault(str(chrom), []).append(ends[rows])

    def sorted(self) -> dict[str, tuple[Ints, Ints, int]]:
        """For each chromosome: starts in order, their ends, and the width of the longest."""
        found = {}
        for chrom, blocks in self._found.items():
            rows = np.concatenate(blocks)
            rows = rows[np.argsort(rows[:, 0], kind="stable")]
            found[chrom] = (rows[:, 0], rows[:, 1], int((rows[:, 1] - rows[:, 0]).max()))
        return found


def share_under_hits(spec: AnalysisTarget, hits: Intervals) -> str:
    """Say which share of Σ|contribution| and of the bases lies under hits; empty where nothing contributes.

    Parameters
    ----------
    spec
        The target, whose attributions are read.
    hits
        All its hits. A base under several hits counts once.
    """
    inside = total = 0.0
    bases = covered = 0
    intervals = hits.sorted()
    with open_hdf5(
        spec.attributions, what="report: attributions", datasets=["hypothetical", "sequences"]
    ) as handle:
        regions = read_regions(handle)
        if not has_coordinates(regions):
            regions = regions.assign(chrom=bed_names(regions))
        runs = _runs(len(regions))
        for run in _blocks(runs, handle["hypothetical"].shape[2]):
            values, bases_of = (
                unpack_rows(handle[name], run.start, run.stop) for name in ("hypothetical", "sequences")
            )
            sizes = np.abs((values * bases_of).sum(axis=1))
            places = regions.iloc[run][["chrom", "start", "end", "strand"]].to_numpy().tolist()
            for size, (chrom, low, high, strand) in zip(sizes, places, strict=True):
                under = _under(intervals, chrom, low, high)
                under = under[::-1] if strand == "-" else under
                inside, total = inside + float(size[under].sum()), total + float(size.sum())
                bases, covered = bases + len(under), covered + int(under.sum())
    if not total:
        return ""
    number = sum(run.stop - run.start for run in runs)
    read = f" (of {count(number, 'region')}, spread evenly)" if number < len(regions) else ""
    return (
        f"Under hits lie {percent(inside / total)} of the absolute contributions and "
        f"{percent(covered / bases)} of the bases{read}. The rest is noise, weak sites, or in no motif."
    )


def _runs(n: int) -> list[slice]:
    """Rows of all regions in runs, or of RUNS runs of RUN regions."""
    if n <= RUNS * RUN:
        return [slice(first, min(first + RUN, n)) for first in range(0, n, RUN)]
    return [slice(int(first), int(first) + RUN) for first in np.linspace(0, n - RUN, RUNS)]


def _blocks(runs: list[slice], length: int) -> Iterator[slice]:
    """Parts of runs of at most BLOCK positions."""
    step = max(1, BLOCK // length)
    for run in runs:
        yield from (slice(at, min(at + step, run.stop)) for at in range(run.start, run.stop, step))


def _under(hits: dict[str, tuple[Ints, Ints, int]], chrom: str, low: int, high: int) -> NDArray[np.bool_]:
    """Which bases (high - low,) of an interval of the genome lie under a hit."""
    edges = np.zeros(high - low + 1, dtype=np.int64)
    if chrom in hits:
        starts, ends, longest = hits[chrom]
        near = slice(*np.searchsorted(starts, [low - longest, high]))
        np.add.at(edges, np.clip(starts[near] - low, 0, high - low), 1)
        np.add.at(edges, np.clip(ends[near] - low, 0, high - low), -1)
    return np.asarray(edges[:-1].cumsum() > 0)
