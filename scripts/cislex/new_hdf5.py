"""New HDF5 files: a disk that is full while one is written is an error, and not the end of the process.

Where the system refuses a write, the HDF5 library cannot close its file and ends the process with a crash, so
that the log says nothing and the unfinished file stays.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class _Patient(io.FileIO):
    """A file that keeps the first refusal of the system to itself, so that HDF5 can close it."""

    refused: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of the bytes, or remember why not."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.refused is None and done < len(view):
                done += super().write(view[done:]) or 0
        except OSError as error:
            self.refused = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthen the file, or remember why not."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.refused = self.refused or error
            return self.tell() if size is None else size


@contextmanager
def new_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Create an HDF5 file and yield it for writing.

    Parameters
    ----------
    path
        The file; usually a temporary one of :func:`cislex.storage.atomic_path`.

    Raises
    ------
    OSError
        When the system refused a write, after the file is closed.
    """
    with _Patient(path, "w+") as file:
        try:
            with h5py.File(file, "w") as handle:
                yield handle
        finally:
            if file.refused is not None:
                raise file.refused  # whatever else went wrong came of it
