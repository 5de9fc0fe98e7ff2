"""Composites apart from simple patterns: with a faint second part, they are as alike as one word.

Such a pattern would be counted as its stronger part, or bring its fainter one into that word's mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cislex.lexicon.clustering import cluster_patterns
from cislex.lexicon.composites import WIDER, find_composites, parts_of
from cislex.lexicon.patterns import Pattern
from cislex.lexicon.words import Word, merge, numbered
from cislex.motifs.files import TrimSettings


def separate(
    patterns: Sequence[Pattern],
    similarity: NDArray[np.float64],
    trimming: TrimSettings,
    *,
    min_similarity: float,
    min_composite_similarity: float,
) -> list[Word]:
    """Cluster patterns into words such that no word holds both simple patterns and composites.

    Parameters
    ----------
    patterns, similarity
        Of :func:`cislex.lexicon.clustering.compare_patterns`.
    trimming
        Of the words.
    min_similarity, min_composite_similarity
        As in :class:`cislex.lexicon.combine.LexiconSettings`.

    Returns
    -------
    list of Word
        Numbered. If none is mixed, they are the clusters as they are.
    """

    def words_of(alike: NDArray[np.float64]) -> list[Word]:
        clusters = cluster_patterns(patterns, alike, min_similarity=min_similarity)
        return numbered(merge(cluster, trimming) for cluster in clusters)

    first = words_of(similarity)
    composite = _composite_patterns(first, min_composite_similarity)
    if all(len({_key(member.pattern) in composite for member in word.members}) == 1 for word in first):
        return first
    while composite:
        marked = np.array([_key(pattern) in composite for pattern in patterns])
        words = words_of(np.where(marked[:, None] == marked, similarity, 0.0))
        found = find_composites(words, min_composite_similarity, never_parts=wide_words(words))
        simple = [word for number, word in enumerate(words) if number not in found]
        # Marked patterns whose mean is no composite would stand for their stronger part once more.
        undone = composite & {_key(member.pattern) for word in simple for member in word.members}
        if not undone:
            return words
        composite -= undone
    return first


def wide_words(words: Sequence[Word]) -> set[int]:
    """Numbers of the words all of whose patterns are flagged: they are words only as composites."""
    return {n for n, word in enumerate(words) if all(member.pattern.motif.flagged for member in word.members)}


def _key(pattern: Pattern) -> tuple[str, str, str]:
    return (*pattern.source.key, pattern.motif.name)


def _composite_patterns(words: Sequence[Word], min_similarity: float) -> set[tuple[str, str, str]]:
    """Patterns that are composites each by itself, whatever the others of their word are.

    In a word that is a composite, only those are simple that are no composite and lack a part: noise alone
    takes none out.
    """
    wide = wide_words(words)
    found = find_composites(words, min_similarity, never_parts=wide)
    simple = [word for number, word in enumerate(words) if number not in wide | found.keys()]
    chosen = set()
    for number, word in enumerate(words):
        for member in word.members:
            motif = member.pattern.motif
            if len(word.members) == 1:
                is_composite = number in found
            elif number in found and motif.width > word.motif.width - WIDER:
                is_composite = True
            else:
                is_composite = bool(parts_of(motif, simple, min_similarity))
            if is_composite:
                chosen.add(_key(member.pattern))
    return chosen
