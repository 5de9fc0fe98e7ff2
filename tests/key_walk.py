"""Which keys of the config reach a job: every key of the schema is changed in turn, in a workflow read once.

Called by the Snakefile of tests/workflow/config/test_keys.py: settings of jobs are functions that only
Snakemake has. They read ``config`` when they are called, so one parse serves all keys.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from snakemake.iocontainers import Wildcards

#: Rules that name every setting; to be named by them alone is no effect.
TELLERS = {"snapshot_config", "render_report"}
Keys = tuple[str, ...]


def leaves(
    schema: dict[str, Any], root: dict[str, Any], path: Keys = ()
) -> Iterator[tuple[Keys, dict[str, Any]]]:
    """Keys of the schema that hold values, as paths; ``*`` stands for names that the user gives."""
    if "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = {**found, **schema}
    options = [option for option in schema.get("oneOf", ()) if option.get("type") != "null"]
    parts = dict(schema.get("properties", {}))
    others = schema.get("additionalProperties")
    if len(options) == 1:
        yield from leaves(options[0], root, path)
    elif parts:
        for key, part in parts.items():
            yield from leaves(part, root, (*path, key))
    elif isinstance(others, dict) and path[-1] not in (
        "targets",
        "rules",
        "class_weights",
        "hyperparameters",
        "counts",
        "signs",
    ):
        yield from leaves(others, root, (*path, "*"))
    else:
        yield path, schema


def places(value: Any, keys: Keys) -> Iterator[tuple[Any, str]]:
    """Mappings that hold the last of some keys, and that key."""
    if not isinstance(value, dict):
        return
    for key in list(value) if keys[0] == "*" else [keys[0]]:
        if key in value and len(keys) == 1:
            yield value, key
        elif key in value:
            yield from places(value[key], keys[1:])


def changed(value: Any, schema: dict[str, Any]) -> Any:
    """Another value of the same kind."""
    if "enum" in schema and not isinstance(value, bool):
        return next(choice for choice in schema["enum"] if choice not in (value, None))
    if value is None:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        empty = {"string": "", "integer": 0, "number": 0, "array": [], "object": {}, "boolean": False}
        value = next(empty[kind] for kind in kinds if kind in empty)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "changed"
    return [*value, "changed"] if isinstance(value, list) else {**value, "changed": 1}


def all_wildcards(workflow: Any, config: dict[str, Any]) -> dict[str, list[Wildcards]]:
    """Every combination of names that the wildcards of each rule can have."""
    names = {
        "regions": list(config["regions"]),
        "database": list(workflow.globals["DATABASES"]),
        "chunk": ["0"],
        "variants": list(config["variants"]),
        "insertion": list(config["insertions"]),
        "comparison": list(config["comparisons"]),
        "source": [name for one in config["comparisons"].values() for name in one["analyses"]],
        "evolution": list(config["evolution"]),
        "contrast": list(config["contrasts"]),
        "file": ["file"],
    }
    analyses = [
        {"analysis": a, "target": t, "fold": f, "model": analysis["model"]}
        for a, analysis in config["analyses"].items()
        for t in analysis["targets"]
        for f in config["models"][analysis["model"]]["folds"]
    ]
    found = {}
    for rule in workflow.rules:
        own = [name for name in names if name in rule.wildcard_names]
        combined = set()
        for entry, rest in itertools.product(analyses, itertools.product(*(names[name] for name in own))):
            values = {**entry, **dict(zip(own, rest, strict=True))}
            combined.add(tuple((name, values[name]) for name in sorted(rule.wildcard_names)))
        found[rule.name] = [Wildcards(fromdict=dict(values)) for values in sorted(combined)]
    return found


def jobs(workflow: Any, wildcards: dict[str, list[Wildcards]]) -> dict[str, str]:
    """What the jobs of each rule get: inputs and parameters for every combination of names."""
    return {
        rule.name: repr(
            [
                [_called(value, names) for value in (*rule.params, *rule.input, *rule.output)]
                for names in wildcards[rule.name]
            ]
        )
        for rule in workflow.rules
    }


def _called(value: Any, wildcards: Wildcards) -> str:
    value = getattr(getattr(value, "_file", value), "callable", None) or value  # what `unpack` wraps
    if not callable(value):
        return repr(value)
    try:
        return repr(value(wildcards))
    except Exception as error:  # a rule that is not for this name, or a value that makes no sense
        return f"{type(error).__name__}: {error}"


def walk(workflow: Any, config: dict[str, Any], schema_path: Path, out: Path) -> None:
    """Write for each key (``a.*.b``) the rules whose jobs change with it; null where the config lacks it."""
    schema = yaml.safe_load(schema_path.read_text())
    wildcards = all_wildcards(workflow, config)
    before = jobs(workflow, wildcards)
    reached: dict[str, list[str] | None] = {}
    for keys, part in leaves(schema, schema):
        held = list(places(config, keys))
        kept = [mapping[key] for mapping, key in held]
        for mapping, key in held:
            mapping[key] = changed(mapping[key], part)
        after = jobs(workflow, wildcards) if held else before
        for (mapping, key), value in zip(held, kept, strict=True):
            mapping[key] = value
        rules = [name for name in before if before[name] != after[name] and name not in TELLERS]
        reached[".".join(keys)] = rules if held else None
    out.write_text(json.dumps(reached))
