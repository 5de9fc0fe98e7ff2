"""Slopes of each elementwise function that the engine knows; the shared parts are in ``elementwise``."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cislex.attribution.deeplift.elementwise import (
    Elementwise,
    Slope,
    clamp_slope,
    quotient_or_midpoint,
    relu_slope,
    threshold,
)
from cislex.attribution.deeplift.pairing import difference_of


def _smooth(derivative: Callable[[Tensor], Tensor] | None = None, *, kinks: tuple[float, ...] = ()) -> Slope:
    return lambda pair: quotient_or_midpoint(pair, derivative, kinks=kinks)


def _leaky_relu(pair: Elementwise) -> Tensor:
    slope = pair.call.argument(1, "negative_slope", 0.01)
    return relu_slope(pair.a, pair.b).mul_(1 - slope).add_(slope)


def _prelu(pair: Elementwise) -> Tensor:
    weight = pair.call.tensors[1].detach()
    slope = relu_slope(pair.a, pair.b)
    flat = slope.reshape(pair._flat)
    if weight.numel() > 1:
        weight = weight.reshape(1, -1, *([1] * (flat.dim() - 2)))
    return (weight + (1 - weight) * flat).reshape(slope.shape)


def _rrelu(pair: Elementwise) -> Tensor:
    slope = (pair.call.argument(1, "lower", 1 / 8) + pair.call.argument(2, "upper", 1 / 3)) / 2
    return relu_slope(pair.a, pair.b).mul_(1 - slope).add_(slope)


def _abs(pair: Elementwise) -> Tensor:
    difference = pair.a - pair.b
    quotient = (pair.a.abs() - pair.b.abs()) / difference
    return torch.where(difference == 0, pair.a.sign(), quotient)


def _clamp(pair: Elementwise) -> Tensor:
    low, high = pair.call.argument(1, "min"), pair.call.argument(2, "max")
    if pair.call.name == "clamp_max":
        low, high = None, pair.call.argument(1, "max")
    elif pair.call.name == "clamp_min":
        high = None
    return clamp_slope(pair.a, pair.b, low, high)


def _hardtanh(pair: Elementwise) -> Tensor:
    low, high = pair.call.argument(1, "min_val", -1.0), pair.call.argument(2, "max_val", 1.0)
    return clamp_slope(pair.a, pair.b, low, high)


def _softshrink(pair: Elementwise) -> Tensor:
    bound = pair.call.argument(1, "lambd", 0.5)
    return 1 - clamp_slope(pair.a, pair.b, -bound, bound)


def _hardswish(pair: Elementwise) -> Tensor:
    """h·relu6(h + 3)/6: the average of its derivative over the parts of [b, a], each exact."""
    low, high = torch.minimum(pair.a, pair.b), torch.maximum(pair.a, pair.b)
    left, right = low.clamp(-3, 3), high.clamp(-3, 3)
    total = (right - left) * ((right + left) / 6 + 0.5) + (high.clamp_min(3) - low.clamp_min(3))
    distance = high - low
    at = torch.where(pair.a >= 3, 1.0, torch.where(pair.a <= -3, 0.0, pair.a / 3 + 0.5))
    return torch.where(distance == 0, at.expand_as(distance), total / distance)


def _apart(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The larger and the smaller of both, and φ(d) = (1 − e⁻ᵈ)/d of their distance d, which is 1 at 0."""
    high, low = torch.maximum(a, b), torch.minimum(a, b)
    distance = difference_of(high, low).clamp_min_(torch.finfo(a.dtype).tiny).neg_()
    return high, low, torch.expm1(distance).div_(distance)


def sigmoid_slope(a: Tensor, b: Tensor) -> Tensor:
    """σ(high)·σ(−low)·φ(high − low): exact also where both are saturated and the quotient is all rounding."""
    high, low, phi = _apart(a, b)
    return phi.mul_(torch.sigmoid_(high)).mul_(torch.sigmoid_(low.neg_()))


def exp_slope(a: Tensor, b: Tensor) -> Tensor:
    """e^high·φ(high − low)."""
    high, _, phi = _apart(a, b)
    return phi.mul_(high.exp_())


def _sigmoid(pair: Elementwise) -> Tensor:
    return sigmoid_slope(pair.a, pair.b)


def _tanh(pair: Elementwise) -> Tensor:
    return sigmoid_slope(2 * pair.a, 2 * pair.b).mul_(4)


def _sine(pair: Elementwise) -> Tensor:
    """sin a − sin b = 2 cos(m) sin(d/2); cos a − cos b = −2 sin(m) sin(d/2)."""
    half = (pair.a - pair.b) / (2 * math.pi)
    middle = (pair.a + pair.b) / 2
    return torch.sinc(half) * (torch.cos(middle) if pair.call.name == "sin" else -torch.sin(middle))


def _softplus(pair: Elementwise) -> Tensor:
    """log(1 + exp(βh))/β, and h itself where βh is above the threshold: there it jumps."""
    beta, limit = (float(pair.call.argument(*item)) for item in ((1, "beta", 1), (2, "threshold", 20)))
    return quotient_or_midpoint(
        pair,
        lambda h: torch.where(h * beta > limit, 1.0, torch.sigmoid(h * beta)),
        scale=1 / beta,
        kinks=(limit / beta,),
    )


def _elu(pair: Elementwise) -> Tensor:
    """ELU, CELU and SELU: linear above zero, exponential below; across zero the quotient cancels nothing."""
    name = pair.call.name
    alpha = float(pair.call.argument(1, "alpha", 1.0))
    scale = 1.0 if name != "elu" else float(pair.call.argument(2, "scale", 1.0))
    rate = 1.0 if name != "elu" else float(pair.call.argument(3, "input_scale", 1.0))
    if name == "selu":
        alpha, scale = 1.6732632423543772, 1.0507009873554805
    elif name == "celu":
        rate = 1 / alpha
    a, b = pair.a, pair.b
    fa, fb = pair.values
    below = exp_slope((a * rate).clamp_max(0), (b * rate).clamp_max(0)).mul_(alpha * rate * scale)
    quotient = (fa - fb).div_(a - b)
    slope = torch.where((a < 0) == (b < 0), below, quotient)
    return torch.where((a >= 0) & (b >= 0), scale, slope)


def _softsign(pair: Elementwise) -> Tensor:
    """h/(1 + |h|): 1/((1 + |a|)(1 + |b|)) on one side of zero; across it the quotient cancels nothing."""
    a, b = pair.a, pair.b
    fa, fb = pair.values
    same = 1 / ((1 + a.abs()) * (1 + b.abs()))
    return torch.where((a < 0) == (b < 0), same, (fa - fb) / (a - b))


def _gelu_prime(pair: Elementwise, h: Tensor) -> Tensor:
    approximate = pair.call.argument(1, "approximate", "none")
    return torch.ops.aten.gelu_backward(torch.ones_like(h), h, approximate=approximate)


def _gelu(pair: Elementwise) -> Tensor:
    return quotient_or_midpoint(pair, lambda h: _gelu_prime(pair, h))


def _silu_prime(h: Tensor) -> Tensor:
    value = torch.sigmoid(h)
    return value * (1 + h * (1 - value))


def _exp(pair: Elementwise) -> Tensor:
    return exp_slope(pair.a, pair.b)


def log_slope(a: Tensor, b: Tensor) -> Tensor:
    """(log a − log b)/(a − b) = log1p(|a − b| / low)/|a − b|, low being the smaller: nothing cancels.

    Over the larger one 1 + (a − b)/b would lose a base that is small beside it.
    """
    low, distance = torch.minimum(a, b), (a - b).abs()
    return torch.where(distance == 0, 1 / low, torch.log1p(distance / low).div_(distance))


def _log(pair: Elementwise) -> Tensor:
    unit = {"log": 1.0, "log1p": 1.0, "log2": 1 / math.log(2), "log10": 1 / math.log(10)}[pair.call.name]
    shift = 1.0 if pair.call.name == "log1p" else 0.0
    return log_slope(pair.a + shift, pair.b + shift).mul_(unit)


def _logit(pair: Elementwise) -> Tensor:
    """log h − log(1 − h), of h within [eps, 1 − eps] where eps is given."""
    eps = pair.call.argument(1, "eps")
    if eps is None:
        return log_slope(pair.a, pair.b) + log_slope(1 - pair.a, 1 - pair.b)
    a, b = (h.clamp(eps, 1 - eps) for h in (pair.a, pair.b))
    inside = clamp_slope(pair.a, pair.b, eps, 1 - eps)
    return inside * (log_slope(a, b) + log_slope(1 - a, 1 - b))


def _sqrt(pair: Elementwise) -> Tensor:
    roots = pair.a.sqrt() + pair.b.sqrt()
    # Zero at both ends, such as the norm of a dead channel: nothing changes, and nothing passes.
    return torch.where(roots == 0, torch.zeros_like(roots), 1 / roots)


def _rsqrt(pair: Elementwise) -> Tensor:
    ra, rb = pair.a.sqrt(), pair.b.sqrt()
    return -1 / (ra * rb * (ra + rb))


def _reciprocal(pair: Elementwise) -> Tensor:
    return -1 / (pair.a * pair.b)


def _square(pair: Elementwise) -> Tensor:
    return pair.a + pair.b


def _pow(pair: Elementwise) -> Tensor:
    """Constant exponents: exact for small whole numbers and ±½, −1; else quotient or midpoint, by scale."""
    exponent = pair.call.argument(1, "exponent")
    if isinstance(exponent, int | float):
        if exponent in (0.5, -0.5, -1):
            return {0.5: _sqrt, -0.5: _rsqrt, -1: _reciprocal}[float(exponent)](pair)
        if float(exponent).is_integer() and 1 <= exponent <= 8:
            n = int(exponent)
            terms = [pair.a**i * pair.b ** (n - 1 - i) for i in range(n)]
            return torch.stack(torch.broadcast_tensors(*terms)).sum(0)
    return relative_midpoint(pair)


def relative_midpoint(pair: Elementwise) -> Tensor:
    """As ``quotient_or_midpoint`` for functions without a scale of their own, near relative to |a|, |b|."""
    fa, fb = pair.values
    difference = pair.a - pair.b
    size = torch.maximum(pair.a.abs(), pair.b.abs())
    near = (difference.abs() < threshold(pair.a.dtype) * size) | (difference == 0)
    return torch.where(near, pair.derivative((pair.a + pair.b) / 2), (fa - fb) / difference)


def _quotient(pair: Elementwise) -> Tensor:
    """Plain quotient with f′(a) where a = b: for functions with steps."""
    fa, fb = pair.values
    difference = pair.a - pair.b
    at = pair.derivative(pair.a.expand_as(difference))
    return torch.where(difference == 0, at, (fa - fb) / difference)


#: Slope of every known elementwise function.
SLOPES: dict[str, Slope] = {
    "relu": lambda pair: relu_slope(pair.a, pair.b),
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "rrelu": _rrelu,
    "abs": _abs,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    "hardtanh": _hardtanh,
    "relu6": lambda pair: clamp_slope(pair.a, pair.b, 0.0, 6.0),
    "hardsigmoid": lambda pair: clamp_slope(pair.a, pair.b, -3.0, 3.0) / 6,
    "hardswish": _hardswish,
    "softshrink": _softshrink,
    "hardshrink": _quotient,
    "threshold": _quotient,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "exp": _exp,
    "expm1": _exp,
    "exp2": _smooth(),
    "rpow": _smooth(),
    "gelu": _gelu,
    "silu": _smooth(_silu_prime),
    "elu": _elu,
    "celu": _elu,
    "selu": _elu,
    "softplus": _softplus,
    "logsigmoid": _smooth(lambda h: torch.sigmoid(-h)),
    "log_sigmoid": _smooth(lambda h: torch.sigmoid(-h)),
    "softsign": _softsign,
    "mish": _smooth(),
    "tanhshrink": _smooth(lambda h: torch.tanh(h).square_()),
    "sin": _sine,
    "cos": _sine,
    "tan": _smooth(),
    "sinh": _smooth(torch.cosh),
    "cosh": _smooth(torch.sinh),
    "atan": _smooth(),
    "asinh": _smooth(),
    "erf": _smooth(),
    "erfc": _smooth(),
    "sinc": _smooth(),
    "logit": _logit,
    "log": _log,
    "log2": _log,
    "log10": _log,
    "log1p": _log,
    "sqrt": _sqrt,
    "rsqrt": _rsqrt,
    "reciprocal": _reciprocal,
    "square": _square,
    "nan_to_num": _quotient,
    **dict.fromkeys(("frac", "remainder", "fmod"), _quotient),
}

#: Slopes of functions of two arguments where one of them is constant.
OF_ONE_ARGUMENT: dict[str, Slope] = {
    "pow": _pow,
    "float_power": _pow,
    **dict.fromkeys(("hypot", "atan2", "xlogy"), relative_midpoint),
    **dict.fromkeys(("logaddexp", "logaddexp2"), quotient_or_midpoint),
}
