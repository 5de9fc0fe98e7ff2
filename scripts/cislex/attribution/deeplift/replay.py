"""Record the example's operations once, replay them on the references with multipliers for gradients.

Two ``TorchFunctionMode``s. The ``Recorder`` runs the example without autograd and keeps the tensors
that enter and leave each operation that may need a rule. The ``Replayer`` runs reference rows in
autograd; the i-th such operation meets the i-th record, and where an activation reaches it, its rule
gives the output whose backward multiplies by the pair's multiplier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from cislex.attribution.deeplift.audit import Scrutiny, Trail
from cislex.attribution.deeplift.detached import (
    DETACHED,
    INSTEAD,
    READS,
    Detached,
    DetachedValues,
    agreement,
    check_paired,
    cuts,
    results,
    sources,
    unlike,
)
from cislex.attribution.deeplift.interception import Interception, write_back
from cislex.attribution.deeplift.pairing import Pairing, PairingError
from cislex.attribution.deeplift.segments import SEGMENT, run_later
from cislex.attribution.operations import Call, Kind, Phase, differentiable, tensors_of, whereabouts
from cislex.attribution.transforms import carries_gradient, memory_of, plain, transforming
from cislex.errors import ModelError


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


class Records(list[Record]):
    """The operations of the example that may need a rule, in order."""

    def __init__(self) -> None:
        super().__init__()
        #: Name and results of linear operations whose results may carry no gradient in the replay.
        self.cut: list[tuple[str, list[Tensor]]] = []


#: A rule: (call on the references, record of the example, pairing, indices of activations) -> output.
Rule = Callable[[Call, Record, Pairing, list[int]], Any]


class Recorder(Interception):
    """Runs the example; ``records`` holds every operation that may need a rule, in order."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.records = Records()
        #: Whether segments are recorded later.
        self.segmented = False

    def segment(self, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Keep what enters a segment."""
        if not self.segmented or self.sleeping or transforming():
            return run(*args, **kwargs)
        call = Call(SEGMENT, False, run, args, kwargs)
        self.records.append(Record(call, list(call.tensors)))
        return self.asleep(run, *args, **kwargs)

    def cuts(self, name: str) -> bool:
        """What carries no gradient in the replay is compared there."""
        return cuts(name)

    def handle(self, call: Call, kind: Kind) -> Any:
        """Run the call and keep what it received and returned."""
        if call.in_place:
            self.protect(call.tensors[0])
        if kind is Kind.LINEAR and call.name not in self.followed:
            output = call.func(*call.args, **call.kwargs)
            if self.cuts(call.name):
                self.records.cut.append((call.name, results(call, output)))
            return output
        tensors = list(call.tensors)
        if call.in_place:
            tensors[0] = tensors[0].clone()
        record = Record(call, tensors)
        record.output = call.func(*call.args, **call.kwargs)
        self.records.append(record)
        return record.output

    def protect(self, target: Tensor) -> None:
        """Copy what earlier records share with a tensor that is about to be written."""
        pointer = memory_of(target)
        for record in self.records:
            for i, tensor in enumerate(record.tensors):
                if memory_of(tensor) == pointer:
                    record.tensors[i] = tensor.clone()
            if isinstance(record.output, Tensor) and memory_of(record.output) == pointer:
                record.output = record.output.clone()
        for _, made in self.records.cut:
            made[:] = [tensor.clone() if memory_of(tensor) == pointer else tensor for tensor in made]


class Replayer(Interception):
    """Runs reference rows against the example's records."""

    def __init__(
        self,
        *arguments: Any,
        records: Records,
        pairing: Pairing,
        unknown: Rule | None = None,
    ) -> None:
        super().__init__(*arguments)
        self._arguments = arguments
        self.records = records
        self.pairing = pairing
        self.unknown = unknown
        self.cursor = 0
        self.phase = Phase()
        self.integrated: set[str] = set()
        self.detached = DetachedValues()
        self._cut_cursor = 0
        #: Memory of what entered the segment that is passed.
        self.entered: set[int] = set()
        #: What to look for, where it is the first replay.
        self.scrutiny: Scrutiny | None = None

    def cuts(self, name: str) -> bool:
        """In a replay everything that is computed without autograd is cut off."""
        return cuts(name)

    def handle(self, call: Call, kind: Kind) -> Any:
        """Run the call by its rule where an activation reaches it."""
        if call.in_place:
            self.protect(call.tensors[0])
        if self.detached and kind is not Kind.BRANCH:
            detached = [
                found for tensor in sources(call) if (found := self.detached.find(tensor)) is not None
            ]
            if detached:
                return self._pass_detached(call, kind, detached)
        if kind is Kind.LINEAR and call.name not in self.followed:
            output = call.func(*call.args, **call.kwargs)
            if self.cuts(call.name):
                self._cut(call, output, self._next_cut(call))
            return output
        record = self._next(call)
        active = [i for i, tensor in enumerate(call.tensors) if carries_gradient(tensor)]
        if kind is Kind.BRANCH:
            return self._branch(call, record, bool(active))
        if not active or kind is Kind.LINEAR or (kind is Kind.MULTILINEAR and len(active) < 2):
            output = call.func(*call.args, **call.kwargs)
            if self.cuts(call.name):
                self._cut(call, output, tensors_of(record.output))
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
                if not differentiable(tensor):  # such as the indices of a maximum
                    self._detach(call, tensor, call.name)
        return write_back(call, output)

    def protect(self, target: Tensor) -> None:
        """Copy what the backward will read of a tensor that is about to be written."""
        self.phase.protect(target)

    def segment(self, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Keep what enters a segment, and replay it when the backward comes by."""
        record = self.records[self.cursor] if self.cursor < len(self.records) else None
        if self.sleeping or record is None or record.name != SEGMENT:
            return run(*args, **kwargs)
        self.cursor += 1
        call = Call(SEGMENT, False, run, args, kwargs)
        call.phase = self.phase
        active = [i for i, tensor in enumerate(call.tensors) if carries_gradient(tensor)]
        self.entered = {memory_of(tensor) for tensor in call.tensors}
        for tensor in call.tensors:
            if (found := self.detached.find(tensor)) is not None:
                check_paired(call, [found])
                self.fail(call, f"uses a value that {found.source} {DETACHED}", INSTEAD)
        if not active:
            return self.asleep(run, *args, **kwargs)
        if not torch.is_grad_enabled():
            self.fail(call, "runs without gradients", "remove torch.no_grad or inference_mode there")
        with self.trail.step(SEGMENT) if self.trail is not None else nullcontext():
            return self.asleep(run_later, self, call, record, active)

    def _watch(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse a segment that takes activations from elsewhere: they are not there when it is run again."""
        super()._watch(func, args, kwargs)
        for tensor in tensors_of((args, kwargs)):
            if carries_gradient(tensor) and memory_of(tensor) not in self.entered:
                self.fail(
                    Call(self._learn(func)[0], False, func, args, kwargs),
                    "takes an activation that its module was not called with, so that the module cannot be "
                    "computed again",
                    "give checkpoint=False, or the activation as an argument",
                )

    def of_segment(self, record: Record) -> Replayer:
        """A replay of one segment, of which this is the record."""
        recorder = Recorder(*self._arguments)
        with torch.enable_grad(), recorder:
            record.call.run(record.tensors)
        inner = type(self)(
            *self._arguments, records=recorder.records, pairing=self.pairing, unknown=self.unknown
        )
        inner.phase.last = True
        inner.scrutiny, inner.exact = self.scrutiny, self.exact
        inner.trail = None if self.scrutiny is None else Trail()
        return inner

    def finish(self, outputs: Sequence[Tensor | None], names: Sequence[object]) -> None:
        """Check that the references went the example's way, and what came out of it."""
        if self.cursor != len(self.records):
            self._rows_one_by_one()
            raise ModelError(
                f"the model ran {len(self.records)} operations for the example and {self.cursor} for the "
                "reference: it branches on its input; what to do: remove data-dependent branches"
            )
        if self.trail is not None:
            self.trail.close()
        self.detached.check(outputs, names)

    def look(self, value: Tensor) -> None:
        """Look for what ran out of sight before a value."""
        if self.scrutiny is not None and self.trail is not None:
            found = self.trail.unseen(value, self.nonlinear)
            self.scrutiny.unseen += [item for item in found if item not in self.scrutiny.unseen]

    def forget(self) -> None:
        """Let go of what only the way forward needs, before the way back."""

    def apply(self, rule: Rule, call: Call, record: Record, active: list[int]) -> Any:
        """Carry out a rule."""
        return rule(call, record, self.pairing, active)

    def sliced(self, size: int) -> None:
        """Rows one by one are as many for the example as for the reference only where it is repeated."""
        if size == self.pairing.examples * self.pairing.references:
            self._rows_one_by_one()

    def choose(self, call: Call) -> Rule | None:
        """The rule of a call."""
        return self.rules.get(call.name)

    def follow(self, call: Call, record: Record, active: list[int], output: Any) -> None:
        """See a linear operation pass; only rules that need more than its gradient do."""

    def _next(self, call: Call) -> Record:
        if self.cursor >= len(self.records) or self.records[self.cursor].name != call.name:
            self._rows_one_by_one()
            expected = self.records[self.cursor].name if self.cursor < len(self.records) else "the end"
            self.fail(
                call,
                f"the model took different paths for the reference and the example (expected {expected})",
                "remove branches that depend on activations",
            )
        record = self.records[self.cursor]
        self.cursor += 1
        if len(record.tensors) != len(call.tensors):
            self._rows_one_by_one()
            self.fail(call, "other arguments than for the example", "remove data-dependent branches")
        return record

    def _rows_one_by_one(self) -> None:
        """A loop over rows is as long for the example as for the reference only where it is repeated."""
        if self.pairing.references > 1:
            raise PairingError("the model takes the rows one by one")

    def _next_cut(self, call: Call) -> list[Tensor]:
        """What a linear operation whose result is cut off made of the example, if the model came by there."""
        cursor, self._cut_cursor = self._cut_cursor, self._cut_cursor + 1
        name, made = self.records.cut[cursor] if cursor < len(self.records.cut) else ("", [])
        return made if name == call.name else []

    def _branch(self, call: Call, record: Record, active: bool, source: str = "") -> Any:
        """A value without gradient may be used where it is the same for example and reference."""
        if not call.in_place and active:
            output = call.run([tensor.detach() for tensor in call.tensors])
        else:
            output = call.func(*call.args, **call.kwargs)
        detached = [found for tensor in call.tensors if (found := self.detached.find(tensor)) is not None]
        if not active and not detached:
            return output
        ours, theirs = tensors_of(output), tensors_of(record.output)
        if not ours:
            logged = call.name in READS and not active and not torch.is_grad_enabled()
            difference = "" if logged else unlike(output, record.output, self.pairing)
            if difference:
                check_paired(call, detached)
                self.fail(
                    call, f"a decision on activations: {difference}", "replace the data-dependent branch"
                )
            return output
        for mine, example in zip(ours, theirs, strict=True):
            agrees = agreement(self.pairing, example, mine)
            if not agrees:
                self._detach(call, mine, source or call.name, unpaired=agrees is None)
        return output

    def _detach(
        self, call: Call, tensor: Tensor, source: str, *, lasting: bool = True, unpaired: bool = False
    ) -> None:
        """Remember a value that must not meet activations, nor be what is attributed."""
        self.detached.add(Detached(tensor, source, lasting, unpaired), call)
        self.alert = True

    def _cut(self, call: Call, output: Any, example: list[Tensor]) -> None:
        """Detach what a linear operation made of activations where autograd did not see it."""
        if not any(carries_gradient(tensor) for tensor in sources(call)):
            return
        # Conversions that keep the gradient. Views under no_grad say that they require one, and cut it.
        if torch.is_grad_enabled() and all(
            plain(tensor).grad_fn is not None for tensor in tensors_of(output)
        ):
            return
        how = "" if torch.is_grad_enabled() else " under torch.no_grad"
        self._detach_results(call, output, f"{call.name}{how} ({whereabouts(self.model)})", example)

    def _detach_results(
        self, call: Call, output: Any, source: str, example: list[Tensor], given: Sequence[Detached] = ()
    ) -> None:
        """Detach the tensors that a call made or wrote into, where they are not those of the example."""
        bent = self._known[call.func][2] is Kind.MULTILINEAR and len(given) > 1
        lasting = bent or any(item.lasting for item in given)
        made = results(call, output)
        theirs = example if len(example) == len(made) else [None] * len(made)
        for tensor, other in zip(made, theirs, strict=True):
            if not call.in_place and any(tensor is item for item in call.tensors):
                continue
            agrees = agreement(self.pairing, other, tensor)
            if not agrees:
                stays = lasting or (
                    carries_gradient(tensor) if call.in_place else plain(tensor).grad_fn is not None
                )
                unpaired = agrees is None or (other is None and any(item.unpaired for item in given))
                self._detach(call, tensor, source, lasting=stays, unpaired=unpaired)

    def _pass_detached(self, call: Call, kind: Kind, detached: list[Detached]) -> Any:
        """Detached values may be worked on among themselves, and compared in the end; activations not."""
        active = any(
            carries_gradient(tensor) and self.detached.find(tensor) is None for tensor in sources(call)
        )
        if active and (torch.is_grad_enabled() or kind is not Kind.LINEAR):
            check_paired(call, detached)
            self.fail(call, f"uses a value that {detached[0].source} {DETACHED}", INSTEAD)
        if kind is Kind.NONLINEAR:
            return self._branch(call, self._next(call), False, source=detached[0].source)
        example: list[Tensor] = []
        if kind is Kind.MULTILINEAR or call.name in self.followed:
            example = tensors_of(self._next(call).output)
        elif self.cuts(call.name):
            example = self._next_cut(call)
        output = call.func(*call.args, **call.kwargs)
        self._detach_results(call, output, detached[0].source, example, detached)
        return output
