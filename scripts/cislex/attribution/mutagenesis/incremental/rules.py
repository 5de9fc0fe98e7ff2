"""How operations act on :class:`~cislex.attribution.mutagenesis.incremental.columns.MutantColumns`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from cislex.attribution.mutagenesis.incremental import changes
from cislex.attribution.mutagenesis.incremental.calls import (
    SAME,
    VIEWS,
    as_whole,
    is_in_place,
    is_same,
    out_of_place,
    plain_name,
    positional,
    snapshots,
    without_inplace,
)
from cislex.attribution.mutagenesis.incremental.columns import (
    Lazy,
    MutantColumns,
    NotTrackedError,
    changed,
    difference,
    everywhere,
    flat,
    gather,
    made,
    union,
    window,
)
from cislex.attribution.mutagenesis.incremental.sliding import avg_pool1d, conv1d, max_pool1d, single

_UNARY = frozenset(
    [
        "relu",
        "gelu",
        "sigmoid",
        "tanh",
        "exp",
        "expm1",
        "log",
        "log1p",
        "log2",
        "softplus",
        "elu",
        "selu",
        "celu",
        "silu",
        "mish",
        "hardswish",
        "hardtanh",
        "hardsigmoid",
        "leaky_relu",
        "relu6",
        "softsign",
        "logsigmoid",
        "log_sigmoid",
        "abs",
        "neg",
        "negative",
        "sqrt",
        "rsqrt",
        "square",
        "pow",
        "clamp",
        "clip",
        "erf",
        "sin",
        "cos",
        "reciprocal",
        "threshold",
        "prelu",
        "positive",
        "contiguous",
        "clone",
        "float",
        "double",
        "half",
        "bfloat16",
        "to",
        "softshrink",
        "hardshrink",
        "tanhshrink",
    ]
)
_BINARY = frozenset(
    [
        "add",
        "sub",
        "subtract",
        "rsub",
        "mul",
        "multiply",
        "div",
        "divide",
        "rdiv",
        "true_divide",
        "truediv",
        "rtruediv",
        "maximum",
        "minimum",
    ]
)
#: Sums, by what the second operand is multiplied with; with constants all of these are affine.
_SIGNS = {"add": 1, "sub": -1, "subtract": -1}
_AFFINE = frozenset([*_SIGNS, "rsub", "mul", "multiply"])
_QUOTIENTS = frozenset(["div", "divide", "true_divide", "truediv"])
#: Of one operand.
_LINEAR = frozenset(["neg", "negative", "positive", "contiguous", "clone"])


def carry_out(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Carry out one call: on windows where there is a rule that fits, else on whole tensors."""
    name = getattr(func, "__name__", str(func)).split(".")[0]
    if name == "__get__" and func.__self__.__name__ in ("mT", "mH"):  # of real numbers
        return carry_out(torch.transpose, (args[0], 1, 2), {})
    if name in ("__get__", "size", "dim", "ndimension", "stride", "numel", "__len__", "is_floating_point"):
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)
    in_place = bool(kwargs.get("inplace")) or is_in_place(name)
    plain = plain_name(name, func)
    args, kwargs = positional(args, kwargs)
    source = next(item for item in flat([*args, *kwargs.values()]) if isinstance(item, MutantColumns))
    if plain in SAME and is_same(plain, args, kwargs):
        return args[0]
    if in_place and "out" not in kwargs and not isinstance(args[0], MutantColumns):  # columns to a whole
        source.tape.whole.add(plain)
        return func(*as_whole(args), **as_whole(kwargs))
    result: Any = NotImplemented
    if "out" not in kwargs and plain in _RULES:
        kept = snapshots(args), snapshots(without_inplace(kwargs))
        result = _RULES[plain](out_of_place(func, plain), *kept)
    if result is NotImplemented:
        if "out" in kwargs:
            raise NotTrackedError(f"{name} changes a tensor in place")
        source.tape.whole.add(plain)
        result = out_of_place(func, plain)(*as_whole(args), **as_whole(without_inplace(kwargs)))
        if in_place:
            result = everywhere(args[0], result)
    if in_place:
        if args[0].shared():
            raise NotTrackedError(f"{name} changes a tensor in place that another one is a view of")
        args[0].become(result)
        return args[0]
    if plain in VIEWS:
        for view in flat(result):
            source.adopt(view)
    return result


def _pointwise(func: Any, args: Any, kwargs: Any) -> Any:
    """Each column by itself."""
    c = args[0]
    others = any(isinstance(item, Tensor) for item in flat([args[1:], kwargs]))
    slopes = getattr(func, "__name__", "").startswith("prelu")  # one per channel
    if not isinstance(c, MutantColumns) or (others and not (slopes and c.axis == 2)):
        return NotImplemented
    base = c.tape.base(lambda: func(c.base, *args[1:], **kwargs))
    plain = plain_name(getattr(func, "__name__", ""), func)
    if plain == "relu" and (found := changes.relu(c, base)) is not None:
        return found
    return _by_itself(c, base, lambda part: func(part, *args[1:], **kwargs), linear=plain in _LINEAR)


def _by_itself(
    c: MutantColumns,
    base: Tensor,
    call: Callable[[Tensor], Tensor],
    *,
    affine: bool = False,
    linear: bool = False,
    axis: int | None = None,
) -> MutantColumns:
    """Columns of a result each of which follows from one column, by a linear or affine function or any."""
    if c.changes is not None and (affine or linear):
        return changes.affine(c, base, call, constant=affine, axis=axis)
    return made(c, base, lambda: call(c.part), c.first, c.width, axis)


def _elementwise(func: Any, args: Any, kwargs: Any) -> Any:
    """Two operands: both Columns, or one a constant that is the same in all columns and rows."""
    columns = [item for item in args[:2] if isinstance(item, MutantColumns)]
    like, plain = columns[0], plain_name(getattr(func, "__name__", ""), func)
    if len(columns) == 2:
        if like.axis != columns[1].axis or like.length != columns[1].length:
            return NotImplemented
        first, width = union(columns)
        base = like.tape.base(lambda: func(columns[0].base, columns[1].base, *args[2:], **kwargs))
        sign = _SIGNS.get(plain) if len(args) == 2 and not kwargs else None
        if sign is not None and (found := changes.combined(columns[0], columns[1], base, sign)) is not None:
            return found

        def both() -> Tensor:
            return func(*(window(item, first, width) for item in columns), *args[2:], **kwargs)

        return made(like, base, both, first, width)
    others = [item for item in args[:2] if isinstance(item, Tensor) and item is not like]
    if not all(_is_constant(item, like) for item in others):
        return NotImplemented
    along = [item for item in others if item.dim() >= 3 - like.axis and item.shape[like.axis - 3] > 1]
    windows = {id(item): Lazy(partial(_window_of_constant, item, like)) for item in along}

    def call(part: Tensor) -> Tensor:
        given = (windows[id(item)].get() if id(item) in windows else item for item in args)
        return func(*(part if item is like else item for item in given), **kwargs)

    base = like.tape.base(lambda: func(*(like.base if item is like else item for item in args), **kwargs))
    divided = plain in _QUOTIENTS and args[0] is like and "rounding_mode" not in kwargs
    return _by_itself(like, base, call, affine=divided or plain in _AFFINE)


def _is_constant(item: Tensor, like: MutantColumns) -> bool:
    """Whether an ordinary tensor has one value for all rows, so is no activation of a mutant."""
    if isinstance(item, MutantColumns) or item.dim() > 3:
        return False
    shape = (1,) * (3 - item.dim()) + tuple(item.shape)
    other = 3 - like.axis
    return shape[0] == 1 and shape[like.axis] in (1, like.length) and shape[other] in (1, like.shape[other])


def _window_of_constant(item: Tensor, like: MutantColumns) -> Tensor:
    """The columns of a constant at each mutant's window."""
    rows = item.reshape((1,) * (3 - item.dim()) + tuple(item.shape))
    return gather(rows, torch.zeros_like(like.tape.example), like.first, like.width, like.axis)


def _batch_norm(func: Any, args: Any, kwargs: Any) -> Any:
    c = args[0]
    training = kwargs.get("training", args[5] if len(args) > 5 else False)
    if training or not isinstance(c, MutantColumns) or c.axis != 2:
        return NotImplemented
    base = c.tape.base(lambda: func(c.base, *args[1:], **kwargs))
    return _by_itself(c, base, lambda part: func(part, *args[1:], **kwargs), affine=True)


def _last_axis(func: Any, args: Any, kwargs: Any) -> Any:
    """Linear layers and layer norms along channels, for (B, L, C)."""
    c = args[0]
    if not isinstance(c, MutantColumns) or c.axis != 1:
        return NotImplemented
    shape = kwargs.get("normalized_shape", args[1] if len(args) > 1 else None)
    normalised = isinstance(shape, list | tuple | torch.Size)
    if normalised and len(shape) != 1:
        return NotImplemented
    base = c.tape.base(lambda: func(c.base, *args[1:], **kwargs))
    return _by_itself(c, base, lambda part: func(part, *args[1:], **kwargs), affine=not normalised)


def _over_channels(func: Any, args: Any, kwargs: Any) -> Any:
    """Functions of all channels of a column."""
    c, dim = args[0], kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(c, MutantColumns) or not isinstance(dim, int) or dim % 3 != 3 - c.axis:
        return NotImplemented
    base = c.tape.base(lambda: func(c.base, *args[1:], **kwargs))
    return _by_itself(c, base, lambda part: func(part, *args[1:], **kwargs))


def _transpose(func: Any, args: Any, kwargs: Any) -> Any:
    c = args[0]
    if list(kwargs) == ["dims"]:
        args, kwargs = (c, kwargs["dims"]), {}
    rest = args[1] if len(args) == 2 and isinstance(args[1], list | tuple) else args[1:]
    order = [d % 3 for d in rest if isinstance(d, int)]
    if kwargs or sorted(order) not in ([1, 2], [0, 1, 2]) or (len(order) == 3 and order[0] != 0):
        return NotImplemented
    if order == [0, 1, 2]:
        return c
    base = c.tape.base(lambda: c.base.transpose(1, 2))
    return _by_itself(c, base, lambda part: part.transpose(1, 2), linear=True, axis=3 - c.axis)


def _getitem(func: Any, args: Any, kwargs: Any) -> Any:
    """Crops of columns, and slices of channels."""
    c, index = args
    index = index if isinstance(index, tuple) else (index,)
    dots = [i for i, item in enumerate(index) if item is Ellipsis]
    for at in dots[:1]:
        index = (*index[:at], *[slice(None)] * (4 - len(index)), *index[at + 1 :])
    if (
        not isinstance(c, MutantColumns)
        or len(index) > 3
        or not all(isinstance(item, slice) for item in index)
    ):
        return NotImplemented
    slices = [*index, *[slice(None)] * (3 - len(index))]
    start, stop, step = slices[c.axis].indices(c.length)
    if slices[0] != slice(None) or step != 1 or stop <= start:
        return NotImplemented
    base = c.tape.base(lambda: c.base[tuple(slices)])
    width = min(c.width, stop - start)
    first = np.clip(c.first - start, 0, stop - start - width)
    part = [slice(None)] * 3
    part[3 - c.axis] = slices[3 - c.axis]
    if (found := changes.cropped(c, base, first, width, start, tuple(part))) is not None:
        return found
    return made(c, base, lambda: window(c, first + start, width)[tuple(part)], first, width)


def _pieces(func: Any, args: Any, kwargs: Any) -> Any:
    """Channels in pieces."""
    c, dim = args[0], kwargs.get("dim", args[2] if len(args) > 2 else 0)
    if not isinstance(c, MutantColumns) or dim % 3 != 3 - c.axis:
        return NotImplemented
    found, start = [], 0
    for piece in c.tape.base(lambda: func(c.base, *args[1:], **kwargs)):
        stop = start + piece.shape[dim]
        channels = (slice(start, stop), slice(None)) if c.axis == 2 else (slice(None), slice(start, stop))
        found.append(_getitem(None, (c, (slice(None), *channels)), {}))
        start = stop
    return tuple(found)


def _cat(func: Any, args: Any, kwargs: Any) -> Any:
    """Concatenate channels."""
    given = dict(zip(("tensors", "dim"), args, strict=False)) | kwargs
    items, dim = given["tensors"], given.get("dim", given.get("axis", 0))
    if not all(isinstance(item, MutantColumns) for item in items):
        return NotImplemented
    like = items[0]
    if dim % 3 != 3 - like.axis or any((i.axis, i.length) != (like.axis, like.length) for i in items):
        return NotImplemented
    first, width = union(items)
    base = like.tape.base(lambda: torch.cat([item.base for item in items], dim))
    if (found := changes.beside(items, base, first, width)) is not None:
        return found
    return made(like, base, lambda: torch.cat([window(i, first, width) for i in items], dim), first, width)


def _pad(func: Any, args: Any, kwargs: Any) -> Any:
    given = dict(zip(("input", "pad", "mode", "value"), args, strict=False)) | kwargs
    c, pad = given["input"], list(given["pad"])
    if c.axis != 2 or len(pad) != 2 or min(pad) < 0 or given.get("mode", "constant") != "constant":
        return NotImplemented
    base = c.tape.base(lambda: F.pad(c.base, pad, value=given.get("value") or 0.0))
    if c.changes is not None:
        return changed(c, base, c.changes, c.first + pad[0], c.width)
    return made(c, base, lambda: c.part, c.first + pad[0], c.width)


def _total(func: Any, args: Any, kwargs: Any) -> Any:
    """Sum or mean over all columns: the example's, plus what the window adds."""
    given = dict(zip(("input", "dim", "keepdim"), args, strict=False)) | kwargs
    c, dim = given["input"], given.get("dim", given.get("axis"))
    dims = list(dim) if isinstance(dim, list | tuple) else [dim]
    if dims == [None] or [d % 3 for d in dims] != [c.axis] or given.get("dtype") is not None:
        return NotImplemented
    keep = bool(given.get("keepdim", False))
    total = c.tape.base(lambda: c.base.sum(c.axis, keepdim=keep))
    result = total[c.tape.example] + difference(c).sum(c.axis, keepdim=keep)
    return result / c.length if getattr(func, "__name__", "").startswith("mean") else result


def _adaptive_avg_pool1d(func: Any, args: Any, kwargs: Any) -> Any:
    given = dict(zip(("input", "output_size"), args, strict=False)) | kwargs
    if single(given["output_size"]) != 1 or given["input"].axis != 2:
        return NotImplemented
    return _total(torch.mean, (given["input"], 2, True), {})


_RULES: dict[str, Callable[[Any, Any, Any], Any]] = {
    **dict.fromkeys(_UNARY, _pointwise),
    **dict.fromkeys(_BINARY, _elementwise),
    **dict.fromkeys(("transpose", "permute", "swapaxes", "swapdims"), _transpose),
    **dict.fromkeys(("chunk", "split", "tensor_split"), _pieces),
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    **dict.fromkeys(("linear", "layer_norm", "rms_norm"), _last_axis),
    **dict.fromkeys(("softmax", "log_softmax", "glu"), _over_channels),
    **dict.fromkeys(("sum", "mean"), _total),
    "batch_norm": _batch_norm,
    "conv1d": conv1d,
    "max_pool1d": max_pool1d,
    "avg_pool1d": avg_pool1d,
    "adaptive_avg_pool1d": _adaptive_avg_pool1d,
    "getitem": _getitem,
    "pad": _pad,
}
