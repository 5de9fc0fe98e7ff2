"""Sections of a config that are given as a sheet.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cislex_workflow.config.errors import ConfigurationError
from cislex_workflow.config.types import Untyped
from cislex_workflow.config.yaml_files import decode, load

#: A cell that is a path with a placeholder, not a mapping.
_PLACEHOLDER = re.compile(r"\{\w+\}[^,:{}]*")


def read_sheet(path: Path, section: str) -> dict[str, Any]:
    """Read a TSV sheet: one row an entry, a column ``name``, ``a.b`` for nested keys.

    Cells are plain text, or mappings and lists in JSON or flow YAML; the schema decides what is a number.
    Empty cells are left out, so that the default applies.

    Raises
    ------
    ConfigurationError
        Where the sheet cannot be read, with its line.
    """
    rows = _rows(path, section)
    _, header = next(rows, (0, []))
    _check_header(header, f"{section}: {path}")
    entries: dict[str, Any] = {}
    for number, cells in rows:
        if any(cells):
            where = f"{section}: {path}:{number}"
            name, entry = _entry(header, cells, where)
            if not name or name in entries:
                raise ConfigurationError(f"{where}: name {name!r} is empty or a duplicate")
            entries[name] = entry
    return entries


def _rows(path: Path, section: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the last line and cells of each row."""
    if path.is_dir():
        raise ConfigurationError(f"{section}: {path} is a folder; expected a sheet (TSV)")
    if not path.is_file():
        raise ConfigurationError(f"{section}: no such sheet: {path}")
    try:
        text = decode(path)
    except OSError as error:
        raise ConfigurationError(f"{section}: {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{section}: {path}:{error}") from None
    rows = csv.reader(text.splitlines(keepends=True), delimiter="\t")
    try:
        for row in rows:
            yield rows.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise ConfigurationError(f"{section}: {path}:{rows.line_num + 1}: not a sheet: {error}") from None


def _check_header(header: list[str], where: str) -> None:
    if "name" not in header:
        for mark, word in ((",", "commas"), (";", "semicolons")):
            names = [cell.strip().strip('"') for cell in header[0].split(mark)] if len(header) == 1 else []
            if "name" in names:
                raise ConfigurationError(f"{where} is separated by {word}: save it separated by tabs (TSV)")
        raise ConfigurationError(f"{where} needs a column 'name'; it has {header}")
    twice = [column for column, number in Counter(header).items() if number > 1 and column]
    if twice:
        raise ConfigurationError(f"{where}: column '{twice[0]}' occurs {header.count(twice[0])} times")


def _entry(header: list[str], cells: list[str], where: str) -> tuple[str, dict[str, Any]]:
    """Name and settings of a row."""
    if len(cells) != len(header):
        raise ConfigurationError(f"{where} has {len(cells)} cells; expected {len(header)}, as in the header")
    given = {column: cell for column, cell in zip(header, cells, strict=True) if cell}
    if "" in given:
        raise ConfigurationError(f"{where}: cell {given['']!r} is in a column without a name")
    name = given.pop("name", "")
    entry: dict[str, Any] = {}
    for column, cell in given.items():
        keys = column.split(".")
        above = next((c for c in (".".join(keys[:i]) for i in range(1, len(keys))) if c in given), None)
        if above is not None:
            raise ConfigurationError(
                f"{where}: column '{column}' is part of '{above}', which has its own value: fill only one "
                "of them"
            )
        inner = entry
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = _cell(cell, f"{where}, column '{column}'")
    return name, entry


def _cell(text: str, where: str) -> Any:
    if text[0] not in '{["' or _PLACEHOLDER.fullmatch(text):
        return Untyped(text)
    try:
        return load(text)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {text} is neither JSON nor flow YAML: line {error}") from None
