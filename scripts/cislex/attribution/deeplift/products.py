"""Products, quotients and maxima of two activations: closed forms of the midpoint rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cislex.attribution.deeplift.elementwise import relu_slope
from cislex.attribution.deeplift.integration import multilinear
from cislex.attribution.deeplift.pairing import Pairing
from cislex.attribution.deeplift.replay import Record, Rule
from cislex.attribution.operations import Call
from cislex.errors import UnsupportedOperationError


def middle(example: Tensor, reference: Tensor, pairing: Pairing) -> Tensor:
    """½(x + r), pair by pair, in the reference's shape."""
    a, b = pairing.views(example, reference)
    return torch.lerp(a.expand_as(b), b, 0.5).reshape(reference.shape)


def _kind(gradient: Tensor, is_complex: bool) -> Tensor:
    """A multiplier of a real activation is real, though what is above may be complex."""
    return gradient.real if gradient.is_complex() and not is_complex else gradient


class _Weigh(torch.autograd.Function):
    """Output whose backward multiplies by one weight per argument, summed over broadcast dimensions."""

    @staticmethod
    def forward(
        ctx: Any, compute: Callable[[], tuple[Tensor, list[Tensor | None]]], *activations: Tensor
    ) -> Tensor:
        output, weights = compute()
        ctx.like = [(activation.shape, activation.is_complex()) for activation in activations]
        ctx.save_for_backward(*weights)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        found = [
            _kind((gradient * weight.conj()).sum_to_size(shape), is_complex)
            for weight, (shape, is_complex) in zip(ctx.saved_tensors, ctx.like, strict=True)
        ]
        return (None, *found)


def weigh(compute: Callable[[], tuple[Tensor, list[Tensor]]], *activations: Tensor) -> Tensor:
    """The output that ``compute`` returns; its backward multiplies by the weights that it returns, too."""
    return _Weigh.apply(compute, *activations)


def multiply(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Any:
    """y = a·b: ½(b_x + b_r) for a and ½(a_x + a_r) for b."""
    if len(active) != 2 or len(call.tensors) != 2:
        return multilinear(call, record, pairing, active)
    a, b = call.tensors

    def compute() -> tuple[Tensor, list[Tensor]]:
        first, second = (middle(record.tensors[i], tensor, pairing) for i, tensor in enumerate(call.tensors))
        return call.run(call.tensors), [second, first]

    return _Weigh.apply(compute, a, b)


class _Matmul(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, compute: Callable[[], tuple[Tensor, Tensor, Tensor]], a: Tensor, b: Tensor
    ) -> Tensor:
        output, first, second = compute()
        ctx.save_for_backward(first, second)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor]:
        first, second = ctx.saved_tensors
        left, right = gradient @ second.mH, first.mH @ gradient
        return (
            None,
            _kind(left.sum_to_size(first.shape), first.is_complex()),
            _kind(right.sum_to_size(second.shape), second.is_complex()),
        )


def matmul(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Any:
    """y = a @ b, bilinear: multipliers as gradients at the midpoints."""
    if len(active) != 2 or len(call.tensors) != 2 or min(t.dim() for t in call.tensors) < 2:
        return multilinear(call, record, pairing, active)

    def compute() -> tuple[Tensor, Tensor, Tensor]:
        first, second = (middle(record.tensors[i], tensor, pairing) for i, tensor in enumerate(call.tensors))
        return call.run(call.tensors), first, second

    return _Matmul.apply(compute, *call.tensors)


def divide(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Any:
    """y = a/b: ½(1/b_x + 1/b_r) for a and −½(a_x + a_r)/(b_x b_r) for b."""
    reverse = call.name == "rdiv"
    top, bottom = (1, 0) if reverse else (0, 1)
    first, second = call.args[top], call.args[bottom]
    if call.argument(2, "rounding_mode") is not None:
        raise UnsupportedOperationError(
            f"{call.describe()}: rounds a quotient of activations, which carries no attribution; what to do: "
            "divide without rounding_mode, or use ISM"
        )
    positions = [id(tensor) for tensor in call.tensors]
    activations = [call.tensors[i] for i in active]

    def sides(value: Any) -> tuple[Any, Any]:
        """The value at example and reference."""
        if not isinstance(value, Tensor) or not value.requires_grad:
            return value, value
        return pairing.expand(record.tensors[positions.index(id(value))], value), value

    def compute() -> tuple[Tensor, list[Tensor | None]]:
        a_x, a_r = sides(first)
        b_x, b_r = sides(second)
        weights: dict[int, Tensor] = {}
        if isinstance(first, Tensor) and first.requires_grad:
            weights[top] = 0.5 * (1 / b_x + 1 / b_r)
        if isinstance(second, Tensor) and second.requires_grad:
            weights[bottom] = -0.5 * (a_x + a_r) / (b_x * b_r)
        return call.run(call.tensors), [weights[i] for i in sorted(weights)]

    if first is second:  # h / h is constant
        return call.func(*call.args, **call.kwargs).detach()
    if not (isinstance(second, Tensor) and second.requires_grad):
        return call.func(*call.args, **call.kwargs)
    return _Weigh.apply(compute, *activations)


def maximum(sign: float) -> Rule:
    """max(a, b) = b + relu(a − b), and min(a, b) = a − relu(a − b) for sign −1."""

    def rule(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Any:
        def compute() -> tuple[Tensor, list[Tensor]]:
            r = call.tensors
            x = [pairing.expand(record.tensors[i], r[i]) if i in active else r[i] for i in range(len(r))]
            slope = relu_slope(x[0] - x[1], r[0] - r[1])
            weights = (slope, 1 - slope) if sign > 0 else (1 - slope, slope)
            return call.run(r), [weights[i] for i in active]

        return _Weigh.apply(compute, *(call.tensors[i] for i in active))

    return rule


def clamp(plain: Rule) -> Rule:
    """min(max(h, low), high) with bounds that are activations too; ``plain`` where h alone is one."""

    def rule(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Any:
        if active == [0] and len(call.tensors) == 1:
            return plain(call, record, pairing, active)
        low = call.argument(1, "min") if call.name != "clamp_max" else None
        high = call.argument(1 if call.name == "clamp_max" else 2, "max")
        places = {id(tensor): i for i, tensor in enumerate(call.tensors)}

        def ends(value: Any) -> tuple[Any, Any]:
            """A value at example and reference."""
            if not isinstance(value, Tensor) or places[id(value)] not in active:
                return value, value
            return pairing.expand(record.tensors[places[id(value)]], value), value

        def compute() -> tuple[Tensor, list[Tensor]]:
            h_x, h_r = ends(call.tensors[0])
            weights = {0: torch.ones_like(call.tensors[0])}
            for bound, sign in ((low, 1.0), (high, -1.0)):
                if bound is None:
                    continue
                b_x, b_r = ends(bound)
                above = relu_slope(sign * (h_x - b_x), sign * (h_r - b_r))  # share of what is not the bound
                weights = {i: weight * above for i, weight in weights.items()}
                if isinstance(bound, Tensor):
                    weights[places[id(bound)]] = 1 - above
                h_x, h_r = (h + sign * torch.relu(sign * (b - h)) for h, b in ((h_x, b_x), (h_r, b_r)))
            return call.run(call.tensors), [weights[i] for i in active]

        return _Weigh.apply(compute, *(call.tensors[i] for i in active))

    return rule
