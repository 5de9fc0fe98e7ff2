"""One rule for every path of a config.

``~`` and ``$NAME`` are the home folder and variables of the environment, ``{results}`` and ``{project}``
stand for folders, ``./`` and doubled slashes are left out, and what is relative starts in the working folder.
Blanks are allowed inside, other braces nowhere: Snakemake reads them as wildcards. Plain Python without the
package.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

from cislex_workflow.config.schema_parts import below, options

#: What a path may name in braces.
PLACEHOLDERS = ("{results}", "{project}")
#: Bytes of a file's name and of a path, at most, as Linux has them.
MOST_NAME, MOST_PATH = 255, 4095
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def expand(path: str) -> str:
    """Return a path by the rule of this module.

    Raises
    ------
    ValueError
        With what is wrong with the path.
    """
    if path != path.strip() or not path.isprintable():
        raise ValueError(f"{path!r} starts or ends with a blank, or contains a line break or tab")

    def variable(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise ValueError(f"{path}: environment variable {name} is not set")
        return os.environ[name]

    found = _VARIABLE.sub(variable, path)
    if found.startswith("~"):
        found = os.path.expanduser(found)
        if found.startswith("~"):
            raise ValueError(f"{path}: no home folder for {found.split('/')[0]}")
    rest = found
    for name in PLACEHOLDERS:
        rest = rest.replace(name, "")
    if "{" in rest or "}" in rest:
        raise ValueError(
            f"{path}: braces are only allowed in {' and '.join(PLACEHOLDERS)} (Snakemake reads others as "
            "wildcards): correct the path, or rename the file"
        )
    size = max(len(os.fsencode(part)) for part in found.split("/"))
    if size > MOST_NAME or len(os.fsencode(found)) > MOST_PATH:
        raise ValueError(
            f"{found[:40]}…: the path is too long: a name has at most {MOST_NAME} bytes (here {size}), a "
            f"path {MOST_PATH}"
        )
    return plain(found)


def plain(path: str) -> str:
    """Leave out ``./``, doubled slashes and a slash at the end; ``..`` stays (it may follow a link)."""
    if "://" in path:
        return path
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(parts) or "."


def expand_all(config: dict[str, Any], schema: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """Return a config with every path expanded; paths are what the schema gives the format ``path``.

    Parameters
    ----------
    config
        The config.
    schema
        Its schema.
    problems
        Receives a line for each path that is wrong.
    """
    found: dict[str, Any] = _expanded(config, list(options(schema, schema)), schema, "", problems)
    if "{results}" in found.get("results", ""):
        problems.append("results: {results} refers to this folder itself")
    return found


def _expanded(
    value: Any, schemas: list[dict[str, Any]], root: dict[str, Any], where: str, problems: list[str]
) -> Any:
    if isinstance(value, dict):
        return {
            key: _expanded(entry, below(schemas, key, root), root, f"{where}.{key}".strip("."), problems)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        items = [part for schema in schemas if "items" in schema for part in options(schema["items"], root)]
        return [_expanded(entry, items, root, f"{where}.{n}", problems) for n, entry in enumerate(value)]
    if not isinstance(value, str) or not any(schema.get("format") == "path" for schema in schemas):
        return value
    try:
        return expand(value)
    except ValueError as error:
        problems.append(f"{where}: {error}")
        return value


def folder_problem(project: Path, python: str) -> str | None:
    """Why jobs could not begin in the folders in which cislex and Python lie, or None.

    Snakemake starts Python unquoted (https://github.com/snakemake/snakemake/issues/2645).
    """
    if shlex.quote(python) != python:
        return (
            f"Snakemake needs a Python whose path has no blanks, but this is {python}. Put the environment "
            "elsewhere (make … VENV=/path/without/blanks), or move the clone"
        )
    if set("{}") & set(str(project)):
        return f"cislex is in {project}, and Snakemake reads braces in paths as wildcards; move the clone"
    return None
