"""Arrays in scratch files, for what need not stay in memory."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cislex.files.scratch import write_errors_named


def scratch_array(path: str | Path, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Make a new array in a file, of NaN, all of its place on the disk taken.

    Of a file with holes, a write that finds the disk full would end the process without a word.

    Parameters
    ----------
    path
        In a :func:`scratch_folder`.
    shape
        Shape of the array, float64.

    Raises
    ------
    StorageError
        When the disk is full.
    """
    size = 8 * math.prod(shape)
    if not size:
        return np.full(shape, np.nan)
    with write_errors_named(path, advice="free some space there, or set TMPDIR to another folder"):
        with open(path, "wb") as handle:
            os.posix_fallocate(handle.fileno(), 0, size)
        values = np.memmap(path, np.float64, "r+", shape=shape)
    values[...] = np.nan
    return values
