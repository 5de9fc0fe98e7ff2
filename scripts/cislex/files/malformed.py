"""Unusable rows of user-supplied tables: refused together, or dropped with a reason.

Nothing is lost in silence: an error writes every offending row to a file that it names, and what is dropped
or adjusted is counted and comes back as a table.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from cislex.errors import ConfigError, InputError
from cislex.files.tables import write_table
from cislex.logs import beside_log

#: What may be done with rows that cannot be used.
MALFORMED = ("error", "drop")
#: Columns of the tables of rows that were dropped or adjusted.
ROW_COLUMNS = ["source_line", "chrom", "start", "end", "reason", "detail"]
#: Rows of one kind that a message names.
FIRST = 3


def require_stance(malformed: str, *, what: str) -> None:
    """Raise ConfigError unless ``malformed`` is ``error`` or ``drop``."""
    if malformed not in MALFORMED:
        raise ConfigError(f"{what}, malformed: found {malformed!r}, expected {', '.join(MALFORMED)}")


class Faults:
    """Malformed rows of a file, by kind of fault.

    Parameters
    ----------
    path
        The file, for messages.

    Attributes
    ----------
    lines : set of int
        Lines of the file with a fault.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.lines: set[int] = set()
        self._kinds: list[list[str]] = []
        self._rows: dict[int, list[object]] = {}

    def find(self, frame: pd.DataFrame, bad: pd.Series, problem: str) -> None:
        """Note the bad rows; ``problem`` may name columns in braces."""
        rows = frame[bad.to_numpy()].to_dict("records")
        if not rows:
            return
        named = []
        for row in rows:
            line = int(row["source_line"])
            detail = problem.format(**{str(key): value for key, value in row.items()})
            named.append(f"{self.path}:{line}: {detail}")
            known = self._rows.setdefault(line, [line, *(row.get(key, "") for key in ROW_COLUMNS[1:4]), ""])
            known[-1] = f"{known[-1]}; {detail}" if known[-1] else detail
        self.lines.update(int(row["source_line"]) for row in rows)
        self._kinds.append(named)

    def table(self) -> pd.DataFrame:
        """Every malformed row, in the order of the file: ``ROW_COLUMNS``, reason ``malformed``."""
        rows = [[*row[:4], "malformed", row[4]] for _, row in sorted(self._rows.items())]
        return pd.DataFrame(rows, columns=ROW_COLUMNS)

    def messages(self) -> list[str]:
        """Lines of a message: the first rows of each kind, and the counts."""
        lines = []
        for named in self._kinds:
            lines += named[:FIRST]
            if len(named) > FIRST:
                lines.append(f"({len(named)} such rows)")
        kinds = f", {len(self._kinds)} kinds of errors" if len(self._kinds) > 1 else ""
        if kinds or len(self.lines) > FIRST:
            lines.append(f"({len(self.lines)} malformed rows in all{kinds})")
        return lines

    def refuse(self, advice: str) -> None:
        """Raise InputError if anything was found; what the message cannot name is in a file."""
        if not self._kinds:
            return
        texts = self.messages()
        if any(len(named) > FIRST for named in self._kinds):
            texts.append(f"all of them are listed in {write_rows(self.table())}")
        raise InputError(f"malformed rows in a peak file; {advice}:\n" + "\n".join(texts))


def write_rows(table: pd.DataFrame) -> Path:
    """Write malformed rows beside the job's log, or outside of a job into the temporary folder."""
    path = beside_log(".malformed.tsv")
    if path is None:
        path = Path(tempfile.mkdtemp(prefix="cislex-rows-")) / "malformed.tsv"
    write_table(table, path)
    return path
