"""Contributions as a genome track (bigWig)."""

from __future__ import annotations

import gzip
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.logs import get_logger, progress
from cislex.storage import atomic_path, has_coordinates, open_hdf5, read_regions, require_file

#: Values read from the file at once (about 64 MB of float32).
BLOCK_VALUES = 1 << 24

Values = NDArray[np.float32]
logger = get_logger("tracks")


def export_tracks(attributions: str | Path, fasta: str | Path, out: str | Path) -> int:
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
        The genome, for chromosome order and sizes (its ``.fai`` is used where there is one).
    out
        ``contributions.bw`` to write.

    Returns
    -------
    int
        Bases with a value.

    Raises
    ------
    InputError
        When the regions have no coordinates, or do not fit the genome.
    """
    sizes = chromosome_sizes(fasta)
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_hdf5(attributions, what="attributions", datasets=("hypothetical", "sequences")) as handle:
        regions = read_regions(handle)
        if len(regions) and not has_coordinates(regions):
            raise InputError(
                f"{attributions}: the sequences have no coordinates on a genome, so no track can be made; "
                "leave contributions.bw out for regions given as FASTA or HDF5"
            )
        _check_regions(regions, handle["hypothetical"].shape[2], sizes, str(fasta))
        # Rows come in any order: contributions wait in an unnamed file, not in memory.
        with tempfile.TemporaryFile(dir=target.parent) as scratch:
            contributions = _contributions(handle, regions, scratch)
            return _write_bigwig(contributions, regions, sizes, target)


def chromosome_sizes(fasta: str | Path) -> dict[str, int]:
    """Length of each chromosome in the order of the file, from ``.fai`` or else from the sequences.

    Raises
    ------
    InputError
        When the file is missing or holds no sequence.
    """
    path = require_file(fasta, what="genome")
    index = path.with_name(path.name + ".fai")
    sizes: dict[str, int] = {}
    if index.is_file() and index.stat().st_mtime >= path.stat().st_mtime:
        for line in index.read_text(encoding="utf-8").splitlines():
            name, length = line.split("\t")[:2]
            sizes[name] = int(length)
    else:
        opener = gzip.open if path.suffix in (".gz", ".bgz") else open
        name = ""
        with opener(path, "rt", encoding="ascii") as handle:
            for line in handle:
                if line.startswith(">"):
                    name = line[1:].split()[0]
                    sizes[name] = 0
                else:
                    sizes[name] += len(line.strip())
    if not sizes:
        raise InputError(f"genome {path} holds no sequence")
    return sizes


def _check_regions(regions: pd.DataFrame, length: int, sizes: dict[str, int], fasta: str) -> None:
    unknown = sorted(set(regions["chrom"]) - set(sizes))
    if unknown:
        raise InputError(
            f"{fasta} lacks chromosomes of the regions: {offenders(unknown)}; is it another genome?"
        )
    limit = regions["chrom"].map(sizes)
    is_wrong = (
        (regions["start"] < 0) | (regions["end"] > limit) | (regions["end"] - regions["start"] != length)
    )
    if is_wrong.any():
        named = regions[is_wrong].apply(lambda row: f"{row['chrom']}:{row['start']}-{row['end']}", axis=1)
        raise InputError(
            f"regions must be {length} bases long and lie inside the chromosomes of {fasta}: "
            f"{offenders(named)}"
        )


def _contributions(handle: h5py.File, regions: pd.DataFrame, scratch: object) -> Values:
    """Contributions (N, L) in the genome's orientation, on disk."""
    count, _, length = handle["hypothetical"].shape
    if not count:
        return np.empty((0, length), np.float32)
    result: Values = np.memmap(scratch, dtype=np.float32, mode="w+", shape=(count, length))  # type: ignore[call-overload]
    is_minus = (regions["strand"] == "-").to_numpy()
    step = max(1, BLOCK_VALUES // (4 * length))
    for start in progress(range(0, count, step), total=count, label="reading attributions", weight=step):
        block = slice(start, start + step)
        values = handle["hypothetical"][block].astype(np.float32)
        values = (values * handle["sequences"][block]).sum(axis=1)
        is_finite = np.isfinite(values).all(axis=1)
        if not is_finite.all():
            rows = offenders(start + np.flatnonzero(~is_finite))
            raise InputError(f"{handle.filename}: attributions are NaN or infinite in rows {rows}")
        flipped = is_minus[block]
        values[flipped] = values[flipped, ::-1]
        result[block] = values
    return result


def merge_regions(starts: NDArray[np.int64], length: int) -> Iterator[tuple[int, int]]:
    """Slices of sorted, equally long intervals that overlap or touch: one slice a connected stretch."""
    if len(starts):
        breaks = np.flatnonzero(np.diff(starts) > length) + 1
        edges = [0, *breaks.tolist(), len(starts)]
        yield from itertools.pairwise(edges)


def _write_bigwig(contributions: Values, regions: pd.DataFrame, sizes: dict[str, int], out: Path) -> int:
    import pyBigWig

    length = contributions.shape[1]
    covered = 0
    with atomic_path(out) as temporary:
        track = pyBigWig.open(str(temporary), "w")
        track.addHeader(list(sizes.items()))
        for chrom in sizes:
            rows = np.flatnonzero((regions["chrom"] == chrom).to_numpy())
            rows = rows[np.argsort(regions["start"].to_numpy()[rows], kind="stable")]
            starts = regions["start"].to_numpy()[rows]
            for first, last in merge_regions(starts, length):
                origin = int(starts[first])
                total = np.zeros(int(starts[last - 1]) + length - origin)
                depth = np.zeros(len(total), dtype=np.int64)
                for row, start in zip(rows[first:last], starts[first:last] - origin, strict=True):
                    total[start : start + length] += contributions[row]
                    depth[start : start + length] += 1
                track.addEntries(chrom, origin, values=total / depth, span=1, step=1)
                covered += len(total)
        track.close()
    logger.info("%d bases with a contribution written to %s", covered, out)
    return covered
