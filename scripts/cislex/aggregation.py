"""Chunks and folds of one target into one self-contained file, streamed, with the quality gate.

Memory does not depend on the number of regions, beyond their table, nor on that of chunks: rows are read,
averaged over folds and written in blocks, and where nothing has to be changed compressed HDF5 chunks are
copied as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex import provenance
from cislex.chunk_files import ChunkFiles
from cislex.chunks import rows_per_hdf5_chunk
from cislex.errors import CompletenessError, StorageError, offenders
from cislex.logs import get_logger, progress
from cislex.sequences import SequenceStore
from cislex.storage import FORMAT_VERSION, atomic_path, create_array, write_regions, write_table

#: Rows averaged at once.
BLOCK = 512


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


def aggregate_chunks(
    sequences: str | Path,
    chunks: Mapping[str, Sequence[str | Path]],
    out: str | Path,
    qc: str | Path,
    *,
    target: str,
    gate: Gate,
) -> None:
    """Write ``attributions.h5`` and ``qc.tsv`` of one target.

    Parameters
    ----------
    sequences
        ``sequences.h5`` that the chunks were made from.
    chunks
        For each fold, its chunk files in order.
    out, qc
        The two files; neither is left behind when anything fails.
    target
        Which target of the chunks.
    gate
        The quality gate.

    Raises
    ------
    StorageError
        When a chunk is missing, incomplete, of another run, or its rows do not join up.
    CompletenessError
        When regions fail the gate and ``gate.on_fail`` is ``error``.
    """
    logger = get_logger(__name__)
    with ExitStack() as stack:
        store = stack.enter_context(SequenceStore(sequences))
        folds = {
            name: ChunkFiles(name, paths, target, store.n, store.length) for name, paths in chunks.items()
        }
        shared = _shared_attributes(folds)
        owners = _owners(folds, store.n)
        errors = _relative_deltas(folds)
        failed = np.zeros(store.n, bool) if errors is None else ~(errors <= gate.max_relative_delta)
        regions = store.regions(0, store.n)
        if failed.any():
            _report_failures(regions, errors, failed, gate, target)
        kept = np.flatnonzero(~failed) if gate.on_fail == "drop" else np.arange(store.n)
        temporary = stack.enter_context(atomic_path(out))
        with h5py.File(temporary, "w") as handle:
            _write_rows(handle, store, list(folds.values()), owners, kept, target)
            write_regions(handle, regions.iloc[kept])
            create_array(handle, "rows", (len(kept),), "i8")[...] = kept
            handle.attrs.update(_attributes(shared, folds, store, gate, target, failed))
            table = _quality_table(handle, regions, kept, failed, errors, gate)
        write_table(table, qc)
    logger.info("%s: %d regions, %d over the limit (%s)", target, len(kept), failed.sum(), gate.on_fail)


def _shared_attributes(folds: Mapping[str, ChunkFiles]) -> dict[str, Any]:
    """Attributes that all chunks share; a fold that differs is an error that names its first file."""
    first = next((fold for fold in folds.values() if fold.shared), None)
    if first is None:
        raise StorageError("no chunk files were given")
    for fold in folds.values():
        first.compare(fold.paths[0], fold.shared)
    return first.shared


def _owners(folds: Mapping[str, ChunkFiles], n: int) -> NDArray[np.int64] | None:
    """Index of the fold that attributed each region (N,), or None where every fold attributed all."""
    computed = np.stack([fold.computed for fold in folds.values()]).reshape(len(folds), n)
    if computed.all():
        return None
    wrong = np.flatnonzero(computed.sum(axis=0) != 1)
    if len(wrong):
        raise StorageError(
            f"{len(wrong)} regions were attributed by no fold or by several, rows {offenders(wrong)}; "
            "expected each by the fold that held out its chromosome; delete the chunks and rerun"
        )
    return computed.argmax(axis=0)


def _relative_deltas(folds: Mapping[str, ChunkFiles]) -> NDArray[np.float32] | None:
    """Largest relative delta of each region over folds (N,), or None for methods that promise none."""
    if "max_relative_delta" not in _small(list(folds.values())):
        return None
    return np.max([fold.errors for fold in folds.values()], axis=0)


def _small(folds: list[ChunkFiles]) -> dict[str, tuple[int, ...]]:
    """The small datasets of the folds that attributed something, with the shape of a region's numbers."""
    return next((fold.tails for fold in folds if fold.tails), {})


def _report_failures(
    regions: pd.DataFrame, errors: Any, failed: NDArray[np.bool_], gate: Gate, target: str
) -> None:
    worst = np.flatnonzero(failed)[np.argsort(-errors[failed])]
    named = offenders(
        f"{row.name!s} {row.chrom!s}:{row.start}-{row.end} ({errors[i]:.2g})".strip()
        for i, row in zip(worst, regions.iloc[worst].itertuples(index=False), strict=True)
    )
    message = (
        f"target {target}: {failed.sum()} of {len(regions)} regions have a relative delta over "
        f"{gate.max_relative_delta:g}; largest first: {named}"
    )
    if gate.on_fail == "error":
        raise CompletenessError(f"{message}. Set qc.on_fail to drop or keep, raise the limit, or use float64")
    get_logger(__name__).warning("%s (%s)", message, gate.on_fail)


def _write_rows(
    handle: h5py.File,
    store: SequenceStore,
    folds: list[ChunkFiles],
    owners: NDArray[np.int64] | None,
    kept: NDArray[np.int64],
    target: str,
) -> None:
    n, length = len(kept), store.length
    rows = rows_per_hdf5_chunk(length)
    create_array(handle, "sequences", (n, 4, length), "u1")
    create_array(handle, "hypothetical", (n, 4, length), "f4", rows=rows)
    create_array(handle, "baseline", (n, length), "f4", rows=rows)
    small, used = _small(folds), len(folds) if owners is None else 1
    for name, tail in small.items():
        whole = (n, used, *tail) if name == "delta" else (n,)
        create_array(handle, name, whole, "f4")
    if owners is not None:
        create_array(handle, "fold", (n,), "i4")[...] = owners[kept]
    for first in progress(range(0, n, BLOCK), total=n, label=f"sequences of {target}", weight=BLOCK):
        block = kept[first : first + BLOCK]
        low, high = int(block[0]), int(block[-1]) + 1
        handle["sequences"][first : first + len(block)] = store.read(low, high)[block - low]
    if len(folds) == 1 and n == store.n:
        _copy(handle, folds[0], small)
    else:
        _average(handle, store, folds, owners, kept, small)


def _write_small(handle: h5py.File, here: slice, values: Mapping[str, NDArray[np.float32]]) -> None:
    """Write the small datasets of some regions, given as (folds, k, …), as they are joined over folds."""
    joined = {
        "prediction": lambda found: found.mean(axis=0),
        "reference_prediction": lambda found: found.mean(axis=(0, 2)),
        "delta": lambda found: found.swapaxes(0, 1),
        "max_relative_delta": lambda found: found.max(axis=0),
    }
    for name, found in values.items():
        if name in joined:
            handle[name][here] = joined[name](found)


def _by_owner(values: NDArray[Any], owners: NDArray[np.int64] | None) -> NDArray[Any]:
    """Values (folds, n, …) of all folds, or of the fold that each region belongs to (1, n, …)."""
    return values if owners is None else values[owners, np.arange(values.shape[1])][None]


def _copy(handle: h5py.File, fold: ChunkFiles, small: Mapping[str, tuple[int, ...]]) -> None:
    """Copy the only fold: compressed HDF5 chunks as they are where chunk borders align."""
    spans = fold.spans(0, fold.starts[-1])
    for path, first, low, high in progress(spans, total=len(fold.paths), label="copy", unit="chunks"):
        with h5py.File(path, "r") as source:
            group = source[f"targets/{fold.target}"]
            for name in ("hypothetical", "baseline"):
                _copy_dataset(group[name], handle[name], first, low, high)
            _write_small(handle, slice(low, high), {name: group[name][:][None] for name in small})


def _copy_dataset(source: h5py.Dataset, sink: h5py.Dataset, first: int, low: int, high: int) -> None:
    """Copy rows ``low:high`` (of the whole) from a chunk file that starts at row ``first``."""
    rows = sink.chunks[0]
    aligned = source.chunks == sink.chunks and first % rows == 0 and (high % rows == 0 or high == len(sink))
    if not aligned:
        for start in range(low, high, BLOCK):
            stop = min(start + BLOCK, high)
            sink[start:stop] = source[start - first : stop - first]
        return
    tail = (0,) * (source.ndim - 1)
    for row in range(0, high - first, rows):
        mask, data = source.id.read_direct_chunk((row, *tail))
        sink.id.write_direct_chunk((first + row, *tail), data, mask)


def _average(
    handle: h5py.File,
    store: SequenceStore,
    folds: list[ChunkFiles],
    owners: NDArray[np.int64] | None,
    kept: NDArray[np.int64],
    small: Mapping[str, tuple[int, ...]],
) -> None:
    """Average the folds block by block and keep their spread (standard deviation of contributions)."""
    n, length = len(kept), store.length
    several = len(folds) > 1 and owners is None
    tails = {"hypothetical": (4, length), "baseline": (length,), **small}
    if several:
        create_array(handle, "fold_spread", (n, length), "f4", rows=rows_per_hdf5_chunk(length))
    for first in progress(range(0, n, BLOCK), total=n, label="average over folds", weight=BLOCK):
        block = kept[first : first + BLOCK]
        here = slice(first, first + len(block))
        own = None if owners is None else owners[block]
        parts = [fold.read(block, tails) for fold in folds]
        values = {name: _by_owner(np.stack([part[name] for part in parts]), own) for name in tails}
        hypothetical, baseline = values["hypothetical"], values["baseline"]
        _write_small(handle, here, values)
        handle["hypothetical"][here] = hypothetical.mean(axis=0)
        handle["baseline"][here] = baseline.mean(axis=0)
        if several:
            contributions = (hypothetical * handle["sequences"][here]).sum(axis=2)
            handle["fold_spread"][here] = contributions.std(axis=0)


def _attributes(
    shared: Mapping[str, Any],
    folds: Mapping[str, ChunkFiles],
    store: SequenceStore,
    gate: Gate,
    target: str,
    failed: NDArray[np.bool_],
) -> dict[str, Any]:
    chunk_digests = [digest for fold in folds.values() for digest in fold.digests]
    notes = sorted(set().union(*(fold.notes for fold in folds.values())))
    return provenance.to_attributes(
        {
            **{key: value for key, value in shared.items() if key != "targets"},
            "format_version": FORMAT_VERSION,
            "target": target,
            "target_settings": json.loads(shared["targets"])[target],
            "folds": list(folds),
            "model_digests": {name: fold.model_digest for name, fold in folds.items()},
            "seed": next(iter(folds.values())).seed,
            "source_digest": store.source_digest,
            "chunks_digest": provenance.digest_strings(chunk_digests),
            "notes": notes,
            "max_relative_delta_limit": gate.max_relative_delta,
            "on_fail": gate.on_fail,
            "n_over_limit": int(failed.sum()),
        }
    )


def _quality_table(
    handle: h5py.File,
    regions: pd.DataFrame,
    kept: NDArray[np.int64],
    failed: NDArray[np.bool_],
    errors: NDArray[np.float32] | None,
    gate: Gate,
) -> pd.DataFrame:
    """One row a region, dropped ones included."""
    table = regions.copy()
    table["row"] = np.arange(len(table))
    for name in ("prediction", "reference_prediction"):
        values = np.full(len(table), np.nan)
        if name in handle:
            values[kept] = handle[name][:]
        table[name] = values
    table["max_relative_delta"] = np.nan if errors is None else errors
    word = "dropped" if gate.on_fail == "drop" else "fail"
    table["status"] = np.where(failed, word, "pass")
    return table
