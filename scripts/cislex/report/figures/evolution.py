"""Figure of designs: the prediction against the round, each walk thin and the mean of a group bold."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from cislex.report.figures.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MAIN,
    RIGHT,
    SECOND,
    TOP,
    WIDTH,
    Scale,
    axes,
    figure,
    text,
)


def walk_chart(
    groups: Mapping[str, NDArray[np.float64]], *, y_label: str, label: str, most: int = 40
) -> Markup:
    """Draw walks round by round.

    Parameters
    ----------
    groups
        Values (n, rounds + 1) of each group, by its name; two at most. An empty name is not written.
    y_label, label
        What the axis, and the figure, show.
    most
        Walks of a group that are drawn; the mean is of all.
    """
    values = np.concatenate([one.ravel() for one in groups.values()])
    room = 0.05 * float(np.ptp(values)) or 1.0
    rounds = next(iter(groups.values())).shape[1]
    x = Scale(0, max(1, rounds - 1), LEFT, WIDTH - RIGHT)
    y = Scale(float(values.min()) - room, float(values.max()) + room, HEIGHT - BOTTOM, TOP)
    step = max(1, math.ceil((rounds - 1) / 10))
    ticks = [(number, str(number)) for number in range(0, rounds, step)]
    parts = axes(x, y, x_label="round", y_label=y_label, x_ticks=ticks)
    for (name, walks), colour in zip(groups.items(), (MAIN, SECOND), strict=False):
        lines = [(walk, "0.8", "0.45") for walk in walks[:most]] + [(walks.mean(axis=0), "2.6", "1")]
        for walk, width, opacity in lines:
            points = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value in enumerate(walk))
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" '
                f'stroke-opacity="{opacity}"/>'
            )
        end = y(float(walks.mean(axis=0)[-1])) - 8
        parts.append(text(WIDTH - RIGHT, max(12.0, end), name, anchor="end", fill=colour))
    return figure(parts, width=WIDTH, height=HEIGHT, label=label)
