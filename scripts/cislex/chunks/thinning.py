"""Smaller files: values of fewer digits, and only the largest contributions of each region.

Arrays stay dense float32, so that every reader reads them as before: bits and values that are not stored are
zero, which compression takes off the disk. A float16 dataset of the same digits would be a tenth smaller, but
overflows above 65,504 and loses digits below 6e-5, as contributions to long inputs often are; bfloat16 is no
type of HDF5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cislex.chunks.files import KEPT_SHARE
from cislex.errors import ConfigError

Floats = NDArray[np.float32]
#: Bits of a float32's significand that are cleared, to leave those of another type.
CLEARED = {"float32": 0, "float16": 13, "bfloat16": 16}


@dataclass(frozen=True)
class Storage:
    """How much of what is computed is stored.

    Parameters
    ----------
    round_to
        ``float32``: every digit; ``float16`` or ``bfloat16``: values are rounded to the digits (not the
        range) of this type, with a relative error of at most 2⁻¹¹ or 2⁻⁸.
    keep
        Positions of each region with the largest absolute contributions that are stored, the others as zeros;
        None: all.

    Raises
    ------
    ConfigError
        When a value is out of range.
    """

    round_to: str = "float32"
    keep: int | None = None

    def __post_init__(self) -> None:
        if self.round_to not in CLEARED:
            raise ConfigError(f"round_to: found {self.round_to!r}, expected one of {', '.join(CLEARED)}")
        if self.keep is not None and self.keep < 1:
            raise ConfigError(f"keep: found {self.keep}, expected at least 1 position, or None")

    def apply(self, arrays: Mapping[str, Floats], sequences: NDArray[np.uint8]) -> dict[str, Floats]:
        """Round and thin out some rows.

        Parameters
        ----------
        arrays
            ``hypothetical`` (n, 4, L), and others (n, …, L).
        sequences
            uint8 (n, 4, L).

        Returns
        -------
        dict
            The same arrays, float32; with ``keep`` also ``kept_share`` (n,), the share of Σ|contribution|
            that is kept.
        """
        found = dict(arrays)
        if self.keep is not None:
            sizes = absolute_contributions(arrays["hypothetical"], sequences)
            kept = largest(sizes, self.keep)
            total = sizes.sum(axis=1, dtype=np.float64)
            share = (sizes * kept).sum(axis=1, dtype=np.float64) / np.where(total > 0, total, 1.0)
            for name, values in arrays.items():
                # Not by a product, which makes -0, whose bits are not all zero.
                found[name] = np.where(kept[:, None] if values.ndim == 3 else kept, values, np.float32(0))
            found[KEPT_SHARE] = np.where(total > 0, share, 1.0).astype(np.float32)
        cleared = CLEARED[self.round_to]
        return {
            name: values if name == KEPT_SHARE or not cleared else rounded(values, cleared)
            for name, values in found.items()
        }


def storage_from(settings: Mapping[str, Any] | None) -> Storage:
    """The storage of plain settings; without any everything is stored."""
    return Storage(**(settings or {}))


def absolute_contributions(hypothetical: Floats, sequences: NDArray[np.uint8]) -> Floats:
    """|contribution| of the bases that are there, float32 (n, L); zero where a base is unknown."""
    found: Floats = np.abs(np.einsum("ncl,ncl->nl", hypothetical, sequences))
    return found


def largest(sizes: Floats, keep: int) -> NDArray[np.bool_]:
    """Which ``keep`` entries of each row (n, L) are the largest; of equal ones the first."""
    length = sizes.shape[1]
    if keep >= length:
        return np.ones(sizes.shape, bool)
    least = np.partition(sizes, length - keep, axis=1)[:, length - keep, None]
    kept, equal = sizes > least, sizes == least
    room = keep - kept.sum(axis=1, keepdims=True)
    return np.asarray(kept | (equal & (equal.cumsum(axis=1) <= room)))


def rounded(values: Floats, cleared: int) -> Floats:
    """The nearest values whose significands end with so many zero bits; of two the even one."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half, odd = np.uint32((1 << (cleared - 1)) - 1), (bits >> np.uint32(cleared)) & np.uint32(1)
    mask = np.uint32(0xFFFFFFFF >> cleared << cleared)
    found: Floats = ((bits + half + odd) & mask).view(np.float32)
    return found
