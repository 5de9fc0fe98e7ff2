"""Values of targets for many sequences, in batches that fit into memory; errors name the sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cislex.attribution.execution.batching import BatchSize, is_out_of_memory
from cislex.attribution.execution.model_context import PreparedModel
from cislex.attribution.gradients.gradients import checked
from cislex.errors import CislexError, ModelError, message_of
from cislex.sequences.store import to_one_hot
from cislex.targets import Target, read_target

#: Bases in one batch when no batch size is given; at most 1,024 sequences.
BATCH_BASES = 1 << 18

Values = NDArray[np.float64]


def batch_rows(length: int) -> int:
    """Sequences of a length in bp in one batch, where no batch size is given."""
    return max(1, min(1024, BATCH_BASES // max(1, length)))


def in_batches(
    compute: Callable[[slice], Values],
    n: int,
    size: BatchSize,
    name: Callable[[int], str],
    *,
    sequences: int = 1,
) -> Iterator[tuple[slice, Values]]:
    """Compute n items batch by batch; batches are halved where memory is short.

    Parameters
    ----------
    compute
        Runs the model on a slice of the items.
    n
        Number of items.
    size
        Sequences at once; shared by calls, so that memory runs short once.
    name
        What an item is called in messages.
    sequences
        Sequences that one item takes.

    Raises
    ------
    ModelError
        The model failed; names the first item of the batch.
    """
    start = 0
    while start < n:
        chosen = slice(start, min(start + max(1, size.pairs // sequences), n))
        try:
            found = compute(chosen)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise _failed(name(start), error) from error
            size.halve(error.with_traceback(None))
            if size.device.type == "cuda":
                torch.cuda.empty_cache()
            continue
        except CislexError:
            raise
        except (Exception, SystemExit) as error:
            raise _failed(name(start), error) from error
        yield chosen, found
        start = chosen.stop


def _failed(name: str, error: BaseException) -> ModelError:
    return ModelError(f"the model failed in the batch that begins with {name}: {message_of(error)}")


def outputs_of(prepared: PreparedModel, codes: NDArray[np.uint8], *, both_strands: bool) -> Iterator[Any]:
    """The model's outputs for sequences of codes (n, L): of the strand given, then of the other one."""
    x = torch.from_numpy(to_one_hot(codes)).to(prepared.device).to(prepared.dtype)
    for strand in [x, x.flip(1, 2)] if both_strands else [x]:
        with torch.no_grad():
            output = prepared.model(strand)
        yield output


def strand_targets(targets: Iterable[Target]) -> tuple[list[Target], list[Target]]:
    """What is read from the outputs of ``outputs_of``: of the strand given, then of the other one."""
    given = list(targets)
    return given, [target.turned() for target in given]


def target_values(
    prepared: PreparedModel, targets: Sequence[Target], codes: NDArray[np.uint8], *, both_strands: bool
) -> Values:
    """Values of T targets for sequences of codes (n, L), means over the strands: float64 (T, n)."""
    found = []
    outputs = outputs_of(prepared, codes, both_strands=both_strands)
    for reads, output in zip(strand_targets(targets), outputs, strict=False):
        with torch.no_grad():
            values = [checked(read_target(target, output), len(codes)).double() for target in reads]
        found.append(torch.stack(values).cpu().numpy())
    return np.asarray(np.mean(found, axis=0))
