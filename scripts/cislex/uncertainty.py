"""What contributions are uncertain of: references, and the model's training; and whether two of them differ.

The contribution of a base by one fold is y = μ + m + e: m differs between folds, whose variance is the
model's, and e is the noise of that fold's K references, of variance s² / K for a spread s between single
references. All of it is plain arithmetic on arrays whose folds have references of their own; where they share
them (``same_references``), the spread over folds contains no reference noise and nothing is to be subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from cislex.errors import ConfigError, InputError
from cislex.multiple_testing import adjust_p_values

Array = NDArray[np.float64]
#: Fewest regions of a word that are tested: of five, no two-sided p-value is below 0.05.
LEAST_REGIONS = 6


@dataclass(frozen=True)
class VarianceComponents:
    """Variances of the mean contribution of one fold, in squared units of the contributions.

    Attributes
    ----------
    references
        Share of the references: falls with their number.
    model
        Share of the folds, which no number of references lowers: the observed variance less that of the
        references, and zero where that is negative.
    """

    references: Array
    model: Array


def variance_components(
    fold_spread: ArrayLike, reference_spread: ArrayLike, *, folds: int, references: int
) -> VarianceComponents:
    """Split the spread of contributions over folds into what references and what training do.

    Parameters
    ----------
    fold_spread
        Standard deviation over folds as ``attributions.h5`` has it (of the folds there are, divided by their
        number), any shape.
    reference_spread
        Standard deviation between contributions with single references, root mean square over folds, same
        shape.
    folds, references
        Their numbers; each fold has its own references.
    """
    noise = np.asarray(reference_spread, np.float64) ** 2 / _at_least(references, 1, "references")
    return VarianceComponents(noise, np.maximum(_variance(fold_spread, folds) - noise, 0.0))


def further_fold_interval(
    mean: ArrayLike, fold_spread: ArrayLike, *, folds: int, level: float = 0.9
) -> tuple[Array, Array]:
    """Interval for the contribution that one more fold would give, trained and attributed alike.

    mean ± t · S · √(1 + 1 / F): S² is the unbiased variance over F folds and t the quantile of Student's
    distribution with F − 1 degrees of freedom. Exact for normal differences between folds; reference noise
    is part of S, and of the further fold.

    Parameters
    ----------
    mean, fold_spread
        Mean and standard deviation over folds as ``attributions.h5`` has them, any shape.
    folds
        Number of folds, at least 2.
    level
        Share of the cases in which the interval holds the value.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level: found {level}, expected above 0 and below 1")
    t = stats.t.ppf((1 + level) / 2, _at_least(folds, 2, "folds") - 1)
    half = t * np.sqrt(_variance(fold_spread, folds) * (1 + 1 / folds))
    centre = np.asarray(mean, np.float64)
    return centre - half, centre + half


def standard_error(values: ArrayLike) -> Array:
    """Standard error of the mean over folds: of single bases, or of sums over the bases of a hit.

    Neighbouring bases err together, so sum over the bases first, fold by fold; where only ``fold_spread`` is
    known, ``sum_error_bound`` gives an upper bound.

    Parameters
    ----------
    values
        (F, …): a value of each fold.
    """
    array = np.asarray(values, np.float64)
    folds = _at_least(len(array), 2, "folds")
    return np.asarray(array.std(axis=0, ddof=1) / np.sqrt(folds), np.float64)


def sum_error_bound(fold_spread: ArrayLike, *, folds: int) -> Array:
    """Upper bound of the standard error of a sum over the last axis: as if all bases erred together.

    Parameters
    ----------
    fold_spread
        (…, bases): standard deviation over folds as ``attributions.h5`` has it.
    folds
        Number of folds, at least 2.
    """
    return np.asarray(np.sqrt(_variance(fold_spread, folds) / folds).sum(axis=-1), np.float64)


def compare_hits(first: ArrayLike, second: ArrayLike) -> pd.DataFrame:
    """Test at each hit whether two targets or models contribute differently, over their folds.

    Null hypothesis: over folds that are trained alike, the difference of a hit's contributions has mean
    zero (paired t-test, F − 1 degrees of freedom). With two or three folds only large differences are
    found; ``compare_words`` asks for less.

    Parameters
    ----------
    first, second
        (F, hits): the sum of contributions over each hit's bases by each fold; the same fold of both in the
        same row, in units that compare.

    Returns
    -------
    DataFrame
        A row per hit: ``difference`` (first − second), its standard error ``error``, ``p``, and
        Benjamini-Hochberg ``q`` over all hits. Equal differences of all folds have no p-value (NaN), unless
        they are zero (1).
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 2:
        raise InputError(
            f"first and second: found shapes {a.shape} and {b.shape}, expected one (folds, hits)"
        )
    return _t_test((a - b).mean(axis=0), standard_error(a - b), degrees=len(a) - 1)


def compare_sums(
    first: ArrayLike,
    second: ArrayLike,
    *,
    first_error: ArrayLike,
    second_error: ArrayLike,
    folds: tuple[int, int],
) -> pd.DataFrame:
    """``compare_hits`` where only means over folds and upper bounds of their errors are known.

    How the two sides err together is unknown, so the error of the difference is taken as the sum of both,
    which it never exceeds, with the degrees of freedom of the side with fewer folds. For the same folds of
    both sides p is never below that of the paired t-test; for independent folds the test is conservative,
    too (Mickey & Brown 1966, Ann Math Stat 37:639). However else the folds of both sides depend on each
    other, false positives are at most twice the nominal ones (Bonferroni, over the two sides).

    Parameters
    ----------
    first, second
        (hits,): sums of the mean contributions, in units that compare.
    first_error, second_error
        (hits,): their standard errors or upper bounds of them (``sum_error_bound``), in the same units.
    folds
        Numbers of folds of both sides, at least 2.

    Returns
    -------
    DataFrame
        See ``compare_hits``.
    """
    degrees = min(_at_least(number, 2, "folds") for number in folds) - 1
    error = np.asarray(first_error, np.float64) + np.asarray(second_error, np.float64)
    return _t_test(np.asarray(first, np.float64) - np.asarray(second, np.float64), error, degrees=degrees)


def _t_test(mean: Array, error: Array, *, degrees: int) -> pd.DataFrame:
    """Two-sided p-values of differences (hits,) with these errors, and q-values."""
    varies = error > 0
    t = np.divide(mean, error, out=np.full_like(mean, np.nan), where=varies)
    p = np.where(varies, 2 * stats.t.sf(np.abs(t), degrees), np.where(mean == 0, 1.0, np.nan))
    return pd.DataFrame({"difference": mean, "error": error, "p": p, "q": adjust_p_values(p)})


def compare_words(difference: ArrayLike, words: Any, regions: Any) -> pd.DataFrame:
    """Test of each word whether two targets or models contribute differently at its hits.

    Null hypothesis: the differences of a word are symmetric about zero over regions (Wilcoxon's
    signed-rank test of one mean per region, since hits of a region are not independent). It is about further
    regions and these models, not about further trainings: average over folds first, and ask
    ``compare_hits`` where there are enough of them.

    Parameters
    ----------
    difference
        (hits,): contribution to the first less that to the second, in units that compare.
    words, regions
        (hits,): the word and the region of each hit.

    Returns
    -------
    DataFrame
        A row per word, in order of its name: ``word``, ``hits``, ``regions``, ``difference`` (median over
        regions), ``p`` (NaN for a word with differences in fewer than six regions), and
        Benjamini-Hochberg ``q`` over the words tested.
    """
    frame = pd.DataFrame({"word": words, "region": regions, "d": np.asarray(difference, np.float64)})
    if not np.isfinite(frame["d"]).all():
        raise InputError(
            f"difference: found {int((~np.isfinite(frame['d'])).sum())} values that are not finite"
        )
    means = frame.groupby(["word", "region"], sort=True)["d"].mean()
    rows = []
    for word, values in means.groupby(level="word", sort=True):
        different = values[values != 0].to_numpy()
        tested = len(different) >= LEAST_REGIONS
        p = float(stats.wilcoxon(different).pvalue) if tested else np.nan
        rows.append({"word": word, "regions": len(values), "difference": float(values.median()), "p": p})
    table = pd.DataFrame(rows, columns=["word", "regions", "difference", "p"])
    table.insert(1, "hits", frame.groupby("word", sort=True).size().to_numpy())
    return table.assign(q=adjust_p_values(table["p"].to_numpy(np.float64)))


def _variance(fold_spread: ArrayLike, folds: int) -> Array:
    """Unbiased variance over folds, from the standard deviation divided by their number."""
    spread = np.asarray(fold_spread, np.float64)
    return spread**2 * folds / (_at_least(folds, 2, "folds") - 1)


def _at_least(number: int, least: int, name: str) -> int:
    if number < least:
        raise ConfigError(f"{name}: found {number}, expected at least {least}")
    return number
