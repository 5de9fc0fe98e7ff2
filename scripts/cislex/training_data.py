"""Labelled windows for training: positives on peaks, negatives of the same GC content away from them.

A window is drawn ``jitter`` bp wider on both sides than the model's input, so that it can be shifted at
every pass; its labels are known for each shift. Splits are whole chromosomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.genome import UNKNOWN, Genome
from cislex.logs import get_logger
from cislex.training_inputs import Intervals, Positions, nearest_distance

#: Candidate negatives drawn for each negative that is needed, so that GC content can be matched.
CANDIDATES = 20
#: Width of a bin of GC content when negatives are matched to positives.
GC_BIN = 0.02
#: Code of the complement of A, C, G, T and unknown.
COMPLEMENT = np.array([3, 2, 1, 0, UNKNOWN], dtype=np.uint8)


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
        uint8 (N, 2 × jitter + 1, tasks): the labels at each shift from −jitter to +jitter.
    tasks
        Names of the tasks, in the order of the labels.
    input_length
        Length that the model sees.
    """

    chrom: NDArray[np.object_]
    centre: NDArray[np.int64]
    codes: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    tasks: tuple[str, ...]
    input_length: int

    def __len__(self) -> int:
        return len(self.centre)

    @property
    def jitter(self) -> int:
        """Largest shift to either side, bp."""
        return (self.labels.shape[1] - 1) // 2

    def crop(
        self, rows: NDArray[np.int64], shifts: NDArray[np.int64], flipped: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
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
            uint8 (n, tasks).
        """
        offsets = shifts + self.jitter
        columns = offsets[:, None] + np.arange(self.input_length)
        codes = self.codes[rows[:, None], columns]
        codes[flipped] = COMPLEMENT[codes[flipped, ::-1]]
        return codes, self.labels[rows, offsets]


def draw_windows(
    genome: Genome,
    tasks: Mapping[str, Positions],
    chromosomes: Sequence[str],
    settings: WindowSettings,
    *,
    split: str,
    blacklist: Mapping[str, Intervals] | None = None,
    rng: np.random.Generator,
) -> Windows:
    """Draw the windows of one split.

    Parameters
    ----------
    genome
        The genome.
    tasks
        Peak positions of each task, see ``read_positions``.
    chromosomes
        Chromosomes of the split.
    settings
        Distances and numbers.
    split
        Its name, for messages.
    blacklist
        Intervals that no negative overlaps and on which no positive is centred.
    rng
        Random generator.

    Raises
    ------
    InputError
        When a task has no positive window, or there are too few places for negatives.
    """
    blacklist = blacklist or {}
    peaks = {
        c: np.unique(np.concatenate([_none(), *(p.get(c, _none()) for p in tasks.values())]))
        for c in chromosomes
    }
    positives, gc = _positives(genome, peaks, blacklist, settings, split)
    labels = _labels(positives, tasks, settings)
    absent = [name for i, name in enumerate(tasks) if not labels[:, settings.jitter, i].any()]
    if absent:
        raise InputError(
            f"split {split} ({offenders(chromosomes)}): no peak of task {offenders(absent)} there; "
            "choose other chromosomes for the split"
        )
    wanted = max(1, round(settings.negatives_per_positive * len(positives)))
    candidates = _candidates(genome, peaks, blacklist, settings, wanted * CANDIDATES, rng)
    candidate_gc, unknown = _composition(genome, candidates, settings)
    usable = np.flatnonzero(unknown <= settings.max_unknown)
    if len(usable) < wanted:
        raise InputError(
            f"split {split} ({offenders(chromosomes)}): {len(usable)} places for negative windows, "
            f"{wanted} needed; lower negatives_per_positive or min_negative_distance"
        )
    negatives = candidates.iloc[usable[match_gc(gc, candidate_gc[usable], wanted, rng)]]
    table = pd.concat([positives, negatives], ignore_index=True)
    return Windows(
        table["chrom"].to_numpy(object),
        table["centre"].to_numpy(np.int64),
        _read(genome, table, settings),
        np.concatenate([labels, np.zeros((len(negatives), *labels.shape[1:]), dtype=np.uint8)]),
        tuple(tasks),
        settings.input_length,
    )


def _positives(
    genome: Genome, peaks: Positions, blacklist: Mapping[str, Intervals], settings: WindowSettings, split: str
) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Table of the positive windows (``chrom, centre``) and their GC content."""
    centres = {c: _usable(found, genome.lengths[c], settings) for c, found in peaks.items()}
    centres = {c: v[~blacklist[c].overlap(v, v + 1)] if c in blacklist else v for c, v in centres.items()}
    table = _table(centres)
    gc, unknown = _composition(genome, table, settings)
    known = unknown <= settings.max_unknown
    if lost := sum(map(len, peaks.values())) - int(known.sum()):
        get_logger(__name__).info(
            "%s: %d peak positions left out (at a chromosome's end, on the blacklist, in unknown sequence)",
            split,
            lost,
        )
    return table[known].reset_index(drop=True), gc[known]


def _none() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


def _usable(centres: NDArray[np.int64], length: int, settings: WindowSettings) -> NDArray[np.int64]:
    """Centres whose wide window lies inside the chromosome."""
    starts = centres - settings.left
    return centres[(starts >= 0) & (starts + settings.wide <= length)]


def _table(centres: Positions) -> pd.DataFrame:
    chroms = np.repeat(np.array(list(centres), dtype=object), [len(v) for v in centres.values()])
    return pd.DataFrame({"chrom": chroms, "centre": np.concatenate([_none(), *centres.values()])})


def _read(genome: Genome, table: pd.DataFrame, settings: WindowSettings) -> NDArray[np.uint8]:
    """Codes of the wide windows, uint8 (N, wide)."""
    codes = np.empty((len(table), settings.wide), dtype=np.uint8)
    starts = table["centre"].to_numpy(np.int64) - settings.left
    for rows, span, offsets in genome.windows(table["chrom"], starts, settings.wide):
        codes[rows] = np.lib.stride_tricks.sliding_window_view(span, settings.wide)[offsets]
    return codes


def _composition(
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


def _labels(
    table: pd.DataFrame, tasks: Mapping[str, Positions], settings: WindowSettings
) -> NDArray[np.uint8]:
    """Labels at every shift: uint8 (N, 2 × jitter + 1, tasks)."""
    shifts = np.arange(-settings.jitter, settings.jitter + 1)
    labels = np.zeros((len(table), len(shifts), len(tasks)), dtype=np.uint8)
    for chrom, rows in table.groupby("chrom", sort=False).indices.items():
        centres = table["centre"].to_numpy(np.int64)[rows][:, None] + shifts
        for i, positions in enumerate(tasks.values()):
            labels[rows, :, i] = (
                nearest_distance(centres, positions.get(str(chrom), _none())) <= settings.positive_distance
            )
    return labels


def _candidates(
    genome: Genome,
    peaks: Positions,
    blacklist: Mapping[str, Intervals],
    settings: WindowSettings,
    n: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Random centres, each once, of windows away from peaks and off the blacklist; at most about ``n``."""
    total = sum(genome.lengths[chrom] for chrom in peaks)
    found: Positions = {}
    for chrom, positions in peaks.items():
        length = genome.lengths[chrom]
        share = -(-n * length // total)
        centres = np.arange(length) if length <= 2 * share else np.unique(rng.integers(0, length, size=share))
        centres = _usable(centres, length, settings)
        keep = nearest_distance(centres, positions) >= settings.min_negative_distance
        if chrom in blacklist:
            starts = centres - settings.left
            keep &= ~blacklist[chrom].overlap(starts, starts + settings.wide)
        centres = centres[keep]
        found[chrom] = np.sort(rng.choice(centres, size=min(share, len(centres)), replace=False))
    return _table(found)


def match_gc(
    positive: NDArray[np.float64], candidate: NDArray[np.float64], n: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose candidates, each once, whose GC content is distributed like that of the positives.

    Parameters
    ----------
    positive, candidate
        GC fractions, float (P,) and (C,).
    n
        How many to choose, at most C. Positives take turns; each asks for a candidate of its own bin of
        GC content, or of the nearest bin that has one left.
    rng
        Random generator.

    Returns
    -------
    int64 (n,)
        Which candidates.
    """
    bins = np.rint(candidate / GC_BIN).astype(np.int64)
    order = rng.permutation(len(candidate))
    waiting = {b: list(order[bins[order] == b]) for b in np.unique(bins).tolist()}
    asked = np.resize(rng.permutation(np.rint(positive / GC_BIN).astype(np.int64)), n)
    chosen = []
    for b in asked.tolist():
        nearest = min(waiting, key=lambda other: (abs(other - b), other))
        chosen.append(waiting[nearest].pop())
        if not waiting[nearest]:
            del waiting[nearest]
    return np.array(chosen, dtype=np.int64)
