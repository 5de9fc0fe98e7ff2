"""How uncertain the contribution of a stretch of bases is, where attributions keep what it takes."""

from __future__ import annotations

import json

import h5py
import numpy as np
from numpy.typing import NDArray

from cislex.chunks.files import SPREAD
from cislex.uncertainty import sum_error_bound

#: Last column of tables of stretches, such as hits and seqlets.
ERROR = "contribution_error"
#: Bases that are read at once.
BLOCK = 1 << 23


def span_errors(
    handle: h5py.File, rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Upper bound of the standard error of the sum of contributions over stretches of regions.

    The error of a base is that over folds where several attribute each region, which have references of their
    own, and otherwise that over references. Neighbouring bases err together in a way that no file holds, so
    errors are added up, as if they were one.

    Parameters
    ----------
    handle
        ``attributions.h5``.
    rows, starts, ends
        (n,) each: regions, and columns of the sequences, 0-based half-open.

    Returns
    -------
    ndarray or None
        float64 (n,); None where ``uncertainty`` was not asked for.
    """
    if SPREAD not in handle:
        return None
    count, length = handle[SPREAD].shape
    found = np.zeros(len(rows))
    step = max(1, BLOCK // max(1, length))
    for first in range(0, count, step):
        chosen = np.flatnonzero((rows >= first) & (rows < first + step))
        if len(chosen):
            errors = _base_errors(handle, slice(first, first + step))
            running = np.pad(errors.cumsum(axis=1), ((0, 0), (1, 0)))
            row = rows[chosen] - first
            found[chosen] = running[row, ends[chosen]] - running[row, starts[chosen]]
    return found


def _base_errors(handle: h5py.File, rows: slice) -> NDArray[np.float64]:
    """Standard error of the contribution of each base (k, L)."""
    folds = len(json.loads(handle.attrs["folds"]))
    if "fold_spread" in handle:
        return sum_error_bound(handle["fold_spread"][rows][..., None], folds=folds)
    return np.asarray(handle[SPREAD][rows], np.float64) / np.sqrt(_references(handle))


def _references(handle: h5py.File) -> int:
    """References of each region."""
    if "delta" in handle:
        return int(handle["delta"].shape[2])
    return int(json.loads(handle.attrs["method"])["references"]["n"])
