"""How likely hits of two words are not close to each other, where hits that overlap do not both count.

With n hits of one word and m of another in a region, the n m pairs are not independent: hits of a word that
exclude each other cover more places than hits drawn anew, and three hits of one word are close in other ways
than three pairs. Hits are placed by the words' own distributions, such that no two are closer than hits that
both count can be (a hard core). Of such arrangements from left to right, the share without a close pair
follows from running sums (a transfer matrix): to forbid what is close is a wider gap between neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cislex.syntax.placed_hits import Ints
from cislex.syntax.statistics import Floats

#: Positions along a region; hits of a word in a region: more of them behave as so many.
BINS = 100
MOST = 8
#: Less than this share of arrangements without overlaps: hits do not fit, and pairs are taken as independent.
FITTING = 1e-9
#: Exponent where no arrangement is without a close pair.
MANY = 1e9
#: Steps of the fit of positions, and the least share of one word's positions that the other is left.
FITS = 12
LEAST_LEFT = 1e-3
#: The fit ends once its last step moves less than this share of the positions.
FITTED = 1e-4


@dataclass(frozen=True)
class Gaps:
    """Least gaps between neighbours, twice the bp, each of shape (rows,): of a, a; a, b; b, a; and b, b."""

    aa: Floats
    ab: Floats
    ba: Floats
    bb: Floats


def close_exponents(
    free: Floats, counts: Ints, leasts: tuple[int, int, int], windows: tuple[int, ...], *, same: bool
) -> Floats:
    """As how many independent pairs the pairs of a region count.

    With a share π of pairs within a window, a region has none of them with probability (1 - π) ** exponent.

    Parameters
    ----------
    free
        Where the words' hits lie, were it not for each other: shape (2 words, 2 strands, span).
    counts
        Hits of both words in a region, shape (2, C).
    leasts
        Twice the least distance of two hits of a; of a and b; of b.
    windows
        Largest distances, bp.
    same
        Whether both are one word; ``counts`` are then equal.

    Returns
    -------
    numpy.ndarray
        Shape (5 orientations, windows, C), the last orientation is any.
    """
    pairs = (counts[0] * (counts[0] - 1) // 2 if same else counts[0] * counts[1]).astype(float)
    most = np.minimum(counts, MOST)
    one = np.full((2, 1), 2 if same else 1)
    if (pairs == 1).all() or not len(windows):
        return np.broadcast_to(pairs, (5, len(windows), len(pairs)))
    density, step = _binned(free)
    gaps = np.array(leasts) - 1.0, 2.0 * np.array(windows) + 1.0
    chances = _of_one_word if same else _of_two_words
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(chances(density, np.concatenate([one, most], axis=1), gaps[0], gaps[1], step))
        exponents = np.minimum(found[..., 1:] / found[..., :1], MANY)
    capped = most[0] * (most[0] - 1) / 2 if same else most[0] * most[1]
    # Nothing close, or no arrangement that fits: independent pairs.
    is_known = np.isfinite(found[..., :1]) & (found[..., :1] < 0) & ~np.isnan(exponents)
    return np.where(is_known, exponents, capped) * pairs / capped


def alone_positions(
    places: Ints, counts: Ints, regions: Ints, leasts: tuple[int, int, int], *, same: bool
) -> Floats:
    """Positions that each word's hits would have if there were no other hits, of either word.

    Each of the other hits in a region leaves a hit the places that it does not cover. Their numbers are
    means over the pairs of hits, as are the positions; the words' distributions are fitted in turns.

    Parameters
    ----------
    places
        Positions in the pairs that are there, shape (2 words, 2 strands, span).
    counts, regions
        Hits of both words in a region, shape (2, C), and how many regions have them.
    leasts, same
        See :func:`close_exponents`.
    """
    pairs = regions * (counts[0] * (counts[0] - 1) if same else counts[0] * counts[1])
    mean = (counts * pairs).sum(axis=1) / max(pairs.sum(), 1)
    target = places / np.maximum(places.sum(axis=(1, 2), keepdims=True), 1)
    alone = target.copy()
    for _ in range(FITS):
        before = alone.copy()
        for one, other in ((0, 1), (1, 0)):
            left = _left(alone[one], leasts[2 * one]) ** (mean[one] - 1)
            if not same:
                left = left * _left(alone[other], leasts[1]) ** mean[other]
            # The mean of two steps does not swing.
            alone[one] = np.sqrt(alone[one] * target[one] / left)
            alone[one] /= max(alone[one].sum(), np.finfo(float).tiny)
        if np.abs(alone - before).sum() < FITTED:
            break
    return np.asarray(alone)


def _left(positions: Floats, least: int) -> Floats:
    """Share of a word's positions that are at least so far from each place."""
    span = positions.shape[1]
    low, high = np.maximum(np.arange(span) - least + 1, 0), np.minimum(np.arange(span) + least, span)
    running = np.concatenate([[0.0], np.cumsum(positions.sum(axis=0))])
    return np.asarray(np.maximum(1 - running[high] + running[low], LEAST_LEFT))


def _binned(free: Floats) -> tuple[Floats, int]:
    """Sums over bins of one odd width, which read alike from either end; and that width."""
    used = np.flatnonzero(free.sum(axis=(0, 1)) > 0)
    free = free[:, :, used[0] : used[-1] + 1]
    span = free.shape[2]
    width = -(-span // BINS)
    width += 1 - width % 2
    bins = -(-span // width)
    bins += (bins * width - span) % 2
    padded = np.pad(free, ((0, 0), (0, 0), ((bins * width - span) // 2,) * 2))
    return padded.reshape(*free.shape[:2], bins, width).sum(axis=3), width


def _strands(most: int, share: float) -> Floats:
    """Probability that i of n hits lie on a strand that has this share of them: shape (n, i)."""
    n, i = np.arange(most + 1)[:, None], np.arange(most + 1)
    return np.asarray(special.binom(n, i) * share**i * (1 - share) ** np.maximum(n - i, 0) * (i <= n))


def _unit(density: Floats) -> Floats:
    return np.asarray(density / np.maximum(density.sum(axis=-1, keepdims=True), 1e-300))


def _share(apart: Floats, fitting: Floats) -> Floats:
    """Share of the arrangements that fit which have no close pair; NaN where hardly any fits."""
    return np.where(fitting > FITTING, apart / np.maximum(fitting, 1e-300), np.nan)


def _of_two_words(density: Floats, counts: Ints, leasts: Floats, wide: Floats, step: float) -> Floats:
    """No close pair, for each orientation and any, window and pair of counts: shape (5, W, C)."""
    w = len(wide)
    strands = density.sum(axis=2)
    strands = strands / np.maximum(strands.sum(axis=1, keepdims=True), 1e-300)
    # Rows: any (none wide, each window); then for each two strands none wide, a before b, b before a.
    unit, total = _unit(density), _unit(density.sum(axis=1))
    low, aa, bb = np.full(1, leasts[1]), leasts[0], leasts[2]
    ab = np.concatenate([low, wide, *[low, wide, np.full(w, leasts[1])] * 4])
    ba = np.concatenate([low, wide, *[low, np.full(w, leasts[1]), wide] * 4])
    gaps = Gaps(np.full(len(ab), aa), ab, ba, np.full(len(ab), bb))
    which = np.repeat(np.arange(4), 1 + 2 * w)
    sides = [
        np.concatenate([np.repeat(total[side][None], 1 + w, axis=0), unit[side][index]])
        for side, index in enumerate((which // 2, which % 2))
    ]
    found = _arrangements(sides[0], sides[1], gaps, _below(counts), step)
    base, rest = found[: 1 + w], found[1 + w :].reshape(4, 1 + 2 * w, *found.shape[1:])
    result = np.empty((5, w, counts.shape[1]))
    result[4] = _share(base[1:], base[:1])[:, counts[0], counts[1]]
    first, second = _share(rest[:, 1 : 1 + w], rest[:, :1]), _share(rest[:, 1 + w :], rest[:, :1])
    most = int(counts.max())
    on = [[_strands(most, share) for share in both] for both in strands]
    for place, (a, b) in enumerate(counts.T):
        for kind in range(4):
            s, t = kind // 2, kind % 2
            weight = np.outer(on[0][s][a, : a + 1], on[1][t][b, : b + 1])
            shares = first[kind][:, : a + 1, : b + 1] * second[3 - kind][:, a::-1, b::-1]
            result[kind, :, place] = np.where(weight > 0, shares * weight, 0).sum(axis=(1, 2))
    return result


def _below(counts: Ints) -> NDArray[np.bool_]:
    """Numbers of hits from which one of ``counts`` can be reached, shape (i + 1, j + 1)."""
    needed = np.zeros(counts.max(axis=1) + 1, dtype=bool)
    for a, b in counts.T:
        needed[: a + 1, : b + 1] = True
    return needed


def _of_one_word(density: Floats, counts: Ints, leasts: Floats, wide: Floats, step: float) -> Floats:
    """The same for a word with itself, whose two strands are arranged; ``--`` is ``++``."""
    w, strands = len(wide), density[0].sum(axis=1)
    strands = strands / max(strands.sum(), 1e-300)
    low, least = np.full(w, leasts[0]), np.full(1, leasts[0])
    # Rows: none wide; a before b; b before a; any; the same strand.
    aa = np.concatenate([least, low, low, wide, wide])
    gaps = Gaps(
        aa, np.concatenate([least, wide, low, wide, low]), np.concatenate([least, low, wide, wide, low]), aa
    )
    unit = _unit(density[0])
    sides = [np.repeat(unit[strand][None], len(aa), axis=0) for strand in range(2)]
    most = int(counts.max())
    needed = np.add.outer(np.arange(most + 1), np.arange(most + 1)) <= most
    found = _arrangements(sides[0], sides[1], gaps, needed, step)
    share = _share(found[1:], found[:1]).reshape(4, w, *found.shape[1:])
    result, on = np.empty((5, w, counts.shape[1])), _strands(most, strands[0])
    for place, n in enumerate(counts[0]):
        one = np.arange(n + 1)
        weight = on[n, : n + 1]
        alone = share[3][:, one, 0] * share[3][:, 0, n - one]
        for kind, shares in ((0, alone), (1, share[0]), (2, share[1]), (4, share[2])):
            own = shares if kind == 0 else shares[:, one, n - one]
            result[kind, :, place] = np.where(weight > 0, own * weight, 0).sum(axis=1)
    result[3] = result[0]
    return result


def _arrangements(one: Floats, other: Floats, gaps: Gaps, needed: NDArray[np.bool_], step: float) -> Floats:
    """Share of independent arrangements of i and j hits without two neighbours that are too close.

    Parameters
    ----------
    one, other
        Distributions over the bins of a and of b, shape (rows, bins).
    gaps
        Least gaps, and ``step`` of the bins in their units.
    needed
        Which i and j, shape (i + 1, j + 1); with each also all below.

    Returns
    -------
    numpy.ndarray
        Shape (rows, i + 1, j + 1).
    """
    rows, bins = one.shape
    before = {name: _Before(getattr(gaps, name) / step, bins) for name in ("aa", "ab", "ba", "bb")}
    result = np.zeros((rows, *needed.shape))
    result[:, 0, 0] = 1
    # Arrangements whose last hit is one of a, or of b, by its place: running sums, for each j.
    last_a: dict[int, Floats] = {}
    last_b: dict[int, Floats] = {}
    for i, j in np.argwhere(needed)[1:]:
        total = np.zeros(rows)
        nothing = 1.0 if i + j == 1 else 0.0
        # In the dictionaries, j - 1 is of this i, and j still of the i before.
        ends_a = i and _sum(nothing, (before["aa"], last_a, j), (before["ba"], last_b, j))
        ends_b = j and _sum(nothing, (before["ab"], last_a, j - 1), (before["bb"], last_b, j - 1))
        last_a[j], last_b[j] = _running(i * one * ends_a), _running(j * other * ends_b)
        total += last_a[j][:, -1] + last_b[j][:, -1]
        result[:, i, j] = total
    return result


def _sum(start: float, *ends: tuple[_Before, dict[int, Floats], int]) -> Floats | float:
    """Arrangements that may go on, by the place of the next hit."""
    return sum((before(last[j]) for before, last, j in ends if j in last), start)


def _running(values: Floats) -> Floats:
    """Running sums from 0, with one more zero in front."""
    return np.asarray(np.cumsum(np.pad(values, ((0, 0), (2, 0))), axis=1))


class _Before:
    """Of running sums, what lies at least ``gap`` bins before a place in each bin, at the mean over the bin.

    The two places are anywhere in their bins: of the bins at the edge, a part counts.
    """

    def __init__(self, gap: Floats, bins: int) -> None:
        whole = np.floor(gap).astype(np.int64)
        part = (gap - whole)[:, None]
        # Of two places in bins further apart than the gap by one or not at all, this share is far enough.
        further, same = 1 - part**2 / 2, (1 - part) ** 2 / 2
        self.shares = 1 - further, further - same, same
        place = np.arange(bins) - whole[:, None]
        first = np.arange(len(gap))[:, None] * (bins + 2)
        self.index = [first + (place + step).clip(-1) + 1 for step in (-1, 0, 1)]

    def __call__(self, running: Floats) -> Floats:
        flat = running.ravel()
        parts = (share * flat[index] for share, index in zip(self.shares, self.index, strict=True))
        return np.asarray(sum(parts))
