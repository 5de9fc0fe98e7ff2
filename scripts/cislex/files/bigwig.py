"""bigWig files, written by a process of their own and read back.

libBigWig does not look whether the system took what it writes: a full disk gives a broken file, or one
without overviews, without an error, or ends the process. Here that process is another one, the disk must have
some space left when it is done, and every value is read back before the file counts as written.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cislex.errors import StorageError
from cislex.files.scratch import probe_space
from cislex.files.sealed import ADVICE
from cislex.files.tables import require_file
from cislex.files.tied import tied_command, tied_environment

#: Bytes in which the length of a piece's description is told.
PREFIX = 4


class Add(Protocol):
    """What adds values to a bigWig, in order and without overlaps."""

    def __call__(
        self,
        chrom: str,
        start: int | NDArray[np.integer],
        values: NDArray[np.floating],
        ends: NDArray[np.integer] | None = None,
    ) -> None:
        """Add a value for each base from ``start`` on, or for each interval from ``start`` to ``ends``."""


@contextmanager
def writing_bigwig(path: str | Path, sizes: Mapping[str, int]) -> Iterator[Add]:
    """Yield what adds values to a new bigWig, whole and read back when the block ends.

    Parameters
    ----------
    path
        Written: usually a temporary file of :func:`cislex.files.tables.atomic_path`.
    sizes
        Length of each chromosome (bp), in order.

    Yields
    ------
    callable
        ``add(chrom, start, values)``: a value for each base from ``start`` on; ``add(chrom, starts, values,
        ends)``: a value for each interval; in order, without overlaps.

    Raises
    ------
    OSError
        When the disk is full.
    StorageError
        When the file cannot be written for another reason, or does not hold what was written.
    """
    command = tied_command(__name__, [str(path)])
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=tied_environment()) as writer:
        assert writer.stdin is not None
        pipe = writer.stdin

        def add(
            chrom: str,
            start: int | NDArray[np.integer],
            values: NDArray[np.floating],
            ends: NDArray[np.integer] | None = None,
        ) -> None:
            sent = values.astype(np.float32).tobytes()
            if ends is None:
                _send(pipe, [chrom, int(start), len(values)], sent)
            else:
                places = np.array([start, ends], np.int64).tobytes()
                _send(pipe, [chrom, None, len(values)], sent + places)

        try:
            _send(pipe, list(sizes.items()), b"")
            yield add
            _send(pipe, None, b"")
            pipe.flush()
        except BrokenPipeError:
            pass  # it ended: why is told below
        except BaseException:
            writer.kill()
            raise
        finally:
            with suppress(BrokenPipeError):
                pipe.close()
        status = writer.wait()
    if status:
        probe_space(path)
        raise StorageError(
            f"{path}: the bigWig could not be written (status {status}; see the writer's messages in "
            "the log above); check that the disk has space and is healthy, and run again"
        )


@contextmanager
def reading_bigwig(path: str | Path, *, what: str) -> Iterator[Any]:
    """Open a bigWig that this package wrote, and yield pyBigWig's handle.

    Raises
    ------
    InputError, StorageError
        When it is missing, or cannot be read, here or while the block reads from it.
    """
    import pyBigWig

    require_file(path, what=what)
    try:
        with pyBigWig.open(str(path)) as track:
            yield track
    except RuntimeError as error:
        raise StorageError(f"{what}: {path}: cannot be read ({error}); {ADVICE}") from error


def require_whole(path: str | Path, header: Mapping[str, float], bases: int, total: float) -> None:
    """Compare what was read of a whole bigWig with what its header says: a damaged index hides values.

    Parameters
    ----------
    path
        The bigWig.
    header
        ``header()`` of its handle.
    bases, total
        Bases that were read, and the sum of their values.

    Raises
    ------
    StorageError
        When they differ.
    """
    told = header["nBasesCovered"], header["sumData"]
    # pyBigWig cuts the sum down to a whole number.
    if bases != told[0] or abs(total - told[1]) > 1 + 1e-6 * abs(total):
        raise StorageError(
            f"{path}: {bases:,} bases with values that add up to {total:g} were read, but its header says "
            f"{told[0]:,} and {told[1]:g}; {ADVICE}"
        )


def _send(pipe: IO[bytes], said: object, values: bytes) -> None:
    text = json.dumps(said).encode()
    pipe.write(len(text).to_bytes(PREFIX, "little") + text)
    pipe.write(values)


def _write(path: str, pipe: IO[bytes]) -> None:
    """Write what comes from the pipe, then read it back."""
    import pyBigWig

    def received() -> object:
        length = int.from_bytes(pipe.read(PREFIX), "little")
        return json.loads(pipe.read(length) or b"0")

    sizes = received()
    if not isinstance(sizes, list):
        raise SystemExit("the job that computes the values has ended")
    track = pyBigWig.open(path, "w")
    track.addHeader([(name, size) for name, size in sizes])
    pieces = []
    while isinstance(piece := received(), list):
        chrom, start, count = piece
        values = np.frombuffer(pipe.read(4 * count), np.float32)
        places = None if start is not None else np.frombuffer(pipe.read(16 * count), np.int64).reshape(2, -1)
        if len(values) != count or (places is not None and places.shape[1] != count):
            raise SystemExit("the job that computes the values has ended")
        if places is None:
            track.addEntries(chrom, start, values=values.astype(np.float64), span=1, step=1)
            pieces.append((chrom, start, start + count, zlib.crc32(values.tobytes())))
        elif count:
            starts, ends = places
            track.addEntries([chrom] * count, starts.tolist(), ends=ends.tolist(), values=values.tolist())
            told = np.column_stack([starts, ends, values.astype(np.float64)])
            pieces.append((chrom, None, (int(starts[0]), int(ends[-1])), zlib.crc32(told.tobytes())))
    if piece is not None:
        raise SystemExit("the job that computes the values has ended")
    track.close()
    try:
        probe_space(path)  # overviews (zoom levels) that were refused are left out, and no value is missing
    except OSError as error:
        raise SystemExit(str(error)) from None
    with pyBigWig.open(path) as track:
        if pieces and track.chroms() != dict(sizes):
            raise SystemExit("the chromosomes in it are not those that were written")
        for chrom, start, end, digest in pieces:
            if start is None:
                start, end = end
                found = np.array(track.intervals(chrom, start, end), np.float64)
            else:
                found = track.values(chrom, start, end, numpy=True).astype(np.float32)
            if zlib.crc32(found.tobytes()) != digest:
                raise SystemExit(f"{chrom}:{start}-{end} does not hold the values that were written")


if __name__ == "__main__":
    _write(sys.argv[1], sys.stdin.buffer)
