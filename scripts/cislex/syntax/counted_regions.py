"""Regions that count as independent: parts of the genome that were searched, none of them twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.files.tables import has_coordinates

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class CountedRegions:
    """Which regions count.

    Attributes
    ----------
    rows
        Rows of the regions that count, ascending.
    repeated
        Regions left out as their window is there once more, such as on the other strand.
    overlapping
        Further regions left out as their searched part overlaps that of one that counts.
    """

    rows: Ints
    repeated: int
    overlapping: int


def searched_part(length: int, searched: int | None) -> slice:
    """Positions of a region in which hits are called: all, or the central ones as ``call_hits`` has them."""
    if searched is None or searched >= length:
        return slice(0, length)
    width, low = searched, (length - searched) // 2
    return slice(low, low + width - width % 2)


def searched_starts(table: pd.DataFrame, length: int, searched: int | None) -> tuple[Ints, int]:
    """Where the searched part of each region begins, in the region's coordinates, and its width."""
    part = searched_part(length, searched)
    first = np.where(table["strand"] == "-", length - part.stop, part.start)
    return table["start"].to_numpy() + first, part.stop - part.start


def count_regions(table: pd.DataFrame, length: int, searched: int | None) -> CountedRegions:
    """Choose as many regions as possible whose searched parts do not overlap.

    Of windows of one length those with the earliest starts, each not before the end of the last, are as many
    as can be. The choice knows nothing of hits.

    Parameters
    ----------
    table
        Regions of one length. Sequences given directly all count.
    length
        Their length, bp.
    searched
        Length of the central part in which hits were called, bp; None: the whole region.
    """
    rows = np.arange(len(table))
    if not has_coordinates(table) or not len(table):
        return CountedRegions(rows, 0, 0)
    starts, width = searched_starts(table, length, searched)
    ordered = table.assign(row=rows, first=starts).sort_values(["chrom", "start", "strand", "name"])
    single = ordered.drop_duplicates(["chrom", "start"]).sort_values(["chrom", "first"], kind="stable")
    kept: list[int] = []
    last, end = "", 0
    for chrom, first, row in zip(single["chrom"], single["first"], single["row"], strict=True):
        if chrom != last or first >= end:
            kept.append(row)
            last, end = chrom, first + width
    return CountedRegions(np.sort(kept).astype(np.int64), len(table) - len(single), len(single) - len(kept))
