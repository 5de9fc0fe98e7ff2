"""What an inspection finds, line by line, and the same as text for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Widest column of the text, in characters.
WIDEST = 72
RED, PLAIN = "\033[31m", "\033[0m"


@dataclass(frozen=True)
class Row:
    """One line of an inspection."""

    section: str
    name: str
    value: str
    detail: str = ""
    #: Whether attribution cannot go on because of it.
    bad: bool = False
    #: Whether it is near to that.
    doubtful: bool = False


def as_text(rows: Sequence[tuple[str, Row]], *, colour: bool = False) -> str:
    """Format rows as aligned text; what stops attribution is marked ``!!``, in red where ``colour``."""
    lines, last = [], ""
    for fold, row in rows:
        if fold != last:
            lines.append(f"{fold}")
            last = fold
        cells = [_cut(row.name, 28), _cut(row.value, WIDEST)]
        mark = "!!" if row.bad else "! " if row.doubtful else "  "
        line = f"{mark} {row.section:10s} {cells[0]:28s} {cells[1]:40s} {row.detail}".rstrip()
        lines.append(f"{RED}{line}{PLAIN}" if colour and row.bad else line)
    return "\n".join(lines) + "\n"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
