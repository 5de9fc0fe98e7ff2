"""Which columns of the sequence each position of a model's profile can see, found by testing.

A NaN in a column reaches exactly those outputs that the column is connected to (0 · NaN is NaN), whatever the
weights. The answer holds for models that slide over the sequence with stride one; whoever uses it compares
what the columns give with what the whole sequence gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: Output of a model for rows (B, 4, L), as (B, positions).
ProfileFunction = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Reach:
    """Columns ``[p + left, p + right)`` of the sequence are what position p sees, where they exist."""

    left: int
    right: int
    #: Columns of the sequence, L, and how many positions fewer the profile has.
    length: int
    trimmed: int

    @property
    def width(self) -> int:
        """Columns that a position sees."""
        return self.right - self.left

    def columns(self, first: int, last: int) -> tuple[int, int]:
        """Columns that give the positions ``first`` to ``last``, half-open; p is p − start there."""
        start = max(0, min(first + self.left, first))
        return start, min(self.length, max(last + self.right, last + 1 + self.trimmed))


def find_reach(profile: ProfileFunction, x: Tensor) -> Reach | None:
    """Columns that the middle position sees, or None where they are indistinguishable from all.

    Parameters
    ----------
    profile
        Called with rows of one-hot columns, some of them NaN.
    x
        (1, 4, L), floating point.
    """
    length = x.shape[2]
    with torch.no_grad():
        size = profile(x.repeat(2, 1, 1)).shape[1]
        middle = size // 2

        def hidden(left: int, right: int) -> tuple[bool, bool]:
            """Whether the middle does not see columns [0, left); whether it does not see [right, L)."""
            rows = x.repeat(2, 1, 1)
            rows[0, :, :left] = torch.nan
            rows[1, :, right:] = torch.nan
            values = profile(rows)[:, middle]
            return not bool(values[0].isnan()), not bool(values[1].isnan())

        # Bisection of both sides at once: [0, low) is not seen, [0, high) is.
        low, high = 0, length
        near, far = 0, length  # [length − near, …) is not seen, [length − far, …) is
        while high - low > 1 or far - near > 1:
            left, right = (low + high) // 2, (near + far) // 2
            unseen = hidden(left, length - right)
            low, high = (left, high) if unseen[0] else (low, left)
            near, far = (right, far) if unseen[1] else (near, right)
    if low == 0 or near == 0:  # it may reach beyond the sequence
        return None
    if low + near >= length:  # nothing reached it: the model stops a NaN, as nan_to_num does
        return None
    return Reach(low - middle, length - near - middle, length, length - size)
