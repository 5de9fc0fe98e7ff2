"""Effects of constructs over backgrounds, with intervals and tests, and co-operativity of pairs.

The effect of a construct in a background is f(construct) − f(background). A pair is expected to do what its
motifs do alone at the same places: its co-operativity is f(AB) − f(A) − f(B) + f(background), on the scale of
the target. For a target in logarithms (``log_counts``, ``log``) the expectation is thus multiplicative for
what is counted. Intervals and p-values are Student's t over the backgrounds. Where all n backgrounds
differ alike there is no spread for a t-test: p is that of the exact sign-flip test, 2 / 2ⁿ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cislex.targets import Target
from cislex.targets.scaled import Log
from cislex.targets.targets import LogCounts

Values = NDArray[np.float64]

#: Rounding of predictions in each precision, relative to their size.
ROUNDING = {"float32": 2.0**-23, "tf32": 2.0**-10, "bfloat16": 2.0**-7, "float64": 2.0**-52}
#: Differences of fewer roundings than this are none.
ROUNDINGS = 8


@dataclass(frozen=True)
class Estimate:
    """Means over n backgrounds (or sites), their 95 % confidence intervals and p-values, (m,) each."""

    mean: Values
    low: Values
    high: Values
    p: Values


def estimate(differences: Values, tolerance: Values | float = 0.0) -> Estimate:
    """Means of differences, (n, m) or (n,) as (n, 1), over their first axis.

    Parameters
    ----------
    differences
        Paired differences.
    tolerance
        Of the shape of ``differences``, (n, 1) or one number: differences up to it are rounding, and zero for
        the p-value. Without any beyond, p is 1. Differences that vary by no more than that are alike: of
        their 2ⁿ choices of signs only two have so large a mean, so that p is 2 / 2ⁿ.
    """
    values = differences.reshape(len(differences), -1)
    n = len(values)
    mean = values.mean(axis=0)
    if n < 2:
        nothing = np.full_like(mean, np.nan)
        return Estimate(mean, nothing, nothing, nothing)
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    tested = np.where(np.abs(values) <= tolerance, 0.0, values)
    centre, error = tested.mean(axis=0), tested.std(axis=0, ddof=1) / np.sqrt(n)
    is_alike = np.ptp(tested, axis=0) <= np.broadcast_to(tolerance, tested.shape).max(axis=0)
    t = np.divide(np.abs(centre), error, out=np.zeros_like(centre), where=~is_alike)
    flipped = np.where(centre == 0, 1.0, 2.0 ** (1 - n))
    return Estimate(mean, mean - half, mean + half, np.where(is_alike, flipped, 2 * stats.t.sf(t, n - 1)))


def rounding(precision: str, *values: Values) -> Values:
    """Size of differences that rounding makes among predictions, elementwise."""
    greatest = np.abs(values[0])
    for other in values[1:]:
        greatest = np.maximum(greatest, np.abs(other))
    return ROUNDINGS * ROUNDING[precision] * greatest


def scale_of(target: Target) -> str:
    """``log`` of a target in logarithms, whose additive expectation is multiplicative; else ``linear``."""
    return "log" if isinstance(target, LogCounts | Log) else "linear"
