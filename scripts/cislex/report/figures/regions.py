"""Figure of one region: all of it as a strip with its hits, and its most important windows as logos."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.report.facts import number
from cislex.report.figures.logos import LEFT, LOGO, RIGHT, WIDTH, heat_colours, logo_parts, png
from cislex.report.figures.svg import INK, SOFT, Scale, figure, line, nice_ticks, rectangle, short, text

#: Heights of a strip, of a lane of names, of an axis' numbers, of a row of the heat map.
STRIP, LANE, AXIS, CELL = 40.0, 13.0, 18.0, 10.0
#: Lanes of names above a strip and above a logo, and pixels of a letter there.
LANES, ZOOM_LANES, LETTER = 5, 2, 6.1
#: Windows drawn at most; of the others, those with this share of the squared contributions of the first.
ZOOMS, LEAST_SHARE = 3, 0.2
#: Pixels of a cell of the heat map.
PIXELS = 6
SHADE = "#fff0c2"

Floats = NDArray[np.float32]


class Mark(NamedTuple):
    """A motif hit in a region as it is read: start, end (0-based), name, and its strand there, if known."""

    start: int
    end: int
    name: str
    strand: str = ""

    @property
    def label(self) -> str:
        """The name with an arrow on the side to which the hit reads."""
        return {"+": f"{self.name} →", "-": f"← {self.name}"}.get(self.strand, self.name)


@dataclass(frozen=True)
class Region:
    """What is drawn of a region.

    Parameters
    ----------
    hypothetical
        float32 (4, L).
    onehot
        uint8 (4, L), A C G T; an unknown base is an all-zero column.
    marks
        Its hits; one that goes past an end of the region is cut there.
    chrom, start, end, is_reversed
        Where it lies, and whether it is read on the minus strand; without ``chrom``, positions count from 0.
    spread
        float32 (L,), standard deviation of the contributions over folds; None: not known.
    others
        Name and contributions, float32 (L,), of further targets on the same bases.
    """

    hypothetical: Floats
    onehot: NDArray[np.uint8]
    marks: Sequence[Mark] = ()
    chrom: str = ""
    start: int = 0
    end: int = 0
    is_reversed: bool = False
    spread: Floats | None = None
    others: Sequence[tuple[str, Floats]] = ()
    contributions: Floats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "contributions", (self.hypothetical * self.onehot).sum(axis=0))

    def ticks(self, low: int, high: int, *, count: int) -> list[tuple[float, str]]:
        """Column and written position of ticks between two columns: of the genome, where it is known."""
        if not self.chrom:
            return [(tick + 0.5, short(tick)) for tick in nice_ticks(low, high - 1, count=count)]
        first, last = (
            (self.end - high, self.end - 1 - low)
            if self.is_reversed
            else (self.start + low, self.start + high - 1)
        )
        places = [round(tick) for tick in nice_ticks(first, last, count=count)]
        columns = [self.end - 1 - place if self.is_reversed else place - self.start for place in places]
        return [(column + 0.5, f"{place:,}") for column, place in zip(columns, places, strict=True)]


def important_windows(contributions: Floats, width: int, *, most: int = ZOOMS) -> list[tuple[int, int]]:
    """Windows with the most squared contribution that do not overlap, in the order of the region.

    Parameters
    ----------
    contributions
        (L,) signed contribution of each observed base.
    width
        Width in bp; the whole region if it is not longer.
    most
        Windows at most; later ones hold at least ``LEAST_SHARE`` of what the first one holds.

    Returns
    -------
    list of tuple of int
        Starts and ends, 0-based half-open.
    """
    length = len(contributions)
    if length <= width:
        return [(0, length)]
    # Squares, so that a site outweighs the noise of many bases.
    sums = np.convolve(contributions.astype(np.float64) ** 2, np.ones(width), mode="valid")
    found: list[tuple[int, int]] = []
    least = sums.max() * LEAST_SHARE
    while len(found) < most and sums.max() >= least and sums.max() >= 0:
        # Of nearly equal windows the middle one: important bases then stand in the middle, not at the edge.
        best = np.flatnonzero(sums >= sums.max() * 0.98)
        run = best[: np.argmax(np.diff(best, append=length) > 1) + 1]
        start = int(run[len(run) // 2])
        found.append((start, start + width))
        sums[max(start - width + 1, 0) : start + width] = -1.0
        if least == 0:
            break
    return sorted(found)


def per_pixel(values: Floats, pixels: int) -> tuple[Floats, Floats]:
    """Least and greatest of the values, and zero, under each of at most so many pixels, float32 (pixels,)."""
    starts = np.linspace(0, len(values), min(pixels, len(values)), endpoint=False).astype(int)
    return (
        np.minimum(np.minimum.reduceat(values, starts), 0),
        np.maximum(np.maximum.reduceat(values, starts), 0),
    )


def region_figure(region: Region, *, window: int, label: str) -> Markup:
    """Draw one region: a strip with all hits, and up to ``ZOOMS`` windows base by base.

    Parameters
    ----------
    region
        The region.
    window
        Width of a logo in bp.
    label
        What the figure shows, for screen readers.
    """
    length = len(region.contributions)
    zooms = important_windows(region.contributions, window)
    x = Scale(0, length, LEFT, WIDTH - RIGHT)
    parts, top = _named_hits(region.marks, x, 0.0, lanes=LANES)
    parts += [
        rectangle(x(a), top - 3, x(b) - x(a), STRIP + 6, fill=SHADE) for a, b in zooms if b - a < length
    ]
    parts += _strip(region.contributions, x, top, ("all", f"{length:,} bp"))
    if len(zooms) > 1:
        for n, (a, b) in enumerate(zooms, start=1):
            parts.append(text(x((a + b) / 2), top + STRIP + 1, n, anchor="middle", fill=SOFT, size=10))
    top += STRIP + 6
    for name, contributions in region.others:
        parts += _strip(contributions, x, top, (name,), height=STRIP / 2)
        top += STRIP / 2 + 5
    parts += _axis(region, x, top, count=8)
    top += AXIS
    for n, (start, end) in enumerate(zooms, start=1):
        drawn, top = _zoom(region, start, end, top, n if len(zooms) > 1 else 0)
        parts += drawn
    return figure(parts, width=WIDTH, height=top + 2, label=label, css="region")


def _zoom(region: Region, start: int, end: int, top: float, n: int) -> tuple[list[str], float]:
    """One window: hits, letters, heat map and positions; and where it ends."""
    x = Scale(start, end, LEFT, WIDTH - RIGHT)
    parts, logo_top = _named_hits(region.marks, x, top, lanes=ZOOM_LANES)
    if n:
        parts.append(text(4, logo_top + 10, n, fill=INK, size=14))
    bottom = logo_top + LOGO
    contributions = region.contributions[start:end]
    limits = min(float(contributions.min()), 0.0), max(float(contributions.max()), 0.0)
    parts += logo_parts(contributions, region.onehot[:, start:end], x, logo_top, bottom, limits=limits)
    if region.spread is not None:
        parts.append(_band(contributions, region.spread[start:end], x, Scale(*limits, bottom, logo_top)))
    parts += _heat(region.hypothetical[:, start:end], region.onehot[:, start:end], x, bottom + 8)
    parts += _axis(region, x, bottom + 8 + 4 * CELL, count=8)
    return parts, bottom + 8 + 4 * CELL + AXIS + 4


def _strip(
    contributions: Floats, x: Scale, top: float, names: Sequence[str], *, height: float = STRIP
) -> list[str]:
    """Draw contributions as thin bars, one a base or a pixel, with what they are at the left."""
    high, low = max(float(contributions.max()), 0.0), min(float(contributions.min()), 0.0)
    y = Scale(low, high or (0.0 if low else 1.0), top + height, top)
    zero = y(0)
    lows, highs = per_pixel(contributions, int(x.stop - x.start))
    bar = (x.stop - x.start) / len(lows)
    steps, last = [f"M{x.start + bar / 2:.1f} {zero:.1f}"], 0
    for i, (below, above) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True)):
        # Bars of a fraction of a pixel cannot be seen and only make the page heavier.
        if y(below) - y(above) > 0.4:
            move = f"m{(i - last) * bar:.6g} 0" if i > last else ""
            ends = (y(above) if above else None, y(below) if below else None)
            steps.append(move + "".join(f"V{end:.1f}" for end in ends if end is not None) + f"V{zero:.1f}")
            last = i
    wide = max(min(bar * 0.8, 3), 0.6)
    parts = [
        line(x.start, zero, x.stop, zero, stroke="#bbb"),
        f'<path d="{"".join(steps)}" stroke="#444" fill="none" stroke-width="{wide:.2f}"/>',
    ]
    room = int((LEFT - 8) / 5.2)
    for n, name in enumerate(names):
        shown = name if len(name) <= room else f"{name[: room - 1]}…"
        y_text = top + height / 2 + 12 * (n - (len(names) - 1) / 2) + 4
        title = "" if shown == name else f"<title>{escape(name)}</title>"
        parts.append(f"<g>{title}{text(LEFT - 8, y_text, shown, anchor='end', fill=SOFT, size=10)}</g>")
    return parts


def _axis(region: Region, x: Scale, top: float, *, count: int) -> list[str]:
    """Numbers of positions, and the chromosome at the left."""
    parts = [line(x.start, top, x.stop, top, stroke="#999")]
    for column, written in region.ticks(int(x.low), int(x.high), count=count):
        at, half = x(column), 2.8 * len(written)
        if at - half >= LEFT - 4 and at + half <= WIDTH:
            parts.append(line(at, top, at, top + 3, stroke="#999"))
            parts.append(text(at, top + 14, written, anchor="middle", fill=SOFT, size=10))
    if region.chrom:
        arrow = "←" if region.is_reversed else "→"
        parts.append(
            text(LEFT - 8, top + 14, f"{region.chrom[:11]} {arrow}", anchor="end", fill=SOFT, size=10)
        )
    return parts


def _named_hits(marks: Sequence[Mark], x: Scale, top: float, *, lanes: int) -> tuple[list[str], float]:
    """Brackets of the hits, names in lanes above them where there is room, and where these end.

    A bracket that goes on past the edge is open there. A hit without room for its name tells it under the
    pointer; how many these are stands at the right.
    """
    inside = sorted(
        (mark for mark in marks if mark.start < x.high and mark.end > x.low), key=lambda m: m.start
    )
    ends = [-np.inf] * lanes
    placed: list[tuple[Mark, int | None, float]] = []
    for mark in inside:
        half = (LETTER * len(mark.label) + 8) / 2
        middle = (x(max(mark.start, x.low)) + x(min(mark.end, x.high))) / 2
        middle = min(max(middle, x.start - 20 + half), x.stop - half)
        lane = next((n for n, end in enumerate(ends) if middle - half >= end), None)
        if lane is not None:
            ends[lane] = middle + half
        placed.append((mark, lane, middle))
    used = max((lane + 1 for _, lane, _ in placed if lane is not None), default=0)
    base = top + used * LANE + (10 if inside else 4)
    parts = []
    for mark, lane, middle in placed:
        left, right = x(max(mark.start, x.low)), x(min(mark.end, x.high))
        begin = "" if mark.start < x.low else "v-5"
        stop = "" if mark.end > x.high else "v5"
        path = f"M{left:.1f} {base - (4 if begin else 9):.1f}{begin}H{max(right, left + 1.5):.1f}{stop}"
        bracket = f'<path d="{path}" fill="none" stroke="{INK}"/>'
        if lane is None:
            parts.append(f"<g><title>{escape(mark.label)}</title>{bracket}</g>")
            continue
        y = base - 12 - LANE * lane
        if lane:
            at = (left + right) / 2
            parts.append(line(at, base - 10, at, y + 3, stroke="#bbb"))
        parts += [bracket, text(middle, y, mark.label, anchor="middle", size=11)]
    hidden = sum(lane is None for _, lane, _ in placed)
    if hidden:
        parts.append(text(4, top + LANE - 3, f"+{hidden:,} hits", fill=SOFT, size=10))
    return parts, base


def _band(contributions: Floats, spread: Floats, x: Scale, y: Scale) -> str:
    """Contributions more and less one standard deviation over folds, as a band over the letters."""

    def inside(value: float) -> float:
        return min(max(y(value), y.stop - 4), y.start + 4)

    columns = [x(x.low + i + 0.5) for i in range(len(contributions))]
    above = [
        f"{a:.1f} {inside(float(c + s)):.1f}" for a, c, s in zip(columns, contributions, spread, strict=True)
    ]
    below = [
        f"{a:.1f} {inside(float(c - s)):.1f}" for a, c, s in zip(columns, contributions, spread, strict=True)
    ]
    return f'<path d="M{"L".join([*above, *reversed(below)])}Z" fill="#777" fill-opacity="0.3"/>'


def _heat(hypothetical: Floats, onehot: NDArray[np.uint8], x: Scale, top: float) -> list[str]:
    """Draw the contribution of each base had it been there; observed ones outlined, negative ones barred."""
    scale = float(np.abs(hypothetical).max())
    # Each cell is several pixels, so that viewers that smooth enlarged images keep its edges.
    pixels = heat_colours(hypothetical, scale).repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)
    cells = pixels.reshape(4, PIXELS, hypothetical.shape[1], PIXELS, 3)
    # A bar as in a minus sign: in grey, and to colour-blind readers, the sign is still there.
    barred = hypothetical < -0.15 * scale
    for row, column in zip(*np.nonzero(barred), strict=True):
        cells[row, PIXELS // 2, column, 1:-1] = cells[row, PIXELS // 2, column, 1:-1] // 2
    for column in np.flatnonzero(onehot.any(axis=0)):
        cell = cells[int(onehot[:, column].argmax()), :, column]
        cell[0] = cell[-1] = cell[:, 0] = cell[:, -1] = 90
    data = base64.b64encode(png(pixels)).decode()
    width = x.stop - x.start
    parts = [
        f'<image x="{x.start:.1f}" y="{top:.1f}" width="{width:.1f}" height="{4 * CELL:.1f}"'
        f' preserveAspectRatio="none" style="image-rendering:pixelated"'
        f' href="data:image/png;base64,{data}"/>',
        rectangle(x.start, top, width, 4 * CELL, fill="none", extra=' stroke="#999"'),
    ]
    for row, base in enumerate(BASES):
        parts.append(text(x.start - 8, top + CELL * (row + 0.85), base, anchor="end", fill=INK, size=10))
    parts.append(text(LEFT - 22, top + CELL * 2.3, f"±{number(scale, 2)}", anchor="end", fill=SOFT, size=10))
    return parts
