"""Figure of a contrast: contributions of hits to two targets, or by two models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from cislex.report.facts import shortened
from cislex.report.figures.svg import MAIN, SECOND, SOFT, Scale, axes, figure, line, nice_ticks, short, text

#: Colours of the groups that are named, in their order; the rest are grey.
COLOURS = (MAIN, SECOND, "#1b9e77", "#7570b3", "#c6a000")
OTHERS = "#bbb"
SIDE, LEFT, TOP, BOTTOM, LEGEND, LENGTH = 360.0, 66.0, 14.0, 46.0, 190.0, 24

Floats = NDArray[np.float64]


def scatter(
    first: Floats,
    second: Floats,
    groups: Sequence[str],
    *,
    named: Sequence[str],
    x_label: str,
    y_label: str,
    label: str,
) -> Markup:
    """Draw points (n,) on axes of one range, with the diagonal.

    Parameters
    ----------
    first, second
        Horizontal and vertical.
    groups
        What each point belongs to; its words under the pointer.
    named
        Groups with colours of their own, at most as many as ``COLOURS``.
    x_label, y_label, label
        Of the axes, and what the figure shows.
    """
    values = np.concatenate([first, second, [0.0]])
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * ((high - low) or 1.0)
    x = Scale(low - margin, high + margin, LEFT, LEFT + SIDE)
    y = Scale(low - margin, high + margin, TOP + SIDE, TOP)
    ticks = [(tick, short(tick)) for tick in nice_ticks(x.low, x.high, count=4)]
    parts = axes(x, y, x_label=shortened(x_label, 44), y_label=shortened(y_label, 44), x_ticks=ticks)
    parts += [line(x.start, y(0), x.stop, y(0)), line(x(0), y.start, x(0), y.stop)]
    parts.append(line(x.start, y.start, x.stop, y.stop, stroke=SOFT, extra=' stroke-dasharray="5 3"'))
    colours = dict(zip(named, COLOURS, strict=False))
    # Points of named words above the others.
    for wanted in (False, True):
        for a, b, group in zip(first, second, groups, strict=True):
            if (group in colours) == wanted:
                parts.append(
                    f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.6" fill="{colours.get(group, OTHERS)}" '
                    f'fill-opacity="0.6"><title>{escape(group)}</title></circle>'
                )
    entries = [*colours.items(), *([("other words", OTHERS)] if set(groups) - set(colours) else [])]
    for number, (name, colour) in enumerate(entries):
        at = TOP + 12 + 20 * number
        parts.append(f'<circle cx="{LEFT + SIDE + 22:.1f}" cy="{at:.1f}" r="5" fill="{colour}"/>')
        parts.append(text(LEFT + SIDE + 34, at + 4, shortened(name, LENGTH)))
    width, height = LEFT + SIDE + LEGEND, TOP + SIDE + BOTTOM
    return figure(parts, width=width, height=height, label=label, css="region")
