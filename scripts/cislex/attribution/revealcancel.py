"""RevealCancel: positive and negative parts of a difference go through a nonlinearity apart.

Where Rescale sees only the sum of what reaches a unit, RevealCancel sees Δ⁺ and Δ⁻, the sums of its
positive and negative contributions, and averages over both orders in which they can arrive:

    y⁺ = ½[(f(r + Δ⁺) − f(r)) + (f(r + Δ⁻ + Δ⁺) − f(r + Δ⁻))], and y⁻ with the signs changed.

A linear layer makes the parts from the sign of weight × Δx (at Δx = 0 half a weight goes each way).
The parts of a layer's output are made when, and only when, a nonlinearity asks for them; backward they
have multipliers of their own, m⁺ = y⁺/Δ⁺ and m⁻ = y⁻/Δ⁻, which meet again in the layer's input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cislex.attribution import kernels
from cislex.attribution.elementwise import Elementwise
from cislex.attribution.normalisation import statistics_of
from cislex.attribution.operations import Call
from cislex.attribution.pairing import Pairing, gap
from cislex.attribution.recording import Record, Replayer, Rule
from cislex.attribution.slopes import SLOPES

Parts = tuple[Tensor, Tensor]

#: Linear operations that move values without changing their sign: each part goes through alone.
_MOVED = frozenset(
    (
        "view",
        "reshape",
        "permute",
        "transpose",
        "flatten",
        "unflatten",
        "squeeze",
        "unsqueeze",
        "contiguous",
        "clone",
        "mean",
        "sum",
        "getitem",
        "narrow",
        "select",
        "expand",
        "repeat",
        "roll",
        "flip",
        "pad",
        "constant_pad_nd",
        "avg_pool1d",
        "avg_pool2d",
        "adaptive_avg_pool1d",
        "dropout",
        "t",
        "cat",
        "adaptive_avg_pool2d",
        "movedim",
        "swapaxes",
    )
)
#: Linear operations of which the records keep the example's tensors.
FOLLOWED = _MOVED | {"add", "sub", "subtract", "rsub", "neg", "negative", "batch_norm"}

_CONVOLUTIONS = frozenset(
    ("conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
)
_DENSE = frozenset(("linear", "addmm", "matmul", "mm", "bmm"))

#: A difference below this many units of rounding of its two values has no sign.
_ROUNDING = 16


class _Signs(torch.autograd.Function):
    """Δ = x − r as its positive and negative part, each element in one of them.

    A difference that is rounding belongs to neither: its sign would depend on how rows are batched.
    """

    @staticmethod
    def forward(ctx: Any, reference: Tensor, example: Tensor) -> Parts:
        change = gap(example, reference)
        eps = torch.finfo(change.dtype).eps
        units = _ROUNDING if eps < 1e-6 else 1  # in half precision more would be a difference
        rounding = (example.abs() + reference.abs()).mul_(units * eps)
        ctx.save_for_backward(change.masked_fill(change.abs() <= rounding, 0.0))
        return change.clamp_min(0), change.clamp_max(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, up: Tensor, down: Tensor) -> tuple[Tensor, None]:
        (difference,) = ctx.saved_tensors
        even = 0.5 * (up + down)
        return torch.where(difference > 0, up, torch.where(difference < 0, down, even)), None


class _Size(torch.autograd.Function):
    """|Δ|, whose multiplier counts with the sign of Δ."""

    @staticmethod
    def forward(ctx: Any, reference: Tensor, example: Tensor) -> Tensor:
        difference = example - reference
        ctx.save_for_backward(difference.sign())
        return difference.abs_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (sign,) = ctx.saved_tensors
        return gradient * sign, None


class _Halves(torch.autograd.Function):
    """Parts ½(Δy ± |w|·|Δx|) of a layer's output."""

    @staticmethod
    def forward(ctx: Any, reference: Tensor, size: Tensor, example: Tensor) -> Parts:
        half = (example - reference).mul_(0.5)
        return torch.add(half, size, alpha=0.5), torch.sub(half, size, alpha=0.5)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, up: Tensor, down: Tensor) -> tuple[Tensor, Tensor, None]:
        return (up + down).mul_(0.5), (up - down).mul_(0.5), None


class _Reveal(torch.autograd.Function):
    """f of the reference; backward multiplies each part by its own slope."""

    @staticmethod
    def forward(ctx: Any, output: list[Tensor], slopes: Parts, positive: Tensor, negative: Tensor) -> Tensor:
        ctx.save_for_backward(*slopes)
        return output[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor, Tensor]:
        up, down = ctx.saved_tensors
        return None, None, gradient * up, gradient * down


class _Lazy:
    """Parts that are made when they are first asked for, from tensors that must not have changed since."""

    __slots__ = ("_depends", "_make", "_parts", "_versions", "tensor")

    def __init__(
        self, tensor: Tensor, make: Callable[[], Parts], sources: list[Tensor], depends: list[_Lazy]
    ) -> None:
        self.tensor = tensor  # kept alive, so that its id stays its own
        self._make = make
        self._parts: Parts | None = None
        self._versions = [(source, source._version) for source in (tensor, *sources)]
        self._depends = depends

    def valid(self) -> bool:
        """Whether nothing was written in place since."""
        return all(source._version == version for source, version in self._versions) and all(
            lazy.valid() for lazy in self._depends
        )

    def get(self) -> Parts:
        if self._parts is None:
            with torch.enable_grad():
                self._parts = self._make()
        return self._parts


class RevealReplayer(Replayer):
    """A replay in which elementwise functions after linear layers see positive and negative parts."""

    #: Whether convolutions make parts (RevealCancel everywhere) or only dense layers do.
    convolutions = True
    alert = True
    followed = FOLLOWED

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._parts: dict[int, _Lazy] = {}

    def choose(self, call: Call) -> Rule | None:
        """RevealCancel where the parts are known, else the rule of Rescale."""
        slope = SLOPES.get(call.name)
        if slope is None or not self._has_parts(call.tensors[0]) or call.name in self.given:
            return super().choose(call)
        return self._reveal

    def _reveal(self, call: Call, record: Record, pairing: Pairing, active: list[int]) -> Tensor:
        positive, negative = self._parts[id(call.tensors[0])].get()
        with torch.no_grad():
            output = call.run(call.tensors)
            slopes = self._slopes(call, record, positive.detach(), negative.detach())
        return _Reveal.apply([output], slopes, positive, negative)

    def _slopes(self, call: Call, record: Record, positive: Tensor, negative: Tensor) -> Parts:
        """Slopes of both parts, each the mean of both orders of arrival."""
        example, reference = record.tensors[0], call.tensors[0].detach()
        fits = len(example) == self.pairing.examples and kernels.fits(example, reference, positive, negative)
        if call.name == "relu" and fits:
            return kernels.reveal_relu(call.phase.workers, example, reference, positive, negative)
        slope = SLOPES[call.name]
        example = self.pairing.expand(example, reference)
        points = reference, reference + positive, reference + negative

        def between(a: Tensor, b: Tensor) -> Tensor:
            return slope(Elementwise(call, 0, a, b)).reshape(b.shape)

        up = between(points[1], points[0]).add_(between(example, points[2])).mul_(0.5)
        down = between(points[2], points[0]).add_(between(example, points[1])).mul_(0.5)
        return up, down

    def follow(self, call: Call, record: Record, active: list[int], output: Any) -> None:
        """Note how the parts of a linear operation's output would be made."""
        if not active or not isinstance(output, Tensor) or not output.requires_grad or call.in_place:
            return
        if any(output is tensor for tensor in call.tensors):  # such as dropout, which returns its argument
            return
        make = self._maker(call, record, active, output)
        if make is not None:
            depends = [self._parts[id(call.tensors[i])] for i in active if self._has_parts(call.tensors[i])]
            self._parts[id(output)] = _Lazy(output, make, call.tensors, depends)

    def _has_parts(self, tensor: Tensor) -> bool:
        lazy = self._parts.get(id(tensor))
        return lazy is not None and lazy.valid()

    def _maker(
        self, call: Call, record: Record, active: list[int], output: Tensor
    ) -> Callable[[], Parts] | None:
        name = call.name
        known = any(self._has_parts(call.tensors[i]) for i in active)
        if name in _DENSE or (name in _CONVOLUTIONS and self.convolutions):
            return lambda: self._layer(call, record, active[0], output)
        if name in ("mul", "multiply", "batch_norm", "div") and known and active == [0]:
            return lambda: self._scaled(call, record)
        if name in ("add", "sub", "subtract", "rsub") and (known or self.convolutions):
            return lambda: self._sum(call, record, active)
        if name in ("neg", "negative") and known:
            return lambda: self._swapped(self._of(call, record, 0))
        if name in _MOVED and known:
            return lambda: self._moved(call, record, active)
        return None

    def _of(self, call: Call, record: Record, index: int) -> Parts:
        """Parts of one argument: known ones, else by the sign of its whole difference."""
        tensor = call.tensors[index]
        if self._has_parts(tensor):
            return self._parts[id(tensor)].get()
        return _Signs.apply(tensor, self.pairing.expand(record.tensors[index], tensor.detach()))

    def _layer(self, call: Call, record: Record, index: int, output: Tensor) -> Parts:
        """Parts of a linear layer, by the sign of weight × Δx.

        y⁺ + y⁻ = w·Δx, which is known, and y⁺ − y⁻ = |w|·|Δx|: one more layer's work each way.
        """
        tensors = list(call.tensors)
        example = self.pairing.expand(record.tensors[index], tensors[index].detach())
        bias, weight = _roles(call, index)
        tensors[index] = _Size.apply(tensors[index], example)
        tensors[weight] = tensors[weight].abs()
        if bias is not None:
            tensors[bias] = torch.zeros_like(tensors[bias])
        whole = self.pairing.expand(record.output, output.detach())
        return _Halves.apply(output, call.run(tensors), whole)

    def _scaled(self, call: Call, record: Record) -> Parts:
        """Parts after multiplication by constants: where the factor is negative they change places."""
        positive, negative = self._of(call, record, 0)
        if call.name == "batch_norm":
            _, variance, weight = statistics_of(call)
            assert variance is not None  # the recorder has refused it else
            factor = torch.rsqrt(variance + call.argument(7, "eps", 1e-5))
            factor = factor if weight is None else factor * weight
            factor = factor.reshape(1, -1, *([1] * (positive.dim() - 2)))
        else:
            other = call.argument(1, "other")
            factor = torch.as_tensor(other, dtype=positive.dtype, device=positive.device)
            factor = 1 / factor if call.name == "div" else factor
        up, down = factor.clamp_min(0), factor.clamp_max(0)
        return up * positive + down * negative, up * negative + down * positive

    def _sum(self, call: Call, record: Record, active: list[int]) -> Parts:
        """Parts of a sum or difference."""
        factor = float(call.argument(2, "alpha", 1))
        minus = {"add": (1.0, factor), "rsub": (-factor, 1.0)}.get(call.name, (1.0, -factor))
        places = [i for i, value in enumerate(call.args[:2]) if isinstance(value, Tensor)]
        totals: list[Any] = [0.0, 0.0]
        for i in active:
            parts = self._of(call, record, i)
            sign = minus[places[i]] if i < len(places) else minus[1]
            parts = parts if sign > 0 else self._swapped(parts)
            scale = abs(sign)
            totals = [total + part * scale for total, part in zip(totals, parts, strict=True)]
        shape = torch.broadcast_shapes(*(tensor.shape for tensor in call.tensors))
        return totals[0].expand(shape), totals[1].expand(shape)

    @staticmethod
    def _swapped(parts: Parts) -> Parts:
        return -parts[1], -parts[0]

    def _moved(self, call: Call, record: Record, active: list[int]) -> Parts:
        """Parts moved like their tensor; constants beside them have none."""
        found = [self._of(call, record, i) if i in active else None for i in range(len(call.tensors))]
        zeros = [torch.zeros_like(tensor) for tensor in call.tensors]
        sides = [[zeros[i] if parts is None else parts[k] for i, parts in enumerate(found)] for k in (0, 1)]
        nothing = call.run(zeros) if call.name in ("pad", "constant_pad_nd") else 0.0
        return call.run(sides[0]) - nothing, call.run(sides[1]) - nothing


def _roles(call: Call, index: int) -> tuple[int | None, int]:
    """Places of bias and weight among a layer's tensors."""
    if call.name == "addmm":
        return 0, 3 - index
    if call.name == "linear" or call.name in _CONVOLUTIONS:
        return (2 if len(call.tensors) > 2 else None), 1
    return None, 1 - index
