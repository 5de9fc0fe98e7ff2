"""Inputs of training: peak positions, intervals to avoid, and the chromosomes of each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.logs import get_logger
from cislex.regions.genome import Genome
from cislex.regions.intervals import genome_name
from cislex.regions.peaks import read_peaks

SPLITS = ("train", "validation", "test")

Positions = dict[str, NDArray[np.int64]]
"""Sorted positions on each chromosome."""


def read_positions(
    path: str | Path,
    genome: Genome,
    *,
    task: str,
    aliases: Mapping[str, str] | None = None,
    malformed: str = "error",
) -> Positions:
    """Read where the peaks of a task lie: the summit where the file has one, else the midpoint.

    Malformed rows are an error, or dropped with a warning (``malformed="drop"``).

    Raises
    ------
    InputError
        When no peak lies on a chromosome of the genome.
    """
    peaks = read_peaks(path, malformed=malformed)
    chroms = peaks["chrom"].map(lambda name: genome_name(name, genome.lengths, aliases))
    middle = (peaks["start"] + peaks["end"]) // 2
    centre = peaks["summit"].where(peaks["summit"] >= 0, middle).to_numpy(np.int64)
    known = chroms.isin(genome.lengths).to_numpy()
    unknown = sorted(set(chroms[~known]))
    if not known.any():
        raise InputError(
            f"task {task}: {path}: none of its {len(peaks)} peaks is on a chromosome of {genome.path}; "
            f"found {offenders(unknown)}, expected {offenders(genome.lengths)}. If the names differ, give "
            "genome.aliases"
        )
    if unknown:
        get_logger(__name__).warning(
            "task %s: %d of %d peaks are on chromosomes missing from the genome and are skipped: %s",
            task,
            int((~known).sum()),
            len(peaks),
            offenders(unknown),
        )
    return {
        str(chrom): np.unique(centre[known & (chroms == chrom).to_numpy()])
        for chrom in chroms[known].unique()
    }


def split_chromosomes(
    lengths: Mapping[str, int], *, validation: Sequence[str], test: Sequence[str], exclude: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Chromosomes of each split, in the genome's order; training takes what is not named.

    Raises
    ------
    ConfigError
        When a split is empty, a chromosome does not exist or is in two lists.
    """
    named = {"validation_chromosomes": validation, "test_chromosomes": test, "exclude_chromosomes": exclude}
    for key, chroms in named.items():
        unknown = [chrom for chrom in chroms if chrom not in lengths]
        if unknown:
            raise ConfigError(
                f"{key}: the genome has no {offenders(unknown)}; expected some of "
                f"{offenders(lengths, first=30)}"
            )
    both = sorted({c for c in lengths if sum(c in chroms for chroms in named.values()) > 1})
    if both:
        raise ConfigError(
            f"{offenders(both)} appear in more than one of {', '.join(named)}; assign each chromosome to one"
        )
    taken = {*validation, *test, *exclude}
    splits = {
        "train": [chrom for chrom in lengths if chrom not in taken],
        "validation": [chrom for chrom in lengths if chrom in validation],
        "test": [chrom for chrom in lengths if chrom in test],
    }
    empty = [name for name, chroms in splits.items() if not chroms]
    if empty:
        raise ConfigError(
            f"no chromosome for {', '.join(empty)}: name at least one in validation_chromosomes and in "
            f"test_chromosomes, and keep one for training; the genome has {offenders(lengths, first=30)}"
        )
    return splits
