"""Targets made of others: weighted sums and differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cislex.errors import ConfigError
from cislex.targets.base import Bound, PairTarget, Target, bind_target


@dataclass(frozen=True)
class Sum(PairTarget):
    """Weighted sum of targets, also of different outputs; ``weights`` has one per part, None for 1.

    Examples
    --------
    >>> Sum((Output(0), Output(1)), weights=(1.0, -0.5))(torch.tensor([[3.0, 2.0]]))
    tensor([2.])
    """

    parts: tuple[Target, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.parts or len(self.weights or self.parts) != len(self.parts):
            raise ConfigError(
                f"Sum: found {len(self.parts)} parts, weights {self.weights}; give one per part"
            )

    def __call__(self, output: Any) -> Tensor:
        """Return (B,) sums."""
        return self._sum_of(self.parts)(output)

    def _pair_dependent(self) -> bool:
        return any(hasattr(part, "bind") for part in self.parts)

    def _bind(self, output_x: Any, output_r: Any) -> Bound:
        return self._sum_of([bind_target(part, output_x, output_r) for part in self.parts])

    def _sum_of(self, parts: Sequence[Bound]) -> Bound:
        weights = self.weights or (1.0,) * len(parts)
        return lambda output: sum(
            (weight * part(output) for weight, part in zip(weights[1:], parts[1:], strict=True)),
            start=weights[0] * parts[0](output),
        )


@dataclass(frozen=True)
class Difference(PairTarget):
    """``a`` − ``b``, for example one cell type against another.

    Examples
    --------
    >>> target = Difference(Output(0), Output(1))
    >>> target(torch.tensor([[3.0, 1.0]]))
    tensor([2.])
    """

    a: Target
    b: Target

    def __call__(self, output: Any) -> Tensor:
        """Return (B,) differences."""
        return self.a(output) - self.b(output)

    def _pair_dependent(self) -> bool:
        return hasattr(self.a, "bind") or hasattr(self.b, "bind")

    def _bind(self, output_x: Any, output_r: Any) -> Bound:
        a, b = (bind_target(part, output_x, output_r) for part in (self.a, self.b))
        return lambda output: a(output) - b(output)
