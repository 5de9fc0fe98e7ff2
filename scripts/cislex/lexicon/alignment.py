"""How alike two motifs are: cosine of their contributions over all shifts, on both strands.

A core is zero beyond its ends, so what does not overlap lowers the cosine in proportion to its contributions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cislex.motifs.files import Matrix, reverse_complement

#: An alignment replaces an earlier one only where it is better by more than rounding: so palindromes, which
#: fit on both strands, align alike on all machines.
TIE = 1e-9


@dataclasses.dataclass(frozen=True)
class Alignments:
    """Best alignment of every pair of a row and a column core.

    Parameters
    ----------
    cosine
        float64 (rows, columns): -1 to 1.
    offset
        int64: column of the row's core at which the column's core, turned, begins.
    is_reversed
        bool: whether the column's core was reverse-complemented.
    covered
        float64: share of the summed |CWM| of either core (the smaller share) within the overlap, 0 to 1.
    """

    cosine: NDArray[np.float64]
    offset: NDArray[np.int64]
    is_reversed: NDArray[np.bool_]
    covered: NDArray[np.float64]


def align(rows: Sequence[Matrix], columns: Sequence[Matrix]) -> Alignments:
    """Align every core of ``columns`` with every core of ``rows``, each float64 (4, w); at least one of each.

    Memory and time grow with the number of pairs: 1,000 × 1,000 cores take about 60 MB.
    """
    width = max(core.shape[1] for core in (*rows, *columns))
    fixed, forward = _padded(rows, width), _padded(columns, width)
    backward = _padded([reverse_complement(core) for core in columns], width)
    shape = (len(rows), len(columns))
    cosine, offset = np.full(shape, -np.inf), np.zeros(shape, np.int64)
    is_reversed = np.zeros(shape, bool)
    for turned, moved in ((False, forward), (True, backward)):
        for shift in sorted(range(1 - width, width), key=lambda shift: (abs(shift), shift)):
            size = width - abs(shift)
            one = fixed[:, :, max(shift, 0) :][:, :, :size].reshape(len(rows), -1)
            other = moved[:, :, max(-shift, 0) :][:, :, :size].reshape(len(columns), -1)
            values = one @ other.T
            better = values > cosine + TIE
            cosine[better], offset[better], is_reversed[better] = values[better], shift, turned
    return Alignments(
        np.clip(cosine, -1, 1), offset, is_reversed, _covered(rows, columns, offset, is_reversed)
    )


def _padded(cores: Sequence[Matrix], width: int) -> NDArray[np.float64]:
    """Cores of unit norm, filled with zeros at their right: float64 (n, 4, width)."""
    padded = np.zeros((len(cores), 4, width))
    for number, core in enumerate(cores):
        padded[number, :, : core.shape[1]] = core / (np.linalg.norm(core) or 1.0)
    return padded


def _covered(
    rows: Sequence[Matrix],
    columns: Sequence[Matrix],
    offset: NDArray[np.int64],
    is_reversed: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The smaller of both cores' shares of |CWM| that lie in the overlap."""
    widths_r = np.array([core.shape[1] for core in rows])[:, None]
    widths_c = np.array([core.shape[1] for core in columns])[None, :]
    low = np.minimum(np.maximum(offset, 0), widths_r)
    high = np.maximum(low, np.minimum(widths_r, offset + widths_c))
    running_r = _running(rows)
    numbers = np.arange(len(rows))[:, None]
    of_rows = running_r[numbers, high] - running_r[numbers, low]
    forward, backward = _running(columns), _running([reverse_complement(core) for core in columns])
    numbers = np.broadcast_to(np.arange(len(columns))[None, :], offset.shape)
    begin, finish = (np.clip(edge - offset, 0, widths_c) for edge in (low, high))
    of_columns = np.where(
        is_reversed,
        backward[numbers, finish] - backward[numbers, begin],
        forward[numbers, finish] - forward[numbers, begin],
    )
    return np.minimum(of_rows, of_columns)


def _running(cores: Sequence[Matrix]) -> NDArray[np.float64]:
    """Share of a core's summed |CWM| before each column: float64 (n, longest + 1)."""
    longest = max(core.shape[1] for core in cores)
    running = np.ones((len(cores), longest + 1))
    for number, core in enumerate(cores):
        mass = np.abs(core).sum(axis=0)
        running[number, 0] = 0.0
        running[number, 1 : core.shape[1] + 1] = mass.cumsum() / (mass.sum() or 1.0)
    return running
