"""What an analysis stores of its attributions. Plain Python without the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def region_length(analysis: dict[str, Any], config: dict[str, Any]) -> int | None:
    """Length of the regions of an analysis in bp; None where its regions or model do not exist."""
    regions, model = config["regions"].get(analysis["regions"]), config["models"].get(analysis["model"])
    return None if regions is None or model is None else regions["length"] or model["input_length"]


def stored_window(analysis: dict[str, Any], length: int) -> tuple[int, int] | None:
    """Columns ``[start, end)`` of regions of a length that are stored; None: all."""
    window = (analysis.get("attributions") or {}).get("window")
    if window is None:
        return None
    if isinstance(window, int):
        start = (length - window) // 2
        return start, start + window
    return window[0], window[1]


def stored_length(analysis: dict[str, Any], length: int) -> int:
    """Columns of each row that is stored, of regions of a length."""
    if analysis.get("screen"):
        return min(int(analysis["screen"]["width"]), length)
    window = stored_window(analysis, length)
    return length if window is None else window[1] - window[0]


def stored_rows(analysis: dict[str, Any], regions: int) -> int:
    """Rows that are stored of so many regions, at most."""
    screen = analysis.get("screen")
    return regions if not screen else min(regions, screen["regions"] or regions) * int(screen["top"])


def storage_checks(name: str, analysis: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each misfit of what an analysis stores."""
    length = region_length(analysis, config)
    if length is not None:
        misfits = list(_window_checks(f"analyses.{name}.attributions", analysis, length))
        yield from misfits
        if not misfits:
            yield from _keep_checks(f"analyses.{name}.attributions", analysis, length)


def _keep_checks(where: str, analysis: dict[str, Any], length: int) -> Iterator[str]:
    """The largest contributions alone are stored: fewer than there are, and nothing that needs the others."""
    keep, stored = analysis["attributions"]["keep"], stored_length(analysis, length)
    if keep is None:
        return
    if keep >= stored:
        yield f"{where}.keep: {keep} of {stored} stored positions; expected fewer, or null"
    needing = [part for part in ("motifs", "hits", "seqlets") if analysis[part] is not None]
    if needing:
        yield (
            f"{where}.keep: {' and '.join(needing)} judge contributions by all others, of which keep stores "
            f"zeros; set {', '.join(f'{part}: null' for part in needing)}, or store a window in place of keep"
        )


def _window_checks(where: str, analysis: dict[str, Any], length: int) -> Iterator[str]:
    """A window that lies in the regions, and is what ISM mutates."""
    window = analysis["attributions"]["window"]
    if window is None:
        return
    start, end = stored_window(analysis, length) or (0, length)
    if not 0 <= start < end <= length:
        yield (
            f"{where}.window: {window} of regions of {length} bp; expected a number of central bp up to "
            f"{length}, or [start, end] with 0 <= start < end <= {length}"
        )
        return
    method = analysis["method"]
    given = (method["start"], method["end"] or length)
    if method["name"] == "ism" and given not in ((0, length), (start, end)):
        yield (
            f"{where}.window: stores [{start}, {end}), but method.start and method.end let ism mutate "
            f"[{given[0]}, {given[1]}); leave out method.start and method.end"
        )


def comparable(names: list[str], config: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence where analyses of one region set do not store all of the same columns."""
    stored = {}
    for name in names:
        analysis = config["analyses"][name]
        if analysis["screen"] is not None:
            yield f"{name} stores windows that a screen chose, each where its own region has it"
        if analysis["attributions"]["keep"] is not None:
            yield f"{name} stores only its largest contributions (attributions.keep), expected all of them"
        length = region_length(analysis, config)
        stored[name] = None if length is None else stored_window(analysis, length) or (0, length)
    first = names[0]
    for name in names[1:]:
        if None not in (stored[first], stored[name]) and stored[name] != stored[first]:
            (a, b), (c, d) = stored[first] or (0, 0), stored[name] or (0, 0)
            yield (
                f"{first} stores [{a}, {b}) of each region, {name} [{c}, {d}); set the same "
                "attributions.window"
            )
