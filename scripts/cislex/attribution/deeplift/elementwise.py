"""Slopes of elementwise functions between two points: (f(a) − f(b)) / (a − b), without losing digits.

Piecewise-linear functions get the exact quotient and f′(a) where a = b. Smooth functions lose their
digits in the quotient as a approaches b (error ε·|f|/|a − b|): they get an exact form where there is
one, else the derivative at the midpoint below |a − b| ≈ (24 ε)^⅓, where the two errors meet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cislex.attribution import kernels
from cislex.attribution.deeplift.derivatives import DERIVATIVES, jumps, series_of
from cislex.attribution.deeplift.pairing import Pairing
from cislex.attribution.deeplift.replay import Record, Rule
from cislex.attribution.operations import Call, Phase


class Elementwise:
    """Two points of one call's function, element by element: a (example) and b (reference)."""

    __slots__ = ("_fa", "_fb", "_flat", "a", "b", "call", "index")

    def __init__(
        self,
        call: Call,
        index: int,
        a: Tensor,
        b: Tensor,
        *,
        flat: torch.Size | None = None,
        values: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.call = call
        self.index = index
        self._flat = b.shape if flat is None else flat
        self.a, self.b = a, b
        self._fa: Tensor | None = None if values is None else values[0]
        self._fb: Tensor | None = None if values is None else values[1]

    @property
    def values(self) -> tuple[Tensor, Tensor]:
        """f(a) and f(b), in the same views."""
        fa = self.evaluate(self.a) if self._fa is None else self._fa.reshape(self.a.shape)
        fb = self.evaluate(self.b) if self._fb is None else self._fb.reshape(self.b.shape)
        return fa, fb

    def evaluate(self, points: Tensor) -> Tensor:
        """The function at other points."""
        tensors = list(self.call.tensors)
        tensors[self.index] = points.reshape(self._flat)
        return self.call.run(tensors).reshape(points.shape)

    def derivative(self, points: Tensor) -> Tensor:
        """f′ at other points, by autograd."""
        with torch.enable_grad():
            leaf = points.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.evaluate(leaf).sum(), leaf)
        return slope


#: From the pair to (f(a) − f(b)) / (a − b).
Slope = Callable[[Elementwise], Tensor]


class _Scale(torch.autograd.Function):
    """y = f(h) whose backward multiplies by the pair's slope; the slope is made forwards and kept alone."""

    @staticmethod
    def forward(
        ctx: Any, compute: Callable[[Tensor], tuple[Tensor, Tensor]], phase: Phase, h: Tensor
    ) -> Tensor:
        output, slope = compute(h)
        ctx.phase = phase
        ctx.save_for_backward(slope)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor]:
        (slope,) = ctx.saved_tensors
        if ctx.phase.last and slope.shape == gradient.shape:
            return None, None, slope.mul_(gradient)  # the graph is freed next: reuse its memory
        return None, None, gradient * slope


def elementwise(slope: Slope) -> Rule:
    """Rule of a function of one activation, from its slope."""

    def rule(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Tensor:
        index = active[0]

        def compute(h: Tensor) -> tuple[Tensor, Tensor]:
            output = call.run(call.tensors)
            found = _series(call, record, pairing, index, h, output)
            if found is not None:
                return output, found
            a, b = pairing.views(record.tensors[index], h)
            pair = Elementwise(call, index, a, b, flat=h.shape, values=(record.output, output))
            return output, slope(pair).reshape(output.shape)

        return _Scale.apply(compute, call.phase, call.tensors[index])

    return rule


def _series(
    call: Call, record: Record, pairing: Pairing, index: int, h: Tensor, output: Tensor
) -> Tensor | None:
    """Slope of a smooth function in one compiled pass on a CPU; the example's part is made once."""
    example, value = record.tensors[index], record.output
    if call.name not in DERIVATIVES or len(example) != pairing.examples or jumps(call):
        return None
    if not (isinstance(value, Tensor) and kernels.fits(example, h, output) and kernels.fits(value, output)):
        return None
    if record.series is None:
        record.series = series_of(call, example)
    *coefficients, near = record.series
    return kernels.series(call.phase.workers, (example, value), tuple(coefficients), (h, output), near)


class _Rectify(torch.autograd.Function):
    """y = max(h, 0) whose backward multiplies by the pair's slope.

    The slope is made in the backward, in one pass with the product, so that nothing is kept but h.
    """

    @staticmethod
    def forward(ctx: Any, output: list[Tensor], phase: Phase, example: Tensor, h: Tensor) -> Tensor:
        ctx.phase, ctx.example, ctx.held = phase, example, phase.hold(h)
        return output[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None, Tensor]:
        phase, held, gradient = ctx.phase, ctx.held, gradient.contiguous()
        reuse = False
        if phase.last:
            ctx.held = None
            reuse = held.alone()
        output = kernels.relu(phase.workers, ctx.example, held.tensor, gradient, over=reuse)
        return None, None, None, output


def relu(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Tensor:
    """Rule of ReLU: one compiled pass backward on a CPU."""
    example, h = record.tensors[0], call.tensors[0]
    if not call.in_place and len(example) == pairing.examples and kernels.fits(example, h):
        with torch.no_grad():
            output = call.run([h.detach()])
        return _Rectify.apply([output], call.phase, example, h)
    return _relu_of_any(call, record, pairing, active)


def threshold(dtype: torch.dtype) -> float:
    """Difference below which the midpoint derivative beats the quotient: (24 ε)^⅓."""
    return (24 * torch.finfo(dtype).eps) ** (1 / 3)


def relu_slope(a: Tensor, b: Tensor) -> Tensor:
    """Slope of max(·, 0): max(a, b) / |a − b| within [0, 1], and 0 at a = b = 0."""
    distance = (a - b).abs_().clamp_min_(torch.finfo(a.dtype).tiny)
    return torch.maximum(a, b).div_(distance).clamp_(0.0, 1.0)


_relu_of_any = elementwise(lambda pair: relu_slope(pair.a, pair.b))


def clamp_slope(a: Tensor, b: Tensor, low: Any, high: Any) -> Tensor:
    """Slope of clamp(·, low, high); f′(a) where a = b."""
    difference = a - b
    quotient = (a.clamp(low, high) - b.clamp(low, high)) / difference
    inside = torch.ones_like(difference)
    if low is not None:
        inside = inside * (a >= low)
    if high is not None:
        inside = inside * (a <= high)
    return torch.where(difference == 0, inside, quotient)


def quotient_or_midpoint(
    pair: Elementwise,
    derivative: Callable[[Tensor], Tensor] | None = None,
    *,
    scale: float = 1.0,
    kinks: tuple[float, ...] = (),
) -> Tensor:
    """The quotient where a and b are apart, else the derivative at the midpoint; never across a kink."""
    a, b = pair.a, pair.b
    fa, fb = pair.values
    difference = a - b
    near = difference.abs() < threshold(a.dtype) * scale
    for kink in kinks:
        near &= ((a < kink) == (b < kink)) | (difference == 0)
    slope = (fa - fb).div_(difference)
    middle = torch.add(a, b).mul_(0.5)
    return torch.where(near, (derivative or pair.derivative)(middle), slope)
