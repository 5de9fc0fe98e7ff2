"""Grammars of simulated assays: which words make a peak, and how they stand to each other.

=============  ======================================================================================
kind           what makes a peak
=============  ======================================================================================
single         one site of one word
pair           two words, so many bases apart, in one or any orientation
helical        the same, at distances between centres that are multiples of a period
cluster        several sites of one word
independent    two words that do not know of each other: no distance must be called
=============  ======================================================================================

Any of them may have a further word that lowers the signal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cislex.demo.planted_motifs import DECOY, MOTIFS, Motif
from cislex.errors import ConfigError

#: How the planted model puts two words together: sum; both are needed; one is enough; one scales the other.
LOGICS = ("sum", "and", "or", "context")
ORIENTATIONS = ("++", "+-", "-+", "any")
GRAMMAR_COLUMNS = [
    *("assay", "kind", "motif_a", "name_a", "motif_b", "name_b", "orientation", "least", "most", "period"),
    *("copies_least", "copies_most", "peaks"),
]
#: Deviation of a helical distance from a multiple of its period (standard deviation, bp).
HELICAL_SPREAD = 0.7
#: Bases between sites that are placed independently of each other, at least, and from the edge of the peak.
CLEAR, MARGIN = 2, 20

Site = tuple[str, int, str]


@dataclass(frozen=True)
class Assay:
    """What makes the peaks of an assay.

    Attributes
    ----------
    words
        One or two parts (keys of MOTIFS).
    spacing
        Least and most bases between neighbouring sites; None: that of the simulation.
    orientation
        Strands of the two words, the first of ``words`` upstream; ``any``: every strand and order.
    period
        Distances between centres are multiples of this (bp); None: any within ``spacing``.
    copies
        Least and most sites of an assay with one word.
    independent
        The words lie anywhere in the peak, independently of each other.
    lowered_by
        A word that lowers the signal, anywhere in the peak.
    logic
        What the planted model makes of both words (LOGICS).
    """

    words: tuple[str, ...]
    spacing: tuple[int, int] | None = None
    orientation: str = "++"
    period: float | None = None
    copies: tuple[int, int] = (1, 1)
    independent: bool = False
    lowered_by: str | None = None
    logic: str = "sum"

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        object.__setattr__(self, "copies", tuple(self.copies))
        if self.spacing is not None:
            object.__setattr__(self, "spacing", tuple(self.spacing))

    @property
    def kind(self) -> str:
        """See the module's table."""
        if self.independent:
            return "independent"
        if len(self.words) == 1:
            return "single" if self.copies == (1, 1) else "cluster"
        return "pair" if self.period is None else "helical"

    @property
    def parts(self) -> tuple[str, ...]:
        """Every word of the assay."""
        return (*self.words, *((self.lowered_by,) if self.lowered_by else ()))

    def problems(self, *, spacing: tuple[int, int]) -> list[str]:
        """What is wrong with it; ``spacing`` where it has none of its own."""
        found = [f"unknown word {part!r}" for part in self.parts if part not in MOTIFS or part == DECOY]
        known = ", ".join(part for part in MOTIFS if part != DECOY)
        found = [f"{text}; known are {known}" for text in found]
        low, high = self.spacing or spacing
        if not 1 <= len(self.words) <= 2 or len(set(self.parts)) < len(self.parts):
            found.append(f"expected one or two words, each once; found {', '.join(self.parts)}")
        if not 0 <= low <= high:
            found.append(f"spacing: expected two ascending numbers from 0; found {low} and {high}")
        if self.orientation not in ORIENTATIONS:
            found.append(f"orientation {self.orientation!r}; expected {', '.join(ORIENTATIONS)}")
        if not 1 <= self.copies[0] <= self.copies[1] or (len(self.words) > 1 and self.copies != (1, 1)):
            found.append(f"copies {list(self.copies)}: expected ascending numbers from 1, of one word")
        if self.logic not in LOGICS or (self.logic != "sum" and len(self.words) < 2):
            found.append(f"logic {self.logic!r}: expected {', '.join(LOGICS)}; all but sum need two words")
        if self.independent and (len(self.words) < 2 or self.period is not None):
            found.append("independent needs two words and no period")
        if self.period is not None and not 2 <= self.period <= high - low + 1:
            found.append(f"period {self.period:g}: expected 2 to the range of spacing ({high - low + 1})")
        return found

    def widest(self, widths: Mapping[str, int], *, spacing: tuple[int, int]) -> int:
        """Length of its longest arrangement in bp, without words that lie anywhere."""
        if self.independent:
            return max(widths[part] for part in self.words)
        gap = (self.spacing or spacing)[1]
        sites = [*self.words] if len(self.words) > 1 else [self.words[0]] * self.copies[1]
        return sum(widths[part] for part in sites) + gap * (len(sites) - 1)


DEFAULT_ASSAYS = {"enhancer": Assay(("ap1", "spi1")), "insulator": Assay(("ctcf",))}


def assays_from(given: Mapping[str, Any], *, spacing: tuple[int, int]) -> dict[str, Assay]:
    """Assays by name from their settings; ConfigError names everything that is wrong."""
    made = {name: entry if isinstance(entry, Assay) else Assay(**entry) for name, entry in given.items()}
    wrong = [
        f"simulate.assays.{name}: {text}" for name, a in made.items() for text in a.problems(spacing=spacing)
    ]
    if wrong or not made:
        raise ConfigError("; ".join(wrong) or "simulate.assays: expected at least one")
    return made


def arrange(
    assay: Assay, strand: str, middle: int, widths: Mapping[str, int], rng: np.random.Generator,
    *, spacing: tuple[int, int], reach: int,
) -> list[Site]:  # fmt: skip
    """Arrange the sites of one peak: part, start and strand of each, by start.

    Parameters
    ----------
    assay
        The grammar.
    strand
        On which the whole arrangement is read.
    middle
        Base around which it lies.
    widths
        Width of each part (bp).
    rng
        Draws gaps, strands and places.
    spacing
        Of assays without their own.
    reach
        How far from ``middle`` sites that lie anywhere may be (bp).
    """
    sites: list[Site] = []
    if not assay.independent:
        sites = _block(assay, strand, middle, widths, rng, assay.spacing or spacing)
    free = assay.words if assay.independent else ()
    for part in (*free, *((assay.lowered_by,) if assay.lowered_by else ())):
        sites.append(_anywhere(part, sites, middle, widths, rng, reach))
    return sorted(sites, key=lambda site: site[1])


def _block(
    assay: Assay, strand: str, middle: int, widths: Mapping[str, int], rng: np.random.Generator,
    spacing: tuple[int, int],
) -> list[Site]:  # fmt: skip
    """Sites that know of each other, side by side."""
    parts, strands = list(assay.words), ["+"] * len(assay.words)
    if len(parts) > 1:
        gaps = [_gap(assay, widths, rng, spacing)]
        if assay.orientation == "any":
            strands = ["+-"[int(rng.integers(2))] for _ in parts]
            if rng.random() < 0.5:
                parts, strands = parts[::-1], strands[::-1]
        else:
            strands = list(assay.orientation)
    else:
        copies = int(rng.integers(assay.copies[0], assay.copies[1] + 1)) if assay.copies[1] > 1 else 1
        parts, strands = parts * copies, strands * copies
        gaps = [int(rng.integers(spacing[0], spacing[1] + 1)) for _ in parts[1:]]
        if assay.orientation == "any":
            strands = ["+-"[int(rng.integers(2))] for _ in parts]
    lengths = [widths[part] for part in parts]
    starts = np.cumsum([0, *(length + gap for length, gap in zip(lengths, gaps, strict=False))])
    total = int(starts[-1]) + lengths[-1]
    begin = middle - total // 2
    if strand == "+":
        return [(p, begin + int(s), o) for p, s, o in zip(parts, starts, strands, strict=True)]
    turned = {"+": "-", "-": "+"}
    rows = zip(parts, starts, lengths, strands, strict=True)
    return [(part, begin + total - int(start) - length, turned[o]) for part, start, length, o in rows]


def _gap(assay: Assay, widths: Mapping[str, int], rng: np.random.Generator, spacing: tuple[int, int]) -> int:
    """Bases between the two sites of a pair."""
    low, high = spacing
    if assay.period is None:
        return int(rng.integers(low, high + 1))
    halves = sum(widths[part] for part in assay.words) / 2
    turns = np.arange(np.ceil((low + halves) / assay.period), np.floor((high + halves) / assay.period) + 1)
    distance = float(rng.choice(turns)) * assay.period + float(rng.normal(0, HELICAL_SPREAD))
    return int(np.clip(round(distance - halves), low, high))


def _anywhere(
    part: str,
    sites: Sequence[Site],
    middle: int,
    widths: Mapping[str, int],
    rng: np.random.Generator,
    reach: int,
) -> Site:
    """A site at a place that is free, on either strand."""
    width = widths[part]
    starts = np.arange(middle - reach, middle + reach - width + 1)
    for other, start, _ in sites:
        starts = starts[(starts + width + CLEAR <= start) | (starts >= start + widths[other] + CLEAR)]
    if not len(starts):
        raise ConfigError(f"simulate: a peak has no place for {part} beside its other sites")
    return part, int(rng.choice(starts)), "+-"[int(rng.integers(2))]


def grammar_table(
    assays: Mapping[str, Assay], motifs: Mapping[str, Motif], *, spacing: tuple[int, int], peaks: int
) -> pd.DataFrame:
    """What is planted: one row for each assay, and one for each word that lowers a signal.

    Returns
    -------
    pandas.DataFrame
        GRAMMAR_COLUMNS; ``least`` and ``most`` are distances between centres of neighbouring sites, bp.
    """
    rows = []
    for name, assay in assays.items():
        first, second = motifs[assay.words[0]], motifs[assay.words[-1]]
        row: dict[str, object] = {"assay": name, "kind": assay.kind, "peaks": peaks}
        row |= {"motif_a": first.matrix_id, "name_a": first.name}
        if assay.kind != "single":
            row |= {"motif_b": second.matrix_id, "name_b": second.name}
        if assay.kind in ("pair", "helical", "cluster"):
            low, high = assay.spacing or spacing
            halves = (first.width + second.width) / 2
            row |= {"orientation": assay.orientation, "least": low + halves, "most": high + halves}
            row |= {"period": assay.period}
        if assay.kind == "cluster":
            row |= {"copies_least": assay.copies[0], "copies_most": assay.copies[1]}
        rows.append(row)
        if assay.lowered_by:
            lowers = motifs[assay.lowered_by]
            own = {"motif_a": lowers.matrix_id, "name_a": lowers.name}
            rows.append({"assay": name, "kind": "lowers", "peaks": peaks, **own})
    return pd.DataFrame(rows, columns=GRAMMAR_COLUMNS)
