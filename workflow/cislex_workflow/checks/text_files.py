"""Lines of text files that the config names, plain or gzipped, as far as a plan looks at them.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

#: Lines that are looked at before a row must have come.
MOST_LINES = 10_000
#: What is wrong with a file that cannot be read is for the job to say.
UNREADABLE = (OSError, EOFError, zlib.error, UnicodeDecodeError)


def lines(path: Path) -> Iterator[str]:
    """First lines of a text file that are not empty; nothing where it cannot be read."""
    try:
        for line in _numbered(path, MOST_LINES):
            if line.strip():
                yield line
    except UNREADABLE:
        return


def whole(path: Path, *, most: int) -> list[str] | None:
    """All lines of a file; None if there are more than so many, or if it cannot be read."""
    try:
        found = list(_numbered(path, most + 1))
    except UNREADABLE:
        return None
    return found if len(found) <= most else None


def start(path: Path, size: int) -> bytes | None:
    """First bytes of what a file holds; None where it cannot be read."""
    try:
        with path.open("rb") as handle:
            compressed = handle.read(2) == b"\x1f\x8b"
        with (gzip.open if compressed else open)(path, "rb") as data:
            return data.read(size)
    except UNREADABLE:
        return None


def numbered_lines(path: Path, most: int) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of the first lines; nothing more where the file cannot be read."""
    try:
        yield from enumerate(_numbered(path, most), 1)
    except UNREADABLE:
        return


def _numbered(path: Path, most: int) -> Iterator[str]:
    with path.open("rb") as handle:
        compressed = handle.read(2) == b"\x1f\x8b"
    with (gzip.open if compressed else open)(path, "rt", encoding="utf-8-sig") as text:
        for _, line in zip(range(most), text, strict=False):
            yield line.rstrip("\r\n")
