"""Sequence logos and heat maps of single regions, as SVG that reuses four glyphs."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.motifs.logos import COLOURS
from cislex.report.facts import number
from cislex.report.figures.svg import GRID, INK, SOFT, Scale, figure, line, nice_ticks, rectangle, short, text

#: Letters in a box of 100 × 100, drawn once and placed by reference.
GLYPHS = {
    "A": "M0 100L38 0H62L100 100H78L70 77H30L22 100ZM36 60H64L50 20Z",
    "C": "M98 34C94 12 77 0 53 0C20 0 1 20 1 50C1 80 20 100 53 100C77 100 94 88 98 66L77 62"
    "C74 76 66 83 53 83C33 83 22 71 22 50C22 29 33 17 53 17C66 17 74 24 77 38Z",
    "G": "M97 32C92 11 76 0 53 0C20 0 1 20 1 50C1 80 20 100 54 100C72 100 88 95 98 86V45H54V62H78V76"
    "C71 81 63 83 54 83C33 83 22 71 22 50C22 29 33 17 53 17C65 17 73 23 76 37Z",
    "T": "M1 0H99V19H62V100H38V19H1Z",
}
#: Blue for negative, white for zero, red for positive (ends of ColorBrewer's RdBu).
NEGATIVE, POSITIVE = np.array([33, 102, 172]), np.array([178, 24, 43])

WIDTH, LEFT, RIGHT = 1000.0, 72.0, 8.0
STRIP_TOP, STRIP, ZOOM, TRACK, LOGO, CELL = 6.0, 34.0, 14.0, 22.0, 120.0, 10.0


def glyph_definitions(symbols: Markup | None = None) -> Markup:
    """Return the hidden SVG with the four letters and logos that are used several times; once a page."""
    shapes = "".join(
        f'<path id="base-{base}" d="{path}" fill="{COLOURS[base]}" fill-rule="evenodd"/>'
        for base, path in GLYPHS.items()
    )
    return Markup(
        '<svg class="glyphs" width="0" height="0" aria-hidden="true" xmlns="http://www.w3.org/2000/svg">'
        f"<defs>{shapes}{symbols or ''}</defs></svg>"
    )


def important_window(contributions: NDArray[np.float32], width: int) -> tuple[int, int]:
    """Find the window that holds most of the squared contribution.

    Parameters
    ----------
    contributions
        (L,) signed contribution of each observed base.
    width
        Width in bp; the whole region if it is shorter.

    Returns
    -------
    tuple of int
        Start and end, 0-based half-open.
    """
    length = len(contributions)
    if length <= width:
        return 0, length
    # Squares, so that a site outweighs the noise of many bases.
    sums = np.convolve(contributions.astype(np.float64) ** 2, np.ones(width), mode="valid")
    # Of nearly equal windows the middle one: important bases then stand in the middle, not at the edge.
    best = np.flatnonzero(sums >= sums.max() * 0.98)
    start = int(best[len(best) // 2])
    return start, start + width


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode an (H, W, 3) uint8 image as PNG (RGB, no filter)."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + pixels[i].tobytes() for i in range(height))

    def block(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + block(b"IHDR", header)
        + block(b"IDAT", zlib.compress(rows, 9))
        + block(b"IEND", b"")
    )


def heat_colours(values: NDArray[np.float32], scale: float) -> NDArray[np.uint8]:
    """Colour signed values, blue through white to red: (H, W) float → (H, W, 3) uint8."""
    share = np.clip(values.astype(np.float64) / (scale or 1.0), -1, 1)[..., None]
    ends = np.where(share < 0, NEGATIVE, POSITIVE)
    return np.rint(255 + np.abs(share) * (ends - 255)).astype(np.uint8)


def region_figure(
    hypothetical: NDArray[np.float32],
    onehot: NDArray[np.uint8],
    *,
    window: int,
    marks: Sequence[tuple[int, int, str]] = (),
    label: str,
) -> Markup:
    """Draw one region: all of it as a strip, its most important window as a logo, and what any base would do.

    Parameters
    ----------
    hypothetical
        (4, L) float32 hypothetical contributions.
    onehot
        (4, L) uint8, A C G T; an unknown base is an all-zero column.
    window
        Width of the logo in bp.
    marks
        Start, end (0-based in the region, as it is read) and name of each motif hit.
    label
        What the figure shows, for screen readers.
    """
    contributions = (hypothetical * onehot).sum(axis=0)
    start, end = important_window(contributions, window)
    x = Scale(start, end, LEFT, WIDTH - RIGHT)
    inside = [(max(a, start), min(b, end), name) for a, b, name in marks if a < end and b > start]
    track = TRACK if inside else 6.0
    logo_top = STRIP_TOP + STRIP + 4 + ZOOM + track
    logo_bottom = logo_top + LOGO
    parts = _strip(contributions, start, end)
    parts += _marks(inside, x, logo_top - 6)
    parts += logo_parts(contributions[start:end], onehot[:, start:end], x, logo_top, logo_bottom)
    parts += _heat(hypothetical[:, start:end], onehot[:, start:end], x, logo_bottom + 8)
    bottom = logo_bottom + 8 + 4 * CELL
    for tick in nice_ticks(start, end - 1, count=10):
        parts.append(text(x(tick + 0.5), bottom + 14, short(tick), anchor="middle", fill=SOFT, size=10))
    return figure(parts, width=WIDTH, height=bottom + 20, label=label, css="region")


def logo_parts(
    contributions: NDArray[np.float32],
    onehot: NDArray[np.uint8],
    x: Scale,
    top: float,
    bottom: float,
    *,
    limits: tuple[float, float] | None = None,
) -> list[str]:
    """Draw observed bases scaled by their contribution; negative ones hang upside down below the axis."""
    low, high = limits or (min(float(contributions.min()), 0.0), max(float(contributions.max()), 0.0))
    if high == low:
        high = 1.0
    y = Scale(low, high, bottom, top)
    parts = []
    for tick in nice_ticks(low, high, count=5):
        parts.append(line(x.start, y(tick), x.stop, y(tick), stroke=GRID if tick else "#999"))
        parts.append(text(x.start - 8, y(tick) + 4, short(tick), anchor="end", fill=SOFT, size=10))
    step = x(x.low + 1) - x(x.low)
    for i, value in enumerate(contributions):
        height = y(0) - y(float(value))
        if onehot[:, i].any() and abs(height) >= 0.2:
            base = BASES[int(onehot[:, i].argmax())]
            left = x(x.low + i) + step * 0.03
            # A negative height turns the letter upside down below the axis, as in motif logos.
            parts.append(
                f'<use href="#base-{base}" transform="translate({left:.1f} {y(float(value)):.1f})'
                f' scale({step * 0.0094:.4f} {height / 100:.4f})"/>'
            )
    return parts


def allele_figure(
    alleles: Sequence[tuple[NDArray[np.float32], NDArray[np.uint8], Sequence[tuple[int, int, str]]]],
    *,
    place: int,
    label: str,
) -> Markup:
    """Draw both alleles of a variant, one logo below the other on the same scale.

    Parameters
    ----------
    alleles
        Of the reference and of the alternative: hypothetical contributions (4, W), one-hot bases uint8
        (4, W), and start, end and name of each site, in columns.
    place
        Column of the first base that differs, which is shaded.
    label
        What the figure shows, for screen readers.
    """
    shaded = np.arange(alleles[0][1].shape[1]) == place
    rows = [
        (name, (hypothetical * onehot).sum(axis=0), onehot, shaded)
        for name, (hypothetical, onehot, _) in zip(("ref", "alt"), alleles, strict=True)
    ]
    return stacked_logos(rows, marks=[marks for *_, marks in alleles], label=label)


def stacked_logos(
    rows: Sequence[tuple[str, NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]],
    *,
    marks: Sequence[Sequence[tuple[int, int, str]]] = (),
    label: str,
) -> Markup:
    """Draw logos of one stretch below each other, on the same scale.

    Parameters
    ----------
    rows
        Name, contributions (W,), one-hot bases (4, W) and the columns that are shaded (W,) of each.
    marks
        Start, end and name of the sites of each row; none for no row.
    label
        What the figure shows, for screen readers.
    """
    width = len(rows[0][1])
    limits = (
        min(0.0, *(float(row[1].min()) for row in rows)),
        max(0.0, *(float(row[1].max()) for row in rows)),
    )
    x, top, parts = Scale(0, width, LEFT, WIDTH - RIGHT), 0.0, []
    for row, (name, contributions, onehot, shaded) in enumerate(rows):
        own = marks[row] if marks else ()
        inside = [(max(a, 0), min(b, width), mark) for a, b, mark in own if a < width and b > 0]
        logo_top = top + TRACK
        bottom = logo_top + LOGO / 1.5
        for place in np.flatnonzero(shaded).tolist():
            parts.append(rectangle(x(place), logo_top, x(1) - x(0), bottom - logo_top, fill="#fff0c2"))
        parts += _marks(inside, x, logo_top - 6)
        parts += logo_parts(contributions, onehot, x, logo_top, bottom, limits=limits)
        parts.append(text(4, logo_top - 6, name, fill=INK, size=12))
        top = bottom + 4
    return figure(parts, width=WIDTH, height=top + 4, label=label, css="region")


def per_pixel(values: NDArray[np.float32], pixels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Least and greatest of the values, and zero, under each of at most so many pixels, float32 (pixels,)."""
    starts = np.linspace(0, len(values), min(pixels, len(values)), endpoint=False).astype(int)
    return (
        np.minimum(np.minimum.reduceat(values, starts), 0),
        np.maximum(np.maximum.reduceat(values, starts), 0),
    )


def _strip(contributions: NDArray[np.float32], start: int, end: int) -> list[str]:
    """Draw the whole region, one thin bar a base, with the window of the logo shaded."""
    x = Scale(0, len(contributions), LEFT, WIDTH - RIGHT)
    high, low = max(float(contributions.max()), 0.0), min(float(contributions.min()), 0.0)
    y = Scale(low, high, STRIP_TOP + STRIP, STRIP_TOP)
    zero = y(0)
    lows, highs = per_pixel(contributions, int(x.stop - x.start))
    bar = (x.stop - x.start) / len(lows)
    # Bars of a fraction of a pixel cannot be seen and only make the page heavier.
    path = "".join(
        f"M{x.start + (i + 0.5) * bar:.1f} {y(bottom):.1f}V{y(top):.1f}"
        for i, (bottom, top) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True))
        if y(bottom) - y(top) > 0.15
    )
    left, right, bottom = x(start), x(end), STRIP_TOP + STRIP + 4
    zoom = f"M{left:.1f} {bottom:.1f}H{right:.1f}L{x.stop:.1f} {bottom + ZOOM:.1f}H{x.start:.1f}Z"
    return [
        rectangle(left, STRIP_TOP - 4, right - left, STRIP + 8, fill="#fff0c2"),
        f'<path d="{zoom}" fill="#fffaeb"/>',
        line(x.start, zero, x.stop, zero, stroke="#bbb"),
        f'<path d="{path}" stroke="#444" stroke-width="{max(min(bar * 0.8, 3), 0.6):.2f}"/>',
        text(LEFT - 8, STRIP_TOP + STRIP / 2, "whole", anchor="end", fill=SOFT, size=10),
        text(
            LEFT - 8,
            STRIP_TOP + STRIP / 2 + 12,
            f"{len(contributions):,} bp",
            anchor="end",
            fill=SOFT,
            size=10,
        ),
    ]


def _marks(marks: Sequence[tuple[int, int, str]], x: Scale, y: float) -> list[str]:
    parts: list[str] = []
    last = -np.inf
    for start, end, name in sorted(marks):
        left, right = x(start), x(end)
        parts.append(f'<path d="M{left:.1f} {y:.1f}v-5H{right:.1f}v5" fill="none" stroke="{INK}"/>')
        middle = (left + right) / 2
        # Names that would print over each other are left out: the bracket still shows the hit.
        half = 3.2 * len(name)
        if middle - half > last:
            parts.append(text(middle, y - 9, name, anchor="middle", size=11))
            last = middle + half
    return parts


def _heat(hypothetical: NDArray[np.float32], onehot: NDArray[np.uint8], x: Scale, top: float) -> list[str]:
    """Draw the contribution of each base had it been there; observed bases are outlined."""
    scale = float(np.abs(hypothetical).max())
    # Each cell is several pixels, so that viewers that smooth enlarged images keep its edges.
    pixels = heat_colours(hypothetical, scale).repeat(6, axis=0).repeat(6, axis=1)
    data = base64.b64encode(png(pixels)).decode()
    width, step = x.stop - x.start, x(x.low + 1) - x(x.low)
    parts = [
        f'<image x="{x.start:.1f}" y="{top:.1f}" width="{width:.1f}" height="{4 * CELL:.1f}"'
        f' preserveAspectRatio="none" style="image-rendering:pixelated"'
        f' href="data:image/png;base64,{data}"/>',
        rectangle(x.start, top, width, 4 * CELL, fill="none", extra=' stroke="#999"'),
    ]
    known = np.flatnonzero(onehot.any(axis=0))
    path = "".join(
        f"M{x(x.low + i):.1f} {top + CELL * int(onehot[:, i].argmax()):.0f}h{step:.2f}v{CELL:g}h-{step:.2f}z"
        for i in known
    )
    parts.append(f'<path d="{path}" fill="none" stroke="#666" stroke-width="0.6"/>')
    for row, base in enumerate(BASES):
        parts.append(
            text(x.start - 8, top + CELL * (row + 0.85), base, anchor="end", fill=COLOURS[base], size=10)
        )
    parts.append(text(LEFT - 22, top + CELL * 2.3, f"±{number(scale, 2)}", anchor="end", fill=SOFT, size=10))
    return parts
