"""Negative windows: places of matched GC content, shuffled positives, or intervals that the user names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.logs import get_logger
from cislex.regions.genome import Genome
from cislex.regions.intervals import Intervals, nearest_distance
from cislex.sequences.shuffles import shuffled_codes
from cislex.training.inputs import Positions
from cislex.training.windows import WindowSettings, composition, no_positions, read_windows, table_of, usable

#: Candidate negatives drawn for each negative that is needed, so that GC content can be matched.
CANDIDATES = 20
#: Width of a bin of GC content when negatives are matched to positives.
GC_BIN = 0.02
KINDS = ("gc_matched", "shuffle", "bed", "none")

logger = get_logger(__name__)


@dataclass(frozen=True)
class Negatives:
    """Where negative windows come from.

    Attributes
    ----------
    kind
        ``gc_matched``: random places of the split, off peaks and blacklist, whose GC content is distributed
        like that of the positives. ``shuffle``: dinucleotide shuffles of the positives. ``bed``: the centres
        of the intervals of ``path``. ``none``: none (signals need none).
    path
        BED file of ``bed``.
    """

    kind: str = "gc_matched"
    path: str | Path | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"negatives.kind is {self.kind!r}; expected one of {', '.join(KINDS)}")
        if (self.kind == "bed") != (self.path is not None):
            raise ConfigError(
                f"negatives: kind {self.kind} with path {self.path}; kind: bed needs a path, the others "
                "take none"
            )


@dataclass(frozen=True)
class Surroundings:
    """What a split's negatives are chosen by.

    Attributes
    ----------
    genome
        The genome.
    peaks
        Positions of every task's peaks on each chromosome of the split.
    blacklist
        Intervals that no negative window touches, at any shift.
    settings
        Distances and numbers.
    split
        The split's name, for messages.
    """

    genome: Genome
    peaks: Positions
    blacklist: Mapping[str, Intervals]
    settings: WindowSettings
    split: str

    def keep_usable(self, chrom: str, centres: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those centres whose wide window lies inside, away from peaks and off the blacklist."""
        centres = usable(centres, self.genome.lengths[chrom], self.settings)
        keep = nearest_distance(centres, self.peaks[chrom]) >= self.settings.min_negative_distance
        if chrom in self.blacklist:
            starts = centres - self.settings.left
            keep &= ~self.blacklist[chrom].overlap(starts, starts + self.settings.wide)
        return centres[keep]

    def too_few(self, found: int, wanted: int) -> InputError:
        """The error of too few places."""
        return InputError(
            f"split {self.split} ({offenders(self.peaks)}): {found} places for negative windows, "
            f"{wanted} needed; lower negatives_per_positive or min_negative_distance"
        )


def draw_negatives(
    around: Surroundings,
    positives: pd.DataFrame,
    gc: NDArray[np.float64],
    negatives: Negatives,
    listed: Positions,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """Draw the negative windows of a split.

    Parameters
    ----------
    around
        What they are chosen by.
    positives, gc
        Table ``chrom, centre`` of the positive windows and their GC content, (P,).
    negatives
        Their kind.
    listed
        Positions of kind ``bed``.
    rng
        Random generator.

    Returns
    -------
    table, codes
        ``chrom, centre`` (of the positive that was shuffled, for shuffles) and uint8 (M, wide).

    Raises
    ------
    InputError
        When there are too few places.
    """
    wanted = max(1, round(around.settings.negatives_per_positive * len(positives)))
    if negatives.kind == "none":
        wanted = 0
        table = positives.iloc[:0]
    elif negatives.kind == "shuffle":
        table = positives.iloc[np.resize(rng.permutation(len(positives)), wanted)]
    elif negatives.kind == "bed":
        table = _from_list(around, listed, wanted, rng)
    else:
        table = _of_matched_gc(around, gc, wanted, rng)
    codes = read_windows(around.genome, table, around.settings)
    if negatives.kind == "shuffle":
        codes = shuffle_codes(codes, rng.integers(0, 2**31, size=len(codes)))
    return table.reset_index(drop=True), codes


def _of_matched_gc(
    around: Surroundings, gc: NDArray[np.float64], wanted: int, rng: np.random.Generator
) -> pd.DataFrame:
    candidates = _candidates(around, wanted * CANDIDATES, rng)
    candidate_gc, unknown = composition(around.genome, candidates, around.settings)
    known = np.flatnonzero(unknown <= around.settings.max_unknown)
    if len(known) < wanted:
        raise around.too_few(len(known), wanted)
    return candidates.iloc[known[match_gc(gc, candidate_gc[known], wanted, rng)]]


def _from_list(
    around: Surroundings, listed: Positions, wanted: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Listed places, all of them or a random choice of as many as are wanted."""
    here = {chrom: listed.get(chrom, no_positions()) for chrom in around.peaks}
    table = table_of({chrom: around.keep_usable(chrom, centres) for chrom, centres in here.items()})
    _, unknown = composition(around.genome, table, around.settings)
    table = table[unknown <= around.settings.max_unknown]
    total = sum(map(len, here.values()))
    logger.info(
        "%s: %d of %d listed negatives are usable (inside the chromosome, away from peaks, off the "
        "blacklist, in known sequence); %d wanted",
        around.split, len(table), total, wanted,
    )  # fmt: skip
    if table.empty:
        raise around.too_few(0, wanted)
    if len(table) <= wanted:
        return table
    return table.iloc[np.sort(rng.choice(len(table), size=wanted, replace=False))]


def _candidates(around: Surroundings, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Random centres, each once, of windows away from peaks and off the blacklist; at most about ``n``."""
    lengths = {chrom: around.genome.lengths[chrom] for chrom in around.peaks}
    total = sum(lengths.values())
    found: Positions = {}
    for chrom, length in lengths.items():
        share = -(-n * length // total)
        centres = np.arange(length) if length <= 2 * share else np.unique(rng.integers(0, length, size=share))
        centres = around.keep_usable(chrom, centres)
        found[chrom] = np.sort(rng.choice(centres, size=min(share, len(centres)), replace=False))
    return table_of(found)


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


def shuffle_codes(
    codes: NDArray[np.uint8], seeds: NDArray[np.int64], *, block: int = 4096
) -> NDArray[np.uint8]:
    """One dinucleotide shuffle of each sequence.

    Parameters
    ----------
    codes
        uint8 (N, L): 0 A, 1 C, 2 G, 3 T, 4 unknown. Unknown bases stay where they are.
    seeds
        int64 (N,).
    block
        Sequences at once: bounds memory, changes nothing.

    Returns
    -------
    uint8 (N, L)
        With the same dinucleotide counts and the same first and last base in each run of known bases.
    """
    shuffled = np.empty_like(codes)
    for start in range(0, len(codes), block):
        rows = slice(start, start + block)
        shuffled[rows] = shuffled_codes(codes[rows], seeds[rows], dinucleotides=True)[:, 0]
    return shuffled
