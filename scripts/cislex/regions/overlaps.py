"""Which intervals are the same site."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Share of the narrower of two intervals that must be shared for them to be the same site.
MIN_OVERLAP = 0.5


def overlaps(these: pd.DataFrame, those: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each of these intervals shares at least half of the narrower one with one of those.

    Parameters
    ----------
    these, those
        Columns ``chrom, start, end``; strands do not matter.

    Returns
    -------
    numpy.ndarray
        bool, one for each of ``these``.
    """
    shared = np.zeros(len(these), dtype=bool)
    starts, ends = these["start"].to_numpy(), these["end"].to_numpy()
    for chrom, rows in these.groupby("chrom").indices.items():
        other = those[those["chrom"] == chrom].sort_values("start")
        if other.empty:
            continue
        other_starts, other_ends = other["start"].to_numpy(), other["end"].to_numpy()
        widest = int((other_ends - other_starts).max())
        low = np.searchsorted(other_starts, starts[rows] - widest, side="left")
        high = np.searchsorted(other_starts, ends[rows], side="left")
        counts = high - low
        mine = np.repeat(rows, counts)
        theirs = (
            np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts) + np.repeat(low, counts)
        )
        common = np.minimum(ends[mine], other_ends[theirs]) - np.maximum(starts[mine], other_starts[theirs])
        narrower = np.minimum(ends[mine] - starts[mine], other_ends[theirs] - other_starts[theirs])
        shared[mine[common >= MIN_OVERLAP * narrower]] = True
    return shared
