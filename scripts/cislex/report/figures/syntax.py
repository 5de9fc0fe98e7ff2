"""Figures of syntax: words along the regions, and the distances of a pair in each orientation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
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
    rectangle,
    text,
)

Floats = NDArray[np.float64]

#: Columns of the heat map at most: neighbouring bins are joined.
MOST_COLUMNS = 80
#: Letters of a name that are shown, and shades of a cell.
LENGTH, LEVELS = 34, 12
#: Strands of two words as arrows, the first word first.
ARROWS = {"++": "→ →", "+-": "→ ←", "-+": "← →", "--": "← ←"}
WIDTH, LEFT, PANEL, GAP = 560, 62, 44, 8


def position_map(
    hits: Floats, edges: Floats, names: Sequence[str], totals: Sequence[int], remarks: Sequence[str]
) -> Markup:
    """Draw where the hits of words lie relative to the regions' centres.

    Parameters
    ----------
    hits
        Hits of each word in each bin, shape (words, bins).
    edges
        Bounds of the bins, bp from the centre, shape (bins + 1,).
    names, totals, remarks
        Name of each word, its hits, and a remark that is shown beside its row.
    """
    joined, bounds = join_bins(hits, edges)
    shown = [shortened(name, LENGTH) for name in names]
    left = 16 + 1.1 * LETTER * max(map(len, shown), default=0)
    right = 64 + 6.4 * max(13, *map(len, remarks))
    x = Scale(float(bounds[0]), float(bounds[-1]), left, left + 460)
    height = 22 + ROW * len(names) + 42
    parts = [text(x.stop + 48, 14, "hits", anchor="end", fill=SOFT, size=11)]
    parts.append(text(x.stop + 58, 14, "at the centre", fill=SOFT, size=11))
    for row, name in enumerate(shown):
        y = 22 + ROW * row
        parts.append(text(left - 6, y + 14, name, anchor="end"))
        parts.append(
            rectangle(x.start, y + 1, x.stop - x.start, ROW - 2, fill=GRID, extra=' fill-opacity="0.35"')
        )
        parts += _cells(joined[row] / np.diff(bounds), bounds, x, y + 1)
        parts.append(text(x.stop + 48, y + 14, f"{totals[row]:,}", anchor="end", size=11))
        parts.append(text(x.stop + 58, y + 14, remarks[row], size=11))
    bottom = 22 + ROW * len(names)
    parts.append(line(x(0), 20, x(0), bottom + 4, stroke=INK, extra=' stroke-dasharray="2 3"'))
    for tick in nice_ticks(x.low, x.high, count=6):
        parts.append(line(x(tick), bottom, x(tick), bottom + 4))
        label = f"{tick:g}".replace("-", "−")
        parts.append(text(x(tick), bottom + 17, label, anchor="middle", fill=SOFT, size=11))
    label = "distance of the hit's centre from the region's centre (bp)"
    parts.append(text((x.start + x.stop) / 2, bottom + 36, label, anchor="middle"))
    width = x.stop + right
    return figure(
        parts, width=round(width), height=height, label="Hits of words along the regions", css="map"
    )


def _cells(density: Floats, bounds: Floats, x: Scale, y: float) -> list[str]:
    """One path for all cells of a row that are about equally dark: a page may hold many rows."""
    levels = np.ceil(LEVELS * density / (float(density.max(initial=0.0)) or 1.0)).astype(int)
    parts = []
    for level in np.unique(levels[levels > 0]):
        ones = np.flatnonzero(np.diff(np.concatenate([[0], levels == level, [0]])))
        runs = [
            (x(float(bounds[low])), x(float(bounds[high])))
            for low, high in zip(ones[::2], ones[1::2], strict=True)
        ]
        path = "".join(f"M{low:.1f} {y:g}H{high:.1f}v{ROW - 2}H{low:.1f}z" for low, high in runs)
        parts.append(f'<path d="{path}" fill="{MAIN}" fill-opacity="{0.08 + 0.82 * level / LEVELS:.2f}"/>')
    return parts


def join_bins(hits: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Join neighbouring bins until there are few enough to see."""
    step = -(-hits.shape[1] // MOST_COLUMNS)
    starts = np.arange(0, hits.shape[1], step)
    return np.add.reduceat(hits, starts, axis=1), np.append(edges[starts], edges[-1])


def spacing_chart(
    series: Mapping[str, tuple[Floats, Floats, Floats]], *, reach: float, first: str, second: str
) -> Markup:
    """Draw the regions in which a pair has each distance, one panel for each orientation.

    Parameters
    ----------
    series
        For each orientation the distances that any region has, ascending, and the observed and the
        expected regions.
    reach
        Largest distance, bp.
    first, second
        Names of the two words.
    """
    most = max((float(one.max(initial=0)) for _, *both in series.values() for one in both), default=1.0)
    x = Scale(0, reach, LEFT, WIDTH - 14)
    parts, top = [], 6.0
    for orientation, (distances, observed, expected) in series.items():
        y = Scale(0, most * 1.05, top + PANEL, top)
        parts.append(line(x.start, y.start, x.stop, y.start, stroke=SOFT))
        parts.append(text(x.start - 8, top + 26, ARROWS[orientation], anchor="end", size=14))
        parts.append(
            text(x.stop, top + 11, f"{most:,.0f}" if top < 7 else "", anchor="end", fill=SOFT, size=11)
        )
        bars = "".join(
            f"M{x(float(d)):.1f} {y.start:.1f}V{y(float(n)):.1f}"
            for d, n in zip(distances, observed, strict=True)
        )
        if bars:
            thick = max(1.0, 0.8 * (x(1) - x(0)))
            parts.append(f'<path d="{bars}" stroke="{MAIN}" stroke-width="{thick:.1f}" fill="none"/>')
        if len(distances) > 1:
            points = " ".join(
                f"{x(float(d)):.1f},{y(float(n)):.1f}" for d, n in zip(distances, expected, strict=True)
            )
            parts.append(f'<polyline points="{points}" stroke="{SECOND}" stroke-width="1.3" fill="none"/>')
        top += PANEL + GAP
    for tick in nice_ticks(0, reach, count=6):
        parts.append(line(x(tick), top - GAP, x(tick), top - GAP + 4))
        parts.append(text(x(tick), top + 9, f"{tick:g}", anchor="middle", fill=SOFT, size=11))
    parts.append(text((x.start + x.stop) / 2, top + 27, "distance between centres (bp)", anchor="middle"))
    label = f"Distances of {first} and {second} in each orientation"
    return figure(parts, width=WIDTH, height=top + 34, label=label)
