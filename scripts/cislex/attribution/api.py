"""The public calls: ``attribute``, ``attribute_targets`` and ``attribute_batches``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.attribution.execution.batching import BatchSize
from cislex.attribution.execution.model_context import (
    PreparedModel,
    choose_precision,
    has_script,
    prepare_model,
    unwrap,
)
from cislex.attribution.execution.opened import open_for
from cislex.attribution.execution.transfers import DeviceTransfer
from cislex.attribution.methods import DeepLiftShap, ExpectedGradients, IntegratedGradients, Method
from cislex.attribution.mutagenesis.independence import check_independence
from cislex.attribution.mutagenesis.neighbours import made_by, make_trial
from cislex.attribution.options import AttributionOptions
from cislex.attribution.pipeline import EXECUTORS, Inputs, Run, advise
from cislex.attribution.references import FixedReferences, make_references, number_of
from cislex.attribution.result import Attribution, collect
from cislex.attribution.saved_references import SavedReferences
from cislex.attribution.validation import check_extra, check_seeds, check_sequences, probe
from cislex.errors import ConfigError, UnsupportedOperationError
from cislex.logs import progress as show_progress
from cislex.models.fixed_batch import has_fixed_batch
from cislex.targets import Output, Target, as_target


def attribute(
    model: Any,
    sequences: Any,
    method: Method,
    *,
    target: Target | int | Callable[[Any], Tensor] = Output(0),  # noqa: B008  (frozen)
    seeds: Any = None,
    extra_inputs: Sequence[Any] = (),
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    checkpoint: bool | None = None,
    reverse_complement: bool = False,
    keep_global: bool = True,
    keep_spread: bool = False,
    allow_incomplete: bool = False,
    progress: bool = False,
) -> Attribution:
    """Attribute a model's predictions of N sequences to their bases.

    Parameters
    ----------
    model
        Any ``torch.nn.Module`` or ``torch.export.ExportedProgram``; left as it was, also on errors.
    sequences
        (N, 4, L), numpy or torch, uint8 or floating point one-hot in the order A C G T; an all-zero
        column is an unknown base.
    method
        What to compute, for example ``DeepLiftShap()``.
    target
        A Target, an index of the output, or a function output -> (N,).
    seeds
        (N,) whole numbers, one per sequence, for its references; by default ``references.seed``.
    extra_inputs
        Further inputs of the model, (N, …) each.
    batch_size
        Example-reference pairs at once, halved when memory is short. None: chosen from a GPU's memory, or on
        a CPU from the length (10 of 2,114 bp, 100 of 200 bp).
    device
        By default where the model is; ``auto`` for a GPU where there is one.
    precision
        ``float32`` (TF32 off), ``tf32``, ``bfloat16`` or ``float64``; by default ``float64`` for models whose
        parameters are, and ``float32`` for any other, half precisions too. ``notes`` say what was used.
    checkpoint
        Compute activations again in the backward, module by module, instead of keeping all: less memory, and
        up to twice the time. None: where one pair does not fit into memory. For gradient methods and DeepLIFT
        with ``rule="rescale"``; ISM keeps nothing anyway. ``notes`` say of how many modules.
    reverse_complement
        Attribute the average over both strands, f̄(x) = ½ (f(x) + f(rc x)), against the same references
        reverse-complemented; ``prediction``, ``delta`` and all else are those of f̄. Extra inputs whose last
        axis is L are turned along all but the first axis. Takes twice as long.
    keep_global
        Keep what ``Attribution.global_`` needs, another (N, 4, L).
    keep_spread
        Keep ``reference_spread``, another (N, L): how far contributions with single references differ, of
        DeepLIFT and integrated or expected gradients with at least two references, on one strand.
    allow_incomplete
        Accept DeepLIFT attributions that do not sum to f(x) − f(r): where the first region has a relative
        delta above 1e-2 that no known operation explains, or an operation ran out of sight (TorchScript
        functions, compiled regions, custom C++ operations), that is an error otherwise, and a note here.
    progress
        Show progress.

    Returns
    -------
    Attribution
        On the CPU; float64 where it was computed in float64, else float32.

    Raises
    ------
    InputError, ConfigError, ModelError, UnsupportedOperationError
        Naming what was found and what was expected.
    CompletenessError
        The first region's attributions do not sum up, and no known operation explains it.

    Examples
    --------
    >>> result = attribute(model, sequences, DeepLiftShap(), target=1)
    >>> result.hypothetical.shape, result.contributions.shape
    (torch.Size([4, 4, 60]), torch.Size([4, 4, 60]))
    >>> bool(result.max_relative_delta.max() < 1e-3)
    True
    """
    return attribute_targets(
        model,
        sequences,
        method,
        [target],
        seeds=seeds,
        extra_inputs=extra_inputs,
        batch_size=batch_size,
        device=device,
        precision=precision,
        checkpoint=checkpoint,
        reverse_complement=reverse_complement,
        keep_global=keep_global,
        keep_spread=keep_spread,
        allow_incomplete=allow_incomplete,
        progress=progress,
    )[0]


def attribute_targets(
    model: Any,
    sequences: Any,
    method: Method,
    targets: Sequence[Target | int | Callable[[Any], Tensor]],
    *,
    keep_global: bool = True,
    keep_spread: bool = False,
    progress: bool = False,
    **options: Unpack[AttributionOptions],
) -> list[Attribution]:
    """Attribute several targets of one model, which share the forward passes and the references.

    Parameters
    ----------
    targets
        One or more targets; the other parameters are those of :func:`attribute`.

    Returns
    -------
    list[Attribution]
        One per target.

    Examples
    --------
    >>> both = [Output(0), Output(1)]
    >>> first, second = attribute_targets(model, sequences, DeepLiftShap(), both)
    >>> first.prediction.shape
    torch.Size([4])
    """
    x = check_sequences(sequences)
    batches = attribute_batches(
        model,
        x,
        method,
        targets,
        keep_global=keep_global,
        keep_spread=keep_spread,
        progress=progress,
        **options,
    )
    if not len(x):
        used = choose_precision(unwrap(model), options.get("precision"))
        return _nothing(x, method, len(targets), used, keep_global)
    return collect(batches, len(x))


def attribute_batches(
    model: Any,
    sequences: Any,
    method: Method,
    targets: Sequence[Target | int | Callable[[Any], Tensor]],
    *,
    keep_global: bool = False,
    keep_spread: bool = False,
    progress: bool = False,
    **options: Unpack[AttributionOptions],
) -> Iterator[tuple[slice, list[Attribution]]]:
    """Attribute batch by batch, so that any number of sequences needs bounded memory.

    Parameters are those of :func:`attribute_targets`.

    Yields
    ------
    tuple[slice, list[Attribution]]
        The rows of the batch, in order, and one Attribution per target.

    Examples
    --------
    >>> for rows, (result,) in attribute_batches(model, sequences, TISM(), [Output(0)], batch_size=2):
    ...     print(rows, result.tism.shape)
    slice(0, 2, None) torch.Size([2, 4, 60])
    slice(2, 4, None) torch.Size([2, 4, 60])
    """
    run, inputs = _start(
        model,
        sequences,
        method,
        targets,
        keep_global=keep_global,
        keep_spread=keep_spread,
        **options,
    )
    return _batches(run, inputs, progress)


def attribute_tried(
    model: Any,
    sequences: Any,
    method: Method,
    targets: Sequence[Target],
    **options: Any,
) -> list[Attribution]:
    """Run ``attribute_targets`` on one part of a job whose model was checked at its start.

    Parameters are those of :func:`attribute_targets`; there is at least one sequence.
    """
    run, inputs = _start(model, sequences, method, targets, **options)
    return collect(run.results(inputs), len(inputs))


def _start(
    model: Any,
    sequences: Any,
    method: Method,
    targets: Sequence[Target | int | Callable[[Any], Tensor]],
    *,
    seeds: Any = None,
    extra_inputs: Sequence[Any] = (),
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    checkpoint: bool | None = None,
    reverse_complement: bool = False,
    keep_global: bool = False,
    keep_spread: bool = False,
    allow_incomplete: bool = False,
) -> tuple[Run, Inputs]:
    """Check what the user gave and borrow the model."""
    _check_options(method, targets, batch_size)
    x = check_sequences(sequences)
    wanted = [as_target(target) for target in targets]
    inputs = Inputs(x, check_seeds(seeds, len(x)), check_extra(extra_inputs, len(x)))
    _check_references(method.references, x, inputs.seeds)
    if checkpoint and isinstance(method, DeepLiftShap) and method.rule != "rescale":
        raise ConfigError(
            f"checkpoint: found rule={method.rule!r}; expected rescale, the rule that allows it"
        )
    if keep_spread:
        _check_spread(method, x, reverse_complement)
    plain = unwrap(model)
    if isinstance(method, DeepLiftShap) and (scripted := has_script(plain)):
        raise UnsupportedOperationError(
            f"module {scripted} is TorchScript, whose operations cannot be seen; what to do: give the eager "
            "model or a torch.export program, or use a gradient method or ISM"
        )
    prepared = prepare_model(open_for(plain, wanted), device, precision)
    run = Run(
        prepared,
        method,
        wanted,
        keep_global,
        reverse_complement,
        BatchSize(prepared.device, batch_size, x.shape[2]),
        DeviceTransfer(prepared.device),
        repeat=has_fixed_batch(plain),
        spread=keep_spread,
        allow_incomplete=allow_incomplete,
        checkpoint=checkpoint,
    )
    return run, inputs


def _check_options(method: Method, targets: Sequence[Any], batch_size: int | None) -> None:
    if type(method) not in EXECUTORS:
        names = ", ".join(kind.__name__ for kind in EXECUTORS)
        hint = f"; write {method.__name__}()" if isinstance(method, type) else ""
        raise ConfigError(f"method: found {type(method).__name__}, expected one of {names}{hint}")
    if not targets:
        raise ConfigError("targets: found none, expected at least one")
    if batch_size is None:
        return
    if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool):
        raise ConfigError(f"batch_size: found {batch_size!r}, expected a whole number of pairs")
    if batch_size < 1:
        raise ConfigError(f"batch_size: found {batch_size}, expected at least 1 pair")


def _check_spread(method: Method, x: Tensor, both_strands: bool) -> None:
    """Whether contributions have a spread over references."""
    if not isinstance(method, DeepLiftShap | IntegratedGradients | ExpectedGradients):
        raise ConfigError(f"keep_spread: {method.name} has no references, over which contributions differ")
    if both_strands:
        raise ConfigError("keep_spread: not with reverse_complement, which averages over both strands first")
    if len(x) and (number := number_of(method.references, x)) < 2:
        raise ConfigError(f"keep_spread: found {number} reference, expected at least two")


def _check_references(references: Any, x: Tensor, seeds: NDArray[np.int64] | None) -> None:
    """Make those of the first sequence, or find all that are saved: misfits are named before any work."""
    if isinstance(references, SavedReferences):
        references.find(x, seeds)
    elif isinstance(references, FixedReferences) and references.sequences.dim() == 4 and len(x):
        make_references(references, x)
    elif len(x):
        make_references(references, x[:1])


def _batches(run: Run, inputs: Inputs, progress: bool) -> Iterator[tuple[slice, list[Attribution]]]:
    if not len(inputs):
        return
    _probe(run.prepared, run, inputs)
    advise(run, inputs)
    steps = run.results(inputs)
    if progress:
        label = run.method.name
        yield from show_progress(steps, total=len(inputs), label=label, weight=lambda item: len(item[1][0]))
    else:
        yield from steps


def _probe(prepared: PreparedModel, run: Run, inputs: Inputs) -> None:
    """Try the model on the first sequence, and on some more to see that their values are their own.

    DeepLIFT names random operations and branches itself, and where they are; so its turn is first.
    """
    x, extra = inputs.sequences, inputs.extra
    first = x[:1].to(prepared.device, prepared.dtype)
    with prepared.active():
        probe(prepared.model, first, [prepared.takes(item[:1]) for item in extra], run.targets)

        def confirm(refs: Tensor) -> None:
            made = made_by(run.method, x[0].to(prepared.dtype), refs)
            check_independence(make_trial(prepared, x, extra, run.targets, made, run.size.pairs))

        if isinstance(run.method, DeepLiftShap):
            run.confirm = confirm
        else:
            confirm(_references_of_first(run.method, inputs))


def _references_of_first(method: Method, inputs: Inputs) -> Tensor:
    """(R, 4, L) of the first sequence."""
    chosen = method.references
    chosen = chosen.rows(slice(0, 1)) if isinstance(chosen, FixedReferences) else chosen
    return make_references(chosen, inputs.sequences[:1], None if inputs.seeds is None else inputs.seeds[:1])[
        0
    ]


def _nothing(x: Tensor, method: Method, targets: int, precision: str, keep_global: bool) -> list[Attribution]:
    """The result for no sequences."""
    dtype = torch.float64 if precision == "float64" else torch.float32
    length = x.shape[2]
    complete = method.complete
    empty = Attribution(
        multipliers=torch.zeros((0, 4, length), dtype=dtype),
        baseline=torch.zeros((0, length), dtype=dtype),
        sequences=x,
        prediction=torch.zeros(0, dtype=dtype),
        reference_prediction=torch.zeros((0, number_of(method.references, x)), dtype=dtype)
        if complete
        else None,
        delta=torch.zeros((0, number_of(method.references, x)), dtype=torch.float64) if complete else None,
        products=torch.zeros((0, 4, length), dtype=dtype) if keep_global else None,
        notes={"precision": precision},
    )
    return [empty] * targets
