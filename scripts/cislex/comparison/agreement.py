"""Agreement of two methods in each region: correlations, cosine and overlap of the top-scored entries.

A region in which the scores of either method are all the same has no correlation: it is undefined for that
pair, NaN in every measure, left out of summaries and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from cislex.errors import ConfigError

Floats = NDArray[np.float64]


def measures(top: Sequence[int]) -> list[str]:
    """Names of the measures, in the order of :func:`agreement`."""
    return ["pearson", "spearman", "cosine", *(f"top_{k}" for k in top)]


@dataclass(frozen=True)
class Standardised:
    """Scores of one method in n regions, made ready so that each pair costs products only.

    Attributes
    ----------
    centred, ranked, scaled
        Scores without their mean, their ranks without theirs, and the scores: rows of length 1, (n, m).
    order
        Entries with the greatest absolute scores, of equal ones the first, (n, largest k).
    defined
        Regions whose scores are not all the same, (n,).
    """

    centred: Floats
    ranked: Floats
    scaled: Floats
    order: NDArray[np.int64]
    defined: NDArray[np.bool_]


def standardise(scores: NDArray[np.floating], top: Sequence[int]) -> Standardised:
    """Prepare scores (n, m) for comparisons.

    Raises
    ------
    ConfigError
        A region has fewer entries than the largest ``k`` of ``top``.
    """
    values = np.asarray(scores, np.float64)
    most = max(top, default=0)
    if most > values.shape[1]:
        raise ConfigError(f"top: found {most}; a region has {values.shape[1]} scores")
    ranks = rankdata(values, axis=1) if len(values) else values
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :most]
    constant = np.ptp(values, axis=1) == 0 if len(values) else np.zeros(0, bool)
    return Standardised(_unit(_centred(values)), _unit(_centred(ranks)), _unit(values), order, ~constant)


def _centred(values: Floats) -> Floats:
    return values - values.mean(axis=1, keepdims=True)


def _unit(values: Floats) -> Floats:
    norm = np.sqrt((values**2).sum(axis=1, keepdims=True))
    return values / np.where(norm > 0, norm, 1)


def agreement(a: Standardised, b: Standardised, top: Sequence[int]) -> Floats:
    """Measures of a pair in each region, (n, 3 + len(top)); NaN in undefined regions.

    ``top_k`` is the share of the k entries with the greatest absolute scores that both methods have.
    """
    found = np.empty((len(a.defined), 3 + len(top)))
    pairs = ((a.centred, b.centred), (a.ranked, b.ranked), (a.scaled, b.scaled))
    for place, (one, other) in enumerate(pairs):
        found[:, place] = np.clip((one * other).sum(axis=1), -1, 1)
    for place, k in enumerate(top, start=3):
        both = np.sort(np.concatenate([a.order[:, :k], b.order[:, :k]], axis=1), axis=1)
        found[:, place] = (both[:, 1:] == both[:, :-1]).sum(axis=1) / k
    found[~(a.defined & b.defined)] = np.nan
    return found


def pearson(a: NDArray[np.floating], b: NDArray[np.floating]) -> Floats:
    """Pearson's correlation of rows, (n,); NaN where one of both is constant."""
    return agreement(standardise(a, ()), standardise(b, ()), ())[:, 0]


def quartiles(values: Floats) -> tuple[float, float, float]:
    """First quartile, median and third quartile without NaN; NaN where nothing is left."""
    known = values[~np.isnan(values)]
    if not len(known):
        return (float("nan"),) * 3
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)
