"""The chunk file, made from the log of finished batches: whole blocks of rows, each written once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cislex import provenance
from cislex.attribution.notes import merge_notes
from cislex.errors import StorageError
from cislex.files.checkpoint import Checkpoint
from cislex.files.hdf5 import new_hdf5
from cislex.files.hdf5_blocks import RowWriter
from cislex.files.tables import atomic_path, create_array, rows_per_hdf5_chunk

#: Bytes of zeros that are made at once.
ZEROS = 1 << 20


def write_chunk(
    out: str | Path,
    log: Checkpoint,
    names: Sequence[str],
    places: NDArray[np.int64],
    shape: tuple[int, int],
    attributes: Callable[[], Mapping[str, Any]],
) -> None:
    """Make a chunk file from its log, atomically.

    Parameters
    ----------
    out
        The chunk file.
    log
        Every finished batch; it stays as it is.
    names
        The targets.
    places
        Row of the file of each row of the log, ascending; other rows are zero and not ``computed``.
    shape
        Rows of the file, and L.
    attributes
        Gives the attributes of the file, once all rows are written.

    Raises
    ------
    StorageError
        When the log does not hold every row.
    """
    n, length = shape
    notes: list[tuple[dict[str, str], int]] = []
    with atomic_path(out) as temporary, new_hdf5(temporary) as handle:
        computed = np.zeros(n, bool)
        computed[places] = True
        create_array(handle, "computed", (n,), "?")[...] = computed
        block = rows_per_hdf5_chunk(length)
        columns: dict[str, _Column] = {}
        for t, name in enumerate(names):
            group = handle.create_group(f"targets/{name}")
            for key, tail, rows in (
                ("hypothetical", (4, length), block),
                ("baseline", (length,), block),
                ("prediction", (), None),
            ):
                columns[f"{t}/{key}"] = _Column(create_array(group, key, (n, *tail), "f4", rows=rows))
        covered = 0
        for first, last, arrays, added in log.records():
            covered = last
            notes.append((added, last - first))
            for key, values in arrays.items():
                if key not in columns:
                    number, _, name = key.partition("/")
                    group = handle[f"targets/{names[int(number)]}"]
                    columns[key] = _Column(create_array(group, name, (n, *values.shape[1:]), "f4"))
                columns[key].append(values, places[first:last])
        if covered != len(places):
            raise StorageError(f"{log.path}: holds {covered} of {len(places)} rows; delete it and run again")
        digests = {key: column.finish() for key, column in sorted(columns.items())}
        found = {
            **attributes(),
            "content_digest": provenance.digest_strings(f"{key}: {value}" for key, value in digests.items()),
            "content_digests": {
                name: {
                    key.partition("/")[2]: value for key, value in digests.items() if key.startswith(f"{t}/")
                }
                for t, name in enumerate(names)
            },
            "notes": sorted(f"{key}: {value}" for key, value in merge_notes(notes).items()),
        }
        handle.attrs.update(provenance.to_attributes(found))


class _Column:
    """One dataset: rows come in order, with gaps."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._writer, self._shape = RowWriter(dataset, digest=True), dataset.shape

    def append(self, values: NDArray[Any], places: NDArray[np.int64]) -> None:
        """Put rows at their places, each after the last one."""
        edges = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
        for start, stop in itertools.pairwise(edges):
            if start < stop:
                self._fill(int(places[start]))
                self._writer.append(values[start:stop])

    def finish(self) -> str:
        """Write what is left; return the digest of the blocks."""
        self._fill(self._shape[0])
        return self._writer.finish()

    def _fill(self, row: int) -> None:
        """Zeros up to a row."""
        tail = self._shape[1:]
        step = max(1, ZEROS // (4 * int(np.prod(tail))))
        while self._writer.rows < row:
            self._writer.append(np.zeros((min(step, row - self._writer.rows), *tail), np.float32))
