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
#: Functions that choose a floating point without naming it as an argument, by what they choose.
_CASTS: dict[torch.dtype, Callable[..., Any]] = {
    torch.float16: Tensor.half,
    torch.bfloat16: Tensor.bfloat16,
    torch.float32: Tensor.float,
}
#: Names of these as arguments of ``Tensor.type``.
_TYPES = {
    name: dtype
    for place in ("torch", "torch.cuda")
    for name, dtype in (
        (f"{place}.HalfTensor", torch.float16),
        (f"{place}.BFloat16Tensor", torch.bfloat16),
        (f"{place}.FloatTensor", torch.float32),
    )
}


class FullPrecision(nn.Module):
    """A model whose own casts to half precision become casts to float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Any:
        """The network's outputs, computed in float32."""
        with Widened(torch.float32):
            return self.network(*inputs)


class Widened(TorchFunctionMode):
    """Replaces each narrower floating point by a wider one wherever a call asks for it.

    Parameters
    ----------
    wide
        ``torch.float32`` replaces half precision, ``torch.float64`` also float32.
    """

    def __init__(self, wide: torch.dtype) -> None:
        super().__init__()
        self.wide = wide
        self.narrow = (*HALF, torch.float32) if wide == torch.float64 else HALF
        self.casts = tuple(_CASTS[dtype] for dtype in self.narrow)

    def __torch_function__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in self.casts:
            func = Tensor.double if self.wide == torch.float64 else Tensor.float
        wide = {key: self._wide(value) for key, value in (kwargs or {}).items()}
        return func(*map(self._wide, args), **wide)

    def _wide(self, argument: Any) -> Any:
        asked = _TYPES.get(argument) if isinstance(argument, str) else argument
        return self.wide if isinstance(asked, torch.dtype) and asked in self.narrow else argument


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
