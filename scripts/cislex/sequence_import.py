"""Sequences given directly, as FASTA or HDF5, brought into the same files as those of a genome.

They have no coordinates: ``chrom`` is empty (``.`` in regions.bed), ``start`` 0, ``end`` L, strand ``.``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.genome import UNKNOWN, encode_letters, stream_fasta
from cislex.logs import get_logger
from cislex.regions import write_regions_bed
from cislex.selection import DROPPED_COLUMNS
from cislex.sequences import rows_per_chunk, write_sequences
from cislex.storage import open_hdf5, write_table

logger = get_logger(__name__)

AXES = ("auto", "n4l", "nl4")


def import_sequences(
    source: str | Path,
    regions: str | Path,
    dropped: str | Path,
    out: str | Path,
    *,
    dataset: str | None = None,
    axes: str = "auto",
    length: int | None = None,
    is_hdf5: bool = False,
    threads: int = 1,
) -> int:
    """Write ``regions.bed``, an empty ``dropped.tsv`` and ``sequences.h5`` of sequences given directly.

    Parameters
    ----------
    source
        FASTA (plain or gzipped), every record one sequence; or HDF5 with a one-hot dataset.
    regions, dropped, out
        Written. Every sequence is kept, so ``dropped`` holds a header only.
    dataset
        HDF5: name of the dataset; None where the file has only one of three dimensions.
    axes
        HDF5: ``n4l``, ``nl4`` or ``auto`` (by the axis of size 4).
    length
        Expected length (the model's input), or None.
    is_hdf5
        The source is HDF5.
    threads
        Threads that compress.

    Returns
    -------
    int
        Number of sequences.

    Raises
    ------
    InputError
        Sequences differ in length or from ``length``, hold other characters than DNA's, or are not
        one-hot.
    ConfigError
        The dataset or its axis order cannot be told.
    """
    if is_hdf5:
        with open_hdf5(source, what="sequences given directly") as handle:
            data, channels = _find_dataset(handle, source, dataset, axes)
            size = data.shape[3 - channels]
            names = [f"sequence_{row}" for row in range(data.shape[0])]
            _check_length(source, size, length)
            blocks = _hdf5_blocks(data, channels, f"{source}, {data.name}")
            _write(source, names, size, blocks, (regions, dropped, out), threads)
    else:
        names, size = _fasta_names(source)
        _check_length(source, size, length)
        _write(source, names, size, _fasta_blocks(source, size), (regions, dropped, out), threads)
    logger.info("%s: %d sequences of %d bp, without coordinates", source, len(names), size)
    return len(names)


def read_codes(source: str | Path, dataset: str, *, axes: str = "auto") -> NDArray[np.uint8]:
    """All sequences of an HDF5 dataset of one-hot rows, as codes: uint8 (N, L), 4 for an unknown base.

    The parameters and errors are those of :func:`import_sequences`.
    """
    with open_hdf5(source, what="sequences given directly") as handle:
        data, channels = _find_dataset(handle, source, dataset, axes)
        return np.concatenate(list(_hdf5_blocks(data, channels, f"{source}, {data.name}")))


def _check_length(source: str | Path, found: int, expected: int | None) -> None:
    if expected is not None and found != expected:
        raise InputError(f"{source}: sequences of {found} bp; expected {expected} bp, the model's input")


def _write(
    source: str | Path,
    names: list[str],
    size: int,
    blocks: Iterator[NDArray[np.uint8]],
    paths: tuple[str | Path, str | Path, str | Path],
    threads: int,
) -> None:
    table = pd.DataFrame(
        {
            "chrom": "",
            "start": 0,
            "end": size,
            "name": names,
            "score": ".",
            "strand": ".",
            "peak_start": 0,
            "peak_end": size,
            "source_line": np.arange(1, len(names) + 1),
        }
    )
    # What the sequences are, not how they were stored, makes the digest: FASTA and HDF5 agree.
    hasher = hashlib.blake2b(str(size).encode(), digest_size=16)
    attributes: dict[str, object] = {"source": str(source), "has_coordinates": False}

    def digested() -> Iterator[NDArray[np.uint8]]:
        for block in blocks:
            hasher.update(np.ascontiguousarray(block).data)
            yield block
        attributes["source_digest"] = hasher.hexdigest()

    write_sequences(paths[2], digested(), table, size, attributes=attributes, threads=threads)
    write_table(pd.DataFrame(columns=DROPPED_COLUMNS), paths[1])
    write_regions_bed(table, paths[0])


def _fasta_names(source: str | Path) -> tuple[list[str], int]:
    names: list[str] = []
    lengths: list[int] = []
    for number, name, piece in stream_fasta(source):
        if number == len(names):
            names.append(name)
            lengths.append(0)
        lengths[-1] += len(piece)
    values, counts = np.unique(lengths, return_counts=True)
    usual = int(values[np.argmax(counts)])
    if wrong := [f"{n} ({size} bp)" for n, size in zip(names, lengths, strict=True) if size != usual]:
        raise InputError(
            f"{source}: sequences must have one length; most have {usual} bp, but not {offenders(wrong)}; "
            "cut or pad them with N"
        )
    if usual == 0:
        raise InputError(f"{source}: the records are empty; expected sequences")
    return names, usual


def _fasta_blocks(source: str | Path, size: int) -> Iterator[NDArray[np.uint8]]:
    rows = rows_per_chunk(size)
    block: list[NDArray[np.uint8]] = []
    for name, letters in _fasta_records(source):
        block.append(encode_letters(letters, where=f"{source}, {name}"))
        if len(block) == rows:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)


def _fasta_records(source: str | Path) -> Iterator[tuple[str, bytes]]:
    current, title, parts = -1, "", [b""]
    for number, name, piece in stream_fasta(source):
        if number != current and current >= 0:
            yield title, b"".join(parts)
        if number != current:
            current, title, parts = number, name, []
        parts.append(piece)
    yield title, b"".join(parts)


def _find_dataset(
    handle: h5py.File, source: str | Path, name: str | None, axes: str
) -> tuple[h5py.Dataset, int]:
    """The dataset and the axis (1 or 2) of its four channels."""
    found: dict[str, h5py.Dataset] = {}
    handle.visititems(
        lambda path, item: found.update({path: item}) if isinstance(item, h5py.Dataset) else None
    )
    listed = offenders(f"{path} {item.shape}" for path, item in found.items())
    if name is None:
        possible = [path for path, item in found.items() if item.ndim == 3]
        if len(possible) != 1:
            raise ConfigError(f"regions, dataset: say which dataset of {source} to use; it has {listed}")
        name = possible[0]
    if name.strip("/") not in found:
        raise ConfigError(f"regions, dataset: {source} has no dataset {name!r}; it has {listed}")
    data = found[name.strip("/")]
    if data.ndim != 3 or 0 in data.shape or data.dtype.kind not in "buif":
        raise InputError(
            f"{source}, {name}: expected numbers (N, 4, L) or (N, L, 4), found {data.dtype} {data.shape}"
        )
    if axes not in AXES:
        raise ConfigError(f"regions, axes: found {axes!r}, expected one of {', '.join(AXES)}")
    fitting = [axis for axis in (1, 2) if data.shape[axis] == 4]
    wanted = {"auto": fitting, "n4l": [1], "nl4": [2]}[axes]
    if len(wanted) > 1:
        raise ConfigError(f"{source}, {name}: shape {data.shape} fits both axis orders; set axes: n4l or nl4")
    if not wanted or data.shape[wanted[0]] != 4:
        raise InputError(
            f"{source}, {name}: expected (N, 4, L) or (N, L, 4) with axes {axes}, found {data.shape}"
        )
    return data, wanted[0]


def _hdf5_blocks(data: h5py.Dataset, channels: int, where: str) -> Iterator[NDArray[np.uint8]]:
    rows = rows_per_chunk(data.shape[3 - channels])
    for begin in range(0, data.shape[0], rows):
        values = np.moveaxis(data[begin : begin + rows], channels, 1)
        yield _codes_of(values, where, begin)


def _codes_of(values: NDArray[np.generic], where: str, first: int) -> NDArray[np.uint8]:
    """Codes uint8 (n, L) of one-hot values (n, 4, L); all zero, or 0.25 each, is an unknown base."""
    ones = values == 1
    zeros = values == 0
    known = (ones.sum(1) == 1) & (zeros.sum(1) == 3)
    unknown = zeros.all(1) | (values == 0.25).all(1)
    wrong = ~(known | unknown)
    if wrong.any():
        places = [f"row {first + row} position {position}" for row, position in np.argwhere(wrong)[:3]]
        row, position = np.argwhere(wrong)[0]
        raise InputError(
            f"{where}: not one-hot at {', '.join(places)} ({int(wrong.sum())} in all in this block): found "
            f"{values[row, :, position].tolist()}; expected one 1 and three 0, or all 0 for an unknown base"
        )
    return np.where(unknown, UNKNOWN, ones.argmax(1)).astype(np.uint8)
