"""Files of the user, plain or compressed by gzip or bgzip: damage is a named error, never a shorter file.

A bgzipped file is a row of gzip files, so one that was cut between two of them unpacks without an error. What
tells is the empty block with which bgzip ends a file.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from cislex.errors import InputError
from cislex.files.tables import require_file
from cislex.logs import get_logger

logger = get_logger(__name__)

#: The empty block at the end of every file that bgzip, samtools or bcftools writes.
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def is_gzip(path: str | Path) -> bool:
    """Whether the file's first bytes are gzip's (bgzip's too), whatever its name."""
    with open(path, "rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


def is_bgzip(path: str | Path) -> bool:
    """Whether the file's first bytes are bgzip's."""
    with open(path, "rb") as handle:
        head = handle.read(16)
    return head[:2] == b"\x1f\x8b" and head[12:14] == b"BC"


def require_end(path: str | Path) -> None:
    """Raise InputError where a bgzipped file lacks its end.

    Parameters
    ----------
    path
        Any file; one that is not bgzipped passes.
    """
    if not is_bgzip(path):
        return
    with open(path, "rb") as handle:
        handle.seek(max(0, os.path.getsize(path) - len(END)))
        if handle.read() != END:
            raise InputError(
                f"{path}: truncated: the block with which bgzip ends a file is missing; copy or download it "
                "again (if it is complete, unpack and bgzip it again)"
            )


@contextmanager
def damage_named(path: str | Path) -> Iterator[None]:
    """Turn what unpacking a damaged file raises into InputError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: the compressed file is corrupt or truncated: {error}") from error


@contextmanager
def open_bytes(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for reading what it holds, unpacked where it is compressed.

    Raises
    ------
    InputError
        The compressed file is corrupt or truncated, also as it is read.
    """
    require_end(path)
    with damage_named(path), gzip.open(path, "rb") if is_gzip(path) else open(path, "rb") as handle:
        yield cast("BinaryIO", handle)


def read_lines(path: str | Path, *, what: str, expected: str) -> list[str]:
    """Read the lines of a text file, with any kind of line end; not UTF-8: as Latin-1, with a warning.

    Parameters
    ----------
    path
        The file; may be compressed.
    what
        What it is, such as ``table of chromosome aliases``, for the error of a missing file.
    expected
        What it should hold, for the error of a binary file.

    Raises
    ------
    InputError
        The file is missing, damaged or binary.

    Examples
    --------
    >>> read_lines("peaks.bed.gz", what="peak file", expected="a text file of peaks (BED)")  # doctest: +SKIP
    ['chr1\\t100\\t200', '']
    """
    require_file(path, what=what)
    with open_bytes(path) as handle:
        data = handle.read()
    if b"\0" in data:
        raise InputError(f"{path}: expected {expected}, found binary data (or UTF-16: save it as UTF-8)")
    text = _decoded(data, path).replace("\r\n", "\n").replace("\r", "\n")
    del data  # with a million rows each copy counts
    return text.split("\n")


def _decoded(data: bytes, path: str | Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        logger.warning("%s:%d: not UTF-8; read as Latin-1", path, line)
        return data.decode("latin-1")
