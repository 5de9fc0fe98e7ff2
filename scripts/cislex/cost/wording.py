"""Numbers of an estimate in the units that suit them, and the lines of its text."""

from __future__ import annotations

from collections.abc import Sequence


def cells_of(name: str, cells: Sequence[str]) -> str:
    """A line of a table: a name, and cells flush right."""
    return f"{name[:24]:24s}" + "".join(f"{cell:>12s}" for cell in cells)


def duration(hours: float) -> str:
    """Hours in the unit that suits them."""
    if hours < 1:
        return f"{60 * hours:.1f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def in_bytes(number: float) -> str:
    """Bytes in the unit that suits them."""
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e6:.1f} MB"
