"""What is stored of finished batches: every column of every region, or windows of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cislex.attribution import Attribution
from cislex.chunks.files import SPREAD, WINDOW_SHARE
from cislex.chunks.filling import Batch
from cislex.chunks.thinning import Storage, absolute_contributions
from cislex.errors import InputError
from cislex.sequences.stored_windows import Ints, Windows

#: Everything is stored as it is.
ALL = Storage()
Arrays = dict[str, NDArray[np.float32]]
#: Datasets with a number for each base.
WIDE = ("hypothetical", "baseline", SPREAD)


def stored_batches(
    work: Iterator[list[Attribution]],
    rows: Ints,
    windows: Windows | None,
    *,
    partial: bool = False,
    storage: Storage = ALL,
) -> Iterator[Batch]:
    """Turn batches of regions into what a checkpoint keeps: rows of the chunk file, their arrays, notes.

    Parameters
    ----------
    work
        Attributions of each target, of each region among ``rows`` once, in their order.
    rows
        int64 (m,), ascending: the region of each row that is stored, which a region with several windows has
        several times.
    windows
        The window of each of these rows; None: all columns.
    partial
        The method attributes nothing outside of the windows, so that no share of them is known.
    storage
        Values are rounded and thinned out like this.
    """
    regions = np.unique(rows)
    done = place = 0
    for results in work:
        count = len(results[0])
        here = regions[done : done + count]
        stop = int(np.searchsorted(rows, here[-1], "right"))
        examples = np.searchsorted(here, rows[place:stop])
        starts = None if windows is None else windows.starts[place:stop]
        arrays = {}
        for t, result in enumerate(results):
            found = _arrays(result, done + count)
            if windows is not None and starts is not None:
                found = _of_windows(found, result, examples, starts, windows.width, partial)
            if storage != ALL:
                own = result.sequences.numpy()
                if windows is not None and starts is not None:
                    own = columns(own, examples, starts, windows.width)
                wide = {name: values for name, values in found.items() if name in WIDE}
                found |= storage.apply(wide, own)
            arrays.update({f"{t}/{name}": values for name, values in found.items()})
        notes = {key: note for key, note in results[0].notes.items() if key != "precision"}
        yield stop - place, arrays, notes
        done, place = done + count, stop


def _arrays(result: Attribution, row: int) -> Arrays:
    """What there is of one target."""
    found = {
        "hypothetical": result.hypothetical,
        "baseline": result.baseline,
        "prediction": result.prediction,
        "reference_prediction": result.reference_prediction,
        "delta": result.delta,
        "max_relative_delta": result.max_relative_delta,
        SPREAD: result.reference_spread,
    }
    arrays = {name: values.float().numpy() for name, values in found.items() if values is not None}
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise InputError(f"{name}: found a value that is not finite among the rows before {row}")
    return arrays


def _of_windows(
    found: Arrays, result: Attribution, examples: Ints, starts: Ints, width: int, partial: bool
) -> Arrays:
    """Arrays of the windows of some examples, and what share of the contributions lies in them."""
    arrays = {
        name: columns(values, examples, starts, width) if name in WIDE else values[examples]
        for name, values in found.items()
    }
    if not partial:
        sizes = absolute_contributions(found["hypothetical"], result.sequences.numpy())
        inside = columns(sizes, examples, starts, width).sum(axis=1, dtype=np.float64)
        whole = sizes.sum(axis=1, dtype=np.float64)[examples]
        arrays[WINDOW_SHARE] = (inside / np.where(whole > 0, whole, 1.0)).astype(np.float32)
    return arrays


def columns(values: NDArray[Any], rows: Ints, starts: Ints, width: int) -> NDArray[Any]:
    """Columns ``[start, start + width)`` of some rows of (n, …, L): (k, …, width)."""
    if len(starts) and (starts == starts[0]).all():
        return np.ascontiguousarray(values[..., starts[0] : starts[0] + width][rows])
    cut = [values[row, ..., low : low + width] for row, low in zip(rows, starts.tolist(), strict=True)]
    return np.stack(cut)
