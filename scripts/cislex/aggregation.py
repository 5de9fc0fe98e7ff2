"""Chunks and folds of one target into one self-contained file, streamed, with the quality gate.

Memory does not depend on the number of regions: rows are read, averaged over folds and written in
blocks, and where nothing has to be changed compressed HDF5 chunks are copied as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex import provenance
from cislex.chunks import rows_per_hdf5_chunk
from cislex.errors import CompletenessError, StorageError, offenders
from cislex.logs import get_logger, progress
from cislex.sequences import SequenceStore
from cislex.storage import FORMAT_VERSION, atomic_path, create_array, open_hdf5, write_regions, write_table

#: Rows averaged at once.
BLOCK = 512
#: Attributes that every chunk of one target must share.
SHARED = ("stage_digest", "method", "targets", "precision", "n_regions", "chunks", "versions")


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
            name: _Fold(name, [Path(path) for path in paths], target, store.n, store.length)
            for name, paths in chunks.items()
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


class _Fold:
    """The chunk files of one fold, read as one array of N rows; files are opened one at a time."""

    def __init__(self, name: str, paths: list[Path], target: str, n: int, length: int) -> None:
        self.name = name
        self.paths = paths
        self.target = target
        self.attributes: list[dict[str, Any]] = []
        self.starts: list[int] = []
        expected = 0
        for path in paths:
            with open_hdf5(path, what="chunk", datasets=[f"targets/{target}/hypothetical"]) as handle:
                attributes = dict(handle.attrs)
                shape = handle[f"targets/{target}/hypothetical"].shape
                has_delta = "max_relative_delta" in handle[f"targets/{target}"]
            if int(attributes["start"]) != expected or int(attributes["n_regions"]) != n:
                raise StorageError(
                    f"{path}: holds rows from {int(attributes['start'])} of {int(attributes['n_regions'])}; "
                    f"expected rows from {expected} of {n}: it belongs to another run, delete it"
                )
            expected = int(attributes["stop"])
            if shape != (expected - int(attributes["start"]), 4, length):
                raise StorageError(f"{path}: hypothetical has shape {shape}, which its rows do not explain")
            self.attributes.append(attributes)
            self.starts.append(int(attributes["start"]))
            self.has_delta = has_delta if shape[0] else getattr(self, "has_delta", False)
        if expected != n:
            raise StorageError(f"fold {name}: chunks end at row {expected} of {n}; a chunk is missing")
        self.starts.append(n)

    def spans(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[Path, int, int, int]]:
        """Path, the chunk's first row, and first and last row of the overlap with ``start:stop``."""
        stop = self.starts[-1] if stop is None else stop
        for path, first, last in zip(self.paths, self.starts, self.starts[1:], strict=False):
            low, high = max(first, start), min(last, stop)
            if low < high:
                yield path, first, low, high

    def computed(self) -> NDArray[np.bool_]:
        """Which regions this fold attributed (N,)."""
        parts = []
        for path, first, low, high in self.spans():
            with h5py.File(path, "r") as handle:
                parts.append(handle["computed"][low - first : high - first])
        return np.concatenate(parts) if parts else np.zeros(0, bool)

    def column(self, name: str) -> NDArray[np.float32]:
        """A whole small dataset, (N,) or (N, references)."""
        parts = []
        for path, first, low, high in self.spans():
            with h5py.File(path, "r") as handle:
                parts.append(handle[f"targets/{self.target}/{name}"][low - first : high - first])
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def has(self, name: str) -> bool:
        """Whether the (non-empty) chunks have a dataset."""
        for path, *_ in self.spans():
            with h5py.File(path, "r") as handle:
                return f"targets/{self.target}/{name}" in handle
        return False


def _shared_attributes(folds: Mapping[str, _Fold]) -> dict[str, Any]:
    """Attributes that all chunks share; a difference is an error that names the file."""
    first: dict[str, Any] | None = None
    for fold in folds.values():
        for path, attributes in zip(fold.paths, fold.attributes, strict=True):
            found = {key: attributes[key] for key in SHARED}
            first = first or found
            different = [key for key in SHARED if found[key] != first[key]]
            if different:
                raise StorageError(
                    f"{path}: differs from the first chunk in {', '.join(different)}; delete it and rerun"
                )
    if first is None:
        raise StorageError("no chunk files were given")
    return first


def _owners(folds: Mapping[str, _Fold], n: int) -> NDArray[np.int64] | None:
    """Index of the fold that attributed each region (N,), or None where every fold attributed all."""
    computed = np.stack([fold.computed() for fold in folds.values()]).reshape(len(folds), n)
    if computed.all():
        return None
    wrong = np.flatnonzero(computed.sum(axis=0) != 1)
    if len(wrong):
        raise StorageError(
            f"{len(wrong)} regions were attributed by no fold or by several, rows {offenders(wrong)}; "
            "expected each by the fold that held out its chromosome; delete the chunks and rerun"
        )
    return computed.argmax(axis=0)


def _relative_deltas(folds: Mapping[str, _Fold]) -> NDArray[np.float32] | None:
    """Largest relative delta of each region over folds (N,), or None for methods that promise none."""
    if not all(fold.has("max_relative_delta") for fold in folds.values()):
        return None
    return np.max([fold.column("max_relative_delta") for fold in folds.values()], axis=0)


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
    folds: list[_Fold],
    owners: NDArray[np.int64] | None,
    kept: NDArray[np.int64],
    target: str,
) -> None:
    n, length = len(kept), store.length
    rows = rows_per_hdf5_chunk(length)
    create_array(handle, "sequences", (n, 4, length), "u1")
    create_array(handle, "hypothetical", (n, 4, length), "f4", rows=rows)
    create_array(handle, "baseline", (n, length), "f4", rows=rows)
    own = None if owners is None else owners[kept]

    def columns(name: str) -> NDArray[np.float32]:
        return _by_owner(np.stack([fold.column(name)[kept] for fold in folds]), own)

    create_array(handle, "prediction", (n,), "f4")[...] = columns("prediction").mean(axis=0)
    if all(fold.has("reference_prediction") for fold in folds):
        values = columns("reference_prediction").mean(axis=(0, 2))
        create_array(handle, "reference_prediction", (n,), "f4")[...] = values
    if all(fold.has("delta") for fold in folds):
        delta = columns("delta").swapaxes(0, 1)
        create_array(handle, "delta", delta.shape, "f4")[...] = delta
        create_array(handle, "max_relative_delta", (n,), "f4")[...] = columns("max_relative_delta").max(
            axis=0
        )
    if own is not None:
        create_array(handle, "fold", (n,), "i4")[...] = own
    for first in progress(range(0, n, BLOCK), total=n, label=f"sequences of {target}", weight=BLOCK):
        block = kept[first : first + BLOCK]
        low, high = int(block[0]), int(block[-1]) + 1
        handle["sequences"][first : first + len(block)] = store.read(low, high)[block - low]
    if len(folds) == 1 and n == store.n:
        _copy(handle, folds[0])
    else:
        _average(handle, store, folds, owners, kept)


def _by_owner(values: NDArray[Any], owners: NDArray[np.int64] | None) -> NDArray[Any]:
    """Values (folds, n, …) of all folds, or of the fold that each region belongs to (1, n, …)."""
    return values if owners is None else values[owners, np.arange(values.shape[1])][None]


def _copy(handle: h5py.File, fold: _Fold) -> None:
    """Copy the only fold: compressed HDF5 chunks as they are where chunk borders align."""
    for path, first, low, high in progress(fold.spans(), total=len(fold.paths), label="copy", unit="chunks"):
        with h5py.File(path, "r") as source:
            for name in ("hypothetical", "baseline"):
                _copy_dataset(source[f"targets/{fold.target}/{name}"], handle[name], first, low, high)


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
    folds: list[_Fold],
    owners: NDArray[np.int64] | None,
    kept: NDArray[np.int64],
) -> None:
    """Average the folds block by block and keep their spread (standard deviation of contributions)."""
    n, length = len(kept), store.length
    several = len(folds) > 1 and owners is None
    if several:
        create_array(handle, "fold_spread", (n, length), "f4", rows=rows_per_hdf5_chunk(length))
    for first in progress(range(0, n, BLOCK), total=n, label="average over folds", weight=BLOCK):
        block = kept[first : first + BLOCK]
        here = slice(first, first + len(block))
        own = None if owners is None else owners[block]
        hypothetical = _by_owner(np.stack([_rows(fold, "hypothetical", block) for fold in folds]), own)
        baseline = _by_owner(np.stack([_rows(fold, "baseline", block) for fold in folds]), own)
        handle["hypothetical"][here] = hypothetical.mean(axis=0)
        handle["baseline"][here] = baseline.mean(axis=0)
        if several:
            contributions = (hypothetical * handle["sequences"][here]).sum(axis=2)
            handle["fold_spread"][here] = contributions.std(axis=0)


def _rows(fold: _Fold, name: str, block: NDArray[np.int64]) -> NDArray[np.float32]:
    """The given rows (ascending) of a large dataset."""
    low, high = int(block[0]), int(block[-1]) + 1
    parts = []
    for path, first, start, stop in fold.spans(low, high):
        with h5py.File(path, "r") as handle:
            parts.append(handle[f"targets/{fold.target}/{name}"][start - first : stop - first])
    return np.concatenate(parts)[block - low]


def _attributes(
    shared: Mapping[str, Any],
    folds: Mapping[str, _Fold],
    store: SequenceStore,
    gate: Gate,
    target: str,
    failed: NDArray[np.bool_],
) -> dict[str, Any]:
    chunk_digests = [str(a["content_digest"]) for fold in folds.values() for a in fold.attributes]
    notes = sorted(
        {note for fold in folds.values() for a in fold.attributes for note in json.loads(a["notes"])}
    )
    return provenance.to_attributes(
        {
            **{key: value for key, value in shared.items() if key != "targets"},
            "format_version": FORMAT_VERSION,
            "target": target,
            "target_settings": json.loads(shared["targets"])[target],
            "folds": list(folds),
            "model_digests": {name: str(fold.attributes[0]["model_digest"]) for name, fold in folds.items()},
            "seed": int(next(iter(folds.values())).attributes[0]["seed"]),
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
