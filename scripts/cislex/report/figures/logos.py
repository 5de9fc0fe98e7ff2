"""Letters and logos of stretches of sequence, as SVG that reuses four glyphs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.motifs.logos import COLOURS
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
TRACK, LOGO = 22.0, 120.0


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
        if onehot[:, i].any() and abs(height) >= 0.5:
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
