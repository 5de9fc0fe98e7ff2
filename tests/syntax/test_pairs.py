"""Pairs: what the null expects is what shuffled partners show."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from cislex.syntax.pairs import PairWalk, Spacing, free_positions, orientations
from cislex.syntax.placed_hits import PlacedHits, place_hits
from cislex.syntax.settings import ORIENTATIONS, SyntaxSettings
from syntax_fixtures import PlantedHits


def walk_of(planted: PlantedHits, folder: Path, **options: int) -> PairWalk:
    hits = place_hits(*planted.write(folder))
    return PairWalk(hits, SyntaxSettings(max_distance=60, windows=(20, 60)), **options)


def spacing_of(walk: PairWalk, word_a: str, word_b: str) -> Spacing:
    for a, b, *where in walk:
        if (walk.hits.words[a], walk.hits.words[b]) == (word_a, word_b):
            return walk.spacing(a, b, *where)
    raise AssertionError


def crowded(count: int = 120, *, apart: bool = False) -> PlantedHits:
    """Two words, each with its own preferred places and strands, several times in a region.

    ``apart``: of width 2, so that next to none gives way.
    """
    random = np.random.default_rng(8)
    planted = PlantedHits(count, length=200, minus=0.5)
    for word, places in {"a": (40, 90, 95), "b": (60, 110)}.items():
        rows = random.integers(count, size=3 * count)
        starts = random.choice(places, size=len(rows)) + random.integers(0, 12, len(rows))
        strands = random.choice([-1, 1], size=len(rows), p=[0.3, 0.7])
        planted.add(word, rows, starts, strands, width=2 if apart else 10)
    return planted


def by_hand(hits: PlacedHits, word_a: int, word_b: int) -> dict[tuple[str, int], tuple[int, int]]:
    """Pairs and regions for each orientation and doubled distance, pair by pair."""
    pairs: dict[tuple[str, int], list[int]] = {}
    for one in np.flatnonzero(hits.word == word_a):
        for two in np.flatnonzero((hits.word == word_b) & (hits.region == hits.region[one])):
            if word_a == word_b and one >= two:
                continue
            distance = int(hits.offset[two] - hits.offset[one])
            turn = 1 if distance > 0 else -1
            text = "".join("+" if turn * hits.strand[hit] > 0 else "-" for hit in (one, two))
            text = "++" if word_a == word_b and text == "--" else text
            pairs.setdefault((text, abs(distance)), []).append(int(hits.region[one]))
    return {key: (len(rows), len(set(rows))) for key, rows in pairs.items()}


@pytest.mark.parametrize("words", [("a", "b"), ("a", "a")])
@pytest.mark.parametrize("block_pairs", [7, 10**6])
def test_counts_are_those_of_every_pair_taken_alone(
    tmp_path: Path, words: tuple[str, str], block_pairs: int
) -> None:
    walk = walk_of(crowded(), tmp_path, block_pairs=block_pairs)
    spacing = spacing_of(walk, *words)
    truth = by_hand(walk.hits, *(walk.hits.words.index(word) for word in words))
    near = {key: value for key, value in truth.items() if key[1] <= 120}
    found = {
        (ORIENTATIONS[o], int(d)): (int(spacing.pairs[o, d]), int(spacing.once[o, d]))
        for o, d in zip(*np.nonzero(spacing.pairs), strict=True)
    }
    assert found == near
    assert spacing.per_region[0] @ spacing.per_region[1] == sum(pairs for pairs, _ in truth.values())


def test_expected_pairs_are_the_mean_over_shuffled_partners(tmp_path: Path) -> None:
    walk = walk_of(crowded(apart=True), tmp_path)
    hits, spacing = walk.hits, spacing_of(walk, "a", "b")
    pairs = [
        (one, two)
        for one in np.flatnonzero(hits.word == 0)
        for two in np.flatnonzero((hits.word == 1) & (hits.region == hits.region[one]))
    ]
    one, two = np.array(pairs).T
    # Every hit of a that is in a pair, with every partner of any pair.
    distance = hits.offset[two][None, :] - hits.offset[one][:, None]
    shape = distance.shape
    strand_a = np.broadcast_to(hits.strand[one][:, None], shape)
    kind = orientations(strand_a, np.broadcast_to(hits.strand[two], shape), distance, False)
    allowed = np.abs(distance) >= walk.least_distance(0, 1)
    for place in range(4):
        counts = np.bincount(np.abs(distance)[allowed & (kind == place)], minlength=121)[:121]
        share = counts / allowed.sum()
        assert np.abs(spacing.share[place] - share).max() < 0.02 * share.max()
        assert ((spacing.share[place] > 0) == (share > 0)).all()


def test_free_positions_less_the_close_pairs_have_the_observed_positions() -> None:
    span, least = 120, 15
    true = np.exp(-0.5 * ((np.arange(span) - 60) / 20) ** 2)
    joint = np.outer(true, true)
    apart = np.abs(np.subtract.outer(np.arange(span), np.arange(span))) >= least
    joint *= apart
    seen = np.zeros((2, 2, span))
    seen[0, 0], seen[1, 1] = joint.sum(axis=1), joint.sum(axis=0)
    free = free_positions(np.rint(1e7 * seen).astype(np.int64), least)
    assert free[0, 0] == pytest.approx(true / true.sum(), rel=0.02, abs=1e-5)
    assert free[1, 1] == pytest.approx(true / true.sum(), rel=0.02, abs=1e-5)


def test_expected_regions_count_a_region_once() -> None:
    zeros = np.zeros((4, 3), np.int64)
    sizes = np.array([[1, 3], [10, 20]])
    together, exponents = np.array([[1], [1], [30]]), np.ones((5, 1, 1))
    share = np.zeros((4, 3))
    spacing = Spacing(30, sizes, zeros, zeros, zeros, share, together, exponents, share)
    assert spacing.expected_regions(np.array([0.5])) == pytest.approx([10 * 0.5 + 20 * (1 - 0.5**3)])
    assert spacing.expected_regions(np.array([0.0, 1.0])) == pytest.approx([0, 30])


def test_every_pair_of_words_is_walked_once_and_rare_words_are_not(tmp_path: Path) -> None:
    planted = crowded()
    planted.add("rare", np.arange(19), np.full(19, 150), np.ones(19, int))
    walk = walk_of(planted, tmp_path)
    assert [tuple(walk.hits.words[word] for word in pair[:2]) for pair in walk] == [
        ("a", "a"),
        ("a", "b"),
        ("b", "b"),
    ]
    assert all(low <= high for low, high in pairwise(walk.words))
