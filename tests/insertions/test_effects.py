"""Means, intervals and p-values of differences, also where there is no spread to test them by."""

from __future__ import annotations

import numpy as np
import pytest
from cislex.insertions.effects import estimate
from scipy import stats

RANDOM = np.random.default_rng(0)


def test_spread_differences_have_the_p_value_and_interval_of_a_t_test() -> None:
    values = RANDOM.normal(0.3, 1.0, (12, 4))
    found, expected = estimate(values, 1e-9), stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


@pytest.mark.parametrize("n", [2, 3, 5, 30])
@pytest.mark.parametrize("noise", [0.0, 2e-7])
def test_differences_that_are_alike_have_the_p_value_of_the_sign_flip_test(n: int, noise: float) -> None:
    values = np.stack([np.full(n, -1.5) + noise * RANDOM.uniform(-1, 1, n), np.zeros(n)], axis=1)
    found = estimate(values, 1e-6)
    assert found.p.tolist() == [2.0 ** (1 - n), 1.0]
    if n < 6:  # all choices of signs
        signs = np.array(np.meshgrid(*[[-1, 1]] * n)).reshape(n, -1)
        means = np.abs((signs * 1.5).mean(axis=0))
        assert found.p[0] == (means >= 1.5).mean()


def test_a_single_difference_has_no_p_value() -> None:
    assert np.isnan(estimate(np.array([2.0])).p).all()
