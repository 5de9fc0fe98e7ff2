"""Composites taken apart: words that hold two or more other words at fixed distances."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from cislex.lexicon.words import Part, Word
from cislex.motifs.files import Matrix, reverse_complement

#: A part has at least this width (bp), and its composite is wider by at least so much.
LEAST_WIDTH, WIDER = 5, 4
#: Columns that neighbouring parts may share, and that a part may stick out of its composite's core.
SHARED, BEYOND = 2, 2
#: Shares of the composite's |CWM| that its parts hold together, and each of them.
LEAST_TOGETHER, LEAST_EACH = 0.75, 0.15
#: A word with less than this share of the composite's seqlets is a fragment of it, not a part.
LEAST_SUPPORT = 0.2


@dataclasses.dataclass(frozen=True)
class _Place:
    """A word that fits the columns ``start:end`` of another one, which hold this share of its |CWM|."""

    word: int
    is_reversed: bool
    start: int
    end: int
    cosine: float
    share: float


def find_composites(
    words: Sequence[Word], min_similarity: float, *, never_parts: Collection[int] = ()
) -> dict[int, tuple[Part, ...]]:
    """Find words whose parts are other words of the same sign.

    Parameters
    ----------
    words
        With identifiers, in their order.
    min_similarity
        Least cosine between a part's contributions and those columns of the composite.
    never_parts
        Numbers of words that are no parts of others.

    Returns
    -------
    dict
        Number of each composite, and its parts from start to end. No part is a composite itself.
    """
    found: dict[int, tuple[Part, ...]] = {}
    by_width = sorted(range(len(words)), key=lambda number: (words[number].motif.width, number))
    for place, number in enumerate(by_width):
        simple = [other for other in by_width[:place] if other not in found and other not in never_parts]
        chosen = _best_chain(_places(words, number, simple, min_similarity))
        if len(chosen) > 1 and _share(words[number], chosen) >= LEAST_TOGETHER:
            found[number] = tuple(
                Part(words[p.word].identifier, p.is_reversed, p.start, p.end) for p in chosen
            )
    return found


def _mass(word: Word) -> NDArray[np.float64]:
    """Share of the core's |CWM| in each column of the matrices; 0 outside of the core."""
    mass = np.abs(word.motif.cwm).sum(axis=0)
    mass[: word.motif.start] = mass[word.motif.end :] = 0.0
    return mass / (mass.sum() or 1.0)


def _share(word: Word, places: Sequence[_Place]) -> float:
    """Share of a word's |CWM| that some places hold together."""
    inside = np.zeros(word.motif.cwm.shape[1], bool)
    for place in places:
        inside[place.start : place.end] = True
    return float(_mass(word)[inside].sum())


def _places(words: Sequence[Word], number: int, others: Sequence[int], least: float) -> list[_Place]:
    """Where narrower words fit a word, each on both strands."""
    whole, found = words[number].motif, []
    low, high = max(whole.start - BEYOND, 0), min(whole.end + BEYOND, whole.cwm.shape[1])
    running = np.pad(_mass(words[number]).cumsum(), (1, 0))
    for other in others:
        part = words[other].motif
        if part.sign != whole.sign or not LEAST_WIDTH <= part.width <= whole.width - WIDER:
            continue
        if part.n_seqlets < LEAST_SUPPORT * whole.n_seqlets:
            continue
        for is_reversed in (False, True):
            core = reverse_complement(part.core_cwm) if is_reversed else part.core_cwm
            cosine = _slide(core, whole.cwm[:, low:high])
            starts = low + np.arange(len(cosine))
            share = running[starts + part.width] - running[starts]
            for hit in np.flatnonzero((cosine >= least) & (share >= LEAST_EACH)):
                start = low + int(hit)
                found.append(
                    _Place(
                        other,
                        is_reversed,
                        start,
                        start + part.width,
                        float(cosine[hit]),
                        float(share[hit]),
                    )
                )
    return found


def _slide(core: Matrix, whole: Matrix) -> NDArray[np.float64]:
    """Cosine of a core (4, w) with each window of a longer matrix: float64 (length - w + 1,)."""
    windows = np.lib.stride_tricks.sliding_window_view(whole, core.shape[1], axis=1)
    dots = np.einsum("cnw,cw->n", windows, core)
    norms = np.sqrt(np.einsum("cnw,cnw->n", windows, windows)) * np.linalg.norm(core)
    return dots / np.where(norms > 0, norms, 1.0)


def _best_chain(places: Sequence[_Place]) -> list[_Place]:
    """Places side by side that explain most: weighted interval scheduling by share × cosine²."""
    ordered = sorted(places, key=lambda p: (p.end, p.start, p.is_reversed, p.word))
    best: list[tuple[float, list[_Place]]] = []
    for place in ordered:
        before = max(
            (b for b in best if b[1][-1].end <= place.start + SHARED),
            key=lambda b: b[0],
            default=(0.0, []),
        )
        best.append((before[0] + place.share * place.cosine**2, [*before[1], place]))
    return max(best, key=lambda b: b[0], default=(0.0, []))[1]
