"""What a run has done, what is running and how long the rest takes."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: A line of a job's log that says how far it is, as ``cislex.logs.progress`` writes it.
_PROGRESS = re.compile(r"cislex\.progress: (.*)")
#: Bytes at the end of a log in which it is looked for.
_TAIL = 8192
#: The time that is left is told after so many seconds and jobs.
FIRST_SECONDS, FIRST_JOBS = 30, 2
#: Most running jobs that are told one by one.
ONE_BY_ONE = 3


@dataclass(frozen=True)
class Job:
    """A job that was started."""

    rule: str
    #: What it does, in words.
    title: str
    log: Path | None
    began: float


class UnderWay:
    """The jobs of a run by their number.

    Parameters
    ----------
    clock
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self.running: dict[int, Job] = {}
        #: The first job that failed for good, or last.
        self.failed: dict[int, Job] = {}
        self._waiting: Counter[str] = Counter()
        self._requested: dict[str, float] = {}
        self._seconds: dict[str, list[float]] = {}

    def plan(self, jobs: Mapping[str, int], requested: Mapping[str, float]) -> None:
        """Take note of the number of jobs by rule, and the minutes that a job of each requests."""
        self._waiting = Counter(jobs)
        self._requested = dict(requested)

    def start(self, number: int, job: Job) -> None:
        """A job begins, or begins again after a failure."""
        self.running[number] = job
        self.failed.pop(number, None)

    def finish(self, number: int) -> tuple[Job, float] | None:
        """A job ends well; returns it and its seconds."""
        job = self.running.pop(number, None)
        if job is None:
            return None
        seconds = self.clock() - job.began
        self._seconds.setdefault(job.rule, []).append(seconds)
        self._waiting[job.rule] -= 1
        return job, seconds

    def fail(self, number: int) -> Job | None:
        """A job ends in an error."""
        job = self.running.pop(number, None)
        if job is not None:
            self.failed[number] = job
        return job

    def seconds_left(self) -> float | None:
        """Seconds until the run ends, by what jobs of the same rule took; None while too little is known.

        Rules of which no job has ended take the part of their request that the others took of theirs. As many
        jobs as until now are taken to run at once.
        """
        taken = {rule: sum(values) / len(values) for rule, values in self._seconds.items()}
        elapsed = self.clock() - self.began
        if elapsed < FIRST_SECONDS or sum(map(len, self._seconds.values())) < FIRST_JOBS:
            return None
        known = [rule for rule in taken if self._requested.get(rule)]
        requested = sum(self._requested[rule] for rule in known)
        share = sum(taken[rule] for rule in known) / requested if requested else None
        running = Counter(job.rule for job in self.running.values())
        under_way = sum(self.clock() - job.began for job in self.running.values())
        work = 0.0
        for rule, number in self._waiting.items():
            if rule in taken:
                each = taken[rule]
            elif share is not None and rule in self._requested:
                each = share * self._requested[rule]
            else:
                continue
            began = [self.clock() - job.began for job in self.running.values() if job.rule == rule]
            work += each * max(0, number - running[rule]) + sum(max(0.0, each - seconds) for seconds in began)
        together = (sum(map(sum, self._seconds.values())) + under_way) / elapsed
        return work / max(1.0, together)

    def status(self) -> str:
        """What is running, and how far it is; empty where nothing is."""
        if not self.running:
            return ""
        if len(self.running) > ONE_BY_ONE:
            rules = Counter(job.rule for job in self.running.values())
            return ", ".join(
                f"{rule} × {number}" if number > 1 else rule for rule, number in rules.most_common()
            )
        found = []
        for job in self.running.values():
            far = told(job.log) if job.log else None
            found.append(f"{job.title} ({far or duration(self.clock() - job.began)})")
        return "; ".join(found)


def told(log: Path) -> str | None:
    """The last line on its progress that a job has written to its log."""
    try:
        with log.open("rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - _TAIL))
            text = handle.read().decode(errors="replace")
    except OSError:
        return None
    found = _PROGRESS.findall(text)
    return found[-1] if found else None


def duration(seconds: float) -> str:
    """Seconds in words: "14 s", "3 min", "2 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
