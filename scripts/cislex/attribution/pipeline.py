"""From sequences to results, batch by batch: references ahead, computation, results one batch behind.

On a GPU nothing in here waits for the device but the hand-out of finished results: references of the next
batches are made by threads meanwhile, inputs and results travel by themselves (``transfers``), and the
finiteness of results is checked on the host, once they are there. On the CPU the same steps run in turn.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.attribution.deeplift.audit import Scrutiny
from cislex.attribution.execution.batching import BatchSize, join, pieces
from cislex.attribution.execution.model_context import PreparedModel, tf32_notice
from cislex.attribution.execution.segments import choose_segments, segmented
from cislex.attribution.execution.strands import average, reverse_complement, turn_extra, turn_method
from cislex.attribution.execution.transfers import DeviceTransfer, PendingResults
from cislex.attribution.genomic_references import GenomicWindows
from cislex.attribution.methods import (
    ISM,
    TISM,
    DeepLiftShap,
    ExpectedGradients,
    IntegratedGradients,
    Method,
    Saliency,
)
from cislex.attribution.references import (
    DinucleotideShuffle,
    FixedReferences,
    Shuffle,
    make_references,
    number_of,
)
from cislex.attribution.result import Attribution, BatchResult
from cislex.attribution.saved_references import SavedReferences
from cislex.attribution.validation import check_finite, check_shape
from cislex.logs import get_logger
from cislex.targets import Target

#: The module whose ``batch_multipliers`` carries out a method; imported when it is needed.
EXECUTORS: dict[type, str] = {
    Saliency: "gradients.gradients",
    TISM: "gradients.gradients",
    IntegratedGradients: "gradients.integrated",
    ExpectedGradients: "gradients.integrated",
    ISM: "mutagenesis.ism",
    DeepLiftShap: "deeplift.deeplift",
}
#: Batches whose references are made ahead, and threads that make them, on a GPU.
AHEAD, THREADS = 3, 4


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Everything that has one row per sequence."""

    sequences: Tensor  # (N, 4, L) uint8
    seeds: NDArray[np.int64] | None
    extra: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.sequences)


@dataclasses.dataclass(frozen=True)
class _Batch:
    """One batch on the host, ready to leave."""

    rows: slice
    x: Tensor
    refs: Tensor
    extra: list[Tensor]


@dataclasses.dataclass
class Run:
    """State shared by all batches, and findings of the first ones."""

    prepared: PreparedModel
    method: Method
    targets: list[Target]
    keep_global: bool
    reverse_complement: bool
    size: BatchSize
    transfer: DeviceTransfer
    #: Whether examples are repeated for each reference (models that mix rows with other axes).
    repeat: bool = False
    checked: bool = False
    #: Whether the spread of contributions over references is asked for.
    spread: bool = False
    #: Whether attributions that do not sum up are accepted.
    allow_incomplete: bool = False
    #: Whether activations are computed again in the backward, and of which modules, once these are chosen.
    #: (None: where one pair is too much for the memory).
    checkpoint: bool | None = None
    segments: list[torch.nn.Module] | None = None
    #: Called with the references (R, 4, L) of the first example once its batch is there, to see that values
    #: do not depend on the batch.
    confirm: Callable[[Tensor], None] | None = None
    #: What the first batch has shown.
    findings: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.size.last_resort = self.save_memory

    def results(self, inputs: Inputs) -> Iterator[tuple[slice, list[Attribution]]]:
        """Batches in order; on a GPU each is handed out when the next one has been queued."""
        waiting: deque[tuple[slice, PendingResults, dict[str, str]]] = deque()
        for batch in self._batches(inputs):
            waiting.append((batch.rows, *self._compute(batch)))
            if len(waiting) > (1 if self.transfer.asynchronous else 0):
                yield self._finish(inputs, *waiting.popleft())
        while waiting:
            yield self._finish(inputs, *waiting.popleft())

    def _batches(self, inputs: Inputs) -> Iterator[_Batch]:
        """Batches of the present size; references of the next ones are made while one is computed."""
        if not self.transfer.asynchronous:
            yield from self._in_turn(inputs)
            return
        references = number_of(self.method.references, inputs.sequences)
        # Functions of the user's may not like threads; our own are made for them.
        ours = isinstance(
            self.method.references, DinucleotideShuffle | Shuffle | GenomicWindows | SavedReferences
        )
        workers = min(THREADS, len(os.sched_getaffinity(0))) if ours else 1
        pool = ThreadPoolExecutor(workers)
        made: deque[Future[_Batch]] = deque()
        start = 0

        def ahead() -> None:
            nonlocal start
            while start < len(inputs) and len(made) < (AHEAD if ours else 1):
                rows = slice(start, min(start + self.size.examples(references), len(inputs)))
                made.append(pool.submit(self._make, inputs, rows))
                start = rows.stop

        try:
            ahead()
            while made:
                batch = made.popleft().result()
                ahead()
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)

    def _in_turn(self, inputs: Inputs) -> Iterator[_Batch]:
        """Batches made one by one, on the CPU: torch in a second thread would fight for the cores."""
        references = number_of(self.method.references, inputs.sequences)
        start = 0
        while start < len(inputs):
            rows = slice(start, min(start + self.size.examples(references), len(inputs)))
            yield self._make(inputs, rows)
            start = rows.stop

    def _make(self, inputs: Inputs, rows: slice) -> _Batch:
        """References of some rows; on a GPU in a thread."""
        chosen = self.method.references
        chosen = chosen.rows(rows) if isinstance(chosen, FixedReferences) else chosen
        x = inputs.sequences[rows]
        seeds = None if inputs.seeds is None else inputs.seeds[rows]
        # On a GPU several batches are in the making at once, each with one thread.
        refs = make_references(chosen, x, seeds, threads=1 if self.transfer.asynchronous else None)
        pin = self.transfer.pin
        return _Batch(rows, pin(x), pin(refs), [pin(item[rows]) for item in inputs.extra])

    def _compute(self, batch: _Batch) -> tuple[PendingResults, dict[str, str]]:
        """One batch, in as many pieces as memory asks for; its results are on their way home."""
        with self.prepared.active():
            result = join(pieces(self._both_strands, batch.x, batch.refs, batch.extra, self.size))
            for target, values in zip(self.targets, result.prediction, strict=True):
                check_shape(values, len(batch.x), target)
            out = torch.float64 if self.prepared.dtype == torch.float64 else torch.float32
            pending = self.transfer.to_host(
                {
                    "multipliers": (result.multipliers, out),
                    "baseline": (result.baseline, out),
                    "prediction": (result.prediction, out),
                    "reference_prediction": (result.reference_prediction, out),
                    "delta": (result.delta, torch.float64),
                    "products": (result.products if self.keep_global else None, out),
                    "reference_spread": (result.reference_spread, out),
                }
            )
        return pending, {**self.notes(), **result.notes, **self.size.notes}

    def _segments(self, x: Tensor, extra: Sequence[Tensor]) -> list[torch.nn.Module]:
        """The modules whose activations are computed again; chosen with the first example."""
        if self.segments is None:
            self.segments = []
            if self.checkpoint and not isinstance(self.method, ISM):
                self.segments = choose_segments(
                    self.prepared.model, x[:1], [item[:1] for item in extra], self.targets
                )
                count = len(self.segments)
                self.findings["checkpoint"] = f"activations of {count} modules computed again"
        return self.segments

    def save_memory(self) -> bool:
        """Begin to compute activations again, where the method allows it and that was not done before."""
        reveals = isinstance(self.method, DeepLiftShap) and self.method.rule != "rescale"
        if self.checkpoint is not None or reveals or isinstance(self.method, ISM):
            return False
        self.checkpoint, self.segments = True, None
        get_logger(__name__).warning("out of memory with a single pair: activations are computed again")
        return True

    def notes(self) -> dict[str, str]:
        """What is known without a result."""
        notes = {"precision": self.prepared.precision, **self.findings}
        if self.reverse_complement:
            notes["strands"] = "average of both"
        if self.prepared.dtype == torch.bfloat16 and isinstance(self.method, ISM):
            notes["rounding"] = "differences of bfloat16 predictions: below 0.4 % of f(x) they are noise"
        return notes

    def _finish(
        self, inputs: Inputs, rows: slice, pending: PendingResults, notes: dict[str, str]
    ) -> tuple[slice, list[Attribution]]:
        """Results that have arrived, checked."""
        values = pending.wait()
        results = []
        for t, target in enumerate(self.targets):
            own = {name: None if value is None else value[t] for name, value in values.items()}
            check_finite(own, target, rows.start)
            results.append(Attribution(sequences=inputs.sequences[rows], notes=notes, **own))  # type: ignore[arg-type]
        return rows, results

    def _both_strands(self, x: Tensor, refs: Tensor, extra: list[Tensor], rows: int) -> BatchResult:
        """One piece, on one strand or as the average of both."""
        dtype, out = self.prepared.dtype, self.transfer.to_device
        ready = [out(x, dtype), out(refs, dtype)]
        moved = [out(item, dtype if item.is_floating_point() else None) for item in extra]
        with segmented(self._segments(ready[0], moved)):
            forward = self._strand(ready[0], ready[1], self.method, moved, rows, self.targets)
            if not self.reverse_complement:
                return forward
            length = x.shape[-1]
            turned = [turn_extra(item, length) for item in moved]
            others = [reverse_complement(item) for item in ready]
            method = turn_method(self.method, length)
            reads = [target.turned() for target in self.targets]
            return average(forward, self._strand(others[0], others[1], method, turned, rows, reads))

    def _strand(
        self,
        x: Tensor,
        refs: Tensor,
        method: Method,
        extra: list[Tensor],
        rows: int,
        targets: Sequence[Target],
    ) -> BatchResult:
        arguments = (self.prepared.model, x, refs, targets, method, extra)
        spread = {"spread": True} if self.spread else {}
        if not isinstance(method, DeepLiftShap):
            return executor(method)(*arguments, rows=rows, **spread)
        if self.checked:
            return executor(method)(*arguments, rows=rows, repeat=self.repeat, **spread)
        scrutiny = Scrutiny(self.allow_incomplete)
        result = executor(method)(*arguments, rows=rows, repeat=self.repeat, scrutiny=scrutiny, **spread)
        if self.confirm is not None:
            self.confirm(refs[0])
        cases = importlib.import_module("cislex.attribution.deeplift.cases")
        selfcheck = importlib.import_module("cislex.attribution.deeplift.selfcheck")
        completeness = importlib.import_module("cislex.attribution.deeplift.completeness")
        case = cases.Case(*arguments, rows=rows, repeat=self.repeat, **spread)
        if selfcheck.check_first(case, result):
            self.repeat = True
            case = dataclasses.replace(case, repeat=True)
            result = case.attribute()
        self.findings |= completeness.judge(case, result, scrutiny)
        self.checked = True
        return result


def executor(method: Method) -> Callable[..., BatchResult]:
    """The function that carries out a method on one batch."""
    return importlib.import_module(f"cislex.attribution.{EXECUTORS[type(method)]}").batch_multipliers


def advise(run: Run, inputs: Inputs) -> None:
    """Warn the user before a long computation."""
    logger = get_logger(__name__)
    if "rounding" in run.notes():
        logger.warning(
            "ISM in bfloat16: %s; choose precision float32, or tf32 on a GPU", run.notes()["rounding"]
        )
    notice = tf32_notice(run.prepared, inputs.sequences, inputs.extra, pairs=pairs_of(run.method, inputs))
    if notice:
        logger.info(notice)


def pairs_of(method: Method, inputs: Inputs) -> int:
    """Approximate number of rows that the whole computation sends through the model."""
    per_example: dict[type, int] = {
        Saliency: 1,
        TISM: 1,
        ISM: 3 * inputs.sequences.shape[-1],
        IntegratedGradients: getattr(method, "steps", 1),
    }
    references = number_of(method.references, inputs.sequences)
    return len(inputs) * references * per_example.get(type(method), 1)
