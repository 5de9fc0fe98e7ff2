"""Read the config: sheets, placeholders, defaults and validation, with messages that help.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from cislex_workflow.config.cross_checks import cross_checks, notices
from cislex_workflow.config.errors import ConfigurationError, suggestion
from cislex_workflow.config.model_settings import (
    held_out_array,
    held_out_chromosomes,
    model_files,
    model_options,
    training_head,
    training_source,
)
from cislex_workflow.config.motif_settings import JASPAR
from cislex_workflow.config.paths import expand, expand_all
from cislex_workflow.config.reference_settings import fill_reference_defaults
from cislex_workflow.config.schema import fill_defaults, problems, without_nulls
from cislex_workflow.config.sheets import read_sheet
from cislex_workflow.config.track_targets import resolve_tracks
from cislex_workflow.config.types import typed, untyped
from cislex_workflow.config.unused_keys import unused_keys
from cislex_workflow.config.yaml_files import Loader

__all__ = [
    "JASPAR", "ConfigurationError", "Summarised", "held_out_array", "held_out_chromosomes", "model_files",
    "model_options", "notices", "read_sheet", "replace", "resolve", "suggestion", "training_head",
    "training_source",
]  # fmt: skip

#: Sections that may be the path of a TSV sheet instead of a mapping.
SHEETS = ("regions", "models", "analyses")


class Summarised(dict[str, Any]):
    """A mapping that is shown as its digest, so that a plan which names it stays short.

    Snakemake tells by what a parameter shows whether it changed. Jobs get a plain dict.
    """

    def __repr__(self) -> str:
        text = json.dumps(self, ensure_ascii=False)  # in the order of the keys, which the snapshot keeps
        return f"digest {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"

    __str__ = __repr__

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


def resolve(
    config: dict[str, Any], schema_path: Path, *, given: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the complete config: sheets read, defaults filled, placeholders replaced, validated.

    Parameters
    ----------
    config
        The config as read from YAML; not changed.
    schema_path
        The JSON schema (YAML).
    given
        What the command line gave as ``--config``, where Snakemake types no value inside of a mapping.

    Returns
    -------
    dict
        A config that, written to a file, gives the same run.

    Raises
    ------
    ConfigurationError
        With every problem found, one a line.
    """
    schema = yaml.load(schema_path.read_text(encoding="utf-8"), Loader=Loader)
    resolved = untyped(
        copy.deepcopy(dict(config)), {key: v for key, v in (given or {}).items() if not isinstance(v, str)}
    )
    for section in SHEETS:
        if isinstance(resolved.get(section), str):
            path = _sheet_path(resolved[section], section)
            # The project lies three folders above its schema.
            path = path.replace("{project}", str(schema_path.resolve().parents[2]))
            resolved[section] = read_sheet(Path(path), section)
    resolved = without_nulls(typed(resolved, schema, schema), schema, schema)
    _refuse(problems(resolved, schema))
    for analysis in resolved["analyses"].values():
        hits = analysis.get("hits")
        if hits is None or hits.get("database") is not None:
            # On by default for hits of words; collections of known motifs have too many pairs.
            analysis.setdefault("syntax", None)
    fill_defaults(resolved, schema, schema)
    wrong: list[str] = []
    resolved = expand_all(resolved, schema, wrong)
    _refuse(wrong)
    for regions in resolved["regions"].values():
        direct = regions["peaks"] is None
        if regions["deduplicate"] == "auto":
            regions["deduplicate"] = "none" if direct else "exact"
        if regions["max_unknown"] is None:
            regions["max_unknown"] = 1.0 if direct else 0.1
    for analysis in resolved["analyses"].values():
        fill_reference_defaults(analysis["method"]["references"])
    resolved = replace(resolved, "{results}", resolved["results"])
    project = schema_path.resolve().parents[2]
    _refuse(resolve_tracks(resolved, lambda path: Path(path.replace("{project}", str(project)))))
    _refuse(problems(resolved, schema))  # names of targets that were made from those of tracks
    _refuse([*cross_checks(resolved), *unused_keys(resolved, schema)])
    return resolved


def _sheet_path(path: str, section: str) -> str:
    try:
        return expand(path)
    except ValueError as error:
        raise ConfigurationError(f"{section}: {error}") from None


def _refuse(found: Iterable[str]) -> None:
    lines = list(found)
    if lines:
        raise ConfigurationError("\n  ".join(["invalid config:", *lines]))


def replace(value: Any, old: str, new: str) -> Any:
    """Replace text in every string of nested lists and mappings."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [replace(item, old, new) for item in value]
    if isinstance(value, dict):
        return {key: replace(item, old, new) for key, item in value.items()}
    return value
