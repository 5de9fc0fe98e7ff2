"""Positive and negative parts of differences, by the tensor that they belong to, while references go through.

Parts are made when they are first asked for. What is written in place keeps them: they are made before the
write, and put together anew for every tensor that shares the memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cislex.attribution.deeplift.pairing import difference_of

Parts = tuple[Tensor, Tensor]

#: A difference below this many units of rounding, of its two values or their terms, has no sign.
_ROUNDING = 16


class Signs(torch.autograd.Function):
    """Δ = x − r as its positive and negative part, each element in one of them.

    A difference that is rounding belongs to neither: its sign would depend on how rows are batched.
    """

    @staticmethod
    def forward(ctx: Any, reference: Tensor, example: Tensor, terms: Tensor | None) -> Parts:
        """Return both parts."""
        change = difference_of(example, reference)
        ctx.save_for_backward(_certain(change, example, reference, terms))
        return change.clamp_min(0), change.clamp_max(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, up: Tensor, down: Tensor) -> tuple[Tensor, None, None]:
        """Send each part's multiplier on where its difference has that sign."""
        (difference,) = ctx.saved_tensors
        even = 0.5 * (up + down)
        return torch.where(difference > 0, up, torch.where(difference < 0, down, even)), None, None


def _certain(change: Tensor, example: Tensor, reference: Tensor, terms: Tensor | None) -> Tensor:
    """The difference, zero where it is rounding of its two values, or of the terms that they are sums of."""
    eps = torch.finfo(change.dtype).eps
    units = _ROUNDING if eps < 1e-6 else 1  # in half precision more would be a difference
    size = example.abs() + reference.abs()
    rounding = (size if terms is None else size + terms.sqrt()).mul_(units * eps)
    return change.masked_fill(change.abs() <= rounding, 0.0)


class Size(torch.autograd.Function):
    """|Δ|, whose multiplier counts with the sign of Δ."""

    @staticmethod
    def forward(ctx: Any, reference: Tensor, example: Tensor, terms: Tensor | None) -> Tensor:
        """Return the size."""
        difference = difference_of(example, reference)
        ctx.save_for_backward(_certain(difference, example, reference, terms).sign_())
        return difference.abs_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Turn the multiplier to the sign."""
        (sign,) = ctx.saved_tensors
        return gradient * sign, None, None


class Halves(torch.autograd.Function):
    """Parts ½(Δy ± |w|·|Δx|) of a layer's output."""

    @staticmethod
    def forward(ctx: Any, reference: Tensor, size: Tensor, example: Tensor) -> Parts:
        """Return both parts."""
        half = (example - reference).mul_(0.5)
        return torch.add(half, size, alpha=0.5), torch.sub(half, size, alpha=0.5)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, up: Tensor, down: Tensor) -> tuple[Tensor, Tensor, None]:
        """Send what both share to the output, and the rest to the size."""
        return (up + down).mul_(0.5), (up - down).mul_(0.5), None


class Lazy:
    """Parts of one tensor, made when they are first asked for; its sources must not have changed since."""

    __slots__ = ("_depends", "_make", "_parts", "_versions", "tensor")

    def __init__(
        self, tensor: Tensor, make: Callable[[], Parts], sources: list[Tensor], depends: list[Lazy]
    ) -> None:
        self.tensor = tensor  # kept alive, so that its id stays its own
        self._make: Callable[[], Parts] | None = make
        self._parts: Parts | None = None
        self._versions = [(source, source._version) for source in (tensor, *sources)]
        self._depends = depends

    def valid(self) -> bool:
        """Whether nothing was written in place since."""
        return all(source._version == version for source, version in self._versions) and all(
            lazy.valid() for lazy in self._depends
        )

    def needs(self, memory: int) -> bool:
        """Whether what the parts are (to be) made from lies in this memory."""
        return any(_memory(source) == memory for source, _ in self._versions) or any(
            lazy.needs(memory) for lazy in self._depends
        )

    def get(self) -> Parts:
        """Return the parts; once made they depend on their own tensor alone."""
        if self._parts is None:
            assert self._make is not None
            with torch.enable_grad():
                self._parts = self._make()
            self._make, self._depends, self._versions = None, [], self._versions[:1]
        return self._parts


class PartsBook:
    """The parts of all tensors of one replay."""

    def __init__(self) -> None:
        self._lazies: dict[int, Lazy] = {}

    def clear(self) -> None:
        """Let go of everything."""
        self._lazies.clear()

    def find(self, tensor: Tensor) -> Lazy | None:
        """Parts of a tensor that hold for what it is now."""
        lazy = self._lazies.get(id(tensor))
        return lazy if lazy is not None and lazy.valid() else None

    def add(self, tensor: Tensor, make: Callable[[], Parts], sources: list[Tensor]) -> None:
        """Note how the parts of a tensor are made from those of others."""
        depends = [lazy for source in sources if (lazy := self.find(source)) is not None]
        self._lazies[id(tensor)] = Lazy(tensor, make, sources, depends)

    def before_write(self, target: Tensor) -> list[Lazy]:
        """Make what would be lost when a tensor is written; returns the parts that share its memory."""
        memory = _memory(target)
        needed = [lazy for lazy in self._lazies.values() if lazy.needs(memory) and lazy.valid()]
        for lazy in needed:
            lazy.get()
        return [lazy for lazy in needed if _memory(lazy.tensor) == memory and lazy.tensor is not target]

    def after_write(self, target: Tensor, parts: Parts, sharing: list[Lazy]) -> None:
        """Give a tensor that was written its new parts, and so the others that share its memory."""
        self._lazies[id(target)] = _made(target, parts)
        for lazy in sharing:
            if not (_overlaps(lazy.tensor) or _overlaps(target)):
                merged = (
                    _merged(lazy.tensor, old, target, new) for old, new in zip(lazy.get(), parts, strict=True)
                )
                self._lazies[id(lazy.tensor)] = _made(lazy.tensor, (next(merged), next(merged)))


def _made(tensor: Tensor, parts: Parts) -> Lazy:
    lazy = Lazy(tensor, lambda: parts, [], [])
    lazy.get()
    return lazy


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _overlaps(tensor: Tensor) -> bool:
    """Whether several elements are one in memory."""
    return any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))


def _merged(tensor: Tensor, part: Tensor, written: Tensor, new: Tensor) -> Tensor:
    """A tensor's part, with what was written to another view of the same memory."""
    size = tensor.untyped_storage().nbytes() // tensor.element_size()
    memory = torch.arange(size, device=tensor.device)
    ours, theirs = (
        memory.as_strided(view.shape, view.stride(), view.storage_offset()) for view in (tensor, written)
    )
    with torch.enable_grad():
        values = part.new_zeros(size)
        for place, given in ((ours, part), (theirs, new)):
            values = values.index_copy(0, place.reshape(-1), given.expand(place.shape).reshape(-1))
        return values[ours]
