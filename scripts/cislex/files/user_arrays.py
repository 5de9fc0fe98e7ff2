"""User-supplied arrays: datasets of HDF5 files, arrays of .npz files, the one of an .npy file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.files.hdf5_sources import all_datasets, dangling, require_data, same_object
from cislex.files.tables import open_hdf5, require_file

#: Name of the one array of an .npy file.
ONLY = "array"
Array: TypeAlias = "h5py.Dataset | NDArray[Any]"


class NumpyArrays(Mapping[str, NDArray[Any]]):
    """Arrays of a NumPy file by name; those of an .npz file are unpacked when they are asked for."""

    def __init__(self, path: str | Path, loaded: Any) -> None:
        self._path = path
        self._loaded = loaded
        self._kept: dict[str, NDArray[Any]] = {}
        self._names = [ONLY] if isinstance(loaded, np.ndarray) else list(loaded.files)

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._kept:
            if name not in self._names:
                raise KeyError(name)
            with _named(self._path):
                array = self._loaded if isinstance(self._loaded, np.ndarray) else self._loaded[name]
            self._kept[name] = array
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


Arrays: TypeAlias = "h5py.File | NumpyArrays"


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # NumPy and zipfile raise many kinds of errors for damaged bytes
        advice = "; save plain numbers, without dtype=object" if "bject" in str(error) else ""
        raise InputError(f"{path} is not a complete NumPy file of numbers: {error}{advice}") from error


@contextmanager
def open_arrays(path: str | Path, *, what: str) -> Iterator[Arrays]:
    """Open a file of arrays for reading; what it is, its first bytes tell.

    Raises
    ------
    InputError, StorageError
        The file is missing, broken, or of another kind.
    """
    with open(require_file(path, what=what), "rb") as file:
        start = file.read(6)
    if start == b"\x93NUMPY":
        with _named(path):
            array = np.load(path, allow_pickle=False, mmap_mode="r")
        yield NumpyArrays(path, array)
    elif start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        with open(path, "rb") as file:  # NumPy would leave the file of a broken archive open
            with _named(path):
                loaded = np.load(file, allow_pickle=False)
            with loaded:
                yield NumpyArrays(path, loaded)
    else:
        with open_hdf5(path, what=what) as handle:
            yield handle


def shapes(handle: Arrays) -> dict[str, tuple[int, ...]]:
    """Names of the arrays and their shapes; links in HDF5 are followed."""
    found = all_datasets(handle) if isinstance(handle, h5py.File) else handle
    return {name: item.shape for name, item in found.items()}


def listed(handle: Arrays) -> str:
    """The arrays of a file, for a message."""
    return offenders(f"{name} {shape}" for name, shape in shapes(handle).items()) or "none"


def one_of_three_dimensions(handle: Arrays) -> list[str]:
    """Names of the arrays with three dimensions, one for each array that has several."""
    if not isinstance(handle, h5py.File):
        return [name for name, shape in shapes(handle).items() if len(shape) == 3]
    found: dict[str, h5py.Dataset] = {}
    for name, data in all_datasets(handle).items():
        if len(data.shape or ()) == 3 and not any(same_object(data, one) for one in found.values()):
            found[name] = data
    return list(found)


def has_array(handle: Arrays, name: str) -> bool:
    """Whether the file has an array of this name."""
    try:
        return isinstance(handle[name], h5py.Dataset | np.ndarray)
    except (KeyError, OSError):
        return False


def named_dataset(handle: Arrays, name: str, path: str | Path) -> Array:
    """Return an array that the user named, once all of its data are there.

    Raises
    ------
    InputError
        The file has no such array (it names those that it has), a link leads nowhere, or data are missing.
    """
    if not has_array(handle, name):
        lost = dangling(handle, name) if isinstance(handle, h5py.File) else ""
        raise InputError(f"{path}: no dataset {name!r}; {lost or f'it has {listed(handle)}'}")
    found = handle[name]
    if isinstance(found, h5py.Dataset):
        require_data(found, f"{path}, {name}")
    return found
