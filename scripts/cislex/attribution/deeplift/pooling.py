"""Maxima over windows and axes: cross-max routing.

With c = max(y_x, y_r) and g the multiplier from above, g·(c − y_r) belongs to the example's argmax and
g·(y_x − c) to the reference's; divided by the difference of the input there, both factors lie in
[0, 1], and their sum is complete: (c − y_r) + (y_x − c) = y_x − y_r.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cislex.attribution import kernels
from cislex.attribution.deeplift import pool_kernels
from cislex.attribution.deeplift.pairing import Pairing, difference_of
from cislex.attribution.deeplift.products import maximum
from cislex.attribution.deeplift.replay import Record, Rule
from cislex.attribution.operations import Call, Phase

#: Differences of up to this many machine epsilons of the row's largest maximum are rounding.
ROUNDING = 8.0


class _Route(torch.autograd.Function):
    """Backward adds g·weight at two places per output; the last dimension is routed."""

    @staticmethod
    def forward(
        ctx: Any,
        h: Tensor,
        output: list[Tensor],
        places: tuple[Tensor, Tensor],
        weights: tuple[Tensor, Tensor],
    ) -> Tensor:
        ctx.shape = h.shape
        ctx.save_for_backward(*places, *weights)
        return output[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        at_x, at_r, w_x, w_r = ctx.saved_tensors
        found = gradient.new_zeros(ctx.shape)
        found.scatter_add_(-1, at_x, gradient * w_x)
        found.scatter_add_(-1, at_r, gradient * w_r)
        return found, None, None, None


def _route(h: Tensor, x: Tensor, at_x: Tensor, at_r: Tensor) -> Tensor:
    """Reference activations h (…, P) and example's x, aligned; argmaxima (…, Q) of both."""
    with torch.no_grad():
        y_x, y_r = x.gather(-1, at_x), h.gather(-1, at_r)
        top = torch.maximum(y_x, y_r)
        d_x = difference_of(y_x, h.gather(-1, at_x))
        d_r = difference_of(x.gather(-1, at_r), y_r)
        # Example and references go forward in different batches, so equal inputs may differ by rounding:
        # a difference of that size is zero, or the route would depend on the batch.
        size = y_x.abs().masked_fill_(d_x == 0, 0.0).amax(tuple(range(1, x.ndim)), keepdim=True)
        limit = ROUNDING * torch.finfo(x.dtype).eps * size
        alike = functools.cache(lambda: _alike(x, h, limit))
        w_x = torch.where(_same(alike, at_x, d_x, limit), 1.0, (top - y_r) / d_x)
        w_r = torch.where(_same(alike, at_r, d_r, limit), 0.0, (y_x - top) / d_r)
    return _Route.apply(h, [y_r], (at_x, at_r), (w_x, w_r))


def _same(alike: Callable[[], Tensor], at: Tensor, difference: Tensor, limit: Tensor) -> Tensor:
    """Where a difference at ``at`` is nothing but rounding.

    A small difference alone does not say so: among a hundred thousand activations a few differ by no more.
    But where the sequences agree over a whole receptive field, all channels of the position agree.
    """
    near = difference.abs() <= limit
    if near.dim() < 3 or near.shape[-2] == 1:
        return near
    # There is seldom any; but a GPU is asked for nothing, since the answer would be waited for.
    if kernels.on_host(near) and not bool((near & (difference != 0)).any()):
        return near
    return (difference == 0) | (near & alike().gather(-1, at))


def _alike(x: Tensor, h: Tensor, limit: Tensor) -> Tensor:
    """Where all channels of a position agree, or all positions of a row: bool, shape of x."""
    close = difference_of(x, h).abs() <= limit
    return close.all(-2, keepdim=True) | close.all(-1, keepdim=True)


class _Pool(torch.autograd.Function):
    """Max-pooling along positions, routed back in one compiled pass."""

    @staticmethod
    def forward(
        ctx: Any,
        output: list[Tensor],
        phase: Phase,
        example: Tensor,
        places: tuple[Tensor, Tensor],
        h: Tensor,
    ) -> Tensor:
        ctx.phase, ctx.example, ctx.places, ctx.held = phase, example, places, phase.hold(h)
        return output[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None, None, Tensor]:
        rounding = ROUNDING * torch.finfo(gradient.dtype).eps
        found = pool_kernels.route(
            ctx.phase.workers, ctx.example, ctx.held.tensor, ctx.places, rounding, gradient.contiguous()
        )
        if ctx.phase.last:
            ctx.held = ctx.places = None
        return None, None, None, None, found


def _window(call: Call) -> dict[str, int] | None:
    """Size, stride, padding and dilation of pooling along positions, or None where loops have no such."""
    if call.name != "max_pool1d" or call.argument(5, "ceil_mode", False):
        return None
    values = {
        "size": call.argument(1, "kernel_size"),
        "stride": call.argument(2, "stride") or call.argument(1, "kernel_size"),
        "padding": call.argument(3, "padding", 0),
        "dilation": call.argument(4, "dilation", 1),
    }
    return {key: int(value[0] if isinstance(value, list | tuple) else value) for key, value in values.items()}


def _pool_compiled(call: Call, record: Record, pairing: Pairing, window: dict[str, int]) -> Any:
    """The rule in compiled loops."""
    example, h, workers = record.tensors[0], call.tensors[0], call.phase.workers
    with torch.no_grad():
        y, at = pool_kernels.pool(workers, h, **window)
        _, at_example = pool_kernels.pool(workers, example, **window)
    output = _Pool.apply([y], call.phase, example, (at_example, at), h)
    return (output, at) if isinstance(record.output, tuple) else output


def max_pool(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Any:
    """Max-pooling over windows in 1 to 3 dimensions, adaptive or not."""
    dims = int(call.name[-2])
    h = call.tensors[0]
    window = _window(call)
    rows_fit = h.dim() == 3 and len(record.tensors[0]) == pairing.examples
    if window is not None and rows_fit and kernels.fits(record.tensors[0], h):
        return _pool_compiled(call, record, pairing, window)
    with torch.no_grad():
        y_r, at_r = _pool_with_indices(call, h, dims)
        _, at_x = _pool_with_indices(call, record.tensors[0], dims)
        x = pairing.expand(record.tensors[0], h)
        at_x = pairing.expand(at_x, at_r)
    flat = _route(h.flatten(-dims), x.flatten(-dims), at_x.flatten(-dims), at_r.flatten(-dims))
    output = flat.reshape(y_r.shape)
    wants_indices = isinstance(record.output, tuple)
    return (output, at_r) if wants_indices else output


def _pool_with_indices(call: Call, h: Tensor, dims: int) -> tuple[Tensor, Tensor]:
    name = f"adaptive_max_pool{dims}d" if call.name.startswith("adaptive") else f"max_pool{dims}d"
    function = getattr(functional, name)
    if call.name.startswith("adaptive"):
        return function(h, call.argument(1, "output_size"), return_indices=True)
    return function(
        h,
        call.argument(1, "kernel_size"),
        call.argument(2, "stride") or None,
        call.argument(3, "padding", 0),
        call.argument(4, "dilation", 1),
        call.argument(5, "ceil_mode", False),
        return_indices=True,
    )


def extremum(sign: float) -> Rule:
    """``amax``, ``max(dim)`` and ``maximum``-like overloads; sign −1 for the minimum."""

    def rule(call: Call, record: Record, pairing: Pairing, active: list[int]) -> Any:
        if len(call.tensors) == 2:
            return maximum(sign)(call, record, pairing, active)
        h = call.tensors[0]
        dim = call.argument(1, "dim")
        keep = bool(call.argument(2, "keepdim", False))
        dims = _axes(dim, h.dim())
        signed = h if sign > 0 else -h
        with torch.no_grad():
            x = pairing.expand(record.tensors[0], h)
            x = _last(x if sign > 0 else -x, dims)
        rows = _last(signed, dims)
        at_r = rows.argmax(-1, keepdim=True)
        output = _route(rows, x, x.argmax(-1, keepdim=True), at_r).squeeze(-1)
        output = output if sign > 0 else -output
        if keep:
            for axis in dims:
                output = output.unsqueeze(axis)
        if isinstance(record.output, Tensor):
            return output
        indices = call.func(h.detach(), *call.args[1:], **call.kwargs)[1]
        return type(record.output)((output, indices))

    return rule


def _axes(dim: Any, ndim: int) -> list[int]:
    if dim is None or dim == () or dim == []:
        return list(range(ndim))
    axes = [dim] if isinstance(dim, int) else list(dim)
    return sorted(axis % ndim for axis in axes)


def _last(h: Tensor, dims: list[int]) -> Tensor:
    """The axes moved to the end and made one."""
    return h.movedim(dims, list(range(h.dim() - len(dims), h.dim()))).flatten(-len(dims))
