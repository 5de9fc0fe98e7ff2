"""Negatives: each kind keeps its promise."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cislex.errors import ConfigError, InputError
from cislex.regions.genome import Genome
from cislex.regions.intervals import Intervals
from cislex.training.negatives import Negatives, match_gc, shuffle_codes
from cislex.training.peak_windows import draw_windows
from cislex.training.windows import WindowSettings

SETTINGS = WindowSettings(
    40, jitter=5, positive_distance=10, min_negative_distance=60, negatives_per_positive=2
)
PEAKS = {"a": {"c1": np.arange(200, 4000, 400)}, "b": {"c1": np.arange(400, 4000, 400)}}


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    letters = np.random.default_rng(0).choice(list("ACGT"), 4000)
    letters[1000:1040] = "N"
    path.write_text(">c1\n" + "".join(letters) + "\n")
    return Genome(path)


def draw(genome: Genome, **options: object):
    rng = np.random.default_rng(0)
    return draw_windows(genome, PEAKS, ["c1"], SETTINGS, split="train", rng=rng, **options)


def test_negatives_match_the_gc_content_of_positives() -> None:
    rng = np.random.default_rng(0)
    positive, candidate = rng.normal(0.55, 0.03, 200), rng.normal(0.4, 0.08, 20000)
    chosen = match_gc(positive, candidate, 400, rng)
    assert len(set(chosen.tolist())) == 400
    assert abs(candidate[chosen].mean() - positive.mean()) < 0.005
    assert abs(candidate[chosen].std() - positive.std()) < 0.01
    every = match_gc(positive, candidate[:50], 50, rng)
    assert sorted(every.tolist()) == list(range(50)), "far bins serve when the near ones are used up"


def pairs(codes: np.ndarray) -> Counter:
    return Counter(zip(codes[:-1].tolist(), codes[1:].tolist(), strict=True))


def test_a_shuffle_keeps_dinucleotides_ends_and_unknown_bases() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (50, 60)).astype(np.uint8)
    codes[::2, 20:25] = 4
    shuffled = shuffle_codes(codes, rng.integers(0, 2**31, 50), block=7)
    assert not np.array_equal(shuffled, codes)
    for before, after in zip(codes, shuffled, strict=True):
        assert pairs(before) == pairs(after)
        assert (before[0], before[-1]) == (after[0], after[-1])
        assert np.array_equal(before == 4, after == 4)
    again = shuffle_codes(codes[3:4], np.array([11]))
    assert np.array_equal(again[0], shuffle_codes(codes[:5], np.array([0, 1, 2, 11, 4]))[3]), (
        "rows stand alone"
    )


def test_shuffled_negatives_are_the_positives_shuffled(genome: Genome) -> None:
    windows = draw(genome, negatives=Negatives("shuffle"))
    assert windows.origin is not None
    positive = windows.origin == "peak"
    assert (windows.origin[~positive] == "shuffle").all()
    assert (~positive).sum() == 2 * positive.sum()
    assert not windows.labels[~positive].any()
    codes = dict(zip(windows.centre[positive], windows.codes[positive], strict=True))
    for centre, shuffled in zip(windows.centre[~positive], windows.codes[~positive], strict=True):
        assert pairs(codes[centre]) == pairs(shuffled)
        assert not np.array_equal(codes[centre], shuffled)
    assert set(Counter(windows.centre[~positive]).values()) == {2}, "every positive is shuffled as often"


def test_listed_negatives_are_those_of_the_file_that_are_usable(genome: Genome) -> None:
    listed = {"c1": np.array([10, 100, 190, 300, 500, 700, 1020, 3990])}
    avoid = {"c1": Intervals(np.array([520]), np.array([530]))}
    windows = draw(genome, negatives=Negatives("bed", "n.bed"), listed=listed, blacklist=avoid)
    assert windows.origin is not None
    # 10 and 3990 pass an end, 190 is near a peak, 500 touches the blacklist, 1020 is unknown sequence
    assert windows.centre[windows.origin == "bed"].tolist() == [100, 300, 700]
    many = {"c1": np.arange(260, 3900, 2)}
    chosen = draw(genome, negatives=Negatives("bed", "n.bed"), listed=many)
    assert chosen.origin is not None
    assert (chosen.origin == "bed").sum() == 2 * (chosen.origin == "peak").sum()


def test_classes_are_one_hot_with_a_background(genome: Genome) -> None:
    windows = draw(genome, background="rest")
    assert windows.tasks == ("rest", "a", "b")
    assert (windows.labels.sum(axis=2) == 1).all()
    assert windows.origin is not None
    still = windows.labels[:, SETTINGS.jitter]
    assert (still[windows.origin == "gc_matched", 0] == 1).all()
    near = {"a": {"c1": np.array([500, 1500])}, "b": {"c1": np.array([508, 2500])}}
    found = draw_windows(genome, near, ["c1"], SETTINGS, split="train", background="rest",
                         rng=np.random.default_rng(0))  # fmt: skip
    assert found.origin is not None
    assert found.centre[found.origin == "peak"].tolist() == [1500, 2500], (
        "two classes in one window: left out"
    )


def test_what_cannot_be_drawn_is_named(genome: Genome) -> None:
    with pytest.raises(InputError, match="0 places for negative windows"):
        draw(genome, negatives=Negatives("bed", "n.bed"), listed={"c2": np.array([5])})
    with pytest.raises(ConfigError, match="expected one of gc_matched, shuffle, bed, none"):
        Negatives("random")
    with pytest.raises(ConfigError, match="the others take none"):
        Negatives("shuffle", Path("n.bed"))
