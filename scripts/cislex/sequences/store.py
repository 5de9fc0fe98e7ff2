"""Sequences: one-hot uint8 (N, 4, L) on disk, from a genome's windows or given directly.

Channels are A, C, G, T. Lower case reads as upper case; N and every other IUPAC ambiguity letter is an
all-zero column; any other character is an error. Regions on the minus strand hold their reverse
complement. Row i of the file is row i of ``regions.bed``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.files.hdf5 import new_hdf5
from cislex.files.hdf5_blocks import RowWriter, pack
from cislex.files.scratch import write_errors_named
from cislex.files.tables import (
    FORMAT_VERSION,
    atomic_path,
    open_hdf5,
    read_regions,
    read_scattered,
    write_regions,
)
from cislex.logs import get_logger, progress
from cislex.provenance import to_attributes
from cislex.regions.chromosome_table import read_chromosomes
from cislex.regions.extraction import read_regions_bed
from cislex.regions.genome import UNKNOWN, Genome, digest_sequences, genome_digest

logger = get_logger(__name__)

#: Bytes of one-hot data in one HDF5 chunk: little enough that single sequences are read fast, too.
CHUNK_BYTES = 1 << 17
_COMPLEMENT = np.array([3, 2, 1, 0, UNKNOWN], dtype=np.uint8)


def to_one_hot(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One-hot of codes 0–4 (4, unknown: all zero): uint8 (n, L) → uint8 (n, 4, L)."""
    result = np.empty((codes.shape[0], 4, codes.shape[1]), dtype=np.uint8)
    for channel in range(4):
        np.equal(codes, channel, out=result[:, channel], casting="unsafe")
    return result


def to_codes(onehot: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes 0–4 of one-hot (4, unknown: all zero): uint8 (…, 4, L) → uint8 (…, L)."""
    return np.where(onehot.any(axis=-2), onehot.argmax(axis=-2), UNKNOWN).astype(np.uint8)


def reverse_complement(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes (n, L) of the other strand, read 5′ to 3′: uint8 (n, L)."""
    return _COMPLEMENT[codes[:, ::-1]]


def rows_per_chunk(length: int) -> int:
    """Rows of one HDF5 chunk of ``sequences``."""
    return max(1, CHUNK_BYTES // (4 * length))


def encode_sequences(
    regions: str | Path,
    fasta: str | Path,
    out: str | Path,
    *,
    chromosomes: str | Path | None = None,
    fai: str | Path | None = None,
    gzi: str | Path | None = None,
    threads: int = 1,
) -> None:
    """Write the one-hot sequences of regions of a genome.

    Memory does not grow with the number of regions beyond their table: the genome is read in its own
    order, codes wait in an unnamed temporary file beside ``out`` (N × L bytes), and rows are written
    in blocks.

    Parameters
    ----------
    regions
        ``regions.bed``, as ``extract_regions`` writes it.
    fasta
        The genome.
    out
        Written: ``sequences.h5``.
    chromosomes, fai, gzi
        Files made by ``genome.index_genome``; None: derived again.
    threads
        Threads that compress.

    Raises
    ------
    InputError
        Regions differ in length, leave their chromosome, or hold a character that is not DNA.
    """
    table = read_regions_bed(regions)
    length = _common_length(table, regions)
    if chromosomes is None:
        source_digest = genome_digest(digest_sequences(fasta))
    else:
        source_digest = genome_digest(read_chromosomes(chromosomes))
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with (
        write_errors_named(out),
        tempfile.TemporaryFile(dir=Path(out).parent) as scratch,
        Genome(fasta, fai=fai, gzi=gzi) as genome,
    ):
        _gather(genome, table, length, scratch.fileno())
        write_sequences(
            out,
            _blocks_from(scratch.fileno(), len(table), length),
            table,
            length,
            attributes={"source_digest": source_digest, "source": str(fasta), "has_coordinates": True},
            threads=threads,
        )
    logger.info("%s: %d sequences of %d bp from %s", out, len(table), length, fasta)


def _common_length(table: pd.DataFrame, path: str | Path) -> int:
    lengths = (table["end"] - table["start"]).unique()
    if len(lengths) != 1 or lengths[0] < 1:
        found = ", ".join(str(value) for value in lengths[:3]) or "no regions"
        raise InputError(f"{path}: expected regions of one length; found {found}")
    return int(lengths[0])


def _gather(genome: Genome, table: pd.DataFrame, length: int, scratch: int) -> None:
    """Write the codes of every region into the scratch file, row i at byte i × length."""
    minus = (table["strand"] == "-").to_numpy(bool)
    starts = table["start"].to_numpy(np.int64)
    step = max(1, 8 * CHUNK_BYTES // length)
    spans = genome.windows(table["chrom"], starts, length)
    for rows, span, offsets in _tell(spans, len(table)):
        every = np.lib.stride_tricks.sliding_window_view(span, length)
        for begin in range(0, len(rows), step):
            which = rows[begin : begin + step]
            codes = every[offsets[begin : begin + step]]
            codes[minus[which]] = reverse_complement(codes[minus[which]])
            _scatter(scratch, which, codes)


def _tell(
    spans: Iterator[tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]], total: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]]:
    """Pass the spans on; progress counts regions, of which spans hold unequal numbers."""
    ticks = progress(range(total), total=total, label="read genome")
    for span in spans:
        yield span
        for _ in span[0]:
            next(ticks)


def _scatter(scratch: int, rows: NDArray[np.int64], codes: NDArray[np.uint8]) -> None:
    """Write rows at their places, neighbouring rows in one call."""
    length = codes.shape[1]
    edges = np.flatnonzero(np.diff(rows) != 1) + 1
    data = np.ascontiguousarray(codes).data.cast("B")
    for begin, stop in zip([0, *edges.tolist()], [*edges.tolist(), len(rows)], strict=True):
        _write_all(scratch, data[begin * length : stop * length], int(rows[begin]) * length)


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _blocks_from(scratch: int, count: int, length: int) -> Iterator[NDArray[np.uint8]]:
    rows = rows_per_chunk(length)
    for begin in range(0, count, rows):
        size = min(rows, count - begin) * length
        parts, offset = [], begin * length
        while size:
            part = os.pread(scratch, size, offset)
            if not part:
                raise InputError("the temporary file of sequences is truncated; is the disk full?")
            parts.append(part)
            size, offset = size - len(part), offset + len(part)
        yield np.frombuffer(b"".join(parts), dtype=np.uint8).reshape(-1, length)


def create_sequences(group: h5py.Group, count: int, length: int) -> h5py.Dataset:
    """Create ``sequences`` uint8 (count, 4, length)."""
    if count == 0:
        return group.create_dataset("sequences", (0, 4, length), np.uint8)
    return group.create_dataset(
        "sequences",
        (count, 4, length),
        np.uint8,
        chunks=(min(rows_per_chunk(length), count), 4, length),
        compression="gzip",
        compression_opts=1,
        fletcher32=True,
    )


def write_sequences(
    out: str | Path,
    blocks: Iterator[NDArray[np.uint8]],
    regions: pd.DataFrame,
    length: int,
    *,
    attributes: dict[str, object],
    threads: int = 1,
) -> None:
    """Write ``sequences.h5`` from blocks of codes, atomically.

    Parameters
    ----------
    out
        Written.
    blocks
        Codes uint8 (rows_per_chunk(length), length), the last block perhaps shorter: N rows in all.
    regions
        One row per sequence: ``tables.REGION_COLUMNS``.
    length
        L.
    attributes
        Attributes of the file; ``format_version`` is added.
    threads
        Threads that compress.
    """
    count, rows = len(regions), min(rows_per_chunk(length), len(regions))
    with atomic_path(out) as temporary, new_hdf5(temporary) as handle:
        dataset = create_sequences(handle, count, length)
        total = -(-count // rows)
        ticks = progress(_compressed(blocks, rows, threads), total=count, label="encode", weight=rows)
        written = -1
        for written, chunk in enumerate(ticks):
            dataset.id.write_direct_chunk((written * rows, 0, 0), chunk)
        if written + 1 != total:
            raise InputError(
                f"{out}: received {written + 1} of {total} blocks; did the input change during the run?"
            )
        write_regions(handle, regions)
        handle.attrs.update(to_attributes({"format_version": FORMAT_VERSION, **attributes}))


def _compressed(blocks: Iterator[NDArray[np.uint8]], rows: int, threads: int) -> Iterator[bytes]:
    """One deflate stream per block, in order, a few blocks ahead at most."""
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        waiting = []
        for block in blocks:
            waiting.append(pool.submit(_compress, block, rows))
            if len(waiting) > threads:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _compress(codes: NDArray[np.uint8], rows: int) -> bytes:
    return pack(to_one_hot(codes), rows)


class SequenceStore:
    """A ``sequences.h5``, opened for reading; a context manager.

    Attributes
    ----------
    n, length : int
        Number of sequences and their length (bp).
    source_digest : str
        Digest of the genome, or of the sequences where they were given directly.
    has_coordinates : bool
        Whether the sequences lie on a genome.

    Raises
    ------
    StorageError
        The file is incomplete.
    InputError
        It is missing, or is no file of this kind.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._opened = open_hdf5(path, what="sequences", datasets=("sequences", "regions"))
        self._handle = self._opened.__enter__()
        data = self._handle["sequences"]
        try:
            if data.ndim != 3 or data.shape[1] != 4 or data.dtype != np.uint8:
                raise InputError(
                    f"{path}: sequences: expected uint8 (N, 4, L), found {data.dtype} {data.shape}"
                )
            if (
                len(self._handle["regions/chrom"]) != data.shape[0]
                or "source_digest" not in self._handle.attrs
            ):
                raise InputError(f"{path}: regions or source_digest do not match the sequences")
        except InputError:
            self.close()
            raise
        self.n, self.length = int(data.shape[0]), int(data.shape[2])
        self.source_digest = str(self._handle.attrs["source_digest"])
        self.has_coordinates = bool(self._handle.attrs["has_coordinates"])

    def __enter__(self) -> SequenceStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._opened.__exit__(None, None, None)

    def regions(self, start: int = 0, stop: int | None = None) -> pd.DataFrame:
        """Rows ``start:stop`` of the regions: ``chrom, start, end, name, strand``."""
        return read_regions(self._handle, start, stop)

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Sequences ``start:stop``: uint8 (n, 4, L)."""
        result: NDArray[np.uint8] = self._handle["sequences"][start:stop]
        return result

    def read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Sequences of some rows (ascending): uint8 (k, 4, L)."""
        return read_scattered(self._handle["sequences"], rows)

    def first_known(
        self, order: Iterable[int], n: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[int]]:
        """Choose the first n rows, in an order, that have no unknown bases; read no further.

        Returns
        -------
        tuple
            Codes uint8 (k, L) and numbers (k,) of the chosen rows, k ≤ n, and those passed over on the way.
        """
        codes, rows, unknown = [], [], []
        for row in map(int, order):
            found = to_codes(self.read(row, row + 1)[0])
            if (found == UNKNOWN).any():
                unknown.append(row)
                continue
            codes.append(found)
            rows.append(row)
            if len(rows) == n:
                break
        return np.array(codes, np.uint8).reshape(-1, self.length), np.array(rows, np.int64), unknown

    def copy_into(self, group: h5py.Group, name: str) -> None:
        """Copy ``sequences`` or ``regions`` as they are, without unpacking them."""
        self._handle.copy(name, group)

    def append_to(self, writer: RowWriter) -> None:
        """Add all sequences to another dataset: blocks as they are, if they agree with their checksums."""
        writer.copy(self._handle["sequences"].id, 0, self.n)
        writer.finish()

    def create_like(self, group: h5py.Group, rows: int) -> h5py.Dataset:
        """Create ``sequences`` for some of the rows, with the same layout."""
        return create_sequences(group, rows, self.length)


def rows_of_fold(
    chroms: pd.Series, held_out: Mapping[str, Sequence[str]] | None, fold: str
) -> NDArray[np.bool_]:
    """Which regions are for a fold, (N,): all, or those of :func:`held_out_rows` where folds are held out."""
    return np.ones(len(chroms), dtype=bool) if held_out is None else held_out_rows(chroms, held_out, fold)


def held_out_rows(chroms: pd.Series, held_out: Mapping[str, Sequence[str]], fold: str) -> NDArray[np.bool_]:
    """Which regions lie on chromosomes that a fold held out, (N,).

    Raises
    ------
    InputError
        When a region lies on a chromosome that no fold held out.
    """
    owned = {chrom for names in held_out.values() for chrom in names}
    lost = sorted(set(chroms) - owned)
    if lost:
        count = int(chroms.isin(lost).sum())
        raise InputError(
            f"{count} regions are on chromosomes that no fold held out: {offenders(lost)}; add them to the "
            "model's held_out, exclude them from the regions, or set fold_use: mean"
        )
    mine: NDArray[np.bool_] = chroms.isin(set(held_out.get(fold, ()))).to_numpy()
    return mine
