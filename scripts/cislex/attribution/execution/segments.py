"""Parts of a model whose activations are computed again in the backward, instead of being kept.

Where a long input fills the memory, some modules are chosen as segments: of each only what enters is kept,
and what happened inside is done again when the backward comes by (activation checkpointing, Chen 2016).
Under a mode of operations with rules (``deeplift.segments``) it is done again by the rules; else by autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils import _pytree as trees
from torch.utils.checkpoint import checkpoint
from torch.utils.weak import WeakIdKeyDictionary

from cislex.attribution.operations import tensors_of
from cislex.attribution.transforms import memory_of

#: A segment makes at most this share of all activations, where modules are that small.
SHARE = 1 / 12
#: A segment must make more than so many times what enters and leaves it: else nothing is gained.
GAIN = 1.5


@dataclass(eq=False)
class _Calls:
    """What one module has made in its calls."""

    #: Bytes of the largest call, of all activations and of those that enter and leave.
    inside: int = 0
    border: int = 0
    #: Whether it can be run again: neither writes into what enters nor gives views of it or whole numbers.
    again: bool = True


class _Meter(TorchFunctionMode):
    """Adds up what operations make for the modules that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[list[int], _Calls]] = []
        #: Tensors that live, and the calls in which they were made and did not leave.
        self.kept: Any = WeakIdKeyDictionary()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        opened = [calls for _, calls in self.open]
        for tensor in tensors_of((args, kwargs or {})):
            for calls in self.kept.get(tensor, ()):
                calls.again &= any(calls is item for item in opened)
        output = func(*args, **(kwargs or {}))
        for tensor in tensors_of(output):
            self.kept.setdefault(tensor, list(opened))
        given = {memory_of(tensor) for tensor in tensors_of((args, kwargs or {}))}
        made = sum(_bytes(tensor) for tensor in tensors_of(output) if memory_of(tensor) not in given)
        for total, _ in self.open:
            total[0] += made
        return output


def choose_segments(
    model: nn.Module, x: Tensor, extra: Sequence[Tensor] = (), targets: Sequence[Callable[[Any], Any]] = ()
) -> list[nn.Module]:
    """Choose modules whose activations are worth computing again, from one forward of some examples.

    Parameters
    ----------
    model
        In evaluation mode.
    x, extra
        (n, 4, L) one-hot and further inputs, as the model takes them.
    targets
        What is read of the output, and may be inside of a module.

    Returns
    -------
    list[nn.Module]
        None of them inside another; empty where the model has no modules that would do.
    """
    measured, meter = {module: _Calls() for module in model.modules()}, _Meter()
    with ExitStack() as stack, torch.no_grad():
        for module, calls in measured.items():
            if module is not model:
                _watch(stack, module, calls, meter)
        total = [0]
        meter.open.append((total, measured[model]))
        stack.enter_context(meter)
        output = model(x, *extra)
        for target in targets:
            target(output)
    return _chosen(model, measured, total[0] * SHARE)


def _watch(stack: ExitStack, module: nn.Module, calls: _Calls, meter: _Meter) -> None:
    """Measure every call of a module."""
    entered: list[tuple[list[int], list[tuple[Tensor, int]]]] = []

    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        given = tensors_of((args, kwargs))
        meter.open.append(([0], calls))
        entered.append((meter.open[-1][0], [(tensor, tensor._version) for tensor in given]))

    def leave(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        counted, given = entered.pop()
        meter.open.pop()
        leaves = trees.tree_leaves(output)
        inputs = [tensor for tensor, _ in given]
        own = [*module.parameters(), *module.buffers()]
        memories = {memory_of(tensor) for tensor in (*inputs, *own)}
        for leaf in leaves:
            if isinstance(leaf, Tensor) and leaf in meter.kept:
                meter.kept[leaf] = [item for item in meter.kept[leaf] if item is not calls]
        calls.inside = max(calls.inside, counted[0])
        calls.border = max(calls.border, sum(_bytes(tensor) for tensor in (*inputs, *tensors_of(output))))
        calls.again &= (
            all(tensor._version == version for tensor, version in given)
            and any(tensor.is_floating_point() for tensor in inputs)
            and all(isinstance(leaf, Tensor) and leaf.is_floating_point() for leaf in leaves)
            and not any(memory_of(leaf) in memories for leaf in leaves)
        )

    own_kind = any("__init_subclass__" in vars(kind) for kind in type(module).__mro__[:-1])
    if isinstance(module, torch.jit.ScriptModule) or "forward" in module.__dict__ or own_kind:
        calls.again = False
        return
    stack.callback(module.register_forward_pre_hook(enter, with_kwargs=True).remove)
    stack.callback(module.register_forward_hook(leave, with_kwargs=True).remove)


def _chosen(module: nn.Module, measured: dict[nn.Module, _Calls], limit: float) -> list[nn.Module]:
    """The largest modules inside of one that stay below the limit, or what is nearest to it."""
    found: list[nn.Module] = []
    for child in dict.fromkeys(module.children()):
        calls = measured[child]
        worth = calls.again and calls.inside > GAIN * calls.border and not _recurrent(child)
        inner = [] if worth and calls.inside <= limit else _chosen(child, measured, limit)
        found += inner or ([child] if worth else [])
    return list(dict.fromkeys(found))


def _recurrent(module: nn.Module) -> bool:
    """Whether cuDNN would refuse the backward of what is run again, in evaluation mode."""
    return any(isinstance(part, nn.RNNBase) for part in module.modules())


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


@contextmanager
def segmented(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Make modules segments for a while.

    Their class is exchanged, so that a copy of the model runs its own weights again.
    """
    kinds = [type(module) for module in modules]
    try:
        for module, kind in zip(modules, kinds, strict=True):
            module.__class__ = _again(kind)
        yield
    finally:
        for module, kind in zip(modules, kinds, strict=True):
            module.__class__ = kind


def _again(kind: type[nn.Module]) -> type[nn.Module]:
    """The class with another forward."""

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        run: Callable[..., Any] = partial(kind.forward, self)
        for mode in reversed(_get_current_function_mode_stack()):
            if hasattr(mode, "segment"):
                return mode.segment(run, args, kwargs)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors_of((args, kwargs))):
            return checkpoint(run, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
        return run(*args, **kwargs)

    return type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
