"""Calls inside ``torch.vmap`` and its relatives, seen as calls of plain tensors.

``torch.vmap`` hands a function wrappers that look like one slice; the values, and the gradient that they
carry, lie inside. A call of such wrappers is done here on the plain tensors, where rules know what to do,
and its result is wrapped again: at once where an operation is elementwise, else slice by slice.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch as functorch
from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack
from torch.utils import _pytree as trees


def words(text: str) -> list[str]:
    """The names in a text."""
    return text.split()


#: Functions of each element of their first argument.
ELEMENTWISE = frozenset(
    words("""
relu leaky_relu rrelu abs clamp clamp_min clamp_max hardtanh relu6 hardsigmoid hardswish softshrink hardshrink
threshold sigmoid tanh exp expm1 exp2 rpow gelu silu elu celu selu softplus logsigmoid log_sigmoid mish
tanhshrink sin cos tan sinh cosh atan asinh erf erfc sinc logit log log2 log10 log1p sqrt
rsqrt reciprocal square nan_to_num pow mul multiply div rdiv gt lt ge le eq ne sign round floor ceil softsign
frac fmod remainder
""")
)
#: Elementwise operations of two arguments, whose batched axis may stand in front.
_PAIRED = frozenset(words("mul multiply div maximum minimum fmax fmin gt lt ge le eq ne"))


def plain(tensor: Tensor) -> Tensor:
    """What lies inside the wrappers of functorch."""
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor


def carries_gradient(tensor: Tensor) -> bool:
    """Whether an activation has reached a tensor: wrappers of ``vmap`` say no whatever they hold."""
    return tensor.requires_grad or (
        functorch.is_functorch_wrapped_tensor(tensor) and plain(tensor).requires_grad
    )


def memory_of(tensor: Tensor) -> int:
    """Where the values of a tensor lie; 0 where nothing lies anywhere, as in sparse and fake tensors."""
    inside = plain(tensor)
    if inside.layout is not torch.strided:
        return 0
    try:
        return inside.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # subclasses that keep their values elsewhere
        return 0


def transforming() -> bool:
    """Whether a call happens inside of ``vmap``, ``grad``, ``vjp``, ``jvp`` or the like."""
    return bool(torch._C._are_functorch_transforms_active())


def differentiating() -> bool:
    """Whether one of the transforms around a call takes derivatives; else all are ``vmap``."""
    stack = functorch.get_interpreter_stack() or []
    return any(layer.key() != functorch.TransformType.Vmap for layer in stack)


def lifted(
    run: Callable[[tuple[Any, ...], dict[str, Any]], Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    sliced: Callable[[int], None],
) -> Any:
    """Do a call inside the innermost ``vmap`` outside of it, and wrap the result.

    Parameters
    ----------
    run
        Does the call of other arguments.
    name
        Canonical name of the operation.
    sliced
        Told the number of slices where the call is done slice by slice.
    """
    level = functorch.peek_interpreter_stack().level()
    leaves, structure = trees.tree_flatten((args, kwargs))
    batched = {
        i: (functorch.get_unwrapped(leaf), functorch.maybe_get_bdim(leaf))
        for i, leaf in enumerate(leaves)
        if isinstance(leaf, Tensor)
        and functorch.is_batchedtensor(leaf)
        and functorch.maybe_get_level(leaf) == level
    }
    tensors = sum(isinstance(leaf, Tensor) for leaf in leaves)

    def call(replaced: dict[int, Any]) -> Any:
        given = [replaced.get(i, leaf) for i, leaf in enumerate(leaves)]
        return run(*trees.tree_unflatten(given, structure))

    if not batched:
        with temporarily_pop_interpreter_stack():
            return call({})
    if name in ELEMENTWISE and tensors == 1 and 0 in batched:
        value, dim = batched[0]
        with temporarily_pop_interpreter_stack():
            output = call({0: value})
        return leaves[0] if output is value else functorch._add_batch_dim(output, dim, level)
    at_once = _at_once(name, leaves, batched)
    with temporarily_pop_interpreter_stack():
        if at_once is not None:
            output = call(at_once)
        else:
            size = next(value.shape[dim] for value, dim in batched.values())
            sliced(size)
            parts = [
                call({i: value.select(dim, j) for i, (value, dim) in batched.items()}) for j in range(size)
            ]
            if parts and parts[0] is None:
                return None
            output = trees.tree_map(_stacked, *parts)
    return trees.tree_map(
        lambda leaf: functorch._add_batch_dim(leaf, 0, level) if isinstance(leaf, Tensor) else leaf, output
    )


def _at_once(name: str, leaves: list[Any], batched: dict[int, tuple[Tensor, int]]) -> dict[int, Any] | None:
    """Arguments of one call that does all slices, its result batched in front; None where there is none."""
    tensors = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    if name in _PAIRED and len(tensors) == len(leaves) == len(batched):
        return dict(_aligned(batched))
    if name == "matmul" and len(tensors) == len(leaves) and all(leaves[i].dim() > 1 for i in tensors):
        return dict(_aligned(batched, *(leaves[i].dim() for i in tensors)))
    front = {i: value.movedim(dim, 0) for i, (value, dim) in batched.items()}
    if name == "linear" and list(batched) == [0]:
        return dict(front)
    if name == "einsum" and isinstance(leaves[0], str) and "->" in leaves[0]:
        given, made = leaves[0].split("->")
        terms = given.split(",")
        letter = next((item for item in string.ascii_letters if item not in leaves[0]), None)
        if letter is not None and len(terms) == len(tensors) == len(leaves) - 1:
            wide = (letter + term if i in batched else term for i, term in zip(tensors, terms, strict=True))
            return {0: f"{','.join(wide)}->{letter}{made}", **front}
    return None


def _stacked(*slices: Any) -> Any:
    return torch.stack(slices) if isinstance(slices[0], Tensor) else slices[0]


def _aligned(batched: dict[int, tuple[Tensor, int]], *inside: int) -> dict[int, Tensor]:
    """Values with the batched axis in front, and as many axes each as the widest, or as slices have."""
    moved = {i: value.movedim(dim, 0) for i, (value, dim) in batched.items()}
    most = max(*(value.dim() for value in moved.values()), *(number + 1 for number in inside))
    return {
        i: value.reshape(len(value), *([1] * (most - value.dim())), *value.shape[1:])
        for i, value in moved.items()
    }
