"""Figures of a comparison of methods: agreement of every pair, and logos of one region below each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from cislex.report.facts import shortened
from cislex.report.figures.heat_map import LENGTH, LETTER, ROW
from cislex.report.figures.logos import LEFT, RIGHT, logo_parts
from cislex.report.figures.logos import WIDTH as LOGO_WIDTH
from cislex.report.figures.svg import ALARM, GRID, INK, MAIN, SOFT, Scale, figure, rectangle, text

#: Width of a cell, of a column of a heat map, and height of a logo with its name.
STEP, LOGO, GAP = 46.0, 56.0, 18.0


def agreement_map(
    values: NDArray[np.float64], names: Sequence[str], *, titles: Sequence[Sequence[str]], label: str
) -> Markup:
    """Draw correlations of every two methods; blue above 0, red below, empty where there is none.

    Parameters
    ----------
    values
        float64 (n, n), -1 to 1; NaN: none.
    names
        Of the methods; long ones are cut.
    titles
        What each cell says under the pointer.
    label
        What the figure shows.
    """
    wide = LETTER * min(max(map(len, names), default=0), LENGTH)
    left, top = 14 + wide, 14 + 0.75 * wide
    parts = []
    for number, name in enumerate(names):
        x, y = left + STEP * (number + 0.5), top - 6
        turn = f' transform="rotate(-50 {x:.1f} {y:.1f})"'
        parts.append(text(x, y, shortened(name, LENGTH), fill=SOFT, size=11, extra=turn))
        parts.append(text(left - 6, top + ROW * number + 14, shortened(name, LENGTH), anchor="end", size=12))
    for (row, column), value in np.ndenumerate(values):
        x, y = left + STEP * column, top + ROW * row
        parts.append(f"<g><title>{escape(titles[row][column])}</title>")
        parts.append(rectangle(x + 1, y + 1, STEP - 2, ROW - 2, fill=GRID, extra=' fill-opacity="0.35"'))
        if np.isfinite(value):
            extra = f' fill-opacity="{0.85 * abs(value):.2f}"'
            fill = MAIN if value > 0 else ALARM
            parts.append(rectangle(x + 1, y + 1, STEP - 2, ROW - 2, fill=fill, extra=extra))
            written, ink = f"{value:.2f}".replace("-", "−"), "#fff" if abs(value) > 0.6 else INK
            parts.append(text(x + STEP / 2, y + 14, written, anchor="middle", fill=ink, size=11))
        parts.append("</g>")
    width, height = left + STEP * len(names) + 0.6 * wide, top + ROW * len(names) + 6
    css = "chart" if width <= 560 else "region"
    return figure(parts, width=round(width), height=round(height), label=label, css=css)


def stacked_logos(
    logos: Sequence[tuple[str, NDArray[np.float32]]], onehot: NDArray[np.uint8], *, label: str
) -> Markup:
    """Draw contributions of several methods to the same bases, each on its own scale.

    Parameters
    ----------
    logos
        Name and contributions (W,) of each method.
    onehot
        The bases, uint8 (4, W).
    label
        What the figure shows.
    """
    x, top, parts = Scale(0, onehot.shape[1], LEFT, LOGO_WIDTH - RIGHT), 0.0, []
    for name, values in logos:
        parts.append(text(LEFT, top + GAP - 5, name, fill=INK, size=11))
        parts += logo_parts(values, onehot, x, top + GAP, top + GAP + LOGO)
        top += GAP + LOGO + 4
    return figure(parts, width=LOGO_WIDTH, height=top + 4, label=label, css="region")
