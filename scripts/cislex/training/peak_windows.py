"""Labelled windows of a genome for training: positives on peaks, negatives away from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.logs import get_logger
from cislex.regions.genome import Genome
from cislex.regions.intervals import Intervals, nearest_distance
from cislex.training.inputs import Positions
from cislex.training.negatives import Negatives, Surroundings, draw_negatives
from cislex.training.windows import (
    Windows,
    WindowSettings,
    composition,
    no_positions,
    read_windows,
    table_of,
    usable,
)

logger = get_logger(__name__)


def draw_windows(
    genome: Genome,
    tasks: Mapping[str, Positions],
    chromosomes: Sequence[str],
    settings: WindowSettings,
    *,
    split: str,
    blacklist: Mapping[str, Intervals] | None = None,
    negatives: Negatives | None = None,
    listed: Positions | None = None,
    background: str | None = None,
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
        Intervals that no window touches: positives as ``extract_regions`` drops them, by the window of
        ``input_length``; negatives at every shift.
    negatives, listed
        Where negatives come from (None: places of matched GC content), and the positions of kind ``bed``.
    background
        Name of a class for windows without a peak: labels are then one-hot over it and the tasks, and
        windows with peaks of several tasks are left out. None: each task has a label of its own.
    rng
        Random generator.

    Raises
    ------
    InputError
        When a task has no positive window, or there are too few places for negatives.
    """
    blacklist, negatives = blacklist or {}, negatives or Negatives()
    peaks = {
        c: np.unique(np.concatenate([no_positions(), *(p.get(c, no_positions()) for p in tasks.values())]))
        for c in chromosomes
    }
    positives, gc = _positives(genome, peaks, blacklist, settings, split)
    labels = _labels(positives, tasks, settings)
    if background is not None:
        positives, gc, labels = _drop_ambiguous(positives, gc, labels, split)
    absent = [name for i, name in enumerate(tasks) if not labels[:, settings.jitter, i].any()]
    if absent:
        raise InputError(
            f"split {split} ({offenders(chromosomes)}): no peak of task {offenders(absent)} there; "
            "choose other chromosomes for the split"
        )
    around = Surroundings(genome, peaks, blacklist, settings, split)
    others, codes = draw_negatives(around, positives, gc, negatives, listed or {}, rng)
    table = pd.concat([positives, others], ignore_index=True)
    labels = np.concatenate([labels, np.zeros((len(others), *labels.shape[1:]), dtype=np.uint8)])
    if background is not None:
        labels = np.concatenate([1 - labels.max(axis=2, keepdims=True), labels], axis=2)
    return Windows(
        table["chrom"].to_numpy(object),
        table["centre"].to_numpy(np.int64),
        np.concatenate([read_windows(genome, positives, settings), codes]),
        labels,
        tuple(tasks) if background is None else (background, *tasks),
        settings.input_length,
        np.repeat(np.array(["peak", negatives.kind], dtype=object), [len(positives), len(others)]),
    )


def _drop_ambiguous(
    table: pd.DataFrame, gc: NDArray[np.float64], labels: NDArray[np.uint8], split: str
) -> tuple[pd.DataFrame, NDArray[np.float64], NDArray[np.uint8]]:
    """Leave out windows on which peaks of several tasks lie at some shift: a class excludes the others."""
    single = labels.max(axis=1).sum(axis=1) == 1
    if not single.all():
        logger.info("%s: %d windows contain peaks of several classes and are skipped", split, (~single).sum())
    return table[single].reset_index(drop=True), gc[single], labels[single]


def _positives(
    genome: Genome, peaks: Positions, blacklist: Mapping[str, Intervals], settings: WindowSettings, split: str
) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Table of the positive windows (``chrom, centre``) and their GC content."""
    centres = {c: usable(found, genome.lengths[c], settings) for c, found in peaks.items()}
    for chrom in set(centres) & set(blacklist):  # the same windows as extract_regions drops
        starts = centres[chrom] - settings.input_length // 2
        barred = blacklist[chrom].overlap(starts, starts + settings.input_length)
        centres[chrom] = centres[chrom][~barred]
    table = table_of(centres)
    gc, unknown = composition(genome, table, settings)
    known = unknown <= settings.max_unknown
    if lost := sum(map(len, peaks.values())) - int(known.sum()):
        logger.info(
            "%s: %d peak positions skipped (at a chromosome's end, on the blacklist, in unknown sequence)",
            split,
            lost,
        )
    return table[known].reset_index(drop=True), gc[known]


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
                nearest_distance(centres, positions.get(str(chrom), no_positions()))
                <= settings.positive_distance
            )
    return labels
