"""The path rule of softmax and its logarithm, whose vector-Jacobian product needs no graph.

With p = softmax(h) and multipliers g of the output it is p·(g − Σ p·g), and g − p·Σ g for the logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cislex.attribution import kernels
from cislex.attribution.operations import Call

#: Numbers of a block on a CPU: what is made for one point of the line stays in the cache.
BLOCK = 1 << 16


def fits(call: Call, activations: Sequence[Tensor], outputs: Sequence[Tensor]) -> bool:
    """Whether a call is a softmax along an axis that it names, without a change of type."""
    return (
        call.name in ("softmax", "log_softmax")
        and isinstance(call.argument(1, "dim"), int)
        and len(call.tensors) == 1
        and activations[0].dtype == outputs[0].dtype
        and not activations[0].is_complex()
    )


def average_slopes(
    call: Call, start: Tensor, difference: Tensor, gradient: Tensor, nodes: Sequence[tuple[float, float]]
) -> Tensor:
    """Multipliers of the activations: the product at points of the line, weighted.

    Parameters
    ----------
    start, difference
        The reference's activations, and the example's less these.
    gradient
        Multipliers of the output, of the same shape.
    nodes
        Positions on the line, 0 to 1, and weights.
    """
    axis, size = call.argument(1, "dim"), start.shape[call.argument(1, "dim")]
    total = torch.zeros_like(start, memory_format=torch.contiguous_format)
    ends = [start, difference, gradient, total]
    if kernels.on_host(start) and axis % start.dim() == start.dim() - 1:
        rows = max(1, BLOCK // size)
        blocks = zip(*(end.reshape(-1, size).split(rows) for end in ends), strict=True)
        axis = 1
    else:
        blocks = zip(*((end,) for end in ends), strict=True)
    for place, change, weights, block in blocks:
        for position, weight in nodes:
            there = torch.add(place, change, alpha=position)
            if call.name == "log_softmax":
                value = torch.log_softmax(there, axis)
                slope = torch._log_softmax_backward_data(weights, value, axis, value.dtype)
            else:
                value = torch.softmax(there, axis)
                slope = torch._softmax_backward_data(weights, value, axis, value.dtype)
            block.add_(slope, alpha=weight)
    return total
