"""False discovery rates of many tests (Benjamini & Hochberg 1995, J R Stat Soc B 57:289)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def adjust_p_values(p: NDArray[np.float64], *, tests: int | None = None) -> NDArray[np.float64]:
    """Benjamini-Hochberg q-values of p-values of any shape, over all of them together.

    Parameters
    ----------
    p
        p-values; those that are NaN were not tested, and have no q-value.
    tests
        Tests that were made, at least as many as p-values; those whose p-value is not among ``p`` have p = 1.
    """
    known = ~np.isnan(p)
    given = p[known]
    order = np.argsort(given, kind="stable")
    scaled = given[order] * (given.size if tests is None else tests) / np.arange(1, given.size + 1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    q = np.full(p.shape, np.nan)
    q[known] = adjusted
    return q
