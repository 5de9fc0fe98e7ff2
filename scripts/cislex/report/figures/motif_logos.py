"""Logos of motifs on a page: letters placed by reference, and logos of known motifs drawn once a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape

from cislex.motifs.files import Matrix, reverse_complement
from cislex.motifs.logos import MARGIN_TOP, extent, stacked_letters
from cislex.report.facts import number

#: Pixels of a column, of the plot's height, and of the margins for the axes' numbers.
COLUMN, HEIGHT, LEFT, BOTTOM = 18, 80, 34, 16


def motif_logo(heights: Matrix, *, label: str, limits: tuple[float, float] | None = None) -> Markup:
    """Draw a logo with the page's four glyphs.

    Parameters
    ----------
    heights
        (4, w): height of A, C, G, T at each position; negative letters hang below the axis.
    label
        What the logo shows, for screen readers.
    limits
        Lowest and highest value of the axis; None: those of the stacks.
    """
    width, height, parts = _parts(heights, limits)
    return Markup(f"{_opening(width, height, label)}{''.join(parts)}</svg>")


@dataclass
class Symbols:
    """Logos that several rows of a page share: each is defined once, and placed by reference."""

    drawn: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    def place(self, name: str, heights: Callable[[], Matrix], *, label: str) -> Markup:
        """Refer to the logo of a known motif in bits; the first time, it is drawn of ``heights()``."""
        identifier = "logo-" + re.sub(r"[^A-Za-z0-9_.-]", lambda found: f"_{ord(found[0]):x}_", name)
        if identifier not in self.drawn:
            width, height, parts = _parts(heights(), (0.0, 2.0))
            self.drawn[identifier] = width, height, "".join(parts)
        width, height, _ = self.drawn[identifier]
        return Markup(f'{_opening(width, height, label)}<use href="#{identifier}"/></svg>')

    @property
    def definitions(self) -> Markup:
        """Every logo as a ``symbol``."""
        return Markup("").join(
            Markup(f'<symbol id="{name}" viewBox="0 0 {width} {height}">{parts}</symbol>')
            for name, (width, height, parts) in self.drawn.items()
        )


def is_reversed_match(core: Matrix, known: Matrix) -> bool:
    """Whether a known motif (4, v) resembles a core (4, w) more on its other strand, at any overlap."""
    a = core - 0.25

    def best(other: Matrix) -> float:
        b = other - 0.25
        # The product of all pairs of columns, summed along each diagonal: one for each offset.
        products = a.T @ b
        return max(float(np.trace(products, offset=k)) for k in range(1 - len(products), products.shape[1]))

    return best(reverse_complement(known)) > best(known)


def _opening(width: int, height: int, label: str) -> str:
    return (
        f'<svg class="logo" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{escape(label)}">'
    )


def _parts(heights: Matrix, limits: tuple[float, float] | None) -> tuple[int, int, list[str]]:
    """Width, height and elements of a logo."""
    low, high = limits or extent(heights)
    scale, columns = HEIGHT / (high - low), heights.shape[1]
    width, height, zero = LEFT + COLUMN * columns + 4, MARGIN_TOP + HEIGHT + BOTTOM, MARGIN_TOP + high * scale
    parts = [
        f'<path d="M{LEFT} {MARGIN_TOP}v{HEIGHT}M{LEFT} {zero:.1f}H{width}" stroke="#555"/>',
        '<g fill="#444" font-size="9" text-anchor="end">',
    ]
    for value in sorted({low, 0.0, high}):
        y = zero - value * scale
        if not value or abs(y - zero) >= 10:  # else its number would be written over the zero
            written = number(value, 2) if value % 1 else f"{value:.0f}"
            parts.append(f'<text x="{LEFT - 4}" y="{y + 3:.1f}">{written}</text>')
    parts.append('</g><g fill="#444" font-size="9" text-anchor="middle">')
    step = 5 if columns <= 60 else 50
    for place in sorted({1, *range(step, columns + 1, step)} if columns else ()):
        parts.append(f'<text x="{LEFT + COLUMN * (place - 0.5):g}" y="{height - 4}">{place}</text>')
    parts.append("</g>")
    for place, base, near, far in stacked_letters(heights, low, high):
        # A glyph begins at its top; of a negative letter, which is upside down, the top is the far end, too.
        x, y, size = LEFT + COLUMN * (place + 0.03), zero - far * scale, (far - near) * scale / 100
        matrix = f"matrix({COLUMN * 0.0094:.3g} 0 0 {size:.3g} {x:.1f} {y:.1f})"
        parts.append(f'<use href="#base-{base}" transform="{matrix}"/>')
    return width, height, parts
