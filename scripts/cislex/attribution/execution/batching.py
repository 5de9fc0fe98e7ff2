"""Batch size in pairs: chosen from memory, halved when memory is short, never fatal above one pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cislex.attribution.notes import merge_notes
from cislex.attribution.result import BatchResult
from cislex.errors import ModelError
from cislex.logs import get_logger

#: Fewest pairs at once on a CPU: activations of a few rows stay in cache, large batches drown in page faults.
CPU_PAIRS = 10
#: Bases of the pairs at once on a CPU, and the most of them: short sequences wait for Python otherwise.
CPU_BASES, MOST_CPU_PAIRS = 50_000, 160
#: Pairs of the first batch on a GPU, from whose memory the size of the others follows.
FIRST_GPU_PAIRS = 64
#: Most pairs at once on a GPU; beyond it nothing is gained.
MOST_GPU_PAIRS = 4096
#: Fraction of the free memory of a GPU that is used.
SHARE = 0.7


def pairs_of(device: torch.device, length: int) -> int:
    """Pairs of sequences of a length in bp in the first batch, where no batch size is given."""
    if device.type != "cpu":
        return FIRST_GPU_PAIRS
    return max(CPU_PAIRS, min(MOST_CPU_PAIRS, CPU_BASES // length))


class BatchSize:
    """The number of pairs at once, updated after every batch; ``length``: of the sequences in bp."""

    def __init__(self, device: torch.device, pairs: int | None, length: int) -> None:
        self.device = device
        self.fixed = pairs is not None
        self.pairs = pairs_of(device, length) if pairs is None else pairs
        self.notes: dict[str, str] = {}
        #: Saves memory in another way where one pair is too much; whether there was such a way.
        self.last_resort: Callable[[], bool] | None = None
        self._measured = False
        self._before = 0

    def examples(self, references: int) -> int:
        """Examples of a batch."""
        return max(1, self.pairs // references)

    def begin(self) -> None:
        """Start measuring the memory of a batch."""
        if self.device.type == "cuda" and not self._measured and not self.fixed:
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)

    def end(self, pairs: int) -> None:
        """Choose the size of further batches from the memory that this one took."""
        if self.device.type != "cuda" or self._measured or self.fixed:
            return
        self._measured = True
        used = torch.cuda.max_memory_allocated(self.device) - self._before
        free, _ = torch.cuda.mem_get_info(self.device)
        cached = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        per_pair = max(1, used // max(1, pairs))
        self.pairs = int(max(1, min(MOST_GPU_PAIRS, SHARE * (free + cached) / per_pair)))

    def halve(self, error: BaseException) -> None:
        """Halve the batch size; at one pair keep less of it, or give up."""
        if self.pairs <= 1:
            if self.last_resort is not None and self.last_resort():
                return
            raise ModelError(
                "out of memory with a single example-reference pair; what to do: use a device with more "
                "memory, or lower the precision"
            ) from error
        self.pairs //= 2
        self.fixed = True
        get_logger(__name__).warning("out of memory: batch size halved to %d pairs", self.pairs)
        self.notes["batch_size"] = f"halved to {self.pairs} pairs after running out of memory"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, on a GPU or on the CPU."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )


def pieces(
    run: Callable[[Tensor, Tensor, list[Tensor], int], BatchResult],
    x: Tensor,
    refs: Tensor,
    extra: Sequence[Tensor],
    size: BatchSize,
) -> list[BatchResult]:
    """Run a batch in pieces of the present size, which shrink when memory is short."""
    results: list[BatchResult] = []
    start = 0
    while start < len(x):
        stop = min(start + size.examples(refs.shape[1]), len(x))
        rows = slice(start, stop)
        failure = None
        try:
            size.begin()
            results.append(run(x[rows], refs[rows], [item[rows] for item in extra], size.pairs))
            size.end((stop - start) * min(refs.shape[1], size.pairs))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = error.with_traceback(None)  # its frames hold the tensors that filled the memory
        if failure is None:
            start = stop
            continue
        size.halve(failure)
        if size.device.type == "cuda":
            torch.cuda.empty_cache()
    return results


def join(results: Sequence[BatchResult]) -> BatchResult:
    """Results of consecutive examples as one."""
    if len(results) == 1:
        return results[0]

    def joined(name: str) -> Any:
        values = [getattr(result, name) for result in results]
        return None if values[0] is None else torch.cat(values, 1)

    notes = merge_notes((result.notes, result.prediction.shape[1]) for result in results)
    names = (
        "multipliers",
        "baseline",
        "prediction",
        "reference_prediction",
        "delta",
        "products",
        "reference_spread",
    )
    return BatchResult(**{name: joined(name) for name in names}, notes=notes)
