"""Jobs on a small disk: a program that the tests start and ask, one line of JSON after another.

``unshare --mount python small_disk.py DISK WORK`` mounts the disk where it alone sees it, so that the disk is
gone with the program, however that ends. It imports once what stages need. Each stage then gets a process
that, before many trials, runs it once undisturbed, and has all of it imported and compiled; a trial is a fork
of that process, and costs no more than the stage's own work.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from contents import digest_of

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SIZE = 32 << 20
PAGE = 4096
#: The folder of this user that lasts.
CACHES = ("cislex-cache",)
#: What Python does to files: moments at which jobs are killed, or soon after.
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.scandir")
#: Seconds after such a moment within which a job is killed.
SOON = 0.004
#: Look whether a process has ended, and leave it to be waited for.
LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT


def mount(disk: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", disk], check=True)


class Trials:
    """Trials of one stage, in the process that has run it."""

    def __init__(self, stage: str, work: Path, disk: Path) -> None:
        from stages import STAGES, make_inputs

        self._run, self.stage, self.work, self.disk = STAGES[stage], stage, work, disk
        self._screen = work / "screen.txt"
        self._warm = False
        #: Whether digests of other files that results name count when results are compared.
        self.digests = True
        make_inputs(work, stage)

    def warm(self) -> None:
        """Run the stage here, so that its forks have everything imported and compiled."""
        if self._warm:
            return
        with tempfile.TemporaryDirectory() as folder:
            self._run(self.work, Path(folder))
        threads = len(os.listdir("/proc/self/task"))
        if threads > 1 + ("numba" in sys.modules):  # numba begins its own anew after a fork
            raise RuntimeError(f"{self.stage}: {threads} threads, so that it cannot be forked")
        self._warm = True

    def levels(self, levels: list[int | None]) -> list[dict[str, Any]]:
        """The stage with so many bytes free (all, for None)."""
        return [self._level(level) for level in levels]

    def sweep(self, seconds: float) -> list[dict[str, Any]]:
        """The stage with all space, then from none up to the least that is enough, in about so long.

        That level is looked for by halves, to a page where runs are short; others lie evenly below it.
        """
        self.warm()
        began = time.monotonic()
        found = [self._level(None)]
        cost = time.monotonic() - began
        runs = int(min(40, max(12, seconds / cost)))
        low, high = 0, PAGE * (found[0]["size"] // PAGE + 8)
        found.append(self._level(low))
        while (trial := self._level(high))["status"] and high < SIZE // 2:
            found.append(trial)
            low, high = high, 2 * high
        found.append(trial)
        finest = PAGE if runs == 40 else max(PAGE, high // 64)
        while high - low > finest:
            found.append(self._level((low + high) // 2 // PAGE * PAGE))
            low, high = (found[-1]["free"], high) if found[-1]["status"] else (low, found[-1]["free"])
        steps = max(8, runs - len(found))
        tried = {trial["free"] for trial in found}
        even = {PAGE * page for page in range(1, 5)} | {low * i // steps // PAGE * PAGE for i in range(steps)}
        found.extend(self._level(level) for level in sorted(even - tried) if level < low)
        return found

    def cold(self, levels: list[int]) -> list[dict[str, Any]]:
        """The stage as a program of its own, whose imports and caches find the disk full, too."""
        own = {name for name in os.environ if name.endswith("CACHE_DIR") or name == "MPLCONFIGDIR"}
        environment = {name: value for name, value in os.environ.items() if name not in own}
        return [self._level(level, self.command(), environment) for level in levels]

    def command(self) -> list[str]:
        """The stage as a program of its own."""
        return [*map(str, (sys.executable, __file__, "--job", self.stage, self.work, self.disk))]

    def kills(self, count: int, seed: int, seconds: float = 1e9) -> dict[str, Any]:
        """The stage killed at random moments, once to thrice, and run again each time, in about so long.

        Half of the moments are those at which it works on files, or soon after. In every third trial the
        results of an earlier run are there.
        """
        self.warm()
        rng = random.Random(seed)
        self.clear()
        began = time.monotonic()
        whole, events = self.undisturbed()
        lasts = time.monotonic() - began
        found = []
        for number in range(count):
            if number >= 4 and time.monotonic() - began > seconds:
                break
            self.clear()
            if number % 3 == 2:
                self.trial()
            after = []
            for _ in range(rng.choice((1, 1, 2, 3))):
                how = rng.choice((signal.SIGKILL, signal.SIGTERM))
                if number % 2:
                    moment, delay = rng.randint(1, events), rng.choice((0, rng.uniform(0, SOON)))
                else:
                    moment, delay = 0, rng.uniform(0, lasts)
                status = self._kill(moment, delay, how)
                after.append(
                    {"how": how.name, "event": moment, "delay": delay, "ended": status, **self._state()}
                )
            found.append({"kills": after, "rerun": self.trial()})
        return {"whole": whole, "events": events, "seconds": lasts, "trials": found}

    def undisturbed(self) -> tuple[dict[str, Any], int]:
        reader, writer = os.pipe()
        child = self._fork(writer)
        os.close(writer)
        events = 0
        while told := os.read(reader, 1 << 16):
            events += len(told)
        os.close(reader)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return {"status": status, **self._state()}, events

    def _kill(self, moment: int, delay: float, how: signal.Signals) -> int:
        reader, writer = os.pipe()
        child = self._fork(writer)
        os.close(writer)
        while moment > 0 and (told := os.read(reader, 1)):
            moment -= len(told)
        end = time.monotonic() + delay
        while (left := end - time.monotonic()) > 0 and not os.waitid(os.P_PID, child, LOOK):
            select.select([], [], [], min(left, 0.01))
        os.kill(child, how)
        os.close(reader)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _level(
        self, free: int | None, command: list[str] | None = None, environment: dict[str, str] | None = None
    ) -> dict[str, Any]:
        self.clear()
        filler = self.disk / "filler"
        if free is not None:
            here = os.statvfs(self.disk)
            with open(filler, "wb") as handle:
                os.posix_fallocate(handle.fileno(), 0, max(1, here.f_bavail * here.f_frsize - free))
        found = {"free": free, **self.trial(command, environment)}
        if found["partial"]:  # what is finished stays, and the next attempt goes on from there
            filler.unlink()
            found["rerun"] = self.trial()
        return found

    def trial(
        self,
        command: list[str] | None = None,
        environment: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        """The stage once more, on the disk as it is: how it ended, and what is there then."""
        if command is None:
            status = os.waitstatus_to_exitcode(os.waitpid(self._fork(before=before), 0)[1])
        else:
            with open(self._screen, "wb") as screen:
                status = subprocess.run(
                    command, env=environment, stdout=screen, stderr=screen, check=False
                ).returncode
        return {"status": status, **self._state()}

    def _fork(self, events: int | None = None, before: Callable[[], None] | None = None) -> int:
        child = os.fork()
        if child == 0:
            screen = os.open(self._screen, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(screen, 1)
            os.dup2(screen, 2)
            if events is not None:
                _tell_events(self.disk, events)
            run_job(self.stage, self.work, self.disk, before)
        return child

    def clear(self) -> None:
        """Empty the disk."""
        for path in self.disk.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in ("tmp", "out", "log"):
            (self.disk / name).mkdir()

    def _state(self) -> dict[str, Any]:
        """What lies on the disk, and what was said."""
        log = self.disk / "log" / "job.log"
        told = [log.read_text() if log.exists() else "", self._screen.read_text()]
        everything = [path for path in sorted(self.disk.rglob("*")) if path.parent != self.disk]
        out = [p for p in everything if p.is_relative_to(self.disk / "out") and p.is_file()]
        left = [
            path for path in everything if any(p.startswith(".") for p in path.relative_to(self.disk).parts)
        ]
        left += [path for path in (self.disk / "tmp").iterdir() if not path.name.startswith(CACHES)]
        is_final = [not path.name.endswith(".partial") and path not in left for path in out]
        return {
            "said": "".join(told)[-3000:],
            # An error is the last line of the log, or of the screen where the log cannot take it.
            "last": [_last(text) for text in told if text.strip()],
            "files": {
                str(path.relative_to(self.disk / "out")): digest_of(path, digests=self.digests)
                for path, final in zip(out, is_final, strict=True)
                if final
            },
            "partial": [path.name for path in out if path.name.endswith(".partial")],
            "left": sorted(str(path.relative_to(self.disk)) for path in left),
            "size": sum(path.stat().st_size for path in out),
        }


def _last(text: str) -> str:
    """The last line but for that on the cause of an error."""
    lines = text.strip().splitlines()
    return lines[-2] if lines[-1].startswith("caused by ") and lines[1:] else lines[-1]


def _tell_events(disk: Path, descriptor: int) -> None:
    """Write a byte whenever something is done to a file of the disk."""
    where = os.fsencode(disk)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        named = event in EVENTS and arguments and isinstance(arguments[0], str | bytes | os.PathLike)
        if named and os.fsencode(arguments[0]).startswith(where):
            with contextlib.suppress(OSError):  # it is being killed, and nobody listens
                os.write(descriptor, b".")

    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.addaudithook(hook)


def run_job(stage: str, work: Path, disk: Path, before: Callable[[], None] | None = None) -> None:
    """Run a stage as a job does, its log on the small disk, and end the process.

    ``before`` is called when the job has begun and the stage has not.
    """
    signal.alarm(200)
    other = os.environ.pop("TMPDIR_OF_JOB", None)
    os.environ["TMPDIR"] = other or str(disk / "tmp")
    tempfile.tempdir = None if other else str(disk / "tmp")
    status = 1
    try:
        from cislex.runtime.jobs import begin

        begin(disk / "log" / "job.log")
        from stages import STAGES

        if before is not None:
            before()
        STAGES[stage](work, disk / "out")
        status = 0
    except BaseException:
        with contextlib.suppress(OSError):  # neither the log nor the screen takes another byte
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def serve(stage: str, work: Path, disk: Path) -> Connection:
    """Start the process of a stage, and return what it is asked by."""
    ours, theirs = multiprocessing.Pipe()
    if os.fork():
        theirs.close()
        return ours
    ours.close()
    os.dup2(2, 1)  # what stages print is no answer
    try:
        trials = Trials(stage, work, disk)
        while True:
            what, arguments = theirs.recv()
            module, _, name = what.rpartition(".")
            if module:
                theirs.send(getattr(importlib.import_module(module), name)(trials, **arguments))
            else:
                theirs.send(getattr(trials, name)(**arguments))
    except EOFError:
        os._exit(0)
    except BaseException as error:
        theirs.send({"error": f"{type(error).__name__}: {error}"})
        os._exit(1)


def main(disk: Path, work: Path) -> None:
    mount(disk)
    import h5py  # noqa: F401
    import pandas  # noqa: F401
    import torch

    torch.set_num_threads(1)
    servers: dict[str, Connection] = {}
    for line in sys.stdin:
        stage, what, arguments = json.loads(line)
        if stage not in servers:
            servers[stage] = serve(stage, work, disk)
        servers[stage].send((what, arguments))
        try:
            answer = servers[stage].recv()
        except EOFError:
            answer = {"error": f"the process of {stage} died"}
        print(json.dumps(answer), flush=True)
    for server in servers.values():
        server.close()
    for _ in servers:
        os.wait()


if __name__ == "__main__":
    sys.path.insert(0, str(SCRIPTS))
    if sys.argv[1] == "--job":
        run_job(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    main(Path(sys.argv[1]), Path(sys.argv[2]))
