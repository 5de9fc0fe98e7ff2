"""Targets on another scale: the logarithm of a target, and the ratio of two.

Both are ordinary operations on the output, so that every method follows them as part of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cislex.errors import ConfigError
from cislex.targets.base import Target


def _check(kind: str, pseudocount: float, *parts: Target) -> None:
    if not pseudocount >= 0:
        raise ConfigError(f"{kind}.pseudocount: found {pseudocount!r}, expected 0 or more")
    for part in parts:
        if hasattr(part, "bind"):  # linear only while its weights are constant
            raise ConfigError(
                f"{kind} of {part}: its weights are constant for each pair of sequences, which a nonlinear "
                "function does not allow; set weights: secant in the profile"
            )


@dataclass(frozen=True)
class Log(Target):
    """Natural logarithm of a target, ln(of + pseudocount), for example of counts summed over positions.

    Parameters
    ----------
    of
        Target whose values are positive; a ``Profile`` only with ``weights="secant"``.
    pseudocount
        Added before the logarithm; needed where values can be 0.

    Examples
    --------
    >>> Log(Output(0), pseudocount=1.0)(torch.tensor([[0.0, 5.0]]))
    tensor([0.])
    """

    of: Target
    pseudocount: float = 0.0

    def __post_init__(self) -> None:
        _check("Log", self.pseudocount, self.of)

    def __call__(self, output: Any) -> Tensor:
        """Return (B,) logarithms; NaN where a value is negative."""
        return torch.log(self.of(output) + self.pseudocount)


@dataclass(frozen=True)
class Ratio(Target):
    """``a`` / ``b``, (a + pseudocount) / (b + pseudocount), for example one cell type against another.

    Parameters
    ----------
    a, b
        Targets; a ``Profile`` only with ``weights="secant"``.
    pseudocount
        Added to both; needed where ``b`` can be 0.

    Examples
    --------
    >>> Ratio(Output(0), Output(1))(torch.tensor([[6.0, 2.0]]))
    tensor([3.])
    """

    a: Target
    b: Target
    pseudocount: float = 0.0

    def __post_init__(self) -> None:
        _check("Ratio", self.pseudocount, self.a, self.b)

    def __call__(self, output: Any) -> Tensor:
        """Return (B,) ratios."""
        return (self.a(output) + self.pseudocount) / (self.b(output) + self.pseudocount)
