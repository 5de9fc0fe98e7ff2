"""Programs that a job starts and that end with it, also where it is killed outright.

A program that outlives its job goes on writing into folders that the next attempt has swept.
``python -m cislex.files.tied MODULE ARGUMENTS…`` runs a module so.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import cislex

#: ``PR_SET_PDEATHSIG`` of Linux's ``prctl``.
ON_PARENT_DEATH = 1
#: In the environment of a tied program: the process that it ends with.
PARENT = "CISLEX_TIED_TO"


def tied_command(module: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs a module tied to this process, in :func:`tied_environment`."""
    return [sys.executable, "-m", __name__, module, *arguments]


def tied_environment() -> dict[str, str]:
    """This process's environment, in which a tied program finds the package and its parent."""
    package = str(Path(cislex.__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([package, *([inherited] if inherited else [])])
    return {**os.environ, "PYTHONPATH": path, PARENT: str(os.getpid())}


def end_with_parent() -> None:
    """Have the system kill this process when its parent ends; outside of Linux nothing is done."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(ON_PARENT_DEATH, signal.SIGKILL)
    if os.environ.get(PARENT) not in (None, str(os.getppid())):  # it ended before
        os._exit(1)


if __name__ == "__main__":
    end_with_parent()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
