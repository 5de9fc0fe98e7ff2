"""Constructs: where motifs are put, singly and in pairs, over a grid of distances and orientations.

A distance lies between the centres of both motifs, as in ``syntax.tsv``; an orientation names the strands of
both, read so that the first motif comes first. A single motif lies with its centre in the middle of the
sequence, a pair with the middle of its arrangement. Each motif of a pair is also put alone at its place, with
which the pair is compared; a construct that several pairs need is computed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, offenders
from cislex.insertions.inserts import Insert, near
from cislex.regions.genome import UNKNOWN
from cislex.sequences.store import reverse_complement
from cislex.syntax.settings import ORIENTATIONS

#: Number of an insert, whether it lies on the minus strand, and where it starts.
Placed = tuple[int, bool, int]
GRID_COLUMNS = [
    *("kind", "insert_a", "insert_b", "orientation", "distance", "start_a", "start_b"),
    *("construct", "alone_a", "alone_b"),
]


@dataclass(frozen=True, kw_only=True)
class GridSettings:
    """Which pairs are made.

    Parameters
    ----------
    pairs
        Names or identifiers of both motifs of each pair; ``all``: every two, and every one with itself;
        empty: no pairs.
    distances
        Between the centres, bp. Where one motif has an even and the other an odd width, half a bp is added.
    orientations
        Of ``++ +- -+ --``. A motif with itself reads alike from either end: ``--`` is its ``++``.
    """

    pairs: str | Sequence[Sequence[str]] = ()
    distances: Sequence[int] = ()
    orientations: Sequence[str] = ORIENTATIONS

    def __post_init__(self) -> None:
        if wrong := [name for name in self.orientations if name not in ORIENTATIONS]:
            raise ConfigError(
                f"orientations: found {offenders(wrong)}, expected some of {', '.join(ORIENTATIONS)}"
            )
        object.__setattr__(self, "distances", tuple(self.distances))
        object.__setattr__(self, "orientations", tuple(self.orientations))
        if isinstance(self.pairs, str) and self.pairs != "all":
            raise ConfigError(f"pairs: found {self.pairs!r}, expected all or a list of pairs")
        if self.pairs and (not self.distances or min(self.distances) < 1 or not self.orientations):
            raise ConfigError(
                f"spacings: found {list(self.distances)}, orientations {list(self.orientations)}; expected "
                "distances of 1 bp or more, and an orientation"
            )


@dataclass
class Grid:
    """All constructs of an experiment.

    Attributes
    ----------
    constructs
        What each holds; the first is the background itself.
    table
        A row for each construct that is reported, with the numbers of constructs and inserts.
    misfits
        Pairs at distances that were left out: both would overlap, or (of ``all``) not fit into the sequence.
    without
        Pairs of ``all`` that fit at no distance.
    """

    constructs: list[tuple[Placed, ...]] = field(default_factory=lambda: [()])
    table: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=GRID_COLUMNS))
    misfits: int = 0
    without: list[str] = field(default_factory=list)


def make_grid(inserts: Sequence[Insert], settings: GridSettings, length: int) -> Grid:
    """Lay out all constructs for sequences of a length.

    Raises
    ------
    ConfigError
        A motif of a pair is not there, or a pair that is named does not fit.
    """
    numbers: dict[tuple[Placed, ...], int] = {(): 0}
    rows: list[dict[str, object]] = []

    def number(*placed: Placed) -> int:
        return numbers.setdefault(placed, len(numbers))

    for a, insert in enumerate(inserts):
        start = length // 2 - insert.width // 2
        for minus in (False, True):
            row = {"kind": "single", "insert_a": a, "orientation": "-" if minus else "+", "start_a": start}
            rows.append(row | {"construct": number((a, minus, start))})
    misfits, without = 0, []
    for a, b in _pairs(inserts, settings):
        fitting = _places(inserts[a], inserts[b], settings, length)
        misfits += len(settings.distances) - len(fitting)
        if not fitting:
            without.append(f"{inserts[a].name} and {inserts[b].name}")
        for distance, start_a, start_b in fitting:
            for orientation in _orientations(settings.orientations, same=a == b):
                first, second = (a, orientation[0] == "-", start_a), (b, orientation[1] == "-", start_b)
                row = {"kind": "pair", "insert_a": a, "insert_b": b, "orientation": orientation}
                places = {"distance": distance, "start_a": start_a, "start_b": start_b}
                alone = {"alone_a": number(first), "alone_b": number(second)}
                rows.append(row | places | alone | {"construct": number(first, second)})
    table = pd.DataFrame(rows, columns=GRID_COLUMNS)
    whole = ["insert_a", "insert_b", "start_a", "start_b", "construct", "alone_a", "alone_b"]
    return Grid(list(numbers), table.astype(dict.fromkeys(whole, "Int64")), misfits, without)


def _orientations(wanted: Sequence[str], *, same: bool) -> Iterable[str]:
    """A motif with itself reads alike from either end."""
    return dict.fromkeys("++" if same and name == "--" else name for name in wanted)


def _pairs(inserts: Sequence[Insert], settings: GridSettings) -> Iterable[tuple[int, int]]:
    if settings.pairs == "all":
        return combinations_with_replacement(range(len(inserts)), 2)
    found = []
    for pair in settings.pairs:
        if isinstance(pair, str) or len(pair) != 2:
            raise ConfigError(f"pairs: found {pair!r}, expected the names of two motifs")
        found.append((find_insert(inserts, pair[0]), find_insert(inserts, pair[1])))
    return dict.fromkeys(found)


def find_insert(inserts: Sequence[Insert], name: str) -> int:
    """Number of an insert, by its identifier or name."""
    for key in ("identifier", "name"):
        for number, insert in enumerate(inserts):
            if getattr(insert, key) == name:
                return number
    names = {one.identifier: one.name for one in inserts}
    raise ConfigError(f"pairs: no motif {name!r} is inserted; {near(name, names)}")


def _places(a: Insert, b: Insert, settings: GridSettings, length: int) -> list[tuple[float, int, int]]:
    """Distance between centres, and both starts, of all distances at which a pair fits."""
    places = []
    half = (a.width + b.width) % 2 / 2
    both = f"{a.name} ({a.width} bp) and {b.name} ({b.width} bp)"
    for wanted in settings.distances:
        distance = wanted + half
        gap = round(distance - (a.width + b.width) / 2)
        span = a.width + gap + b.width
        if gap < 0 or (span > length and settings.pairs == "all"):
            continue
        if span > length:
            raise ConfigError(
                f"spacings: {both} at a distance of {distance:g} bp take {span} bp; the sequences have "
                f"{length} bp. Lower the largest distance"
            )
        start = length // 2 - span // 2
        places.append((distance, start, start + a.width + gap))
    if not places and settings.pairs != "all":
        raise ConfigError(
            f"spacings: {both} overlap at every distance (at most {max(settings.distances)} bp between the "
            f"centres); they need {(a.width + b.width) / 2:g} bp or more"
        )
    return places


class Writer:
    """Writes constructs into backgrounds.

    Parameters
    ----------
    inserts
        The motifs.
    constructs
        As in :class:`Grid`.
    """

    def __init__(self, inserts: Sequence[Insert], constructs: Sequence[tuple[Placed, ...]]) -> None:
        self._inserts = inserts
        widths = [insert.width for insert in inserts]
        first = np.concatenate([[0], np.cumsum(np.repeat(widths, 2))]).astype(np.int64)
        rows, columns, sources = [], [], []
        for row, placed in enumerate(constructs):
            for insert, minus, start in placed:
                reach = np.arange(widths[insert])
                rows.append(np.full(len(reach), row))
                columns.append(start + reach)
                sources.append(first[2 * insert + minus] + reach)
        empty = np.zeros(0, np.int64)
        self._row, self._column, self._source = (
            np.concatenate([empty, *parts]).astype(np.int64) for parts in (rows, columns, sources)
        )

    def bases(self, seed: int, number: int) -> NDArray[np.uint8]:
        """The sites for a background by its number: of each insert on both strands, one after the other."""
        both = [np.zeros(0, np.uint8)]
        for insert in self._inserts:
            codes = insert.draw(seed, number)
            both += [codes, reverse_complement(codes[None])[0]]
        return np.concatenate(both)

    def write(
        self, background: NDArray[np.uint8], bases: NDArray[np.uint8], chosen: slice
    ) -> NDArray[np.uint8]:
        """Some of the constructs in a background (L,) with its ``bases``: codes (n, L)."""
        out = np.repeat(background[None], chosen.stop - chosen.start, axis=0)
        low, high = np.searchsorted(self._row, [chosen.start, chosen.stop])
        values = bases[self._source[low:high]]
        written = values != UNKNOWN
        out[self._row[low:high][written] - chosen.start, self._column[low:high][written]] = values[written]
        return out
