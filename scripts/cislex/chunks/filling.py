"""Put finished batches into a checkpoint, and stop before the job's time limit."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from cislex.errors import DeadlineError
from cislex.files.checkpoint import Checkpoint
from cislex.logs import progress

#: Rows of a batch, its arrays, and its notes.
Batch = tuple[int, Mapping[str, NDArray[Any]], Mapping[str, Any]]


def fill_checkpoint(
    log: Checkpoint,
    batches: Iterable[Batch],
    n: int,
    *,
    label: str,
    unit: str = "regions",
    deadline: float | None = None,
) -> None:
    """Append batches as they come.

    Parameters
    ----------
    log
        Continued after the rows that it has.
    batches
        What is still missing, in order.
    n
        Rows in all.
    label, unit
        For the progress and the message: what is done, and with what.
    deadline
        Seconds since 1970; None: no limit.

    Raises
    ------
    DeadlineError
        The next batch could come too late; what is finished is kept.
    """
    slowest, before = 0.0, time.monotonic()
    shown = progress(batches, total=n - log.rows, label=label, unit=unit, weight=lambda batch: batch[0])
    for rows, arrays, notes in shown:
        log.append(log.rows + rows, arrays, notes)
        now = time.monotonic()
        slowest, before = max(slowest, now - before), now
        if deadline is not None and log.rows < n and time.time() + slowest > deadline:
            raise DeadlineError(
                f"stopped before the job's time limit: {log.rows} of {n} {unit} are finished and saved in "
                f"{log.path}; the next attempt resumes from there (request more time or more chunks if this "
                "happens often)"
            )
