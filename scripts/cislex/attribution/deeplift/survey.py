"""List the operations of a model and the rule of each, by running it once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cislex.attribution.deeplift.audit import REMEDY, Trail
from cislex.attribution.deeplift.decompositions import DECOMPOSITIONS
from cislex.attribution.deeplift.interception import Interception
from cislex.attribution.deeplift.rules import (
    _INTEGRATED,
    _POOLS,
    _PRODUCTS,
    NO_ORDER,
    ORDERED,
    ORDERS,
    builtin,
    user_rules,
)
from cislex.attribution.deeplift.slopes import SLOPES
from cislex.attribution.execution.model_context import prepare_model, unwrap
from cislex.attribution.execution.opened import open_for
from cislex.attribution.methods import DeepLiftShap
from cislex.attribution.operations import Call, Kind, canonical, tensors_of, whereabouts
from cislex.attribution.transforms import carries_gradient
from cislex.attribution.validation import check_extra, check_sequences
from cislex.targets import Output, Target, as_target

#: What an operation's multiplier comes from, in words.
LINEAR, ELEMENTWISE, PRODUCT = "linear: exact", "slope between example and reference", "product: midpoint"
ROUTING, PATH = "maximum: routed to both argmaxima", "path: integrated"
BRANCH = "no gradient: refused where it differs from the reference's"
OUT_OF_SIGHT = f"UNKNOWN: ran out of sight of the attribution rules; {REMEDY}"
NO_GRADIENT = (
    "UNKNOWN: runs without gradients (torch.no_grad, inference_mode or a custom autograd.Function); remove "
    "that context for attribution, or express the function in ordinary operations"
)
JUDGED = "out of sight: exact only where linear, judged by the delta of the first region"
COMPOSITE, USER, UNKNOWN = "composite: by its parts", "given by the user", "UNKNOWN"


@dataclass(frozen=True)
class OperationUse:
    """One kind of operation of a model."""

    #: Canonical name.
    operation: str
    #: How attribution passes through it; begins with ``UNKNOWN`` where it cannot.
    rule: str
    #: How often it was called.
    calls: int
    #: Module path and source line of the first call.
    where: str
    #: Shapes of the tensors of the first call.
    shapes: str

    @property
    def known(self) -> bool:
        """Whether attribution passes through it."""
        return not self.rule.startswith(UNKNOWN)


class _Surveyor(Interception):
    """Runs the model in autograd and notes every operation that an activation reaches."""

    def __init__(self, *arguments: Any, integrate: bool) -> None:
        super().__init__(*arguments)
        self.alert = True  # linear operations are counted too
        self.integrate = integrate
        self.found: dict[tuple[str, str], list[Any]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, _ = canonical(func)
        if name in self.decompositions and name not in self.given:
            call = Call(name, False, func, args, kwargs or {})
            if any(tensor.requires_grad for tensor in call.tensors):
                self._note(call, COMPOSITE)
        return super().__torch_function__(func, types, args, kwargs)

    def handle(self, call: Call, kind: Kind) -> Any:
        active = [i for i, tensor in enumerate(call.tensors) if carries_gradient(tensor)]
        if active:
            bent = kind is Kind.NONLINEAR or (kind is Kind.MULTILINEAR and len(active) > 1)
            hidden = bent and not torch.is_grad_enabled()
            self._note(call, NO_GRADIENT if hidden else self._rule(call, kind, len(active)))
        return call.func(*call.args, **call.kwargs)

    def fail(self, call: Call, found: str, remedy: str) -> None:
        """Note what attribution would refuse, and go on."""
        self._note(call, f"{UNKNOWN}: {found}; {remedy}")

    def _rule(self, call: Call, kind: Kind, active: int) -> str:
        if call.name in self.given:
            return USER
        if kind is Kind.LINEAR or (kind is Kind.MULTILINEAR and active < 2):
            return LINEAR
        if kind is Kind.BRANCH:
            return BRANCH
        if call.name in ORDERED:
            return f"{UNKNOWN}: {ORDERS}; {NO_ORDER}"
        if call.name in _INTEGRATED:
            return PATH
        if call.name in _POOLS or call.name in ("max", "amax", "min", "amin"):
            return ROUTING
        if call.name in SLOPES or call.name in ("relu", "pow"):
            return ELEMENTWISE
        if call.name in _PRODUCTS or call.name in self.rules:
            return PRODUCT
        return PATH if self.integrate else UNKNOWN

    def _note(self, call: Call, rule: str) -> None:
        entry = self.found.get((call.name, rule))
        if entry is None:
            shapes = call.describe().partition("(")[2][:-1]
            self.found[call.name, rule] = [1, whereabouts(self.model), shapes]
        else:
            entry[0] += 1


#: Calls about shapes and devices, and the copy of the input, which say nothing about a model.
_SILENT = frozenset(
    [
        "dim",
        "size",
        "len",
        "is_floating_point",
        "numel",
        "stride",
        "data_ptr",
        "is_contiguous",
        "get_device",
        "clone",
    ]
)


def survey_operations(
    model: Any,
    sequences: Any,
    method: DeepLiftShap | None = None,
    *,
    target: Target | int | Callable[[Any], Tensor] = Output(0),  # noqa: B008  (frozen)
    extra_inputs: Sequence[Any] = (),
    device: str | torch.device | None = None,
) -> list[OperationUse]:
    """List the operations between sequence and target, and how DeepLIFT passes through each.

    Parameters
    ----------
    model
        Any ``torch.nn.Module`` or ``torch.export`` program; TorchScript shows no operations.
    sequences
        (N, 4, L), of which the first two are run.
    method
        Whose ``rules`` and ``unknown_ops`` count.
    target, extra_inputs, device
        See :func:`cislex.attribution.attribute`.

    Returns
    -------
    list[OperationUse]
        Unknown operations first, then in the order of their first call.
    """
    method = method or DeepLiftShap()
    x = check_sequences(sequences)[:2]
    extra = check_extra(extra_inputs, len(check_sequences(sequences)))
    chosen = as_target(target)
    prepared = prepare_model(open_for(unwrap(model), [chosen]), device)
    given, linear = user_rules(method.rules)
    decompositions = {name: rule for name, rule in DECOMPOSITIONS.items() if name not in linear}
    surveyor = _Surveyor(
        prepared.model, builtin() | given, decompositions, linear, frozenset(given),
        integrate=method.unknown_ops == "integrate",
    )  # fmt: skip
    surveyor.exact = prepared.dtype
    surveyor.trail = Trail()
    with prepared.active(), torch.enable_grad():
        leaf = x.to(prepared.device, prepared.dtype).requires_grad_()
        with surveyor:
            output = prepared.model(leaf.clone(), *(prepared.takes(item[:2]) for item in extra))
            alone = getattr(chosen, "pair", None) is None
            ends = [chosen(output)] if alone else tensors_of(output)
    hidden = [item for end in ends for item in surveyor.trail.unseen(end, surveyor.nonlinear)]
    uses = [
        OperationUse(item.node, OUT_OF_SIGHT if item.nonlinear else JUDGED, 1, item.where, "")
        for item in dict.fromkeys(hidden)
    ]
    uses += [
        OperationUse(name, rule, calls, where, shapes)
        for (name, rule), (calls, where, shapes) in surveyor.found.items()
        if name not in _SILENT
    ]
    return sorted(uses, key=lambda use: use.known)
