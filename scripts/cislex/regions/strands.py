"""Stretches of regions on the genome, and in the regions' sequences, 5′ to 3′ on their strands.

Minus-strand regions are reverse-complemented: position p of their sequence is genome position end − 1 − p. Of
sequences given directly, start is 0, and both are the same.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]


def in_sequence(regions: pd.DataFrame, start: ArrayLike, end: ArrayLike) -> tuple[Ints, Ints]:
    """Turn stretches on the genome into columns of the region's sequence.

    Parameters
    ----------
    regions
        ``start end strand`` of the region of each stretch, n rows.
    start, end
        (n,): 0-based, half-open.
    """
    is_minus, low, high = _places(regions)
    start, end = np.asarray(start, np.int64), np.asarray(end, np.int64)
    return np.where(is_minus, high - end, start - low), np.where(is_minus, high - start, end - low)


def on_genome(regions: pd.DataFrame, start: ArrayLike, end: ArrayLike) -> tuple[Ints, Ints]:
    """Turn columns of the region's sequence into stretches on the genome; the inverse of ``in_sequence``."""
    is_minus, low, high = _places(regions)
    start, end = np.asarray(start, np.int64), np.asarray(end, np.int64)
    return np.where(is_minus, high - end, low + start), np.where(is_minus, high - start, low + end)


def _places(regions: pd.DataFrame) -> tuple[NDArray[np.bool_], Ints, Ints]:
    low, high = (regions[column].to_numpy(np.int64) for column in ("start", "end"))
    return (regions["strand"] == "-").to_numpy(), low, high
