"""The protocol of targets, also of those whose value depends on the pair of sequences compared.

The value of a ``targets.Profile`` depends on the pair of sequences: its weights come from the example, or
from both. For such targets the methods call ``pair(output_x, output_r) -> (f_x, f_r)``, both (B,). The
weights are constants there, so both values are the same linear function of the output, and gradients flow
through ``output_r``. ``bind(output_x, output_r)`` is that function itself, for methods that evaluate it at
other points (integrated gradients). Targets whose value stands alone have neither:
``getattr(target, "pair", None)`` is None.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from torch import Tensor

from cislex.errors import ModelError

Bound = Callable[[Any], Tensor]


class Target:
    """Maps a model's output for B rows to (B,) values.

    Examples
    --------
    >>> class Last(Target):
    ...     def __call__(self, output):
    ...         return output[:, -1]
    >>> attribute(model, sequences, TISM(), target=Last()).prediction.shape
    torch.Size([4])
    """

    #: What the user calls it, such as its key in the config; for messages only.
    name: ClassVar[str | None] = None

    def __str__(self) -> str:
        return repr(self) if self.name is None else f"{self.name!r}, {self!r}"

    def __call__(self, output: Any) -> Tensor:
        """Return (B,) values of ``output``; ModelError where it does not have what is asked for."""
        raise NotImplementedError

    def turned(self) -> Target:
        """Return the target that reads the same places from the output for the reverse complement.

        Targets that know no places, and combinations of such, are themselves.
        """
        changed = {
            name: type(value)(part.turned() for part in value) if isinstance(value, tuple) else value.turned()
            for name, value in _fields_with_targets(self)
        }
        if not changed:
            return self
        return self._renamed(dataclasses.replace(self, **changed))  # type: ignore[type-var]

    def _renamed(self, other: Target) -> Target:
        """Another target, called as this one."""
        return other if self.name is None else named(other, self.name)


class PairTarget(Target):
    """A target that may have constants which depend on the pair; see the module.

    Examples
    --------
    >>> isinstance(Profile(), PairTarget)
    True
    """

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


def _fields_with_targets(target: Target) -> Iterator[tuple[str, Any]]:
    """Fields of a target that hold a target, or a tuple of them."""
    if not dataclasses.is_dataclass(target):
        return
    for field in dataclasses.fields(target):
        value = getattr(target, field.name)
        if isinstance(value, Target) or (
            isinstance(value, tuple) and value and all(isinstance(part, Target) for part in value)
        ):
            yield field.name, value


def parts_of(target: Target) -> list[Target]:
    """Return the targets that a target is made of; none for one that reads the output itself."""
    found: list[Target] = []
    for _, value in _fields_with_targets(target):
        found += value if isinstance(value, tuple) else [value]
    return found


def every_part(targets: Iterable[Target]) -> Iterator[Target]:
    """Yield targets and all that they are made of, each before its parts."""
    for target in targets:
        yield target
        yield from every_part(parts_of(target))


def named(target: Target, name: str) -> Target:
    """Give a target the name that messages call it, in place."""
    object.__setattr__(target, "name", name)  # the class is frozen; no part of what the target is
    return target


def bind_target(target: Target, output_x: Any, output_r: Any) -> Bound:
    """Return the function output → (B,) that ``target`` is for these pairs: itself, or its bound form.

    Examples
    --------
    >>> bound = bind_target(Output(0), model(sequences), model(sequences))
    >>> bound(model(sequences)).shape
    torch.Size([4])
    """
    bind = getattr(target, "bind", None)
    return target if bind is None else bind(output_x, output_r)


def read_target(target: Target, output: Any) -> Tensor:
    """Evaluate ``target(output)``, (B,); errors name the target.

    Examples
    --------
    >>> read_target(Output(0), model(sequences)).shape
    torch.Size([4])
    """
    try:
        return target(output)
    except ModelError as error:
        raise ModelError(f"target {target}: {str(error).removeprefix('target: ')}") from None
