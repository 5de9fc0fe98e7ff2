"""Heads: what a model's output means, the loss that fits it to the truth, and the scores that judge it.

Every head has the same methods; training knows no other difference between classes, counts and profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cislex.errors import ConfigError, offenders
from cislex.logs import get_logger
from cislex.metrics import evaluate, evaluate_signal

Array = NDArray[Any]
HEADS = ("sigmoid", "softmax", "regression", "counts", "profile")


#: Tasks with fewer positive training windows are balanced by ``positive_weight: auto``.
FEW_POSITIVES = 200


@dataclass(frozen=True)
class LossSettings:
    """What the output means and how errors are weighed.

    Attributes
    ----------
    head
        ``sigmoid``: a logit per task, tasks independent; ``softmax``: classes that exclude each other;
        ``regression``: numbers as they are given; ``counts``: log(1 + summed signal); ``profile``: where
        the signal lies, and its log counts.
    positive_weight
        sigmoid: weight of a positive label; ``balanced``: negatives per positive of each task; ``auto``:
        balanced for tasks with fewer than 200 positives among the training windows, else 1.
    class_weights
        softmax: weight of each class by name; ``balanced``: inversely to how often it occurs; None: 1.
    focal_gamma
        sigmoid, softmax: factor (1 − p)^γ on each error, p the probability given to the truth (Lin et al.
        2017, focal loss); 0 is plain cross-entropy.
    counts_weight
        profile: α of Avsec et al. (2021): the squared error of the log counts weighs α/2 × mean counts.
    """

    head: str = "sigmoid"
    positive_weight: float | str = 1.0
    class_weights: str | Mapping[str, float] | None = None
    focal_gamma: float = 0.0
    counts_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise ConfigError(f"head is {self.head!r}; expected one of {', '.join(HEADS)}")
        weight = self.positive_weight
        if weight not in ("auto", "balanced") and (isinstance(weight, str) or not weight > 0):
            raise ConfigError(f"positive_weight is {weight!r}; expected more than 0, balanced or auto")
        if isinstance(self.class_weights, str) and self.class_weights != "balanced":
            raise ConfigError(f"class_weights is {self.class_weights!r}; expected balanced, or one per class")
        if self.focal_gamma < 0 or not self.counts_weight > 0:
            raise ConfigError(
                f"focal_gamma must be at least 0 and counts_weight more than 0; found {self.focal_gamma}, "
                f"{self.counts_weight}"
            )
        foreign = {
            "positive_weight": (self.positive_weight not in (1, "auto"), ("sigmoid",)),
            "class_weights": (self.class_weights is not None, ("softmax",)),
            "focal_gamma": (self.focal_gamma != 0, ("sigmoid", "softmax")),
        }
        for key, (is_set, heads) in foreign.items():
            if is_set and self.head not in heads:
                raise ConfigError(f"{key} is only valid with head {' or '.join(heads)}, not {self.head}")


class Head(Protocol):
    """What training asks of an output."""

    def loss(self, output: Any, truth: Array) -> Tensor:
        """Mean loss of a batch: the model's output for n windows, and their truth (n, tasks, …)."""
        ...

    def values(self, output: Any, truth: Array) -> tuple[Array, Array]:
        """What is compared in tables and plots: observed and predicted, float (n, tasks) each."""
        ...

    def evaluate(self, output: Any, truth: Array, **options: Any) -> pd.DataFrame:
        """Scores, one row per task; the options are those of ``metrics.evaluate``."""
        ...


@dataclass(frozen=True)
class Sigmoid:
    """Independent tasks: binary cross-entropy of logits (n, tasks); predicted values are the logits."""

    positive_weight: float | tuple[float, ...] = 1.0
    focal_gamma: float = 0.0

    def loss(self, output: Tensor, truth: Array) -> Tensor:
        """Mean over windows and tasks."""
        labels = torch.from_numpy(truth).to(output)
        weight = torch.tensor(self.positive_weight).to(output)
        if self.focal_gamma == 0:
            return functional.binary_cross_entropy_with_logits(output, labels, pos_weight=weight)
        error = functional.binary_cross_entropy_with_logits(
            output, labels, pos_weight=weight, reduction="none"
        )
        missed = torch.sigmoid(output * (1 - 2 * labels))
        return (missed**self.focal_gamma * error).mean()

    def values(self, output: Tensor, truth: Array) -> tuple[Array, Array]:
        """Labels and logits."""
        return truth, output.numpy()

    def evaluate(self, output: Tensor, truth: Array, **options: Any) -> pd.DataFrame:
        """AUROC, AUPRC and accuracy of each task."""
        return evaluate(truth, output.numpy(), **options)


@dataclass(frozen=True)
class Softmax:
    """Classes that exclude each other: cross-entropy; predicted values are log odds against the rest."""

    class_weights: tuple[float, ...] | None = None
    focal_gamma: float = 0.0

    def loss(self, output: Tensor, truth: Array) -> Tensor:
        """Mean over windows, each weighed by its class."""
        classes = torch.from_numpy(truth.argmax(axis=1)).to(output.device)
        weights = None if self.class_weights is None else torch.tensor(self.class_weights).to(output)
        if self.focal_gamma == 0:
            return functional.cross_entropy(output, classes, weight=weights)
        likely = functional.log_softmax(output, dim=1).gather(1, classes[:, None])[:, 0]
        each = torch.ones_like(likely) if weights is None else weights[classes]
        missed = -torch.expm1(likely)
        return -(each * missed**self.focal_gamma * likely).sum() / each.sum()

    def values(self, output: Tensor, truth: Array) -> tuple[Array, Array]:
        """One-hot classes, and the log odds of each class against all others."""
        logits = output.double()
        same = torch.eye(logits.shape[1], dtype=torch.bool)
        others = logits[:, None, :].expand(-1, len(same), -1).masked_fill(same, -torch.inf)
        return truth, (logits - others.logsumexp(dim=2)).numpy()

    def evaluate(self, output: Tensor, truth: Array, **options: Any) -> pd.DataFrame:
        """AUROC and AUPRC of each class against the rest; accuracy is that of the most probable class."""
        labels, odds = self.values(output, truth)
        right = output.numpy().argmax(axis=1) == truth.argmax(axis=1)
        return evaluate(labels, odds, correct=np.repeat(right[:, None], labels.shape[1], axis=1), **options)


@dataclass(frozen=True)
class Regression:
    """Numbers: mean squared error of outputs (n, tasks).

    Attributes
    ----------
    of_signal
        The truth is signal (n, tasks, positions), compared as log(1 + sum).
    """

    of_signal: bool = False

    def loss(self, output: Tensor, truth: Array) -> Tensor:
        """Mean over windows and tasks."""
        return functional.mse_loss(output, torch.from_numpy(self._observed(truth)).to(output))

    def _observed(self, truth: Array) -> Array:
        return log_counts(truth) if self.of_signal else truth

    def values(self, output: Tensor, truth: Array) -> tuple[Array, Array]:
        """Numbers, observed and predicted."""
        return self._observed(truth), output.numpy()

    def evaluate(self, output: Tensor, truth: Array, **options: Any) -> pd.DataFrame:
        """Correlations and mean squared error of each task."""
        return evaluate_signal(*self.values(output, truth), **options)


@dataclass(frozen=True)
class Profile:
    """A base-resolution profile and log counts (BPNet: Avsec et al. 2021).

    The loss is −Σ k log p, the multinomial negative log-likelihood of signal k under the softmax p of each
    track's logits (less the term without p), plus ``weight`` × squared error of log(1 + Σ k).

    Attributes
    ----------
    weight
        λ = α/2 × mean counts, which makes the two terms comparable.
    """

    weight: float

    def loss(self, output: Mapping[str, Tensor], truth: Array) -> Tensor:
        """Mean over windows and tracks."""
        signal = torch.from_numpy(truth).to(output["profile"])
        logits = central(output["profile"], signal.shape[-1])
        shape = -(signal * functional.log_softmax(logits, dim=-1)).sum(dim=-1).mean()
        counts = functional.mse_loss(output["counts"], torch.log1p(signal.sum(dim=-1)))
        return shape + self.weight * counts

    def values(self, output: Mapping[str, Tensor], truth: Array) -> tuple[Array, Array]:
        """Log counts."""
        return log_counts(truth), output["counts"].numpy()

    def evaluate(self, output: Mapping[str, Tensor], truth: Array, **options: Any) -> pd.DataFrame:
        """Correlations of the log counts, and divergences of the profiles.

        ``profile_jsd`` is the median Jensen-Shannon divergence (bits) between observed and predicted profile
        over windows with signal; ``profile_jsd_flat`` the same for a flat profile, the baseline.
        """
        table = evaluate_signal(*self.values(output, truth), **options)
        logits = central(output["profile"].double(), truth.shape[-1])
        predicted = torch.softmax(logits, dim=-1).numpy()
        flat = np.full(truth.shape[-1], 1 / truth.shape[-1])
        for name, guess in (("profile_jsd", predicted), ("profile_jsd_flat", flat)):
            table[name] = median_divergence(truth, np.broadcast_to(guess, truth.shape))
        return table


def log_counts(signal: Array) -> NDArray[np.float32]:
    """log(1 + sum over positions) of signal (n, tracks, positions): float32 (n, tracks)."""
    return np.log1p(signal.sum(axis=-1, dtype=np.float64)).astype(np.float32)


def central(logits: Tensor, length: int) -> Tensor:
    """The middle ``length`` positions of logits (n, tracks, positions)."""
    margin = logits.shape[-1] - length
    if margin < 0 or margin % 2:
        raise ConfigError(
            f"the profile has {logits.shape[-1]} positions and output_length is {length}; it must be at most "
            "that, and differ by an even number"
        )
    return logits[..., margin // 2 : logits.shape[-1] - margin // 2]


def median_divergence(signal: Array, predicted: Array) -> NDArray[np.float64]:
    """Median Jensen-Shannon divergence in bits of each track: float64 (tracks,); NaN without any signal.

    Parameters
    ----------
    signal
        (n, tracks, positions), at least 0; windows without signal do not count.
    predicted
        Probabilities over the positions, the same shape.
    """
    medians = []
    for track in range(signal.shape[1]):
        total = signal[:, track].sum(axis=-1, dtype=np.float64)
        rows = np.flatnonzero(total > 0)
        p = signal[rows, track] / total[rows, None]
        q = predicted[rows, track]
        middle = 0.5 * (p + q)
        divergence = 0.5 * (_relative_entropy(p, middle) + _relative_entropy(q, middle))
        medians.append(float(np.median(divergence)) if len(rows) else float("nan"))
    return np.array(medians)


def _relative_entropy(p: Array, q: Array) -> Array:
    ratio = np.divide(p, q, out=np.ones_like(p, dtype=np.float64), where=p > 0)
    return (p * np.log2(ratio)).sum(axis=-1)


def make_head(settings: LossSettings, truth: Array, tasks: Sequence[str]) -> Head:
    """Make the head, its weights set by the truth of the training windows where they ask for it.

    Parameters
    ----------
    settings
        What the config says.
    truth
        Of the training windows at shift 0: (N, tasks), or (N, tracks, positions).
    tasks
        Names of the outputs.

    Raises
    ------
    ConfigError
        When ``class_weights`` does not name the classes, or a weight cannot be balanced.
    """
    if settings.head == "sigmoid":
        return Sigmoid(_positive_weight(settings, truth, tasks), settings.focal_gamma)
    if settings.head == "softmax":
        return Softmax(_class_weights(settings, truth, tasks), settings.focal_gamma)
    if settings.head == "profile":
        mean = float(truth.sum(axis=-1, dtype=np.float64).mean())
        return Profile(0.5 * settings.counts_weight * max(mean, 1.0))
    return Regression(of_signal=settings.head == "counts")


def _positive_weight(settings: LossSettings, truth: Array, tasks: Sequence[str]) -> float | tuple[float, ...]:
    if not isinstance(settings.positive_weight, str):
        return settings.positive_weight
    positive = truth.mean(axis=0, dtype=np.float64)
    if settings.positive_weight == "auto":
        few = (truth.sum(axis=0) < FEW_POSITIVES) & (positive > 0) & (positive < 1)
        if not few.any():
            return 1.0
        get_logger(__name__).info(
            "fewer than %d positives of %s: positives weigh as much as negatives",
            FEW_POSITIVES,
            offenders([task for task, is_few in zip(tasks, few, strict=True) if is_few]),
        )
        safe = np.where(few, positive, 0.5)
        return tuple(float(weight) for weight in (1 - safe) / safe)
    _require_both(positive, tasks)
    return tuple(float(share) for share in (1 - positive) / positive)


def _class_weights(settings: LossSettings, truth: Array, tasks: Sequence[str]) -> tuple[float, ...] | None:
    if settings.class_weights is None:
        return None
    if not isinstance(settings.class_weights, str):
        if set(settings.class_weights) != set(tasks):
            raise ConfigError(
                f"class_weights names {offenders(settings.class_weights)}; the classes are {offenders(tasks)}"
            )
        return tuple(float(settings.class_weights[task]) for task in tasks)
    share = truth.mean(axis=0, dtype=np.float64)
    _require_both(share, tasks)
    return tuple(float(weight) for weight in 1 / (len(tasks) * share))


def _require_both(share: Array, tasks: Sequence[str]) -> None:
    empty = [task for task, part in zip(tasks, share, strict=True) if not 0 < part < 1]
    if empty:
        raise ConfigError(
            f"balanced: all or none of the training windows are of {offenders(empty)}; give weights"
        )
