"""The table of rules by operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from cislex.attribution.deeplift import complexes, elementwise, integration, pooling, products, slopes
from cislex.attribution.deeplift.replay import Rule
from cislex.attribution.operations import whereabouts
from cislex.attribution.transforms import words
from cislex.errors import ConfigError, UnsupportedOperationError

#: Differentiable operations whose Jacobian is averaged along the line, with as many points as needed.
_INTEGRATED = words("""
softmax log_softmax logsumexp logaddexp logaddexp2 lstm gru rnn_tanh rnn_relu lstm_cell gru_cell
rnn_tanh_cell rnn_relu_cell prod cumprod atan2 hypot xlogy addcdiv pow logcumsumexp cdist
pairwise_distance dist det float_power polar
""")

#: Operations that order activations by their values: their Jacobian jumps wherever two change places.
ORDERED = frozenset(
    words("sort msort topk kthvalue median nanmedian quantile nanquantile mode cummax cummin")
)

#: Why these are refused, and what to do instead.
ORDERS = "orders activations by value, for which no exact rule exists and integration does not converge"
NO_ORDER = "express it by max, min or pooling, or use a gradient method or ISM"

_POOLS = [f"{kind}max_pool{d}d" for kind in ("", "adaptive_") for d in (1, 2, 3)]

_PRODUCTS = words("""
linear conv1d conv2d conv3d convolution conv_transpose1d conv_transpose2d conv_transpose3d addmm baddbmm
addbmm addmv addr addcmul einsum tensordot kron bilinear mv dot inner outer vdot chain_matmul multi_dot
conv_tbc lerp rmatmul
""")


def _of_one(slope: Rule) -> Rule:
    """Functions of two arguments have a slope where one is constant; else they are integrated."""
    whole = integration.integrate()

    def rule(call: Any, record: Any, pairing: Any, active: list[int]) -> Any:
        shape = torch.broadcast_shapes(*(tensor.shape for tensor in call.tensors))
        fits = len(active) == 1 and call.tensors[active[0]].shape == shape
        return (slope if fits else whole)(call, record, pairing, active)

    return rule


def _refuse(call: Any, record: Any, pairing: Any, active: list[int]) -> Any:
    """What no rule of the engine, nor the path rule, is exact for."""
    where = whereabouts(torch.nn.Module())
    raise UnsupportedOperationError(f"{call.describe()} {where}: {ORDERS}; what to do: {NO_ORDER}")


def _real(plain: Rule) -> Rule:
    """The rule of a function of one real activation; several are integrated, as are most complex ones."""
    whole = integration.integrate()

    def rule(call: Any, record: Any, pairing: Any, active: list[int]) -> Any:
        chosen = plain if len(active) == 1 else whole
        if len(active) == 1 and call.tensors[active[0]].is_complex():
            chosen = complexes.holomorphic if call.name in complexes.HOLOMORPHIC else whole
        return chosen(call, record, pairing, active)

    return rule


def _modulus(plain: Rule) -> Rule:
    """The absolute value of real and of complex numbers."""

    def rule(call: Any, record: Any, pairing: Any, active: list[int]) -> Any:
        chosen = complexes.modulus if call.tensors[0].is_complex() else plain
        return chosen(call, record, pairing, active)

    return rule


def builtin() -> dict[str, Rule]:
    """All rules of Rescale by canonical name."""
    rules: dict[str, Rule] = {name: integration.integrate() for name in _INTEGRATED}
    rules |= {name: _real(elementwise.elementwise(slope)) for name, slope in slopes.SLOPES.items()}
    rules |= dict.fromkeys(ORDERED, _refuse)
    rules["angle"] = complexes.angle(integration.integrate(limit=integration.LIMIT))  # of real numbers: steps
    rules["abs"] = _modulus(rules["abs"])
    rules |= dict.fromkeys(_POOLS, pooling.max_pool)
    rules |= dict.fromkeys(_PRODUCTS, integration.multilinear)
    rules |= dict.fromkeys(("matmul", "bmm", "mm"), products.matmul)
    rules |= dict.fromkeys(("mul", "multiply"), products.multiply)
    rules |= dict.fromkeys(("div", "rdiv"), products.divide)
    rules |= {"maximum": products.maximum(1.0), "minimum": products.maximum(-1.0)}
    rules |= {"fmax": products.maximum(1.0), "fmin": products.maximum(-1.0)}
    rules |= {"max": pooling.extremum(1.0), "amax": pooling.extremum(1.0)}
    rules |= {"min": pooling.extremum(-1.0), "amin": pooling.extremum(-1.0)}
    rules |= {name: products.clamp(rules[name]) for name in ("clamp", "clamp_min", "clamp_max")}
    rules["relu"] = elementwise.relu
    for name, slope in slopes.OF_ONE_ARGUMENT.items():
        rules[name] = _of_one(_real(elementwise.elementwise(slope)))
    rules |= {name: complexes.of_two_parts(rules[name]) for name in ("hypot", "atan2")}
    return rules


def user_rules(
    given: Mapping[str, str | Callable[..., Any]] | None,
) -> tuple[dict[str, Rule], frozenset[str]]:
    """The user's rules by operation name, and the operations that the user declares linear."""
    rules: dict[str, Rule] = {}
    linear = set()
    for name, rule in (given or {}).items():
        if rule == "linear":
            linear.add(name)
        elif rule == "elementwise":
            rules[name] = elementwise.elementwise(slopes.relative_midpoint)
        elif rule == "piecewise_linear":
            rules[name] = elementwise.elementwise(slopes._quotient)
        elif rule == "integrate":
            rules[name] = integration.integrate(limit=integration.LIMIT)
        elif callable(rule):
            rules[name] = rule
        else:
            raise ConfigError(
                f"rules[{name!r}]: found {rule!r}, expected 'elementwise', 'piecewise_linear', 'integrate', "
                "'linear' or a callable"
            )
    return rules, frozenset(linear)
