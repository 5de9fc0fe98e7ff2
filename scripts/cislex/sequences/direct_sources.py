"""Sequences given directly: records of a FASTA file, or one-hot rows of an HDF5 or NumPy file, as codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.files.user_arrays import (
    ONLY,
    Array,
    Arrays,
    has_array,
    listed,
    named_dataset,
    one_of_three_dimensions,
    open_arrays,
)
from cislex.regions.genome import UNKNOWN, encode_letters, stream_fasta
from cislex.sequences.store import rows_per_chunk

AXES = ("auto", "n4l", "nl4")
#: Codes (n, L) of consecutive rows, and what is wrong with a row, by its number in the file.
Block = tuple[NDArray[np.uint8], dict[int, str]]


class DirectSource(Protocol):
    """A file of sequences of one length."""

    @property
    def names(self) -> list[str]:
        """Name of each row."""
        ...

    @property
    def length(self) -> int:
        """Length of the sequences (bp)."""
        ...

    def blocks(self, *, strict: bool) -> Iterator[Block]:
        """All rows in order; one that cannot be read is an error if ``strict``, else all unknown."""
        ...


@dataclass
class FastaRecords:
    """The records of a FASTA file, plain or gzipped.

    Parameters
    ----------
    path
        The file.
    length
        Expected length; None: that of most records.
    """

    path: str | Path
    expected: int | None = None
    names: list[str] = field(init=False)
    lengths: list[int] = field(init=False)
    length: int = field(init=False)

    def __post_init__(self) -> None:
        self.names, self.lengths = [], []
        for number, name, piece in stream_fasta(self.path):
            if number == len(self.names):
                self.names.append(name)
                self.lengths.append(0)
            self.lengths[-1] += len(piece)
        values, counts = np.unique([n for n in self.lengths if n], return_counts=True)
        if not len(values):
            raise InputError(f"{self.path}: all records are empty; expected sequences")
        self.length = int(values[np.argmax(counts)])

    def require_one_length(self) -> None:
        """Raise InputError unless all records have one length, which is the expected one."""
        pairs = zip(self.names, self.lengths, strict=True)
        if wrong := [f"{name} ({size} bp)" for name, size in pairs if size != self.length]:
            raise InputError(
                f"{self.path}: sequences must have the same length; most have {self.length} bp, but not "
                f"{offenders(wrong)}; trim them or pad them with N, or exclude them with malformed: drop"
            )
        require_length(self.path, self.length, self.expected)

    def blocks(self, *, strict: bool) -> Iterator[Block]:
        """See :class:`DirectSource`."""
        if strict:
            self.require_one_length()
        else:
            self.length = self.expected or self.length
        rows = rows_per_chunk(self.length)
        codes: list[NDArray[np.uint8]] = []
        faults: dict[int, str] = {}
        for row, (name, letters) in enumerate(_fasta_records(self.path)):
            try:
                if len(letters) != self.length:
                    raise InputError(f"{name}: {len(letters)} bp; expected {self.length} bp")
                codes.append(encode_letters(letters, where=f"{self.path}, {name}"))
            except InputError as error:
                if strict:
                    raise
                faults[row] = str(error)
                codes.append(np.full(self.length, UNKNOWN, np.uint8))
            if len(codes) == rows:
                yield np.stack(codes), faults
                codes, faults = [], {}
        if codes:
            yield np.stack(codes), faults


def _fasta_records(source: str | Path) -> Iterator[tuple[str, bytes]]:
    current, title, parts = -1, "", [b""]
    for number, name, piece in stream_fasta(source):
        if number != current and current >= 0:
            yield title, b"".join(parts)
        if number != current:
            current, title, parts = number, name, []
        parts.append(piece)
    yield title, b"".join(parts)


class OneHotRows:
    """The rows of a one-hot array, (N, 4, L) or (N, L, 4), in an open file.

    Parameters
    ----------
    handle, path
        The open file, and its path for messages.
    dataset
        Name of the array; None where the file has only one of three dimensions.
    axes
        ``n4l``, ``nl4`` or ``auto`` (by the axis of size 4).

    Raises
    ------
    InputError
        The array is of another kind, or data that it reads are missing.
    ConfigError
        The array or its axis order cannot be told.
    """

    def __init__(
        self, handle: Arrays, path: str | Path, dataset: str | None = None, axes: str = "auto"
    ) -> None:
        self._data, self._channels, name = _find_dataset(handle, path, dataset, axes)
        self._where = f"{path}, {name}"
        self.length = int(self._data.shape[3 - self._channels])
        self.names = [f"sequence_{row}" for row in range(self._data.shape[0])]

    def blocks(self, *, strict: bool) -> Iterator[Block]:
        """See :class:`DirectSource`."""
        rows = rows_per_chunk(self.length)
        for begin in range(0, len(self.names), rows):
            values = np.moveaxis(self._data[begin : begin + rows], self._channels, 1)
            yield _codes_of(values, self._where, begin, strict=strict)


def require_length(source: str | Path, found: int, expected: int | None) -> None:
    """Raise InputError unless sequences have the expected length, the model's."""
    if expected is not None and found != expected:
        raise InputError(f"{source}: sequences of {found} bp; expected {expected} bp, the model's input")


def read_codes(source: str | Path, dataset: str, *, axes: str = "auto") -> NDArray[np.uint8]:
    """All sequences of an array of one-hot rows, as codes: uint8 (N, L), 4 for an unknown base.

    The parameters and errors are those of :class:`OneHotRows`.
    """
    with open_arrays(source, what="sequences given directly") as handle:
        rows = OneHotRows(handle, source, dataset, axes)
        return np.concatenate([codes for codes, _ in rows.blocks(strict=True)])


def _find_dataset(handle: Arrays, source: str | Path, name: str | None, axes: str) -> tuple[Array, int, str]:
    """The array, the axis (1 or 2) of its four channels, and its name."""
    if name is None:
        possible = one_of_three_dimensions(handle)
        if len(possible) != 1:
            raise ConfigError(f"regions, dataset: name a dataset of {source}; it has {listed(handle)}")
        name = possible[0]
    if not has_array(handle, name) and ONLY in handle and len(handle) == 1:
        raise ConfigError(f"regions, dataset: {source} is a single unnamed array; remove {name!r}")
    try:
        data = named_dataset(handle, name, source)
    except InputError as error:
        if has_array(handle, name):
            raise
        raise ConfigError(f"regions, dataset: {error}") from error
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
    return data, wanted[0], name


def _codes_of(values: NDArray[Any], where: str, first: int, *, strict: bool) -> Block:
    """Codes uint8 (n, L) of one-hot values (n, 4, L); all zero, or 0.25 each, is an unknown base."""
    ones = values == 1
    zeros = values == 0
    known = (ones.sum(1) == 1) & (zeros.sum(1) == 3)
    unknown = zeros.all(1) | (values == 0.25).all(1)
    wrong = ~(known | unknown)
    faults: dict[int, str] = {}
    if wrong.any():
        places = [f"row {first + row} position {position}" for row, position in np.argwhere(wrong)[:3]]
        row, position = np.argwhere(wrong)[0]
        if strict:
            raise InputError(
                f"{where}: not one-hot at {', '.join(places)} ({int(wrong.sum())} in all in this block): "
                f"found {values[row, :, position].tolist()}; expected one 1 and three 0, or all 0 for an "
                "unknown base; malformed: drop excludes such sequences"
            )
        for row in np.flatnonzero(wrong.any(axis=1)):
            position = int(np.argmax(wrong[row]))
            faults[first + int(row)] = f"not one-hot: {values[row, :, position].tolist()} at {position}"
    return np.where(unknown | wrong, UNKNOWN, ones.argmax(1)).astype(np.uint8), faults
