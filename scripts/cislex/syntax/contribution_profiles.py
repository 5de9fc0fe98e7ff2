"""Mean contribution of the bases around the hits of each word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cislex.errors import InputError
from cislex.files.tables import REGION_COLUMNS, open_hdf5, read_regions
from cislex.files.unpacked_rows import unpack_rows
from cislex.syntax.placed_hits import Ints, PlacedHits
from cislex.syntax.statistics import Floats

#: Values of ``attributions.h5`` that are held at once.
BLOCK_VALUES = 20_000_000


def mean_profiles(
    attributions: str | Path,
    hits: PlacedHits,
    words: list[int],
    reach: int,
    *,
    block_values: int = BLOCK_VALUES,
) -> Floats:
    """Average the contributions around the hits of words, read on each hit's strand.

    Parameters
    ----------
    attributions
        ``attributions.h5`` of the target; row i is row i of the hits' regions. It is read in blocks.
    hits, words
        The placed hits, and the words that are wanted.
    reach
        How far from the hit's centre base, bp.
    block_values
        Values held at once; changes nothing else, up to rounding.

    Returns
    -------
    numpy.ndarray
        float64, shape (words, 2 * reach + 1); a position that no hit's region reaches is 0.
    """
    order = np.argsort(hits.region, kind="stable")
    order = order[np.isin(hits.word[order], words)]
    rows, centre = hits.region[order], centre_base(hits)[order]
    strand = hits.strand[order]
    place = np.searchsorted(words, hits.word[order])
    sums, counts = np.zeros((2, len(words), 2 * reach + 1))
    around = np.arange(-reach, reach + 1)
    with open_hdf5(attributions, what="attributions", datasets=("hypothetical", "sequences")) as handle:
        _same_regions(hits, read_regions(handle), attributions)
        count, _, length = handle["hypothetical"].shape
        step, batch = max(1, block_values // (8 * length)), max(1, block_values // (2 * len(around)))
        for first in range(0, count, step):
            low, high = np.searchsorted(rows, [first, first + step])
            if low == high:
                continue
            values = unpack_rows(handle["hypothetical"], first, first + step).astype(np.float64)
            values *= unpack_rows(handle["sequences"], first, first + step)
            observed = np.pad(values.sum(axis=1), ((0, 0), (reach, reach)))
            for some in range(low, high, batch):
                own = slice(some, min(high, some + batch))
                where = centre[own, None] + strand[own, None] * around
                inside = (where >= 0) & (where < length)
                _add(sums, place[own], observed[rows[own, None] - first, where + reach] * inside)
                _add(counts, place[own], inside.astype(np.float64))
    return sums / np.maximum(counts, 1)


def _add(into: Floats, place: Ints, values: Floats) -> None:
    """Add the rows of ``values`` to the rows ``place``."""
    order = np.argsort(place, kind="stable")
    found, first = np.unique(place[order], return_index=True)
    into[found] += np.add.reduceat(values[order], first, axis=0)


def centre_base(hits: PlacedHits) -> Ints:
    """Column of the arrays of ``attributions.h5`` at each hit's centre; of two, the 3' one of the hit."""
    turned = (hits.regions["strand"] == "-").to_numpy()[hits.region]
    middle = np.where(turned, hits.length - 1 - hits.length // 2, hits.length // 2)
    start = (hits.offset - hits.width + 2 * middle + 1) // 2
    return np.asarray(start + np.where(hits.strand > 0, hits.width // 2, (hits.width - 1) // 2))


def _same_regions(hits: PlacedHits, regions: pd.DataFrame, path: str | Path) -> None:
    columns = list(REGION_COLUMNS)
    ours = hits.regions[columns]
    if len(ours) != len(regions) or not all(
        np.array_equal(ours[name].to_numpy(), regions[name].to_numpy()) for name in columns
    ):
        raise InputError(
            f"{path}: its {len(regions)} regions are not the {len(ours)} of regions.bed; give the files of "
            "one analysis"
        )
