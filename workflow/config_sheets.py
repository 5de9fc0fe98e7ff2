"""Sections of a config that are given as a sheet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from config_errors import ConfigurationError


def read_sheet(path: Path, section: str) -> dict[str, Any]:
    """Read a TSV sheet: one row an entry, ``name`` first, ``a.b`` for nested keys, JSON or text cells.

    Empty cells are left out, so that the default applies.
    """
    if not path.is_file():
        raise ConfigurationError(f"{section}: no such sheet: {path}")
    with path.open(newline="", encoding="utf-8") as handle:
        rows = csv.DictReader(handle, delimiter="\t")
        if not rows.fieldnames or "name" not in rows.fieldnames:
            raise ConfigurationError(f"{section}: {path} needs a column 'name'; it has {rows.fieldnames}")
        entries: dict[str, Any] = {}
        for line, row in enumerate(rows, start=2):
            name = row.pop("name")
            if None in row or None in row.values():
                raise ConfigurationError(
                    f"{section}: {path}:{line} has another number of cells than the header"
                )
            if not name or name in entries:
                raise ConfigurationError(f"{section}: {path}:{line}: name {name!r} is empty or used twice")
            entries[name] = {}
            for key, text in row.items():
                if text != "":
                    _assign(entries[name], key.split("."), _cell(text))
    return entries


def _cell(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _assign(entry: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        entry = entry.setdefault(key, {})
    entry[keys[-1]] = value
