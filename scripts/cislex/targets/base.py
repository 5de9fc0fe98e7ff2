"""The protocol of targets, also of those whose value depends on the pair of sequences compared.

The value of a ``targets.Profile`` depends on the pair of sequences: its weights come from the example, or
from both. For such targets the methods call ``pair(output_x, output_r) -> (f_x, f_r)``, both (B,). The
weights are constants there, so both values are the same linear function of the output, and gradients flow
through ``output_r``. ``bind(output_x, output_r)`` is that function itself, for methods that evaluate it at
other points (integrated gradients). Targets whose value stands alone have neither:
``getattr(target, "pair", None)`` is None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor

from cislex.errors import ModelError

Bound = Callable[[Any], Tensor]


class Target:
    """Maps a model's output for B rows to (B,) values."""

    #: What the user calls it, such as its key in the config; for messages only.
    name: ClassVar[str | None] = None

    def __str__(self) -> str:
        return repr(self) if self.name is None else f"{self.name!r}, {self!r}"

    def __call__(self, output: Any) -> Tensor:
        """Return (B,) values of ``output``; ModelError where it does not have what is asked for."""
        raise NotImplementedError


class PairTarget(Target):
    """A target that may have constants which depend on the pair; see the module."""

    def _pair_dependent(self) -> bool:
        raise NotImplementedError

    def _bind(self, output_x: Any, output_r: Any) -> Bound:
        raise NotImplementedError

    @property
    def bind(self) -> Callable[[Any, Any], Bound]:
        """``bind(output_x, output_r)``: the function output → (B,) of these pairs, its weights constant."""
        if not self._pair_dependent():
            raise AttributeError("bind: this target has no weights that depend on the pair")
        return self._bind

    @property
    def pair(self) -> Callable[[Any, Any], tuple[Tensor, Tensor]]:
        """``pair(output_x, output_r)``: the values (B,) of both sides of each pair."""
        bind = self.bind

        def both(output_x: Any, output_r: Any) -> tuple[Tensor, Tensor]:
            bound = bind(output_x, output_r)
            return bound(output_x), bound(output_r)

        return both


def bind_target(target: Target, output_x: Any, output_r: Any) -> Bound:
    """Return the function output → (B,) that ``target`` is for these pairs: itself, or its bound form."""
    bind = getattr(target, "bind", None)
    return target if bind is None else bind(output_x, output_r)


def read_target(target: Target, output: Any) -> Tensor:
    """Evaluate ``target(output)``, (B,); errors name the target."""
    try:
        return target(output)
    except ModelError as error:
        raise ModelError(f"target {target}: {str(error).removeprefix('target: ')}") from None
