"""Other names of chromosomes."""

from __future__ import annotations

from pathlib import Path

from cislex.errors import InputError
from cislex.files.compressed import read_lines


def read_aliases(path: str | Path | None) -> dict[str, str]:
    """Read a table of other names of chromosomes: tab-separated ``alias``, ``name`` (of the genome).

    A first line ``alias  name`` and lines that begin with ``#`` are skipped.

    Raises
    ------
    InputError
        A line has not two columns, or one alias has two names.
    """
    if path is None:
        return {}
    aliases: dict[str, str] = {}
    lines = read_lines(path, what="table of chromosome aliases", expected="a table of two columns")
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) != 2 or not all(fields):
            raise InputError(
                f"{path}:{number}: expected two tab-separated columns (alias, name), found {line!r}"
            )
        if number == 1 and fields == ["alias", "name"]:
            continue
        known = aliases.setdefault(fields[0], fields[1])
        if known != fields[1]:
            raise InputError(
                f"{path}:{number}: alias {fields[0]!r} stands for both {known!r} and {fields[1]!r}; keep one"
            )
    return aliases
