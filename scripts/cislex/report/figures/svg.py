"""Small vector figures: axes, histogram, curves. Plain SVG text, so that the page stays light and sharp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from cislex.report.facts import decimals, power_of_ten, setting

INK, SOFT, GRID, MAIN, SECOND, ALARM = "#222", "#666", "#e4e4e4", "#31688e", "#d95f02", "#b2182b"
WIDTH, HEIGHT = 560, 240
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 26, 46

#: Height of a row and width of a letter in figures of rows, and letters of a name that are shown.
ROW, LETTER, NAME_SHOWN = 20, 7.0, 44

#: Deltas below this are drawn at it: float32 cannot tell them from zero.
DELTA_FLOOR = 1e-10


@dataclass(frozen=True)
class Scale:
    """Linear map of ``low..high`` to pixels ``start..stop``."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.stop - self.start)


def text(
    x: float,
    y: float,
    content: object,
    *,
    anchor: str = "start",
    fill: str = INK,
    size: int = 12,
    extra: str = "",
) -> str:
    """One line of text, escaped."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" font-size="{size}"{extra}>'
        f"{escape(str(content))}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, *, stroke: str = SOFT, extra: str = "") -> str:
    """One straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"{extra}/>'


def rectangle(x: float, y: float, width: float, height: float, *, fill: str, extra: str = "") -> str:
    """One upright rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{extra}/>'


def figure(parts: Sequence[str], *, width: float, height: float, label: str, css: str = "chart") -> Markup:
    """Wrap the parts in an ``svg`` element that names itself to screen readers.

    It shrinks with the page, down to the least width of its class, but never grows beyond its own.
    """
    return Markup(
        f'<svg class="{css}" style="--width:{width:g}px" viewBox="0 0 {width:g} {height:g}" role="img"'
        f' aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def nice_ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Round numbers (1, 2, 5 × 10ⁿ apart) that cover the range from inside."""
    if not high > low:
        return [low]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def short(value: float) -> str:
    """Write a tick label: as few of four digits as tell it apart; never ``7.633e+04``."""
    if abs(value) < 1e-12:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if not -4 <= size <= 8:
        return power_of_ten(value, 3).replace(".00×", "×")
    text = decimals(value, max(3 - size, 0))
    return text.rstrip("0").rstrip(".") if "." in text else text


def axes(
    x: Scale, y: Scale, *, x_label: str, y_label: str, x_ticks: Sequence[tuple[float, str]]
) -> list[str]:
    """Axis lines, grid, ticks and labels of a chart."""
    parts = []
    for tick in nice_ticks(y.low, y.high, count=4):
        parts.append(line(x.start, y(tick), x.stop, y(tick), stroke=GRID))
        parts.append(text(x.start - 6, y(tick) + 4, short(tick), anchor="end", fill=SOFT, size=11))
    parts.append(line(x.start, y.start, x.stop, y.start, stroke=SOFT))
    for value, label in x_ticks:
        parts.append(line(x(value), y.start, x(value), y.start + 4))
        parts.append(text(x(value), y.start + 17, label, anchor="middle", fill=SOFT, size=11))
    parts.append(text((x.start + x.stop) / 2, y.start + 36, x_label, anchor="middle"))
    middle = (y.start + y.stop) / 2
    parts.append(
        text(14, middle, y_label, anchor="middle", extra=f' transform="rotate(-90 14 {middle:.1f})"')
    )
    return parts


def delta_histogram(deltas: NDArray[np.float64], *, limit: float | None) -> Markup:
    """Histogram of relative deltas on a log10 axis, with the limit as a line.

    Parameters
    ----------
    deltas
        (N,) float64, finite, ≥ 0; N ≥ 1.
    limit
        Largest delta that passes.
    """
    logs = np.log10(np.maximum(deltas, DELTA_FLOOR))
    top = max(float(logs.max()), math.log10(limit) if limit else -np.inf)
    low, high = math.floor(float(logs.min())), math.ceil(top + 0.2)
    bins = min(60, max(8, (high - low) * 6))
    counts, edges = np.histogram(logs, bins=bins, range=(low, high))
    x = Scale(low, high, LEFT, WIDTH - RIGHT)
    y = Scale(0, float(counts.max()) * 1.08, HEIGHT - BOTTOM, TOP)
    step = max(1, math.ceil((high - low) / 8))
    ticks = [
        (e, ("≤" if 10.0**e <= DELTA_FLOOR else "") + power_of_ten(10.0**e))
        for e in range(low, high + 1, step)
    ]
    parts = axes(x, y, x_label="largest relative delta of a region", y_label="regions", x_ticks=ticks)
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            over = limit is not None and left >= math.log10(limit) - 1e-9
            width, colour = max(x(right) - x(left) - 1, 1), ALARM if over else MAIN
            parts.append(rectangle(x(left), y(count), width, y.start - y(count), fill=colour))
    if limit:
        at = x(math.log10(limit))
        parts.append(line(at, TOP - 8, at, y.start, stroke=ALARM, extra=' stroke-dasharray="5 3"'))
        parts.append(text(at - 5, TOP - 8, f"limit {setting(limit)}", anchor="end", fill=ALARM))
    return figure(parts, width=WIDTH, height=HEIGHT, label="Histogram of relative deltas")


def curves(
    xs: NDArray[np.float64],
    series: Sequence[tuple[str, NDArray[np.float64]]],
    *,
    kept: tuple[int, str],
    label: str,
) -> Markup:
    """Draw losses against epochs; the epoch that was kept is marked on the last series.

    Parameters
    ----------
    xs
        (E,) epochs.
    series
        Name and (E,) values; NaN leaves a gap.
    kept
        Index of that epoch, and why it was kept.
    label
        What the figure shows.
    """
    values = np.concatenate([ys for _, ys in series])
    values = values[np.isfinite(values)]
    spread = float(np.ptp(values)) or 1.0
    x = Scale(float(xs.min()), float(xs.max()), LEFT, WIDTH - RIGHT)
    y = Scale(float(values.min()) - 0.05 * spread, float(values.max()) + 0.05 * spread, HEIGHT - BOTTOM, TOP)
    whole = [t for t in nice_ticks(x.low, x.high, count=6) if t == int(t)] or [x.low]
    parts = axes(x, y, x_label="epoch", y_label="loss", x_ticks=[(t, short(t)) for t in whole])
    for index, (name, ys) in enumerate(series):
        colour = (MAIN, SECOND)[index % 2]
        known = np.isfinite(ys)
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(xs[known], ys[known], strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(
            text(WIDTH - RIGHT - 110 * (len(series) - index) + 100, 14, name, anchor="end", fill=colour)
        )
    epoch, why = kept
    if np.isfinite(series[-1][1][epoch]):
        parts.append(
            f'<circle cx="{x(xs[epoch]):.1f}" cy="{y(series[-1][1][epoch]):.1f}" r="4" fill="{SECOND}">'
            f"<title>{escape(why)}</title></circle>"
        )
    return figure(parts, width=WIDTH, height=HEIGHT, label=label)
