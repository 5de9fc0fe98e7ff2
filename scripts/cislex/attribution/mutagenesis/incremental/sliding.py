"""Kernels that slide over columns: convolution and pooling of :class:`~.columns.MutantColumns`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from cislex.attribution.mutagenesis.incremental.changes import FEW, Convolution, convolve
from cislex.attribution.mutagenesis.incremental.columns import MutantColumns, made, window


def single(value: Any) -> int:
    """Return the one number of a number, list or tuple."""
    return int(value[0] if isinstance(value, list | tuple) else value)


def _sliding(
    c: MutantColumns,
    size: int,
    stride: int,
    padding: tuple[int, int],
    fill: float,
    call: Callable[[Tensor], Tensor],
    convolution: Convolution | None = None,
) -> MutantColumns:
    """A kernel that covers ``size`` columns; ``call`` works on columns that are padded already."""
    left, right = padding
    padded = c.base
    if left or right:
        padded = c.tape.base(lambda: F.pad(c.base, (left, right), value=fill))
    base = c.tape.base(lambda: call(padded))
    # The outputs that see a changed column: o·stride − left <= last changed, o·stride − left + size > first.
    low = -((-(c.first + left - size + 1)) // stride)
    width = min(-((1 - size - c.width) // stride), base.shape[2])
    first = np.clip(low, 0, base.shape[2] - width)
    if convolution is not None:
        found = convolve(c, base, convolution, padding=left, first=first, width=width)
        if found is not None:
            return found

    def part() -> Tensor:
        return call(window(c, first * stride, (width - 1) * stride + size, padded, left))

    return made(c, base, part, first, width)


def conv1d(func: Any, args: Any, kwargs: Any) -> Any:
    """Convolution; strides, dilation, groups and padding as of torch."""
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    given = dict(zip(names, args, strict=False)) | kwargs
    c, weight = given["input"], given["weight"]
    if not isinstance(c, MutantColumns) or c.axis != 2:
        return NotImplemented
    stride, dilation = single(given.get("stride", 1)), single(given.get("dilation", 1))
    size = dilation * (weight.shape[2] - 1) + 1
    padding = given.get("padding", 0)
    if padding == "same":
        sides = ((size - 1) // 2, size - 1 - (size - 1) // 2)
    else:
        sides = (0, 0) if padding == "valid" else (single(padding),) * 2

    bias, groups = given.get("bias"), given.get("groups", 1)

    def call(padded: Tensor) -> Tensor:
        if stride == groups == 1 and weight.shape[0] <= FEW and not padded.is_cuda:
            return _few_channels(padded, weight, bias, dilation)
        return F.conv1d(padded, weight, bias, stride, 0, dilation, groups)

    changes = Convolution(weight, dilation, groups) if stride == 1 else None
    return _sliding(c, size, stride, sides, 0.0, call, changes)


def _few_channels(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """A convolution with few output channels as one matrix product and sums along diagonals.

    The processor's convolution kernels use a tenth of its speed here (64 channels to 1, 75 wide).
    """
    out, channels, taps = weight.shape
    width = x.shape[2] - dilation * (taps - 1)
    products = weight.permute(0, 2, 1).reshape(out * taps, channels) @ x  # (B, out · taps, columns)
    rows, columns = products.shape[1:]
    diagonals = products.as_strided(
        (len(x), out, taps, width), (rows * columns, taps * columns, columns + dilation, 1)
    )
    total = diagonals.sum(2)
    return total if bias is None else total + bias[:, None]


def max_pool1d(func: Any, args: Any, kwargs: Any) -> Any:
    """Maximum pooling, unless the last window is cut or indices are asked for."""
    names = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given = dict(zip(names, args, strict=False)) | kwargs
    c = given["input"]
    if c.axis != 2 or given.get("ceil_mode") or given.get("return_indices"):
        return NotImplemented
    kernel, dilation = single(given["kernel_size"]), single(given.get("dilation", 1))
    stride, padding = single(given.get("stride") or kernel), single(given.get("padding", 0))

    def call(padded: Tensor) -> Tensor:
        return F.max_pool1d(padded, kernel, stride, 0, dilation)

    return _sliding(c, dilation * (kernel - 1) + 1, stride, (padding, padding), -torch.inf, call)


def avg_pool1d(func: Any, args: Any, kwargs: Any) -> Any:
    """Average pooling, unless the last window is cut or padding is left out of the mean."""
    names = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    given = dict(zip(names, args, strict=False)) | kwargs
    c, kernel = given["input"], single(given["kernel_size"])
    stride, padding = single(given.get("stride") or kernel), single(given.get("padding", 0))
    if c.axis != 2 or given.get("ceil_mode") or (padding and not given.get("count_include_pad", True)):
        return NotImplemented
    return _sliding(
        c, kernel, stride, (padding, padding), 0.0, lambda part: F.avg_pool1d(part, kernel, stride)
    )
