"""Scores of predictions against labels, each with a bootstrap confidence interval.

Labels of two kinds: classes, scored by AUROC, AUPRC and accuracy, and signals, scored by correlations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError

SCORES = ["auroc", "auprc", "accuracy"]
SIGNAL_SCORES = ["pearson", "spearman", "mse"]


def with_limits(scores: Iterable[str]) -> list[str]:
    """Columns of scores, each with the limits of its interval, ``_low`` and ``_high``."""
    return [f"{score}{end}" for score in scores for end in ("", "_low", "_high")]


COLUMNS = ["task", "split", "n", "positives", *with_limits(SCORES)]
SIGNAL_COLUMNS = ["task", "split", "n", *with_limits(SIGNAL_SCORES)]


def evaluate(
    labels: NDArray[np.uint8],
    scores: NDArray[np.floating],
    *,
    tasks: Sequence[str],
    split: str,
    correct: NDArray[np.bool_] | None = None,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Score the predicted classes of one split, task by task.

    Parameters
    ----------
    labels
        0 or 1, (N, tasks).
    scores
        Logits or log odds, float (N, tasks): above 0 where the task is predicted.
    tasks
        Names of the tasks, or of classes that exclude each other.
    split
        Name of the split.
    correct
        Whether a window is predicted correctly, bool (N, tasks); None: where the score is above 0 for a
        label of 1, and not above 0 for a label of 0.
    n_bootstrap
        Resamples of the 95 % interval; positives and negatives are resampled apart, so that every
        resample has both.
    seed
        Seed of the resampling.

    Returns
    -------
    DataFrame
        One row per task, ``COLUMNS``. AUPRC is the average precision (no interpolation).

    Raises
    ------
    InputError
        When shapes differ, a score is not finite, or a task has only positives or only negatives.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # half a second of every job's start

    _require_pairs(labels, scores, tasks, split, n_bootstrap)
    if correct is None:
        correct = (scores > 0) == labels.astype(bool)
    rows = []
    for i, task in enumerate(tasks):
        truth, score = labels[:, i].astype(bool), scores[:, i].astype(np.float64)
        if truth.all() or not truth.any():
            raise InputError(
                f"split {split}, task {task}: {int(truth.sum())} of {len(truth)} windows are positive; "
                "both kinds are needed to score it"
            )
        curves = RankedLabels(truth, score)
        rng = np.random.default_rng([seed, i])
        resampled = np.empty((n_bootstrap, 3))
        for k in range(n_bootstrap):
            weights = _resample(truth, rng)
            resampled[k] = (*curves.areas(weights), np.average(correct[:, i], weights=weights))
        found = (roc_auc_score(truth, score), average_precision_score(truth, score), correct[:, i].mean())
        rows.append([task, split, len(truth), int(truth.sum()), *_with_intervals(found, resampled)])
    return pd.DataFrame(rows, columns=COLUMNS)


def compare(
    labels: NDArray[np.uint8],
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    *,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> NDArray[np.float64]:
    """By how much the AUPRC of one score exceeds that of another on the same windows, task by task.

    Both are scored on the same resamples (paired bootstrap), so the interval excludes zero where the
    difference is clear even though the intervals of both scores overlap.

    Parameters
    ----------
    labels
        0 or 1, (N, tasks).
    first, second
        Scores, float (N, tasks).
    n_bootstrap, seed
        See :func:`evaluate`, with whose resamples these are the same.

    Returns
    -------
    float64 (tasks, 3)
        Difference, and low and high end of its 95 % interval.
    """
    found = np.empty((labels.shape[1], 3))
    for i in range(labels.shape[1]):
        truth = labels[:, i].astype(bool)
        one, other = (RankedLabels(truth, scores[:, i].astype(np.float64)) for scores in (first, second))
        rng = np.random.default_rng([seed, i])
        weights = (_resample(truth, rng) for _ in range(n_bootstrap))
        resampled = [one.areas(w)[1] - other.areas(w)[1] for w in weights]
        found[i, 0] = one.areas()[1] - other.areas()[1]
        found[i, 1:] = np.quantile(resampled, [0.025, 0.975])
    return found


def evaluate_signal(
    observed: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    tasks: Sequence[str],
    split: str,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Score predicted numbers of one split, task by task.

    Parameters
    ----------
    observed, predicted
        float (N, tasks).
    tasks, split, n_bootstrap, seed
        See :func:`evaluate`; windows are resampled all together.

    Returns
    -------
    DataFrame
        One row per task, ``SIGNAL_COLUMNS``; a correlation with a constant is NaN.

    Raises
    ------
    InputError
        When shapes differ, a number is not finite, or a task's observations are all the same.
    """
    _require_pairs(observed, predicted, tasks, split, n_bootstrap)
    rows = []
    for i, task in enumerate(tasks):
        truth, score = observed[:, i].astype(np.float64), predicted[:, i].astype(np.float64)
        if np.ptp(truth) == 0:
            raise InputError(f"split {split}, task {task}: all {len(truth)} observations are {truth[0]:g}")
        pairs = PairedSignal(truth, score)
        rng = np.random.default_rng([seed, i])
        picks = (rng.integers(0, len(truth), len(truth)) for _ in range(n_bootstrap))
        resampled = np.array([pairs.agreement(np.bincount(p, minlength=len(truth))) for p in picks])
        rows.append([task, split, len(truth), *_with_intervals(pairs.agreement(), resampled)])
    return pd.DataFrame(rows, columns=SIGNAL_COLUMNS)


class RankedLabels:
    """Labels in the order of their scores, so that each bootstrap resample costs no further sorting.

    Parameters
    ----------
    truth
        bool (N,).
    score
        float (N,).
    """

    def __init__(self, truth: NDArray[np.bool_], score: NDArray[np.floating]) -> None:
        self.order = np.argsort(-score, kind="stable")
        ranked = score[self.order]
        #: Last window of each group of equal scores: thresholds lie between groups.
        self.last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
        self.truth = truth[self.order].astype(np.float64)

    def areas(self, weights: NDArray[np.integer] | None = None) -> tuple[float, float]:
        """AUROC and average precision where window i counts ``weights[i]`` times, (N,); None: once."""
        counts = np.ones(len(self.truth)) if weights is None else weights[self.order].astype(np.float64)
        hits = np.cumsum(counts * self.truth)[self.last]
        misses = np.cumsum(counts * (1 - self.truth))[self.last]
        gained = np.diff(hits, prepend=0.0)
        below = 0.5 * (hits + np.append(0.0, hits[:-1]))
        auroc = (np.diff(misses, prepend=0.0) * below).sum() / (hits[-1] * misses[-1])
        auprc = (gained * hits / np.maximum(hits + misses, 1e-300)).sum() / hits[-1]
        return float(auroc), float(auprc)


class PairedSignal:
    """Observed and predicted numbers, ordered once, so that each bootstrap resample costs no sorting.

    Parameters
    ----------
    observed, predicted
        float64 (N,).
    """

    def __init__(self, observed: NDArray[np.float64], predicted: NDArray[np.float64]) -> None:
        self.observed, self.predicted = observed, predicted
        #: Of each number, the index of its value among the different values in order.
        self.groups = [np.unique(values, return_inverse=True)[1] for values in (observed, predicted)]

    def agreement(self, counts: NDArray[np.integer] | None = None) -> tuple[float, float, float]:
        """Correlations (Pearson, Spearman) and mean squared error; pair i counts ``counts[i]`` times."""
        weights = np.ones(len(self.observed)) if counts is None else counts.astype(np.float64)
        ranks = [_ranks(group, weights) for group in self.groups]
        return (
            _pearson(self.observed, self.predicted, weights),
            _pearson(ranks[0], ranks[1], weights),
            float(weights @ (self.observed - self.predicted) ** 2 / weights.sum()),
        )


def _ranks(group: NDArray[np.integer], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean rank of each number among all, repeated as often as their weights say."""
    sizes = np.bincount(group, weights=weights)
    ranks: NDArray[np.float64] = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return ranks


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    drawn = weights > 0
    if np.ptp(a[drawn]) == 0 or np.ptp(b[drawn]) == 0:  # a rounded mean would leave crumbs to correlate
        return float("nan")
    a, b = a - np.average(a, weights=weights), b - np.average(b, weights=weights)
    return float(weights @ (a * b) / np.sqrt((weights @ a**2) * (weights @ b**2)))


def _resample(truth: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each window was drawn, int64 (N,); positives and negatives apart."""
    positives, negatives = np.flatnonzero(truth), np.flatnonzero(~truth)
    rows = np.concatenate([rng.choice(positives, len(positives)), rng.choice(negatives, len(negatives))])
    return np.bincount(rows, minlength=len(truth))


def _with_intervals(found: Sequence[float], resampled: NDArray[np.float64]) -> list[float]:
    """Each number, then the low and the high end of its 95 % interval."""
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    return [float(v) for triple in zip(found, low, high, strict=True) for v in triple]


def _require_pairs(
    observed: NDArray[np.generic],
    predicted: NDArray[np.floating],
    tasks: Sequence[str],
    split: str,
    n_bootstrap: int,
) -> None:
    if observed.shape != predicted.shape or observed.ndim != 2 or observed.shape[1] != len(tasks):
        raise InputError(
            f"labels {observed.shape} and scores {predicted.shape}: expected (N, {len(tasks)}) both"
        )
    if not np.isfinite(predicted).all():
        raise InputError(f"split {split}: {int((~np.isfinite(predicted)).sum())} scores are NaN or infinite")
    if n_bootstrap < 1:
        raise ConfigError(f"n_bootstrap is {n_bootstrap}; expected at least 1")
