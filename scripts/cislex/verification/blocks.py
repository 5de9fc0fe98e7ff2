"""Rows of HDF5 datasets in parts of bounded size, and checksums by which rows of two files are compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from cislex.files.unpacked_rows import unpack_rows

#: Bytes of one dataset that are read at once, unpacked.
BLOCK_BYTES = 1 << 22


def rows_at_once(datasets: list[h5py.Dataset]) -> int:
    """Rows of several datasets that are read at once: whole blocks of the first, about ``BLOCK_BYTES``."""
    row = max(int(data.dtype.itemsize * np.prod(data.shape[1:], dtype=np.int64)) for data in datasets)
    first = datasets[0].chunks[0] if datasets[0].chunks else 1
    return max(first, BLOCK_BYTES // max(1, row) // first * first)


def in_parts(
    datasets: list[h5py.Dataset], start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int, list[NDArray[Any]]]]:
    """Yield ``(low, high, arrays)`` of rows of datasets of equal length, in order.

    Raises
    ------
    StorageError
        A block differs from its checksum; it names file, dataset and rows.
    """
    count, step = len(datasets[0]) if stop is None else stop, rows_at_once(datasets)
    for low in range(start, count, step):
        high = min(low + step, count)
        yield low, high, [unpack_rows(data, low, high) for data in datasets]


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
