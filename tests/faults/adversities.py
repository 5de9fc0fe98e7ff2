"""What goes wrong around a stage, brought about in the process that runs it.

Each function of ``ADVERSITIES`` is called in a fork of the process that has run the stage undisturbed, when
the job has begun and the stage has not.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import resource
import struct
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from small_disk import Trials

#: Numbers of calls of the system on x86-64, which filters name.
CALLS = {
    "read": 0, "write": 1, "fsync": 74, "fdatasync": 75, "ftruncate": 77, "rename": 82, "flock": 73,
    "pread64": 17, "pwrite64": 18, "writev": 20, "copy_file_range": 326,
}  # fmt: skip
WRITES = ("write", "pwrite64", "writev", "fsync", "fdatasync", "copy_file_range")
#: Bytes that a log has room for.
LOG = 4096
#: ``prctl`` and ``seccomp``, and what a filter says.
NO_NEW_PRIVILEGES, SECCOMP, SET_FILTER, TO_ALL_THREADS, REFUSE, ALLOW = 38, 317, 1, 1, 0x50000, 0x7FFF0000


def refuse(calls: Sequence[str], number: int, *, above: int = 2) -> None:
    """Have the system refuse calls on files with descriptors above a number, for all threads, from now on."""
    numbers = [CALLS[name] for name in calls]
    step = struct.Struct("HBBI").pack
    program = step(0x20, 0, 0, 0)  # the call's number
    program += b"".join(step(0x15, len(numbers) - at, 0, call) for at, call in enumerate(numbers))
    program += step(0x06, 0, 0, ALLOW) + step(0x20, 0, 0, 16)  # the first argument
    program += step(0x25, 0, 1, above) + step(0x06, 0, 0, REFUSE | number) + step(0x06, 0, 0, ALLOW)
    held = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))

    whole = Program(len(program) // 8, ctypes.addressof(held))
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or system.syscall(
        SECCOMP, SET_FILTER, TO_ALL_THREADS, ctypes.byref(whole)
    ):
        raise OSError(ctypes.get_errno(), "the system takes no filter of calls")


def file_size(size: int) -> None:
    """No file may be longer (RLIMIT_FSIZE)."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def handles(number: int) -> None:
    """No more files may be open at once (RLIMIT_NOFILE)."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


def memory(more: int) -> None:
    """The process may grow by so many bytes (RLIMIT_AS)."""
    pages = int(open("/proc/self/statm", encoding="ascii").read().split()[0])  # noqa: SIM115
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def input_output_error(events: int, where: str) -> None:
    """Writing fails (EIO) after so many events of files below a folder."""
    from small_disk import EVENTS

    below, left = os.fsencode(where), [events]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or not arguments or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        if os.fsencode(arguments[0]).startswith(below):
            left[0] -= 1
            if left[0] == 0:
                refuse(WRITES, errno.EIO)

    if events == 0:
        refuse(WRITES, errno.EIO)
    else:
        sys.addaudithook(hook)


def unreadable() -> None:
    """HDF5 cannot read (EIO); Python can, since it calls the system by another name."""
    refuse(("pread64",), errno.EIO)


def no_locks() -> None:
    """The file system has no locks (ENOLCK), for Python and for HDF5."""
    refuse(("flock",), errno.ENOLCK, above=0)


def clock(seconds: float) -> None:
    """This machine's clock is off."""
    import time

    right = time.time
    time.time = lambda: right() + seconds


def out_of_memory(rows: int) -> None:
    """A device that has no memory for more rows at once."""
    import torch

    def check(x: Any) -> None:
        if len(x) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB (simulated)")

    _watch_convolutions(check)


def raising(bases: str) -> None:
    """A model that fails for a sequence."""

    def meet(x: Any) -> None:
        if x.shape[1:] == (4, len(bases)) and bool((_shared(x, bases) == 1).any()):
            raise ValueError("this model does not like the sequence")

    _watch_convolutions(meet)


def not_a_number(bases: str) -> None:
    """A model that gives NaN for a sequence, by operations that can be attributed."""

    def meet(x: Any) -> Any:
        if x.shape[1:] != (4, len(bases)):
            return None
        return x + 0 * (1 - _shared(x, bases)).log()[:, None, None]

    _watch_convolutions(meet)


def _shared(x: Any, bases: str) -> Any:
    """Share of bases that each sequence has in common with one."""
    import torch

    codes = torch.tensor(["ACGT".index(base) for base in bases])
    return (x * torch.nn.functional.one_hot(codes, 4).T.to(x)).sum((1, 2)) / len(bases)


def _watch_convolutions(look: Callable[[Any], Any]) -> None:
    """Call a function with the input of every convolution; what it returns takes its place."""
    import torch

    whole = torch.nn.Conv1d.forward

    def forward(self: Any, x: Any) -> Any:
        changed = look(x)
        return whole(self, x if changed is None else changed)

    torch.nn.Conv1d.forward = forward


ADVERSITIES: dict[str, Callable[..., None]] = {
    one.__name__: one
    for one in (
        file_size, handles, memory, input_output_error, unreadable, no_locks, clock, out_of_memory, raising,
        not_a_number,
    )
}  # fmt: skip


def meeting(trials: Trials, name: str, cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The stage undisturbed, then once with each case of an adversity; what it left is rerun without."""
    trials.warm()
    trials.clear()
    found: dict[str, Any] = {"whole": trials.trial(), "trials": []}
    for case in cases:
        trials.clear()
        one = {"case": case, **trials.trial(before=functools.partial(ADVERSITIES[name], **case))}
        if one["status"]:
            one["rerun"] = trials.trial()
        found["trials"].append(one)
    return found


def failing_models(trials: Trials, row: int) -> dict[str, Any]:
    """The same with a model that raises for one region, and with one that gives NaN."""
    from cislex.sequences.store import SequenceStore

    with SequenceStore(trials.work / "sequences.h5") as store:
        bases = "".join("ACGT"[base] for base in store.read(row, row + 1)[0].argmax(0))
    found = [meeting(trials, name, [{"bases": bases}]) for name in ("raising", "not_a_number")]
    return {"whole": found[0]["whole"], "trials": [trial for one in found for trial in one["trials"]]}


def input_output_errors(trials: Trials, most: int) -> dict[str, Any]:
    """The same with writing that fails from one of so many moments on, which lie evenly in the stage."""
    trials.warm()
    trials.clear()
    _, events = trials.undisturbed()
    moments = sorted({round(events * part / most) for part in range(most)})
    where = str(trials.disk / "out")
    return meeting(trials, "input_output_error", [{"events": at, "where": where} for at in moments])


def file_sizes(trials: Trials, most: int) -> dict[str, Any]:
    """The same with so many limits below the size of the largest file."""
    trials.warm()
    trials.clear()
    trials.trial()
    largest = max(path.stat().st_size for path in (trials.disk / "out").rglob("*") if path.is_file())
    # Not so low that the log, which is a file as well, could not say why.
    limits = {LOG + max(0, largest - LOG) * part // most for part in range(most)} | {max(LOG, largest - 1)}
    limits = sorted(limits)
    return meeting(trials, "file_size", [{"size": size} for size in limits])


def read_only(trials: Trials) -> dict[str, Any]:
    """The stage with results on a file system that is mounted read-only."""
    import subprocess

    out = trials.disk / "out"
    trials.clear()
    whole = trials.trial()
    trials.clear()
    subprocess.run(["mount", "--bind", out, out], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", out], check=True)
        found = trials.trial()
    finally:
        subprocess.run(["umount", out], check=True)
    return {"whole": whole, "trials": [{"case": "read-only", **found, "rerun": trials.trial()}]}


def surroundings(trials: Trials, changes: Sequence[dict[str, str | None]]) -> dict[str, Any]:
    """The stage as a program of its own, with environment variables changed, or unset where None."""
    trials.clear()
    found: dict[str, Any] = {"whole": trials.trial(), "trials": []}
    for change in changes:
        trials.clear()
        environment = {**os.environ, **{key: value for key, value in change.items() if value is not None}}
        for key in (key for key, value in change.items() if value is None):
            environment.pop(key, None)
        found["trials"].append({"case": change, **trials.trial(trials.command(), environment)})
    return found
