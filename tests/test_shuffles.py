"""Compiled shuffles draw what NumPy's Mersenne twister draws, on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from cislex.shuffles import fill_shuffles


def shuffled(codes: np.ndarray, seeds: list[int], n: int, *, both: bool, threads: int = 1) -> np.ndarray:
    """Codes of the shuffles, (N, n, L); what was in the array before must not matter."""
    out = np.full((len(codes), n, 4, codes.shape[1]), 7, dtype=np.uint8)
    fill_shuffles(codes, np.array(seeds), 0, codes.shape[1], both, out, threads=threads)
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
