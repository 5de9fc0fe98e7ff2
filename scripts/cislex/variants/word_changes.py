"""Words that a variant gains, loses or changes: the best sites over both alleles, and what they add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cislex.motifs.baseline import log_odds
from cislex.motifs.files import MemeMotif, reverse_complement
from cislex.regions.genome import UNKNOWN

#: A place is a site of a word from this share of the largest log-odds that the word's matrix gives.
SITE_SHARE = 0.6
#: Bits by which a site that stays must change to be told.
LEAST_CHANGE = 1.0
_BACKGROUND = np.full(4, 0.25)


@dataclass(frozen=True)
class Allele:
    """One allele in its window.

    Parameters
    ----------
    codes
        uint8 (L,).
    place, size
        Column of its first base, and number of its bases; of a deletion that is nothing, and a site then
        spans the place.
    contributions
        float (L,): of each base of the window.
    """

    codes: NDArray[np.uint8]
    place: int
    size: int
    contributions: NDArray[np.floating]


@dataclass(frozen=True)
class Site:
    """The best place of a word that overlaps an allele: bits, first column, strand and its contribution."""

    score: float
    start: int
    strand: str
    contribution: float


@dataclass(frozen=True)
class WordChange:
    """A word that a variant ``gained``, ``lost`` or ``changed``; a site is None where it does not fit."""

    word: MemeMotif
    change: str
    before: Site | None
    after: Site | None


def best_site(allele: Allele, matrix: NDArray[np.float32]) -> Site | None:
    """Find the place with the highest log-odds (4, width) that overlaps an allele, on either strand.

    None where no place within the window overlaps it. Unknown bases score 0. Of equal places the first is
    taken, and of both strands the forward one.
    """
    width = matrix.shape[1]
    first = max(0, allele.place - width + 1)
    last = min(allele.place + allele.size - 1 if allele.size else allele.place - 1, len(allele.codes) - width)
    if last < first:
        return None
    places = np.lib.stride_tricks.sliding_window_view(allele.codes[first : last + width], width)
    scores = [_scores(places, strand) for strand in (matrix, reverse_complement(matrix.astype(np.float64)))]
    number, at = np.unravel_index(int(np.argmax(scores)), (2, len(places)))
    start = first + int(at)
    return Site(
        score=float(scores[number][at]),
        start=start,
        strand="+-"[int(number)],
        contribution=float(allele.contributions[start : start + width].sum()),
    )


def _scores(places: NDArray[np.uint8], matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    padded = np.vstack([matrix, np.zeros((1, matrix.shape[1]))])  # row UNKNOWN scores 0
    found: NDArray[np.float64] = padded[np.minimum(places, UNKNOWN), np.arange(matrix.shape[1])].sum(axis=1)
    return found


def word_changes(before: Allele, after: Allele, words: Sequence[MemeMotif]) -> list[WordChange]:
    """Words with a site over one of both alleles that the variant changes, the largest change first.

    A place is a site from ``SITE_SHARE`` of the largest log-odds of the word. Words whose scores differ by
    less than ``LEAST_CHANGE`` are left out. Of the others a word with a site on one allele only is ``gained``
    or ``lost``, one with a site on both is ``changed``.
    """
    return sorted(
        _changes(before, after, words), key=lambda found: -abs(_score(found.after) - _score(found.before))
    )


def _changes(before: Allele, after: Allele, words: Sequence[MemeMotif]) -> Iterator[WordChange]:
    for word in words:
        matrix = log_odds(word, _BACKGROUND)
        limit = SITE_SHARE * float(matrix.max(axis=0).sum())
        sites = best_site(before, matrix), best_site(after, matrix)
        had, has = (_score(site) >= limit for site in sites)
        differs = abs(_score(sites[1]) - _score(sites[0])) >= LEAST_CHANGE
        if differs and (had or has):
            yield WordChange(word, "changed" if had and has else "gained" if has else "lost", *sites)


def _score(site: Site | None) -> float:
    return 0.0 if site is None else max(site.score, 0.0)
