"""Exact tails and odds, over arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]


def at_least(observed: ArrayLike, trials: ArrayLike, probability: ArrayLike) -> Floats:
    """Probability of at least ``observed`` successes in ``trials`` (binomial); arrays broadcast."""
    k, n, p = np.broadcast_arrays(
        np.asarray(observed, float), np.asarray(trials, float), np.asarray(probability, float)
    )
    tail = np.ones(k.shape)
    inside = (k > 0) & (p < 1)
    tail[inside] = special.betainc(k[inside], n[inside] - k[inside] + 1, np.maximum(p[inside], 0))
    return tail


def two_sided(observed: ArrayLike, trials: ArrayLike, probability: ArrayLike) -> Floats:
    """Twice the smaller tail of the binomial distribution, at most 1."""
    k, n = np.asarray(observed, float), np.asarray(trials, float)
    upper = at_least(k, n, probability)
    lower = at_least(n - k, n, 1 - np.asarray(probability, float))
    return np.minimum(1, 2 * np.minimum(upper, lower))


def odds_of(observed: ArrayLike, expected: ArrayLike, trials: ArrayLike) -> Floats:
    """Odds of ``observed`` of ``trials`` over those of ``expected``.

    ½ is added to both counts of a fraction in which one is zero, so that the ratio stays finite.
    """
    k, e, n = np.broadcast_arrays(
        np.asarray(observed, float), np.asarray(expected, float), np.asarray(trials, float)
    )
    return _odds(k, n - k) / _odds(e, np.maximum(n - e, 0))


def _odds(yes: Floats, no: Floats) -> Floats:
    half = np.where((yes <= 0) | (no <= 0), 0.5, 0.0)
    return np.asarray((yes + half) / (no + half))
