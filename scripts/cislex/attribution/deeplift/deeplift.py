"""DeepLIFT/SHAP of one batch: the example once, its references in autograd with the pair's multipliers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cislex.attribution.deeplift.audit import Scrutiny, Trail
from cislex.attribution.deeplift.decompositions import DECOMPOSITIONS
from cislex.attribution.deeplift.detached import Reading
from cislex.attribution.deeplift.integration import LIMIT, integrate
from cislex.attribution.deeplift.pairing import Pairing, PairingError
from cislex.attribution.deeplift.replay import Recorder, Replayer
from cislex.attribution.deeplift.reveal_cancel import RevealReplayer
from cislex.attribution.deeplift.rules import builtin, user_rules
from cislex.attribution.execution.batching import join
from cislex.attribution.execution.shared_backward import backward_terms
from cislex.attribution.gradients.gradients import pick
from cislex.attribution.methods import DeepLiftShap
from cislex.attribution.operations import Phase
from cislex.attribution.result import BatchResult, by_reference, spread_over_references
from cislex.attribution.validation import check_shape
from cislex.errors import ModelError, UnsupportedOperationError
from cislex.targets import Target
from cislex.targets.outputs import map_rows

#: Why a model is refused that keeps activations by hooks: the rules know nothing of a second run.
RUN_AGAIN = (
    "the model keeps its activations by hooks (torch.utils.checkpoint, save_on_cpu), and what runs again in "
    "the backward has no attribution rules; what to do: checkpoint in training alone (if self.training)"
)


@dataclass
class _Sums:
    """What is added up over the references of a batch."""

    multipliers: Tensor  # (T, n, 4, L)
    products: Tensor  # (T, n, 4, L)
    reference_prediction: Tensor  # (T, n, R)
    delta: Tensor  # (T, n, R) float64
    #: Sums of the contributions with single references and of their squares, (2, T, n, L) float64, or None.
    moments: Tensor | None = None


class Engine:
    """Rules and settings of one method, for one model."""

    def __init__(self, model: torch.nn.Module, method: DeepLiftShap) -> None:
        given, linear = user_rules(method.rules)
        decompositions = {name: rule for name, rule in DECOMPOSITIONS.items() if name not in linear}
        self.arguments = (model, builtin() | given, decompositions, linear, frozenset(given))
        self.model = model
        self.method = method
        self.replayer: type[Replayer] = Replayer if method.rule == "rescale" else RevealReplayer
        self.last: Replayer | None = None
        self.unknown = integrate(limit=LIMIT) if method.unknown_ops == "integrate" else None
        self.integrated: set[str] = set()
        #: What to look for in the next replay.
        self.scrutiny: Scrutiny | None = None
        #: Whether the spread of contributions over references is asked for.
        self.spread = False
        #: Whether segments of the model, if it has any, are recorded and replayed in the backward.
        self.segmented = True

    def record(self, x: Tensor, targets: Sequence[Target], extra: Sequence[Tensor]) -> Any:
        """Run the examples; returns the records, the model's output and the targets' values."""
        recorder = Recorder(*self.arguments)
        recorder.segmented = self.segmented and self.method.rule == "rescale"
        if self.method.rule != "rescale":
            recorder.alert, recorder.followed = True, RevealReplayer.followed
        try:
            with torch.enable_grad(), recorder:  # what the model does without gradients is told by that
                output = self.model(x.clone(), *extra)
                values = [None if _pair(target) else target(output) for target in targets]
            with torch.no_grad():
                found = [
                    target(output) if value is None else value
                    for target, value in zip(targets, values, strict=True)
                ]
            for target, value in zip(targets, found, strict=True):
                check_shape(value, len(x), target)
        except UnsupportedOperationError:
            raise
        except ModelError as error:
            if len(x) > 1:
                raise
            raise PairingError(f"one row alone loses its axis: {error}") from error
        return recorder.records, output, torch.stack(found)

    def replay(
        self, records: Any, pairing: Pairing, leaf: Tensor, targets: Sequence[Target], extra: Sequence[Tensor]
    ) -> tuple[Any, list[Tensor | None], Phase]:
        """Run reference rows; returns the model's output, the targets' values in autograd, and the phase."""
        replayer = self.replayer(*self.arguments, records=records, pairing=pairing, unknown=self.unknown)
        if isinstance(replayer, RevealReplayer):
            replayer.splitter.convolutions = self.method.rule == "reveal_cancel"
        self.last = replayer
        if self.scrutiny is not None:
            replayer.trail, replayer.scrutiny = Trail(), self.scrutiny
            replayer.exact = None if self.scrutiny.allow else leaf.dtype
        try:
            with torch.enable_grad(), torch.autograd.graph.disable_saved_tensors_hooks(RUN_AGAIN), replayer:
                output = self.model(leaf.clone(), *extra)
                values = [None if _pair(target) else target(output) for target in targets]
        except RuntimeError as error:
            if RUN_AGAIN in str(error):
                raise UnsupportedOperationError(RUN_AGAIN) from error
            raise
        replayer.finish(values, targets)
        return output, values, replayer.phase


def _pair(target: Target) -> Any:
    """The target's function of pairs, where its weights depend on the pair."""
    return getattr(target, "pair", None)


def batch_multipliers(
    model: torch.nn.Module,
    x: Tensor,
    refs: Tensor,
    targets: Sequence[Target],
    method: DeepLiftShap,
    extra: Sequence[Tensor] = (),
    *,
    rows: int = 0,
    repeat: bool = False,
    scrutiny: Scrutiny | None = None,
    spread: bool = False,
) -> BatchResult:
    """DeepLIFT multipliers of n examples, averaged over R references.

    Parameters
    ----------
    model
        In evaluation mode, its parameters without gradient.
    x
        (n, 4, L) one-hot, floating point.
    refs
        (n, R, 4, L) of the same dtype.
    targets
        T targets; they share the forward passes.
    extra
        Further inputs of the model, (n, …) each, the same for example and reference.
    rows
        Most reference rows at once; 0 for all. Examples go forward once whatever it is. With ``repeat`` most
        pairs at once, or two or three where that is less.
    repeat
        Send each example forward once per reference, for models that mix rows with other axes.
    scrutiny
        Takes what ran out of sight.
    spread
        Give ``reference_spread``, of at least two references.

    Raises
    ------
    UnsupportedOperationError
        When the model uses an operation without a rule.
    """
    engine = Engine(model, method)
    engine.scrutiny, engine.spread = scrutiny, spread
    if not repeat:
        try:
            return _attribute(engine, x, refs, targets, extra, rows)
        except PairingError:
            engine = Engine(model, method)
            engine.scrutiny, engine.spread = scrutiny, spread
    return _repeated(engine, x, refs, targets, extra, rows)


def _repeated(
    engine: Engine, x: Tensor, refs: Tensor, targets: Sequence[Target], extra: Sequence[Tensor], rows: int
) -> BatchResult:
    """The example repeated for each reference, for models that merge rows with another axis.

    Both passes have the same shapes, and row i belongs to row i whatever the model does.
    """
    n, given = refs.shape[:2]
    if n * given == 1:  # models that squeeze need two rows
        refs = refs.expand(-1, 2, -1, -1)
    r = refs.shape[1]
    flat = refs.reshape(n * r, 1, *refs.shape[2:])
    example = torch.arange(n).repeat_interleave(r)
    parts = max(1, min(math.ceil(n * r / max(2, rows)), n * r // 2)) if rows > 0 else 1
    results = []
    for chosen in torch.arange(n * r).tensor_split(parts):  # of one size, two rows at least
        pairs = slice(int(chosen[0]), int(chosen[-1]) + 1)
        inputs = [pick(item, example[pairs]) for item in (x, *extra)]
        results.append(_attribute(engine, inputs[0], flat[pairs], targets, inputs[1:], 0))
    return _regroup(join(results), n, r, given, x if engine.spread and given > 1 else None)


def _attribute(
    engine: Engine, x: Tensor, refs: Tensor, targets: Sequence[Target], extra: Sequence[Tensor], rows: int
) -> BatchResult:
    n, total = refs.shape[:2]
    records, output, prediction = engine.record(x, targets, extra)
    shape = (len(targets), n, *x.shape[1:])
    exact = torch.promote_types(x.dtype, torch.float32)  # half precisions lose digits in a sum
    sums = _Sums(
        x.new_zeros(shape, dtype=exact),
        x.new_zeros(shape, dtype=exact),
        x.new_zeros((len(targets), n, total)),
        x.new_zeros((len(targets), n, total), dtype=torch.float64),
    )
    if engine.spread and total > 1:
        sums.moments = x.new_zeros((2, len(targets), n, x.shape[2]), dtype=torch.float64)
    parts = 1 if rows <= 0 else math.ceil(total / max(1, rows // n))
    step = math.ceil(total / parts)  # parts of one size
    for start in range(0, total, step):
        part = slice(start, min(start + step, total))
        _add(engine, x, refs[:, part], targets, extra, (records, output, prediction), part, sums)
        engine.scrutiny = None
    notes = {"integrated": ", ".join(sorted(engine.integrated))} if engine.integrated else {}
    if isinstance(engine.last, RevealReplayer):
        notes |= engine.last.notes()
    sums.multipliers /= total
    sums.products /= total
    return BatchResult(
        multipliers=sums.multipliers,
        baseline=sums.products.sum(2),
        prediction=prediction,
        reference_prediction=sums.reference_prediction,
        delta=sums.delta,
        products=sums.products,
        reference_spread=None if sums.moments is None else _spread(sums.moments, total),
        notes=notes,
    )


def _spread(moments: Tensor, number: int) -> Tensor:
    """Standard deviation from the sums of numbers and of their squares."""
    total, squares = moments
    return ((squares - total**2 / number).clamp_min(0) / (number - 1)).sqrt()


def _add(
    engine: Engine,
    x: Tensor,
    refs: Tensor,
    targets: Sequence[Target],
    extra: Sequence[Tensor],
    recorded: tuple[Any, Any, Tensor],
    part: slice,
    sums: _Sums,
) -> None:
    """Add the references of one part."""
    records, output_x, prediction = recorded
    n, r = refs.shape[:2]
    pairing = Pairing(n, r)
    flat = refs.reshape(n * r, *refs.shape[2:]).detach()
    leaf = flat.clone().requires_grad_()
    repeated = [item.repeat_interleave(r, 0) for item in extra]
    output, values, phase = engine.replay(records, pairing, leaf, targets, repeated)
    assert engine.last is not None
    read = []
    for t, (target, value) in enumerate(zip(targets, values, strict=True)):
        pair = _pair(target)
        if pair is None:
            assert value is not None
            f_x, f_r = prediction[t].unsqueeze(1), value
        else:
            with torch.enable_grad(), Reading(engine.last.detached, target):
                f_x, f_r = pair(_repeat(output_x, r), output)
            f_x = f_x.detach().reshape(n, r)
            with torch.no_grad():
                value = target(output)
        if f_r.shape != (n * r,):
            raise ModelError(
                f"target: found shape {tuple(f_r.shape)} for {n * r} sequences, expected one number each"
            )
        _check_reached(target, f_x, f_r.reshape(n, r))
        engine.last.look(f_r)
        read.append(f_r)
        sums.reference_prediction[t, :, part] = value.detach().reshape(n, r)
        sums.delta[t, :, part] = f_r.detach().reshape(n, r).double() - f_x.double()
    engine.last.forget()
    _add_multipliers(x, refs, leaf, read, phase, part, sums)
    engine.integrated |= engine.last.integrated


def _add_multipliers(
    x: Tensor, refs: Tensor, leaf: Tensor, values: list[Tensor], phase: Phase, part: slice, sums: _Sums
) -> None:
    """Add the multipliers of all targets' values of reference rows."""
    n, r = refs.shape[:2]
    single = sums.moments is not None  # contributions with single references are squared: one target each
    for term in backward_terms(values, leaf, last=phase.end, shared=not single):
        m = term.gradient.unflatten(0, (n, r))
        product = m * refs
        full = torch.einsum("ncl,nrcl->nr", x.double(), m.double()) - product.sum((2, 3), dtype=torch.float64)
        term.add_to(sums.multipliers)
        term.add(sums.products, product.flatten(0, 1))
        term.add_by_row(sums.delta[:, :, part], full)
        if sums.moments is not None:
            contributions = by_reference(x, m, product)
            sums.moments[:, term.target] += torch.stack([contributions.sum(1), (contributions**2).sum(1)])


def _check_reached(target: Target, f_x: Tensor, f_r: Tensor) -> None:
    """Values without gradient must be the same for the example and its references."""
    if not f_r.requires_grad and not torch.allclose(f_x.expand_as(f_r), f_r):
        raise UnsupportedOperationError(
            f"target {target} has no gradient with respect to the sequence on which its value depends; "
            "what to do: remove detach, torch.no_grad or conversions to other types from the model"
        )


def _repeat(output: Any, times: int) -> Any:
    """A model's output with each row repeated."""
    return map_rows(lambda values: values.repeat_interleave(times, 0), output)


def _regroup(result: BatchResult, n: int, r: int, kept: int, spread_of: Tensor | None) -> BatchResult:
    """From n·r examples with one reference each to n examples with r, the first of which are kept.

    ``spread_of``: the examples (n, 4, L) whose spread over references is asked for.
    """

    def grouped(values: Tensor) -> Tensor:
        return values.reshape(values.shape[0], n, r, *values.shape[2:])

    assert result.reference_prediction is not None
    assert result.delta is not None
    assert result.products is not None
    return BatchResult(
        multipliers=grouped(result.multipliers).mean(2),
        baseline=grouped(result.baseline).mean(2),
        prediction=grouped(result.prediction)[:, :, 0],
        reference_prediction=grouped(result.reference_prediction[..., 0])[..., :kept],
        delta=grouped(result.delta[..., 0])[..., :kept],
        products=grouped(result.products).mean(2),
        reference_spread=None
        if spread_of is None
        else spread_over_references(spread_of, grouped(result.multipliers), grouped(result.products)),
        notes={**result.notes, "pairing": "the example was repeated for each reference"},
    )
