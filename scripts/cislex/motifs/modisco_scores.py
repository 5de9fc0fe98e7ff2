"""What TF-MoDISco reads of ``attributions.h5``: contributions of all regions, both arrays of a few of them.

Regions are put in an order that depends on a seed and on what each region is, not on its row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex import provenance
from cislex.errors import ConfigError, InputError, offenders
from cislex.files.tables import has_coordinates, read_regions
from cislex.files.unpacked_rows import unpack_rows
from cislex.logs import progress

#: Values read from the file at once (about 64 MB of float32).
BLOCK_VALUES = 1 << 24

Array = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Window:
    """The part of every region that is used: ``width`` bases from ``offset`` on, of ``length``."""

    regions: int
    length: int
    offset: int
    width: int

    @property
    def part(self) -> slice:
        """The bases that are used."""
        return slice(self.offset, self.offset + self.width)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Contributions, in shuffled order.

    Parameters
    ----------
    contributions
        float32 (n, window), of the observed bases.
    rows
        int64 (n,): the row in attributions.h5 of each.
    silent
        Whether there are regions, and every attribution is zero: an output that is constant.
    """

    contributions: Array
    rows: NDArray[np.int64]
    silent: bool


def shuffled_rows(regions: pd.DataFrame, seed: int) -> NDArray[np.int64]:
    """Shuffle rows by the seed and by each region's identity, whatever their original order.

    Parameters
    ----------
    regions
        Columns ``chrom, start, end, name, strand``.
    seed
        Any integer.

    Returns
    -------
    numpy.ndarray
        int64 (N,): a permutation of the rows.
    """
    chroms = regions["chrom"] if has_coordinates(regions) else regions["name"]
    keys = provenance.locus_seeds(
        "motifs", chroms.astype(str), regions["start"], regions["end"], regions["strand"].astype(str), seed
    )
    return np.lexsort((np.arange(len(regions)), regions["name"].to_numpy(str), keys)).astype(np.int64)


def find_window(handle: h5py.File, width: int | None, pattern_width: int, where: str) -> Window:
    """The central window of this width, or the whole region; it must be longer than a pattern.

    Raises
    ------
    InputError
        When the arrays are not (regions, 4, length).
    ConfigError
        When the window does not fit.
    """
    hypothetical, sequences = handle["hypothetical"], handle["sequences"]
    if hypothetical.ndim != 3 or hypothetical.shape[1] != 4 or sequences.shape != hypothetical.shape:
        raise InputError(
            f"{where}: hypothetical {hypothetical.shape} and sequences {sequences.shape} "
            "must both be (regions, 4, length)"
        )
    count, _, length = hypothetical.shape
    width = width or length
    if width > length:
        raise ConfigError(f"motifs.window is {width}, but regions are {length} bases long")
    if width <= pattern_width:
        raise ConfigError(
            f"motifs needs windows longer than {pattern_width} bases "
            f"(trim_to_window_size and flanks), found {width}"
        )
    return Window(count, length, (length - width) // 2, width)


def read_scores(handle: h5py.File, window: Window, seed: int, where: str) -> Scores:
    """Read and check both arrays block by block; keep the contributions of the observed bases.

    Raises
    ------
    InputError
        See ``find_motifs``.
    """
    count = window.regions
    rows = shuffled_rows(read_regions(handle), seed)
    if len(rows) != count:
        raise InputError(f"{where}: {len(rows)} regions but {count} rows of attributions")
    place = np.empty(count, dtype=np.int64)
    place[rows] = np.arange(count)
    contributions = np.empty((count, window.width), np.float32)
    is_projected = is_silent = True
    for start, stop in _blocks(count, 4 * window.length):
        observed, values = _read(handle, slice(start, stop), window)
        check_block(observed, values, start, where)
        is_projected &= not (values * (observed == 0)).any()
        is_silent &= not values.any()
        contributions[place[start:stop]] = np.einsum("ncl,ncl->nl", observed, values, dtype=np.float32)
    is_silent &= count > 0
    if count and is_projected and not is_silent:
        raise InputError(
            f"{where}: 'hypothetical' is zero at every base that is not observed: these are observed "
            "contributions; TF-MoDISco needs hypothetical ones for all four bases"
        )
    return Scores(contributions, rows, is_silent)


def read_rows(handle: h5py.File, window: Window, rows: NDArray[np.int64]) -> tuple[Array, Array]:
    """One-hot sequences and hypothetical contributions of some rows, as TF-MoDISco wants them.

    Parameters
    ----------
    rows
        int64 (n,): rows of the file, in the order in which they are wanted.

    Returns
    -------
    numpy.ndarray
        float32 (n, window, 4) each, writable and contiguous.
    """
    one_hot, hypothetical = (np.empty((len(rows), window.width, 4), np.float32) for _ in range(2))
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    # Datasets are stored in blocks of rows, each of which is unpacked as a whole.
    step = max((handle[name].chunks or (64,))[0] for name in ("sequences", "hypothetical"))
    for start in (step * np.unique(ordered // step)).tolist():
        found = slice(*np.searchsorted(ordered, (start, start + step)))
        observed, values = _read(handle, slice(start, min(start + step, window.regions)), window)
        within = ordered[found] - start
        one_hot[order[found]] = observed[within].transpose(0, 2, 1)
        hypothetical[order[found]] = values[within].transpose(0, 2, 1)
    return one_hot, hypothetical


def _read(handle: h5py.File, rows: slice, window: Window) -> tuple[NDArray[Any], Array]:
    observed, values = (
        unpack_rows(handle[name], rows.start, rows.stop)[..., window.part]
        for name in ("sequences", "hypothetical")
    )
    return observed, values.astype(np.float32, copy=False)


def _blocks(count: int, values_per_row: int) -> Iterator[tuple[int, int]]:
    step = max(1, BLOCK_VALUES // max(1, values_per_row))
    starts = range(0, count, step)
    for start in progress(starts, total=count, label="reading attributions", weight=step):
        yield start, min(start + step, count)


def check_block(sequences: NDArray[Any], hypothetical: Array, first: int, where: str) -> None:
    """Check a block of rows: one-hot sequences and finite scores.

    Parameters
    ----------
    sequences
        (n, 4, L): 0 or 1, at most one 1 per position.
    hypothetical
        float32 (n, 4, L).
    first
        Row of the block's first region, for messages.
    where
        The file, for messages.

    Raises
    ------
    InputError
        With the first offending rows.
    """
    is_binary = ((sequences == 0) | (sequences == 1)).all(axis=(1, 2))
    is_one_hot = is_binary & (sequences.sum(axis=1) <= 1).all(axis=1)
    if not is_one_hot.all():
        rows = offenders(first + np.flatnonzero(~is_one_hot))
        raise InputError(
            f"{where}: sequences are not one-hot in rows {rows}; were sequences and attributions swapped?"
        )
    is_finite = np.isfinite(hypothetical).all(axis=(1, 2))
    if not is_finite.all():
        rows = offenders(first + np.flatnonzero(~is_finite))
        raise InputError(
            f"{where}: attributions are NaN or infinite in rows {rows}; run the attribution again"
        )
