"""The index of a FASTA file, made from the file itself or checked against it.

samtools' ``.fai`` has a line for each record: name, length, offset of its first base, bases and bytes of a
line. It can only describe records whose lines have one length, the last one excepted.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cislex.errors import InputError

#: Bytes read at a time.
BLOCK = 1 << 23
#: More bytes than this between two records are not a header.
MOST_HEADER = 1 << 16


@dataclass
class FastaRecord:
    """One line of a ``.fai``: all positions in bytes of the uncompressed file."""

    name: str
    length: int
    offset: int
    bases: int = 0
    width: int = 0

    @property
    def end(self) -> int:
        """First byte after the last base and its line end."""
        if not self.bases:
            return self.offset
        full, rest = divmod(self.length, self.bases)
        return self.offset + full * self.width + (rest + self.width - self.bases if rest else 0)


def header_name(header: bytes) -> str:
    """First word of a header line; not UTF-8: Latin-1."""
    word = header.split(None, 1)[0]
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError:
        return word.decode("latin-1")


def scan_fasta(path: str | Path, *, compressed: bool, block: int = BLOCK) -> list[FastaRecord]:
    """Records of a FASTA file, from its text.

    Raises
    ------
    InputError
        A line of a record is longer or shorter than those before it (an empty one, too), by its number.
    """
    scan = _Scan(path)
    position, number = 0, 1
    with gzip.open(path, "rb") if compressed else open(path, "rb") as handle:
        for text in _whole_lines(handle, block):
            number += scan.take(text, position, number)
            position += len(text)
    return scan.records


def _whole_lines(handle: BinaryIO | gzip.GzipFile, block: int) -> Iterator[bytes]:
    tail = b""
    while data := handle.read(block):
        text = tail + data
        cut = text.rfind(b"\n") + 1
        tail = text[cut:]
        if cut:
            yield text[:cut]
    if tail:
        yield tail


class _Scan:
    """Records met so far, of which the last may go on."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.records: list[FastaRecord] = []
        #: Number of this record's first line of another length; only empty ones may follow.
        self._last_line = 0

    def take(self, text: bytes, position: int, number: int) -> int:
        """Read whole lines that begin at a byte and a line of the file; return how many."""
        letters = np.frombuffer(text, dtype=np.uint8)
        ends = np.flatnonzero(letters == ord("\n"))
        if not text.endswith(b"\n"):
            ends = np.append(ends, len(text))
        starts = np.append(0, ends[:-1] + 1)
        headers = np.flatnonzero(letters[starts] == ord(">"))
        returns = (ends > starts) & (letters[np.maximum(ends, 1) - 1] == ord("\r"))
        bases = ends - starts - returns
        widths = np.append(starts[1:], len(text)) - starts
        for first, stop in zip([-1, *headers], [*headers, len(starts)], strict=True):
            if first >= 0:
                line = text[starts[first] + 1 : ends[first]]
                if not line.split():
                    raise InputError(f"{self.path}:{number + first}: a FASTA record has no name")
                self.records.append(FastaRecord(header_name(line), 0, position + int(ends[first]) + 1))
                self._last_line = 0
            if stop > first + 1 and self.records:
                self._extend(bases[first + 1 : stop], widths[first + 1 : stop], number + first + 1)
        return len(starts)

    def _extend(self, bases: NDArray[np.int64], widths: NDArray[np.int64], number: int) -> None:
        """Add lines to the last record."""
        record = self.records[-1]
        if not record.length and not self._last_line:
            record.bases, record.width = int(bases[0]), int(widths[0])
        record.length += int(bases.sum())
        begin = 0
        if not self._last_line:
            other = np.flatnonzero((bases != record.bases) | (widths != record.width) | (bases == 0))
            if not len(other):
                return
            begin = int(other[0])
            self._last_line = number + begin
            if bases[begin] > record.bases:
                self._refuse(self._last_line, int(bases[begin]), record)
            begin += 1
        if (more := np.flatnonzero(bases[begin:])).size:
            self._refuse(number + begin + int(more[0]), int(bases[begin + more[0]]), record)

    def _refuse(self, line: int, found: int, record: FastaRecord) -> None:
        raise InputError(
            f"{self.path}: cannot be indexed as FASTA: line {line} has {found} bases after line "
            f"{self._last_line}, but the first line of {record.name} has {record.bases} (is it empty?). "
            "All lines of a record except the last must have the same length: rewrap the file, for example "
            "with seqtk seq -l 60"
        )


def write_fai(records: Sequence[FastaRecord], path: str | Path) -> None:
    """Write samtools' index."""
    lines = [f"{r.name}\t{r.length}\t{r.offset}\t{r.bases}\t{r.width}\n" for r in records]
    Path(path).write_text("".join(lines), encoding="utf-8")


def write_gzi(fasta: str | Path, path: str | Path) -> None:
    """Write bgzip's index: how many blocks but the first, then where each begins, packed and unpacked."""
    from Bio import bgzf

    with open(fasta, "rb") as handle:
        starts = [(start, unpacked) for start, _, unpacked, size in bgzf.BgzfBlocks(handle) if size]
    packed = b"".join(struct.pack("<QQ", *pair) for pair in starts[1:])
    Path(path).write_bytes(struct.pack("<Q", max(0, len(starts) - 1)) + packed)


def read_fai(path: str | Path) -> list[FastaRecord] | None:
    """Read the records of an index; None where the file is not one."""
    try:
        rows = [line.split("\t") for line in Path(path).read_text(encoding="utf-8").splitlines()]
        return [FastaRecord(name, *map(int, numbers[:4])) for name, *numbers in rows]
    except (OSError, ValueError, TypeError):
        return None


def index_fits(index: str | Path, fasta: str | Path) -> bool:
    """Whether an index describes all of a plain FASTA file, judged by its headers and line ends alone."""
    records = read_fai(index)
    if not records:
        return False
    size, position = Path(fasta).stat().st_size, 0
    with open(fasta, "rb") as handle:
        for record in records:
            if (
                not 0 <= record.offset - position <= MOST_HEADER
                or min(record.length, record.bases, record.width) < 0
            ):
                return False
            handle.seek(position)
            header = handle.read(record.offset - position).lstrip(b"\r\n")
            alone = header.startswith(b">") and header.endswith(b"\n") and header.count(b"\n") == 1
            if not alone or not header[1:].split() or header_name(header[1:]) != record.name:
                return False
            if record.length and not _lines_end(handle, record, size):
                return False
            position = record.end
        if size - position > MOST_HEADER:
            return False
        handle.seek(min(position, size))
        return not handle.read().strip(b"\r\n")


def _lines_end(handle: BinaryIO, record: FastaRecord, size: int) -> bool:
    """Whether the first and the last line end where the index says."""
    ending = record.width - record.bases
    last = record.end - ending
    if not record.bases or not 0 <= ending <= 2 or last > size:
        return False
    for place in (record.offset + min(record.bases, record.length), last):
        handle.seek(place)
        # The last line of a file may lack its end.
        if handle.read(ending) not in ((b"\n", b"\r\n", b"") if place == size else (b"\n", b"\r\n")):
            return False
    return True
