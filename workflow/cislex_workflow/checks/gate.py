"""Check earlier inspections against the current quality gate, before the first job.

Asked here and not by a rule: an inspection that depended on the gate would run again with every change of
it, and after it every attribution. Plain Python without the package.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def problems(config: Mapping[str, Any], planned: Iterable[tuple[str, str]]) -> list[str]:
    """Analyses whose attributions would be stopped by the gate in the end, a sentence each.

    Parameters
    ----------
    config
        The complete config.
    planned
        Rule and analysis of each planned job of ``inspect_model`` and ``attribute_chunk``.
    """
    jobs = set(planned)
    # What is inspected in this run is compared with the gate there, before its attribution.
    waiting = {name for rule, name in jobs if rule == "attribute_chunk"}
    waiting -= {name for rule, name in jobs if rule == "inspect_model"}
    found = []
    for name in sorted(waiting):
        gate = config["analyses"][name]["qc"]
        limit = gate["max_relative_delta"]
        over = {
            target: delta
            for target, delta in read_deltas(Path(config["results"]) / name / "inspection.tsv").items()
            if delta > limit
        }
        if over and gate["on_fail"] == "error":
            target = max(over, key=lambda key: over[key])
            found.append(
                f"analyses.{name}.qc.max_relative_delta is {limit:g}, and its inspection found "
                f"{over[target]:.1e} for {target} on random sequences: nothing was started. Raise the "
                "limit, set qc.on_fail to drop or keep, or use precision: float64"
            )
    return found


def read_deltas(path: Path) -> dict[str, float]:
    """Largest relative delta of each target over folds, from an inspection; empty where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return {}
    found: dict[str, float] = {}
    for row in csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row.get("section") == "delta":
            found[row["name"]] = max(found.get(row["name"], 0.0), float(row["value"]))
    return found
