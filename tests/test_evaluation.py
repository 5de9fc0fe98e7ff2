"""Held-out scores: known rankings give known areas, and intervals hold them."""

from __future__ import annotations

import numpy as np
import pytest
from cislex.errors import ConfigError, InputError
from cislex.evaluation import COLUMNS, evaluate


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
