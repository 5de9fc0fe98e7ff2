"""The path rule: an operation's own Jacobian, averaged along the straight line from reference to example.

By the fundamental theorem of calculus it is complete for any differentiable operation. Gauss-Legendre
quadrature with p points is exact for polynomials of degree 2p − 1, so that one point (the midpoint) is
exact for products of two activations, and the number of points of any other operation is chosen by
its own residual.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cislex.attribution.deeplift import softmaxes
from cislex.attribution.deeplift.pairing import Pairing, difference_of, jacobian_product, part, sum_rows
from cislex.attribution.deeplift.replay import Record, Rule
from cislex.attribution.operations import Call, differentiable, tensors_of, whereabouts
from cislex.errors import UnsupportedOperationError

FIRST_POINTS, MOST_POINTS = 3, 64
#: With fewer points than this the residual must be a part of what is otherwise small enough: a few points may
#: be right by chance.
SURE_POINTS, PART = 8, 1 / 8
#: Share of an unknown operation's difference that the path rule may leave unexplained.
LIMIT = 1e-3


def gauss_legendre(points: int) -> list[tuple[float, float]]:
    """Nodes in (0, 1) and weights that sum to one."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return [(float((node + 1) / 2), float(weight / 2)) for node, weight in zip(nodes, weights, strict=True)]


def more_points(points: int, residual: float, fewer: int, before: float, enough: float) -> int:
    """How many points to take where these leave more than enough: the residual falls by a factor with each.

    Parameters
    ----------
    points, residual
        How many were taken last, and what they left.
    fewer, before
        The same of the time before; 0 and infinite where there was none.
    enough
        What may be left.
    """
    start, height, margin = (fewer, before, 1.3) if fewer else (0, 1.0, 1.8)
    falling = math.log(height / residual) / (points - start) if 0 < residual < height else 0.0
    wanted = margin * math.log(residual / enough) / falling if falling else math.inf
    return int(min(max(points + wanted, points + 3), 6 * points, MOST_POINTS))


def _residual(got: Tensor, wanted: Tensor, size: Tensor) -> float:
    """Largest |Σ m·Δh − Σ g·Δy| of a row relative to Σ|g·Δy|."""
    return float(((got - wanted).abs() / (size + torch.finfo(torch.float64).tiny)).max())


class _Integrator:
    """One call on its way from reference to example."""

    def __init__(
        self,
        call: Call,
        record: Record,
        pairing: Pairing,
        active: list[int],
        points: int | None,
        limit: float | None,
    ) -> None:
        self.limit = limit
        self.where = "" if limit is None else f" {whereabouts(torch.nn.Module())}"
        self.call = call
        self.active = active
        self.points = points
        self.references = [call.tensors[i].detach() for i in active]
        self.constants = [tensor.detach() for tensor in call.tensors]
        self.pairing = pairing
        self.record = record

    def output(self) -> Any:
        return self.call.run(self.constants)

    def integrate(self, gradients: Sequence[Tensor | None]) -> list[Tensor]:
        """Multipliers of the activations for these multipliers of the outputs."""
        softmax = None
        if self.points is None:
            softmax = softmaxes.fit(self.call, self.pairing, self.record, self.reference_outputs)
        if softmax is None:
            # Zero where both ends are the same infinity, as under a mask.
            self.differences = [
                difference_of(self.pairing.expand(self.record.tensors[i], start), start)
                for i, start in zip(self.active, self.references, strict=True)
            ]
            if self.points is not None:
                return self._quadrature(gradients, self.points)
        tolerance = max(16 * torch.finfo(self.references[0].dtype).eps, 2e-13)
        points, fewer, before = FIRST_POINTS, 0, float("inf")
        while True:
            if softmax is None:
                multipliers = self._quadrature(gradients, points)
                sums = self._sums(gradients, multipliers)
            else:
                assert gradients[0] is not None
                total, sums = softmax.average_slopes(gradients[0], gauss_legendre(points))
                multipliers = [total]
            residual = _residual(*sums)
            enough = tolerance if points >= SURE_POINTS else PART * tolerance
            stalls = before > 1e-4 and residual > before * fewer / points
            if residual <= enough or points >= MOST_POINTS or stalls:
                self._judge(residual, points)
                return multipliers
            wanted = more_points(points, residual, fewer, before, enough)
            points, fewer, before = wanted, points, residual

    def _judge(self, residual: float, points: int) -> None:
        """Refuse what does not converge, where nobody has vouched for the operation."""
        if self.limit is not None and residual > self.limit:
            raise UnsupportedOperationError(
                f"{self.call.describe()}{self.where}: averaging its Jacobian over {points} points leaves "
                f"{residual:.1e} of its difference unexplained; expected at most {self.limit:g}: it "
                f"has jumps or many kinks; what to do: give a rule (rules={{{self.call.name!r}: "
                "'piecewise_linear'}}, if it works element by element), or use a gradient method or ISM"
            )

    def _quadrature(self, gradients: Sequence[Tensor | None], points: int) -> list[Tensor]:
        totals = [torch.zeros_like(tensor) for tensor in self.references]
        for position, weight in gauss_legendre(points):
            places = [
                torch.add(start, difference, alpha=position)
                for start, difference in zip(self.references, self.differences, strict=True)
            ]
            for total, slope in zip(totals, self._slopes(places, gradients), strict=True):
                if slope is not None:
                    total.add_(slope, alpha=weight)
        return totals

    def _slopes(self, places: list[Tensor], gradients: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """The operation's own vector-Jacobian product somewhere."""
        inputs = list(self.constants)
        for i, leaf in zip(self.active, places, strict=True):
            inputs[i] = leaf.requires_grad_()
        # cudnn has no backward of RNNs in evaluation mode
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            return jacobian_product(tensors_of(self.call.run(inputs)), places, gradients)

    def _sums(
        self, gradients: Sequence[Tensor | None], multipliers: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Σ m·Δh, Σ g·Δy and Σ|g·Δy| of each row."""
        got: Any = 0.0
        for m, difference in zip(multipliers, self.differences, strict=True):
            got = got + self._by_row(part(m, difference), difference)
        wanted: Any = 0.0
        size: Any = 0.0
        for gradient, y, y_x in zip(
            gradients, self.reference_outputs, tensors_of(self.record.output), strict=True
        ):
            if gradient is not None:
                passed = part(gradient, difference_of(self.pairing.expand(y_x, y), y))
                wanted = wanted + self._by_row(passed, y)
                size = size + self._by_row(passed.abs_(), y)
        return got, wanted, size

    def _by_row(self, values: Tensor, like: Tensor) -> Tensor:
        rows = self.pairing.examples * self.pairing.references
        dim = next((d for d, size in enumerate(like.shape) if size == rows), None)
        if dim is None:
            return values.sum(dtype=torch.float64)
        return sum_rows(values, dim)

    reference_outputs: list[Tensor]
    differences: list[Tensor]


class _Path(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, integrator: _Integrator, structure: list[Any], *activations: Tensor) -> Any:
        output = integrator.output()
        structure.append(output)
        outputs = tensors_of(output)
        integrator.reference_outputs = [tensor.detach() for tensor in outputs]
        ctx.integrator = integrator
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(tensor for tensor in outputs if not differentiable(tensor)))
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        if all(gradient is None for gradient in gradients):
            return (None, None, *[None for _ in ctx.integrator.active])
        return (None, None, *ctx.integrator.integrate(gradients))


def integrate(points: int | None = None, *, limit: float | None = None) -> Rule:
    """Path rule with a fixed number of points, or as many as the residual asks for.

    With ``limit`` an operation that leaves more of its difference unexplained is an error.
    """

    def rule(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Any:
        structure: list[Any] = []
        outputs = _Path.apply(
            _Integrator(call, record, pairing, active, points, limit),
            structure,
            *(call.tensors[i] for i in active),
        )
        return _like(structure[0], list(outputs))

    return rule


def multilinear(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Any:
    """Exact for an operation that is linear in each argument: ⌈activations / 2⌉ points."""
    return integrate((len(active) + 1) // 2)(call, record, pairing, active)


def _like(structure: Any, tensors: list[Tensor]) -> Any:
    """The tensors in the shape of the output that they came from."""
    if isinstance(structure, Tensor):
        return tensors[0]
    if isinstance(structure, dict):
        return dict(zip(structure, tensors, strict=True))
    if hasattr(structure, "n_sequence_fields"):  # named results of torch, such as max(dim)
        return type(structure)(tensors)
    return type(structure)(tensors) if isinstance(structure, list) else tuple(tensors)
