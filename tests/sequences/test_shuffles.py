"""Compiled shuffles draw what NumPy's Mersenne twister draws, on any number of threads."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from cislex.sequences.shuffles import fill_shuffles
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2


def shuffled(
    codes: np.ndarray, seeds: list[int], n: int, *, both: bool, threads: int = 1, uniform: bool = False
) -> np.ndarray:
    """Codes of the shuffles, (N, n, L); what was in the array before must not matter."""
    out = np.full((len(codes), n, 4, codes.shape[1]), 7, dtype=np.uint8)
    fill_shuffles(codes, np.array(seeds), 0, codes.shape[1], both, out, threads=threads, uniform=uniform)
    assert set(np.unique(out)) <= {0, 1}
    return np.where(out.any(2), out.argmax(2), 4)


def random_codes(n: int, length: int, bases: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, bases, (n, length)).astype(np.uint8)


@pytest.mark.parametrize("length", [1, 2, 3, 9, 64, 700])
@pytest.mark.parametrize("seed", [0, 5, 2**31 - 3, 2**32 - 3])
def test_a_shuffle_of_bases_is_that_of_numpy(length: int, seed: int) -> None:
    codes = random_codes(2, length, bases=5)
    found = shuffled(codes, [seed, seed + 7], 3, both=False)
    for i, row in enumerate(codes):
        for k in range(3):
            expected, known = row.copy(), row[row != 4]
            np.random.RandomState((seed + 7 * i + k) % 2**32).shuffle(known)
            expected[row != 4] = known
            np.testing.assert_array_equal(found[i, k], expected)


@pytest.mark.parametrize("seed", [0, 2**32 - 2])
def test_a_shuffle_of_dinucleotides_follows_lists_shuffled_by_numpy(seed: int) -> None:
    codes = random_codes(1, 300)
    for k, found in enumerate(shuffled(codes, [seed], 4, both=True)[0]):
        random = np.random.RandomState((seed + k) % 2**32)
        exits = [codes[0, 1:][codes[0, :-1] == base] for base in range(4)]
        for following in exits:
            random.shuffle(following[:-1])
        lists, walk = [list(following) for following in exits], [codes[0, 0]]
        while lists[walk[-1]]:
            walk.append(lists[walk[-1]].pop(0))
        np.testing.assert_array_equal(found, walk)


def all_shuffles(text: str) -> list[str]:
    """Every sequence with the first base and the dinucleotide counts of another."""
    left = Counter(itertools.pairwise(text))
    found: list[str] = []

    def go_on(so_far: str) -> None:
        if len(so_far) == len(text):
            found.append(so_far)
        for base in "ACGT":
            if left[so_far[-1], base]:
                left[so_far[-1], base] -= 1
                go_on(so_far + base)
                left[so_far[-1], base] += 1

    go_on(text[0])
    return found


@pytest.mark.parametrize(
    "text",
    ["ACAGATA", "ACGTACGTA", "AACCAACCA", "ACGATCAGT", "GATTACAGAT", "CCCCCCCCACCG", "ACGT", "AAAA", "C"],
)
def test_uniform_shuffles_are_all_shuffles_equally_often(text: str) -> None:
    possible = all_shuffles(text)
    codes = np.array([["ACGT".index(base) for base in text]], np.uint8)
    n = 60 * len(possible)
    drawn = shuffled(codes, [11], n, both=True, uniform=True)[0]
    counts = Counter("".join("ACGT"[code] for code in row) for row in drawn)
    assert set(counts) <= set(possible)
    expected = n / len(possible)
    statistic = sum((counts[one] - expected) ** 2 / expected for one in possible)
    assert statistic <= chi2.ppf(0.999, max(len(possible) - 1, 1))


def test_fixed_exits_reach_a_part_of_the_shuffles() -> None:
    text = "GATCTACAGATC"
    codes = np.array([["ACGT".index(base) for base in text]], np.uint8)
    fixed = {tuple(row) for row in shuffled(codes, [0], 5000, both=True)[0].tolist()}
    assert len(fixed) < len(all_shuffles(text)) / 2
    assert {row[-2] for row in fixed} == {codes[0, -2]}


@given(st.text("ACGTN", min_size=1, max_size=70), st.integers(0, 2**31 - 1), st.data())
@settings(max_examples=150, deadline=None)
def test_uniform_shuffles_keep_dinucleotides_ends_and_unknown_bases(
    text: str, seed: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    codes = np.array([["ACGTN".index(base) for base in text]], np.uint8)
    out = np.full((1, 2, 4, len(text)), 7, dtype=np.uint8)
    fill_shuffles(codes, np.array([seed]), start, end, True, out, uniform=True)
    for row in np.where(out.any(2), out.argmax(2), 4)[0]:
        made = "".join("ACGTN"[code] for code in row)
        assert made[:start] + made[end:] == text[:start] + text[end:]
        assert [base == "N" for base in made] == [base == "N" for base in text]
        inside, before = made[start:end], text[start:end]
        assert Counter(itertools.pairwise(inside)) == Counter(itertools.pairwise(before))
        assert (inside[0], inside[-1]) == (before[0], before[-1])


@pytest.mark.parametrize("both", [True, False])
def test_the_number_of_threads_changes_nothing(both: bool) -> None:
    codes = random_codes(3, 2000, bases=5)
    one = shuffled(codes, [1, 2, 3], 151, both=both)
    assert one.size > 3 << 18, "too small for three threads"
    for threads in (2, 3, 8):
        np.testing.assert_array_equal(shuffled(codes, [1, 2, 3], 151, both=both, threads=threads), one)


def test_no_other_generator_is_touched() -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    shuffled(random_codes(2, 50), [1, 2], 3, both=True)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index,union-attr]
