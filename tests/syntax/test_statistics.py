"""Tails, odds and q-values agree with scipy's own."""

from __future__ import annotations

import numpy as np
import pytest
from cislex.errors import ConfigError
from cislex.multiple_testing import adjust_p_values
from cislex.syntax.settings import SyntaxSettings
from cislex.syntax.statistics import at_least, odds_of, two_sided
from scipy import stats


def test_tails_are_those_of_the_binomial_distribution() -> None:
    random = np.random.default_rng(0)
    n = random.integers(1, 200, 300)
    k, p = random.integers(0, n + 1), random.random(300)
    assert at_least(k, n, p) == pytest.approx(stats.binom.sf(k - 1, n, p), abs=1e-12)
    both = np.minimum(1, 2 * np.minimum(stats.binom.sf(k - 1, n, p), stats.binom.cdf(k, n, p)))
    assert two_sided(k, n, p) == pytest.approx(both, abs=1e-12)
    assert at_least([0, 5, 5], 5, [0.0, 1.0, 0.0]).tolist() == [1, 1, 0]


def test_tests_that_are_not_listed_count_in_q_values() -> None:
    p = np.array([0.04, 0.001, 0.2, 0.03])
    assert adjust_p_values(p) == pytest.approx(stats.false_discovery_control(p))
    whole = np.concatenate([p, np.ones(96)])
    assert adjust_p_values(p, tests=100) == pytest.approx(stats.false_discovery_control(whole)[:4])
    assert len(adjust_p_values(np.zeros(0), tests=10)) == 0


def test_odds_are_finite_where_a_count_is_zero() -> None:
    assert odds_of([50, 0, 100], [20, 20, 20], 100) == pytest.approx([4, 0.5 / 100.5 * 4, 100.5 / 0.5 * 4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_distance": 0}, "max_distance must be above 0; found 0"),
        ({"windows": (20, 200)}, r"windows must lie between 1 and max_distance \(150\); found \[200\]"),
        ({"shortest_period": 13.0}, "below longest_period"),
        ({"searched": 0}, "searched must be at least 1"),
    ],
)
def test_settings_that_cannot_be_used_are_a_named_error(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SyntaxSettings(**options)  # type: ignore[arg-type]
