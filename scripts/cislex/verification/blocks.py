"""Rows of HDF5 datasets, their blocks verified and unpacked on several threads.

HDF5 unpacks in one thread, a third more slowly. Datasets with other blocks than ours are read by HDF5 itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5z
from isal import isal_zlib
from numpy.typing import NDArray

from cislex.errors import StorageError
from cislex.files.hdf5_blocks import layout, read_rows
from cislex.files.sealed import damaged, fletcher32

#: Bytes of one dataset that are read at once, unpacked; a thread and the one that waits for it hold as many.
BLOCK_BYTES = 1 << 23
#: Filters of our own blocks, after the shuffle.
PACKED = (h5z.FILTER_DEFLATE, h5z.FILTER_FLETCHER32)


def rows_at_once(datasets: list[h5py.Dataset]) -> int:
    """Rows of several datasets that are read at once: whole blocks of the first, about ``BLOCK_BYTES``."""
    row = max(int(data.dtype.itemsize * np.prod(data.shape[1:], dtype=np.int64)) for data in datasets)
    first = datasets[0].chunks[0] if datasets[0].chunks else 1
    return max(first, BLOCK_BYTES // max(1, row) // first * first)


def in_parts(
    datasets: list[h5py.Dataset], threads: int, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int, list[NDArray[Any]]]]:
    """Yield ``(low, high, arrays)`` of rows of datasets of equal length, in order, read ahead on threads.

    Raises
    ------
    StorageError
        A block differs from its checksum; it names file, dataset and rows.
    """
    count, step = len(datasets[0]) if stop is None else stop, rows_at_once(datasets)

    def read(low: int) -> tuple[int, int, list[NDArray[Any]]]:
        high = min(low + step, count)
        return low, high, [rows(data, low, high) for data in datasets]

    waiting: deque[Future[tuple[int, int, list[NDArray[Any]]]]] = deque()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        try:
            for low in range(start, count, step):
                waiting.append(pool.submit(read, low))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def rows(dataset: h5py.Dataset, low: int, high: int) -> NDArray[Any]:
    """Rows ``low:high``; (high − low, …)."""
    source, size = dataset.id, dataset.dtype.itemsize
    _, chunk, filters = layout(source)
    shuffled = filters[:1] == (h5z.FILTER_SHUFFLE,)
    ours = chunk is not None and chunk[1:] == dataset.shape[1:] and filters[shuffled:] == PACKED
    if not ours or dataset.dtype.hasobject:
        values = np.empty((high - low, *dataset.shape[1:]), dataset.dtype)
        if dataset.dtype.hasobject:
            return np.asarray(dataset[low:high])
        read_rows(source, low, high, values)
        return values
    parts, first = [], low // chunk[0] * chunk[0]
    for row in range(first, high, chunk[0]):
        block = _unpacked(source, row, chunk, size if shuffled else 1, dataset.dtype)
        parts.append(block[max(low - row, 0) : high - row])
    if not parts:
        return np.empty((0, *dataset.shape[1:]), dataset.dtype)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _unpacked(
    source: h5d.DatasetID, row: int, chunk: tuple[int, ...], width: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """One block, verified, as values of its shape."""
    where = f"rows {row} to {min(row + chunk[0], source.shape[0])}"
    try:
        mask, data = source.read_direct_chunk((row, *(0 for _ in chunk[1:])))
    except (OSError, RuntimeError) as error:
        raise damaged(source, where, error) from error
    if mask or data[-4:] != fletcher32(data[:-4]):
        raise damaged(source, where, StorageError("a block differs from its checksum"))
    try:
        raw = np.frombuffer(isal_zlib.decompress(memoryview(data)[:-4]), np.uint8)
        if width > 1:
            shuffled, raw = raw.reshape(width, -1), np.empty(len(raw), np.uint8)
            for byte in range(width):  # a transposed copy takes three times as long
                raw[byte::width] = shuffled[byte]
        return raw.view(dtype).reshape(chunk)
    except Exception as error:  # isal has errors of its own
        raise damaged(source, where, error) from error


def checks_of_rows(*arrays: NDArray[Any]) -> NDArray[np.uint32]:
    """CRC-32 of each row of arrays of equal length, taken together: uint32 (n,)."""
    found = np.zeros(len(arrays[0]), np.uint32)
    whole = [np.ascontiguousarray(values) for values in arrays]
    for row in range(len(found)):
        check = 0
        for values in whole:
            check = isal_zlib.crc32(values[row].data, check)
        found[row] = check
    return found
