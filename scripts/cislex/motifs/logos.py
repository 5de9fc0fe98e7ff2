"""Sequence logos as small, deterministic SVG.

The letters are outlines (of the bold sans-serif font that matplotlib carries), so a logo looks the same
everywhere; no ids are used, so several logos can stand in one page.
"""

from __future__ import annotations

import functools
from html import escape
from pathlib import Path

import numpy as np

from cislex.alphabet import BASES
from cislex.errors import InputError
from cislex.files.tables import write_text
from cislex.motifs.files import Matrix, information

#: Colours of the bases: hues of genome browsers' logos, told apart by colour-blind readers, too.
COLOURS = {"A": "#3aa76d", "C": "#1f4e9c", "G": "#e8a200", "T": "#a01030"}
#: Letters smaller than this share of the logo's height are left out: they would be invisible.
SMALLEST = 0.004
MARGIN_LEFT, MARGIN_TOP, MARGIN_BOTTOM = 44, 6, 18


@functools.cache
def _outline(letter: str) -> str:
    """SVG path of a letter in the unit square, its baseline at y = 0 and its top at y = 1."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), letter, size=100, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    box = path.get_extents()
    size = np.array([box.width, box.height])
    parts = []
    for vertices, kind in path.iter_segments(simplify=False, curves=True):
        points = (vertices.reshape(-1, 2) - box.min) / size
        text = " ".join(f"{value:.3f}".rstrip("0").rstrip(".") for value in points.ravel())
        parts.append({1: f"M{text}", 2: f"L{text}", 3: f"Q{text}", 4: f"C{text}", 79: "Z"}[int(kind)])
    return "".join(parts)


def information_heights(ppm: Matrix) -> Matrix:
    """Heights of a classic logo: frequency times the column's information, in bits; (4, w) like ``ppm``."""
    return ppm * information(ppm)


def extent(heights: Matrix) -> tuple[float, float]:
    """Lowest and highest point of the stacks; never empty."""
    low = float(np.minimum(heights, 0).sum(axis=0).min(initial=0.0))
    high = float(np.maximum(heights, 0).sum(axis=0).max(initial=0.0))
    return (low, high) if high > low else (0.0, 1.0)


def stacked_letters(heights: Matrix, low: float, high: float) -> list[tuple[int, str, float, float]]:
    """Column, base, and where its letter begins and ends: larger ones outside, negative ones below zero.

    Letters that would be invisible between ``low`` and ``high`` are left out.
    """
    drawn = []
    for position, values in enumerate(heights.T):
        above = below = 0.0
        for base in np.argsort(np.abs(values), kind="stable"):
            value = float(values[base])
            if abs(value) < SMALLEST * (high - low):
                continue
            bottom = above if value > 0 else below
            drawn.append((position, BASES[base], bottom, bottom + value))
            above, below = (above + value, below) if value > 0 else (above, below + value)
    return drawn


def _letters(heights: Matrix, low: float, high: float, column: float, height: float) -> list[str]:
    scale = height / (high - low)
    zero = MARGIN_TOP + high * scale
    drawn = []
    for position, letter, bottom, top in stacked_letters(heights, low, high):
        x = MARGIN_LEFT + position * column
        # A negative letter hangs below the axis, upside down, as logos of contributions have it.
        y, up = zero - bottom * scale, (bottom - top) * scale
        transform = f"matrix({column * 0.94:.2f} 0 0 {up:.2f} {x + column * 0.03:.2f} {y:.2f})"
        drawn.append(f'<path d="{_outline(letter)}" fill="{COLOURS[letter]}" transform="{transform}"/>')
    return drawn


def _axes(low: float, high: float, width: float, columns: int, column: float, height: float) -> list[str]:
    zero = MARGIN_TOP + high * height / (high - low)
    frame = f"M{MARGIN_LEFT} {MARGIN_TOP}V{MARGIN_TOP + height:.2f}M{MARGIN_LEFT} {zero:.2f}H{width:.2f}"
    lines = [f'<path d="{frame}" stroke="#555" stroke-width="0.8" fill="none"/>']
    for value in sorted({low, 0.0, high}):
        y = zero - value * height / (high - low)
        if value and abs(y - zero) < 10:  # its number would be written over the zero
            continue
        lines.append(
            f'<text x="{MARGIN_LEFT - 4}" y="{y + 3:.2f}" text-anchor="end" font-size="9">{value:.2g}</text>'
        )
    step = 1 if columns <= 12 else 5 if columns <= 60 else 50
    for position in range(columns):
        if (position + 1) % step == 0 or position == 0:
            x = MARGIN_LEFT + (position + 0.5) * column
            y = MARGIN_TOP + height + 12
            lines.append(
                f'<text x="{x:.2f}" y="{y:.2f}" text-anchor="middle" font-size="9">{position + 1}</text>'
            )
    return lines


def logo_svg(
    heights: Matrix,
    *,
    title: str = "",
    label: str = "",
    limits: tuple[float, float] | None = None,
    column: float = 18.0,
    height: float = 80.0,
) -> str:
    """Draw a logo as SVG text.

    Parameters
    ----------
    heights
        (4, w): height of A, C, G, T at each position; negative letters hang below the axis.
    title
        Read out and shown on hovering.
    label
        What the heights are, for example ``bits``; written along the axis.
    limits
        Lowest and highest value of the axis; None: those of the stacks.
    column, height
        Width of a position and height of the plot, in pixels.

    Raises
    ------
    InputError
        When the heights are not (4, w) finite numbers.
    """
    if heights.ndim != 2 or heights.shape[0] != 4 or not np.isfinite(heights).all():
        raise InputError(f"a logo needs finite heights of shape (4, w), found {heights.shape}")
    low, high = limits or extent(heights)
    columns = heights.shape[1]
    width = MARGIN_LEFT + columns * column + 4
    total = MARGIN_TOP + height + MARGIN_BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{total:.0f}" '
        f'viewBox="0 0 {width:.0f} {total:.0f}" role="img" font-family="sans-serif" fill="#333">',
        f"<title>{escape(title)}</title>",
        *_axes(low, high, width, columns, column, height),
        *_letters(heights, low, high, column, height),
    ]
    if label:
        y = MARGIN_TOP + height / 2
        parts.append(
            f'<text x="10" y="{y:.1f}" text-anchor="middle" font-size="9" '
            f'transform="rotate(-90 10 {y:.1f})">{escape(label)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def write_logo(
    heights: Matrix,
    path: str | Path,
    *,
    title: str = "",
    label: str = "",
    limits: tuple[float, float] | None = None,
) -> None:
    """Write :func:`logo_svg` to a file, atomically."""
    write_text(logo_svg(heights, title=title, label=label, limits=limits), path)
