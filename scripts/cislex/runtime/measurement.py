"""The cost of a model: floating-point operations of a forward pass, memory of the process."""

from __future__ import annotations

import resource
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


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
    with torch.no_grad(), _Counter() as counter:
        model(x)
    return counter.total // len(x)


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class _Counter(TorchDispatchMode):
    """What ``torch.utils.flop_counter`` counts, without its import of torch's compiler (3 s in each job)."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function._overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **(kwargs or {}), out_val=result))
        return result
