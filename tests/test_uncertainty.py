"""Uncertainty is calibrated: on simulated folds and references, intervals cover and nulls are uniform."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cislex.errors import ConfigError, InputError
from cislex.uncertainty import (
    compare_hits,
    compare_sums,
    compare_words,
    further_fold_interval,
    standard_error,
    sum_error_bound,
    variance_components,
)
from scipy import stats

REFERENCES, BASES = 10, 4000


def simulate(folds: int, *, model: float, noise: float, seed: int = 0) -> np.ndarray:
    """Contributions (folds, references, bases): what bases are, what folds add, what each reference adds."""
    rng = np.random.default_rng(seed)
    trained = rng.normal(0, 1, BASES) + rng.normal(0, model, (folds, 1, BASES))
    return np.asarray(trained + rng.normal(0, noise, (folds, REFERENCES, BASES)))


@pytest.mark.parametrize("folds", [2, 5])
@pytest.mark.parametrize(("model", "noise"), [(0.5, 1.0), (0.1, 2.0), (0.7, 0.0)])
def test_an_interval_of_90_percent_covers_a_further_fold(folds: int, model: float, noise: float) -> None:
    means = simulate(folds + 1, model=model, noise=noise).mean(axis=1)
    low, high = further_fold_interval(means[:-1].mean(0), means[:-1].std(0), folds=folds)
    assert ((low <= means[-1]) & (means[-1] <= high)).mean() == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("folds", [2, 5])
def test_components_are_those_that_were_put_in(folds: int) -> None:
    y = simulate(folds, model=0.8, noise=1.5)
    spread = np.sqrt(y.var(axis=1, ddof=1).mean(axis=0))
    found = variance_components(y.mean(1).std(0), spread, folds=folds, references=REFERENCES)
    assert found.references.mean() == pytest.approx(1.5**2 / REFERENCES, rel=0.03)
    observed = y.mean(1).var(axis=0, ddof=1)
    np.testing.assert_allclose(found.model, np.maximum(observed - found.references, 0), atol=1e-12)
    assert (observed - found.references).mean() == pytest.approx(0.8**2, rel=0.08)
    pure = simulate(folds, model=0.0, noise=1.5)
    none = variance_components(pure.mean(1).std(0), pure.std(1, ddof=1).mean(0), folds=folds, references=10)
    assert (none.model == 0).mean() > 0.4, "noise alone is floored about half the time"


def test_the_error_of_a_sum_counts_that_bases_err_together() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 1, (6, 300, 1)) + rng.normal(0, 0.5, (6, 300, 8))
    own = rng.normal(0, 1, (6, 300, 8))
    for values, true in ((shared, np.sqrt(64 + 8 * 0.25)), (own, np.sqrt(8))):
        error = standard_error(values.sum(-1))
        assert np.sqrt((error**2).mean()) == pytest.approx(true / np.sqrt(6), rel=0.1)
        assert (error <= sum_error_bound(values.std(0), folds=6) + 1e-12).all()


@pytest.mark.parametrize("folds", [2, 5])
def test_p_values_of_hits_without_a_difference_are_uniform(folds: int) -> None:
    means = simulate(2 * folds, model=0.5, noise=1.0).mean(axis=1)
    table = compare_hits(means[:folds], means[folds:])
    assert stats.kstest(table["p"], "uniform").pvalue > 0.01
    np.testing.assert_allclose(
        table["p"], stats.ttest_rel(means[:folds], means[folds:]).pvalue, rtol=1e-8, atol=1e-12
    )


WIDTH, HITS = 8, 6000


def folds_of_both(rng: Any, depend: str, folds: tuple[int, int], *, shared: float) -> list[np.ndarray]:
    """What folds add to the contributions of both sides, to all bases and to each (folds, hits, bases)."""

    def draw(number: int) -> np.ndarray:
        alike = shared * rng.normal(0, 1, (number, HITS, 1))
        return np.asarray(alike + rng.normal(0, 1 - shared, (number, HITS, WIDTH)))

    first = draw(folds[0])
    if depend == "independent":
        return [first, 2 * draw(folds[1])]
    # Of one model: the side with fewer folds has the first ones of the other.
    sign = {"paired": 1, "opposed": -1}[depend]
    return [first, sign * first[: folds[1]] + 0.2 * draw(folds[1])]


@pytest.mark.parametrize("folds", [(2, 2), (5, 5), (5, 3), (2, 5)])
@pytest.mark.parametrize("shared", [0.0, 1.0], ids=["bases apart", "bases together"])
@pytest.mark.parametrize("depend", ["paired", "independent", "opposed"])
def test_sums_without_a_difference_are_called_no_more_often_than_they_may(
    depend: str, shared: float, folds: tuple[int, int]
) -> None:
    if depend != "independent" and folds[1] > folds[0]:
        folds = (folds[1], folds[0])
    both = folds_of_both(np.random.default_rng(7), depend, folds, shared=shared)
    errors = [sum_error_bound(side.std(axis=0), folds=len(side)) for side in both]
    means = [side.mean(axis=0).sum(axis=-1) for side in both]
    table = compare_sums(*means, first_error=errors[0], second_error=errors[1], folds=folds)
    for level in (0.01, 0.05, 0.2):
        assert (table["p"] <= level).mean() <= level + 2.5 * np.sqrt(level * (1 - level) / HITS)
    if folds[0] == folds[1] and depend != "independent":
        paired = compare_hits(*(side.sum(axis=-1) for side in both))
        assert (table["p"] >= paired["p"] - 1e-9).all()
        np.testing.assert_allclose(table["difference"], paired["difference"], atol=1e-9)


def test_the_bound_is_reached_where_folds_oppose_and_bases_err_together() -> None:
    fold = np.random.default_rng(8).normal(0, 1, (4, HITS, 1)) * np.ones(WIDTH)
    error = sum_error_bound(fold.std(axis=0), folds=4)
    mean = fold.mean(axis=0).sum(axis=-1)
    table = compare_sums(mean, -mean, first_error=error, second_error=error, folds=(4, 4))
    assert stats.kstest(table["p"], "uniform").pvalue > 0.01
    sums = fold.sum(axis=-1)
    np.testing.assert_allclose(table["p"], compare_hits(sums, -sums)["p"], rtol=1e-6)


def test_p_values_of_words_without_a_difference_are_uniform() -> None:
    rng = np.random.default_rng(3)
    words, regions = np.repeat(np.arange(300), 120), np.tile(np.repeat(np.arange(60), 2), 300)
    # Both hits of a region share most of their difference: counted twice, they would seem to be evidence.
    values = np.repeat(rng.normal(0, 1, 300 * 60), 2) + rng.normal(0, 0.1, 300 * 120)
    table = compare_words(values, words, regions)
    assert stats.kstest(table["p"], "uniform").pvalue > 0.01
    assert (table["regions"] == 60).all()
    assert (table["hits"] == 120).all()


def of_hits(rng: Any, different: np.ndarray) -> Any:
    first = rng.normal(0, 1, (5, len(different))) + 3.0 * different
    return compare_hits(first, rng.normal(0, 1, first.shape))


def of_words(rng: Any, different: np.ndarray) -> Any:
    words = np.repeat(np.arange(len(different)), 30)
    return compare_words(rng.normal(0, 1, len(words)) + 0.9 * different[words], words, np.arange(len(words)))


@pytest.mark.parametrize(("test", "number"), [(of_hits, 1000), (of_words, 80)])
def test_the_realised_false_discovery_rate_is_the_nominal_one(test: Any, number: int) -> None:
    rng, shares, power = np.random.default_rng(1), [], []
    for _ in range(15):
        different = rng.random(number) < 0.2
        found = test(rng, different)["q"].to_numpy() <= 0.1
        shares.append((found & ~different).sum() / max(1, found.sum()))
        power.append(found[different].mean())
    assert np.mean(shares) <= 0.1 + 0.02
    assert np.mean(power) > 0.3


def test_what_cannot_be_tested_has_no_p_value() -> None:
    values = [1.0] * 5 + [0.0] * 8 + [1.0] * 5 + [0.0] * 3
    table = compare_words(values, ["few"] * 5 + ["same"] * 8 + ["zeros"] * 8, np.arange(21))
    assert table["p"].isna().all()
    assert table["q"].isna().all()
    assert compare_words([], [], []).empty
    assert compare_words([1.0] * 6, ["tied"] * 6, np.arange(6))["p"].iloc[0] < 0.05
    equal = compare_hits([[1.0, 2.0], [1.0, 3.0]], [[1.0, 1.0], [1.0, 2.0]])
    assert equal["p"].iloc[0] == 1
    assert np.isnan(equal["p"].iloc[1])


def test_too_few_folds_and_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ConfigError, match="folds: found 1, expected at least 2"):
        further_fold_interval(0.0, 0.0, folds=1)
    with pytest.raises(ConfigError, match="level: found 90"):
        further_fold_interval(0.0, 1.0, folds=2, level=90)
    with pytest.raises(InputError, match="expected one"):
        compare_hits(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(ConfigError, match="folds: found 1, expected at least 2"):
        compare_sums([1.0], [0.0], first_error=[1.0], second_error=[1.0], folds=(1, 5))
    with pytest.raises(InputError, match="1 values that are not finite"):
        compare_words([np.nan], ["w"], ["r"])
