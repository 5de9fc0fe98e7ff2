"""Several hits in a region: how many regions have a close pair by chance, where hits exclude each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cislex.syntax.crowding import close_exponents
from cislex.syntax.pairs import PairWalk
from cislex.syntax.placed_hits import PlacedHits, gives_way
from cislex.syntax.settings import SyntaxSettings
from numpy.typing import NDArray

WINDOWS = (20, 35, 50)
WIDTHS = {"a": 8, "b": 11}


def independent_hits(
    regions: int, length: int, spread: float, numbers: tuple[NDArray[np.int64], ...], seed: int
) -> PlacedHits:
    """Hits of two words around the centre (or anywhere), independent but for those that give way."""
    random = np.random.default_rng(seed)
    parts = []
    for word, (width, number) in enumerate(zip(WIDTHS.values(), numbers, strict=False)):
        region = np.repeat(np.arange(regions), number)
        start = random.normal((length - width) / 2, spread, len(region))
        start = np.rint(start) if spread else random.integers(0, length - width + 1, len(region))
        kept = (start >= 0) & (start + width <= length)
        region, offset = region[kept], 2 * start[kept] + width - 2 * (length // 2) - 1
        strand = random.choice([-1, 1], len(region))
        columns = [np.full(len(region), word), region, offset, strand, np.full(len(region), width)]
        parts.append(np.stack(columns).astype(np.int64))
    hits = np.concatenate(parts, axis=1)
    word, region, offset, strand, width = hits
    weight = random.random(len(word))
    kept = ~gives_way(region, offset - width, offset + width, weight, word, strand)
    order = np.lexsort((strand, offset, region, word))
    hits = hits[:, order[kept[order]]]
    table = pd.DataFrame({"chrom": ["c"] * regions})
    return PlacedHits(tuple(WIDTHS)[: len(numbers)], *hits, np.ones(hits.shape[1]), table, length, 0, 0)


@pytest.mark.parametrize("same", [True, False], ids=["itself", "another"])
def test_pairs_count_as_arrangements_drawn_at_random_say(same: bool) -> None:
    random, draws = np.random.default_rng(0), 40_000
    offsets = np.arange(-400, 401)
    density = np.exp(-0.5 * (offsets / 80) ** 2) * (offsets % 2 == 0)  # a standard deviation of 40 bp
    free = np.tile(density / density.sum() / 2, (2, 2, 1))
    counts = np.array([[2, 3, 4]] * 2 if same else [[1, 2, 3], [1, 1, 2]])
    leasts = (11, 11, 11) if same else (8, 11, 11)
    found = close_exponents(free, counts, leasts, WINDOWS, same=same)
    truth = np.empty((3, len(WINDOWS), 3))  # any, ++, +-
    for place, (n, m) in enumerate(counts.T):
        total = n if same else n + m
        x = np.rint(random.normal(0, 40, (draws, total)))
        plus = random.random((draws, total)) < 0.5
        is_b = np.arange(total) >= (total if same else n)
        one, two = np.triu_indices(total, 1)
        apart = 2 * np.abs(x[:, one] - x[:, two])
        least = np.where(is_b[one] != is_b[two], leasts[1], np.where(is_b[one], leasts[2], leasts[0]))
        x, plus = x[(apart >= least).all(axis=1)], plus[(apart >= least).all(axis=1)]
        mixed = np.full(len(one), True) if same else is_b[one] != is_b[two]
        one, two = one[mixed], two[mixed]
        turn = x[:, one] > x[:, two]  # read so that the first comes first
        first, second = plus[:, one] ^ turn, plus[:, two] ^ turn
        if same:
            left, right = (
                np.where(turn, plus[:, two], plus[:, one]),
                np.where(turn, plus[:, one], plus[:, two]),
            )
            kinds = [np.full(turn.shape, True), left == right, left & ~right]
        else:
            kinds = [np.full(turn.shape, True), first & second, first & ~second]
        for row, kind in enumerate(kinds):
            for window, width in enumerate(WINDOWS):
                close = kind & (np.abs(x[:, one] - x[:, two]) <= width)
                truth[row, window, place] = np.log(1 - close.any(axis=1).mean())
    expected = truth / truth[:, :, :1]
    assert found[[4, 0, 1]] == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(
    ("length", "spread", "hits", "words"),
    [(500, 0, 4, 1), (500, 0, 6, 1), (400, 40, None, 2), (400, 15, None, 2)],
    ids=["four anywhere", "six anywhere", "central", "very central"],
)
def test_regions_with_a_close_pair_are_as_many_as_expected(
    length: int, spread: float, hits: int | None, words: int
) -> None:
    regions, settings = 4000, SyntaxSettings(windows=WINDOWS)
    random = np.random.default_rng(1)
    numbers = tuple(
        np.full(regions, hits) if hits else random.poisson(1.2 if spread < 20 else 2.0, regions)
        for _ in range(words)
    )
    walk = PairWalk(independent_hits(regions, length, spread, numbers, seed=2), settings)
    for a, b, *where in walk:
        spacing = walk.spacing(a, b, *where)
        seen = np.cumsum(spacing.nearest, axis=1)[:, 2 * np.array(WINDOWS)]
        expected = spacing.expected_in_windows(np.array(WINDOWS))
        possible = expected > 0
        deviation = np.sqrt(expected * (1 - expected / spacing.regions))[possible]
        z = (seen - expected)[possible] / np.maximum(deviation, 1)
        assert np.abs(z).max() < 4
        assert abs(z.mean()) < 2
