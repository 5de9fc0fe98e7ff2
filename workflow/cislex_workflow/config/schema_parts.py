"""Parts of the config's JSON schema: references, alternatives, and what is said of an entry.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def dereference(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Put in place of ``$ref`` what it names; keys beside it go first."""
    if "$ref" not in schema:
        return schema
    found: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{key: entry for key, entry in schema.items() if key != "$ref"}}


def options(schema: dict[str, Any], root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and the alternatives and parts in it, without references."""
    schema = dereference(schema, root)
    yield schema
    for key in ("oneOf", "anyOf", "allOf"):
        for option in schema.get(key, ()):
            yield from options(option, root)


def below(schemas: list[dict[str, Any]], key: Any, root: dict[str, Any]) -> list[dict[str, Any]]:
    """What the schemas say of an entry of a mapping."""
    found: list[dict[str, Any]] = []
    for schema in schemas:
        entry = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
        if isinstance(entry, dict):
            found += options(entry, root)
    return found


def kinds(schema: dict[str, Any]) -> list[str]:
    """The types that a schema names, as a list."""
    named = schema.get("type", [])
    return named if isinstance(named, list) else [named]
