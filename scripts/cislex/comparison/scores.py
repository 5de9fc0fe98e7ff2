"""Scores of one analysis for one target, read in blocks of regions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.files.tables import open_hdf5, read_regions, read_scattered
from cislex.sequences.store import SequenceStore

DATASETS = ("hypothetical", "baseline", "sequences", "regions", "rows")
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """What is compared: an ``attributions.h5``, as it is or without the correction.

    Attributes
    ----------
    path
        The file.
    uncorrected
        Compare the multipliers M, for saliency the plain gradient, instead of M − baseline.
    """

    path: str | Path
    uncorrected: bool = False


class Scores:
    """An open file of attributions.

    Parameters
    ----------
    source
        What is read.

    Attributes
    ----------
    rows : int64 (n,)
        Row of each region in ``sequences.h5``, ascending.
    model_digests : dict[str, str]
        Digest of each fold's model; empty in files that do not tell.
    folds : int
        Folds of which contributions are the mean and whose spread is known; 1: there is no spread.
    """

    def __init__(self, source: Source) -> None:
        self.source, self._stack = source, ExitStack()
        self._handle = self._stack.enter_context(
            open_hdf5(source.path, what="attributions", datasets=DATASETS)
        )
        self.rows: Rows = self._handle["rows"][:]
        self.length = int(self._handle["hypothetical"].shape[2])
        self.source_digest = str(self._handle.attrs["source_digest"])
        self.model_digests = dict(json.loads(self._handle.attrs.get("model_digests", "{}")))
        spread = "fold_spread" in self._handle
        self.folds = len(json.loads(self._handle.attrs["folds"])) if spread else 1

    def __enter__(self) -> Scores:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def regions(self) -> pd.DataFrame:
        """``chrom, start, end, name, strand`` of each region."""
        return read_regions(self._handle)

    def require_sequences(self, store: SequenceStore) -> None:
        """Raise InputError unless the regions are those of ``sequences.h5``."""
        given, own = store.regions(), self.regions()
        same = self.source_digest == store.source_digest and (not len(own) or self.rows[-1] < len(given))
        columns = ["chrom", "name", "strand"]  # starts are those of windows where only these are stored
        if not same or (given[columns].iloc[self.rows].to_numpy(str) != own[columns].to_numpy(str)).any():
            raise InputError(
                f"{self.source.path}: its regions are not those of {store.path}: one of the files belongs to "
                "another run; delete the older one and run again"
            )

    def starts(self, rows: Rows) -> Rows:
        """Start of the regions, or of their windows, in rows of ``sequences.h5``."""
        return np.asarray(self._handle["regions/start"][:], np.int64)[np.searchsorted(self.rows, rows)]

    def values(self, name: str) -> Floats:
        """A small dataset (n,); NaN where the method has none."""
        if name not in self._handle:
            return np.full(len(self.rows), np.nan)
        return np.asarray(self._handle[name][:], np.float64)

    def read(self, rows: Rows) -> tuple[Floats, NDArray[np.uint8]]:
        """Hypothetical scores float64 (k, 4, L) and sequences uint8 (k, 4, L) of rows of ``sequences.h5``."""
        places = np.searchsorted(self.rows, rows)
        found = read_scattered(self._handle["hypothetical"], places).astype(np.float64)
        if self.source.uncorrected:
            found += read_scattered(self._handle["baseline"], places)[:, None]
        return found, read_scattered(self._handle["sequences"], places)

    def fold_spread(self, rows: Rows) -> Floats:
        """Standard deviation over folds (k, L) of the contributions in rows of ``sequences.h5``."""
        return read_scattered(self._handle["fold_spread"], np.searchsorted(self.rows, rows)).astype(
            np.float64
        )


@contextmanager
def open_scores(sources: Mapping[str, Source]) -> Iterator[tuple[dict[str, Scores], Rows]]:
    """Open files of one target; yield them and the rows that all of them have.

    Raises
    ------
    InputError
        They are of different regions.
    """
    with ExitStack() as stack:
        found = {name: stack.enter_context(Scores(source)) for name, source in sources.items()}
        first = next(iter(found.values()))
        wrong = [
            str(scores.source.path)
            for scores in found.values()
            if (scores.source_digest, scores.length) != (first.source_digest, first.length)
        ]
        if wrong:
            raise InputError(
                f"{first.source.path}: its sequences are not those of {offenders(wrong)}; compare analyses "
                "of one region set, and delete results of an earlier genome"
            )
        rows = first.rows
        for scores in found.values():
            rows = np.intersect1d(rows, scores.rows, assume_unique=True)
        places = {name: scores.starts(rows) for name, scores in found.items()}
        moved = [n for n, starts in places.items() if not np.array_equal(starts, next(iter(places.values())))]
        if moved:
            raise InputError(
                f"{first.source.path}: its windows are not those of {offenders(moved)}; set the same "
                "attributions.window"
            )
        yield found, rows


def contributions(hypothetical: Floats, sequences: NDArray[np.uint8]) -> Floats:
    """Scores of the bases that are there, (k, L)."""
    return np.asarray((hypothetical * sequences).sum(axis=1))


def blocks(rows: Sequence[int] | Rows, size: int) -> Iterator[Rows]:
    """Rows in blocks of at most ``size``."""
    for first in range(0, len(rows), max(1, size)):
        yield np.asarray(rows[first : first + max(1, size)], np.int64)
