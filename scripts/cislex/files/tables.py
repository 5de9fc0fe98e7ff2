"""Files: written whole or not at all, checked when read.

Coordinates are 0-based and half-open; one-hot arrays are (N, 4, L) in the order A, C, G, T.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from cislex.errors import InputError, StorageError
from cislex.files.hdf5_sources import require_data
from cislex.files.scratch import FULL, write_errors_named
from cislex.files.sealed import CheckedFile, incomplete, open_file
from cislex.files.temporary import remove_abandoned, temporary_path
from cislex.files.text_tables import write_text_table

#: Columns of ``regions/`` in every HDF5 file, with their dtypes.
REGION_COLUMNS = {"chrom": "str", "start": "int64", "end": "int64", "name": "str", "strand": "str"}
FORMAT_VERSION = 1
#: Least bytes of a text column: zeros cost next to nothing, and a longer name can be put in its place.
TEXT_WIDTH = 16
#: Uncompressed bytes of one HDF5 chunk, about, where values have four.
ARRAY_CHUNK_BYTES = 1 << 16
#: Uncompressed bytes of one HDF5 chunk of ``hypothetical``, about.
HDF5_CHUNK_BYTES = 1 << 15


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success sync it and rename it to ``path``.

    On any exception, KeyboardInterrupt included, the temporary file is removed and ``path`` is as
    it was. The temporary name keeps the suffixes of ``path``, since some libraries read them. Temporaries
    of ``path`` that killed processes left are removed first.

    Raises
    ------
    StorageError
        When the folder cannot be written, or the disk is full.
    """
    target = Path(path)
    temporary = temporary_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}; {_advice(error)}") from error
    try:
        with write_errors_named(target):
            yield temporary
            with open(temporary, "rb+") as handle:
                os.fsync(handle.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _advice(error: OSError) -> str:
    if error.errno in FULL:
        return "free some space and run again"
    return "choose another results folder"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table as tab-separated text with a header, atomically; floats with 6 significant digits."""
    write_table_parts([frame], path)


def write_table_parts(parts: Iterable[pd.DataFrame], path: str | Path) -> None:
    """Write the same from parts with the same columns, of which one at a time is held; at least one.

    A path that ends in ``.gz`` is compressed, as one gzip member for each part.
    """
    with atomic_path(path) as temporary:
        for number, part in enumerate(parts):
            mode: Literal["a", "w"] = "a" if number else "w"
            write_text_table(part, temporary, header=not number, mode=mode)


def write_text(text: str, path: str | Path) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def require_file(path: str | Path, *, what: str) -> Path:
    """Return the path when it is a readable file, else raise a named error."""
    found = Path(path)
    if found.is_dir():
        raise InputError(f"{what}: {found} is a folder; expected a file")
    if not found.is_file():
        raise InputError(f"{what}: no such file: {found}")
    try:
        with open(found, "rb"):
            pass
    except OSError as error:  # to ask for permission (os.access) may say yes where it is refused
        raise InputError(f"{what}: {found} cannot be read: {error.strerror}") from error
    return found


@contextmanager
def open_hdf5(path: str | Path, *, what: str, datasets: Sequence[str] = ()) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; what is missing or damaged is a named error, also when it is read."""
    require_file(path, what=what)
    try:
        handle = open_file(path, CheckedFile)
    except OSError as error:
        raise incomplete(path, error, what) from error
    with handle:
        missing = [name for name in datasets if name not in handle]
        if missing:
            raise StorageError(
                f"{what}: {path} lacks {', '.join(missing)}; it has {', '.join(sorted(handle))}"
            )
        for name in datasets:
            if isinstance(handle[name], h5py.Dataset):
                require_data(handle[name], f"{what}: {path}, {name}")
        yield handle


def create_array(
    group: h5py.Group, name: str, shape: tuple[int, ...], dtype: DTypeLike, *, rows: int | None = None
) -> h5py.Dataset:
    """Create a dataset compressed in chunks of whole rows, with filters that every HDF5 reader has.

    Each chunk has a checksum (fletcher32), so that bits that flip on a disk are an error.

    Parameters
    ----------
    rows
        Rows of one HDF5 chunk; by default as many as make about 64 kB.
    """
    if shape[0] == 0:
        return group.create_dataset(name, shape, dtype)
    rows = min(shape[0], rows or max(1, ARRAY_CHUNK_BYTES // max(1, 4 * int(np.prod(shape[1:])))))
    return group.create_dataset(
        name,
        shape,
        dtype,
        chunks=(rows, *shape[1:]),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fletcher32=True,
    )


def write_array(group: h5py.Group, name: str, values: NDArray[Any]) -> None:
    """Write an array whole, as a dataset of :func:`create_array`."""
    create_array(group, name, values.shape, values.dtype)[...] = values


def rows_per_hdf5_chunk(length: int) -> int:
    """Rows of one compressed HDF5 chunk: one for long windows, so that chunks can be copied directly."""
    return max(1, HDF5_CHUNK_BYTES // (16 * length))


def write_regions(group: h5py.Group, regions: pd.DataFrame) -> None:
    """Write ``chrom, start, end, name, strand`` of each region into ``group['regions']``.

    Texts have a fixed width: those of any length lie in a heap of the file without a checksum.
    """
    subgroup, n = group.create_group("regions"), len(regions)
    for column, kind in REGION_COLUMNS.items():
        if kind == "str":
            texts = [str(text).encode() for text in regions[column]]
            width = max([*map(len, texts), TEXT_WIDTH])
            dtype, rows = h5py.string_dtype("utf-8", width), max(1, ARRAY_CHUNK_BYTES // width)
            array = create_array(subgroup, column, (n,), dtype, rows=rows)
            for first in range(0, n, rows):
                array[first : first + rows] = np.array(texts[first : first + rows], dtype)
        else:
            create_array(subgroup, column, (n,), "i8")[...] = regions[column].to_numpy(np.int64)


def read_regions(group: h5py.Group, start: int = 0, stop: int | None = None) -> pd.DataFrame:
    """Read rows ``start:stop`` of ``group['regions']`` as a frame with the columns of REGION_COLUMNS."""
    subgroup = group["regions"]
    columns = {}
    for column, kind in REGION_COLUMNS.items():
        dataset = subgroup[column]
        columns[column] = dataset.asstr()[start:stop] if kind == "str" else dataset[start:stop]
    return pd.DataFrame(columns)


def read_scattered(dataset: h5py.Dataset, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Some rows of a dataset, ascending: in one piece where they are close together, else one by one."""
    if not len(rows):
        return np.empty((0, *dataset.shape[1:]), dataset.dtype)
    low, high = int(rows[0]), int(rows[-1]) + 1
    if high - low <= 4 * len(rows):
        return np.asarray(dataset[low:high][rows - low])
    return np.concatenate([dataset[int(row) : int(row) + 1] for row in rows])


def digest_regions(regions: pd.DataFrame) -> str:
    """BLAKE2b-128 hex digest of the rows of regions: where they lie, what they are called, their order."""
    hasher = hashlib.blake2b(digest_size=16)
    for column, kind in REGION_COLUMNS.items():
        if kind == "str":
            hasher.update("\0".join(regions[column].astype(str)).encode())
        else:
            hasher.update(regions[column].to_numpy(np.int64).tobytes())
        hasher.update(b"\n")
    return hasher.hexdigest()


def has_coordinates(regions: pd.DataFrame) -> bool:
    """Whether the regions lie on a genome (sequences given directly have an empty ``chrom``)."""
    return len(regions) > 0 and bool((regions["chrom"].astype(str) != "").all())
