"""Figures of a comparison of methods: agreement of every pair, and logos of one region below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from cislex.report.facts import shortened
from cislex.report.figures.logos import LEFT, RIGHT, logo_parts
from cislex.report.figures.logos import WIDTH as LOGO_WIDTH
from cislex.report.figures.svg import (
    ALARM,
    GRID,
    INK,
    LETTER,
    MAIN,
    NAME_SHOWN,
    ROW,
    SOFT,
    Scale,
    figure,
    line,
    rectangle,
    text,
)

#: Width of a cell and of a panel of curves, height of a logo and of its name.
STEP, PANEL, LOGO, GAP = 46.0, 420.0, 56.0, 18.0

Floats = NDArray[np.float64]


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
    wide = LETTER * min(max(map(len, names), default=0), NAME_SHOWN)
    left, top = 14 + wide, 14 + 0.75 * wide
    parts = []
    for number, name in enumerate(names):
        x, y = left + STEP * (number + 0.5), top - 6
        turn = f' transform="rotate(-50 {x:.1f} {y:.1f})"'
        parts.append(text(x, y, shortened(name, NAME_SHOWN), fill=SOFT, size=11, extra=turn))
        parts.append(
            text(left - 6, top + ROW * number + 14, shortened(name, NAME_SHOWN), anchor="end", size=12)
        )
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


def curve_panels(
    panels: Mapping[str, Mapping[str, tuple[Floats, Floats]]], *, chance: str, label: str
) -> Markup:
    """Draw curves in panels side by side, against the share of bases on a log scale.

    Parameters
    ----------
    panels
        By what the panel shows, the share of bases (K,) and the share of the way (K,) of each analysis.
    chance
        The name of bases in random order, which is dashed.
    label
        What the figure shows.
    """
    parts = []
    values = [curve for panel in panels.values() for curve in panel.values()]
    least = min((float(share[share > 0].min()) for share, _ in values), default=0.01)
    ends = [float(end) for _, way in values for end in (way.min(), way.max())]
    for number, (kind, panel) in enumerate(panels.items()):
        x = Scale(np.log10(least), 0, 56 + PANEL * number, PANEL * (number + 1))
        y = Scale(min(0.0, *ends), max(1.0, *ends), 240, 24)
        parts.append(text(x.start, 14, kind, fill=INK, size=12))
        for tick in (0, 0.5, 1):
            parts.append(line(x.start, y(tick), x.stop, y(tick), stroke=GRID))
            parts.append(text(x.start - 6, y(tick) + 4, f"{tick:g}", anchor="end", fill=SOFT, size=11))
        for percent in (p for p in (0.1, 1, 10, 100) if p >= 100 * least):
            at = x(np.log10(percent / 100))
            parts.append(text(at, 256, f"{percent:g} %", anchor="middle", fill=SOFT, size=11))
        parts.append(text((x.start + x.stop) / 2, 272, "bases", anchor="middle"))
        for name, (share, way) in panel.items():
            known = (share > 0) & np.isfinite(way)
            pairs = zip(np.log10(share[known]), way[known], strict=True)
            points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in pairs)
            how = ' stroke-dasharray="5 3"' if name == chance else ' stroke-opacity="0.6"'
            colour = SOFT if name == chance else MAIN
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"{how}>'
                f"<title>{escape(name)}</title></polyline>"
            )
    return figure(parts, width=PANEL * len(panels) + 8, height=280, label=label, css="region")


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
