"""Summary of the patterns: known motifs counted once, composites, and unknown ones.

TF-MoDISco reports patterns. Several of them may be one motif (in two targets, or as a variant), and a pattern
may hold two motifs at a fixed distance. A reader wants to know how many *motifs* the model uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cislex.motifs.files import read_meme, smallness
from cislex.report.facts import count
from cislex.report.sections.motifs import WEAK_Q, Match, MotifView, database_label

#: A pattern is a composite if it is wider than its best match by so many bp and by so large a factor.
WIDER_BP, WIDER_FACTOR = 8, 1.5


@dataclass(frozen=True)
class Lexicon:
    """Patterns sorted by what they resemble.

    Parameters
    ----------
    families
        Patterns that match a known motif by themselves. Those that share one of their best matches are
        one distinct motif; the family, and the pattern in it, with most seqlets comes first.
    composites
        Patterns that the lexicon names as composites of words; of those that it does not name, the ones much
        wider than the known motif that they match. They hold a motif and something else.
    unknown
        Other patterns without a significant match.
    """

    families: list[list[MotifView]]
    composites: list[MotifView]
    unknown: list[MotifView]

    @property
    def matched(self) -> int:
        """Patterns that match a known motif by themselves."""
        return sum(len(family) for family in self.families)

    @property
    def names(self) -> list[str]:
        """Best match of the first pattern of each family."""
        return [str(family[0].best) for family in self.families]

    @property
    def patterns(self) -> int:
        """All patterns."""
        return self.matched + len(self.composites) + len(self.unknown)


def match_widths(database: str | Path | None) -> dict[str, int]:
    """Width in bp of each known motif of a MEME file, by identifier; none without a file."""
    if database is None:
        return {}
    return {motif.identifier: motif.ppm.shape[1] for motif in read_meme(database)}


def match_width(match: Match, widths: Mapping[str, Mapping[str, int]]) -> int | None:
    """Width in bp of a match, of the widths of each database; None where no file tells."""
    named = widths.get(match.database)
    known = widths.values() if named is None else [named]  # tables of before name no database
    return next((of[match.matrix] for of in known if match.matrix in of), None)


def database_smallness(database: str | Path) -> str:
    """Why the motifs of a MEME file are too few for TOMTOM's q-values; empty: they are not."""
    return smallness([motif.ppm for motif in read_meme(database)])


def few_known_motifs(small: Mapping[str, str]) -> list[str]:
    """A note for each database (:func:`database_smallness` by its name) that is too small for TOMTOM."""
    return [
        f"{'the database' if len(small) == 1 else database_label(name)} holds {why}: q-values come from "
        "patterns with shuffled columns, and a larger database may hold better matches"
        for name, why in small.items()
        if why
    ]


def is_composite(width: int, match: int | None) -> bool:
    """Whether a pattern of this width (bp) holds more than its best match of that width."""
    return match is not None and width >= match + WIDER_BP and width >= WIDER_FACTOR * match


def read_lexicon(motifs: Iterable[MotifView]) -> Lexicon:
    """Sort patterns (without flagged ones) by what they resemble."""
    ordered = sorted(motifs, key=lambda motif: -motif.seqlets)
    alone = [motif for motif in ordered if motif.best and not motif.composite]
    return Lexicon(
        families=_families(alone),
        composites=[motif for motif in ordered if motif.composite],
        unknown=[motif for motif in ordered if not motif.best and not motif.composite],
    )


def _families(motifs: Sequence[MotifView]) -> list[list[MotifView]]:
    """Join motifs that share a significant match, directly or through others."""
    families: list[tuple[set[tuple[str, str]], list[MotifView]]] = []
    for motif in motifs:
        known = {(match.database, match.matrix) for match in motif.matches if not match.weak}
        touching = [family for family in families if family[0] & known]
        merged = (
            known.union(*(ids for ids, _ in touching)),
            [*(member for _, members in touching for member in members), motif],
        )
        # The merged family takes the place of the first one that it touches.
        rest = [family for family in families if family not in touching]
        place = families.index(touching[0]) if touching else len(rest)
        families = [*rest[:place], merged, *rest[place:]]
    return [sorted(members, key=lambda motif: -motif.seqlets) for _, members in families]


def composition(lexicon: Lexicon) -> str:
    """``Of 5 patterns, 3 match a known motif (q ≤ 0.05) and 2 are composites (…).``"""
    kinds = [
        (lexicon.matched, "matches", "match", f"a known motif (q ≤ {WEAK_Q:g})"),
        (
            len(lexicon.composites), "is a composite", "are composites",
            "(a motif plus something else)",
        ),
        (len(lexicon.unknown), "resembles", "resemble", "no known motif"),
    ]  # fmt: skip
    if lexicon.patterns < 2:
        return "".join(f"The one pattern {one} {rest}." for n, one, _, rest in kinds if n)
    if len(present := [kind for kind in kinds if kind[0]]) == 1:
        n, _, more, rest = present[0]
        return f"{'Both' if n == 2 else f'All {n:,}'} patterns {more} {rest}."
    said = [f"{f'{n:,}' if n else 'none'} {one if n == 1 else more} {rest}" for n, one, more, rest in kinds]
    first, *others = (text for text, (n, *_) in zip(said, kinds, strict=True) if n or text is said[0])
    return f"Of {count(lexicon.patterns, 'pattern')}, {', '.join([first, *others[:-1]])} and {others[-1]}."


def known_motifs(lexicon: Lexicon) -> str:
    """``3 distinct known motifs``, ``No known motif``."""
    n = len(lexicon.families)
    return f"{count(n, 'distinct known motif')}" if n else "no known motif"
