"""Which patterns are one word: average linkage over the cosine of their contributions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cislex.lexicon.alignment import align
from cislex.lexicon.patterns import Pattern
from cislex.logs import get_logger
from cislex.motifs.files import Matrix, smallness
from cislex.motifs.matching import compare_motifs
from cislex.multiple_testing import adjust_p_values

#: Two patterns are not compared further if less than this share of either's |CWM| lies in their overlap: one
#: of them holds something else, too (:mod:`cislex.lexicon.composites`).
LEAST_COVERED = 0.8
#: Columns at either end of a core that are compared, too: one that is just below the threshold of trimming in
#: one pattern, and just above it in the other, makes no difference.
FLANK = 2
#: TOMTOM's q-value above which two patterns are not one word, however similar their contributions.
MOST_Q = 0.05

logger = get_logger("lexicon")


def compare_patterns(
    patterns: Sequence[Pattern], known: Sequence[Matrix], *, threads: int
) -> NDArray[np.float64]:
    """Compare all patterns with each other.

    Parameters
    ----------
    patterns
        Unflagged, in their canonical order.
    known
        Base frequencies of known motifs (4, w), the background of TOMTOM's p-values; with fewer than 25 the
        contributions decide alone.
    threads
        Threads of numba.

    Returns
    -------
    numpy.ndarray
        float64 (n, n), symmetric: cosine of each pair, 0 where two cannot be one word. Patterns of one target
        alone are a word each: TF-MoDISco has clustered them already.
    """
    found = np.eye(len(patterns))
    if len({pattern.source.key for pattern in patterns}) < 2:
        return found
    for sign in "+-":
        rows = [number for number, pattern in enumerate(patterns) if pattern.motif.sign == sign]
        if len(rows) > 1:
            chosen = [patterns[row] for row in rows]
            found[np.ix_(rows, rows)] = _similarity(chosen, known, threads)
    return found


def cluster_patterns(
    patterns: Sequence[Pattern], similarity: NDArray[np.float64], *, min_similarity: float
) -> list[list[Pattern]]:
    """Sort patterns into words.

    Parameters
    ----------
    patterns
        As they were compared.
    similarity
        Of :func:`compare_patterns`.
    min_similarity
        Clusters are joined while the mean cosine between their patterns is at least this.

    Returns
    -------
    list of list
        Clusters in the order of their first pattern; patterns of each in their order.
    """
    if len(patterns) < 2:
        return [[pattern] for pattern in patterns]
    labels = average_linkage(1 - similarity, 1 - min_similarity)
    groups: dict[int, list[Pattern]] = {}
    for label, pattern in zip(labels, patterns, strict=True):
        groups.setdefault(int(label), []).append(pattern)
    return list(groups.values())


def _similarity(patterns: Sequence[Pattern], known: Sequence[Matrix], threads: int) -> NDArray[np.float64]:
    """Cosine of each pair of one sign, 0 where they cannot be one word: float64 (n, n), symmetric."""
    cores = [_with_flanks(pattern) for pattern in patterns]
    found = align(cores, cores)
    similarity = np.where(found.covered >= LEAST_COVERED, np.clip(found.cosine, 0, 1), 0.0)
    small = smallness(known)
    if not small:
        similarity[~_significant([pattern.motif.core_ppm for pattern in patterns], known, threads)] = 0.0
    else:
        logger.info("%s: TOMTOM has no background, so contributions decide alone", small)
    return np.minimum(similarity, similarity.T)


def _with_flanks(pattern: Pattern) -> Matrix:
    """Contributions of the core and of some columns beside it (4, w)."""
    motif = pattern.motif
    return motif.cwm[:, max(motif.start - FLANK, 0) : motif.end + FLANK]


def _significant(ppms: Sequence[Matrix], known: Sequence[Matrix], threads: int) -> NDArray[np.bool_]:
    """Pairs whose base frequencies match (TOMTOM, either as the query): bool (n, n)."""
    p = compare_motifs(ppms, [*ppms, *known], threads=threads).p[:, : len(ppms)]
    p = np.maximum(p, p.T)
    above = np.triu_indices(len(ppms), 1)
    q = np.zeros_like(p)
    q[above] = adjust_p_values(p[above])
    return np.maximum(q, q.T) <= MOST_Q


def average_linkage(distance: NDArray[np.float64], limit: float) -> NDArray[np.int64]:
    """Label of the cluster of each item, by average linkage cut at a distance (scipy).

    Parameters
    ----------
    distance
        float64 (n, n), symmetric; at least two items.
    limit
        Clusters whose mean distance is at most this are joined.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    condensed = squareform(distance, checks=False)
    return fcluster(linkage(condensed, "average"), limit, criterion="distance").astype(np.int64)
