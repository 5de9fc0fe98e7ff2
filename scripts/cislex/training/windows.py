"""Labelled windows of DNA: the examples that a model is trained on.

A window is held ``jitter`` bp wider on both sides than the model's input, so that it can be shifted at
every pass; its labels are known for each shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError
from cislex.regions.genome import UNKNOWN, Genome
from cislex.training.inputs import Positions

#: Code of the complement of A, C, G, T and unknown.
COMPLEMENT = np.array([3, 2, 1, 0, UNKNOWN], dtype=np.uint8)


class Examples(Protocol):
    """What training asks of a split: its size, and its windows as the model sees them with their truth."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the model's outputs."""
        ...

    @property
    def jitter(self) -> int:
        """Largest shift to either side, bp."""
        ...

    def __len__(self) -> int: ...

    def crop(
        self, rows: NDArray[np.int64], shifts: NDArray[np.int64], flipped: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.generic]]:
        """Codes uint8 (n, input_length) and truth (n, tasks, …) of some windows, shifted and flipped."""
        ...

    def places(self, shifts: NDArray[np.int64]) -> pd.DataFrame:
        """Where each window lies at these shifts: ``chrom, start, end, origin``."""
        ...


@dataclass(frozen=True)
class WindowSettings:
    """What makes a window positive or negative; all distances in bp from its centre to a peak.

    Attributes
    ----------
    input_length
        Length that the model sees.
    jitter
        Largest shift of a window to either side.
    positive_distance
        A task's label is 1 where one of its peaks lies within this distance of the centre.
    min_negative_distance
        Negative windows have no peak of any task nearer than this.
    negatives_per_positive
        Negative windows per positive one.
    max_unknown
        Largest fraction of unknown bases.
    """

    input_length: int
    jitter: int = 20
    positive_distance: int = 80
    min_negative_distance: int = 220
    negatives_per_positive: float = 2
    max_unknown: float = 0.1

    def __post_init__(self) -> None:
        if self.input_length < 1 or self.jitter < 0 or self.positive_distance < 0:
            raise ConfigError(
                "input_length must be at least 1, jitter and positive_distance at least 0; found "
                f"{self.input_length}, {self.jitter}, {self.positive_distance}"
            )
        if not self.negatives_per_positive > 0:
            raise ConfigError(
                f"negatives_per_positive is {self.negatives_per_positive}; expected more than 0"
            )
        if self.min_negative_distance - self.jitter <= self.positive_distance:
            raise ConfigError(
                f"min_negative_distance ({self.min_negative_distance}) must exceed positive_distance "
                f"({self.positive_distance}) + jitter ({self.jitter}), or a shifted negative becomes positive"
            )

    @property
    def wide(self) -> int:
        """Length of a stored window: the model's input and the jitter on both sides."""
        return self.input_length + 2 * self.jitter

    @property
    def left(self) -> int:
        """Bases of a stored window before its centre."""
        return self.input_length // 2 + self.jitter


@dataclass(frozen=True)
class Windows:
    """Labelled windows of one split.

    Attributes
    ----------
    chrom
        Chromosome of each window, str (N,).
    centre
        Position of its centre, 0-based, int64 (N,).
    codes
        Bases (0 A, 1 C, 2 G, 3 T, 4 unknown), uint8 (N, input_length + 2 × jitter).
    labels
        (N, 2 × jitter + 1, tasks): the labels at each shift from −jitter to +jitter; uint8 0 or 1 for
        classes, float32 for numbers.
    tasks
        Names of the tasks, in the order of the labels.
    input_length
        Length that the model sees.
    origin
        What each window is, str (N,): ``peak``, the kind of negative, or ``given``; None: all ``given``.
    """

    chrom: NDArray[np.object_]
    centre: NDArray[np.int64]
    codes: NDArray[np.uint8]
    labels: NDArray[np.uint8] | NDArray[np.float32]
    tasks: tuple[str, ...]
    input_length: int
    origin: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.centre)

    @property
    def jitter(self) -> int:
        """Largest shift to either side, bp."""
        return (self.labels.shape[1] - 1) // 2

    def crop(
        self, rows: NDArray[np.int64], shifts: NDArray[np.int64], flipped: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.generic]]:
        """Windows as the model sees them.

        Parameters
        ----------
        rows, shifts, flipped
            (n,) each: which windows, by how many bp (−jitter to +jitter) to shift, and whether to
            reverse-complement.

        Returns
        -------
        codes
            uint8 (n, input_length).
        labels
            (n, tasks), of the labels' type.
        """
        offsets = shifts + self.jitter
        columns = offsets[:, None] + np.arange(self.input_length)
        codes = self.codes[rows[:, None], columns]
        codes[flipped] = COMPLEMENT[codes[flipped, ::-1]]
        return codes, self.labels[rows, offsets]

    def places(self, shifts: NDArray[np.int64]) -> pd.DataFrame:
        """Where each window lies when shifted by (N,) bp: ``chrom, start, end, origin``."""
        start = self.centre - self.input_length // 2 + shifts
        origin = np.full(len(self), "given", dtype=object) if self.origin is None else self.origin
        return pd.DataFrame(
            {"chrom": self.chrom, "start": start, "end": start + self.input_length, "origin": origin}
        )


def no_positions() -> NDArray[np.int64]:
    """No position at all: int64 (0,)."""
    return np.zeros(0, dtype=np.int64)


def usable(centres: NDArray[np.int64], length: int, settings: WindowSettings) -> NDArray[np.int64]:
    """Centres whose wide window lies inside the chromosome."""
    starts = centres - settings.left
    return centres[(starts >= 0) & (starts + settings.wide <= length)]


def table_of(centres: Positions) -> pd.DataFrame:
    """Table ``chrom, centre`` of the centres on each chromosome."""
    chroms = np.repeat(np.array(list(centres), dtype=object), [len(v) for v in centres.values()])
    return pd.DataFrame({"chrom": chroms, "centre": np.concatenate([no_positions(), *centres.values()])})


def read_windows(genome: Genome, table: pd.DataFrame, settings: WindowSettings) -> NDArray[np.uint8]:
    """Codes of the wide windows, uint8 (N, wide)."""
    codes = np.empty((len(table), settings.wide), dtype=np.uint8)
    starts = table["centre"].to_numpy(np.int64) - settings.left
    for rows, span, offsets in genome.windows(table["chrom"], starts, settings.wide):
        codes[rows] = np.lib.stride_tricks.sliding_window_view(span, settings.wide)[offsets]
    return codes


def composition(
    genome: Genome, table: pd.DataFrame, settings: WindowSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """GC fraction of the known bases, and fraction of unknown bases, of each wide window: float64 (N,)."""
    gc, unknown = np.empty(len(table)), np.empty(len(table))
    starts = table["centre"].to_numpy(np.int64) - settings.left
    for rows, span, offsets in genome.windows(table["chrom"], starts, settings.wide):
        for counts, hit in ((gc, (span == 1) | (span == 2)), (unknown, span == UNKNOWN)):
            running = np.append(0, np.cumsum(hit))
            counts[rows] = running[offsets + settings.wide] - running[offsets]
    return gc / np.maximum(settings.wide - unknown, 1), unknown / settings.wide
