"""Insertion and deletion curves: how fast a prediction changes as the top-scored bases go or come.

The deletion curve begins with the sequence and replaces its bases by those of a reference draw (a
dinucleotide shuffle of it), the highest contributions first; the insertion curve begins with the draw and
puts the sequence's own bases in. Both are means over draws. An area of 1 reaches the far end with the first
base; more, where bases that lower the prediction are left to the end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cislex.errors import ConfigError

KINDS = ("deletion", "insertion")
Codes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def base_counts(length: int, steps: int) -> Ints:
    """Numbers of bases from 0 to ``length`` at which a curve is taken: about even on a log scale.

    Raises
    ------
    ConfigError
        There are fewer than 2 steps.
    """
    if steps < 2:
        raise ConfigError(f"steps: found {steps}, expected 2 or more")
    return np.unique(np.concatenate([[0], np.round(np.geomspace(1, length, steps))])).astype(np.int64)


def ranking(scores: Floats) -> Ints:
    """Place of each base in the order of its scores, the highest 0, of equal ones the first: (…, L)."""
    order = np.argsort(-scores, axis=-1, kind="stable")
    return np.argsort(order, axis=-1, kind="stable")


def curve_sequences(
    sequence: Codes, draws: Codes, place: NDArray[np.int64], counts: NDArray[np.int64]
) -> Codes:
    """The sequences of both curves of a region: codes (2, D, K, L), deletion first.

    Parameters
    ----------
    sequence
        Codes (L,).
    draws
        Reference draws, codes (D, L).
    place
        Place of each base, (L,), or one order for each draw, (D, L).
    counts
        Numbers of bases, (K,).
    """
    top = np.broadcast_to(place, draws.shape)[:, None] < counts[:, None]
    first, second = np.broadcast_to(sequence, top.shape), np.broadcast_to(draws[:, None], top.shape)
    return np.stack([np.where(top, second, first), np.where(top, first, second)])


def normalised(curves: Floats) -> Floats:
    """Share of the way from each curve's first to its last prediction, (…, K); NaN where both are equal."""
    first, last = curves[..., :1], curves[..., -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(last == first, np.nan, (curves - first) / (last - first))


def area(curves: Floats, counts: Ints) -> Floats:
    """Area under normalised curves (…, K) over the share of bases."""
    return np.asarray(np.trapezoid(normalised(curves), counts / counts[-1], axis=-1))
