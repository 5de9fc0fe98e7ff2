"""The cost of a model: floating-point operations of a forward pass, memory of the process."""

from __future__ import annotations

import resource

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_flops(model: nn.Module, x: Tensor) -> int:
    """Floating-point operations of one forward pass per example.

    Convolutions and products of matrices are counted, a multiplication and an addition as two; what is
    computed element by element is not.

    Parameters
    ----------
    model
        The model, in evaluation mode.
    x
        (n, 4, L) sequences on the model's device.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(x)
    return counter.get_total_flops() // len(x)


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
