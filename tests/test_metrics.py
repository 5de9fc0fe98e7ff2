"""Held-out scores: known rankings give known areas, and intervals hold them."""

from __future__ import annotations

import numpy as np
import pytest
from cislex.errors import ConfigError, InputError
from cislex.metrics import (
    COLUMNS,
    SIGNAL_COLUMNS,
    PairedSignal,
    RankedLabels,
    compare,
    evaluate,
    evaluate_signal,
)
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score


def test_a_perfect_ranking_scores_one_with_certainty() -> None:
    labels = np.array([[0], [0], [1], [1]], dtype=np.uint8)
    table = evaluate(
        labels, np.array([[0.1], [0.2], [3.0], [4.0]]), tasks=["a"], split="test", n_bootstrap=20
    )
    assert list(table.columns) == COLUMNS
    scores = table.loc[0, ["auroc", "auroc_low", "auroc_high", "auprc", "auprc_low", "auprc_high"]]
    assert (scores == 1).all()
    assert (table.loc[0, "n"], table.loc[0, "positives"]) == (4, 2)


def test_areas_equal_their_definitions() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((80, 2)) < 0.3).astype(np.uint8)
    scores = np.round(rng.normal(size=(80, 2)) + labels, 1)  # rounding makes ties
    table = evaluate(labels, scores, tasks=["a", "b"], split="test", n_bootstrap=50)
    for i in range(2):
        positive, negative = scores[labels[:, i] == 1, i], scores[labels[:, i] == 0, i]
        pairs = positive[:, None] - negative[None, :]
        assert table.loc[i, "auroc"] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
        thresholds = np.unique(scores[:, i])[::-1]
        recall = np.array([(positive >= t).mean() for t in thresholds])
        precision = np.array([(labels[scores[:, i] >= t, i]).mean() for t in thresholds])
        assert table.loc[i, "auprc"] == pytest.approx((np.diff(recall, prepend=0) * precision).sum())
    assert (table["auroc_low"] < table["auroc"]).all()
    assert (table["auroc"] < table["auroc_high"]).all()


def test_the_interval_is_reproducible_and_a_task_stands_alone() -> None:
    rng = np.random.default_rng(1)
    labels, scores = (rng.random((60, 2)) < 0.5).astype(np.uint8), rng.normal(size=(60, 2))
    both = evaluate(labels, scores, tasks=["a", "b"], split="test", n_bootstrap=20, seed=3)
    first = evaluate(labels[:, :1], scores[:, :1], tasks=["a"], split="test", n_bootstrap=20, seed=3)
    assert both.iloc[:1].equals(first)


def test_what_cannot_be_scored_is_named() -> None:
    ones = np.ones((4, 1), dtype=np.uint8)
    with pytest.raises(InputError, match="task a: 4 of 4"):
        evaluate(ones, np.zeros((4, 1)), tasks=["a"], split="test")
    with pytest.raises(InputError, match="1 scores are NaN"):
        evaluate(ones, np.array([[0], [1], [np.nan], [0]]), tasks=["a"], split="test")
    with pytest.raises(InputError, match=r"expected \(N, 2\)"):
        evaluate(ones, np.zeros((4, 1)), tasks=["a", "b"], split="test")
    with pytest.raises(ConfigError, match="n_bootstrap"):
        evaluate(ones, np.zeros((4, 1)), tasks=["a"], split="test", n_bootstrap=0)


def test_areas_of_a_resample_equal_those_of_the_repeated_windows() -> None:
    rng = np.random.default_rng(0)
    truth, score = rng.random(50) < 0.4, np.round(rng.normal(size=50), 1)  # rounding makes ties
    curves = RankedLabels(truth, score)
    assert curves.areas() == pytest.approx(
        (roc_auc_score(truth, score), average_precision_score(truth, score))
    )
    for _ in range(20):
        counts = np.bincount(rng.integers(0, 50, 50), minlength=50)
        rows = np.repeat(np.arange(50), counts)
        expected = roc_auc_score(truth[rows], score[rows]), average_precision_score(truth[rows], score[rows])
        assert curves.areas(counts) == pytest.approx(expected)


def test_accuracy_is_the_share_of_right_signs_unless_told_otherwise() -> None:
    labels = np.array([[0], [0], [1], [1]], dtype=np.uint8)
    scores = np.array([[-1.0], [2.0], [3.0], [4.0]])
    options = {"tasks": ["a"], "split": "test", "n_bootstrap": 50}
    table = evaluate(labels, scores, **options)
    assert table.loc[0, "accuracy"] == 0.75
    assert table.loc[0, "accuracy_low"] <= 0.75 <= table.loc[0, "accuracy_high"]
    told = evaluate(labels, scores, correct=np.ones((4, 1), dtype=bool), **options)
    assert told.loc[0, ["accuracy", "accuracy_low", "accuracy_high"]].tolist() == [1, 1, 1]


def test_correlations_equal_their_definitions_and_lie_in_their_intervals() -> None:
    rng = np.random.default_rng(0)
    observed = rng.normal(size=(100, 2))
    predicted = np.stack([observed[:, 0] ** 3, rng.normal(size=100)], axis=1)
    table = evaluate_signal(observed, predicted, tasks=["a", "b"], split="test", n_bootstrap=100)
    assert list(table.columns) == SIGNAL_COLUMNS
    assert table.loc[0, "spearman"] == pytest.approx(1)
    for i in range(2):
        expected = np.corrcoef(observed[:, i], predicted[:, i])[0, 1]
        assert table.loc[i, "pearson"] == pytest.approx(expected)
        assert table.loc[i, "mse"] == pytest.approx(((observed - predicted)[:, i] ** 2).mean())
    assert (table["pearson_low"] < table["pearson"]).all()
    assert (table["pearson"] < table["pearson_high"]).all()
    assert table.loc[1, "pearson_low"] < 0 < table.loc[1, "pearson_high"], "noise is not distinguished from 0"


def test_agreement_of_a_resample_equals_that_of_the_repeated_pairs() -> None:
    rng = np.random.default_rng(0)
    observed = np.round(rng.normal(size=60), 1)  # rounding makes ties
    predicted = np.round(observed + rng.normal(size=60), 1)
    pairs = PairedSignal(observed, predicted)
    for counts in (None, *rng.multinomial(60, np.full(60, 1 / 60), size=20)):
        rows = np.arange(60) if counts is None else np.repeat(np.arange(60), counts)
        a, b = observed[rows], predicted[rows]
        expected = stats.pearsonr(a, b).statistic, stats.spearmanr(a, b).statistic, ((a - b) ** 2).mean()
        assert pairs.agreement(counts) == pytest.approx(expected)


def test_a_signal_without_variation_is_named_and_a_constant_prediction_is_not_a_correlation() -> None:
    rng = np.random.default_rng(0)
    observed = rng.normal(size=(10, 1))
    with pytest.raises(InputError, match="all 10 observations are 2"):
        evaluate_signal(np.full((10, 1), 2.0), observed, tasks=["a"], split="test", n_bootstrap=5)
    for constant in (0, 0.1, 1e9 / 3):
        predicted = np.full((10, 1), constant)
        table = evaluate_signal(observed, predicted, tasks=["a"], split="test", n_bootstrap=5)
        assert table.loc[0, ["pearson", "spearman", "pearson_high"]].isna().all()


def test_a_paired_difference_is_clear_where_intervals_overlap() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (400, 1)).astype(np.uint8)
    first = labels + rng.normal(0, 0.8, labels.shape)
    second = first + rng.normal(0, 0.25, labels.shape)  # the same mistakes, and a few more
    difference, low, high = compare(labels, first, second)[0]
    one, other = (evaluate(labels, s, tasks=["a"], split="t").iloc[0] for s in (first, second))
    assert difference == pytest.approx(one["auprc"] - other["auprc"])
    assert one["auprc_low"] < other["auprc_high"]
    assert 0 < low < difference < high
    np.testing.assert_allclose(compare(labels, second, first)[0], [-difference, -high, -low])
    assert compare(labels, first, first).tolist() == [[0, 0, 0]]
