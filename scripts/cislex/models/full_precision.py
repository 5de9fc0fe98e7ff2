"""Models that were saved in half precision, made to compute in float32.

Attributions are differences of nearly equal numbers, of which half precision keeps none of the digits that
count. The weights stay what they are; what is computed with them is float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

HALF = (torch.float16, torch.bfloat16)
#: Functions that make half precision without naming it as an argument.
_CASTS: tuple[Callable[..., Any], ...] = (Tensor.half, Tensor.bfloat16)
#: Their name as an argument of ``Tensor.type``.
_TYPES = ("torch.HalfTensor", "torch.BFloat16Tensor", "torch.cuda.HalfTensor", "torch.cuda.BFloat16Tensor")


class FullPrecision(nn.Module):
    """A model whose own casts to half precision become casts to float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Any:
        """The network's outputs, computed in float32."""
        with _Wide():
            return self.network(*inputs)


class _Wide(TorchFunctionMode):
    """Replaces half precision by float32 wherever a call asks for it."""

    def __torch_function__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _CASTS:
            func = Tensor.float
        wide = {key: _wide(value) for key, value in (kwargs or {}).items()}
        return func(*map(_wide, args), **wide)


def _wide(argument: Any) -> Any:
    if isinstance(argument, torch.dtype):
        return torch.float32 if argument in HALF else argument
    return torch.float32 if isinstance(argument, str) and argument in _TYPES else argument


def in_full_precision(model: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """The model itself, or in float32 where it has weights in half precision, with the notice to give."""
    tensors = (*model.parameters(), *model.buffers())
    found = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors if tensor.dtype in HALF})
    if not found:
        return model, ()
    notice = f"the weights are {' and '.join(found)}; the model computes in float32"
    return FullPrecision(model.float()), (notice,)


def own_dtype(model: nn.Module) -> torch.dtype:
    """What the model takes: float64 where it has such weights, else float32."""
    tensors = (*model.parameters(), *model.buffers())
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
