"""Values computed from activations that carry no gradient, and where they are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cislex.attribution.deeplift.pairing import Pairing, PairingError
from cislex.attribution.operations import SHAPES, Call, canonical, tensors_of
from cislex.attribution.transforms import memory_of, plain
from cislex.errors import UnsupportedOperationError

DETACHED = "computed from activations, which carries no attribution and differs between example and reference"
INSTEAD = (
    "express it in differentiable operations (such as clamp or maximum in place of a comparison), or remove "
    "detach, torch.no_grad or inference_mode there"
)
#: Linear operations whose result may have no gradient although an activation has reached them.
_COPIES = frozenset(("tensor", "new_tensor", "detach_copy", "to", "type", "type_as", "to_copy"))
#: From further tensors these take the type, the device or the shape alone.
_TEMPLATES = frozenset(("to", "type_as", "expand_as", "view_as", "reshape_as", "align_as"))
#: What makes a number or an array of a tensor. Without gradients that is done for a log.
READS = frozenset(("item", "tolist", "numpy", "array", "float_value", "int_value", "complex_value"))


def cuts(name: str) -> bool:
    """Whether the result of a linear call may carry no gradient although its arguments do."""
    return name in _COPIES or not torch.is_grad_enabled()


def sources(call: Call) -> list[Tensor]:
    """The tensors whose values the result depends on."""
    if call.name in SHAPES:
        return []
    if call.name in _TEMPLATES:
        return call.tensors[:1]
    if call.name == "new_tensor":
        return tensors_of((call.args[1:], call.kwargs))
    return call.tensors


def results(call: Call, output: Any) -> list[Tensor]:
    """The tensors that a call made, or the one that it wrote into."""
    return call.tensors[:1] if call.in_place else tensors_of(output)


def unlike(ours: Any, theirs: Any, pairing: Pairing) -> str:
    """How a number, list or array differs between the example and its references; empty where it does not."""
    if not isinstance(ours, np.ndarray):
        return "" if ours == theirs else f"{theirs!r} for the example, {ours!r} else"
    mine = torch.from_numpy(ours)
    if torch.equal(pairing.expand(torch.from_numpy(theirs), mine), mine):
        return ""
    return "a NumPy array, which carries no attribution and differs between example and reference"


class Detached(NamedTuple):
    """A value without gradient that may differ between example and reference."""

    tensor: Tensor
    #: What made it.
    source: str
    #: Else it is good again once it has a gradient, as the result of a linear custom autograd.Function.
    lasting: bool
    #: Whether it could not be told which rows of it belong to which example.
    unpaired: bool


class DetachedValues:
    """Detached values by their memory, or by themselves where they share that of an activation.

    They are kept alive, so that neither identity nor memory is given to another.
    """

    def __init__(self) -> None:
        self._tensors: dict[int, Detached] = {}
        self._memory: dict[int, Detached] = {}

    def __bool__(self) -> bool:
        return bool(self._tensors or self._memory)

    def add(self, detached: Detached, call: Call) -> None:
        """Remember what a call made, or wrote into."""
        self._tensors[id(detached.tensor)] = detached
        memory = memory_of(detached.tensor)
        if memory and (call.in_place or all(memory_of(tensor) != memory for tensor in call.tensors)):
            self._memory[memory] = detached

    def find(self, tensor: Tensor) -> Detached | None:
        """What is known of a tensor or of its memory, if it is detached."""
        for found in (self._tensors.get(id(tensor)), self._memory.get(memory_of(tensor))):
            if found is not None and (found.lasting or plain(tensor).grad_fn is None):
                return found
        return None

    def check(self, values: Sequence[Tensor | None], targets: Sequence[object]) -> None:
        """Refuse targets that are detached values."""
        for value, target in zip(values, targets, strict=True):
            detached = None if value is None else self.find(value)
            if detached is None:
                continue
            if detached.unpaired:
                raise PairingError(f"target {target} is a value whose rows cannot be told apart")
            raise UnsupportedOperationError(
                f"target {target} is a value that {detached.source} {DETACHED}; what to do: {INSTEAD}"
            )


class Reading(TorchFunctionMode):
    """Refuses detached values where a target is read after the replay, as those of pairs are."""

    def __init__(self, detached: DetachedValues, target: object) -> None:
        super().__init__()
        self.detached = detached
        self.target = target

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self.detached and canonical(func)[0] not in SHAPES:
            given = tensors_of((args, kwargs or {}))
            self.detached.check(given, [self.target] * len(given))
        return func(*args, **(kwargs or {}))


def agreement(pairing: Pairing, example: Tensor | None, reference: Tensor) -> bool | None:
    """Whether a value is the same for example and reference; None where rows cannot be told apart."""
    if example is None:
        return False
    try:
        return torch.equal(pairing.expand(example, reference.detach()), reference.detach())
    except PairingError:
        if example.shape == reference.shape and torch.equal(example, reference.detach()):
            return True
        return None if pairing.references > 1 else False


def check_paired(call: Call, detached: Sequence[Detached]) -> None:
    """Where rows could not be told apart, values may be the same once the example is repeated."""
    if any(item.unpaired for item in detached):
        raise PairingError(f"{call.describe()} uses a value whose rows cannot be told apart")
