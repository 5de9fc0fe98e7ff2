"""Composites taken apart: words that hold two or more other words at fixed distances."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from cislex.lexicon.words import Part, Word
from cislex.motifs.files import Matrix, Motif, consensus, reverse_complement

#: A part has at least this width (bp), and its composite is wider by at least so much.
LEAST_WIDTH, WIDER = 5, 4
#: Of a part that the end of the composite's matrices cuts, columns and share of its |CWM| that must be there.
LEAST_COLUMNS, LEAST_SEEN = 5, 0.5
#: Columns that neighbouring parts may share, and that a part may stick out of its composite's core.
SHARED, BEYOND = 2, 2
#: Shares of the composite's |CWM| that its parts hold together, and each of them.
LEAST_TOGETHER, LEAST_EACH = 0.75, 0.15
#: What is no word is a part if it is so far (bp) from one; nearer, it makes a variant of that word.
LEAST_GAP = 4
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
        chain = _best_chain(_places(words, number, simple, min_similarity))
        parts = [Part(words[p.word].identifier, p.is_reversed, p.start, p.end) for p in chain]
        parts = _with_unknown(words[number].motif, parts)
        if len(parts) > 1 and _share(words[number].motif, parts) >= LEAST_TOGETHER:
            found[number] = tuple(parts)
    return found


def _with_unknown(whole: Motif, parts: list[Part]) -> list[Part]:
    """Parts, and before and after them what contributes, is no word, and lies apart."""
    if not parts:
        return []
    mass = _mass(whole)
    least = min(mass[whole.start], mass[whole.end - 1])  # as when it was trimmed, up to rounding
    strong = np.flatnonzero(mass >= least * (1 - 1e-9))
    before, after = strong[strong < parts[0].start], strong[strong >= parts[-1].end]
    found = list(parts)
    for inside, is_before in ((before, True), (after, False)):
        if len(inside) == 0:
            continue
        start, end = int(inside[0]), int(inside[-1]) + 1
        gap = parts[0].start - end if is_before else start - parts[-1].end
        if gap >= LEAST_GAP and mass[start:end].sum() >= LEAST_EACH:
            found.append(Part("", False, start, end, consensus(whole.ppm[:, start:end])))
    return sorted(found, key=lambda part: part.start)


def _mass(whole: Motif) -> NDArray[np.float64]:
    """Share of the core's |CWM| in each column of the matrices; 0 outside of the core."""
    mass = np.abs(whole.cwm).sum(axis=0)
    mass[: whole.start] = mass[whole.end :] = 0.0
    return mass / (mass.sum() or 1.0)


def _share(whole: Motif, parts: Sequence[Part]) -> float:
    """Share of a word's |CWM| that some parts hold together."""
    inside = np.zeros(whole.cwm.shape[1], bool)
    for part in parts:
        inside[max(part.start, 0) : max(part.end, 0)] = True
    return float(_mass(whole)[inside].sum())


def _places(words: Sequence[Word], number: int, others: Sequence[int], least: float) -> list[_Place]:
    """Where narrower words fit a word, each on both strands."""
    whole, found = words[number].motif, []
    width = whole.cwm.shape[1]
    running = np.pad(_mass(whole).cumsum(), (1, 0))
    for other in others:
        part = words[other].motif
        if part.sign != whole.sign or not LEAST_WIDTH <= part.width <= whole.width - WIDER:
            continue
        if part.n_seqlets < LEAST_SUPPORT * whole.n_seqlets:
            continue
        for is_reversed in (False, True):
            core = reverse_complement(part.core_cwm) if is_reversed else part.core_cwm
            starts, cosine = _slide(core, whole.cwm)
            low, high = np.maximum(starts, 0), np.minimum(starts + part.width, width)
            share = running[high] - running[low]
            fits = (low >= whole.start - BEYOND) & (high <= whole.end + BEYOND)
            for hit in np.flatnonzero(fits & (cosine >= least) & (share >= LEAST_EACH)):
                start = int(starts[hit])
                found.append(
                    _Place(
                        other, is_reversed, start, start + part.width, float(cosine[hit]), float(share[hit])
                    )
                )
    return found


def _slide(core: Matrix, whole: Matrix) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Starts of a core (4, w) along a longer matrix, which may cut it at its ends, and the cosine there."""
    columns = core.shape[1]
    beyond = columns - LEAST_COLUMNS
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(whole, ((0, 0), (beyond, beyond))), columns, axis=1
    )
    there = np.lib.stride_tricks.sliding_window_view(
        np.pad(np.ones(whole.shape[1]), (beyond, beyond)), columns
    )
    weight = np.abs(core).sum(axis=0)
    seen = there @ weight / (weight.sum() or 1.0)
    dots = np.einsum("cnw,cw->n", windows, core)
    norms = np.sqrt(np.einsum("cnw,cnw->n", windows, windows) * (there @ (core**2).sum(axis=0)))
    cosine = dots / np.where(norms > 0, norms, 1.0)
    return np.arange(len(dots)) - beyond, np.where(seen >= LEAST_SEEN, cosine, 0.0)


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
