"""Agreement equals scipy's statistics; identical scores give 1; regions without variance are apart."""

from __future__ import annotations

import numpy as np
import pytest
from cislex.comparison.agreement import agreement, measures, pearson, quartiles, standardise
from cislex.errors import ConfigError
from scipy import spatial, stats

TOP = (3, 7)


def compare(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    found = agreement(standardise(a, TOP), standardise(b, TOP), TOP)
    return dict(zip(measures(TOP), found.T, strict=True))


@pytest.mark.parametrize("rounded", [6, 1], ids=["distinct", "ties"])
def test_statistics_are_those_of_scipy(rounded: int) -> None:
    rng = np.random.default_rng(0)
    a, b = (np.round(rng.normal(size=(5, 40)), rounded) for _ in range(2))
    found = compare(a, b)
    for i in range(5):
        assert found["pearson"][i] == pytest.approx(stats.pearsonr(a[i], b[i])[0], abs=1e-12)
        assert found["spearman"][i] == pytest.approx(stats.spearmanr(a[i], b[i])[0], abs=1e-12)
        assert found["cosine"][i] == pytest.approx(1 - spatial.distance.cosine(a[i], b[i]), abs=1e-12)


def test_identical_scores_agree_fully_and_scale_does_not_matter() -> None:
    a = np.random.default_rng(1).normal(size=(4, 30))
    for values in (*compare(a, a).values(), *compare(a, 1e-6 * a).values()):
        assert values == pytest.approx(1, abs=1e-12)
    assert compare(a, -a)["pearson"] == pytest.approx(-1)


def test_top_overlap_is_known_exactly() -> None:
    a = np.array([[9.0, -8, 7, 6, 5, 4, 3, 2, 1, 0]])
    b = np.array([[9.0, 0, 0, 6, 0, -8, 0, 0, 1, 2]])
    # 0, 1, 2 against 0, 3, 5; then 0 to 6 against 0, 3, 5, 8, 9 and of equal ones the first, 1 and 2.
    found = compare(a, b)
    assert found["top_3"][0] == pytest.approx(1 / 3)
    assert found["top_7"][0] == pytest.approx(5 / 7)


def test_a_region_without_variance_is_undefined_in_every_measure() -> None:
    a = np.random.default_rng(2).normal(size=(3, 12))
    b = a.copy()
    b[1] = 0.1
    found = compare(a, b)
    for values in found.values():
        assert np.isnan(values).tolist() == [False, True, False]
    assert quartiles(found["pearson"]) == pytest.approx((1, 1, 1))
    assert np.isnan(quartiles(np.array([np.nan]))).all()
    assert np.isnan(pearson(np.zeros((1, 4)), np.ones((1, 4))))[0]


def test_more_top_entries_than_scores_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"top: found 7; a region has 5 scores"):
        standardise(np.zeros((2, 5)), TOP)
