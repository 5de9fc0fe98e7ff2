"""A heat map of shares: rows by columns, with the sign of each row as its colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from cislex.report.facts import shortened
from cislex.report.figures.svg import ALARM, GRID, INK, MAIN, SOFT, figure, rectangle, text

ROW, LETTER = 20, 7.0
#: Letters of a name that are shown.
LENGTH = 44
#: Shares below this are not written into their cell.
LEAST_WRITTEN = 0.005


def share_map(
    shares: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    is_negative: Sequence[bool],
    titles: Sequence[Sequence[str]],
    label: str,
) -> Markup:
    """Draw shares (0 to 1) as cells whose strength grows with them.

    Parameters
    ----------
    shares
        float64 (rows, columns).
    rows, columns
        Names; long ones are cut.
    is_negative
        Rows in the second colour.
    titles
        What each cell says under the pointer.
    label
        What the figure shows.
    """
    step = min(max(640 / max(len(columns), 1), 20), 64)
    names, above = (LETTER * min(max(map(len, some), default=0), LENGTH) for some in (rows, columns))
    left, top = 14 + names, 14 + 0.75 * above
    width, height = left + step * len(columns) + 0.6 * above, top + ROW * len(rows) + 6
    parts = []
    for number, name in enumerate(columns):
        x, y = left + step * (number + 0.5), top - 6
        turn = f' transform="rotate(-50 {x:.1f} {y:.1f})"'
        parts.append(text(x, y, shortened(name, LENGTH), fill=SOFT, size=11, extra=turn))
    most = float(shares.max(initial=0.0)) or 1.0
    for row, name in enumerate(rows):
        y = top + ROW * row
        parts.append(text(left - 6, y + 14, shortened(name, LENGTH), anchor="end", size=12))
        for column in range(len(columns)):
            share, x = float(shares[row, column]), left + step * column
            parts.append(f"<g><title>{escape(titles[row][column])}</title>")
            parts.append(rectangle(x + 1, y + 1, step - 2, ROW - 2, fill=GRID, extra=' fill-opacity="0.35"'))
            if share > 0:
                strength = 0.12 + 0.78 * share / most
                colour = ALARM if is_negative[row] else MAIN
                extra = f' fill-opacity="{strength:.2f}"'
                parts.append(rectangle(x + 1, y + 1, step - 2, ROW - 2, fill=colour, extra=extra))
            if share >= LEAST_WRITTEN:
                ink = "#fff" if share > 0.55 * most else INK
                written = f"{100 * share:.0f}"
                parts.append(text(x + step / 2, y + 14, written, anchor="middle", fill=ink, size=11))
            parts.append("</g>")
    css = "chart" if width <= 560 else "region"
    return figure(parts, width=round(width), height=round(height), label=label, css=css)
