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
#: Of a part that the end of the composite's matrices cuts, columns and share of its |CWM| that must be there;
#: of a part that the end of its core cuts (where trimming ended), the share that must be inside.
LEAST_COLUMNS, LEAST_SEEN = 5, 0.5
#: Columns that neighbouring parts may share.
SHARED = 2
#: Shares of the composite's |CWM| (of its core, and of parts that stick out of it): of its parts together, of
#: a word, and of what is no word. The shape proves a word, and only its strength proves something unknown.
LEAST_TOGETHER, LEAST_EACH, LEAST_UNKNOWN = 0.75, 0.1, 0.15
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
        simple = [words[k] for k in by_width[:place] if k not in found and k not in never_parts]
        parts = parts_of(words[number].motif, simple, min_similarity)
        if parts:
            found[number] = parts
    return found


def parts_of(whole: Motif, simple: Sequence[Word], min_similarity: float) -> tuple[Part, ...]:
    """Find the words that a motif consists of, from its start to its end; none if it is no composite."""
    chain = _best_chain(_places(whole, simple, min_similarity))
    if not chain:
        return ()
    words = [Part(simple[p.word].identifier, p.is_reversed, p.start, p.end) for p in chain]
    unknown = _unknown(whole, words)
    if len(words) + len(unknown) < 2:
        return ()
    spans = [(part.start, part.end) for part in words] + [columns for _, columns in unknown]
    if _share(whole, spans) < LEAST_TOGETHER:
        return ()
    return tuple(sorted([*words, *(part for part, _ in unknown)], key=lambda part: part.start))


def _unknown(whole: Motif, words: Sequence[Part]) -> list[tuple[Part, tuple[int, int]]]:
    """Before and after the words, what contributes, is no word, and lies apart; with all columns apart.

    The part itself is what contributes as much as the ends of the core. Where a word lies at several
    distances, its copies overlap in the mean, and what they hold is spread over more than these columns.
    """
    mass = _mass(whole)
    least = min(mass[whole.start], mass[whole.end - 1])  # as when it was trimmed, up to rounding
    strong = whole.start + np.flatnonzero(mass[whole.start : whole.end] >= least * (1 - 1e-9))
    first, last = words[0].start, words[-1].end
    found = []
    for inside, apart in (
        (strong[strong < first], (whole.start, first - LEAST_GAP)),
        (strong[strong >= last], (last + LEAST_GAP, whole.end)),
    ):
        if len(inside) == 0:
            continue
        start, end = int(inside[0]), int(inside[-1]) + 1
        if apart[0] <= start and end <= apart[1] and _share(whole, [apart]) >= LEAST_UNKNOWN:
            found.append((Part("", False, start, end, consensus(whole.ppm[:, start:end])), apart))
    return found


def _mass(whole: Motif) -> NDArray[np.float64]:
    """|CWM| of each column of the matrices, as a share of the core's sum."""
    mass = np.abs(whole.cwm).sum(axis=0)
    return mass / (mass[whole.start : whole.end].sum() or 1.0)


def _share(whole: Motif, spans: Sequence[tuple[int, int]]) -> float:
    """Share of |CWM| that some spans of columns hold together, of the core's and theirs."""
    inside = np.zeros(whole.cwm.shape[1], bool)
    for start, end in spans:
        inside[max(start, 0) : max(end, 0)] = True
    mass, core = _mass(whole), np.zeros_like(inside)
    core[whole.start : whole.end] = True
    return float(mass[inside].sum() / (mass[inside | core].sum() or 1.0))


def _places(whole: Motif, words: Sequence[Word], least: float) -> list[_Place]:
    """Where narrower words fit a motif, each on both strands."""
    found, mass = [], _mass(whole)
    everywhere = np.pad(mass.cumsum(), (1, 0))
    mass[: whole.start] = mass[whole.end :] = 0.0
    in_core = np.pad(mass.cumsum(), (1, 0))
    for number, word in enumerate(words):
        part = word.motif
        if part.sign != whole.sign or not LEAST_WIDTH <= part.width <= whole.width - WIDER:
            continue
        if part.n_seqlets < LEAST_SUPPORT * whole.n_seqlets:
            continue
        for is_reversed in (False, True):
            core = reverse_complement(part.core_cwm) if is_reversed else part.core_cwm
            starts, cosine = _slide(core, whole.cwm)
            low, high = np.maximum(starts, 0), np.minimum(starts + part.width, whole.cwm.shape[1])
            held, inside = everywhere[high] - everywhere[low], in_core[high] - in_core[low]
            share = held / (1 + held - inside)
            fits = (inside >= LEAST_SEEN * held) & (share >= LEAST_EACH)
            for hit in np.flatnonzero(fits & (cosine >= least)):
                start = int(starts[hit])
                end = start + part.width
                found.append(_Place(number, is_reversed, start, end, float(cosine[hit]), float(share[hit])))
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
