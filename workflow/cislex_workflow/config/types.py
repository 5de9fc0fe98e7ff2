"""Convert the values of a config to the types in its schema.

YAML 1.1 reads ``1e-3`` as text, a command line and a sheet know text alone, and ``2.0`` is an integer to a
JSON schema but not to Python. Plain Python without the package.
"""

from __future__ import annotations

import re
from typing import Any

from cislex_workflow.config.schema_parts import below, options

_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"null": None, "~": None, "true": True, "false": False}
_PYTHON: dict[str, type | tuple[type, ...]] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None),
    "array": list, "object": dict,
}  # fmt: skip


class Untyped(str):
    """Text whose source has no types: a value of the command line, a cell of a sheet."""

    __slots__ = ()


def untyped(value: Any, given: Any) -> Any:
    """Mark the texts of a config that stand in what the command line gave, where that is a mapping.

    Parameters
    ----------
    value
        The config, or a part of it.
    given
        The same part of what ``--config`` gave; Snakemake types whole values but not those in a mapping.
    """
    if isinstance(value, dict) and isinstance(given, dict):
        return {key: untyped(entry, given[key]) if key in given else entry for key, entry in value.items()}
    if isinstance(value, list) and isinstance(given, list) and len(value) == len(given):
        return [untyped(entry, other) for entry, other in zip(value, given, strict=True)]
    return Untyped(value) if isinstance(value, str) and value == given else value


def scalar(text: str) -> Any:
    """The value that YAML 1.2 reads in a plain text: null, a boolean, a number, or the text itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else str(text)


def typed(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Return a config with every text and number in the type that the schema wants there.

    A text stays text where the schema takes it; else it is read as the number, boolean or null that it
    spells, if the schema takes that. :class:`Untyped` texts are read first. A whole float becomes an integer
    where the schema takes integers alone. What fits nothing stays, for the validation to tell.
    """
    return _typed(value, list(options(schema, root)), root)


def _typed(value: Any, schemas: list[dict[str, Any]], root: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _typed(entry, below(schemas, key, root), root) for key, entry in value.items()}
    if isinstance(value, list):
        items = [part for s in schemas if "items" in s for part in options(s["items"], root)]
        return [_typed(entry, items, root) for entry in value]
    if isinstance(value, str):
        kept, read = str(value), _whole(scalar(value), schemas)
        first, second = (read, kept) if isinstance(value, Untyped) else (kept, read)
        return first if _fits(first, schemas) else second if _fits(second, schemas) else kept
    return _whole(value, schemas)


def _whole(value: Any, schemas: list[dict[str, Any]]) -> Any:
    """The integer of a whole float where the schemas take integers alone."""
    if isinstance(value, float) and value.is_integer() and not _fits(value, schemas):
        return int(value) if _fits(int(value), schemas) else value
    return value


def _fits(value: Any, schemas: list[dict[str, Any]]) -> bool:
    """Whether one of the schemas takes a value by its type, its choices and its pattern."""
    return any(_fits_one(value, schema) for schema in schemas if {"type", "enum"} & set(schema))


def _fits_one(value: Any, schema: dict[str, Any]) -> bool:
    if "enum" in schema:
        return any(type(value) is type(choice) and value == choice for choice in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if isinstance(value, bool):
        return "boolean" in kinds
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    return any(isinstance(value, _PYTHON[kind]) for kind in kinds)
