"""Validate a config against its JSON schema, and fill in defaults."""

from __future__ import annotations

import copy
import datetime
import math
from collections.abc import Iterator
from typing import Any, cast

import jsonschema

from cislex_workflow.config.errors import suggestion


def problems(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """What of a config does not fit the schema, a line each."""
    strange = list(_strange_names(config, ""))
    if strange:  # a validator expects text
        yield from strange
        return
    yield from _not_numbers(config, "")
    validator = jsonschema.Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(config), key=lambda e: [str(p) for p in e.absolute_path]):
        yield from _describe(error)


def _describe(error: jsonschema.ValidationError) -> Iterator[str]:
    schema, expected = cast("dict[str, Any]", error.schema), cast("Any", error.validator_value)
    where = ".".join(str(part) for part in error.absolute_path) or "top level"
    if "propertyNames" in error.absolute_schema_path and error.validator != "enum":
        yield f"{where}: {_name_problem(error)}"
    elif error.validator == "additionalProperties" and isinstance(error.instance, dict):
        valid = sorted(schema.get("properties", {}))
        for key in sorted(set(map(str, error.instance)) - set(valid)):
            hint = suggestion(key, valid) or f"; valid keys: {', '.join(valid)}"
            yield f"{where}: unknown key '{key}'{hint}"
    elif error.validator == "enum":
        valid = [choice for choice in expected if isinstance(choice, str)]
        yield f"{where}: {error.message}{suggestion(error.instance, valid)}"
    elif error.validator == "oneOf" and error.context:
        if "required" in {e.validator for e in error.context} and where.startswith("regions."):
            yield f"{where}: give exactly one of peaks, fasta, hdf5"
            return
        inner = [e for e in error.context if e.validator != "type" or e.instance is not error.instance]
        for nested in inner or [error]:
            if nested is error:
                yield f"{where}: {error.message}"
            else:
                yield from _describe(nested)
    else:
        quoted = error.validator == "type" and "string" in expected
        plain = quoted and isinstance(error.instance, int | float | datetime.date)
        yield f"{where}: {error.message}{'; write text in quotes' if plain else ''}"


def _name_problem(error: jsonschema.ValidationError) -> str:
    """Why a key that the user chose is not a name."""
    name, expected = cast("Any", error.instance), error.validator_value
    if error.validator == "maxLength":
        return f"the name '{name[:20]}…' has {len(name)} characters; at most {expected}"
    if error.validator == "pattern":
        return f"the name '{name}' is not made of letters, digits, '_', '-' and '.', a letter or digit first"
    return f"the name '{name}' is taken by a file or folder of the results: choose another"


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


def dereference(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Put in place of ``$ref`` what it names; keys beside it go first."""
    if "$ref" not in schema:
        return schema
    found: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{key: entry for key, entry in schema.items() if key != "$ref"}}
