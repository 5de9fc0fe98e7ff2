"""Logging and progress for jobs that run unattended."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

#: Seconds between progress lines when the output is not a terminal.
PLAIN_INTERVAL = 10.0
#: Where standard error went before ``redirect``: the terminal of the run, or the log of a cluster's job.
_outside: int | None = None
#: The log of this job, once ``redirect`` was called.
_log: Path | None = None


def redirect(path: str | Path) -> None:
    """Send this process's standard output and error, children included, to a log file.

    Called before heavy imports, so that an import error or a crash in compiled code is logged too.
    """
    global _outside, _log
    _log = Path(path)
    _log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    if _outside is None:
        _outside = os.dup(2)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def beside_log(suffix: str) -> Path | None:
    """Path of a file beside the job's log, with its name and another suffix; None outside of a job."""
    return None if _log is None else _log.with_name(_log.stem + suffix)


def last_words(text: str) -> None:
    """Write to standard error; where the log's disk is full, to the run's own standard error instead."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        if _outside is not None:
            os.write(_outside, text.encode())


def announce(logger: logging.Logger, level: int, text: str) -> None:
    """Log a line, and after ``redirect`` show it on the run's own standard error as well.

    For the few things that a user should see while the run goes on, and not only in the log of a job.
    """
    logger.log(level, "%s", text)
    if _outside is not None:
        os.write(_outside, f"{logging.getLevelName(level)}: {text}\n".encode())


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module; the first call configures plain lines on standard error."""
    root = logging.getLogger("cislex")
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = True
    return logging.getLogger(name if name.startswith("cislex") else f"cislex.{name}")


def progress(
    items: Iterable[Item],
    *,
    total: int,
    label: str,
    unit: str = "regions",
    weight: int | Callable[[Item], int] = 1,
) -> Iterator[Item]:
    """Yield the items and show progress, rate and time left.

    A bar on a terminal; elsewhere one plain line every ten seconds.

    Parameters
    ----------
    items
        What to iterate over.
    total
        Units in all (items × weight).
    label
        What is being done.
    unit
        What is counted.
    weight
        Units that one item stands for, or a function of the item; the last item may stand for fewer.
    """
    units = weight if callable(weight) else lambda _: weight
    if sys.stderr.isatty():
        with tqdm(total=total, desc=label, unit=f" {unit}") as bar:
            for item in items:
                yield item
                bar.update(min(units(item), total - bar.n))
        return
    logger = get_logger("cislex.progress")
    started = last_line = time.monotonic()
    done = 0
    for item in items:
        yield item
        done = min(done + units(item), total)
        now = time.monotonic()
        if now - last_line >= PLAIN_INTERVAL and done:
            rate = done / (now - started)
            left = (total - done) / rate
            logger.info(f"{label}: {done:,} of {total:,} {unit}, {rate:,.1f}/s, {left:,.0f} s left")
            last_line = now
