"""2bit files: a genome in a quarter of its bytes, as UCSC's assembly hubs read it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from cislex.files.tables import atomic_path
from cislex.regions.genome import stream_fasta

SIGNATURE = 0x1A412743
#: Code of each letter: T, C, A, G are 0 to 3; anything else is N.
CODES = np.full(256, 4, np.uint8)
for _code, _letter in enumerate("TCAG"):
    CODES[ord(_letter)] = CODES[ord(_letter.lower())] = _code


def write_twobit(fasta: str | Path, path: str | Path) -> int:
    """Write a genome as 2bit, atomically, with its soft-masked stretches, chromosome by chromosome.

    Parameters
    ----------
    fasta
        Plain or gzipped FASTA. Letters other than A, C, G and T become N.
    path
        ``.2bit`` to write. A file beyond 4 GB gets the format's version 1, with offsets of 64 bits.

    Returns
    -------
    int
        Number of sequences.

    Raises
    ------
    InputError
        When the FASTA is missing, corrupt or without a record.
    StorageError
        When the folder cannot be written, or the disk is full.
    """
    lengths: dict[str, int] = {}
    for _, name, piece in stream_fasta(fasta):
        lengths[name] = lengths.get(name, 0) + len(piece)
    offset_type = "<u4" if sum(lengths.values()) // 4 + (1 << 28) < 1 << 32 else "<u8"
    index = {name: name.encode() for name in lengths}
    with atomic_path(path) as temporary, open(temporary, "r+b") as handle:
        offset = 16 + sum(1 + len(name) + np.dtype(offset_type).itemsize for name in index.values())
        handle.seek(offset)
        offsets = []
        for _, letters in _records(fasta):
            offsets.append(handle.tell())
            _write_record(handle, letters)
        handle.seek(0)
        handle.write(np.array([SIGNATURE, int(offset_type == "<u8"), len(index), 0], "<u4").tobytes())
        for written, place in zip(index.values(), offsets, strict=True):
            handle.write(bytes([len(written)]) + written + np.array(place, offset_type).tobytes())
    return len(index)


def _records(fasta: str | Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and letters of each record."""
    for (_, name), pieces in groupby(stream_fasta(fasta), key=lambda found: found[:2]):
        yield name, np.frombuffer(b"".join(piece for _, _, piece in pieces), np.uint8)


def _write_record(handle: IO[bytes], letters: NDArray[np.uint8]) -> None:
    codes = CODES[letters]
    handle.write(np.array(len(letters), "<u4").tobytes())
    for starts, sizes in (_stretches(codes == 4), _stretches(letters >= ord("a"))):
        handle.write(np.array(len(starts), "<u4").tobytes())
        handle.write(starts.astype("<u4").tobytes() + sizes.astype("<u4").tobytes())
    handle.write(np.array(0, "<u4").tobytes())
    padded = np.pad(np.where(codes == 4, 0, codes), (0, -len(codes) % 4)).reshape(-1, 4)
    handle.write((padded << np.array([6, 4, 2, 0], np.uint8)).sum(axis=1, dtype=np.uint8).tobytes())


def _stretches(chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of the stretches that are true."""
    edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False))
    return edges[::2], edges[1::2] - edges[::2]
