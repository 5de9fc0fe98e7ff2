"""Find the source of a delta: the completeness of each operation by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cislex.attribution.deeplift.deeplift import Engine
from cislex.attribution.deeplift.pairing import Pairing, difference_of, product
from cislex.attribution.deeplift.replay import Record, Replayer, Rule
from cislex.attribution.deeplift.reveal_cancel import RevealReplayer
from cislex.attribution.execution.model_context import prepare_model, unwrap
from cislex.attribution.execution.opened import open_for
from cislex.attribution.execution.shared_backward import gradient_of
from cislex.attribution.methods import DeepLiftShap
from cislex.attribution.operations import Call, tensors_of, whereabouts
from cislex.attribution.references import make_references
from cislex.attribution.validation import check_extra, check_seeds, check_sequences
from cislex.targets import Output, Target, as_target

#: Name of what no operation explains: something that the engine could not see.
UNSEEN = "(not seen)"


@dataclass(frozen=True)
class OperationResidual:
    """How far one operation is from passing on exactly what it received."""

    #: Canonical name of the operation, or ``(not seen)`` for what the others leave of the delta.
    operation: str
    #: Module path and source line.
    where: str
    #: Shapes of its tensors for the reference rows.
    shapes: str
    #: Largest |Σ m·Δh − Σ g·Δy| over the pairs, in units of the target.
    residual: float


class _Tap(torch.autograd.Function):
    """Identity whose backward notes the gradient's product with a difference, row by row."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, difference: Tensor, note: Callable[[Tensor], None]) -> Tensor:
        ctx.save_for_backward(difference)
        ctx.note = note
        return tensor.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (difference,) = ctx.saved_tensors
        ctx.note(product(gradient.detach(), difference))
        return gradient.clone(), None, None


class _Tapped:
    """What a replay with taps adds to a replay."""

    taps: list[tuple[Call, str, list[Tensor], list[Tensor]]]
    pairing: Pairing
    model: torch.nn.Module

    def tapped(self, rule: Rule, call: Call, record: Record, active: list[int]) -> Any:
        received: list[Tensor] = []
        passed: list[Tensor] = []
        self.taps.append((call, whereabouts(self.model), received, passed))
        tensors = list(call.tensors)
        for i in active:
            difference = self._change(record.tensors[i], tensors[i].detach())
            tensors[i] = _Tap.apply(tensors[i], difference, passed.append)
        output = rule(call.with_tensors(tensors), record, self.pairing, active)
        if not isinstance(output, Tensor):
            return output
        (example,) = tensors_of(record.output)
        return _Tap.apply(output, self._change(example, output.detach()), received.append)

    def _change(self, example: Tensor, reference: Tensor) -> Tensor:
        """Example minus reference, row by row."""
        return difference_of(self.pairing.expand(example, reference), reference)


class _TappedReplayer(_Tapped, Replayer):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.taps = []

    def apply(self, rule: Rule, call: Call, record: Record, active: list[int]) -> Any:
        """Carry out a rule between taps."""
        return self.tapped(rule, call, record, active)


class _TappedRevealReplayer(_Tapped, RevealReplayer):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.taps = []

    def apply(self, rule: Rule, call: Call, record: Record, active: list[int]) -> Any:
        """Carry out a rule between taps, but for RevealCancel, whose parts bypass its argument."""
        if rule == self._reveal:
            return rule(call, record, self.pairing, active)
        return self.tapped(rule, call, record, active)


def operation_residuals(
    model: Any,
    sequences: Any,
    method: DeepLiftShap | None = None,
    *,
    target: Target | int | Callable[[Any], Tensor] = Output(0),  # noqa: B008  (frozen)
    seeds: Any = None,
    extra_inputs: Sequence[Any] = (),
    device: str | torch.device | None = None,
    precision: str | None = None,
) -> list[OperationResidual]:
    """List the operations that cause a delta, largest first.

    Each operation with a rule should hand down exactly what it is given: Σ m·Δh = Σ g·Δy. What an
    operation misses appears in the delta of the result. What none of them explains comes from
    something that was not seen (a TorchScript function, an operation taken for linear).

    Parameters
    ----------
    sequences
        (N, 4, L), the few whose delta is in question; all references go through at once.

    The other parameters are those of :func:`cislex.attribution.attribute`.

    Returns
    -------
    list[OperationResidual]
        One per operation with a rule that gradients reach, and one for the rest.
    """
    method = method or DeepLiftShap()
    x = check_sequences(sequences)
    chosen = as_target(target)
    extra = check_extra(extra_inputs, len(x))
    refs = make_references(method.references, x, check_seeds(seeds, len(x)))
    prepared = prepare_model(open_for(unwrap(model), [chosen]), device, precision)
    with prepared.active():
        moved = [prepared.takes(item) for item in extra]
        inputs, references = (item.to(prepared.device, prepared.dtype) for item in (x, refs))
        return residuals_of(prepared.model, inputs, references, method, chosen, moved)


def residuals_of(
    model: torch.nn.Module,
    x: Tensor,
    refs: Tensor,
    method: DeepLiftShap,
    target: Target,
    extra: Sequence[Tensor],
) -> list[OperationResidual]:
    """List the residuals of a prepared model, for n examples (n, 4, L) and their references (n, R, 4, L)."""
    n, r = refs.shape[:2]
    engine = Engine(model, method)
    engine.segmented = False
    engine.replayer = _TappedReplayer if method.rule == "rescale" else _TappedRevealReplayer
    inputs = x.repeat_interleave(r, 0)
    moved = [item.repeat_interleave(r, 0) for item in extra]
    records, output_x, prediction = engine.record(inputs, [target], moved)
    flat = refs.flatten(0, 1)
    leaf = flat.clone().requires_grad_()
    output, values, _ = engine.replay(records, Pairing(n * r, 1), leaf, [target], moved)
    pair = getattr(target, "pair", None)
    with torch.enable_grad():
        f_x, f_r = (prediction[0], values[0]) if pair is None else pair(output_x, output)
    assert f_r is not None
    (m,) = gradient_of(f_r.sum(), leaf)
    total = ((inputs - flat).double() * m.double()).sum((1, 2)) - (f_x - f_r).detach().double()
    assert isinstance(engine.last, _Tapped)
    return _table(engine.last.taps, total)


def _table(
    taps: list[tuple[Call, str, list[Tensor], list[Tensor]]], total: Tensor
) -> list[OperationResidual]:
    found = []
    rest = total.clone()
    rows = len(total)
    for call, where, received, passed in taps:
        if not received or not passed:
            continue
        missing = _rows(passed, rows) - _rows(received, rows)
        if missing.shape == rest.shape:
            rest -= missing
        shapes = call.describe().partition("(")[2][:-1]
        found.append(OperationResidual(call.name, where, shapes, float(missing.abs().max())))
    found.append(OperationResidual(UNSEEN, "", "", float(rest.abs().max())))
    return sorted(found, key=lambda item: -item.residual)


def _rows(products: list[Tensor], rows: int) -> Tensor:
    """Sums over everything but the rows; one number where the rows cannot be told."""
    total: Any = 0.0
    for item in products:
        dim = next((d for d, size in enumerate(item.shape) if size == rows), None)
        total = total + (item.sum() if dim is None else item.movedim(dim, 0).reshape(rows, -1).sum(1))
    return torch.as_tensor(total)
