"""Set-up of every job of the workflow: its log, and caches on the node's own disk.

Imported before anything heavy, so that an import error ends up in the log too.
"""

from __future__ import annotations

import errno
import faulthandler
import os
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from cislex.errors import CislexError, StorageError
from cislex.files.scratch import (
    REFUSED,
    private_folder,
    refusal_in,
    temporary_root,
    user_folder,
    write_errors_named,
)
from cislex.logs import last_words, redirect

#: When this job began, in seconds since 1970; its process began a little earlier.
_BEGAN = time.time()
#: Seconds before a job's limit at which it stops by itself, and the share of the limit, whichever is more.
MARGIN_SECONDS, MARGIN_SHARE = 45.0, 0.05
#: Seconds by which clocks of nodes differ without a fault.
CLOCK_SECONDS = 60.0
#: glibc returns freed memory to the system at once by default, and page faults then dominate small batches.
#: Programs that a job starts read this; for itself a job calls ``keep_freed_memory``.
MEMORY = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(2**32))
#: Turns for which PyTorch's idle threads (libgomp's) wait before they sleep. By default they wait for
#: milliseconds, on the cores of the threads of our own loops, which then take up to twice as long.
THREADS = {"GOMP_SPINCOUNT": "10000"}


def begin(log: str | Path, *, threads: int = 1) -> None:
    """Start a job: output and errors go to its log, caches to this node, numba gets its threads.

    Parameters
    ----------
    log
        Log file of the job.
    threads
        Threads that the rule was given.
    """
    sys.excepthook = tell  # first: a log that cannot be written is told in the same way
    with write_errors_named(log):
        redirect(log)
    faulthandler.enable()  # where compiled code crashes, as HDF5's does for damaged files, the log says where
    os.environ.update({**MEMORY, **THREADS, **os.environ, **local_caches(threads)})


#: What to do about errors of the system that carry a file's name.
_ADVICE = {
    errno.EIO: "disk or network error: copy the file elsewhere and tell the administrator",
    errno.EFBIG: "the file is too large for ulimit -f or the file system: write elsewhere",
    errno.ENOSPC: "the disk is full: free some space and run again",
    errno.EDQUOT: "your quota is exceeded: free some space and run again",
    errno.ESTALE: "the network file system lost it: run again",
    errno.EROFS: "the folder is read-only here: choose another",
    errno.EACCES: "you have no permission: change it, or choose another folder",
    errno.EPERM: "you have no permission: change it, or choose another folder",
    errno.EMFILE: "too many files are open: raise ulimit -n",
    errno.ENOTDIR: "a part of the path is a file: choose another folder",
    errno.ENAMETOOLONG: "the name is too long for this file system: choose a shorter one",
}


def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an uncaught error: its message alone where it was foreseen, else with its traceback.

    Foreseen are errors that cislex raises on purpose, with a line on their cause and where in the user's own
    code it is, what the system says of a file, and too little memory.
    """
    text = None
    refusal = refusal_in(error)
    if refusal is not None and not isinstance(
        error, CislexError if refusal.errno in REFUSED else StorageError
    ):
        text = f"{StorageError.__name__}: {_refused(refusal)}"
    elif isinstance(error, CislexError):
        text = f"{kind.__name__}: {error}{_cause(error)}"
    elif isinstance(error, OSError) and error.errno in _ADVICE and error.filename is not None:
        text = f"{kind.__name__}: {error.filename}: {error.strerror}; {_ADVICE[error.errno]}"
    elif _lacks_memory(error):
        what = next(iter(str(error).splitlines()), "out of memory")
        text = (
            f"{MemoryError.__name__}: {what}; give the job more memory (mem_mb of its rule in the profile; "
            "where it is that of a GPU, another GPU or device: cpu), or make its chunks or batches "
            f"smaller{_place(trace)}"
        )
    if text is None:
        text = "".join(traceback.format_exception(kind, error, trace)).rstrip("\n")
    last_words(f"{text}\n")


def _lacks_memory(error: BaseException) -> bool:
    """Whether the system or the device refused memory, to Python or to PyTorch."""
    words = ("can't allocate memory", "can't start new thread")  # a thread needs memory for its stack
    of_torch = type(error).__name__ == "OutOfMemoryError" or any(word in str(error) for word in words)
    return isinstance(error, MemoryError) or of_torch


def _refused(refusal: OSError) -> str:
    """What a full or broken disk refused to a library: most often a cache of compiled code."""
    if refusal.filename is not None:
        return f"{refusal.filename}: {refusal.strerror}; {_ADVICE[refusal.errno or errno.ENOSPC]}"
    frames = traceback.extract_tb(refusal.__traceback__)[-1:]
    place = "".join(f" ({frame.filename}:{frame.lineno})" for frame in frames)
    if refusal.errno in REFUSED:
        what, then = REFUSED[refusal.errno]
        return f"{what}, perhaps that of temporary files (TMPDIR is {_temporary()}){place}: {then}"
    return (
        f"disk full or quota hit while writing temporary files or caches{place}: {refusal.strerror}; "
        f"TMPDIR is {_temporary()}: free some space, or set TMPDIR to a folder with more, and run again"
    )


def _temporary() -> str:
    try:
        return str(temporary_root())
    except StorageError:
        return "full, too"


def _cause(error: BaseException) -> str:
    """The cause of an error, and where in the user's code it is, where the message does not say it all."""
    cause = error.__cause__
    if cause is None or isinstance(error, StorageError):
        return ""
    where = _place(cause.__traceback__)
    if not where and str(cause) in str(error):
        return ""
    return f"\ncaused by {type(cause).__name__}: {next(iter(str(cause).splitlines()), '')}{where}"


def _place(trace: TracebackType | None) -> str:
    """Where a traceback last was in code that is neither this package's nor installed."""
    own = str(Path(__file__).parents[2])  # with the scripts, of which Snakemake runs copies
    installed = ("site-packages", "dist-packages", "<frozen", "/lib/python", "/.snakemake/scripts/")
    frames = [
        frame
        for frame in traceback.extract_tb(trace)
        if not frame.filename.startswith(own)
        and not any(part in frame.filename for part in installed)
        and Path(frame.filename).is_file()  # unlike the sources of compiled code
    ]
    if not frames:
        return ""
    last = frames[-1]
    return f", at {last.filename}:{last.lineno} in {last.name}: {last.line or ''}".rstrip(": ")


def started_at() -> float:
    """When this job began, in seconds since 1970."""
    return _BEGAN


def local_caches(threads: int = 1) -> dict[str, str]:
    """Environment variables for what numba, matplotlib and PyTorch compile and keep, read on import.

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
        ``NUMBA_CACHE_DIR``, ``NUMBA_NUM_THREADS``, ``MPLCONFIGDIR``, ``TORCHINDUCTOR_CACHE_DIR``.
    """
    folder = user_folder("cislex-cache") or private_folder("cache")
    return {
        "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", str(folder / "numba")),
        "NUMBA_NUM_THREADS": str(threads),
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(folder / "matplotlib")),
        "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR", str(folder / "inductor")),
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
    start = float(environment.get("SLURM_JOB_START_TIME") or end - 60 * runtime)
    # No job begins after its end, or has more time than it was given: then this node's clock is not the
    # controller's.
    longest = max(end - start, 0.0) if "SLURM_JOB_START_TIME" in environment else float("inf")
    if not 0 < end - _BEGAN <= longest + CLOCK_SECONDS:
        end = _BEGAN + (end - start if end > start else 60 * runtime)
    return end - max(MARGIN_SECONDS, MARGIN_SHARE * (end - _BEGAN))
