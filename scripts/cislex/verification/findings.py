"""What was found of each file, and what the checks of different files share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cislex.errors import CislexError

#: What reading a damaged file may raise: libraries differ, and whatever it is becomes a fault of that file.
ANY_DAMAGE: tuple[type[Exception], ...] = (Exception,)
#: Faults of one file that are told in full.
MOST_TOLD = 5


@dataclass
class FileReport:
    """What was checked of one file.

    Parameters
    ----------
    path
        Below the results folder, with ``/``; of an input as the run names it.
    kind
        What it is, a name of :data:`cislex.verification.kinds.KINDS`; ``unknown``.
    size
        Bytes; None where the file is missing.

    Attributes
    ----------
    checks : list[str]
        Checks that were made.
    faults : list[str]
        What is wrong, a sentence each.
    skipped : list[str]
        What could not be checked, and why.
    facts : dict
        What the checks of other files need to know of this one.
    """

    path: str
    kind: str
    size: int | None = None
    checks: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """``fault``; ``ok``: what was checked is as it should be; ``not checked``: nothing was."""
        if self.faults:
            return "fault"
        return "ok" if self.checks else "not checked"

    @property
    def what(self) -> str:
        """The sentences, faults first."""
        more = len(self.faults) - MOST_TOLD
        told = [*self.faults[:MOST_TOLD], *([f"and {more} more faults"] if more > 0 else [])]
        return "; ".join([*told, *(f"not checked: {text}" for text in self.skipped)])

    def check(self, name: str) -> None:
        """Note that a check was made."""
        if name not in self.checks:
            self.checks.append(name)

    def require(self, name: str, holds: bool, otherwise: str) -> bool:
        """Note a check and, unless it holds, the fault; return whether it holds."""
        self.check(name)
        if not holds:
            self.faults.append(otherwise)
        return holds

    def skip(self, what: str) -> None:
        """Note what could not be checked, and why."""
        if what not in self.skipped:
            self.skipped.append(what)


@dataclass
class Results:
    """A results folder and what is known of it.

    Parameters
    ----------
    root
        The folder.
    names
        Names in the config by wildcard, such as ``{"analysis": ["peaks"]}``; None: not known.
    settings
        The gate of each analysis and what else the config promises of files, by analysis.
    threads
        Processes that share the rows of large files.

    Attributes
    ----------
    reports : dict[str, FileReport]
        By path.
    """

    root: Path
    names: Mapping[str, list[str]] | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    threads: int = 1
    reports: dict[str, FileReport] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """Where a file lies."""
        return self.root / name

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.root / name).is_file()

    def facts(self, name: str) -> dict[str, Any]:
        """What the checks of another file found out."""
        return self.reports[name].facts if name in self.reports else {}

    def compare(
        self, report: FileReport, what: str, others: Iterable[str], fault: Callable[[], str | None]
    ) -> None:
        """Compare a file with others, unless one of these is missing or damaged itself.

        Parameters
        ----------
        report
            Of the file.
        what
            Name of the check.
        others
            Files that it is compared with.
        fault
            Returns what is wrong, or None.
        """
        for other in others:
            if not self.has(other):
                report.skip(f"{what} ({other} is missing)")
                return
            if other in self.reports and self.reports[other].facts.get("unreadable"):
                report.skip(f"{what} ({other} is damaged)")
                return
        try:
            wrong = fault()
        except ANY_DAMAGE as error:
            wrong = f"{what}: {error_text(error)}"
        report.require(what, wrong is None, wrong or "")


def error_text(error: BaseException) -> str:
    """The message of an error on one line; its kind where it is none of ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, CislexError) else f"{type(error).__name__}: {text}"
