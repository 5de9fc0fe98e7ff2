"""Combine chunks and folds of one target in one self-contained file, streamed, with the quality gate.

Memory does not depend on the number of chunks, and on that of regions by some twenty bytes each: rows are
read, averaged over folds and written in blocks, tables in parts, and where nothing has to be changed
compressed HDF5 chunks are copied as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cislex import provenance
from cislex.chunks.files import AVERAGED, CAUSE, KEPT_SHARE, SPREAD, ChunkFiles
from cislex.chunks.gate import Gate, over_limit, quality_table, report_failures
from cislex.chunks.thinning import Storage, storage_from
from cislex.errors import StorageError, offenders
from cislex.files.hdf5 import new_hdf5
from cislex.files.hdf5_blocks import RowWriter, dataset_in, group_in, opened, read_all
from cislex.files.tables import (
    FORMAT_VERSION,
    atomic_path,
    create_array,
    digest_regions,
    rows_per_hdf5_chunk,
    write_regions,
    write_table_parts,
)
from cislex.logs import get_logger, progress
from cislex.sequences.store import SequenceStore
from cislex.sequences.stored_windows import Windows, WindowStore, open_stored

#: Rows averaged at once, and their values of each fold.
BLOCK, BLOCK_VALUES = 512, 1 << 25


def aggregate_chunks(
    sequences: str | Path,
    chunks: Mapping[str, Sequence[str | Path]],
    out: str | Path,
    qc: str | Path | None,
    *,
    target: str,
    gate: Gate,
    inspected: Mapping[str, str] | None = None,
    window: tuple[int, int] | None = None,
    windows: str | Path | None = None,
    storage: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> None:
    """Write ``attributions.h5`` and ``qc.tsv`` of one target.

    Parameters
    ----------
    sequences
        ``sequences.h5`` that the chunks were made from.
    chunks
        For each fold, its chunk files in order.
    out, qc
        The two files; neither is left behind when anything fails. With None for ``qc`` no row is judged:
        ``out`` keeps all of them, and ``gate.gate_attributions`` makes the two files of it.
    target
        Which target of the chunks.
    gate
        The quality gate.
    inspected
        Digest of each fold's model as it was inspected; chunks of another model are refused.
    window
        Columns ``[start, end)`` of each region that the chunks hold; None: all.
    windows
        ``windows.tsv``, whose windows the chunks hold, in place of ``window``.
    storage
        Fields of :class:`cislex.chunks.thinning.Storage`. Means over folds are stored like this; chunks whose
        regions belong to one fold each are so already.
    threads
        Threads that compress, where blocks cannot be copied as they are.

    Raises
    ------
    StorageError
        When a chunk is missing, incomplete, of another run, or its rows do not join up.
    CompletenessError
        When regions fail the gate and ``gate.on_fail`` is ``error``.
    """
    logger = get_logger(__name__)
    with ExitStack() as stack:
        store = stack.enter_context(open_stored(sequences, Windows.read(windows) if windows else window))
        folds = {
            name: ChunkFiles(
                name, paths, target, store.n, store.length, model_digest=(inspected or {}).get(name)
            )
            for name, paths in chunks.items()
        }
        shared = _shared_attributes(folds)
        _require_same_regions(folds, store)
        owners = _owners(folds, store.n)
        kept_as = storage_from(storage)
        _require_thinned(folds, owners, kept_as)
        errors = _relative_deltas(folds)
        failed = over_limit(errors, gate, store.n)
        if qc is not None and errors is not None and failed.any():
            report_failures(store.regions, errors, failed, gate, target)
        drops = qc is not None and gate.on_fail == "drop"
        kept = np.flatnonzero(~failed) if drops else np.arange(store.n)
        temporary = stack.enter_context(atomic_path(out))
        with new_hdf5(temporary) as handle:
            _write_rows(handle, store, list(folds.values()), owners, kept, kept_as, threads)
            if len(kept) == store.n:
                store.copy_into(handle, "regions")
            else:
                write_regions(handle, store.regions().iloc[kept])
            create_array(handle, "rows", (len(kept),), "i8")[...] = kept
            if isinstance(store, WindowStore):
                create_array(handle, "window_start", (len(kept),), "i8")[...] = store.windows.starts[kept]
                handle.attrs["input_length"] = store.whole
            handle.attrs.update({key: value for key, value in asdict(kept_as).items() if value is not None})
            handle.attrs.update(_attributes(shared, folds, store, gate, target, failed))
            if qc is not None:
                write_table_parts(quality_table(handle, store.regions, failed, errors, gate), qc)
    logger.info("%s: %d regions, %d over the limit (%s)", target, len(kept), failed.sum(), gate.on_fail)


def _shared_attributes(folds: Mapping[str, ChunkFiles]) -> dict[str, Any]:
    """Attributes that all chunks share; a fold that differs is an error that names its first file."""
    first = next((fold for fold in folds.values() if fold.shared), None)
    if first is None:
        raise StorageError("no chunk files were given")
    for fold in folds.values():
        first.compare(fold.paths[0], fold.shared)
    return first.shared


def _require_same_regions(folds: Mapping[str, ChunkFiles], store: SequenceStore) -> None:
    """Refuse chunks of another genome, or of other regions than those of ``sequences.h5``."""
    checked: dict[tuple[int, int], str] = {}
    for fold in folds.values():
        if fold.shared["source_digest"] != store.source_digest:
            raise StorageError(
                f"{fold.paths[0]}: was computed from source_digest {fold.shared['source_digest']}; "
                f"{store.path} has {store.source_digest}: {CAUSE}; delete the chunks of {fold.name} and rerun"
            )
        bounds = zip(fold.starts[:-1], fold.starts[1:], strict=True)
        for path, span, digest in zip(fold.paths, bounds, fold.regions, strict=True):
            if span not in checked:
                checked[span] = digest_regions(store.regions(*span))
            if digest != checked[span]:
                raise StorageError(
                    f"{path}: rows {span[0]} to {span[1]} are different regions from those of {store.path}: "
                    f"{CAUSE}; delete this file and rerun"
                )


def _owners(folds: Mapping[str, ChunkFiles], n: int) -> NDArray[np.int64] | None:
    """Index of the fold that attributed each region (N,), or None where every fold attributed all."""
    computed = np.stack([fold.computed for fold in folds.values()]).reshape(len(folds), n)
    if computed.all():
        return None
    wrong = np.flatnonzero(computed.sum(axis=0) != 1)
    if len(wrong):
        raise StorageError(
            f"{len(wrong)} regions were attributed by no fold or several folds, rows {offenders(wrong)}; "
            "expected each by the fold that held out its chromosome; delete the chunks and rerun"
        )
    return computed.argmax(axis=0)


def _require_thinned(
    folds: Mapping[str, ChunkFiles], owners: NDArray[np.int64] | None, storage: Storage
) -> None:
    """Chunks whose regions belong to one fold are thinned out already, those to be averaged are not."""
    expected = storage.keep is not None and (len(folds) == 1 or owners is not None)
    tails = _small(list(folds.values()))
    if tails and expected != (KEPT_SHARE in tails):
        first = next(iter(folds.values())).paths[0]
        raise StorageError(
            f"{first}: keeps {'all' if expected else 'the largest'} contributions, expected "
            f"{f'the {storage.keep} largest' if expected else 'all'}: {CAUSE}; delete the chunks and rerun"
        )


def _relative_deltas(folds: Mapping[str, ChunkFiles]) -> NDArray[np.float32] | None:
    """Largest relative delta of each region over folds (N,), or None for methods that promise none."""
    if "max_relative_delta" not in _small(list(folds.values())):
        return None
    return np.max([fold.errors for fold in folds.values()], axis=0)


def _small(folds: list[ChunkFiles]) -> dict[str, tuple[int, ...]]:
    """The small datasets of the folds that attributed something, with the shape of a region's numbers."""
    return next((fold.tails for fold in folds if fold.tails), {})


def _write_rows(
    handle: h5py.File,
    store: SequenceStore,
    folds: list[ChunkFiles],
    owners: NDArray[np.int64] | None,
    kept: NDArray[np.int64],
    storage: Storage,
    threads: int,
) -> None:
    n, length = len(kept), store.length
    rows = rows_per_hdf5_chunk(length)
    arrays = {
        "hypothetical": create_array(handle, "hypothetical", (n, 4, length), "f4", rows=rows),
        "baseline": create_array(handle, "baseline", (n, length), "f4", rows=rows),
    }
    small, used = _small(folds), len(folds) if owners is None else 1
    for name, tail in small.items():
        whole = (n, used, *tail) if name == "delta" else (n, *tail) if name == SPREAD else (n,)
        arrays[name] = create_array(handle, name, whole, "f4", rows=rows if name == SPREAD else None)
    if used > 1:
        arrays["fold_spread"] = create_array(handle, "fold_spread", (n, length), "f4", rows=rows)
        if storage.keep is not None:
            arrays[KEPT_SHARE] = create_array(handle, KEPT_SHARE, (n,), "f4")
    if owners is not None:
        create_array(handle, "fold", (n,), "i4")[...] = owners[kept]
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(threads)) if threads > 1 else None
        _write_sequences(handle, store, kept)
        writers = {name: RowWriter(array, pool) for name, array in arrays.items()}
        if len(folds) == 1 and n == store.n:
            _copy(writers, folds[0], small)
        else:
            _average(writers, store, folds, owners, kept, small, storage)
        for writer in writers.values():
            writer.finish()


def _write_sequences(handle: h5py.File, store: SequenceStore, kept: NDArray[np.int64]) -> None:
    """The sequences of the kept rows, in the layout that they have already."""
    writer = RowWriter(store.create_like(handle, len(kept)))
    if len(kept) == store.n:
        store.append_to(writer)
        return
    for block in progress(_blocks(kept, 4 * store.length), total=len(kept), label="sequences", weight=len):
        low = int(block[0])
        writer.append(store.read(low, int(block[-1]) + 1)[block - low])
    writer.finish()


def _blocks(rows: NDArray[np.int64], values: int) -> Iterator[NDArray[np.int64]]:
    """Rows in blocks of bounded size; one row has so many values."""
    step = max(1, min(BLOCK, BLOCK_VALUES // max(1, values)))
    for first in range(0, len(rows), step):
        yield rows[first : first + step]


def _append_small(writers: Mapping[str, RowWriter], values: Mapping[str, NDArray[np.float32]]) -> None:
    """Append the small datasets of some regions, given as (folds, k, …), as they are joined over folds."""
    for name, found in values.items():
        if name == "delta":
            writers[name].append(found.swapaxes(0, 1))
        elif name == "max_relative_delta":
            writers[name].append(found.max(axis=0))
        elif name in AVERAGED:
            writers[name].append(found.mean(axis=(0, *range(2, found.ndim))))


def _by_owner(values: NDArray[Any], owners: NDArray[np.int64] | None) -> NDArray[Any]:
    """Values (folds, n, …) of all folds, or of the fold that each region belongs to (1, n, …)."""
    return values if owners is None else values[owners, np.arange(values.shape[1])][None]


def _copy(writers: Mapping[str, RowWriter], fold: ChunkFiles, small: Iterable[str]) -> None:
    """Copy the only fold: compressed HDF5 chunks as they are where chunk borders align."""
    spans = fold.spans(0, fold.starts[-1])
    for path, first, low, high in progress(spans, total=len(fold.paths), label="copy", unit="chunks"):
        with opened(path, what="chunk") as source:
            group = group_in(source, f"targets/{fold.target}")
            for name in (*("hypothetical", "baseline"), *(name for name in small if name == SPREAD)):
                writers[name].copy(dataset_in(group, name), low - first, high - first)
            few = (name for name in small if name != SPREAD)
            _append_small(writers, {name: read_all(group, name, "f4")[None] for name in few})


def _average(
    writers: Mapping[str, RowWriter],
    store: SequenceStore,
    folds: list[ChunkFiles],
    owners: NDArray[np.int64] | None,
    kept: NDArray[np.int64],
    small: Mapping[str, tuple[int, ...]],
    storage: Storage,
) -> None:
    """Average the folds block by block and keep their spread (standard deviation of contributions)."""
    length = store.length
    tails = {"hypothetical": (4, length), "baseline": (length,), **small}
    size = len(folds) * sum(int(np.prod(tail)) for tail in tails.values())
    for block in progress(_blocks(kept, size), total=len(kept), label="average over folds", weight=len):
        own = None if owners is None else owners[block]
        parts = [fold.read(block, tails) for fold in folds]
        values = {name: _by_owner(np.stack([part[name] for part in parts]), own) for name in tails}
        hypothetical, baseline = values.pop("hypothetical"), values.pop("baseline")
        wide = {"hypothetical": hypothetical.mean(axis=0), "baseline": baseline.mean(axis=0)}
        if SPREAD in values:
            wide[SPREAD] = np.sqrt((values.pop(SPREAD) ** 2).mean(axis=0))
        if "fold_spread" in writers:
            low = int(block[0])
            sequences = store.read(low, int(block[-1]) + 1)[block - low]
            wide["fold_spread"] = (hypothetical * sequences).sum(axis=2).std(axis=0)
            wide = storage.apply(wide, sequences)
        _append_small(writers, values)
        for name, found in wide.items():
            writers[name].append(found)


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
            **shared,
            "format_version": FORMAT_VERSION,
            "target": target,
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
