"""Whether the contrasts of a config can be made of its analyses. Plain Python without the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cislex_workflow.config.errors import suggestion
from cislex_workflow.config.storage_settings import comparable

SIDES = ("first", "second")


def contrast_target(side: dict[str, Any], config: dict[str, Any]) -> str:
    """Name of the target of one side: the one it names, or the first of its analysis."""
    return side["target"] or next(iter(config["analyses"][side["analysis"]]["targets"]))


def contrast_checks(config: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each misfit of a complete config."""
    for name, settings in config["contrasts"].items():
        misfits = [problem for side in SIDES for problem in _side(side, settings[side], config)]
        yield from (f"contrasts.{name}.{problem}" for problem in misfits or _pair(settings, config))


def _side(side: str, given: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    """An analysis and a target that exist."""
    known = config["analyses"]
    name, target = given["analysis"], given["target"]
    if name not in known:
        yield f"{side}.analysis: no '{name}' in analyses: {', '.join(known)}{suggestion(name, known)}"
    elif target is not None and target not in known[name]["targets"]:
        targets = list(known[name]["targets"])
        hint = suggestion(target, targets)
        yield f"{side}.target: no '{target}' in the targets of {name}: {', '.join(targets)}{hint}"


def _pair(settings: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    """Two different sides of one region set, and hits."""
    names = {side: settings[side]["analysis"] for side in SIDES}
    targets = {side: contrast_target(settings[side], config) for side in SIDES}
    regions = {side: config["analyses"][names[side]]["regions"] for side in SIDES}
    if names["first"] == names["second"] and targets["first"] == targets["second"]:
        yield f"second: found {names['second']}, target {targets['second']}, as in first; name another one"
    if regions["first"] != regions["second"]:
        yield (
            f"second: {names['first']} is of regions {regions['first']}, {names['second']} of "
            f"{regions['second']}; contrast analyses of one region set"
        )
    else:
        yield from (f"second: {problem}" for problem in comparable([*dict.fromkeys(names.values())], config))
    chosen = names[settings["hits"]]
    if config["analyses"][chosen]["hits"] is None:
        yield f"hits: analysis {chosen} has no hits; set hits: {{}} there, or take those of the other side"
