"""Bytes on disk of what an analysis stores of its attributions, about."""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes on disk per base: hypothetical scores and baseline (20 before compression), the spread over folds
#: (4), one-hot sequences (4), a bigWig track. Measured on the yeast set and by benchmarks/scale.py.
SCORE_BYTES, SPREAD_BYTES, SEQUENCE_BYTES, TRACK_BYTES = 18.5, 3.8, 1.0, 6.0
#: What is left of the bytes of scores of fewer digits, by benchmarks/storage.py.
ROUNDED = {"float32": 1.0, "float16": 0.56, "bfloat16": 0.42}
#: Bytes of a position that is kept among zeros: its scores lie alone, and compress less than their neighbours
#: would.
KEPT_BYTES = 80.0


@dataclass(frozen=True)
class StoredPart:
    """What is stored of each region, or of each window that a screen chose of it.

    Parameters
    ----------
    length
        Columns, bp.
    round_to, keep
        See :class:`cislex.chunks.thinning.Storage`.
    top, regions
        See :class:`cislex.chunks.window_choice.ScreenSettings`.
    """

    length: int
    round_to: str = "float32"
    keep: int | None = None
    top: int = 1
    regions: int | None = None

    def rows(self, n: int) -> int:
        """Rows that are stored of n regions, at most."""
        return min(n, self.regions or n) * self.top

    def scores(self, rows: int, *, averaged: bool) -> tuple[float, float]:
        """Bytes of scores of some rows: in the file of a target, and in the chunks of one fold.

        Parameters
        ----------
        rows
            Regions, or windows.
        averaged
            Whether several folds are averaged, which chunks hold as they are.
        """
        plain = rows * self.length * SCORE_BYTES
        dense = self.length * (SCORE_BYTES + (SPREAD_BYTES if averaged else 0.0))
        kept = dense if self.keep is None else min(dense, KEPT_BYTES * self.keep)
        found = rows * kept * ROUNDED[self.round_to]
        return found, plain if averaged else found
