"""Effects f(mutant) − f(x) of any number of mutants, each an example with some columns replaced.

What deletions, insertions, scrambles, epistasis and distances share. Mutants are computed on windows of
columns where the model allows it (``columns``); that path is compared with whole sequences on mutants of
every block of examples and of every width, and given up with a note where it differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cislex.attribution.execution.batching import BatchSize, is_out_of_memory
from cislex.attribution.execution.model_context import PreparedModel, prepare_model, unwrap
from cislex.attribution.execution.opened import open_for
from cislex.attribution.gradients.gradients import checked, take_rows
from cislex.attribution.mutagenesis.incremental.columns import Lazy, MutantColumns, Tape
from cislex.attribution.mutagenesis.incremental.rules import carry_out
from cislex.attribution.mutagenesis.independence import check_independence
from cislex.attribution.mutagenesis.ism import ROWS, TOLERANCE, differences, finite_or_whole
from cislex.attribution.mutagenesis.neighbours import make_trial, mutants
from cislex.attribution.validation import check_extra, check_sequences, probe
from cislex.errors import ConfigError, ModelError, offenders
from cislex.logs import get_logger
from cislex.logs import progress as show_progress
from cislex.targets import Target, as_target

#: Code of an unknown base, an all-zero column.
UNKNOWN = 4
#: Mutants of one width in a block from which the comparison of both paths is worth its cost.
WORTHWHILE = 16

#: Makes mutants of a slice of jobs: example in the block (M,), first column (M,), codes (M, W) uint8.
Make = Callable[[slice], tuple[Tensor, Tensor, Tensor]]
Targets = Target | int | Callable[[Any], Tensor] | Sequence[Target | int | Callable[[Any], Tensor]]


@dataclass
class Measured:
    """What is measured of a model's output, given the outputs of a block's n examples."""

    #: (K, n): the values of the examples.
    prediction: Tensor
    #: (K,): the size of a value, to judge rounding by.
    scale: Tensor
    #: (output of M mutants, their examples (M,)) -> effects (K, M).
    effects: Callable[[Any, Tensor], Tensor]


#: (output of n examples, n) -> Measured.
Measure = Callable[[Any, int], Measured]


def measure_targets(targets: Sequence[Target]) -> Measure:
    """Effects on T targets."""

    def begin(originals: Any, n: int) -> Measured:
        prediction = torch.stack([checked(target(originals), n) for target in targets])

        def effects(output: Any, example: Tensor) -> Tensor:
            return differences(targets, originals, prediction, output, example)

        return Measured(prediction, prediction.abs().amax(1), effects)

    return begin


@dataclass
class MutantRun:
    """A prepared model, its sequences and what is measured; checked."""

    prepared: PreparedModel
    #: (N, L) uint8 codes, 4 for unknown bases.
    codes: Tensor
    extra: tuple[Tensor, ...]
    measure: Measure
    size: BatchSize
    #: K: how many values are measured.
    outputs: int = 1
    progress: str | None = None
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def dtype(self) -> torch.dtype:
        """Floating point of results: float64 where the model computes in it, else float32."""
        return torch.float64 if self.prepared.dtype == torch.float64 else torch.float32

    def blocks(self, per_example: int) -> Iterator[Block]:
        """Blocks of examples; as many at once as fill a batch, given the mutants of each.

        To be used inside ``prepared.active()``.
        """
        start = 0
        while start < len(self.codes):
            few = max(1, min(self.size.pairs, self.size.pairs // max(1, per_example)))
            rows = slice(start, min(start + few, len(self.codes)))
            try:
                block = Block(self, rows)
            except (RuntimeError, MemoryError) as error:
                self.retry(error)
                continue
            yield block
            start = rows.stop

    def retry(self, error: BaseException) -> None:
        """Go on with half of the rows where memory was short; raise any other error."""
        if not is_out_of_memory(error):
            raise error
        self.size.halve(error)
        error.__traceback__ = None  # its frames hold the tensors that filled the memory
        self.notes |= self.size.notes
        if self.size.device.type == "cuda":
            torch.cuda.empty_cache()


def prepare(
    model: Any,
    sequences: Any,
    target: Targets,
    *,
    measure: Measure | None = None,
    extra_inputs: Sequence[Any] = (),
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    progress: str | None = None,
) -> tuple[MutantRun, bool]:
    """Check the arguments; returns the run and whether one target was given, not a list.

    Raises
    ------
    InputError, ConfigError, ModelError
        Naming what was found and what was expected, before any expensive work.
    """
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"batch_size: found {batch_size}, expected at least 1 mutant")
    several = isinstance(target, Sequence)
    targets = [as_target(item) for item in (target if isinstance(target, Sequence) else [target])]
    if not targets:
        raise ConfigError("target: found an empty list, expected at least one")
    x = check_sequences(sequences)
    extra = check_extra(extra_inputs, len(x))
    prepared = prepare_model(open_for(unwrap(model), targets), device, precision)
    run = MutantRun(
        prepared,
        to_codes(x),
        extra,
        measure or measure_targets(targets),
        BatchSize(prepared.device, batch_size, x.shape[2]),
        1 if measure else len(targets),
        progress,
        {"precision": prepared.precision},
    )
    if len(x):
        first = x[:1].to(prepared.device, prepared.dtype)
        read = targets if measure is None else None
        with prepared.active():
            probe(prepared.model, first, [prepared.takes(item[:1]) for item in extra], read or [])
            check_independence(make_trial(prepared, x, extra, read, mutants(first[0]), batch_size))
    return run, not several


class Block:
    """Some examples, with the model's output for them."""

    def __init__(self, run: MutantRun, rows: slice) -> None:
        self.run = run
        self.rows = rows
        #: (n, L) codes of the examples.
        self.codes = run.codes[rows]
        prepared = run.prepared
        self.x = one_hot(self.codes).to(prepared.device, prepared.dtype)
        self.extra = [prepared.takes(item[rows]) for item in run.extra]
        n = len(self.codes)
        index = torch.arange(max(n, 2), device=prepared.device) % n  # models that squeeze need two rows
        with torch.no_grad():
            output = prepared.model(self.x[index], *(item[index] for item in self.extra))
            self.measured = run.measure(take_rows(output, index[:n]), n)
        #: (n, K) values of the examples, on the CPU.
        self.prediction = self.measured.prediction.T.to("cpu", run.dtype)
        bad = (~torch.isfinite(self.prediction).all(1)).nonzero().flatten() + rows.start
        if len(bad):
            raise ModelError(
                f"the model returns values that are not finite for examples {offenders(bad.tolist())}; "
                "what to do: check the weights and the input"
            )
        self._tape: Tape | None = None if "mutants" in run.notes else Tape(carry_out)
        self._agreed: set[int] = set()

    def effects(self, jobs: int, make: Make) -> Tensor:
        """Effects (jobs, K) of mutants, batch by batch; on the CPU.

        ``make`` may be called several times for the same jobs, when memory is short.
        """
        run = self.run
        out = torch.empty((jobs, len(self.measured.scale)), dtype=run.dtype)
        slices = self._slices(jobs, make, out)
        if run.progress:
            slices = show_progress(slices, total=jobs, label=run.progress, unit="mutants")
        for _ in slices:
            pass
        return out

    def _slices(self, jobs: int, make: Make, out: Tensor) -> Iterator[None]:
        """Fill ``out``; yields once per mutant, for the progress."""
        start, size = 0, self.run.size
        while start < jobs:
            # Windows are small: more of them at once keeps a processor busy.
            windows = self._tape is not None and not size.fixed
            stop = min(start + (max(size.pairs, ROWS) if windows else size.pairs), jobs)
            example, first, codes = make(slice(start, stop))
            try:
                size.begin()
                found = self._compute(example, first, codes, jobs)
                size.end(stop - start)
            except (RuntimeError, MemoryError) as error:
                self.run.retry(error)
                continue
            if not bool(torch.isfinite(found).all()):
                bad = int((~torch.isfinite(found)).any(0).nonzero()[0])
                raise ModelError(
                    f"a mutant of example {int(example[bad]) + self.rows.start} with columns "
                    f"[{int(first[bad])}, {int(first[bad]) + codes.shape[1]}) replaced gives a value that is "
                    "not finite; what to do: check the weights and the model on unknown bases"
                )
            out[start:stop] = found.T.to("cpu", out.dtype)
            yield from [None] * (stop - start)
            start = stop

    @torch.no_grad()
    def _compute(self, example: Tensor, first: Tensor, codes: Tensor, jobs: int) -> Tensor:
        """Effects (K, M) of one batch."""
        width = codes.shape[1]
        part = one_hot(codes).to(self.x.device, self.x.dtype)
        if self._tape is None or 2 * width > self.x.shape[2] or jobs < WORTHWHILE:
            return self._whole(example, first, part)
        if width not in self._agreed:
            few = torch.linspace(0, len(example) - 1, 2).long()
            if (
                reason := self._disagreement(example[few], first[few], part[few.to(part.device)])
            ) is not None:
                get_logger(__name__).warning("whole sequences are computed for every mutant (%s)", reason)
                self.run.notes["mutants"] = f"whole sequences: {reason}"
                self._tape = None
                return self._whole(example, first, part)
            self._agreed.add(width)
        found = self._windows(example, first, part)
        return finite_or_whole(
            found, lambda rows: self._whole(example[rows.cpu()], first[rows.cpu()], part[rows])
        )

    def _whole(self, example: Tensor, first: Tensor, part: Tensor) -> Tensor:
        """Effects from whole sequences."""
        m = len(example)
        index = torch.arange(max(m, 2)) % m  # models that squeeze need two rows
        example, first, part = example[index], first[index], part[index.to(part.device)]
        where = example.to(self.x.device)
        mutants = self.x[where]
        columns = first[:, None] + torch.arange(part.shape[2])
        columns = columns[:, None].expand(-1, 4, -1).to(self.x.device)
        mutants.scatter_(2, columns, part)
        output = self.run.prepared.model(mutants, *(item[where] for item in self.extra))
        return self.measured.effects(output, where)[:, :m]

    def _windows(self, example: Tensor, first: Tensor, part: Tensor) -> Tensor:
        """Effects from the columns that can change."""
        assert self._tape is not None
        m = len(example)
        index = torch.arange(max(m, 2)) % m  # a batch axis of one looks like a constant
        where, part = example[index].to(self.x.device), part[index.to(part.device)]
        self._tape.begin(where)
        mutants = MutantColumns(
            self.x,
            Lazy(lambda: part),
            first[index].numpy().astype(np.int64),
            part.shape[2],
            2,
            self._tape,
        )
        output = self.run.prepared.model(mutants, *(item[where] for item in self.extra))
        self._tape.end()
        return self.measured.effects(output, where)[:, :m]

    def _disagreement(self, example: Tensor, first: Tensor, part: Tensor) -> str | None:
        """Why windows cannot be used, from both paths on a few mutants; None where they agree."""
        expected = self._whole(example, first, part)
        try:
            found = self._windows(example, first, part)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        scale = torch.maximum(self.measured.scale, expected.abs().amax(1)).unsqueeze(1)
        if bool(((found - expected).abs() <= TOLERANCE * torch.finfo(found.dtype).eps * scale).all()):
            return None
        return f"windows differ by {float(((found - expected).abs() / scale).max()):.1e} of the scale"


def to_codes(x: Tensor) -> Tensor:
    """Codes (…, L) uint8 of one-hot columns (…, 4, L): A C G T 0 to 3, unknown 4."""
    values, codes = x.max(-2)
    return codes.to(torch.uint8).masked_fill_(values == 0, UNKNOWN)


def one_hot(codes: Tensor) -> Tensor:
    """One-hot uint8 (…, 4, L) of codes (…, L)."""
    channels = torch.arange(4, dtype=torch.uint8, device=codes.device)
    return (codes.unsqueeze(-2) == channels.unsqueeze(1)).to(torch.uint8)


def columns_of(codes: Tensor, example: Tensor, first: Tensor, width: int) -> Tensor:
    """Columns ``[first, first + width)`` of examples, (M, width); a new tensor."""
    return codes[example[:, None], first[:, None] + torch.arange(width)]


def none_of(run: MutantRun, *shape: int) -> Tensor:
    """Values of no examples, (0, …, K)."""
    return torch.zeros((0, *shape, run.outputs), dtype=run.dtype)


def shaped(values: Tensor, single: bool) -> Tensor:
    """``values`` (…, T), without the last axis where one target was given, not a list."""
    return values.squeeze(-1) if single else values
