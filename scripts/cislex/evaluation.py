"""How well predictions rank held-out windows: AUROC and AUPRC with bootstrap confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from cislex.errors import ConfigError, InputError

COLUMNS = [
    "task",
    "split",
    "n",
    "positives",
    "auroc",
    "auroc_low",
    "auroc_high",
    "auprc",
    "auprc_low",
    "auprc_high",
]


def evaluate(
    labels: NDArray[np.uint8],
    scores: NDArray[np.floating],
    *,
    tasks: Sequence[str],
    split: str,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Score the predictions of one split, task by task.

    Parameters
    ----------
    labels
        0 or 1, (N, tasks).
    scores
        Logits or probabilities, float (N, tasks).
    tasks
        Names of the tasks.
    split
        Name of the split.
    n_bootstrap
        Resamples of the 95 % interval; positives and negatives are resampled apart, so that every
        resample has both.
    seed
        Seed of the resampling.

    Returns
    -------
    DataFrame
        One row per task: ``task, split, n, positives, auroc, auroc_low, auroc_high, auprc, auprc_low,
        auprc_high``. AUPRC is the average precision (no interpolation).

    Raises
    ------
    InputError
        When shapes differ, a score is not finite, or a task has only positives or only negatives.
    """
    if labels.shape != scores.shape or labels.ndim != 2 or labels.shape[1] != len(tasks):
        raise InputError(f"labels {labels.shape} and scores {scores.shape}: expected (N, {len(tasks)}) both")
    if not np.isfinite(scores).all():
        raise InputError(f"split {split}: {int((~np.isfinite(scores)).sum())} scores are NaN or infinite")
    if n_bootstrap < 1:
        raise ConfigError(f"n_bootstrap is {n_bootstrap}; expected at least 1")
    rows = []
    for i, task in enumerate(tasks):
        truth, score = labels[:, i].astype(bool), scores[:, i].astype(np.float64)
        if truth.all() or not truth.any():
            raise InputError(
                f"split {split}, task {task}: {int(truth.sum())} of {len(truth)} windows are positive; "
                "both kinds are needed to score it"
            )
        rng = np.random.default_rng([seed, i])
        resampled = np.array([_curves(*_resample(truth, score, rng)) for _ in range(n_bootstrap)])
        low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
        auroc, auprc = _curves(truth, score)
        rows.append(
            (task, split, len(truth), int(truth.sum()), auroc, low[0], high[0], auprc, low[1], high[1])
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _curves(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[float, float]:
    return float(roc_auc_score(truth, score)), float(average_precision_score(truth, score))


def _resample(
    truth: NDArray[np.bool_], score: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    positives, negatives = np.flatnonzero(truth), np.flatnonzero(~truth)
    rows = np.concatenate([rng.choice(positives, len(positives)), rng.choice(negatives, len(negatives))])
    return truth[rows], score[rows]
