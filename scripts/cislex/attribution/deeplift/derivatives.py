"""First three derivatives of smooth activations, for slopes between points that are close.

Where b is near a, (f(b) − f(a))/(b − a) = f′(a) + f″(a)·d/2 + f‴(a)·d²/6 + O(d³) with d = b − a. The
derivatives of an example are made once and serve all its references, so that a pair costs three products
and no exponential.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cislex.attribution.operations import Call

#: f′, f″ and f‴ at the example's points.
Three = tuple[Tensor, Tensor, Tensor]


def near(dtype: torch.dtype) -> float:
    """Difference below which the series beats the quotient: (24 ε)^¼, where both errors meet."""
    return (24 * torch.finfo(dtype).eps) ** 0.25


def _logistic(a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """σ and its three derivatives."""
    value = torch.sigmoid(a)
    first = value * (1 - value)
    second = first * (1 - 2 * value)
    return value, first, second, second * (1 - 2 * value) - 2 * first * first


def _silu(call: Call, a: Tensor) -> Three:
    value, first, second, third = _logistic(a)
    return value + a * first, 2 * first + a * second, 3 * second + a * third


def _gelu(call: Call, a: Tensor) -> Three:
    a = a.clamp(-30, 30)  # linear beyond; powers of what is larger would overflow
    if call.argument(1, "approximate", "none") == "tanh":
        return _gelu_tanh(a)
    density = torch.exp(-0.5 * a * a) / math.sqrt(2 * math.pi)
    below = 0.5 * torch.special.erfc(-a / math.sqrt(2))
    return below + a * density, density * (2 - a * a), density * a * (a * a - 4)


def _gelu_tanh(a: Tensor) -> Three:
    """½a(1 + t) with t = tanh(u), u = k(a + 0.044715 a³); A = (1 − t²)u′ and B = A′."""
    k = math.sqrt(2 / math.pi)
    u1, u2, u3 = k * (1 + 3 * 0.044715 * a * a), 6 * k * 0.044715 * a, 6 * k * 0.044715
    t = torch.tanh(k * (a + 0.044715 * a**3))
    s = 1 - t * t
    bend = u2 - 2 * t * u1 * u1
    big_a, big_b = s * u1, s * bend
    slope_of_b = -2 * t * u1 * big_b + s * (u3 - 2 * s * u1**3 - 4 * t * u1 * u2)
    return 0.5 * (1 + t) + 0.5 * a * big_a, big_a + 0.5 * a * big_b, 1.5 * big_b + 0.5 * a * slope_of_b


def _softplus(call: Call, a: Tensor) -> Three:
    beta = float(call.argument(1, "beta", 1))
    value, first, second, _ = _logistic(a * beta)
    return value, beta * first, beta * beta * second


def _logsigmoid(call: Call, a: Tensor) -> Three:
    value, first, second, _ = _logistic(-a)
    return value, -first, second


#: Activations without an exact form of their slope, whose scale is one.
DERIVATIVES: dict[str, Callable[[Call, Tensor], Three]] = {
    "silu": _silu,
    "gelu": _gelu,
    "softplus": _softplus,
    "logsigmoid": _logsigmoid,
    "log_sigmoid": _logsigmoid,
}


def jumps(call: Call) -> bool:
    """Whether a softplus has a threshold so low that it jumps there by more than rounding."""
    return call.name == "softplus" and float(call.argument(2, "threshold", 20)) < 20


def series_of(call: Call, a: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    """Coefficients of 1, d and d² at the example's points, and up to which |d| they hold."""
    first, second, third = DERIVATIVES[call.name](call, a)
    scale = 1 / float(call.argument(1, "beta", 1)) if call.name == "softplus" else 1.0
    return first, second.mul_(1 / 2), third.mul_(1 / 6), near(a.dtype) * scale
