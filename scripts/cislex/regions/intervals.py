"""Intervals and positions on a genome's chromosomes: which overlap, and how far the nearest is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cislex.regions.genome import Genome
from cislex.regions.peaks import read_peaks


@dataclass(frozen=True)
class Intervals:
    """Merged, sorted intervals of one chromosome, int64 (n,) each; 0-based half-open."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def overlap(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each query interval shares a base with one of these."""
        following = np.searchsorted(self.ends, starts, side="right")
        inside = following < len(self.starts)
        hit = np.zeros(len(starts), dtype=bool)
        hit[inside] = self.starts[following[inside]] < ends[inside]
        return hit


def genome_name(name: str, known: Collection[str], aliases: Mapping[str, str] | None) -> str:
    """Name of a chromosome in the genome; a name that the genome has is itself, whatever the aliases say."""
    return name if name in known else (aliases or {}).get(name, name)


def read_blacklist(
    path: str | Path | None, genome: Genome, *, aliases: Mapping[str, str] | None = None
) -> dict[str, Intervals]:
    """Read a BED file of intervals to keep windows away from; merged, by chromosome of the genome."""
    if path is None:
        return {}
    frame = read_peaks(path, file_format="bed", malformed=None)
    frame["chrom"] = frame["chrom"].map(lambda name: genome_name(name, genome.lengths, aliases))
    merged = {}
    for chrom, rows in frame.sort_values("start").groupby("chrom"):
        starts, ends = rows["start"].to_numpy(np.int64), np.maximum.accumulate(rows["end"].to_numpy(np.int64))
        first = np.append(True, starts[1:] > ends[:-1])
        merged[str(chrom)] = Intervals(
            starts[first], ends[np.append(np.flatnonzero(first)[1:] - 1, len(ends) - 1)]
        )
    return merged


def nearest_distance(centres: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distance in bp from each centre to the nearest of the sorted positions; huge where there is none."""
    padded = np.concatenate([[-(1 << 40)], positions, [1 << 40]])
    after = np.searchsorted(padded[1:-1], centres) + 1
    return np.minimum(centres - padded[after - 1], padded[after] - centres)
