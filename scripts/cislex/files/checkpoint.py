"""A log of finished batches that survives the job which writes it.

One append-only file: a line that says what it belongs to, then one record after another, each with its
rows, its arrays and a digest. A killed job leaves at most one incomplete record at the end, which the next
attempt cuts off before it goes on. The file never has a final name: ``<output>.partial``.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cislex.errors import StorageError
from cislex.files.scratch import REFUSED
from cislex.logs import get_logger

#: First bytes of a file of this format.
MAGIC = b"cislex partial 1\n"
#: Seconds after which finished batches are forced to the disk.
SYNC_SECONDS = 20.0
#: Seconds between two looks whether another job has ended.
LOOK_SECONDS = 2.0
#: What a file system says that has no locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
#: Bytes of a record's digest, and of its length.
DIGEST, LENGTH = 16, 8


def partial_path(out: str | Path) -> Path:
    """Where the unfinished results of an output are kept."""
    return Path(f"{out}.partial")


class Checkpoint:
    """Append batches of rows in order, and read them back.

    Parameters
    ----------
    path
        The file; continued where it belongs to the same work, else begun anew. It is locked: a second
        process waits for the first.
    identity
        What the results depend on, plain values; another identity means other results.

    Raises
    ------
    StorageError
        When the file cannot be opened or written.
    """

    def __init__(self, path: str | Path, identity: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._identity = json.dumps(identity, sort_keys=True).encode() + b"\n"
        #: Rows that are finished, from the first on.
        self.rows = 0
        self._synced = time.monotonic()
        self._start = self._end = len(MAGIC) + len(self._identity)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._open()
            self._resume()
        except OSError as error:
            raise self._refused(error) from error

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close()
        except StorageError:
            if kind is None:  # else what ended the job says more
                raise

    def append(self, stop: int, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        """Add a batch that ends before row ``stop``; it begins where the last one ended."""
        described = [(name, values.dtype.str, values.shape) for name, values in arrays.items()]
        head = json.dumps({"start": self.rows, "stop": stop, "arrays": described, "notes": notes}).encode()
        body = [np.ascontiguousarray(values).tobytes() for values in arrays.values()]
        record = len(head).to_bytes(LENGTH, "little") + head + b"".join(body)
        record += hashlib.blake2b(record, digest_size=DIGEST).digest()
        try:
            self._file.write(record)
            if time.monotonic() - self._synced > SYNC_SECONDS:
                self.sync()
        except OSError as error:
            self._cut()
            raise self._refused(error) from error
        self.rows = stop
        self._end += len(record)

    def records(self) -> Iterator[tuple[int, int, dict[str, NDArray[Any]], dict[str, Any]]]:
        """Every batch from the beginning: start, stop, arrays, notes."""
        self._file.flush()
        self._file.seek(self._start)
        while (found := self._read()) is not None:
            yield found
        self._file.seek(0, os.SEEK_END)

    def sync(self) -> None:
        """Force what was written to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Keep the file for the next attempt, if anything is finished."""
        if self._file.closed:
            return
        if not self.rows:
            self.remove()
            return
        try:
            self.sync()
        except OSError as error:
            self._cut()
            raise self._refused(error) from error
        self._file.close()

    def _cut(self) -> None:
        """Close the file without what could not be written: on a full disk the log needs the space."""
        own = os.dup(self._file.fileno())  # keeps the lock until the end
        with suppress(OSError):
            self._file.close()
        if self.rows:
            os.ftruncate(own, min(self._end, os.fstat(own).st_size))
        else:
            self.path.unlink(missing_ok=True)
        os.close(own)

    def _refused(self, error: OSError) -> StorageError:
        _, advice = REFUSED.get(
            error.errno or 0, ("", "free some space, or choose another results folder, and run again")
        )
        return StorageError(
            f"{self.path}: cannot write partial results: {error.strerror or error}; finished results are "
            f"kept; {advice}"
        )

    def remove(self) -> None:
        """The results are under their final name: nothing is needed any more."""
        self.path.unlink(missing_ok=True)
        self._file.close()  # and with it the lock: whoever waits finds that the file is gone

    def _open(self) -> BinaryIO:
        """The file, for this process alone: a job that was taken for dead may still be writing to it."""
        warned = False
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            file = open(descriptor, "r+b")  # noqa: SIM115  (closed by close)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self.path.exists() and self.path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                    return file
                file.close()  # the other one finished, and removed it
            except BlockingIOError:
                file.close()
                if not warned:
                    get_logger(__name__).warning(
                        "%s: another job is writing this file; waiting for it to end, then resuming",
                        self.path,
                    )
                warned = True
                time.sleep(LOOK_SECONDS)
            except OSError as error:
                if error.errno in NO_LOCKS:  # records carry digests, so that a mixed-up file is noticed
                    get_logger(__name__).warning(
                        "%s: the file system does not support locks (%s): make sure that no other job "
                        "writes this chunk",
                        self.path, error.strerror,
                    )  # fmt: skip
                    return file
                file.close()
                raise

    def _resume(self) -> None:
        """Go to the end of the last complete record, or begin anew."""
        if self._file.read(self._start) != MAGIC + self._identity:
            if self.path.stat().st_size:
                get_logger(__name__).info("%s belongs to other settings: starting over", self.path)
            self._file.seek(0)
            self._file.truncate()
            self._file.write(MAGIC + self._identity)
            self.sync()
            return
        end = self._start
        while (found := self._read(arrays=False)) is not None and found[0] == self.rows:
            self.rows = found[1]
            end = self._file.tell()
        self._file.seek(end)
        self._file.truncate()
        self._end = end

    def _read(self, *, arrays: bool = True) -> Any:
        """The next record, or None where it is incomplete or damaged."""
        prefix = self._file.read(LENGTH)
        if len(prefix) < LENGTH:
            return None
        size = int.from_bytes(prefix, "little")
        if size > os.fstat(self._file.fileno()).st_size:
            return None
        head = self._file.read(size)
        try:
            entry = json.loads(head)
            kinds = [(name, np.dtype(kind), tuple(shape)) for name, kind, shape in entry["arrays"]]
        except (ValueError, KeyError, TypeError):
            return None
        total = sum(kind.itemsize * int(np.prod(shape)) for _, kind, shape in kinds)
        body = self._file.read(total)
        digest = self._file.read(DIGEST)
        if digest != hashlib.blake2b(prefix + head + body, digest_size=DIGEST).digest():
            return None
        found: dict[str, NDArray[Any]] = {}
        place = 0
        for name, kind, shape in kinds if arrays else []:
            count = int(np.prod(shape))
            found[name] = np.frombuffer(body, kind, count, place).reshape(shape)
            place += kind.itemsize * count
        return entry["start"], entry["stop"], found, entry["notes"]
