"""Validate a config against its JSON schema, and fill in defaults."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import jsonschema

from cislex_workflow.config.schema_messages import describe
from cislex_workflow.config.schema_parts import below, dereference, kinds, options


def problems(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """What of a config does not fit the schema, a line each."""
    strange = list(_strange_names(config, ""))
    if strange:  # a validator expects text
        yield from strange
        return
    yield from _not_numbers(config, "")
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(config), key=lambda e: [str(p) for p in e.absolute_path])
    yield from dict.fromkeys(line for error in errors for line in describe(error, config, schema))


def _strange_names(value: Any, where: str) -> Iterator[str]:
    """Keys that YAML read as a number, a boolean (yes, no, on, off), a date or null."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, entry in entries:
        if isinstance(value, dict) and not isinstance(key, str):
            yield f"{where or 'top level'}: YAML does not read the key {key!r} as text: write it in quotes"
        yield from _strange_names(entry, f"{where}.{key}".removeprefix("."))


def _not_numbers(value: Any, where: str) -> Iterator[str]:
    """NaN passes every bound."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, entry in entries:
        yield from _not_numbers(entry, f"{where}.{key}".removeprefix("."))
    if isinstance(value, float) and math.isnan(value):
        yield f"{where}: nan is not a number"


def without_nulls(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Leave out a null that stands for no entries: of a mapping of the user's names, or of a list.

    ``insertions:`` with every line below it commented out is such a null. One of a section with keys of its
    own (``qc: null``) stays, and is refused: it does not say whether it means the defaults or nothing.
    """
    return _without_nulls(value, list(options(schema, root)), root)


def _without_nulls(value: Any, schemas: list[dict[str, Any]], root: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    found = {}
    for key, entry in value.items():
        parts = below(schemas, key, root)
        if entry is not None or not any(_empty_by_default(part) for part in parts):
            found[key] = _without_nulls(entry, parts, root)
    return found


def _empty_by_default(schema: dict[str, Any]) -> bool:
    return (kinds(schema) == ["array"] and schema.get("default") == []) or (
        kinds(schema) == ["object"] and schema.get("default") == {} and "properties" not in schema
    )


def fill_defaults(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> None:
    """Add the defaults of what is not given, in place, at every level."""
    schema = dereference(schema, root)
    if not isinstance(value, dict):
        return
    for option in schema.get("oneOf", []):
        option = dereference(option, root)
        if option.get("type") == "object":
            fill_defaults(value, option, root)
    known = schema.get("properties", {})
    for key, raw in known.items():
        part = dereference(raw, root)
        if key not in value and "default" in part:
            value[key] = copy.deepcopy(part["default"])
        if key in value:
            fill_defaults(value[key], part, root)
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        for key, entry in value.items():
            if key not in known:
                fill_defaults(entry, others, root)
