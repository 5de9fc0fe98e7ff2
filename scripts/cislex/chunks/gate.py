"""The quality gate, a separate step: regions whose completeness error is over a limit.

``aggregate_chunks`` writes every row; here another limit or policy makes the file that is read on from it,
so that a gate that changes attributes nothing again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import CompletenessError, offenders
from cislex.files.hdf5 import new_hdf5
from cislex.files.hdf5_blocks import RowWriter
from cislex.files.links import link_or_copy
from cislex.files.sealed import open_file
from cislex.files.tables import (
    atomic_path,
    create_array,
    open_hdf5,
    read_regions,
    write_regions,
    write_table_parts,
)
from cislex.logs import get_logger
from cislex.sequences.store import create_sequences

#: Rows of tables held at once.
TABLE_ROWS = 1 << 16
#: Bytes of values held at once.
BLOCK_BYTES = 1 << 24
#: Relative deltas below this, or below a tenth of a stricter limit, may be rounding of float32 sums.
ROUNDING = 1e-4
#: Reads the regions of some rows.
Regions = Callable[[int, int], pd.DataFrame]


@dataclass(frozen=True)
class Gate:
    """The quality gate: regions whose relative completeness error is over the limit.

    Parameters
    ----------
    max_relative_delta
        The limit; a region fails when the largest value over folds and references is above it.
    on_fail
        ``error`` (stop and name them), ``drop`` (leave them out) or ``keep`` (keep and mark them).
    """

    max_relative_delta: float = 1e-3
    on_fail: str = "error"


def gate_attributions(complete: str | Path, out: str | Path, qc: str | Path, *, gate: Gate) -> None:
    """Write ``attributions.h5`` and ``qc.tsv`` of one target from the file with all of its rows.

    Parameters
    ----------
    complete
        Every row, as ``aggregate_chunks`` writes them without ``qc``; it stays as it is.
    out, qc
        The two files; neither is left behind when anything fails. Where nothing differs from ``complete``,
        ``out`` is another name (a hard link) of it, or a copy on a file system without links.
    gate
        The quality gate.

    Raises
    ------
    CompletenessError
        When regions fail the gate and ``gate.on_fail`` is ``error``.
    """
    with open_hdf5(complete, what="complete attributions", datasets=("hypothetical", "rows")) as handle:
        n, target = len(handle["rows"]), str(handle.attrs["target"])
        errors = handle["max_relative_delta"][:] if "max_relative_delta" in handle else None
        failed = over_limit(errors, gate, n)
        regions = partial(read_regions, handle)
        if errors is not None and failed.any():
            report_failures(regions, errors, failed, gate, target)
        kept = np.flatnonzero(~failed) if gate.on_fail == "drop" else np.arange(n)
        judged = {
            "max_relative_delta_limit": gate.max_relative_delta,
            "on_fail": gate.on_fail,
            "n_over_limit": int(failed.sum()),
        }
        same = len(kept) == n and all(handle.attrs.get(key) == value for key, value in judged.items())
        with atomic_path(out) as temporary:
            if same:
                link_or_copy(complete, temporary)
            else:
                with new_hdf5(temporary) as result:
                    _copy_rows(handle, result, kept)
                    result.attrs.update({**handle.attrs, **judged})
            with open_file(temporary) as result:
                write_table_parts(quality_table(result, regions, failed, errors, gate), qc)
    get_logger(__name__).info(
        "%s: %d regions, %d over the limit (%s)", target, len(kept), failed.sum(), gate.on_fail
    )


def _copy_rows(source: h5py.File, result: h5py.File, kept: NDArray[np.int64]) -> None:
    """Copy some rows of every dataset; where all are kept, verified blocks as they are."""
    n = len(source["rows"])
    for name, values in source.items():
        if name == "regions":
            write_regions(result, read_regions(source).iloc[kept])
            continue
        shape = (len(kept), *values.shape[1:])
        if name == "sequences":
            array = create_sequences(result, len(kept), values.shape[2])
        else:
            rows = values.chunks[0] if values.chunks else None
            array = create_array(result, name, shape, values.dtype.str, rows=rows)
        writer = RowWriter(array)
        if len(kept) == n:
            writer.copy(values.id, 0, n)
            writer.finish()
            continue
        step = max(1, BLOCK_BYTES // max(1, values.dtype.itemsize * int(np.prod(shape[1:]))))
        for low in range(0, n, step):
            inside = kept[(kept >= low) & (kept < low + step)] - low
            if len(inside):
                writer.append(values[low : low + step][inside])
        writer.finish()


def over_limit(errors: NDArray[np.float32] | None, gate: Gate, n: int) -> NDArray[np.bool_]:
    """Which of ``n`` regions are over the limit; none for methods that do not guarantee completeness."""
    if errors is None:
        return np.zeros(n, bool)
    failed: NDArray[np.bool_] = ~(errors <= gate.max_relative_delta)
    return failed


def report_failures(
    regions: Regions, errors: NDArray[np.float32], failed: NDArray[np.bool_], gate: Gate, target: str
) -> None:
    """Raise an error or a warning about regions over the limit; the worst are named."""
    worst = np.flatnonzero(failed)[np.argsort(-errors[failed])]
    named = offenders([*(_named(regions, int(i), errors[i]) for i in worst[:3]), *worst[3:]])
    message = (
        f"target {target}: {failed.sum()} of {len(failed)} regions have a relative delta over "
        f"{gate.max_relative_delta:g}; largest first: {named}"
    )
    if gate.on_fail == "error":
        raise CompletenessError(f"{message}. Set qc.on_fail to drop or keep, raise the limit, or use float64")
    get_logger(__name__).warning("%s (%s)", message, gate.on_fail)


def _named(regions: Regions, row: int, error: float) -> str:
    region = regions(row, row + 1).iloc[0]
    return f"{region['name']!s} {region.chrom}:{region.start}-{region.end} ({error:.2g})".strip()


def reproducible(errors: NDArray[np.float32], gate: Gate) -> NDArray[np.float64]:
    """Round relative deltas for a table: two digits; rounding noise becomes its upper bound.

    The noise depends on the batch size and the machine; ``attributions.h5`` keeps each value as it was.
    """
    floor = min(ROUNDING, gate.max_relative_delta / 10)
    shown = np.array([float(f"{error:.1e}") for error in errors.tolist()])
    return np.where(shown < floor, floor, shown)


def quality_table(
    handle: h5py.File,
    regions: Regions,
    failed: NDArray[np.bool_],
    errors: NDArray[np.float32] | None,
    gate: Gate,
) -> Iterator[pd.DataFrame]:
    """One row per region, dropped ones included; in parts."""
    drops = gate.on_fail == "drop"
    place = 0
    for low in range(0, max(len(failed), 1), TABLE_ROWS):
        part = slice(low, min(low + TABLE_ROWS, len(failed)))
        table = regions(part.start, part.stop)
        table["row"] = np.arange(part.start, part.stop)
        there = ~failed[part] if drops else np.ones(len(table), bool)
        count = int(there.sum())
        for name in ("prediction", "reference_prediction"):
            values = np.full(len(table), np.nan)
            if name in handle:
                values[there] = handle[name][place : place + count]
            table[name] = values
        place += count
        table["max_relative_delta"] = np.nan if errors is None else reproducible(errors[part], gate)
        table["status"] = np.where(failed[part], "dropped" if drops else "fail", "pass")
        yield table
