"""Functions of complex numbers, and of the two parts of one: quotients, exact across branch cuts.

A function w = f(z) that has a complex derivative gets the complex quotient q = Δw/Δz: with the multiplier
g q̄ of z, Re(conj(g q̄) Δz) is Re(ḡ Δw), whatever lies between reference and example. Averaging f′ along the
line is the same where f has no branch cut on the line, and misses the jump where it has one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cislex.attribution.deeplift.elementwise import threshold
from cislex.attribution.deeplift.integration import integrate
from cislex.attribution.deeplift.pairing import Pairing
from cislex.attribution.deeplift.products import weigh
from cislex.attribution.deeplift.replay import Record, Rule
from cislex.attribution.operations import Call

#: Functions of one argument that have a complex derivative.
HOLOMORPHIC = frozenset(
    (
        *("exp", "expm1", "exp2", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "square", "reciprocal"),
        *("sin", "cos", "tan", "sinh", "cosh", "tanh", "sinc", "sigmoid", "logit", "pow", "float_power"),
        *("rpow", "asin", "acos", "atan", "asinh", "acosh", "atanh", "silu"),
    )
)
_whole = integrate()


def holomorphic(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Tensor:
    """A function of one complex activation: Δw/Δz, and f′ at the midpoint where that has more digits."""
    index = active[0]
    z_r = call.tensors[index]
    output = call.run(call.tensors)
    if len(active) > 1 or not z_r.is_complex() or output.shape != z_r.shape:
        return _whole(call, record, pairing, active)

    def derivative(points: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = points.detach().requires_grad_()
            tensors = [leaf if i == index else tensor.detach() for i, tensor in enumerate(call.tensors)]
            (slope,) = torch.autograd.grad(call.run(tensors).real.sum(), leaf)
        return slope.conj().resolve_conj()  # autograd gives the conjugate of f′

    def compute() -> tuple[Tensor, list[Tensor]]:
        z_x, w_x = pairing.expand(record.tensors[index], z_r), pairing.expand(record.output, output)
        slope = derivative(0.5 * (z_x + z_r))
        return output, [_quotient(w_x, output, z_x, z_r, slope)]

    return weigh(compute, z_r)


def _quotient(w_x: Tensor, w_r: Tensor, z_x: Tensor, z_r: Tensor, slope: Tensor) -> Tensor:
    """Δw/Δz, or the slope at the midpoint where both points are near and it explains the difference."""
    dw, dz = w_x - w_r, z_x - z_r
    near = dz.abs() < threshold(z_r.real.dtype) * torch.maximum(z_x.abs(), z_r.abs())
    rounding = 64 * torch.finfo(z_r.real.dtype).eps * (w_x.abs() + w_r.abs())
    explained = (dw - slope * dz).abs() <= 0.1 * (slope * dz).abs() + rounding
    chosen = torch.where(near & explained | (dz == 0), slope, dw / dz)
    return torch.where((dz == 0) & ~torch.isfinite(chosen.abs()), 0, chosen)


def _turning(z_x: Tensor, z_r: Tensor) -> Tensor:
    """w with Re(w Δz) the difference of the angles: −i Δ(log z)/Δz; all of it along Δz where one is zero."""
    dz = z_x - z_r
    found = -1j * _quotient(z_x.log(), z_r.log(), z_x, z_r, 2 / (z_x + z_r))
    along = dz.conj() * ((z_x.angle() - z_r.angle()) / (dz.abs() ** 2).clamp_min(_tiny(z_r)))
    found = torch.where((z_x == 0) | (z_r == 0), along, found)
    return torch.where(torch.isfinite(found.abs()), found, 0)


def _tiny(z: Tensor) -> float:
    return torch.finfo(z.real.dtype).tiny


def angle(plain: Rule) -> Rule:
    """The angle of complex numbers is the imaginary part of their logarithm; ``plain`` for real ones."""

    def rule(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Tensor:
        z_r = call.tensors[0]
        if not z_r.is_complex():
            return plain(call, record, pairing, active)

        def compute() -> tuple[Tensor, list[Tensor]]:
            return call.run(call.tensors), [_turning(pairing.expand(record.tensors[0], z_r), z_r)]

        return weigh(compute, z_r)

    return rule


def modulus(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Tensor:
    """|z| of complex numbers: |z_x| − |z_r| = Re((z̄_x + z̄_r)(z_x − z_r)) / (|z_x| + |z_r|)."""

    def compute() -> tuple[Tensor, list[Tensor]]:
        z_r = call.tensors[0]
        z_x = pairing.expand(record.tensors[0], z_r)
        return call.run(call.tensors), [_lengthening(z_x, z_r)]

    return weigh(compute, call.tensors[0])


def _lengthening(z_x: Tensor, z_r: Tensor) -> Tensor:
    """w with Re(w Δz) the difference of the sizes."""
    return (z_x + z_r).conj() / (z_x.abs() + z_r.abs()).clamp_min(_tiny(z_r))


def of_two_parts(plain: Rule) -> Rule:
    """hypot(a, b) and atan2(b, a): size and angle of a + ib; ``plain`` where one is constant."""

    def rule(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Tensor:
        if len(active) < 2 or call.tensors[0].dtype not in (torch.float32, torch.float64):
            return plain(call, record, pairing, active)
        turns = call.name == "atan2"

        def compute() -> tuple[Tensor, list[Tensor]]:
            here = torch.broadcast_tensors(*call.tensors)
            there = torch.broadcast_tensors(
                *(pairing.expand(record.tensors[i], tensor) for i, tensor in enumerate(call.tensors))
            )
            z_r, z_x = (torch.complex(*(pair[::-1] if turns else pair)) for pair in (here, there))
            w = _turning(z_x, z_r) if turns else _lengthening(z_x, z_r)
            weights = [w.real, -w.imag]
            return call.run(call.tensors), weights[::-1] if turns else weights

        return weigh(compute, *call.tensors)

    return rule
