"""Processes that measure when they are told to, one at a time.

Settings of the memory allocator cannot be undone and some peers need an environment of their own, so
contenders live in processes of their own; the others wait at their pipe while one of them runs.

As a program (which :class:`Worker` starts) it reads one request a line and answers each with one line.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

from cislex.runtime.jobs import THREADS

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def each_size(program: str, sizes: list[str], options: list[str], out: Path | None) -> None:
    """Run a program with ``--one <size>`` in a process for each size, and print, or write, the records.

    Each prints its record as JSON in its last line; its peak memory is its own.
    """
    record = []
    for size in sizes:
        command = [sys.executable, program, "--one", size, *options]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        record.append(json.loads(done.stdout.splitlines()[-1]))
        print(record[-1], flush=True)
    if out:
        out.write_text(json.dumps(record, indent=1) + "\n")


@dataclass
class Worker:
    """A process with its own interpreter and allocator.

    Parameters
    ----------
    threads
        Of torch.
    keep
        Whether freed memory is kept (``keep_freed_memory``) and idle threads soon sleep, as in a job, or the
        libraries are left as they come.
    python
        Interpreter, of another environment for peers that need one.
    clock
        ``wall``, or ``cpu`` for the processor's time, which says more with one thread on a busy machine.
    """

    threads: int
    keep: bool
    python: str = sys.executable
    clock: str = "wall"
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def ask(self, name: str, task: Any, *, what: str = "seconds") -> float:
        """Seconds of one run of a contender, kibibytes its memory grew by, or a precision's error."""
        if self._process is None:
            self._process = subprocess.Popen(
                [self.python, __file__, str(self.threads), str(int(self.keep)), self.clock],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={**(THREADS if self.keep else {}), **os.environ},
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"name": name, "task": asdict(task), "what": what}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{name}: the process ended, code {self._process.wait()}")
        return float(json.loads(answer))

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
            self._process = None


def _serve(threads: int, keep: bool, now: Callable[[], float]) -> None:
    import torch
    from contenders import Task, error, prepare

    torch.set_num_threads(threads)
    if keep:
        from cislex.attribution.kernels import keep_freed_memory

        keep_freed_memory()
    runs: dict[str, Any] = {}
    tasks: dict[str, Task] = {}
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever peers print
    for line in sys.stdin:
        request = json.loads(line)
        key = json.dumps(request["task"])
        task = tasks.setdefault(key, Task(**request["task"]))
        if request["what"] == "error":
            print(error(task, request["name"]), file=answers, flush=True)
            continue
        if request["name"] + key not in runs:
            runs[request["name"] + key] = prepare(request["name"], task, now)
        run = runs[request["name"] + key]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin = now()
        result = run()
        if task.device != "cpu":
            torch.cuda.synchronize()
        seconds = now() - begin
        if isinstance(result, dict):
            seconds = result["seconds"]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(grown if request["what"] == "memory" else seconds, file=answers, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    _serve(int(sys.argv[1]), sys.argv[2] == "1", CLOCKS[sys.argv[3]])
