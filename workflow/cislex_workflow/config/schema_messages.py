"""Say in words what the JSON schema refuses: the key, what was found, what is expected, what to write.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any, cast

import jsonschema

from cislex_workflow.config.errors import suggestion
from cislex_workflow.config.expectations import expected, shown
from cislex_workflow.config.schema_parts import dereference, kinds, options

Error = jsonschema.ValidationError


def describe(error: Error, config: Any, root: dict[str, Any]) -> Iterator[str]:
    """Lines about what a validation found.

    Parameters
    ----------
    error
        The error.
    config
        The config in which it was found.
    root
        The schema.
    """
    schema = cast("dict[str, Any]", error.schema)
    where = _place(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        yield f"{where}: {_key_problem(error, root)}"
    elif error.validator == "additionalProperties" and isinstance(error.instance, dict):
        valid = sorted(schema.get("properties", {}))
        for key in sorted(set(map(str, error.instance)) - set(valid)):
            hint = suggestion(key, valid) or f"; valid keys: {', '.join(valid)}"
            yield f"{where}: unknown key '{key}'{hint}"
    elif error.validator == "required" and isinstance(error.instance, dict):
        for key in schema["required"]:
            if key not in error.instance:
                yield f"{where}: the key '{key}' is missing{_sentence(_about(error, root, key))}"
    elif error.validator == "oneOf" and (keys := _alternatives(schema)):
        yield from _one_key(where, error.instance, keys)
    elif error.validator == "oneOf" and (inner := _inside(error)):
        for nested in inner:
            yield from describe(nested, config, root)
    else:
        yield _list_around(error, config, root) or f"{where}: {_value_problem(error, root)}"


def _place(path: Any) -> str:
    return ".".join(map(str, path)) or "top level"


def _sentence(text: str) -> str:
    return f". {text}" if text else ""


def _fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator({**schema, "$defs": root["$defs"]}).is_valid(value))


def _inside(error: Error) -> list[Error]:
    """What is wrong inside of a value that has the type of one of the alternatives."""
    return [e for e in error.context or () if e.validator != "type" or e.instance is not error.instance]


def _alternatives(schema: dict[str, Any]) -> list[str]:
    """The keys of which a mapping needs exactly one, where its alternatives are such."""
    required = [option.get("required", ()) for option in schema["oneOf"]]
    return [keys[0] for keys in required] if all(len(keys) == 1 for keys in required) else []


def _one_key(where: str, value: Any, keys: list[str]) -> Iterator[str]:
    """Exactly one of some keys; nothing where only its value is wrong, which has a line of its own."""
    given = [key for key in keys if value.get(key) is not None] if isinstance(value, dict) else [""]
    if len(given) != 1:
        yield f"{where}: give exactly one of {', '.join(keys)}; found {' and '.join(given) or 'none'}"


def _key_problem(error: Error, root: dict[str, Any]) -> str:
    """Why a key is not valid, or why a name that the user chose is not."""
    name, limit = cast("Any", error.instance), cast("Any", error.validator_value)
    if error.validator == "enum":
        return f"key '{name}' is not valid{_condition(error, root)}; valid keys: {', '.join(limit)}"
    if error.validator == "maxLength":
        return f"the name '{name[:20]}…' has {len(name)} characters; at most {limit}"
    if error.validator == "minLength":
        return "found an empty name; expected one or more characters"
    if error.validator == "pattern":
        return f"the name '{name}' is not made of letters, digits, '_', '-' and '.', a letter or digit first"
    return f"the name '{name}' is taken by a file or folder of the results: choose another"


def _condition(error: Error, root: dict[str, Any]) -> str:
    """`` with kind: output``, where a key is refused for the sake of another one."""
    held = [node["if"]["properties"] for node in _steps(error, root) if "if" in node]
    told = [f"{key}: {entry['const']}" for key, entry in (held[-1] if held else {}).items()]
    return f" with {', '.join(told)}" if told else ""


def _value_problem(error: Error, root: dict[str, Any]) -> str:
    """What was found and what is expected, perhaps with an example."""
    schema = cast("dict[str, Any]", error.schema)
    found = "an empty text" if error.instance == "" else shown(error.instance)
    text = f"found {found}, expected {expected(schema, root)}"
    text += _hint(error, root) or _example(error, root)
    return f"{text}{_sentence(_about(error, root))}".replace("?. ", "? ", 1)


def _hint(error: Error, root: dict[str, Any]) -> str:
    """What may be meant by a value of another kind."""
    value, schema = cast("Any", error.instance), cast("dict[str, Any]", error.schema)
    parts = list(options(schema, root))
    taken = {kind for part in parts for kind in kinds(part)}
    choices = [choice for part in parts for choice in part.get("enum", ()) if isinstance(choice, str)]
    if near := suggestion(value, choices):
        return near
    if value is False and "null" in taken:
        return "; for none write null"
    if value is True and any(kinds(p) == ["object"] and not p.get("required") for p in parts):
        return "; for the defaults write {}"
    if isinstance(value, list) and error.absolute_path:
        key, several = error.absolute_path[-1], f"{error.absolute_path[-1]}s"
        if any({key, several} <= set(node.get("properties", ())) for node in _steps(error, root)):
            return f"; for several use '{several}'"
    if not isinstance(value, list) and "array" in taken and _fits([value], schema, root):
        return f"; write {shown([value])}"
    number = isinstance(value, int | float | datetime.date) and not isinstance(value, bool)
    if number and any("string" in kinds(part) and "pattern" not in part for part in parts):
        return "; write text in quotes"
    return ""


def _list_around(error: Error, config: Any, root: dict[str, Any]) -> str | None:
    """The line about a list that lacks the list around it: [a, b] for [[a, b]]."""
    path, item = list(error.absolute_path), cast("dict[str, Any]", error.schema)
    if error.validator != "type" or kinds(item) != ["array"] or not path or not isinstance(path[-1], int):
        return None
    value = config
    for part in path[:-1]:
        value = value[part]
    if not _fits(value, item, root):
        return None
    outer = _steps(error, root)[-2]
    told = f"found {shown(value)}, expected {expected(outer, root)}; write {shown([value])}"
    return f"{_place(path[:-1])}: {told}{_sentence(_about(error, root))}"


def _steps(error: Error, root: dict[str, Any]) -> list[dict[str, Any]]:
    """Parts of the schema on the way to the one that refused, from the outermost."""
    node: Any = root
    found = [root]
    for part in error.absolute_schema_path:
        if isinstance(node, dict) and part not in node:  # no step is a reference's own
            node = dereference({"$ref": node["$ref"]}, root)
            found.append(node)
        node = node[part]
        if isinstance(node, dict):
            found.append(node)
    return found


def _entry(error: Error, root: dict[str, Any], key: str = "") -> tuple[str, dict[str, Any]]:
    """The key that an error is about, or the nearest one above, and what the schema says of it."""
    names = [key] if key else [part for part in reversed(error.absolute_path) if isinstance(part, str)]
    steps = _steps(error, root)
    for node in reversed(steps if key else steps[:-1]):
        for name in names:
            if isinstance(node.get("properties", {}).get(name), dict):
                return name, dereference(node["properties"][name], root)
    return "", {}


def _about(error: Error, root: dict[str, Any], key: str = "") -> str:
    """The description of the key."""
    return str(_entry(error, root, key)[1].get("description", ""))


def _example(error: Error, root: dict[str, Any]) -> str:
    """How the key may be written, where the schema shows it."""
    key, entry = _entry(error, root)
    return "".join(f"; for example {key}: {shown(example)}" for example in entry.get("examples", [])[:1])
