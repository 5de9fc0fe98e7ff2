"""Lines of a run on the terminal. Snakemake's own log file keeps everything that is left out here."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

from cislex_workflow.terminal.under_way import Job, UnderWay, duration

#: Name of Snakemake's handler that writes to the terminal.
HANDLER = "DefaultStreamHandler"
#: Lines that say nothing about the user's run.
LEFT_OUT = (
    "Using workflow specific profile",
    "Assuming unrestricted shared filesystem",
    "Building DAG of jobs",
    "Using shell:",
    "Rules claiming more threads",
    "Conda environments: ignored",
    "Singularity containers: ignored",
    "Group jobs: inactive",
    "Select jobs to execute",
    "Removing temporary output",
    "Will exit after finishing currently running jobs",
)
#: Parts of lines of the SLURM executor, one per job.
SUBMITTED = "has been submitted"
#: Most lines of a failed job's log on the terminal.
LOG_LINES = 30
#: Seconds of silence after which what is running is told: first, and then.
SILENCE = (15.0, 60.0)


def event_of(record: logging.LogRecord) -> str:
    """Name of Snakemake's event, in lower case; empty for plain lines."""
    event = getattr(record, "event", None)
    return str(getattr(event, "value", event or "")).lower()


class Lines(logging.Filter):
    """Takes note of what happens, and lets only some of it through."""

    def __init__(self, under_way: UnderWay) -> None:
        super().__init__()
        self.under_way = under_way
        #: Jobs that ended since the last line.
        self.ended: list[tuple[Job, float]] = []
        #: When the last line was shown.
        self.last = under_way.clock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown."""
        shown = self._shown(record)
        if shown:
            self.last = self.under_way.clock()
        return shown

    def _shown(self, record: logging.LogRecord) -> bool:
        event, given = event_of(record), record.__dict__
        if event == "job_info":
            logs = given.get("log") or []
            title = str(given.get("rule_msg") or given["rule_name"])
            log = Path(logs[0]) if logs else None
            self.under_way.start(given["jobid"], Job(given["rule_name"], title, log, self.under_way.clock()))
            return False
        if event == "job_finished":
            found = self.under_way.finish(given["job_id"])
            self.ended += [found] if found and found[0].rule != "all" else []
            return False
        if event == "progress":
            return bool(self.ended)
        if event in ("workflow_started", "job_started", "resources_info", "shellcmd"):
            return False
        text = str(record.msg or "")
        if event == "error":  # that a script ended with an error is told with its log
            return "CalledProcessError in file" not in text
        if event == "" and record.levelno <= logging.INFO:
            return bool(text) and not text.startswith(LEFT_OUT) and SUBMITTED not in text
        return True


class Form(logging.Formatter):
    """One line per finished job; what Snakemake writes for the rest."""

    def __init__(self, lines: Lines, inner: logging.Formatter) -> None:
        super().__init__()
        self.lines, self.inner = lines, inner

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record."""
        event, given = event_of(record), record.__dict__
        if event == "progress":
            return self._ended(given["done"], given["total"])
        if event == "job_error":
            return self._failed(given)
        return self.inner.format(record)

    def _ended(self, done: int, total: int) -> str:
        ended, self.lines.ended = self.lines.ended, []
        left = self.lines.under_way.seconds_left()
        rest = "" if left is None or left < 1 else f", about {duration(left)} left"
        width = len(str(total))
        return "\n".join(
            f"{time.strftime('%H:%M:%S')}  {done:>{width}} of {total}  {job.title}, {duration(seconds)}"
            + (rest if job is ended[-1][0] else "")
            for job, seconds in ended
        )

    def _failed(self, given: dict[str, Any]) -> str:
        job = self.lines.under_way.fail(given["jobid"])
        found = [f"{time.strftime('%H:%M:%S')}  FAILED  {job.title if job else given['rule_name']}"]
        if given.get("rule_msg"):
            found.append(f"    {given['rule_msg']}")
        for path in given.get("log") or []:
            found += [f"    log: {path}", *(f"    | {line}" for line in last_lines(Path(path), LOG_LINES))]
        found += [f"    {name}: {value}" for name, value in (given.get("aux") or {}).items()]
        return "\n".join(found)


def last_lines(path: Path, number: int) -> list[str]:
    """The last lines of a log; none where it is not there."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [f"… {len(lines) - number} lines above"] * (len(lines) > number) + lines[-number:]


def wanted(workflow: Any, *, is_main: bool) -> bool:
    """Whether a run has these lines: not a dry run, nor one whose user asks for more or less of Snakemake.

    Parameters
    ----------
    workflow
        Snakemake's.
    is_main
        Whether the workflow is no module of another.
    """
    settings = workflow.output_settings
    less = {str(getattr(item, "name", item)).lower() for item in settings.quiet or ()} - {"host", "reason"}
    more = settings.verbose or settings.printshellcmds or settings.debug_dag
    return bool(is_main and workflow.is_main_process and not settings.dryrun and not less and not more)


def install(logger: logging.Logger, under_way: UnderWay) -> None:
    """Make Snakemake's lines on the terminal ours, where Snakemake itself writes them."""
    for handler in logger.handlers:
        if handler.name == HANDLER and not _ours(handler):
            lines = Lines(under_way)
            handler.addFilter(lines)
            handler.setFormatter(Form(lines, handler.formatter or logging.Formatter()))


def _ours(handler: logging.Handler) -> Lines | None:
    return next((item for item in handler.filters if isinstance(item, Lines)), None)


def watch(logger: logging.Logger) -> None:
    """Tell what is running when nothing was shown for a while, until the process ends."""
    shown = next((lines for handler in logger.handlers if (lines := _ours(handler))), None)
    if shown is not None:
        threading.Thread(target=_tell, args=(logger, shown), daemon=True, name="cislex status").start()


def _tell(logger: logging.Logger, lines: Lines) -> None:
    silence = SILENCE[0]
    while True:
        time.sleep(max(1.0, silence - (lines.under_way.clock() - lines.last)))
        if lines.under_way.clock() - lines.last >= silence:
            text = lines.under_way.status()
            if text:
                logger.info(f"{time.strftime('%H:%M:%S')}  running: {text}")  # formatters do not fill in
                silence = SILENCE[1]
