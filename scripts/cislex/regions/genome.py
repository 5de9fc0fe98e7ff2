"""Genomes: FASTA files read by pyfaidx, their index, their digest and their chromosomes' other names.

Bases are held as codes, uint8: 0 A, 1 C, 2 G, 3 T, 4 unknown (N or any IUPAC ambiguity letter).
Lower case (soft masking) reads as upper case. Any other character is an error.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
import pyfaidx
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.errors import InputError, offenders
from cislex.files.compressed import is_bgzip, is_gzip, open_bytes, require_end
from cislex.files.scratch import refusal_in, scratch_folder
from cislex.files.tables import atomic_path, require_file, write_table
from cislex.logs import get_logger
from cislex.provenance import digest_strings
from cislex.regions.fasta_index import header_name, index_fits, scan_fasta, write_fai, write_gzi

logger = get_logger(__name__)

#: Letters that stand for a base that is not known exactly (IUPAC).
AMBIGUOUS = "RYSWKMBDHVN"
UNKNOWN = 4
INVALID = 255
#: Bytes read or sequence fetched at a time: bounds memory, large enough for full speed.
BLOCK = 1 << 23
#: Windows further apart than this are fetched by separate reads: of plain files, and of bgzipped ones.
PLAIN_GAP, MAX_GAP = 1 << 14, 1 << 16


def _code_table() -> NDArray[np.uint8]:
    table = np.full(256, INVALID, dtype=np.uint8)
    for letters, codes in ((BASES, range(4)), (AMBIGUOUS, [UNKNOWN] * len(AMBIGUOUS))):
        for letter, code in zip(letters, codes, strict=True):
            table[ord(letter)] = table[ord(letter.lower())] = code
    return table


CODES = _code_table()
_TABLE = CODES.tobytes()
_LETTERS = b"".join(bytes([value]) for value in np.flatnonzero(CODES != INVALID))


def encode_letters(sequence: bytes, *, where: str, offset: int = 0, skip: bytes = b"") -> NDArray[np.uint8]:
    """Encode a sequence of letters.

    Parameters
    ----------
    sequence
        Letters, one byte each.
    where, offset
        Name of the sequence and position of its first letter (0-based), for the error.
    skip
        Characters that are left out, such as line ends.

    Returns
    -------
    uint8 (n,)
        A code for each letter.

    Raises
    ------
    InputError
        A character is not an IUPAC letter of DNA.
    """
    # Three times as fast as numpy's indexing; of bytearray, so that the array can be written to.
    codes = np.frombuffer(bytearray(sequence.translate(_TABLE, skip)), dtype=np.uint8)
    if codes.size and codes.max() == INVALID:
        position = int(np.argmax(codes == INVALID))
        _refuse(sequence.translate(None, skip)[position], where, offset + position)
    return codes


def _refuse(value: int, where: str, position: int) -> None:
    letter = chr(value)
    advice = "; this looks like RNA: write T for U" if letter in "Uu" else ""
    raise InputError(
        f"{where}: character {letter!r} at position {position} (0-based) is not DNA; expected A, C, G, T "
        f"or an IUPAC letter ({AMBIGUOUS}), in either case{advice}"
    )


def stream_fasta(path: str | Path, *, block: int = BLOCK) -> Iterator[tuple[int, str, bytes]]:
    """Yield ``(number, name, piece)`` of each record; a long record comes in several pieces.

    Records are numbered from 0 and yield at least one piece each, perhaps an empty one. The name is
    the first word of the header line. Plain and gzip (bgzip) files are read.
    """
    require_file(path, what="FASTA file")
    number, name = -1, ""
    tail = b"\n"  # so that every header, the first one too, is preceded by a line end
    with open_bytes(path) as handle:
        while data := handle.read(block):
            if number < 0:
                _check_beginning(data, path)
            text, tail = _hold_back((tail + data).replace(b"\r", b""))
            for new, found, piece in _split_records(text, name, path):
                number, name = number + new, found
                yield number, name, piece
        for new, found, piece in _split_records(tail, name, path):
            number += new
            yield number, found, piece
    if number < 0:
        raise InputError(f"{path}: no FASTA record found; expected a line that begins with '>'")


def _check_beginning(data: bytes, path: str | Path) -> None:
    """Refuse what would be read as another file: another encoding, or lines without an end."""
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: begins with a byte-order mark; save the file as plain text (ASCII)")
    if b"\r" in data[:-1] and b"\n" not in data:  # one at its end may have a line feed after it
        raise InputError(
            f"{path}: lines end with a carriage return alone (old Mac text); convert them, for example with "
            "tr '\\r' '\\n'"
        )


def _hold_back(text: bytes) -> tuple[bytes, bytes]:
    """Split off an unfinished header line, or a line end after which a header may follow."""
    header = text.rfind(b"\n>")
    if header >= 0 and text.find(b"\n", header + 1) < 0:
        return text[:header], text[header:]
    return (text[:-1], b"\n") if text.endswith(b"\n") else (text, b"")


def _split_records(text: bytes, name: str, path: str | Path) -> Iterator[tuple[bool, str, bytes]]:
    first, *records = text.split(b"\n>")
    rest = first.replace(b"\n", b"")
    if rest:
        if not name:
            raise InputError(
                f"{path}: expected FASTA, whose first line begins with '>'; found {first.strip()[:40]!r}"
            )
        yield False, name, rest
    for record in records:
        header, _, letters = record.partition(b"\n")
        words = header.split(None, 1)
        if not words or header[:1].isspace():
            raise InputError(f"{path}: a FASTA record has no name (found the line {b'>' + header!r})")
        yield True, header_name(header), letters.replace(b"\n", b"")


def digest_sequences(path: str | Path) -> pd.DataFrame:
    """Length and MD5 of the upper-case letters of each record of a FASTA file.

    MD5 because that is what public sequence dictionaries (the M5 tag) hold. The result depends on
    neither compression, line length nor case.

    Returns
    -------
    DataFrame
        ``chrom``, ``length`` (bp), ``md5``, in the order of the file.

    Raises
    ------
    InputError
        Not FASTA, cut short, a name occurs twice, or a character is not DNA.
    """
    names: list[str] = []
    lengths: list[int] = []
    hashers = []
    for number, name, piece in stream_fasta(path):
        if number == len(names):
            names.append(name)
            lengths.append(0)
            hashers.append(hashlib.md5(usedforsecurity=False))
        if wrong := piece.translate(None, _LETTERS):
            _refuse(wrong[0], f"{path}, {name}", lengths[-1] + piece.index(wrong[:1]))
        hashers[-1].update(piece.upper())
        lengths[-1] += len(piece)
    table = pd.DataFrame({"chrom": names, "length": lengths, "md5": [h.hexdigest() for h in hashers]})
    twice = table.loc[table["chrom"].duplicated(), "chrom"].unique()
    if len(twice):
        raise InputError(f"{path}: sequence names occur more than once: {offenders(twice)}; rename them")
    return table


def genome_digest(chromosomes: pd.DataFrame) -> str:
    """One digest for a genome, from ``digest_sequences``: independent of the order of its chromosomes."""
    rows = zip(chromosomes["chrom"], chromosomes["length"], chromosomes["md5"], strict=True)
    return digest_strings(sorted(f"{chrom}\t{length}\t{md5}" for chrom, length, md5 in rows))


def index_genome(
    fasta: str | Path, chromosomes: str | Path, fai: str | Path, gzi: str | Path
) -> pd.DataFrame:
    """Index a FASTA file away from its (perhaps read-only) folder, once for all jobs.

    Parameters
    ----------
    fasta
        Plain or bgzipped FASTA.
    chromosomes
        Written: table of ``digest_sequences``.
    fai, gzi
        Written: samtools' index, and bgzip's (empty for a plain file).
    """
    table = digest_sequences(fasta)
    with scratch_folder("index") as folder:
        made = folder / "index.fai"
        with Genome(fasta, _index=(made, made.with_suffix(".gzi"))) as genome:
            if genome.lengths != dict(zip(table["chrom"], table["length"], strict=True)):
                raise InputError(
                    f"{fasta}: the index and the sequences disagree; did the file change during the run?"
                )
        for source, target in ((made, fai), (made.with_suffix(".gzi"), gzi)):
            with atomic_path(target) as temporary:
                if source.exists():
                    shutil.copyfile(source, temporary)
    write_table(table, chromosomes)
    logger.info("%s: %d sequences, %d bp", fasta, len(table), table["length"].sum())
    return table


class Genome:
    """A FASTA file, plain or bgzipped, read by pyfaidx; a context manager.

    Parameters
    ----------
    fasta
        Path of the FASTA file.
    fai, gzi
        Index files made by ``index_genome``. Without them, or when they are older than the FASTA, an
        index beside a plain FASTA is used where it fits every header and line end of the file, else one
        is made in a private temporary folder (never beside the FASTA, where other jobs may be writing one
        too). An index beside a bgzipped file is not used: nothing cheap tells whether it fits.

    Attributes
    ----------
    lengths : dict[str, int]
        Length of each chromosome (bp), in the order of the file.
    """

    def __init__(
        self,
        fasta: str | Path,
        *,
        fai: str | Path | None = None,
        gzi: str | Path | None = None,
        _index: tuple[Path, Path] | None = None,
    ) -> None:
        self.path = require_file(fasta, what="genome FASTA")
        compressed = self._compressed = is_gzip(self.path)
        self._check_compression(compressed)
        with scratch_folder("index") as folder:
            private = (folder / "index.fai", folder / "index.gzi")
            index = self._usable_index(compressed, fai, gzi) if _index is None else None
            if index is None:
                index = _index or private
                write_fai(scan_fasta(self.path, compressed=compressed), index[0])
                if compressed:
                    write_gzi(self.path, index[1])
            try:
                self._faidx = pyfaidx.Faidx(
                    str(self.path), indexname=str(index[0]), gzi_indexname=str(index[1]), as_raw=True
                )
            except (pyfaidx.FastaIndexingError, ValueError, OSError) as error:
                if refused := refusal_in(error):
                    raise refused from None
                raise InputError(f"{self.path}: cannot be indexed as FASTA: {error}") from error
        self.lengths: dict[str, int] = {name: int(record.rlen) for name, record in self._faidx.index.items()}

    def _check_compression(self, compressed: bool) -> None:
        if not compressed:
            if self.path.name.lower().endswith((".gz", ".bgz")):
                raise InputError(
                    f"{self.path}: has the name of a compressed file but is not compressed; rename it"
                )
            return
        if not is_bgzip(self.path):
            raise InputError(
                f"{self.path}: compressed with gzip, which has no random access; "
                "gunzip the file, then bgzip it (or leave it uncompressed)"
            )
        if not self.path.name.lower().endswith((".gz", ".bgz")):
            raise InputError(f"{self.path}: is bgzipped, so its name must end in .gz or .bgz")
        require_end(self.path)

    def _usable_index(
        self, compressed: bool, fai: str | Path | None, gzi: str | Path | None
    ) -> tuple[Path, Path] | None:
        beside = (Path(f"{self.path}.fai"), Path(f"{self.path}.gzi"))
        given = (Path(fai), Path(gzi or Path(fai).with_suffix(".gzi"))) if fai else None
        written = self.path.stat().st_mtime
        if given:
            needed = given[: 2 if compressed else 1]
            if all(path.is_file() and path.stat().st_mtime >= written for path in needed):
                return given
            logger.warning("%s: the index %s is missing or older; indexing again", self.path, given[0])
        if compressed or not beside[0].is_file():
            return None
        # pyfaidx makes an older one again, beside the file.
        if beside[0].stat().st_mtime >= written and index_fits(beside[0], self.path):
            return beside
        logger.warning("%s: %s is not its index; indexing again in another folder", self.path, beside[0].name)
        return None

    def __enter__(self) -> Genome:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._faidx.file.close()

    def codes(self, chrom: str, start: int, end: int) -> NDArray[np.uint8]:
        """Codes of ``chrom[start:end]``: uint8 (end − start,).

        Raises
        ------
        InputError
            The chromosome is unknown, the interval leaves it, or a character is not DNA.
        """
        length = self.lengths.get(chrom)
        if length is None:
            raise InputError(f"{self.path}: no chromosome {chrom!r}; it has {offenders(self.lengths)}")
        # pyfaidx clips plain files silently and raises for bgzipped ones: check here, alike for both.
        if not 0 <= start <= end <= length:
            raise InputError(f"{self.path}: {chrom}:{start}-{end} is not within {chrom} (0-{length})")
        if start == end:
            return np.zeros(0, dtype=np.uint8)
        letters = self._letters(chrom, start, end)
        codes = encode_letters(letters, where=f"{self.path}, {chrom}", offset=start, skip=b"\r\n")
        if len(codes) != end - start:
            raise InputError(
                f"{self.path}: {chrom}:{start}-{end} is truncated; does the index belong to another file?"
            )
        return codes

    def _letters(self, chrom: str, start: int, end: int) -> bytes:
        """Letters of ``chrom[start:end]``; those of plain files with the line ends between them."""
        if self._compressed:
            return bytes(self._faidx.fetch(chrom, start + 1, end).encode("latin-1"))
        record = self._faidx.index[chrom]
        first, last = (
            record.offset + place // record.lenc * record.lenb + place % record.lenc
            for place in (start, end - 1)
        )
        return os.pread(self._faidx.file.fileno(), last + 1 - first, first)

    def windows(
        self, chroms: pd.Series, starts: NDArray[np.int64], length: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]]:
        """Yield spans of sequence that hold all the windows ``[start, start + length)``.

        The genome is read in its own order, each stretch once, at most ~8 Mb at a time, whatever the
        order of the windows.

        Yields
        ------
        rows : int64 (k,)
            Which windows lie in this span.
        codes : uint8 (span,)
            Sequence of the span.
        offsets : int64 (k,)
            Where each window begins in the span.
        """
        numbers, names = pd.factorize(chroms)
        order = np.lexsort((starts, numbers))
        ordered, where = starts[order], numbers[order]
        begin = 0
        while begin < len(order):
            # Extend while on the same chromosome, near by, and within one block.
            limit = int(np.searchsorted(where, where[begin], side="right"))
            limit = begin + int(np.searchsorted(ordered[begin:limit], ordered[begin] + BLOCK, side="right"))
            apart = length + (MAX_GAP if self._compressed else PLAIN_GAP)
            gaps = np.flatnonzero(np.diff(ordered[begin:limit]) > apart)
            stop = begin + int(gaps[0]) + 1 if gaps.size else limit
            origin = int(ordered[begin])
            span = self.codes(names[where[begin]], origin, int(ordered[stop - 1]) + length)
            yield order[begin:stop], span, ordered[begin:stop] - origin
            begin = stop
