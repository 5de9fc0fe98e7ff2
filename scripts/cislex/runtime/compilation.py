"""Machine code that numba keeps on disk is compiled by one process of a machine; others wait, and read it."""

from __future__ import annotations

import fcntl
import functools
import os
import threading
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numba
from numba.core.dispatcher import Dispatcher

from cislex.errors import StorageError
from cislex.files.checkpoint import NO_LOCKS
from cislex.files.scratch import FULL, write_errors_named
from cislex.logs import get_logger

#: The lock's name in numba's cache folder. Each package has its own: its kernels call each other, not those
#: of another, and a minute of one must not hold up a second of the other.
LOCK = "compiling-{package}.lock"
ADVICE = "free some space in TMPDIR (or set NUMBA_CACHE_DIR to a folder with more) and run again"


def _locked(folder: Path, package: str) -> int:
    """Descriptor of a package's lock in numba's cache folder, which is made if it is not there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(folder / LOCK.format(package=package), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise StorageError(
            f"NUMBA_CACHE_DIR is {folder}, which cannot be written ({error.strerror}): unset it, or set it "
            "to a folder that can, and run again"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        get_logger(__name__).warning(
            "%s: the file system does not support locks (%s): processes may compile the same code",
            folder, error.strerror,
        )  # fmt: skip
    return file


class _MachineLock:
    """A package's lock of all threads and processes that share numba's cache; the system frees it at an end.

    A kernel that calls another compiles it in the middle of its own compilation, so a thread may take the
    lock again. Without a cache folder (``NUMBA_CACHE_DIR``) processes have nothing to share.
    """

    def __init__(self, package: str) -> None:
        self._package = package
        self._threads = threading.RLock()
        self._depth = 0
        self._file: int | None = None

    def __enter__(self) -> None:
        self._threads.acquire()
        self._depth += 1
        cache: str = numba.config.CACHE_DIR  # type: ignore[attr-defined]
        if self._depth == 1 and cache:
            try:
                self._file = _locked(Path(cache), self._package)
            except BaseException:
                self._depth = 0
                self._threads.release()
                raise

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self._file is not None:
            os.close(self._file)
            self._file = None
        self._threads.release()


_LOCKS: dict[str, _MachineLock] = {}


def compile_once(kernel: Any) -> Any:
    """Let a kernel be compiled, or read from numba's cache, by one process at a time.

    The first of many processes that start at once compiles and fills the cache; the others find it there.

    Parameters
    ----------
    kernel
        What ``numba.njit(cache=True)`` returned; changed in place.
    """
    compile_alone, package = kernel.compile, kernel.py_func.__module__.partition(".")[0]
    lock = _LOCKS.setdefault(package, _MachineLock(package))

    @functools.wraps(compile_alone)
    def in_turn(signature: Any) -> Any:
        with write_errors_named("compiled code", advice=ADVICE), lock:
            return compile_alone(signature)

    kernel.compile = in_turn
    return kernel


def compile_module_once(library: ModuleType, *, cache: bool = False) -> None:
    """The same for every kernel of a library's module; ``cache``: keep them on disk even if it does not."""
    for kernel in vars(library).values():
        if isinstance(kernel, Dispatcher) and not hasattr(kernel.compile, "__wrapped__"):
            if cache:
                kernel.enable_caching()
            compile_once(kernel)
