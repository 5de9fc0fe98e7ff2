"""What every job of the workflow does first: its log, and caches on the node's own disk.

Imported before anything heavy, so that an import error ends up in the log too.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from cislex.errors import CislexError, StorageError
from cislex.logs import last_words, redirect
from cislex.scratch import full_disk_named, private_folder, user_folder

#: When this job began, in seconds since 1970; its process began a little earlier.
_BEGAN = time.time()
#: Seconds before a job's limit at which it stops by itself, and the share of the limit, whichever is more.
MARGIN_SECONDS, MARGIN_SHARE = 45.0, 0.05
#: glibc returns freed memory to the system at once by default, and page faults then dominate small batches.
#: Programs that a job starts read this; for itself a job calls ``keep_freed_memory``.
MEMORY = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(2**32))


def begin(log: str | Path, *, threads: int = 1) -> None:
    """Start a job: output and errors go to its log, caches to this node, numba gets its threads.

    Parameters
    ----------
    log
        Log file of the job.
    threads
        Threads that the rule was given.
    """
    sys.excepthook = tell
    with full_disk_named(log):
        redirect(log)
    os.environ.update({**MEMORY, **os.environ, **local_caches(threads)})


def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an uncaught error: its message alone where cislex raised it on purpose.

    Where it has a cause, such as an error in the user's own model, the traceback says where that is; what
    the system says of a file is in the message.
    """
    alone = error.__cause__ is None or isinstance(error, StorageError)
    if isinstance(error, CislexError) and alone:
        last_words(f"{kind.__name__}: {error}\n")
    else:
        last_words("".join(traceback.format_exception(kind, error, trace)))


def started_at() -> float:
    """When this job began, in seconds since 1970."""
    return _BEGAN


def local_caches(threads: int = 1) -> dict[str, str]:
    """Environment variables for what numba and matplotlib compile and keep; they read them on import.

    The folder lies on this machine and only this user can write it: a shared one would be slow over a
    network, and would run what others left there. Nothing is kept in the home folder, which may not be
    writable on a compute node. Variables that are set already are left as they are.

    Parameters
    ----------
    threads
        Threads of numba's parallel loops.

    Returns
    -------
    dict[str, str]
        ``NUMBA_CACHE_DIR``, ``NUMBA_NUM_THREADS``, ``MPLCONFIGDIR``.
    """
    folder = user_folder("cislex-cache") or private_folder("cache")
    return {
        "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", str(folder / "numba")),
        "NUMBA_NUM_THREADS": str(threads),
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(folder / "matplotlib")),
    }


def deadline(runtime: float, environment: Mapping[str, str] | None = None) -> float | None:
    """When a job must have stopped by itself, or None where no batch system would stop it.

    Parameters
    ----------
    runtime
        Minutes that the rule asks for; the limit where the batch system does not tell its own.
    environment
        Environment variables; by default those of this process.

    Returns
    -------
    float or None
        Seconds since 1970, with a margin to write what is finished.
    """
    environment = os.environ if environment is None else environment
    if "SLURM_JOB_ID" not in environment:
        return None
    end = float(environment.get("SLURM_JOB_END_TIME") or _BEGAN + 60 * runtime)
    return end - max(MARGIN_SECONDS, MARGIN_SHARE * (end - _BEGAN))
