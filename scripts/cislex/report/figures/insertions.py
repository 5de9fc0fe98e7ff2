"""Figures of in-silico experiments: effects of motifs with intervals, and of a pair at each distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from cislex.report.facts import shortened
from cislex.report.figures.svg import (
    GRID,
    INK,
    LETTER,
    MAIN,
    ROW,
    SECOND,
    SOFT,
    Scale,
    figure,
    line,
    nice_ticks,
    short,
    text,
)
from cislex.report.figures.syntax import ARROWS, LENGTH

Floats = NDArray[np.float64]

WIDTH, LEFT, PANEL, GAP = 560, 112, 62, 14


@dataclass(frozen=True)
class Dot:
    """An effect with its interval; ``strong`` ones are filled."""

    effect: float
    low: float
    high: float
    strong: bool
    title: str


@dataclass(frozen=True)
class Distances:
    """A pair in one orientation: distances, effects with intervals, expectation, and which ones differ."""

    distance: Floats
    effect: Floats
    low: Floats
    high: Floats
    expected: Floats
    called: NDArray[np.bool_]


def effect_plot(rows: Sequence[tuple[str, Sequence[Dot]]], *, label: str) -> Markup:
    """Draw the effects of motifs, one row each; the dots of a row are the strands.

    Parameters
    ----------
    rows
        Name of each motif and its dots.
    label
        What the axis shows.
    """
    shown = [shortened(name, LENGTH) for name, _ in rows]
    left = 16 + 1.1 * LETTER * max(map(len, shown), default=0)
    ends = [end for _, dots in rows for dot in dots for end in (dot.low, dot.high, 0.0)]
    room = 0.04 * (max(ends) - min(ends)) or 1.0
    x = Scale(min(ends) - room, max(ends) + room, left, max(left + 240, WIDTH - 16))
    bottom = 8 + ROW * len(rows)
    parts = []
    for tick in nice_ticks(x.low, x.high, count=5):
        parts.append(line(x(tick), 4, x(tick), bottom, stroke=GRID))
        parts.append(text(x(tick), bottom + 16, _signed(tick), anchor="middle", fill=SOFT, size=11))
    parts.append(line(x(0), 4, x(0), bottom, stroke=INK))
    for row, (name, (_, dots)) in enumerate(zip(shown, rows, strict=True)):
        middle = 8 + ROW * row + ROW / 2
        parts.append(text(left - 8, middle + 4, name, anchor="end"))
        for place, dot in enumerate(dots):
            y = middle + 8 * (place - (len(dots) - 1) / 2)
            colour = (MAIN, SECOND)[place % 2]
            parts.append(line(x(dot.low), y, x(dot.high), y, stroke=colour, extra=' stroke-width="1.6"'))
            fill = colour if dot.strong else "#fff"
            parts.append(
                f'<circle cx="{x(dot.effect):.1f}" cy="{y:.1f}" r="3.4" fill="{fill}" stroke="{colour}" '
                f'stroke-width="1.4"><title>{escape(dot.title)}</title></circle>'
            )
    parts.append(text((x.start + x.stop) / 2, bottom + 36, label, anchor="middle"))
    return figure(parts, width=x.stop + 16, height=bottom + 44, label="Effects of single motifs")


def distance_chart(series: Mapping[str, Distances], *, first: str, second: str, label: str) -> Markup:
    """Draw the effect of a pair against its distance, one panel for each orientation.

    Parameters
    ----------
    series
        The pair in each orientation.
    first, second
        Names of both motifs.
    label
        What the vertical axes show.
    """
    ends = np.concatenate([np.concatenate([one.low, one.high, one.expected]) for one in series.values()])
    low, high = min(0.0, float(ends.min())), max(0.0, float(ends.max()))
    room = 0.06 * (high - low) or 1.0
    reach = np.concatenate([one.distance for one in series.values()])
    x = Scale(float(reach.min()) - 2, float(reach.max()) + 2, LEFT, WIDTH - 14)
    parts, top = [], 8.0
    for orientation, one in series.items():
        y = Scale(low - room, high + room, top + PANEL, top)
        for tick in _two_ticks(y):
            parts.append(line(x.start, y(tick), x.stop, y(tick), stroke=SOFT if tick == 0 else GRID))
            parts.append(text(x.start - 6, y(tick) + 4, _signed(tick), anchor="end", fill=SOFT, size=11))
        parts.append(text(44, top + PANEL / 2 + 5, ARROWS[orientation], anchor="middle", size=14))
        parts += _series(one, x, y)
        top += PANEL + GAP
    bottom = top - GAP + 2
    for tick in nice_ticks(x.low, x.high, count=6):
        parts.append(line(x(tick), bottom, x(tick), bottom + 4))
        parts.append(text(x(tick), bottom + 16, f"{tick:g}", anchor="middle", fill=SOFT, size=11))
    parts.append(text((x.start + x.stop) / 2, bottom + 34, "distance between centres (bp)", anchor="middle"))
    middle = (8 + top - GAP) / 2
    said = shortened(label, max(12, int((top - GAP) / LETTER)))
    parts.append(text(14, middle, said, anchor="middle", extra=f' transform="rotate(-90 14 {middle:.1f})"'))
    named = f"{label.capitalize()} of {first} and {second} at each distance"
    return figure(parts, width=WIDTH, height=bottom + 42, label=named)


def _series(one: Distances, x: Scale, y: Scale) -> list[str]:
    """Expectation, band and effects of one orientation."""
    if len(one.distance) == 0:
        return []
    there = [f"{x(d):.1f},{y(v):.1f}" for d, v in zip(one.distance, one.high, strict=True)]
    back = [f"{x(d):.1f},{y(v):.1f}" for d, v in zip(one.distance[::-1], one.low[::-1], strict=True)]
    parts = [f'<polygon points="{" ".join(there + back)}" fill="{MAIN}" fill-opacity="0.18"/>']
    for values, colour, extra in ((one.expected, SECOND, ' stroke-dasharray="5 3"'), (one.effect, MAIN, "")):
        points = " ".join(f"{x(d):.1f},{y(v):.1f}" for d, v in zip(one.distance, values, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"{extra}/>')
    for distance, effect, low, high, called in zip(
        one.distance, one.effect, one.low, one.high, one.called, strict=True
    ):
        if len(one.distance) == 1:
            parts.append(line(x(distance), y(low), x(distance), y(high), stroke=MAIN))
        if called:
            parts.append(f'<circle cx="{x(distance):.1f}" cy="{y(effect):.1f}" r="2.8" fill="{MAIN}"/>')
    return parts


def _two_ticks(y: Scale) -> list[float]:
    """Few round numbers of a low panel, but at least two."""
    found = (nice_ticks(y.low, y.high, count=count) for count in (3, 4, 6))
    return next((ticks for ticks in found if len(ticks) > 1), nice_ticks(y.low, y.high, count=8))


def _signed(value: float) -> str:
    return short(value).replace("-", "−")
