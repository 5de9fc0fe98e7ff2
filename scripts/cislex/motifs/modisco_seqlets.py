"""TF-MoDISco's seqlets, extracted block by block: those of modisco-lite 3.0.0, in a tenth of its memory.

modisco-lite holds all windows of all regions several times in float64, sorted and not. Here only
contributions are held (4 bytes for each base); windows are made again in each of some ten passes over blocks
of regions. What modisco-lite takes from sorted windows are order statistics, which are found by counting: the
windows in each of some million intervals first, then those of the few intervals in which the ranks lie.
``tests/motifs/test_modisco_seqlets.py`` compares seqlets and threshold with modisco-lite's, bit for bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cislex.sequences.shuffles import compiled

#: Windows made at once (32 MB of float64).
BLOCK_WINDOWS = 1 << 22
#: modisco-lite's own: windows from which thresholds come, draws from the null, bins of its histograms.
SUBSAMPLE, NULL_DRAWS, BINS, SEED = 1_000_000, 10_000, 1000, 1234
PERCENTILES = np.array([5 * (x + 1) for x in range(19)])
#: Bits of a float64 that name its interval: sign, exponent, and the first of the mantissa.
INTERVAL_BITS = 22
_SHIFT, _HALF = 64 - INTERVAL_BITS, 1 << (INTERVAL_BITS - 1)

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Seqlets:
    """Seqlets in the order in which modisco-lite finds them.

    Parameters
    ----------
    rows, starts
        int64 (n,): the row of the contributions, and the first base with its flank.
    sums, sizes
        float32 (n,): sums over a seqlet without its flanks, of contributions and of absolute ones.
    width
        Bases of a seqlet with its flanks.
    threshold
        Absolute sum above which a seqlet has a sign. Of numpy's type: a Python float would be rounded to
        float32 where it is compared with sums, many of which may be equal to it.
    """

    rows: Integers
    starts: Integers
    sums: Array
    sizes: Array
    width: int
    threshold: np.float64

    def used(self, cap: int) -> NDArray[np.intp]:
        """Which seqlets TF-MoDISco needs to be given, if it uses the first ``cap`` of each sign.

        It adds in another order, so those whose sum is within rounding of the threshold are given, too.
        """
        slack = 1e-5 * self.sizes.astype(np.float64)
        kept = np.zeros(len(self.sums), dtype=bool)
        for signed in (self.sums.astype(np.float64), -self.sums.astype(np.float64)):
            certain = np.cumsum(signed > self.threshold + slack)
            kept |= (signed > self.threshold - slack) & (certain <= cap)
        return np.flatnonzero(kept)

    def compact(self, cap: int) -> tuple[Seqlets, Integers]:
        """The seqlets that are :meth:`used`, with rows among the regions that have any; and these regions."""
        kept = self.used(cap)
        regions, rows = np.unique(self.rows[kept], return_inverse=True)
        starts, sums, sizes = self.starts[kept], self.sums[kept], self.sizes[kept]
        given = dataclasses.replace(self, rows=rows.astype(np.int64), starts=starts, sums=sums, sizes=sizes)
        return given, regions


def subsample(count: int) -> Integers:
    """Flat indices of the windows that modisco-lite draws of so many, sorted; all of them where they are few.

    Takes 4 bytes for each window while it runs, so call it before the contributions are read.
    """
    if count <= SUBSAMPLE:
        return np.arange(count)
    # The numbers that the generator draws do not depend on the type of what is shuffled.
    order = np.arange(count, dtype=np.int32 if count < 2**31 else np.int64)
    np.random.RandomState(SEED).shuffle(order)
    return np.sort(order[:SUBSAMPLE]).astype(np.int64)


def extract(
    contributions: Array, drawn: Integers, *, size: int, flank: int, settings: Mapping[str, float]
) -> Seqlets:
    """The seqlets of ``modiscolite.extract_seqlets.extract_seqlets``, and its threshold.

    Parameters
    ----------
    contributions
        float32 (N, L) of the observed bases, finite.
    drawn
        What :func:`subsample` gives for ``N * (L + 1 - size)`` windows.
    size, flank
        Width of the window that is scored, and bases added at both its sides.
    settings
        ``target_fdr``, ``min_passing_windows_frac``, ``max_passing_windows_frac`` and
        ``weak_threshold_for_counting_sign`` of modisco-lite.
    """
    from modiscolite import extract_seqlets as library

    windows = _Windows(contributions, size)
    ordered = _Ordered(windows)
    null = _laplacian_null(windows, ordered)
    values = library._split(windows.take(drawn))
    fdr = settings["target_fdr"]
    thresholds = [
        _threshold(found, drawn_null, increasing=increasing, fdr=fdr)
        for found, drawn_null, increasing in zip(values, null, (True, False), strict=True)
    ]
    upper, lower = library._refine_thresholds(
        vals=np.concatenate(values, axis=0),
        pos_threshold=thresholds[0],
        neg_threshold=thresholds[1],
        min_passing_windows_frac=settings["min_passing_windows_frac"],
        max_passing_windows_frac=settings["max_passing_windows_frac"],
    )
    below = windows.count_smaller([abs(upper), abs(lower)])
    shares = [np.sign(t) * n / windows.count for t, n in zip((upper, lower), below, strict=True)]
    weak = min(min(shares[0], abs(shares[1])) - 0.0001, settings["weak_threshold_for_counting_sign"])
    threshold = ordered.absolute(int(weak * windows.count))
    rows, starts, sums, sizes = [], [], [], []
    for first, tracks in windows.blocks():
        taken, per_row = _peaks(tracks, upper, lower, flank, size // 2 + flank)
        row, start = first + np.repeat(np.arange(len(tracks)), per_row), taken - flank
        bases = contributions[row[:, None], start[:, None] + flank + np.arange(size)]
        rows.append(row)
        starts.append(start)
        sums.append(bases.sum(axis=1))
        sizes.append(np.abs(bases).sum(axis=1))
    joined = [np.concatenate(parts) for parts in (rows, starts, sums, sizes)]
    return Seqlets(joined[0], joined[1], joined[2], joined[3], size + 2 * flank, threshold)


def _threshold(values: Doubles, null: Doubles, *, increasing: bool, fdr: float) -> float:
    """modisco-lite's threshold of one sign, from windows and draws in ascending order of their size.

    It stops where no window or no draw has the sign, or where no window passes. Here none passes then, or
    without draws all; of these modisco-lite takes the strongest (``min_`` and ``max_passing_windows_frac``).
    """
    from modiscolite import extract_seqlets as library

    nothing = np.inf if increasing else -np.inf
    if not len(values):
        return nothing
    if not len(null):
        return float(values[0])
    try:
        return float(library._isotonic_thresholds(values, null, increasing=increasing, target_fdr=fdr))
    except IndexError:
        return nothing


@compiled
def _peaks(
    tracks: Doubles, upper: float, lower: float, flank: int, suppress: int
) -> tuple[Integers, Integers]:
    """Windows that modisco-lite's ``_iterative_extract_seqlets`` takes, in its order; how many of each row.

    The strongest window beyond a threshold is taken, the first of equals; those around it are passed over.
    """
    count, length = tracks.shape
    taken = np.empty(count * (length // (suppress + 1) + 1), np.int64)
    per_row = np.zeros(count, np.int64)
    scores = np.empty(length)
    total = 0
    for row in range(count):
        for place in range(length):
            value = tracks[row, place]
            inside = flank <= place < length - flank
            scores[place] = abs(value) if inside and (value >= upper or value <= lower) else -np.inf
        while True:
            best = 0
            for place in range(1, length):
                if scores[place] > scores[best]:
                    best = place
            if scores[best] == -np.inf:
                break
            taken[total] = best
            total += 1
            per_row[row] += 1
            scores[max(best - suppress, 0) : min(best + suppress + 1, length)] = -np.inf
    return taken[:total], per_row


class _Windows:
    """Sums of contributions of every window, as modisco-lite's ``_smooth`` has them, a block at a time."""

    def __init__(self, contributions: Array, size: int) -> None:
        self.contributions, self.size = contributions, size
        self.per_row = contributions.shape[1] + 1 - size
        self.count = len(contributions) * self.per_row

    def blocks(self) -> Iterator[tuple[int, Doubles]]:
        """First row of a block, and its windows (n, L + 1 - size)."""
        step = max(1, BLOCK_WINDOWS // self.per_row)
        for first in range(0, len(self.contributions), step):
            block = self.contributions[first : first + step]
            # Added up in float32, as there: differences of these sums are what modisco-lite compares.
            sums = np.zeros((len(block), block.shape[1] + 1), np.float32)
            np.cumsum(block, axis=1, out=sums[:, 1:])
            yield first, np.subtract(sums[:, self.size :], sums[:, : -self.size], dtype=np.float64)

    def take(self, indices: Integers) -> Doubles:
        """Windows at sorted flat indices."""
        found = []
        for first, tracks in self.blocks():
            begin = first * self.per_row
            start, stop = np.searchsorted(indices, (begin, begin + tracks.size))
            found.append(tracks.ravel()[indices[start:stop] - begin])
        return np.concatenate(found)

    def count_smaller(self, limits: list[float]) -> list[int]:
        """Windows whose absolute value is below each limit."""
        counts = [0] * len(limits)
        for _, tracks in self.blocks():
            size = np.abs(tracks)
            counts = [
                n + int(np.count_nonzero(size < limit)) for n, limit in zip(counts, limits, strict=True)
            ]
        return counts

    def mode(self) -> float:
        """Middle of the fullest bin of the fullest bin, as modisco-lite's ``_bin_mode`` finds it twice."""
        edges = (-np.inf, np.inf)
        for _ in range(2):
            edges = self._fullest_bin(*edges)
        return float((edges[0] + edges[1]) / 2)

    def _fullest_bin(self, above: float, below: float) -> tuple[float, float]:
        def inside() -> Iterator[Doubles]:
            for _, tracks in self.blocks():
                yield tracks[(above < tracks) & (tracks < below)]

        found = [(part.min(), part.max()) for part in inside() if part.size]
        if not found:
            _, edges = np.histogram(np.empty(0), bins=BINS)
            return edges[0], edges[1]
        ends = min(low for low, _ in found), max(high for _, high in found)
        counts = np.zeros(BINS, dtype=np.int64)
        for part in inside():
            count, edges = np.histogram(part, bins=BINS, range=ends)
            counts += count
        peak = int(np.argmax(counts))
        return edges[peak], edges[peak + 1]


def _intervals(values: Doubles) -> Integers:
    """The interval of every value; intervals are in the order of the values."""
    # Adding 0 makes negative zeros positive: they are equal.
    bits: Integers = (values + 0.0).view(np.int64)
    # Bits of negative floats run backwards.
    return (((bits ^ ((bits >> 63) & np.int64(2**63 - 1))) >> _SHIFT) + _HALF).ravel()


class _Ordered:
    """Order statistics of all windows, and of their absolute values."""

    def __init__(self, windows: _Windows) -> None:
        self.windows = windows
        self.counts = np.zeros(2 * _HALF, dtype=np.int64)
        for _, tracks in windows.blocks():
            self.counts += np.bincount(_intervals(tracks), minlength=2 * _HALF)

    def values(self, ranks: Integers) -> Doubles:
        """Windows of these ranks, counted from 0 in ascending order."""
        return self._select(self.counts, ranks, absolute=False)

    def absolute(self, rank: int) -> np.float64:
        """The absolute value of this rank; negative ranks count from the end."""
        # The interval of −x is the mirror image of that of x.
        counts = self.counts.copy()
        counts[_HALF:] += counts[_HALF - 1 :: -1]
        counts[:_HALF] = 0
        return np.float64(self._select(counts, np.array([rank % self.windows.count]), absolute=True)[0])

    def _select(self, counts: Integers, ranks: Integers, *, absolute: bool) -> Doubles:
        upto = np.cumsum(counts)
        places = np.searchsorted(upto, ranks, side="right")
        wanted = np.zeros(len(counts), dtype=bool)
        wanted[places] = True
        parts, numbers = [], []
        for _, tracks in self.windows.blocks():
            tracks = np.abs(tracks) if absolute else tracks
            # Equal values, such as many zeros, are held once.
            part, number = np.unique(tracks.ravel()[wanted[_intervals(tracks)]], return_counts=True)
            parts.append(part)
            numbers.append(number)
        values, number = np.concatenate(parts), np.concatenate(numbers)
        order = np.argsort(values, kind="stable")
        values, held = values[order], np.cumsum(number[order])
        # Ranks among the values that are held: those of other intervals are left out.
        before = (upto - counts)[places] - np.cumsum(np.where(wanted, counts, 0))[places] + counts[places]
        return values[np.searchsorted(held, ranks - before, side="right")]


def _percentiles(ordered: _Ordered, first: int, count: int, percentiles: Integers) -> Doubles:
    """``np.percentile`` of the ``count`` windows from rank ``first`` on, by numpy's linear method."""
    virtual = (count - 1) * np.true_divide(percentiles, 100)
    previous = np.floor(virtual).astype(np.int64)
    following = np.minimum(previous + 1, count - 1)
    share = virtual - previous
    a, b = np.split(ordered.values(first + np.concatenate([previous, following])), 2)
    gap = b - a
    return np.where(share >= 0.5, b - gap * (1 - share), a + gap * share)


def _laplacian_null(windows: _Windows, ordered: _Ordered) -> tuple[Doubles, Doubles]:
    """Draws from a two-sided Laplace distribution around the mode: modisco-lite's ``_laplacian_null``."""
    mu = windows.mode()
    at_most = at_least = 0
    for _, tracks in windows.blocks():
        at_most += int(np.count_nonzero(tracks <= mu))
        at_least += int(np.count_nonzero(tracks >= mu))
    upper = _percentiles(ordered, windows.count - at_least, at_least, PERCENTILES)
    lower = _percentiles(ordered, 0, at_most, 100 - PERCENTILES)
    quantiles = -np.log(1 - (PERCENTILES / 100.0))
    rate_above = np.max(quantiles / (upper - mu))
    rate_below = np.max(quantiles / (np.abs(lower - mu)))
    rng: Any = np.random.RandomState(SEED)
    share = float(at_least) / (at_least + at_most)
    uniforms = rng.uniform(size=(NULL_DRAWS, 2))
    drawn = np.where(
        uniforms[:, 0] < share,
        -np.log(1 - uniforms[:, 1]) / rate_above + mu,
        mu + np.log(1 - uniforms[:, 1]) / rate_below,
    )
    return drawn[drawn >= 0], drawn[drawn < 0]
