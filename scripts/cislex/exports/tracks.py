"""Contributions as a genome track (bigWig)."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from cislex.errors import ConfigError, InputError, StorageError, offenders
from cislex.files.bigwig import writing_bigwig
from cislex.files.tables import atomic_path, open_hdf5, read_regions
from cislex.files.unpacked_rows import unpack_rows
from cislex.logs import get_logger, progress
from cislex.regions.chromosome_table import read_sizes
from cislex.regions.genome import stream_fasta

#: Values read from the file at once (about 16 MB of float32).
BLOCK_VALUES = 1 << 22
#: Bases of regions that are laid on the genome at once, about.
PIECE_BASES = 1 << 20
#: Rows of the table of regions that are held as text at once.
TABLE_ROWS = 1 << 16

Values = NDArray[np.float32]
logger = get_logger("tracks")


def export_tracks(
    attributions: str | Path,
    fasta: str | Path | None,
    out: str | Path,
    *,
    chromosomes: str | Path | None = None,
) -> int:
    """Write the contribution of each covered base of the genome as a bigWig.

    A base's contribution is the sum over channels of sequences × hypothetical, that is the score of the
    base that is there. Minus-strand regions are turned back to the genome's orientation. Where regions
    overlap, the value is the mean over the regions that cover the base. Bases that no region covers have
    no value.

    Parameters
    ----------
    attributions
        ``attributions.h5`` of a target.
    fasta
        The genome, for chromosome order and sizes; not read where ``chromosomes`` is given.
    out
        ``contributions.bw`` to write.
    chromosomes
        Table that ``index_genome`` wrote of the genome, or None. An index beside the genome is never read.

    Returns
    -------
    int
        Bases with a value.

    Raises
    ------
    InputError
        When the regions have no coordinates, or do not fit the genome.
    """
    if chromosomes is not None:
        sizes, genome = read_sizes(chromosomes), str(chromosomes)
    elif fasta is not None:
        sizes, genome = chromosome_sizes(fasta), str(fasta)
    else:
        raise ConfigError("export_tracks: give fasta or chromosomes, to get chromosome lengths")
    with open_hdf5(attributions, what="attributions", datasets=("hypothetical", "sequences")) as handle:
        regions = _places(handle)
        if "" in regions["chrom"].cat.categories:
            raise InputError(
                f"{attributions}: the sequences have no genome coordinates, so no track can be made; "
                "do not request contributions.bw for regions given as FASTA or HDF5"
            )
        _check_regions(regions, handle["hypothetical"].shape[2], sizes, genome)
        # Rows come in any order: contributions wait in an unnamed file, not in memory.
        with atomic_path(out) as temporary, tempfile.TemporaryFile(dir=temporary.parent) as scratch:
            read = _contributions(handle, regions, scratch.fileno())
            covered = _write_bigwig(read, regions, sizes, temporary, handle["hypothetical"].shape[2])
    logger.info("%d bases with a contribution written to %s", covered, out)
    return covered


def _places(handle: h5py.File) -> pd.DataFrame:
    """``chrom``, ``start``, ``end``, ``strand`` of the regions; texts as categories, which are small."""
    parts = []
    for low in range(0, max(1, len(handle["regions/start"])), TABLE_ROWS):
        part = read_regions(handle, low, low + TABLE_ROWS).drop(columns="name")
        parts.append(part.astype({"chrom": "category", "strand": "category"}))
    return pd.DataFrame(
        {
            "chrom": union_categoricals([part["chrom"] for part in parts]),
            "start": np.concatenate([part["start"] for part in parts]),
            "end": np.concatenate([part["end"] for part in parts]),
            "strand": union_categoricals([part["strand"] for part in parts]),
        }
    )


def chromosome_sizes(fasta: str | Path) -> dict[str, int]:
    """Length of each chromosome in the order of a FASTA file, from the sequences themselves.

    Raises
    ------
    InputError
        When the file is missing or holds no sequence.
    """
    sizes: dict[str, int] = {}
    for _, name, piece in stream_fasta(fasta):
        sizes[name] = sizes.get(name, 0) + len(piece)
    return sizes


def _check_regions(regions: pd.DataFrame, length: int, sizes: dict[str, int], fasta: str) -> None:
    unknown = sorted(set(regions["chrom"].cat.categories) - set(sizes))
    if unknown:
        raise InputError(
            f"{fasta} lacks chromosomes of the regions: {offenders(unknown)}; is it another genome?"
        )
    limit = regions["chrom"].map(sizes).astype("int64")
    is_wrong = (
        (regions["start"] < 0) | (regions["end"] > limit) | (regions["end"] - regions["start"] != length)
    )
    if is_wrong.any():
        named = regions[is_wrong].apply(lambda row: f"{row['chrom']}:{row['start']}-{row['end']}", axis=1)
        raise InputError(
            f"regions must be {length} bases long and inside the chromosomes of {fasta}: {offenders(named)}"
        )


def _contributions(handle: h5py.File, regions: pd.DataFrame, scratch: int) -> Callable[[int], Values]:
    """Write the contributions (N, L) in the genome's orientation; return what reads those of a region."""
    count, _, length = handle["hypothetical"].shape
    is_minus = (regions["strand"] == "-").to_numpy()
    step = max(1, BLOCK_VALUES // (4 * length))
    with open(scratch, "wb", closefd=False) as sink:
        for start in progress(range(0, count, step), total=count, label="reading attributions", weight=step):
            block = slice(start, start + step)
            values = unpack_rows(handle["hypothetical"], start, start + step).astype(np.float32, copy=False)
            values = (values * unpack_rows(handle["sequences"], start, start + step)).sum(axis=1)
            is_finite = np.isfinite(values).all(axis=1)
            if not is_finite.all():
                rows = offenders(start + np.flatnonzero(~is_finite))
                raise InputError(f"{handle.filename}: attributions are NaN or infinite in rows {rows}")
            flipped = is_minus[block]
            values[flipped] = values[flipped, ::-1]
            sink.write(values.data)
    size = 4 * length

    def read(row: int) -> Values:
        found = os.pread(scratch, size, row * size)
        if len(found) != size:
            raise StorageError(f"{handle.filename}: the temporary file of its contributions is truncated")
        return np.frombuffer(found, np.float32)

    return read


def merge_regions(starts: NDArray[np.int64], length: int) -> Iterator[tuple[int, int]]:
    """Slices of sorted, equally long intervals that overlap or touch: one slice a connected stretch."""
    if len(starts):
        breaks = np.flatnonzero(np.diff(starts) > length) + 1
        edges = [0, *breaks.tolist(), len(starts)]
        yield from itertools.pairwise(edges)


def _write_bigwig(
    read: Callable[[int], Values], regions: pd.DataFrame, sizes: dict[str, int], out: Path, length: int
) -> int:
    """Write the track from what reads the contributions of a region; return the bases with a value."""
    covered = 0
    with writing_bigwig(out, sizes) as add:
        for chrom in sizes:
            rows = np.flatnonzero((regions["chrom"] == chrom).to_numpy())
            rows = rows[np.argsort(regions["start"].to_numpy()[rows], kind="stable")]
            for origin, values in mean_pieces(regions["start"].to_numpy()[rows], length, rows, read):
                add(chrom, origin, values)
                covered += len(values)
    return covered


def mean_pieces(
    starts: NDArray[np.int64], length: int, rows: NDArray[np.int64], read: Callable[[int], Values]
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Mean over the regions that cover each base, in pieces of bounded length, in order.

    Parameters
    ----------
    starts
        Sorted starts of the regions of one chromosome (k,).
    length
        Their length (bp).
    rows
        Row of each, for ``read``, which returns its values (length,).

    Yields
    ------
    int, float64 (n,)
        First base of a piece, and its values.
    """
    step = max(1, PIECE_BASES // length)
    for first, last in merge_regions(starts, length):
        origin = int(starts[first])
        total, depth = np.zeros(0), np.zeros(0, np.int64)
        for low in range(first, last, step):
            high = min(low + step, last)
            end = int(starts[high - 1]) + length
            more = end - origin - len(total)
            total, depth = np.pad(total, (0, more)), np.pad(depth, (0, more))
            places = (starts[low:high] - origin).tolist()
            for row, place in zip(rows[low:high].tolist(), places, strict=True):
                total[place : place + length] += read(row)
                depth[place : place + length] += 1
            done = (end if high == last else int(starts[high])) - origin  # what later regions cannot reach
            if done:
                yield origin, total[:done] / depth[:done]
            total, depth, origin = total[done:], depth[done:], origin + done
