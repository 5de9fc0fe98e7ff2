"""Numbers of regions, such as predictions and labels, as tracks (bigWig)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.files.bigwig import writing_bigwig
from cislex.files.tables import atomic_path


def write_region_values(
    regions: pd.DataFrame, values: NDArray[np.float64], sizes: Mapping[str, int], out: str | Path
) -> int:
    """Write a number of each region as a bigWig: every base has that of the region whose centre is nearest.

    So a number stands in the track as it is, also where regions overlap: a mean over regions would be the
    number of none. Regions with one centre (such as both strands) have their mean.

    Parameters
    ----------
    regions
        ``chrom, start, end`` (0-based, half-open), all of one length, in any order.
    values
        float64 (n,); NaN: the region has none.
    sizes
        Length of each chromosome (bp), in the order of the genome.
    out
        ``.bw`` to write.

    Returns
    -------
    int
        Intervals written.
    """
    table = regions[["chrom", "start", "end"]].assign(value=values)
    table = table[np.isfinite(table["value"])]
    table = table.groupby(["chrom", "start", "end"], as_index=False, sort=True)["value"].mean()
    written = 0
    with atomic_path(out) as temporary, writing_bigwig(temporary, sizes) as add:
        for chrom in sizes:
            rows = table[table["chrom"] == chrom]
            if len(rows):
                starts, ends = nearest_parts(rows["start"].to_numpy(), rows["end"].to_numpy())
                add(chrom, starts, rows["value"].to_numpy(), ends)
                written += len(starts)
    return written


def nearest_parts(
    starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The part of each of different, equally long, sorted intervals whose bases are nearest to its centre.

    Parameters
    ----------
    starts, ends
        int64 (n,).

    Returns
    -------
    int64 (n,), int64 (n,)
        Starts and ends of the parts, which do not overlap; none is empty.

    Examples
    --------
    >>> nearest_parts(np.array([0, 4, 30]), np.array([10, 14, 40]))
    (array([ 0,  7, 30]), array([ 7, 14, 40]))
    """
    edges = (ends[:-1] + starts[1:] + 1) // 2  # midway between two centres, as lengths are equal
    overlap = starts[1:] < ends[:-1]
    low, high = starts.copy(), ends.copy()
    low[1:][overlap] = edges[overlap]
    high[:-1][overlap] = edges[overlap]
    return low, high
