"""Undo the scale on which a model was trained, such as Borzoi's squashed coverage.

Coverage x was trained on as y = scale · c(x^p), where c leaves values up to a soft clip s as they are and is
s − 1 + √(u − s + 1) for u above it (Linder et al. 2025). The inverse is made of operations that DeepLIFT has
exact rules for: with z = y / scale and e = max(z − s, 0), c⁻¹(z) = z + e + e², which above the clip is
s − 1 + (e + 1)², and x = c⁻¹(z)^(1/p).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cislex.errors import ConfigError

#: One number for all tracks, or one for each.
Numbers = float | tuple[float, ...]


@dataclass(frozen=True)
class Squash:
    """How coverage was squashed before training.

    Parameters
    ----------
    exponent
        p, above 0 and at most 1.
    clip_soft
        s, at least 1; None for no soft clip.
    scale
        Factor, above 0.
    """

    exponent: float = 1.0
    clip_soft: Numbers | None = None
    scale: Numbers = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.exponent <= 1:
            raise ConfigError(f"unsquash.exponent: found {self.exponent}, expected above 0 and at most 1")
        if not all(clip >= 1 for clip in _listed(self.clip_soft)):
            raise ConfigError(f"unsquash.clip_soft: found {self.clip_soft}, expected 1 or more")
        if not all(scale > 0 for scale in _listed(self.scale)):
            raise ConfigError(f"unsquash.scale: found {self.scale}, expected above 0")

    def check(self, tracks: int | None) -> None:
        """Raise ConfigError unless there is one number for each of the tracks (None: all), or for all."""
        for name, numbers in (("clip_soft", self.clip_soft), ("scale", self.scale)):
            if isinstance(numbers, tuple) and len(numbers) != tracks:
                found = "all tracks" if tracks is None else f"{tracks} tracks"
                raise ConfigError(f"unsquash.{name}: found {len(numbers)} numbers for {found}, one for each")

    def undo(self, values: Tensor) -> Tensor:
        """Coverage of predictions (B, tracks, bins); predictions are not negative."""
        if self.scale != 1:
            values = values / _along_tracks(self.scale, values)
        if self.clip_soft is not None:
            excess = (values - _along_tracks(self.clip_soft, values)).relu()
            values = values + excess + excess.square()
        return values if self.exponent == 1 else values ** (1 / self.exponent)


def _listed(numbers: Numbers | None) -> tuple[float, ...]:
    return () if numbers is None else numbers if isinstance(numbers, tuple) else (numbers,)


def _along_tracks(numbers: Numbers, values: Tensor) -> Tensor | float:
    return values.new_tensor(numbers)[:, None] if isinstance(numbers, tuple) else numbers
