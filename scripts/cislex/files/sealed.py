"""HDF5 files in which a flipped bit or a lost sector is a named error, never a wrong value.

Checksums cover every dataset (``fletcher32``) and, in the layout of HDF5 1.10 that ``hdf5`` writes, all
that HDF5 notes about them; but not the heap in which texts of any length lie: there a flipped bit is another
text, and a zeroed sector an endless loop inside the library. So the attributes of a file are kept once more,
as bytes that are covered, and only these are read here; text columns of datasets have a fixed width.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5i, h5l

from cislex.errors import StorageError
from cislex.files.checkpoint import NO_LOCKS
from cislex.files.scratch import OF_READING, REFUSED

#: Attribute with the others as JSON, uint8 (bytes,).
COPY = "attributes_json"
ADVICE = "the file is damaged: delete it and run again to recreate it"
#: Numbers of the system's errors in what HDF5 and h5py say.
_ERRNO = re.compile(r"errno = (\d+)\b|\[Errno (\d+)\]")
#: What HDF5 says where the file system has no locks, which it asks for, or this process has the file open
#: without one already.
_NO_LOCKS = re.compile(
    rf"unable to lock file, errno = ({'|'.join(map(str, NO_LOCKS))})\b|file locking flag values don't match"
)


def open_file(path: str | Path, kind: type[h5py.File] = h5py.File) -> h5py.File:
    """Open a file for reading, also on a file system without locks.

    Raises
    ------
    OSError
        When it cannot be opened; also when another process writes it.
    """
    try:
        return kind(path, "r")
    except OSError as error:
        if not lacks_locks(error):
            raise
        return kind(path, "r", locking=False)


def lacks_locks(error: OSError) -> bool:
    """Whether HDF5 could not open a file because it may have to do without locks."""
    return _NO_LOCKS.search(str(error)) is not None


def reason(error: Exception) -> str:
    """Why HDF5 could not read a file, in one line, and what to do."""
    text = " ".join(str(error).split())
    numbers = (int(found[1] or found[2]) for found in _ERRNO.finditer(text))
    # The system could not read it; the file is not wrong.
    if (number := next((number for number in numbers if number in OF_READING), None)) is not None:
        what, advice = REFUSED[number]
        return f"cannot be read: {what}; {advice}"
    return f"cannot be read ({text}); {ADVICE}"


def incomplete(path: str | Path, error: Exception, what: str) -> StorageError:
    """The error of a file that cannot be opened."""
    text = reason(error)
    if ADVICE not in text:
        return StorageError(f"{what}: {path}: {text}")
    return StorageError(f"{what}: {path} is not a complete HDF5 file: {' '.join(str(error).split())}")


def fletcher32(data: bytes) -> bytes:
    """Checksum of a block as HDF5's filter appends it: Fletcher's sums of big-endian 16-bit words.

    Its partial sums are folded, and not reduced, so that a multiple of 65535 stays 65535.
    """
    even = data if len(data) % 2 == 0 else data + b"\0"
    words = np.frombuffer(even, ">u2")
    first = second = 0
    for start in range(0, len(words), len(_WEIGHTS)):
        part = words[start : start + len(_WEIGHTS)].astype(np.float64)
        weighted = np.einsum("i,i->", part, _WEIGHTS[len(_WEIGHTS) - len(part) :])  # `@` wakes BLAS's threads
        second += len(part) * first + int(weighted)  # below 2**53
        first += int(part.sum())
    return (_folded(second) << 16 | _folded(first)).to_bytes(4, "little")


_WEIGHTS = np.arange(1 << 15, 0, -1, dtype=np.float64)


def _folded(total: int) -> int:
    return (total - 1) % 65535 + 1 if total else 0


def seal(handle: h5py.File) -> None:
    """Keep the attributes of a file once more, where a checksum covers them."""
    found = {key: _plain(value) for key, value in handle.attrs.items() if key != COPY}
    if found:
        handle.attrs[COPY] = np.frombuffer(json.dumps(found).encode(), np.uint8)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return value.decode() if isinstance(value, bytes) else value


def sealed_attributes(place: h5f.FileID) -> dict[str, Any] | None:
    """The attributes of a file; None where it has no copy of them (files of earlier versions)."""
    if not h5a.exists(place, COPY.encode()):
        return None
    attribute = h5a.open(place, COPY.encode())
    raw = np.empty(attribute.shape, np.uint8)
    attribute.read(raw)
    found: dict[str, Any] = json.loads(raw.tobytes())
    return found


def damaged(dataset: h5d.DatasetID, rows: str, error: Exception) -> StorageError:
    """The error of a dataset that cannot be read: file, dataset, rows, and what to do."""
    path, name = os.fsdecode(h5f.get_name(dataset)), (h5i.get_name(dataset) or b"?").decode()
    return StorageError(f"{path}: {name}, {rows}: {reason(error)}")


class CheckedDataset(h5py.Dataset):
    """A dataset of which damage is a StorageError that names file, dataset and rows."""

    def __getitem__(self, args: Any, new_dtype: Any = None) -> Any:
        try:
            return super().__getitem__(args, new_dtype)
        except (OSError, RuntimeError) as error:
            raise damaged(self.id, self._asked(args), error) from error

    def _asked(self, args: Any) -> str:
        """The rows that were asked for, in words."""
        first = args[0] if isinstance(args, tuple) and args else args
        if isinstance(first, slice):
            low, high, _ = first.indices(self.shape[0] if self.shape else 0)
            return f"rows {low} to {high}"
        if isinstance(first, int | np.integer):
            return f"row {first}"
        return "all rows" if args in ((), ...) else "some rows"


class _CheckedPlace:
    """Gives checked datasets and groups; a name that is there and cannot be opened is a StorageError."""

    def __getitem__(self, name: Any) -> Any:
        try:
            found = super().__getitem__(name)  # type: ignore[misc]
        except (KeyError, OSError, RuntimeError) as error:
            if isinstance(error, KeyError) and ("doesn't exist" in str(error) or self._is_link(name)):
                raise
            path = os.fsdecode(h5f.get_name(self.id))  # type: ignore[attr-defined]
            raise StorageError(f"{path}: {name}: {reason(error)}") from error
        if isinstance(found, h5py.Dataset):
            return CheckedDataset(found.id)
        return CheckedGroup(found.id) if isinstance(found, h5py.Group) else found

    def _is_link(self, name: Any) -> bool:
        """Whether a name, or a part of it, is a soft or external link, which may lead nowhere."""
        parts = str(name).strip("/").split("/")
        places = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
        with suppress(KeyError, OSError, RuntimeError):
            for place in places:
                kind = self.id.links.get_info(place.encode()).type  # type: ignore[attr-defined]
                if kind in (h5l.TYPE_SOFT, h5l.TYPE_EXTERNAL):
                    return True
        return False

    def __iter__(self) -> Any:
        try:
            yield from super().__iter__()  # type: ignore[misc]
        except (KeyError, OSError, RuntimeError) as error:
            path = os.fsdecode(h5f.get_name(self.id))  # type: ignore[attr-defined]
            raise StorageError(f"{path}: its names: {reason(error)}") from error

    def __contains__(self, name: Any) -> bool:
        try:
            return bool(super().__contains__(name)) or self._is_there(name)  # type: ignore[misc]
        except (KeyError, OSError, RuntimeError) as error:
            path = os.fsdecode(h5f.get_name(self.id))  # type: ignore[attr-defined]
            raise StorageError(f"{path}: {name}: {reason(error)}") from error

    def _is_there(self, name: Any) -> bool:
        """Ask again where h5py says no, since it takes damage for absence; links may lead nowhere."""
        parts = str(name).strip("/").split("/")
        for depth in range(len(parts)):
            if not self.id.links.exists("/".join(parts[: depth + 1]).encode()):  # type: ignore[attr-defined]
                return False
        if self._is_link(name):
            return False
        raise KeyError("its name is there, but it cannot be opened")

    def get(self, name: Any, default: Any = None, *args: Any, **options: Any) -> Any:
        """What has a name, or the default where nothing has it."""
        if name not in self:
            return default
        if args or options:
            return super().get(name, default, *args, **options)  # type: ignore[misc]
        with suppress(KeyError):  # a link that leads nowhere
            return self[name]
        return default


class CheckedGroup(_CheckedPlace, h5py.Group):
    """A group of a checked file."""


class CheckedFile(_CheckedPlace, h5py.File):
    """A file, opened for reading, whose damage is a StorageError; attributes are a plain mapping."""

    @property
    def attrs(self) -> Any:
        """The attributes, from the copy that a checksum covers where there is one."""
        try:
            found = sealed_attributes(self.id)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise StorageError(
                f"{os.fsdecode(h5f.get_name(self.id))}: its attributes: {reason(error)}"
            ) from error
        return super().attrs if found is None else found
