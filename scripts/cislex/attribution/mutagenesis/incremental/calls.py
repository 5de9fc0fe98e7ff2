"""Read a call of the model: its name, its operands, whether it changes or returns what it is given."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from cislex.attribution.mutagenesis.incremental.columns import MutantColumns, NotTrackedError, whole
from cislex.attribution.operations import DROPOUT

#: What may return the tensor that it is given, and what makes another tensor of the same memory.
SAME = frozenset([*DROPOUT, "contiguous", "positive", "float", "double", "to", "detach"])
VIEWS = frozenset(
    """
    getitem transpose permute swapaxes swapdims movedim flatten view view_as reshape reshape_as unsqueeze
    squeeze expand expand_as chunk split tensor_split unbind select narrow unfold diagonal alias
    """.split()  # noqa: SIM905
)


def positional(args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Operands by position, where they are given by name."""
    for name in ("input", "other"):
        if name in kwargs and len(args) == (name == "other"):
            kwargs = dict(kwargs)
            args = (*args, kwargs.pop(name))
    return args, kwargs


def is_same(plain: str, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a call returns the very tensor that it is given."""
    c = args[0]
    if not isinstance(c, MutantColumns):
        return False
    if plain in DROPOUT:
        return not kwargs.get("training", args[2] if len(args) > 2 else True)
    if plain in ("float", "double"):
        return bool(c.dtype == (torch.float32 if plain == "float" else torch.float64))
    if plain == "to":
        wanted = [*args[1:], *kwargs.values()]
        return all(item in (c.dtype, c.device, str(c.device)) for item in wanted)
    return not kwargs and len(args) == 1


def is_in_place(name: str) -> bool:
    """Whether a function of this name changes its first operand."""
    dunder = name.startswith("__")
    return (not dunder and name.endswith("_")) or name in (
        "__iadd__", "__isub__", "__imul__", "__itruediv__", "__setitem__", "__ior__", "__iand__",
    )  # fmt: skip


def plain_name(name: str, func: Any) -> str:
    """The operation's name, whether it is a function, a method, an operator or in place."""
    if func in (F.max_pool1d, F.adaptive_max_pool1d):  # built by a dispatcher, which has another name
        return "max_pool1d" if func is F.max_pool1d else "adaptive_max_pool1d"
    plain = name.strip("_")
    if name in ("__iadd__", "__isub__", "__imul__", "__itruediv__", "__radd__", "__rmul__"):
        return plain[1:]
    return plain


def out_of_place(func: Any, plain: str) -> Any:
    """The function that gives a new tensor."""
    name = getattr(func, "__name__", "")
    if not is_in_place(name.split(".")[0]):
        return func
    if plain in ("iadd", "isub", "imul", "itruediv"):
        plain = plain[1:]
    found = getattr(torch, {"truediv": "div"}.get(plain, plain), None) or getattr(F, plain, None)
    if found is None:
        raise NotTrackedError(f"{name} changes a tensor in place")
    return found


def without_inplace(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Options of the call that gives a new tensor."""
    return {key: value for key, value in kwargs.items() if key != "inplace"}


def snapshots(items: Any) -> Any:
    """Contents as they are now: results are computed later, when in-place operations may have followed."""
    if isinstance(items, MutantColumns):
        return items.snapshot()
    if isinstance(items, dict):
        return {key: snapshots(value) for key, value in items.items()}
    if isinstance(items, list | tuple) and not isinstance(items, torch.Size):
        return type(items)([snapshots(item) for item in items])
    return items


def as_whole(items: Any) -> Any:
    """``items`` with ordinary tensors."""
    if isinstance(items, MutantColumns):
        return whole(items)
    if isinstance(items, dict):
        return {key: as_whole(value) for key, value in items.items()}
    if isinstance(items, list | tuple):
        return type(items)([as_whole(item) for item in items])
    return items
