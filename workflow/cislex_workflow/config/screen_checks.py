"""Whether the screens of a config can choose windows of its analyses. Plain Python without the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cislex_workflow.config.errors import suggestion
from cislex_workflow.config.storage_settings import region_length, stored_length


def screen_target(analysis: dict[str, Any], config: dict[str, Any]) -> str | None:
    """Target whose attributions choose the windows: the named or only one; None where that is unclear."""
    screen = analysis["screen"]
    targets = list(config["analyses"][screen["analysis"]]["targets"])
    if screen["target"] is not None:
        return str(screen["target"])
    same = [target for target in targets if target in analysis["targets"]]
    return targets[0] if len(targets) == 1 else same[0] if len(same) == 1 else None


def screen_checks(name: str, analysis: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each misfit of the screen of a complete analysis."""
    screen, known = analysis["screen"], config["analyses"]
    if screen is None:
        return
    where = f"analyses.{name}.screen"
    if analysis["attributions"]["window"] is not None:
        yield f"{where}: chooses windows, and so does attributions.window; leave out one of them"
    other = screen["analysis"]
    if other not in known:
        yield f"{where}.analysis: no '{other}' in analyses: {', '.join(known)}{suggestion(other, known)}"
    elif other == name:
        yield f"{where}.analysis: found the analysis itself; name another one, such as one with method: tism"
    elif known[other]["screen"] is not None:
        yield f"{where}.analysis: {other} has a screen itself; name an analysis of whole regions"
    else:
        yield from _pair(where, analysis, known[other], config)


def _pair(
    where: str, analysis: dict[str, Any], other: dict[str, Any], config: dict[str, Any]
) -> Iterator[str]:
    """A screen of the same regions, with one target, and windows that fit."""
    screen, method = analysis["screen"], analysis["method"]
    if other["regions"] != analysis["regions"]:
        yield (
            f"{where}.analysis: {screen['analysis']} is of regions {other['regions']}, expected "
            f"{analysis['regions']}; screen the same region set"
        )
    targets, chosen = list(other["targets"]), screen_target(analysis, config)
    if chosen is None or chosen not in targets:
        hint = "found none" if chosen is None else f"no '{chosen}'{suggestion(chosen, targets)}"
        yield f"{where}.target: {hint}; name one of the targets of {screen['analysis']}: {', '.join(targets)}"
    length = region_length(other, config)
    stored = None if length is None else stored_length(other, length)
    if stored is not None and screen["width"] > stored:
        yield (
            f"{where}.width: {screen['width']} bp, but {screen['analysis']} stores {stored} bp of each region"
        )
    if method["name"] == "ism" and (method["start"], method["end"]) != (0, None):
        yield f"{where}: ism mutates the windows that are chosen; leave out method.start and method.end"
