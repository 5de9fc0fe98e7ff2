"""What the schema expects of a value, and what the user gave, in words.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from cislex_workflow.config.schema_parts import kinds, options

#: Longest value, and most keys of a mapping, that are shown.
MOST_SHOWN, MOST_KEYS = 60, 6
#: A pattern that is nothing but alternatives.
_WORDS = re.compile(r"\^\(?([a-z_|]+)\)?\$")
_WITH_KEYS = "a mapping with the keys "
_MANY = {"string": "texts", "integer": "whole numbers", "number": "numbers", "object": "mappings"}


def shown(value: Any) -> str:
    """A value as one writes it in YAML, text in quotes, cut where it is long."""
    if isinstance(value, str):
        text = repr(str(value))
    else:
        dumped = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
        text = dumped.removesuffix("...\n").strip()
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def one_of(words: list[str]) -> str:
    """``a, b or c``."""
    return " or ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def expected(schema: dict[str, Any], root: dict[str, Any]) -> str:
    """What a schema takes: ``a whole number of at least 1 or null``.

    Parameters
    ----------
    schema
        The part of the schema.
    root
        The whole schema, for references.
    """
    parts = [option for option in options(schema, root) if "enum" in option or "type" in option]
    words = list(dict.fromkeys(word for part in parts for word in _words(part, root)))
    last = ("null", *(word for word in words if word.startswith(_WITH_KEYS)))
    return one_of([word for word in words if word not in last] + [word for word in last if word in words])


def _words(schema: dict[str, Any], root: dict[str, Any]) -> list[str]:
    """A word or some for each type that a schema without alternatives takes."""
    if "enum" in schema:
        return [_choice(choice) for choice in schema["enum"]]
    told = {"boolean": "true or false", "null": "null"}
    tellers = {"string": _text, "integer": _number, "number": _number}
    found = []
    for kind in kinds(schema):
        if kind == "integer" and "number" in kinds(schema):
            continue
        if kind in tellers:
            found.append(tellers[kind](schema, kind))
        elif kind == "array":
            found.append(_list(schema, root))
        elif kind == "object":
            found.append(_mapping(schema, root))
        else:
            found.append(told[kind])
    return found


def _choice(choice: Any) -> str:
    return choice if isinstance(choice, str) else shown(choice)


def _text(schema: dict[str, Any], kind: str) -> str:
    if "title" in schema:
        return str(schema["title"])
    if words := _WORDS.fullmatch(schema.get("pattern", "")):
        return one_of(words[1].split("|"))
    return "a path" if schema.get("format") == "path" else "text"


def _number(schema: dict[str, Any], kind: str) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    name = "a whole number" if kind == "integer" else "a number"
    if low is not None and high is not None:
        return f"{name} from {low} to {high}"
    bounds = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "of at least"), ("exclusiveMinimum", "above"),
                          ("maximum", "of at most"), ("exclusiveMaximum", "below"))
        if key in schema
    ]  # fmt: skip
    return " ".join([name, " and ".join(bounds).replace("and of", "and")]).strip()


def _list(schema: dict[str, Any], root: dict[str, Any]) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    number = f"{most} " if most == least else "one or more " if least == 1 else ""
    different = "different " if schema.get("uniqueItems") else ""
    return f"a list of {number}{different}{_several(schema.get('items', {}), root)}"


def _several(items: dict[str, Any], root: dict[str, Any]) -> str:
    """What a list holds: ``paths``, ``whole numbers (of at least 1)``, ``lists of 2 texts``."""
    for option in options(items, root):
        if "enum" in option:
            return f"values of {', '.join(_choice(choice) for choice in option['enum'])}"
        if kinds(option) == ["array"]:
            return _list(option, root).replace("a list", "lists", 1)
        if option.get("format") == "path":
            return "paths"
        if kinds(option):
            many = [_MANY[kind] for kind in kinds(option)]
            bounds = _number(option, "number").removeprefix("a number").strip()
            return one_of(many) + (f" {bounds}" if bounds else "")
    return "values"


def _mapping(schema: dict[str, Any], root: dict[str, Any]) -> str:
    """``a mapping with the keys analysis, vcf, …``, or ``of names to text``."""
    required = schema.get("required", [])
    keys = [*required, *(key for key in schema.get("properties", {}) if key not in required)]
    if keys:
        more = ", …" if len(keys) > MOST_KEYS else ""
        return f"{_WITH_KEYS}{', '.join(keys[:MOST_KEYS])}{more}"
    entries = schema.get("additionalProperties")
    if not isinstance(entries, dict):
        return "a mapping"
    inner = next((option for option in options(entries, root) if kinds(option) == ["object"]), None)
    names = {1: "names", 2: "two or more names"}[schema.get("minProperties", 1)]
    return f"a mapping of {names} to {'mappings' if inner else expected(entries, root)}"
