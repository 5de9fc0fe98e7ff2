"""Small histograms, each one path."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from cislex.report.facts import count
from cislex.report.figures.svg import GRID, MAIN, SOFT, Scale, figure, line, nice_ticks, short, text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 300.0, 130.0, 44.0, 10.0, 10.0, 36.0
BINS = 40


def histogram(
    values: NDArray[np.floating],
    *,
    x_label: str,
    label: str,
    limits: tuple[float, float] | None = None,
    marked: float | None = None,
) -> Markup:
    """Draw how often values occur.

    Parameters
    ----------
    values
        (N,) finite; N ≥ 1.
    x_label, label
        Of the axis, and what the figure shows, for screen readers.
    limits
        Of the axis; None: those of the values.
    marked
        A value with a dashed line; None: none.
    """
    low, high = limits or (float(values.min()), float(values.max()))
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(values, bins=BINS, range=(low, high))
    x = Scale(low, high, LEFT, WIDTH - RIGHT)
    y = Scale(0, float(counts.max()) or 1.0, HEIGHT - BOTTOM, TOP)
    step = (x.stop - x.start) / BINS
    path = "".join(f"V{y(float(n)):.1f}h{step:.2f}" for n in counts)
    parts = []
    for tick in nice_ticks(0, y.high, count=2):
        parts.append(line(x.start, y(tick), x.stop, y(tick), stroke=GRID))
        parts.append(text(x.start - 5, y(tick) + 4, short(tick), anchor="end", fill=SOFT, size=10))
    parts.append(f'<path d="M{x.start:.1f} {y.start:.1f}{path}V{y.start:.1f}Z" fill="{MAIN}"/>')
    parts.append(line(x.start, y.start, x.stop, y.start, stroke=SOFT))
    if marked is not None:
        at = x(marked)
        parts.append(line(at, TOP, at, y.start, stroke=SOFT, extra=' stroke-dasharray="4 3"'))
    for tick in nice_ticks(low, high, count=4):
        parts.append(text(x(tick), y.start + 14, short(tick), anchor="middle", fill=SOFT, size=10))
    parts.append(text((x.start + x.stop) / 2, HEIGHT - 6, x_label, anchor="middle", size=11))
    return figure(parts, width=WIDTH, height=HEIGHT, label=f"{label}: {count(len(values), 'value')}")
