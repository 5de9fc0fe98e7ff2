"""Heads: losses equal their formulas, balanced weights are what they say, optima lie at the truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cislex.errors import ConfigError
from cislex.training.heads import (
    LossSettings,
    Profile,
    Regression,
    Sigmoid,
    Softmax,
    central,
    make_head,
    median_divergence,
)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_loss_of_tasks_equals_its_formula(gamma: float) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(20, 2)), (rng.random((20, 2)) < 0.4).astype(np.uint8)
    p = sigmoid(logits)
    expected = np.where(
        labels == 1, -np.array([3, 5]) * np.log(p) * (1 - p) ** gamma, -np.log(1 - p) * p**gamma
    )
    found = Sigmoid((3.0, 5.0), gamma).loss(torch.from_numpy(logits), labels)
    assert found.item() == pytest.approx(expected.mean(), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 1.5])
def test_the_loss_of_classes_equals_its_formula(gamma: float) -> None:
    rng = np.random.default_rng(0)
    logits, classes = rng.normal(size=(20, 3)), rng.integers(0, 3, 20)
    weights = np.array([1.0, 2.0, 0.5])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    likely = p[np.arange(20), classes]
    expected = -(weights[classes] * (1 - likely) ** gamma * np.log(likely)).sum() / weights[classes].sum()
    found = Softmax(tuple(weights), gamma).loss(torch.from_numpy(logits), np.eye(3, dtype=np.uint8)[classes])
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_log_odds_of_two_classes_are_the_difference_of_logits() -> None:
    logits = torch.tensor([[1.0, 3.0], [0.5, -2.0]])
    labels = np.array([[0, 1], [1, 0]], dtype=np.uint8)
    _, odds = Softmax().values(logits, labels)
    np.testing.assert_allclose(odds, [[-2, 2], [2.5, -2.5]])
    table = Softmax().evaluate(logits, labels, tasks=["x", "y"], split="test", n_bootstrap=5)
    assert table["accuracy"].tolist() == [1, 1]
    assert table["auroc"].tolist() == [1, 1]


def test_the_profile_loss_is_multinomial_plus_weighted_counts_and_least_at_the_truth() -> None:
    rng = np.random.default_rng(0)
    signal = rng.poisson(3, (4, 2, 10)).astype(np.float32) + 1
    logits, counts = torch.from_numpy(rng.normal(size=(4, 2, 10))), torch.from_numpy(rng.normal(size=(4, 2)))
    head = Profile(weight=2.5)
    p = torch.softmax(logits, -1).numpy()
    shape = -(signal * np.log(p)).sum(axis=-1).mean()
    squared = ((counts.numpy() - np.log1p(signal.sum(axis=-1))) ** 2).mean()
    found = head.loss({"profile": logits, "counts": counts}, signal).item()
    assert found == pytest.approx(shape + 2.5 * squared, rel=1e-5)
    truth = {
        "profile": torch.log(torch.from_numpy(signal)),
        "counts": torch.log1p(torch.from_numpy(signal).sum(-1)),
    }
    best = head.loss(truth, signal).item()
    for _ in range(20):
        moved = {name: value + 0.1 * torch.randn(value.shape) for name, value in truth.items()}
        assert head.loss(moved, signal).item() > best


def test_a_profile_is_scored_at_its_middle() -> None:
    logits = torch.arange(12.0).view(1, 1, 12)
    assert central(logits, 8)[0, 0].tolist() == list(range(2, 10))
    for length in (7, 14):
        with pytest.raises(ConfigError, match="differ by an even number"):
            central(logits, length)


def test_divergence_is_zero_for_the_truth_and_one_bit_for_disjoint_profiles() -> None:
    signal = np.array([[[2.0, 2, 0, 0]], [[0, 0, 0, 0]]])
    same, other = np.array([[[0.5, 0.5, 0, 0]]] * 2), np.array([[[0, 0, 0.5, 0.5]]] * 2)
    assert median_divergence(signal, same).tolist() == [0]
    assert median_divergence(signal, other).tolist() == [1]
    assert np.isnan(median_divergence(signal * 0, other)).all()


def test_the_scores_of_a_profile_hold_its_baseline() -> None:
    rng = np.random.default_rng(0)
    signal = rng.poisson(2, (30, 1, 16)).astype(np.float32)
    signal[:, :, 4] += rng.poisson(20, (30, 1))
    logits = torch.zeros(30, 1, 16)
    logits[:, :, 4] = 2.5
    output = {"profile": logits, "counts": torch.log1p(torch.from_numpy(signal).sum(-1))}
    row = Profile(1.0).evaluate(output, signal, tasks=["x"], split="test", n_bootstrap=5).iloc[0]
    assert row["pearson"] == pytest.approx(1)
    assert row["profile_jsd"] < row["profile_jsd_flat"]


def test_counts_are_compared_as_log_sums() -> None:
    signal = np.array([[[1.0, 2, 4]], [[0, 0, 0]]], dtype=np.float32)
    head = Regression(of_signal=True)
    assert head.loss(torch.tensor([[np.log(8.0)], [0.0]]), signal).item() == pytest.approx(0, abs=1e-12)
    assert head.values(torch.zeros(2, 1), signal)[0][:, 0].tolist() == pytest.approx([np.log(8), 0])


def test_few_positives_are_balanced_by_default_and_many_are_not() -> None:
    labels = np.zeros((1000, 4), np.uint8)
    labels[:50, 0], labels[:200, 1], labels[:199, 2] = 1, 1, 1
    head = make_head(LossSettings(positive_weight="auto"), labels, ["few", "many", "just", "none"])
    assert isinstance(head, Sigmoid)
    assert head.positive_weight == pytest.approx((19.0, 1.0, 801 / 199, 1.0))
    many = make_head(LossSettings(positive_weight="auto"), labels[:, 1:2], ["many"])
    assert isinstance(many, Sigmoid)
    assert many.positive_weight == 1.0


def test_balanced_weights_come_from_the_training_labels() -> None:
    labels = np.zeros((100, 2), dtype=np.uint8)
    labels[:20, 0], labels[:50, 1] = 1, 1
    head = make_head(LossSettings(positive_weight="balanced"), labels, ["a", "b"])
    assert head == Sigmoid((4.0, 1.0))
    classes = np.eye(2, dtype=np.uint8)[[0] * 75 + [1] * 25]
    balanced = make_head(LossSettings("softmax", class_weights="balanced"), classes, ["x", "y"])
    assert isinstance(balanced, Softmax)
    assert balanced.class_weights == pytest.approx((1 / 1.5, 2.0))
    given = make_head(LossSettings("softmax", class_weights={"y": 3, "x": 1}), classes, ["x", "y"])
    assert given == Softmax((1.0, 3.0))
    signal = np.full((3, 1, 5), 4.0)
    assert make_head(LossSettings("profile", counts_weight=0.5), signal, ["t"]) == Profile(0.5 * 0.5 * 20)


def test_weights_that_do_not_fit_are_named() -> None:
    ones = np.ones((4, 1), dtype=np.uint8)
    with pytest.raises(ConfigError, match="all or none of the training windows are of a"):
        make_head(LossSettings(positive_weight="balanced"), ones, ["a"])
    with pytest.raises(ConfigError, match="class_weights names z; the classes are x, y"):
        make_head(LossSettings("softmax", class_weights={"z": 1}), np.eye(2), ["x", "y"])
    with pytest.raises(ConfigError, match="focal_gamma is only valid with head sigmoid or softmax"):
        LossSettings("counts", focal_gamma=1)
    with pytest.raises(ConfigError, match="class_weights is 'equal'"):
        LossSettings("softmax", class_weights="equal")
