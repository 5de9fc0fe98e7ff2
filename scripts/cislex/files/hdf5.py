"""New HDF5 files: a disk that is full while one is written is an error, and not the end of the process.

Where the system refuses a write, the HDF5 library cannot close its file and ends the process with a crash, so
that the log says nothing and the unfinished file stays. It also reads back what it wrote: bytes that are not
there would be taken for addresses.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from cislex.files.sealed import seal

#: Layout of what HDF5 notes about datasets: the first in which all of it has checksums.
LAYOUT = ("v110", "v110")
#: Bytes of one page of what the system refused, and how many of them are kept before HDF5 is stopped.
PAGE, PAGES = 1 << 12, 1 << 14


class _Patient(io.FileIO):
    """A file that keeps what the system refused in memory, so that HDF5 can read it back and close.

    Attributes
    ----------
    refused : OSError or None
        The first refusal.
    """

    refused: OSError | None = None

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, "w+")
        self._pages: dict[int, bytearray] = {}
        self._place = self._length = 0
        self._told = False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; the end is that of what was written, refused or not."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._length}[whence]
        self._place = origin + offset
        return self._place

    def tell(self) -> int:
        """The place."""
        return self._place

    def write(self, data: Any) -> int:
        """Write all of the bytes, or keep them and remember why."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.refused is None and done < len(view):
                done += os.pwrite(self.fileno(), view[done:], self._place + done)
        except OSError as error:
            self.refused = error
        self._keep(self._place + done, view[done:])
        self._place += len(view)
        self._length = max(self._length, self._place)
        if len(self._pages) > PAGES:
            self._stop()
        return len(view)

    def readinto(self, buffer: Any) -> int:
        """Read what was written; zeros where nothing was."""
        view = memoryview(buffer).cast("B")
        found = os.pread(self.fileno(), len(view), self._place)
        view[: len(found)] = found
        view[len(found) :] = bytes(len(view) - len(found))
        for page in range(self._place // PAGE, -(-(self._place + len(view)) // PAGE)) if self._pages else ():
            if page in self._pages:
                low, high = max(self._place, page * PAGE), min(self._place + len(view), (page + 1) * PAGE)
                part = self._pages[page][low - page * PAGE : high - page * PAGE]
                view[low - self._place : high - self._place] = part
        self._place += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthen the file, or remember why not."""
        size = self._place if size is None else size
        self._length = size
        try:
            if self.refused is None:
                super().truncate(size)
        except OSError as error:
            self.refused = error
        return size

    def flush(self) -> None:
        """Tell of a refusal; HDF5 has given away everything by then, and is not harmed."""
        if self.refused is not None:
            self._stop()

    def close_quietly(self) -> None:
        """Let HDF5 close without another word of a refusal."""
        self._told = True

    def _keep(self, place: int, view: memoryview) -> None:
        while len(view):
            page, offset = divmod(place, PAGE)
            if page not in self._pages:
                self._pages[page] = bytearray(os.pread(self.fileno(), PAGE, page * PAGE).ljust(PAGE, b"\0"))
            part = view[: PAGE - offset]
            self._pages[page][offset : offset + len(part)] = part
            place, view = place + len(part), view[len(part) :]

    def _stop(self) -> None:
        """Raise the refusal, once: what HDF5 does to close comes after it."""
        if not self._told and self.refused is not None:
            self._told = True
            raise self.refused


@contextmanager
def new_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Create an HDF5 file and yield it for writing; ``flush()`` tells at once of a disk that is full.

    HDF5 1.10 and later read it: it has checksums of all but the texts of attributes, which are kept once more
    in :data:`cislex.files.sealed.COPY`.

    Parameters
    ----------
    path
        The file; usually a temporary one of :func:`cislex.files.tables.atomic_path`.

    Raises
    ------
    OSError
        When the system refused a write, after the file is closed.
    """
    with _Patient(path) as file:
        try:
            with h5py.File(file, "w", libver=LAYOUT) as handle:
                try:
                    yield handle
                    seal(handle)
                finally:
                    file.close_quietly()
        finally:
            if file.refused is not None:
                raise file.refused  # whatever else went wrong came of it
