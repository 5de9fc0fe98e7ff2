"""What every job of the workflow does first: its log, and caches on the node's own disk.

Imported before anything heavy, so that an import error ends up in the log too.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cislex.logs import redirect


def begin(log: str | Path, *, threads: int = 1) -> None:
    """Start a job: output goes to its log, caches to this node, numba gets its threads.

    Parameters
    ----------
    log
        Log file of the job.
    threads
        Threads that the rule was given.
    """
    redirect(log)
    os.environ.update(local_caches(threads))


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
    folder = Path(tempfile.gettempdir()) / f"cislex-cache-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        folder = Path(tempfile.mkdtemp(prefix="cislex-cache-"))
    return {
        "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", str(folder / "numba")),
        "NUMBA_NUM_THREADS": str(threads),
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(folder / "matplotlib")),
    }
