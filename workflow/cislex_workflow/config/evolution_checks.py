"""Whether the designs of a config fit its analyses. Plain Python without the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cislex_workflow.config.errors import suggestion
from cislex_workflow.config.insertion_checks import not_iupac


def evolution_checks(config: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each misfit of a complete config."""
    for name, settings in config["evolution"].items():
        where, known = f"evolution.{name}", config["analyses"]
        analysis = known.get(settings["analysis"])
        if analysis is None:
            hint = suggestion(settings["analysis"], known)
            yield f"{where}.analysis: no '{settings['analysis']}' in analyses: {', '.join(known)}{hint}"
            continue
        model = config["models"].get(analysis["model"])
        length = None if model is None else model["input_length"]
        for part in (_targets(settings, analysis), _start(settings["start"], length)):
            yield from (f"{where}.{problem}" for problem in part)
        for problem in _constraints(settings["constraints"], length):
            yield f"{where}.constraints.{problem}"
        if settings["guide"]["name"] == "deep_lift_shap" and model and model["loader"] == "torchscript":
            yield f"{where}.guide: deep_lift_shap cannot see the operations of TorchScript"


def _targets(settings: dict[str, Any], analysis: dict[str, Any]) -> Iterator[str]:
    targets = list(analysis["targets"])
    for key in ("target", "against"):
        found = settings[key]
        if found is not None and found not in targets:
            yield f"{key}: no '{found}' in the targets: {', '.join(targets)}{suggestion(found, targets)}"
    if settings["against"] == (settings["target"] or targets[0]):
        yield f"against: {settings['against']} is the target itself; name another one"


def _start(start: dict[str, Any], length: int | None) -> Iterator[str]:
    """Keys that go with the kind, and a composition as long as the model's input."""
    kind = start["kind"]
    if (kind == "fasta") != (start["fasta"] is not None):
        yield "start.fasta: required with kind: fasta and only valid there"
    if start["rows"] is not None and kind != "regions":
        yield f"start.rows: only valid with kind: regions, not {kind}"
    if start["n"] is None and kind == "random":
        yield "start.n: null is not valid with kind: random"
    if start["composition"] is not None:
        total = sum(start["composition"].values())
        if kind != "random":
            yield f"start.composition: only valid with kind: random, not {kind}"
        elif length not in (None, total):
            yield f"start.composition: the counts make {total} bp, and the model takes {length} bp"


def _constraints(settings: dict[str, Any], length: int | None) -> Iterator[str]:
    """Limits that leave something to edit."""
    low, high = settings["gc"]
    if low > high:
        yield f"gc: found [{low:g}, {high:g}]; expected the smaller share first"
    for text in settings["forbidden"]:
        if found := not_iupac(text):
            yield f"forbidden: found {found}; expected letters of IUPAC, and not N alone"
    kept: set[int] = set()
    for start, end in settings["keep"]:
        if start >= end or (length is not None and end > length):
            yield f"keep: found [{start}, {end}]; expected 0 <= start < end <= {length}"
        else:
            kept.update(range(start, end))
    if length is not None and len(kept) == length:
        yield f"keep: all {length} positions are kept, so no edit is allowed"
