"""Pairs of words: whether they share regions, and at which distance and orientation.

The null of distances shuffles the partners between the regions that hold both words: each word keeps its own
positions and strands, weighted by the pairs that each hit is in, but the two no longer know of each other.
Its expectation is computed, not sampled: the cross-correlation of the two words' distributions over positions
and strands, without the distances at which hits would overlap too much. A region counts once for a distance
and orientation, however many of its pairs have it; the expected regions follow from each region's number of
pairs, drawn independently for a distance, which is rare, and for a window as hits that exclude each other
(:mod:`cislex.syntax.crowding`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import fft, special, stats

from cislex.multiple_testing import adjust_p_values
from cislex.syntax.crowding import alone_positions, close_exponents
from cislex.syntax.placed_hits import Ints, PlacedHits
from cislex.syntax.settings import ORIENTATIONS, SyntaxSettings
from cislex.syntax.statistics import Floats, at_least, odds_of, two_sided

SYNTAX_COLUMNS = [
    *("word_a", "word_b", "orientation", "distance", "observed", "expected", "odds", "p", "q", "test"),
]
#: Steps of the fit of positions, and the least share of one word's positions that the other is left.
FITS = 8
LEAST_LEFT = 1e-3
#: Shares of the expected pairs below this are rounding.
ROUNDING = 1e-13
#: Pairs of hits that are held at once.
BLOCK_PAIRS = 2_000_000


@dataclass(frozen=True)
class Spacing:
    """Distances between the hits of two words.

    Attributes
    ----------
    regions
        Regions that hold both words (for one word: two of its hits).
    per_region
        Numbers of pairs of hits that a region can have, and how many regions have them, shape (2, k).
    pairs
        Pairs of hits, shape (4, D): orientation, twice the distance in bp.
    once
        Regions with at least one such pair, of the same shape.
    nearest
        Regions by twice their smallest distance, shape (5, D): each orientation, any.
    share
        Share of all pairs that the null expects, shape (4, D); zero where hits would overlap too much.
    together
        Numbers of hits of both words that a region can have, and how many regions have them, shape (3, C).
    exponents
        As how many independent pairs these count for each window: see
        :func:`cislex.syntax.crowding.close_exponents`.
    alone
        As ``share``, of two hits that are alone in their region.
    """

    regions: int
    per_region: Ints
    pairs: Ints
    once: Ints
    nearest: Ints
    share: Floats
    together: Ints
    exponents: Floats
    alone: Floats

    def expected_in_windows(self, widths: Ints) -> Floats:
        """Expected regions with at least one pair within each window (bp), shape (5, W)."""
        none = np.log1p(-np.minimum(within_windows(self.alone, widths), 1 - 1e-12))
        return np.asarray(-np.expm1(self.exponents * none[..., None]) @ self.together[2])

    def expected_regions(self, share: Floats) -> Floats:
        """Expected regions with at least one pair in a cell that has this share of the null's pairs."""
        sizes, counts = self.per_region
        total = np.zeros(np.shape(share))
        for size, count in zip(sizes, counts, strict=True):
            total += count * -np.expm1(size * np.log1p(-np.minimum(share, 1 - 1e-12)))
        return total


class PairWalk:
    """Walks over the pairs of words of placed hits.

    Parameters
    ----------
    hits
        The placed hits.
    settings
        Least hits and regions, largest distance.
    block_pairs
        Pairs of hits that are held at once; changes nothing else.
    """

    def __init__(self, hits: PlacedHits, settings: SyntaxSettings, *, block_pairs: int = BLOCK_PAIRS) -> None:
        self.hits, self.settings, self.block_pairs = hits, settings, block_pairs
        self.slices = hits.slices()
        enough = [s.stop - s.start >= settings.min_hits for s in self.slices]
        self.words = [word for word, is_enough in enumerate(enough) if is_enough]
        self.rows = {word: self._rows_of(word) for word in self.words}

    def _rows_of(self, word: int) -> tuple[Ints, Ints, Ints]:
        """Regions of a word, its first hit and its number of hits in each."""
        own = self.slices[word]
        rows, first, counts = np.unique(self.hits.region[own], return_index=True, return_counts=True)
        return rows, first + own.start, counts

    def __iter__(self) -> Iterator[tuple[int, int, Ints, Ints, Ints, Ints]]:
        """Yield words a ≤ b, with first hits and numbers of hits of both in the regions they share."""
        n = len(self.hits.regions)
        for place, a in enumerate(self.words):
            first, count = np.zeros(n, np.int64), np.zeros(n, np.int64)
            rows, first[rows], count[rows] = self.rows[a][0], self.rows[a][1], self.rows[a][2]
            for b in self.words[place:]:
                shared, first_b, count_b = self.rows[b]
                both = count[shared] > (1 if a == b else 0)
                where = shared[both]
                yield a, b, first[where], count[where], first_b[both], count_b[both]

    def spacing(self, a: int, b: int, first_a: Ints, count_a: Ints, first_b: Ints, count_b: Ints) -> Spacing:
        """Count the distances of one pair of words; arguments as :meth:`__iter__` yields them."""
        reach = 2 * self.settings.max_distance + 1
        span = 2 * self.hits.length + 1
        pairs, once = np.zeros((4, reach), np.int64), np.zeros((4, reach), np.int64)
        nearest = np.zeros((5, reach), np.int64)
        places = np.zeros((2, 2, span), np.int64)  # word, strand, offset
        numbers = count_a * (count_a - 1) // 2 if a == b else count_a * count_b
        for low, high in _blocks(count_a * count_b, self.block_pairs):
            chosen = slice(low, high)
            row, one, two = _expand(first_a[chosen], count_a[chosen], first_b[chosen], count_b[chosen])
            if a == b:
                kept = one < two
                row, one, two = row[kept], one[kept], two[kept]
            self._count(row, one, two, a == b, (pairs, once, nearest, places))
        if a == b:
            places[0] += places[1]
            places[1] = places[0]
        free = free_positions(places, self.least_distance(a, b))
        share = alone_share = self._share(free, a, b)
        sizes = np.stack(np.unique(numbers, return_counts=True))
        both, regions = np.unique(np.stack([count_a, count_b]), axis=1, return_counts=True)
        leasts = self.least_distance(a, a), self.least_distance(a, b), self.least_distance(b, b)
        if (numbers > 1).any():
            free = alone_positions(places, both, regions, leasts, same=a == b)
            alone_share = self._share(free, a, b)
        exponents = close_exponents(free, both, leasts, self.settings.windows, same=a == b)
        together = np.vstack([both, regions])
        return Spacing(len(count_a), sizes, pairs, once, nearest, share, together, exponents, alone_share)

    def _count(
        self, row: Ints, one: Ints, two: Ints, same: bool, into: tuple[Ints, Ints, Ints, Ints]
    ) -> None:
        """Add pairs of hits (their regions ascending) to the counts of :meth:`spacing`."""
        pairs, once, nearest, places = into
        hits, reach = self.hits, pairs.shape[1]
        span = places.shape[2]
        for side, chosen in enumerate((one, two)):
            cell = (hits.strand[chosen] < 0) * span + hits.offset[chosen] + hits.length
            places[side] += np.bincount(cell, minlength=2 * span).reshape(2, span)
        distance = hits.offset[two] - hits.offset[one]
        orientation = orientations(hits.strand[one], hits.strand[two], distance, same)
        distance = np.abs(distance)
        near = distance < reach
        row, orientation, distance = row[near], orientation[near], distance[near]
        cell = orientation * reach + distance
        pairs += np.bincount(cell, minlength=pairs.size).reshape(pairs.shape)
        distinct = np.unique(row * pairs.size + cell)
        once += np.bincount(distinct % pairs.size, minlength=pairs.size).reshape(pairs.shape)
        for place in range(5):
            own = slice(None) if place == 4 else orientation == place
            key = row[own] * reach + distance[own]
            key.sort()
            first = np.diff(key // reach, prepend=-1) > 0
            nearest[place] += np.bincount(key[first] % reach, minlength=reach)

    def _share(self, free: Floats, a: int, b: int) -> Floats:
        """Shares of the pairs that the null expects at each orientation and distance."""
        reach = 2 * self.settings.max_distance + 1
        span, least = free.shape[2], self.least_distance(a, b)
        size = fft.next_fast_len(2 * span, real=True)
        spectra = fft.rfft(free, size, axis=2)
        counts = np.zeros((4, span))
        for u in range(2):
            for v in range(2):
                lags = fft.irfft(np.conj(spectra[0, u]) * spectra[1, v], size)
                counts[2 * u + v] += lags[:span]
                # word_b first: read on the other strand
                counts[2 * (1 - u) + 1 - v, 1:] += lags[-1:-span:-1]
        if a == b:
            counts[0] += counts[3]
            counts[3] = 0
        counts[:, :least] = 0
        counts[counts < ROUNDING * counts.sum()] = 0
        total = counts.sum()
        # Of short regions, no pair is as far apart as the settings allow.
        shares = np.zeros((4, reach))
        shares[:, : min(reach, span)] = counts[:, :reach]
        return shares / total if total else shares

    def least_distance(self, a: int, b: int) -> int:
        """Twice the least distance of centres at which hits share at most half of the narrower one."""
        width = self.hits.width
        return int(max(width[self.slices[a]].min(), width[self.slices[b]].min()))


def free_positions(places: Ints, least: int) -> Floats:
    """Positions that two words would have if they did not exclude each other from their own places.

    Quasi-independence: pairs drawn from the result, less those that are closer than ``least``, have the
    positions ``places`` (iterative proportional fitting).

    Parameters
    ----------
    places
        Positions in the pairs that are there, shape (2 words, 2 strands, span).
    least
        Least distance of the two words.
    """
    free = places.astype(float)
    free /= np.maximum(free.sum(axis=(1, 2), keepdims=True), 1)
    target = free.copy()
    span = places.shape[2]
    low, high = np.maximum(np.arange(span) - least + 1, 0), np.minimum(np.arange(span) + least, span)
    for _ in range(FITS):
        for one, other in ((0, 1), (1, 0)):
            running = np.concatenate([[0.0], np.cumsum(free[other].sum(axis=0))])
            left = running[-1] - running[high] + running[low]
            free[one] = target[one] / np.maximum(left, LEAST_LEFT)
            free[one] /= max(free[one].sum(), np.finfo(float).tiny)
    return free


def _blocks(numbers: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Consecutive regions with about ``most`` pairs of hits."""
    ends = np.flatnonzero(np.diff(np.cumsum(numbers) // most, prepend=0)) + 1
    bounds = np.unique(np.concatenate([[0], ends, [len(numbers)]]))
    yield from ((int(low), int(high)) for low, high in pairwise(bounds))


def _expand(first_a: Ints, count_a: Ints, first_b: Ints, count_b: Ints) -> tuple[Ints, Ints, Ints]:
    """Every pair of hits of every region: number of the region, hit of a, hit of b."""
    numbers = count_a * count_b
    row = np.repeat(np.arange(len(numbers)), numbers)
    within = np.arange(len(row)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    return row, first_a[row] + within // count_b[row], first_b[row] + within % count_b[row]


def orientations(strand_a: Ints, strand_b: Ints, distance: Ints, same: bool) -> Ints:
    """Index into ORIENTATIONS of pairs, read so that word_a comes first.

    Parameters
    ----------
    strand_a, strand_b
        1 or -1, shape (n,).
    distance
        From a to b, signed.
    same
        Whether both are one word, so that the pair reads alike from either end.
    """
    turn = np.where(distance < 0, -1, 1)
    # Where b comes first, the other strand has a first: both signs change.
    found = 2 * (turn * strand_a < 0) + (turn * strand_b < 0)
    return np.where(found == 3, 0, found) if same else found


def within_windows(share: Floats, widths: Ints) -> Floats:
    """Shares of pairs within windows (bp), in each orientation and in any: shape (5, W)."""
    return np.asarray(np.cumsum(np.vstack([share, share.sum(axis=0)]), axis=1)[:, 2 * widths])


def spacing_rows(spacing: Spacing, settings: SyntaxSettings) -> tuple[pd.DataFrame, dict[str, int]]:
    """Cells and windows of a pair that any region has, tested; and how many there were to test."""
    orientation, double = np.nonzero((spacing.once > 0) & (spacing.share > 0))
    cells = _tested(
        spacing,
        spacing.once[orientation, double],
        spacing.expected_regions(spacing.share[orientation, double]),
        np.array(ORIENTATIONS)[orientation],
        double / 2,
    )
    widths = np.array(settings.windows, dtype=np.int64)
    within = within_windows(spacing.share, widths)
    have = np.cumsum(spacing.nearest, axis=1)[:, 2 * widths]
    kind, window = np.nonzero((have > 0) & (within > 0))
    names = np.array([*ORIENTATIONS, "any"])[kind]
    expected = spacing.expected_in_windows(widths)[kind, window]
    windows = _tested(spacing, have[kind, window], expected, names, widths[window].astype(float))
    rows = pd.concat([cells.assign(test="spacing"), windows.assign(test="window")], ignore_index=True)
    return rows, {"spacing": int((spacing.share > 0).sum()), "window": int((within > 0).sum())}


def _tested(
    spacing: Spacing, observed: Ints, expected: Floats, orientation: NDArray[np.str_], distance: Floats
) -> pd.DataFrame:
    trials = spacing.regions
    return pd.DataFrame(
        {
            "orientation": orientation,
            "distance": distance,
            "observed": observed,
            "expected": expected,
            "odds": odds_of(observed, expected, trials),
            "p": at_least(observed, trials, expected / trials),
        }
    )


def co_occurrence(walk: PairWalk, both: dict[tuple[int, int], int]) -> pd.DataFrame:
    """Test whether words share more or fewer regions than chance (Fisher's exact test, two-sided).

    Parameters
    ----------
    walk
        The walk over pairs.
    both
        Regions that each pair shares; of a word with itself, regions with at least two hits: see
        :func:`_several`.
    """
    n = walk.hits.counted
    a, b = (np.array([pair[side] for pair in both], dtype=np.int64) for side in range(2))
    shared = np.array(list(both.values()), dtype=np.int64)
    regions = np.zeros(len(walk.hits.words), np.int64)
    for word in walk.words:
        regions[word] = len(walk.rows[word][0])
    one, two = regions[a], regions[b]
    expected = one * two / max(n, 1)
    upper = stats.hypergeom.sf(shared - 1, n, one, two)
    lower = stats.hypergeom.cdf(shared, n, one, two)
    p = np.minimum(1, 2 * np.minimum(upper, lower))
    table = np.stack([shared, one - shared, two - shared, n - one - two + shared]).astype(float)
    table += np.where((table == 0).any(axis=0), 0.5, 0.0)
    odds = table[0] * table[3] / (table[1] * table[2])
    same = a == b
    alone = _several(shared, one, n)
    expected, odds, p = (
        np.where(same, own, other) for own, other in zip(alone, (expected, odds, p), strict=True)
    )
    names = np.array(walk.hits.words, dtype=object)
    return pd.DataFrame(
        {
            "word_a": names[a],
            "word_b": names[b],
            "orientation": "any",
            "distance": np.nan,
            "observed": shared,
            "expected": expected,
            "odds": odds,
            "p": p,
            "q": adjust_p_values(p),
            "test": "regions",
        },
        columns=SYNTAX_COLUMNS,
    )


def _several(several: Ints, regions: Ints, n: int) -> tuple[Floats, Floats, Floats]:
    """Expected regions, odds and p of a word's regions with at least two of its hits.

    Hits put into regions at random have a Poisson distribution, whose mean follows from the regions without
    any. The p-value is the larger of the binomial one and the normal one, which knows that the mean is
    estimated (delta method): the first is right for few regions, the second for many.
    """
    empty = np.maximum(n - regions, 0.5) / max(n, 1)
    mean = -np.log(empty)
    share = np.maximum(1 - empty * (1 + mean), 0)
    variance = share * (1 - share) + mean**2 * (1 - empty) * empty - 2 * mean * share * empty
    gap = np.maximum(np.abs(several - n * share) - 0.5, 0)
    normal = special.erfc(gap / np.sqrt(2 * n * np.maximum(variance, 1e-300)))
    p = np.maximum(normal, two_sided(several, n, share))
    return n * share, odds_of(several, n * share, n), p
