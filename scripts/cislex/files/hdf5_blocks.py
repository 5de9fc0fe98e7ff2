"""Rows of HDF5 datasets as whole compressed blocks, which is how HDF5 keeps them (its "chunks").

h5py compresses in the thread that writes, at gzip's level 1, and reads and writes a block again where rows
end inside it. Here rows are gathered until a block is full, packed (on several threads where wanted) and
written as they are; blocks of another file with the same layout are copied without being unpacked. Only
filters that every HDF5 reader has are used, so any of them reads the result.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5p, h5s, h5t, h5z
from isal import isal_zlib
from numpy.typing import NDArray

from cislex.errors import StorageError
from cislex.files.sealed import damaged, fletcher32, incomplete, lacks_locks, reason, sealed_attributes
from cislex.files.tables import require_file

#: Blocks that wait to be packed, for each dataset: bounds memory.
WAITING = 8
TEXT = h5py.string_dtype()


def pack(values: NDArray[Any], rows: int | None = None) -> bytes:
    """One block as HDF5's filters would leave it: shuffled where values have several, deflate, a checksum.

    ISA-L deflates several times as fast as zlib, and any reader inflates it.

    Parameters
    ----------
    values
        (n, …).
    rows
        Rows of a block, where it has more than ``n``: the rest is zero.
    """
    if rows is not None and rows > len(values):
        values = np.concatenate([values, np.zeros((rows - len(values), *values.shape[1:]), values.dtype)])
    size = values.dtype.itemsize
    data: NDArray[np.uint8] = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
    if size > 1:
        data = np.ascontiguousarray(data.reshape(-1, size).T).reshape(-1)
    packed: bytes = isal_zlib.compress(data.data, 1)
    return packed + fletcher32(packed)


@contextmanager
def opened(path: str | Path, *, what: str) -> Iterator[h5f.FileID]:
    """Open an HDF5 file for reading, at a third of the cost of ``h5py.File``.

    Raises
    ------
    InputError, StorageError
        See ``tables.open_hdf5``, when it is missing or broken.
    """
    try:
        handle = _open(path)
    except OSError as error:
        require_file(path, what=what)
        raise incomplete(path, error, what) from error
    try:
        yield handle
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        of_hdf5 = "synchronously" in str(error) or isinstance(error, RuntimeError)
        if getattr(error, "errno", None) is not None or not of_hdf5:
            raise
        raise StorageError(f"{what}: {path}: {reason(error)}") from error
    finally:
        handle.close()


def _open(path: str | Path) -> h5f.FileID:
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    try:
        return h5f.open(os.fsencode(path), h5f.ACC_RDONLY, access)
    except OSError as error:
        if not lacks_locks(error):
            raise
        access.set_file_locking(False, False)
        return h5f.open(os.fsencode(path), h5f.ACC_RDONLY, access)


def names_in(group: h5g.GroupID) -> set[str]:
    """Names of what a group holds."""
    found: list[bytes] = []
    group.links.iterate(found.append)
    return {name.decode() for name in found}


def group_in(place: h5f.FileID | h5g.GroupID, name: str) -> h5g.GroupID:
    """The group of this name."""
    return h5g.open(place, name.encode())


def dataset_in(place: h5f.FileID | h5g.GroupID, name: str) -> h5d.DatasetID:
    """The dataset of this name."""
    return h5d.open(place, name.encode())


def read_attributes(place: h5f.FileID, names: Iterable[str]) -> dict[str, Any]:
    """Attributes that are one text or one number each.

    Raises
    ------
    KeyError
        When there is none of a name.
    """
    kept = sealed_attributes(place)
    if kept is not None:
        return {name: kept[name] for name in names}
    found = {}
    for name in names:
        attribute = h5a.open(place, name.encode())
        is_text = attribute.get_type().get_class() == h5t.STRING
        holder = np.empty((), TEXT if is_text else attribute.dtype)
        attribute.read(holder)
        value: Any = holder[()]
        found[name] = value.decode() if is_text else value
    return found


def read_rows(dataset: h5d.DatasetID, low: int, high: int, out: NDArray[Any]) -> None:
    """Read rows ``low:high`` of a dataset into ``out`` (high − low, …), which must be contiguous."""
    if out.size == 0:
        return
    memory, space = h5s.ALL, h5s.ALL
    if (low, high) != (0, dataset.shape[0]):
        memory, space = h5s.create_simple(out.shape), dataset.get_space()
        space.select_hyperslab((low, *[0] * (dataset.rank - 1)), out.shape)
    try:
        dataset.read(memory, space, out)
    except (OSError, RuntimeError) as error:
        raise damaged(dataset, f"rows {low} to {high}", error) from error


def read_all(place: h5f.FileID | h5g.GroupID, name: str, dtype: str) -> NDArray[Any]:
    """All of a (small) dataset."""
    dataset = dataset_in(place, name)
    values = np.empty(dataset.shape, dtype)
    read_rows(dataset, 0, len(values), values)
    return values


def layout(dataset: h5d.DatasetID) -> tuple[Any, ...]:
    """What two datasets must share so that blocks can be copied: dtype, shape of a block, filters."""
    properties = dataset.get_create_plist()
    chunked = properties.get_layout() == h5d.CHUNKED
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    return dataset.dtype.str, properties.get_chunk() if chunked else None, tuple(filters)


def digest_blocks(dataset: h5d.DatasetID, *, verified: bool = False) -> str:
    """BLAKE2b-128 hex digest of the blocks of a dataset as they are kept, in the order of their rows.

    Packed, they are hashed without being unpacked, which takes a tenth of the time. Other values, or the same
    in another order, give another digest; so does another way of packing.

    Raises
    ------
    StorageError
        When a block cannot be read or, with ``verified``, differs from its checksum.
    """
    hasher = hashlib.blake2b(digest_size=16)
    _, chunk, _ = layout(dataset)
    read = verified_block if verified else _stored_block
    if chunk is not None:
        for row in range(0, dataset.shape[0], chunk[0]):
            hasher.update(read(dataset, row, min(row + chunk[0], dataset.shape[0]))[1])
    return hasher.hexdigest()


def _stored_block(source: h5d.DatasetID, row: int, end: int) -> tuple[int, bytes]:
    """Filter mask and bytes of a block as they are, from its first row; ``end`` is for messages.

    Raises
    ------
    StorageError
        When it cannot be read.
    """
    try:
        found: tuple[int, bytes] = source.read_direct_chunk((row, *[0] * (source.rank - 1)))
    except (OSError, RuntimeError) as error:
        raise damaged(source, f"rows {row} to {end}", error) from error
    return found


def verified_block(source: h5d.DatasetID, row: int, end: int) -> tuple[int, bytes]:
    """Filter mask and bytes of a block as they are, if they agree with their checksum.

    Raises
    ------
    StorageError
        When it cannot be read, or differs.
    """
    mask, data = _stored_block(source, row, end)
    if mask or data[-4:] != fletcher32(data[:-4]):
        raise damaged(source, f"rows {row} to {end}", StorageError("a block differs from its checksum"))
    return mask, data


class RowWriter:
    """Append rows to a dataset, in order; every block of it is written once.

    Parameters
    ----------
    dataset
        Made by ``create_array``, or ``create_sequences``.
    pool
        Packs blocks; without one they are packed at once.
    digest
        Hash the blocks on their way.

    Raises
    ------
    StorageError
        When the dataset has other filters.
    """

    def __init__(self, dataset: h5py.Dataset, pool: Executor | None = None, *, digest: bool = False) -> None:
        self._sink, self._pool = dataset.id, pool
        self._name, self._shape, self._layout = dataset.name, dataset.shape, layout(dataset.id)
        self._rows = dataset.chunks[0] if dataset.chunks else 0
        self._tail = (0,) * (len(self._shape) - 1)
        self._buffer = np.zeros(dataset.chunks or self._shape, dataset.dtype)
        self._filled = self._written = 0
        self._waiting: deque[tuple[int, Future[bytes]]] = deque()
        self._hasher = hashlib.blake2b(digest_size=16) if digest else None
        shuffled = (h5z.FILTER_SHUFFLE,) if dataset.dtype.itemsize > 1 else ()
        if len(self._buffer) and self._layout[2] != (*shuffled, h5z.FILTER_DEFLATE, h5z.FILTER_FLETCHER32):
            raise StorageError(f"{self._name}: blocks with the filters {self._layout[2]} cannot be written")

    @property
    def rows(self) -> int:
        """Rows that were appended."""
        return self._written + self._filled

    def append(self, values: NDArray[Any]) -> None:
        """Add rows (n, …); the array must not be changed afterwards."""
        if self.rows + len(values) > self._shape[0]:
            raise StorageError(
                f"{self._name}: expected {self._shape[0]} rows, received {self.rows + len(values)}"
            )
        values = values.astype(self._buffer.dtype, copy=False)
        place = 0
        while place < len(values):
            if not self._filled and len(values) - place >= self._rows:
                self._submit(values[place : place + self._rows])
                place += self._rows
                continue
            count = min(self._rows - self._filled, len(values) - place)
            self._buffer[self._filled : self._filled + count] = values[place : place + count]
            self._filled, place = self._filled + count, place + count
            if self._filled == self._rows:
                block, self._buffer, self._filled = self._buffer, np.zeros_like(self._buffer), 0
                self._submit(block)

    def copy(self, source: h5d.DatasetID, low: int, high: int) -> None:
        """Add rows ``low:high`` of another dataset: whole blocks as they are where borders meet.

        Raises
        ------
        StorageError
            When a block of the other dataset differs from its checksum.
        """
        meets = low % self._rows == 0 and self._filled == 0 if self._rows else False
        if meets and layout(source) == self._layout:
            last = high == source.shape[0] and self.rows + high - low == self._shape[0]
            stop = high if last else low + (high - low) // self._rows * self._rows
            for row in range(low, stop, self._rows):
                end = min(row + self._rows, stop)
                _, data = verified_block(source, row, end)
                self._put(self._written, data)
                self._written += end - row
            low = stop
        step = max(self._rows, 1) * WAITING
        for row in range(low, high, step):
            values = np.empty((min(step, high - row), *self._shape[1:]), self._buffer.dtype)
            read_rows(source, row, row + len(values), values)
            self.append(values)

    def finish(self) -> str:
        """Write what is left, of every row. With ``digest`` return what ``digest_blocks`` will find."""
        if self._filled:
            count, self._filled = self._filled, 0
            self._submit(self._buffer[:count])
        self._write(0)
        if self._written != self._shape[0]:
            raise StorageError(f"{self._name}: expected {self._shape[0]} rows, received {self._written}")
        return self._hasher.hexdigest() if self._hasher else ""

    def _submit(self, values: NDArray[Any]) -> None:
        first, self._written = self._written, self._written + len(values)
        if self._pool is None:
            self._put(first, pack(values, self._rows))
            return
        self._waiting.append((first, self._pool.submit(pack, values, self._rows)))
        self._write(WAITING)

    def _write(self, waiting: int) -> None:
        """Write finished blocks until so many wait."""
        while len(self._waiting) > waiting:
            first, packed = self._waiting.popleft()
            self._put(first, packed.result())

    def _put(self, row: int, data: bytes) -> None:
        if self._hasher:
            self._hasher.update(data)
        self._sink.write_direct_chunk((row, *self._tail), data)
