"""The public calls: ``attribute``, ``attribute_targets`` and ``attribute_batches``."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.attribution.batching import BatchSize, join, pieces
from cislex.attribution.methods import (
    ISM,
    TISM,
    DeepLiftShap,
    ExpectedGradients,
    IntegratedGradients,
    Method,
    Saliency,
)
from cislex.attribution.precision import Loan, has_script, lend, unwrap
from cislex.attribution.references import FixedReferences, make_references, number_of
from cislex.attribution.result import Attribution, BatchResult
from cislex.attribution.validation import check_extra, check_seeds, check_sequences, check_values, probe
from cislex.errors import ConfigError, ModelError, UnsupportedOperationError
from cislex.logs import progress as show_progress
from cislex.targets import Output, Target, as_target

#: The module whose ``batch_multipliers`` carries out a method; imported when it is needed.
_EXECUTORS: dict[type, str] = {
    Saliency: "gradients",
    TISM: "gradients",
    IntegratedGradients: "integrated",
    ExpectedGradients: "integrated",
    ISM: "ism",
    DeepLiftShap: "deeplift",
}


def _executor(method: Method) -> Callable[..., BatchResult]:
    module = importlib.import_module(f"cislex.attribution.{_EXECUTORS[type(method)]}")
    return module.batch_multipliers


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
    precision: str = "float32",
    keep_global: bool = True,
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
        Example-reference pairs at once; chosen from memory when None, halved when memory is short.
    device
        By default where the model is; ``auto`` for a GPU where there is one.
    precision
        ``float32`` (TF32 off), ``tf32``, ``bfloat16`` or ``float64``.
    keep_global
        Keep what ``Attribution.global_`` needs, another (N, 4, L).
    progress
        Tell how far we are.

    Returns
    -------
    Attribution
        On the CPU; float64 for precision ``float64``, else float32.

    Raises
    ------
    InputError, ConfigError, ModelError, UnsupportedOperationError
        Naming what was found and what was expected.
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
        keep_global=keep_global,
        progress=progress,
    )[0]


def attribute_targets(
    model: Any,
    sequences: Any,
    method: Method,
    targets: Sequence[Target | int | Callable[[Any], Tensor]],
    *,
    seeds: Any = None,
    extra_inputs: Sequence[Any] = (),
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    keep_global: bool = True,
    progress: bool = False,
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
    """
    x = check_sequences(sequences)
    batches = attribute_batches(
        model,
        x,
        method,
        targets,
        seeds=seeds,
        extra_inputs=extra_inputs,
        batch_size=batch_size,
        device=device,
        precision=precision,
        keep_global=keep_global,
        progress=progress,
    )
    parts = [results for _, results in batches]
    if not parts:
        return _nothing(x, method, len(targets), precision, keep_global)
    return [_concatenate([part[t] for part in parts]) for t in range(len(targets))]


def attribute_batches(
    model: Any,
    sequences: Any,
    method: Method,
    targets: Sequence[Target | int | Callable[[Any], Tensor]],
    *,
    seeds: Any = None,
    extra_inputs: Sequence[Any] = (),
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    keep_global: bool = False,
    progress: bool = False,
) -> Iterator[tuple[slice, list[Attribution]]]:
    """Attribute batch by batch, so that any number of sequences needs bounded memory.

    Parameters are those of :func:`attribute_targets`.

    Yields
    ------
    tuple[slice, list[Attribution]]
        The rows of the batch, in order, and one Attribution per target.
    """
    if type(method) not in _EXECUTORS:
        names = ", ".join(kind.__name__ for kind in _EXECUTORS)
        raise ConfigError(f"method: found {type(method).__name__}, expected one of {names}")
    if not targets:
        raise ConfigError("targets: found none, expected at least one")
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch_size: found {batch_size}, expected at least 1 pair")
    x = check_sequences(sequences)
    wanted = [as_target(target) for target in targets]
    checked_seeds = check_seeds(seeds, len(x))
    extra = check_extra(extra_inputs, len(x))
    _check_references(method.references, x)
    plain = unwrap(model)
    if isinstance(method, DeepLiftShap) and (scripted := has_script(plain)):
        raise UnsupportedOperationError(
            f"module {scripted} is TorchScript, whose operations cannot be seen; what to do: give the eager "
            "model or a torch.export program, or use a gradient method or ISM"
        )
    return _batches(
        plain, x, method, wanted, checked_seeds, extra, batch_size, device, precision, keep_global, progress
    )


def _check_references(references: Any, x: Tensor) -> None:
    """Make those of the first sequence, so that misfits are found before any work."""
    if isinstance(references, FixedReferences) and references.sequences.dim() == 4 and len(x):
        make_references(references, x)
    elif len(x):
        make_references(references, x[:1])


def _batches(
    model: torch.nn.Module,
    x: Tensor,
    method: Method,
    targets: list[Target],
    seeds: NDArray[np.int64] | None,
    extra: tuple[Tensor, ...],
    batch_size: int | None,
    device: str | torch.device | None,
    precision: str,
    keep_global: bool,
    progress: bool,
) -> Iterator[tuple[slice, list[Attribution]]]:
    if not len(x):
        return
    references = number_of(method.references, x)
    loan = lend(model, device, precision)
    run = _Run(loan, method, targets, precision, keep_global, BatchSize(loan.device, batch_size))
    with loan.active():
        first = [_cast(item[:1].to(loan.device), loan.dtype) for item in extra]
        probe(loan.model, x[:1].to(loan.device, loan.dtype), first, targets)
    with ThreadPoolExecutor(1) as pool:
        steps = _steps(run, x, seeds, extra, references, pool)
        if progress:
            weight = run.size.examples(references)
            yield from show_progress(steps, total=len(x), label=method.name, weight=weight)
        else:
            yield from steps


def _steps(
    run: _Run,
    x: Tensor,
    seeds: NDArray[np.int64] | None,
    extra: tuple[Tensor, ...],
    references: int,
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[slice, list[Attribution]]]:
    """Batches in order; the references of the next one are made while this one is computed."""

    def make(rows: slice) -> Tensor:
        chosen = run.method.references
        chosen = chosen.rows(rows) if isinstance(chosen, FixedReferences) else chosen
        return make_references(chosen, x[rows], None if seeds is None else seeds[rows])

    def plan(start: int) -> slice:
        return slice(start, min(start + run.size.examples(references), len(x)))

    rows = plan(0)
    made = pool.submit(make, rows)
    while rows.start < len(x):
        refs = made.result()
        following = plan(rows.stop)
        if following.start < len(x):
            made = pool.submit(make, following)
        yield rows, run.batch(x[rows], refs, [item[rows] for item in extra], rows.start)
        rows = following


@dataclasses.dataclass
class _Run:
    """What stays the same from batch to batch."""

    loan: Loan
    method: Method
    targets: list[Target]
    precision: str
    keep_global: bool
    size: BatchSize
    checked: bool = False
    repeat: bool = False

    def batch(self, x: Tensor, refs: Tensor, extra: list[Tensor], start: int) -> list[Attribution]:
        """One batch, in as many pieces as memory asks for."""
        with self.loan.active():
            result = join(pieces(self._piece, x, refs, extra, self.size))
        for t, target in enumerate(self.targets):
            try:
                check_values(result.prediction[t], len(x), target)
            except ModelError as error:
                raise ModelError(f"rows {start} to {start + len(x)}: {error}") from error
        out = torch.float64 if self.precision == "float64" else torch.float32
        notes = {"precision": self.precision, **result.notes, **self.size.notes}
        return [
            Attribution(
                multipliers=_home(result.multipliers[t], out),
                baseline=_home(result.baseline[t], out),
                sequences=x,
                prediction=_home(result.prediction[t], out),
                reference_prediction=_home(_pick(result.reference_prediction, t), out),
                delta=_home(_pick(result.delta, t), torch.float64),
                products=_home(_pick(result.products, t), out) if self.keep_global else None,
                notes=notes,
            )
            for t in range(len(self.targets))
        ]

    def _piece(self, x: Tensor, refs: Tensor, extra: list[Tensor], rows: int) -> BatchResult:
        device, dtype = self.loan.device, self.loan.dtype
        moved = [_cast(item.to(device, non_blocking=True), dtype) for item in extra]
        arguments = (
            self.loan.model,
            x.to(device, non_blocking=True).to(dtype),
            refs.to(device, non_blocking=True).to(dtype),
            self.targets,
            self.method,
            moved,
        )
        if not isinstance(self.method, DeepLiftShap):
            return _executor(self.method)(*arguments, rows=rows)
        result = _executor(self.method)(*arguments, rows=rows, repeat=self.repeat)
        if not self.checked:
            self.checked = True
            selfcheck = importlib.import_module("cislex.attribution.selfcheck")
            self.repeat = selfcheck.check_first(*arguments, result)
            if self.repeat:
                return _executor(self.method)(*arguments, rows=rows, repeat=True)
        return result


def _cast(item: Tensor, dtype: torch.dtype) -> Tensor:
    return item.to(dtype) if item.is_floating_point() else item


def _pick(values: Tensor | None, t: int) -> Tensor | None:
    return None if values is None else values[t]


def _home(values: Any, dtype: torch.dtype) -> Any:
    return None if values is None else values.detach().to("cpu", dtype)


def _concatenate(parts: Sequence[Attribution]) -> Attribution:
    """One Attribution of several batches."""

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.cat(values)

    notes: dict[str, str] = {}
    for part in parts:
        notes |= part.notes
    names = [field.name for field in dataclasses.fields(Attribution) if field.name != "notes"]
    return Attribution(**{name: joined(name) for name in names}, notes=notes)


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
