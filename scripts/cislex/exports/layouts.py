"""Contributions in the files of other tools: TF-MoDISco, ChromBPNet and Fi-NeMo, genome browsers, scanpy.

Rows stand in the order of ``attributions.h5``, each in the genome's orientation: other tools place a region
by its coordinates alone, so regions on the minus strand are turned back.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError
from cislex.files.bigwig import reading_bigwig, require_whole
from cislex.files.hdf5 import new_hdf5
from cislex.files.indexed_text import TBI_END, write_indexed
from cislex.files.tables import atomic_path, has_coordinates, open_hdf5, read_regions, write_text
from cislex.files.temporary import replace_folder, temporary_folder
from cislex.files.text_tables import as_text
from cislex.files.unpacked_rows import unpack_rows
from cislex.logs import get_logger, progress

#: Values of the attributions that are read at once (about 16 MB of float32).
BLOCK_VALUES = 1 << 22
#: Bases of a track that are read at once.
PIECE_BASES = 1 << 20
#: The earliest time that a zip file can tell: equal arrays make equal bytes.
EARLIEST = (1980, 1, 1, 0, 0, 0)

Block = tuple[slice, NDArray[np.uint8], NDArray[np.float32]]
logger = get_logger("layouts")


def export_layouts(
    attributions: str | Path,
    folder: str | Path,
    *,
    layouts: list[str],
    track: str | Path | None = None,
    hits: str | Path | None = None,
) -> None:
    """Write a target's contributions in the layouts of other tools.

    Parameters
    ----------
    attributions
        ``attributions.h5`` of a target.
    folder
        Receives, by layout: ``modisco``: ``ohe.npz`` and ``shap.npz``; ``chrombpnet``: ``contributions.h5``;
        ``bedgraph``: ``contributions.bedgraph.gz`` with its index; ``anndata``: ``regions_by_words.h5ad``.
        With coordinates also ``regions.narrowPeak``, whose row i is row i of the arrays.
    layouts
        The layouts wanted.
    track
        ``contributions.bw``, for ``bedgraph``.
    hits
        ``hits.bed.gz``, for ``anndata``.

    Raises
    ------
    ConfigError
        When a layout is unknown or lacks its input.
    StorageError
        When the folder cannot be written, or the disk is full.
    """
    needed: dict[str, object] = {
        "modisco": attributions,
        "chrombpnet": attributions,
        "bedgraph": track,
        "anndata": hits,
    }
    for layout in layouts:
        if needed.get(layout) is None:
            expected = f"one of {', '.join(needed)}" if layout not in needed else "its input (track, hits)"
            raise ConfigError(f"export_layouts: layout {layout!r}: expected {expected}")
    with temporary_folder(folder) as staged:
        with open_hdf5(attributions, what="attributions", datasets=("hypothetical", "sequences")) as handle:
            regions = read_regions(handle)
            if has_coordinates(regions):
                write_text(narrow_peaks(regions), staged / "regions.narrowPeak")
            if "modisco" in layouts:
                write_npz(handle, regions, staged)
            if "chrombpnet" in layouts:
                write_chrombpnet(handle, regions, staged / "contributions.h5")
        if "bedgraph" in layouts:
            assert track is not None
            write_bedgraph(track, staged / "contributions.bedgraph.gz")
        if "anndata" in layouts:
            from cislex.exports.region_words import write_region_words

            assert hits is not None
            write_region_words(attributions, hits, staged / "regions_by_words.h5ad")
        replace_folder(staged, folder)
    logger.info("%s: %s written to %s", attributions, ", ".join(layouts), folder)


def narrow_peaks(regions: pd.DataFrame) -> str:
    """The regions as narrowPeak; the summit is the base from which windows count (L // 2)."""
    length = (regions["end"] - regions["start"]).to_numpy()
    table = pd.DataFrame(
        {
            "chrom": regions["chrom"], "start": regions["start"], "end": regions["end"],
            "name": regions["name"], "score": 0, "strand": ".", "signal": 0, "p": -1, "q": -1,
            "summit": length // 2,
        }
    )  # fmt: skip
    return as_text(table, header=False)


def write_npz(handle: h5py.File, regions: pd.DataFrame, folder: Path) -> None:
    """Write ``ohe.npz`` (int8) and ``shap.npz`` (float32, hypothetical contributions), (N, 4, L)."""
    kinds: dict[str, tuple[Any, Callable[[Block], NDArray[Any]]]] = {
        "ohe.npz": (np.int8, lambda block: block[1]),
        "shap.npz": (np.float32, lambda block: block[2]),
    }
    for name, (dtype, part) in kinds.items():
        with (
            atomic_path(folder / name) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive,
            archive.open(zipfile.ZipInfo("arr_0.npy", EARLIEST), "w", force_zip64=True) as member,
        ):
            form = {
                "descr": np.dtype(dtype).str,
                "fortran_order": False,
                "shape": handle["hypothetical"].shape,
            }
            np.lib.format.write_array_header_1_0(member, form)
            for block in _blocks(handle, regions, name):
                member.write(np.ascontiguousarray(part(block), dtype).tobytes())


def write_chrombpnet(handle: h5py.File, regions: pd.DataFrame, out: Path) -> None:
    """Write ``raw/seq``, ``shap/seq`` (hypothetical), ``projected_shap/seq`` and ``coords``."""
    shape = handle["hypothetical"].shape
    options = {"chunks": (1, *shape[1:]), "compression": "gzip", "shuffle": True} if shape[0] else {}
    with atomic_path(out) as temporary, new_hdf5(temporary) as result:
        raw = result.create_dataset("raw/seq", shape, np.int8, **options)
        shap = result.create_dataset("shap/seq", shape, np.float32, **options)
        projected = result.create_dataset("projected_shap/seq", shape, np.float32, **options)
        for rows, onehot, values in _blocks(handle, regions, out.name):
            raw[rows], shap[rows], projected[rows] = onehot, values, onehot * values
        for name in ("chrom", "start", "end"):
            values = regions[name].to_numpy()
            kind = h5py.string_dtype() if name == "chrom" else np.int64
            result.create_dataset(f"coords/coords_{name}", data=values, dtype=kind)


def _blocks(handle: h5py.File, regions: pd.DataFrame, label: str) -> Iterator[Block]:
    """Rows, one-hot sequences and hypothetical contributions (n, 4, L) in the genome's orientation."""
    count, _, length = handle["hypothetical"].shape
    is_minus = (regions["strand"] == "-").to_numpy()
    step = max(1, BLOCK_VALUES // (4 * length))
    for start in progress(range(0, count, step), total=count, label=f"writing {label}", weight=step):
        rows = slice(start, min(start + step, count))
        onehot, values = (
            unpack_rows(handle[name], rows.start, rows.stop) for name in ("sequences", "hypothetical")
        )
        values = values.astype(np.float32, copy=False)
        turned = is_minus[rows]
        for array in (onehot, values):
            array[turned] = array[turned, ::-1, ::-1]
        yield rows, onehot, values


def write_bedgraph(track: str | Path, out: Path) -> None:
    """Write a bigWig as bedGraph in blocks of gzip with a tabix index; equal neighbours are one row."""
    with reading_bigwig(track, what="track of contributions") as found:
        sizes = dict(sorted(found.chroms().items()))

        def blocks() -> Iterator[str]:
            bases, total = 0, 0.0
            for chrom, size in sizes.items():
                for low in range(0, size, PIECE_BASES):
                    rows = np.array(
                        found.intervals(chrom, low, min(low + PIECE_BASES, size)) or (), np.float64
                    )
                    rows = rows.reshape(-1, 3)
                    rows = rows[rows[:, 0] >= low]  # one across the border came with the piece before
                    widths = rows[:, 1] - rows[:, 0]
                    bases, total = bases + int(widths.sum()), total + float(widths @ rows[:, 2])
                    if len(rows):
                        yield _bedgraph_rows(chrom, rows)
            require_whole(track, found.header(), bases, total)

        write_indexed(blocks(), out, preset="bed", is_long=max(sizes.values(), default=0) > TBI_END)


def _bedgraph_rows(chrom: str, rows: NDArray[np.float64]) -> str:
    """Start, end and value of each interval, (n, 3), as text."""
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:, 0] != rows[:-1, 1]) | (rows[1:, 2] != rows[:-1, 2])
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(rows)) - 1
    return "".join(
        f"{chrom}\t{int(start)}\t{int(end)}\t{value:.6g}\n"
        for start, end, value in zip(rows[first, 0], rows[last, 1], rows[first, 2], strict=True)
    )
