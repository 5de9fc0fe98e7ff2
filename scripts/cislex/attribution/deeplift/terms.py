"""Sizes of the terms of sums, to which their rounding is relative.

A sum of large terms that cancel is rounding, though beside its own size it is not: its sign would depend on
how rows are batched. So the squares of all terms are added up like the terms themselves, layer by layer, when
the sign of a difference is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cislex.attribution.deeplift.pairing import Pairing
from cislex.attribution.deeplift.replay import Record
from cislex.attribution.operations import Call, tensors_of

#: Squares of the terms of one tensor, or None where nothing is known.
Squares = Tensor | None
#: Operations that take means: their terms are as many times smaller.
_MEANS = ("mean", "avg_pool", "adaptive_avg_pool")


class Terms:
    """Squares of the terms of tensors, made when they are asked for."""

    def __init__(self, pairing: Pairing) -> None:
        self.pairing = pairing
        self._known: dict[int, tuple[Tensor, int, list[Squares], Callable[[], Squares] | None]] = {}

    def clear(self) -> None:
        """Let go of everything."""
        self._known.clear()

    def of(self, tensor: Tensor) -> Squares:
        """Squares of the terms of a tensor, as long as it was not written since."""
        entry = self._known.get(id(tensor))
        if entry is None or entry[1] != tensor._version:
            return None
        _, _, made, make = entry
        if not made:
            assert make is not None
            with torch.no_grad():
                made.append(make())
        return made[0]

    def add(self, tensor: Tensor, make: Callable[[], Squares]) -> None:
        """Note how the squares of a tensor's terms are made."""
        self._known[id(tensor)] = (tensor, tensor._version, [], make)

    def own(self, call: Call, record: Record, index: int) -> Tensor:
        """Squares of an argument that becomes a term: its own, of example and reference, and of its terms."""
        reference = call.tensors[index].detach()
        example = self.pairing.expand(record.tensors[index], reference)
        squares = example.square() + reference.square()
        inner = self.of(call.tensors[index])
        return squares if inner is None else squares + inner

    def layer(self, call: Call, record: Record, active: list[int]) -> Squares:
        """Σ w²·x² of a linear layer, with the bias."""
        squares = [
            self.own(call, record, i) if i in active else tensor.detach().square()
            for i, tensor in enumerate(call.tensors)
        ]
        return call.applied(squares).abs()  # a scale such as alpha may be negative

    def scaled(self, call: Call, record: Record, active: list[int], factors: list[float | Tensor]) -> Squares:
        """What scales hands on the terms; what adds several tensors has them for terms, too."""
        total: Squares = None
        for i, factor in zip(active, factors, strict=True):
            inner = self.of(call.tensors[i]) if len(active) == 1 else self.own(call, record, i)
            if inner is not None:
                part = inner * (factor * factor)
                total = part if total is None else total + part
        return total

    def moved(self, call: Call, record: Record, active: list[int], *, summed: bool) -> list[Squares]:
        """What moves values takes their terms along; what adds them up has them for terms, too."""
        inner = {i: self.own(call, record, i) if summed else self.of(call.tensors[i]) for i in active}
        if all(squares is None for squares in inner.values()):
            return []
        squares = [
            (found if (found := inner.get(i)) is not None else torch.zeros_like(tensor))
            if tensor.is_floating_point()
            else tensor
            for i, tensor in enumerate(call.tensors)
        ]
        made = [item.nan_to_num(0, 0, 0) for item in tensors_of(call.applied(squares))]
        if summed and call.name.startswith(_MEANS):
            made = [item * (item.numel() / call.tensors[active[0]].numel()) for item in made]
        return list(made)
