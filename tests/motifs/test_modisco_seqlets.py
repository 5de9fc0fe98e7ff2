"""Seqlets extracted in blocks are those of modisco-lite, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cislex.motifs import modisco_seqlets
from cislex.motifs.modisco_seqlets import Seqlets, extract, subsample

SETTINGS = {
    "target_fdr": 0.05,
    "min_passing_windows_frac": 0.03,
    "max_passing_windows_frac": 0.2,
    "weak_threshold_for_counting_sign": 0.8,
}
SIZE, FLANK = 20, 5


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(0, 1, shape)


def heavy(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_t(1.5, shape)


def words(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    values = rng.normal(0.01, 0.1, shape)
    for row in range(0, shape[0], 3):
        place = int(rng.integers(0, shape[1] - 10))
        values[row, place : place + 10] += rng.choice([-1.0, 1.0, 2.0])
    return values


def mostly_zero(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.where(rng.random(shape) < 0.05, rng.normal(0, 1, shape), 0.0)


def few_values(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(0, 1, shape).round(1)


def skewed(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.exponential(1e-6, shape) - 9e-7


def from_the_library(contributions: np.ndarray) -> tuple[list[tuple[int, int]], float]:
    from modiscolite.extract_seqlets import extract_seqlets

    seqlets, threshold = extract_seqlets(
        contributions, window_size=SIZE, flank=FLANK, suppress=SIZE // 2 + FLANK, **SETTINGS
    )
    return [(int(s.example_idx), int(s.start)) for s in seqlets], float(threshold)


def in_blocks(contributions: np.ndarray) -> Seqlets:
    count, length = contributions.shape
    indices = subsample(count * (length + 1 - SIZE))
    return extract(contributions, indices, size=SIZE, flank=FLANK, settings=SETTINGS)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # modisco-lite itself divides by zero, and goes on
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        *((make, (90, 131)) for make in (normal, heavy, words, mostly_zero, few_values, skewed)),
        (words, (1, 101)),
        # More windows than the million from which modisco-lite takes its thresholds.
        (words, (2700, 400)),
    ],
)
def test_blocks_give_the_seqlets_and_the_threshold_of_the_library(
    make: Callable[[np.random.Generator, tuple[int, int]], np.ndarray],
    shape: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contributions = make(np.random.default_rng(3), shape).astype(np.float32)
    monkeypatch.setattr(modisco_seqlets, "BLOCK_WINDOWS", 3000 if shape[0] < 1000 else 1 << 18)
    expected, threshold = from_the_library(contributions)
    found = in_blocks(contributions)
    assert list(zip(found.rows.tolist(), found.starts.tolist(), strict=True)) == expected
    assert found.threshold == threshold
    assert found.width == SIZE + 2 * FLANK
    assert len(expected) > 0


def test_those_given_hold_the_first_of_each_sign() -> None:
    found = in_blocks(words(np.random.default_rng(0), (400, 200)).astype(np.float32))
    for cap in (1, 50, 10**6):
        used = found.used(cap)
        for sign in (1, -1):
            of_sign = np.flatnonzero(sign * found.sums > found.threshold)
            assert set(of_sign[:cap]) <= set(used)
    assert len(found.used(50)) < len(found.used(10**6)) <= len(found.sums)


def test_the_sample_is_that_of_the_library() -> None:
    from modiscolite.extract_seqlets import _subsample_indices

    count = 1_500_000
    expected = np.sort(_subsample_indices(count, modisco_seqlets.SUBSAMPLE))
    np.testing.assert_array_equal(subsample(count), expected)


@pytest.mark.parametrize(
    ("make", "positive", "negative"),
    [
        (lambda rng: np.abs(rng.normal(size=(300, 200))), True, False),
        (lambda rng: -np.abs(rng.normal(size=(300, 200))), False, True),
        (lambda rng: np.where((np.arange(200) // 10 == 9) * np.ones((300, 1)), 1.0, 0.0), True, False),
        (lambda rng: rng.integers(-1, 2, (300, 200)), True, True),
    ],
    ids=["never negative", "never positive", "zero outside motifs", "whole numbers"],
)
def test_a_sign_without_windows_or_draws_does_not_stop_the_search(
    make: Callable[[np.random.Generator], np.ndarray], positive: bool, negative: bool
) -> None:
    with np.errstate(all="ignore"):
        found = in_blocks(make(np.random.default_rng(0)).astype(np.float32))
    assert bool((found.sums > found.threshold).any()) == positive
    assert bool((found.sums < -found.threshold).any()) == negative
