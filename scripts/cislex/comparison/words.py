"""Pairs of planted words: what each does in the model, and what a method attributes to it.

The effect of a word is its Shapley value among the two, with its bases replaced by those of reference draws:
½ [(f(ab) − f(b)) + (f(a) − f(∅))]. The interaction f(ab) − f(a) − f(b) + f(∅) is above 0 where both are
needed (AND), below 0 where one is enough (redundancy), and 0 where they add.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.comparison.columns import WORDS
from cislex.comparison.planted import Planted

Codes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def pairs_of(planted: Planted, regions: NDArray[np.int64]) -> dict[int, tuple[str, str]]:
    """The two words of each region that has exactly two, by the region's place among ``regions``."""
    named = ((place, planted.names_in(int(region))) for place, region in enumerate(regions))
    return {place: (names[0], names[1]) for place, names in named if len(names) == 2}


def word_sequences(
    sequence: Codes, draws: Codes, first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> Codes:
    """The sequence with ``a`` alone, ``b`` alone and neither: codes (3, D, L)."""
    masks = (second, first, first | second)
    return np.stack([np.where(mask, draws, sequence) for mask in masks])


def effects(both: float, a: float, b: float, neither: float) -> tuple[float, float, float]:
    """Shapley values of both words, and their interaction."""
    return (both - b + a - neither) / 2, (both - a + b - neither) / 2, both - a - b + neither


def balance(values: Floats) -> float:
    """Mean over regions of the smaller one's share of both absolute values (k, 2): 0 one-sided, ½ even."""
    sizes = np.abs(values)
    total = sizes.sum(axis=1)
    shares = sizes.min(axis=1)[total > 0] / total[total > 0]
    return float(shares.mean()) if len(shares) else float("nan")


def word_table(
    names: Mapping[int, tuple[str, str]], found: Mapping[int, tuple[float, float, float]],
    attributed: Mapping[int, tuple[float, float]],
) -> pd.DataFrame:  # fmt: skip
    """One row per pair of words: ``WORDS`` without target and analysis.

    ``error`` is the mean absolute difference of attributed and effect, relative to the mean absolute effect.
    """
    rows = []
    for pair in sorted(set(names.values())):
        places = [place for place, own in names.items() if own == pair]
        model = np.array([found[place] for place in places])
        given = np.array([attributed[place] for place in places])
        size = np.abs(model[:, :2]).mean()
        rows.append(
            {
                "name_a": pair[0],
                "name_b": pair[1],
                "regions": len(places),
                "interaction": model[:, 2].mean(),
                **dict(zip(("effect_a", "effect_b"), model[:, :2].mean(axis=0), strict=True)),
                **dict(zip(("attributed_a", "attributed_b"), given.mean(axis=0), strict=True)),
                "effect_balance": balance(model[:, :2]),
                "attributed_balance": balance(given),
                "error": np.abs(given - model[:, :2]).mean() / size if size > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=WORDS[2:])
