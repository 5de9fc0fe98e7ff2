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
    """Columns that are stored of each region of a length."""
    window = stored_window(analysis, length)
    return length if window is None else window[1] - window[0]


def storage_checks(name: str, analysis: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each misfit of what an analysis stores."""
    length, window = region_length(analysis, config), analysis["attributions"]["window"]
    where = f"analyses.{name}.attributions.window"
    if length is None or window is None:
        return
    start, end = stored_window(analysis, length) or (0, length)
    if not 0 <= start < end <= length:
        yield (
            f"{where}: {window} of regions of {length} bp; expected a number of central bp up to {length}, "
            f"or [start, end] with 0 <= start < end <= {length}"
        )
        return
    method = analysis["method"]
    given = (method["start"], method["end"] or length)
    if method["name"] == "ism" and given not in ((0, length), (start, end)):
        yield (
            f"{where}: stores [{start}, {end}), but method.start and method.end let ism mutate "
            f"[{given[0]}, {given[1]}); leave out method.start and method.end"
        )


def comparable(names: list[str], config: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence where analyses of one region set do not store the same columns."""
    stored = {}
    for name in names:
        analysis = config["analyses"][name]
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
