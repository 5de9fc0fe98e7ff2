"""Record the example's operations once, replay them on the references with multipliers for gradients.

Two ``TorchFunctionMode``s. The ``Recorder`` runs the example without autograd and keeps the tensors
that enter and leave each operation that may need a rule. The ``Replayer`` runs reference rows in
autograd; the i-th such operation meets the i-th record, and where an activation reaches it, its rule
gives the output whose backward multiplies by the pair's multiplier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cislex.attribution.normalisation import statistics_of
from cislex.attribution.operations import (
    SHAPES,
    Call,
    Kind,
    Phase,
    canonical,
    kind_of,
    tensors_of,
    whereabouts,
)
from cislex.attribution.pairing import Pairing
from cislex.errors import ModelError, UnsupportedOperationError

#: Linear in evaluation mode only.
_GUARDED = frozenset(
    ("batch_norm", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
)

#: Linear operations whose result may have no gradient although an activation has reached them.
_COPIES = frozenset(("tensor", "new_tensor", "detach_copy", "to", "type", "type_as", "to_copy"))
_SEVERED = "computed from activations, which carries no attribution and differs between example and reference"
_INSTEAD = (
    "express it in differentiable operations (such as clamp or maximum in place of a comparison), or remove "
    "detach, torch.no_grad or inference_mode there"
)


class _Severed(NamedTuple):
    """A value without gradient that may differ between example and reference."""

    tensor: Tensor
    #: What made it.
    source: str
    #: Else it is good again once it has a gradient, as the result of a linear custom autograd.Function.
    lasting: bool


class Record:
    """What one operation received and returned when the example went through."""

    __slots__ = ("call", "name", "output", "series", "tensors")

    def __init__(self, call: Call, tensors: list[Tensor]) -> None:
        self.name = call.name
        self.call = call
        self.tensors = tensors
        self.output: Any = None
        #: What a rule makes of the example once for all its references.
        self.series: Any = None


#: A rule: (call on the references, record of the example, pairing, indices of activations) -> output.
Rule = Callable[[Call, Record, Pairing, list[int]], Any]
#: A composite's own definition in simpler operations, called with the call's arguments.
Decomposition = Callable[..., Any]


class _Mode(TorchFunctionMode):
    """What recording and replaying share: names, kinds, decompositions."""

    def __init__(
        self,
        model: torch.nn.Module,
        rules: Mapping[str, Rule],
        decompositions: Mapping[str, Decomposition],
        linear: frozenset[str],
        given: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.given = given
        self.model = model
        self.rules = rules
        self.decompositions = decompositions
        self.linear = linear
        self._known: dict[Any, tuple[str, bool, Kind]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        known = self._known.get(func)
        if known is None:
            name, in_place = canonical(func)
            kind = kind_of(name)
            if name in self.given or (name in self.rules and kind is not Kind.MULTILINEAR):
                kind = Kind.NONLINEAR
            if name in self.linear:
                kind = Kind.LINEAR
            known = self._known[func] = (name, in_place, kind)
        name, in_place, kind = known
        if name in _GUARDED:
            self._guard(Call(name, in_place, func, args, kwargs))
        if kind is Kind.LINEAR and not in_place and not self.alert and not self.cuts(name):
            return func(*args, **kwargs)
        decomposition = self.decompositions.get(name)
        if decomposition is not None and name not in self.given:
            with self:
                output = decomposition(*args, **kwargs)
                if output is not NotImplemented:
                    return _write_back(Call(name, in_place, func, args, kwargs), output)
        call = Call(name, in_place, func, args, kwargs)
        if kwargs.get("out") is not None:
            self.fail(call, "writes into out=", "return the result instead")
        return self.handle(call, kind)

    #: Whether linear operations must be looked at too, and which of them are recorded.
    alert: bool = False
    followed: frozenset[str] = frozenset()

    def cuts(self, name: str) -> bool:
        """Whether the result of this call carries no gradient, whatever its arguments carry."""
        return False

    def _guard(self, call: Call) -> None:
        """Refuse operations that are random, or that mix the rows of a batch."""
        if call.name == "batch_norm":
            if call.argument(5, "training", False) or statistics_of(call)[0] is None:
                self.fail(
                    call,
                    "normalises with the statistics of the batch, so that examples depend on one another",
                    "use running statistics (track_running_stats=True, model.eval())",
                )
        elif call.argument(2, "training", call.argument(2, "train", True)) and call.argument(1, "p", 0.5):
            self.fail(
                call,
                "random: dropout is active although the model is in evaluation mode",
                "pass training=self.training to the functional dropout",
            )

    def handle(self, call: Call, kind: Kind) -> Any:
        raise NotImplementedError

    def fail(self, call: Call, found: str, remedy: str) -> None:
        """Raise the named error for a call."""
        raise UnsupportedOperationError(
            f"{call.describe()} {whereabouts(self.model)}: {found}; what to do: {remedy}"
        )


def _write_back(call: Call, output: Any) -> Any:
    """Give an in-place call its in-place effect."""
    if not call.in_place:
        return output
    target = call.tensors[0]
    target.copy_(output)
    return target


class Recorder(_Mode):
    """Runs the example; ``records`` holds every operation that may need a rule, in order."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.records: list[Record] = []

    def handle(self, call: Call, kind: Kind) -> Any:
        """Run the call and keep what it received and returned."""
        if call.in_place:
            self._protect(call.tensors[0])
        if kind is Kind.LINEAR and call.name not in self.followed:
            return call.func(*call.args, **call.kwargs)
        tensors = list(call.tensors)
        if call.in_place:
            tensors[0] = tensors[0].clone()
        record = Record(call, tensors)
        record.output = call.func(*call.args, **call.kwargs)
        self.records.append(record)
        return record.output

    def _protect(self, target: Tensor) -> None:
        """Copy what earlier records share with a tensor that is about to be written."""
        pointer = target.untyped_storage().data_ptr()
        for record in self.records:
            for i, tensor in enumerate(record.tensors):
                if tensor.untyped_storage().data_ptr() == pointer:
                    record.tensors[i] = tensor.clone()
            if isinstance(record.output, Tensor) and record.output.untyped_storage().data_ptr() == pointer:
                record.output = record.output.clone()


class Replayer(_Mode):
    """Runs reference rows against the example's records."""

    def __init__(
        self,
        *arguments: Any,
        records: list[Record],
        pairing: Pairing,
        unknown: Rule | None = None,
    ) -> None:
        super().__init__(*arguments)
        self.records = records
        self.pairing = pairing
        self.unknown = unknown
        self.cursor = 0
        self.phase = Phase()
        self.integrated: set[str] = set()
        #: By id; they are kept alive, so that ids stay their own.
        self._severed: dict[int, _Severed] = {}

    def cuts(self, name: str) -> bool:
        """In a replay everything that is computed without autograd is cut off."""
        return name in _COPIES or not torch.is_grad_enabled()

    def handle(self, call: Call, kind: Kind) -> Any:
        """Run the call by its rule where an activation reaches it."""
        if self._severed and kind is not Kind.BRANCH and call.name not in SHAPES:
            severed = [found for tensor in call.tensors if (found := self._found(tensor)) is not None]
            if severed:
                return self._pass_severed(call, kind, severed)
        if call.in_place:
            self.phase.protect(call.tensors[0])
        if kind is Kind.LINEAR and call.name not in self.followed:
            output = call.func(*call.args, **call.kwargs)
            if self.cuts(call.name):
                self._cut(call, output)
            return output
        record = self._next(call)
        active = [i for i, tensor in enumerate(call.tensors) if tensor.requires_grad]
        if kind is Kind.BRANCH:
            return self._branch(call, record, bool(active))
        if not active or kind is Kind.LINEAR or (kind is Kind.MULTILINEAR and len(active) < 2):
            output = call.func(*call.args, **call.kwargs)
            if self.cuts(call.name):
                self._cut(call, output)
            else:
                self.follow(call, record, active, output)
            return output
        if not torch.is_grad_enabled():
            self.fail(
                call,
                "runs without gradients (torch.no_grad, inference_mode or a custom autograd.Function)",
                "remove that context for attribution, or express the function in ordinary operations",
            )
        rule = self.choose(call)
        if rule is None:
            if self.unknown is None:
                self.fail(
                    call,
                    "no attribution rule is known for this operation",
                    "pass unknown_ops='integrate' to average its Jacobian along the line from reference to "
                    f"example, or give a rule: rules={{{call.name!r}: ...}}",
                )
            rule = self.unknown
            self.integrated.add(call.name)
        assert rule is not None
        call.phase = self.phase
        output = self.apply(rule, call, record, active)
        if not isinstance(output, Tensor):
            for tensor in tensors_of(output):
                if not tensor.is_floating_point():  # such as the indices of a maximum
                    self._sever(tensor, call.name)
        return _write_back(call, output)

    def apply(self, rule: Rule, call: Call, record: Record, active: list[int]) -> Any:
        """Carry out a rule."""
        return rule(call, record, self.pairing, active)

    def choose(self, call: Call) -> Rule | None:
        """The rule of a call."""
        return self.rules.get(call.name)

    def follow(self, call: Call, record: Record, active: list[int], output: Any) -> None:
        """See a linear operation pass; only rules that need more than its gradient do."""

    def _next(self, call: Call) -> Record:
        if self.cursor >= len(self.records) or self.records[self.cursor].name != call.name:
            expected = self.records[self.cursor].name if self.cursor < len(self.records) else "the end"
            self.fail(
                call,
                f"the model took another way for the reference than for the example (expected {expected})",
                "remove branches that depend on activations",
            )
        record = self.records[self.cursor]
        self.cursor += 1
        if len(record.tensors) != len(call.tensors):
            self.fail(call, "other arguments than for the example", "remove data-dependent branches")
        return record

    def _branch(self, call: Call, record: Record, active: bool, source: str = "") -> Any:
        """A value without gradient may be used where it is the same for example and reference."""
        if not call.in_place and active:
            output = call.run([tensor.detach() for tensor in call.tensors])
        else:
            output = call.func(*call.args, **call.kwargs)
        if not active and not any(id(tensor) in self._severed for tensor in call.tensors):
            return output
        ours, theirs = tensors_of(output), tensors_of(record.output)
        if not ours:
            if output != record.output:
                self.fail(
                    call,
                    f"a decision on activations: {record.output!r} for the example, {output!r} else",
                    "replace the data-dependent branch",
                )
            return output
        for mine, example in zip(ours, theirs, strict=True):
            if not torch.equal(self.pairing.expand(example, mine.detach()), mine.detach()):
                self._sever(mine, source or call.name)
        return output

    def _sever(self, tensor: Tensor, source: str, *, lasting: bool = True) -> None:
        """Remember a value that must not meet activations, nor be what is attributed."""
        self._severed[id(tensor)] = _Severed(tensor, source, lasting)
        self.alert = True

    def _found(self, tensor: Tensor) -> _Severed | None:
        severed = self._severed.get(id(tensor))
        return severed if severed is not None and (severed.lasting or tensor.grad_fn is None) else None

    def _cut(self, call: Call, output: Any) -> None:
        """Sever what a linear operation made of activations where autograd did not see it."""
        if call.name in SHAPES or not any(tensor.requires_grad for tensor in call.tensors):
            return
        made = tensors_of(output)
        # Conversions that keep the gradient. Views under no_grad say that they require one, and cut it.
        if torch.is_grad_enabled() and all(tensor.grad_fn is not None for tensor in made):
            return
        how = "" if torch.is_grad_enabled() else " under torch.no_grad"
        self._sever_results(call, output, f"{call.name}{how} ({whereabouts(self.model)})")

    def _sever_results(self, call: Call, output: Any, source: str, *, lasting: bool = False) -> None:
        """Sever the tensors that a call made or wrote into."""
        given = {id(tensor) for tensor in call.tensors}
        for tensor in tensors_of(output):
            if id(tensor) not in given:
                self._sever(tensor, source, lasting=lasting or tensor.grad_fn is not None)
        if call.in_place:
            target = call.tensors[0]
            self._sever(target, source, lasting=lasting or target.requires_grad)

    def _pass_severed(self, call: Call, kind: Kind, severed: list[_Severed]) -> Any:
        """Severed values may be worked on among themselves, and compared in the end; activations not."""
        active = any(tensor.requires_grad and self._found(tensor) is None for tensor in call.tensors)
        if active and (torch.is_grad_enabled() or kind is not Kind.LINEAR):
            self.fail(call, f"uses a value that {severed[0].source} {_SEVERED}", _INSTEAD)
        if kind is Kind.NONLINEAR:
            return self._branch(call, self._next(call), False, source=severed[0].source)
        if kind is Kind.MULTILINEAR or call.name in self.followed:
            self._next(call)
        output = call.func(*call.args, **call.kwargs)
        lasting = any(item.lasting for item in severed) or (kind is Kind.MULTILINEAR and len(severed) > 1)
        self._sever_results(call, output, severed[0].source, lasting=lasting)
        return output

    def check_values(self, values: Sequence[Tensor | None], targets: Sequence[object]) -> None:
        """Refuse targets that are severed values."""
        for value, target in zip(values, targets, strict=True):
            severed = None if value is None else self._found(value)
            if severed is not None:
                raise UnsupportedOperationError(
                    f"target {target} is a value that {severed.source} {_SEVERED}; what to do: {_INSTEAD}"
                )


class Reading(TorchFunctionMode):
    """Refuses severed values where a target is read after the replay, as those of pairs are."""

    def __init__(self, replayer: Replayer, target: object) -> None:
        super().__init__()
        self.replayer = replayer
        self.target = target

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self.replayer._severed and canonical(func)[0] not in SHAPES:
            given = tensors_of((args, kwargs or {}))
            self.replayer.check_values(given, [self.target] * len(given))
        return func(*args, **(kwargs or {}))


def finish(replayer: Replayer) -> None:
    """Check that the reference went through as many operations as the example."""
    if replayer.cursor != len(replayer.records):
        raise ModelError(
            f"the model ran {len(replayer.records)} operations for the example and {replayer.cursor} for the "
            "reference: it branches on its input; what to do: remove data-dependent branches"
        )
