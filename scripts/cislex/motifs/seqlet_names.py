"""Names of single seqlets: TOMTOM of what the model prefers there against known motifs and words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.logs import get_logger
from cislex.motifs.files import Matrix, MemeMotif, read_meme, smallness
from cislex.motifs.matching import SHUFFLED, TOMTOM, tomtom_of
from cislex.multiple_testing import adjust_p_values

NAME_COLUMNS = [
    *(
        "match",
        "match_name",
        "match_p",
        "match_q",
        "database",
        "word",
        "word_name",
        "word_p",
        "word_q",
        "null",
    ),
]
_NUMBERS = ["match_p", "match_q", "word_p", "word_q"]
#: A word is given to a seqlet up to this q-value.
MAX_Q = 0.05
#: Seqlets that are compared at once.
BLOCK = 1000
#: With few targets: seqlets whose columns are shuffled, and how often each.
SAMPLE, SHUFFLES = 500, 10

logger = get_logger("seqlet_names")


@dataclasses.dataclass(frozen=True)
class _Best:
    """The best motif of a group for every seqlet.

    ``p`` is corrected for the number of motifs in the group; ``turned``: the motif matched as its reverse
    complement.
    """

    motifs: Sequence[MemeMotif]
    index: NDArray[np.int64]
    p: NDArray[np.float64]
    turned: NDArray[np.bool_]


def name_seqlets(
    handle: h5py.File,
    found: pd.DataFrame,
    databases: Mapping[str, Sequence[MemeMotif]],
    words: str | Path | None,
    *,
    threads: int,
) -> pd.DataFrame:
    """Name every seqlet by its best known motif and, where it is sure, by a word of the lexicon.

    A query's column holds the bases that the model prefers there: the hypothetical contributions of the
    seqlet's sign, as frequencies. All known motifs and words together are TOMTOM's background. The best
    p-value within a database is corrected for the number of its motifs, and over seqlets by Benjamini and
    Hochberg; words of the seqlet's sign are one further database. With fewer than 25 motifs and words in all,
    p-values are ranks among seqlets with shuffled columns.

    Parameters
    ----------
    handle
        Open ``attributions.h5``.
    found
        ``row start end sign p contribution``, sorted by row; positions in the whole region.
    databases
        Known motifs by the name of their database.
    words
        ``lexicon.meme``: ``pos_0 …`` and ``neg_0 …``; None: no lexicon.
    threads
        Threads of numba.

    Returns
    -------
    pandas.DataFrame
        ``NAME_COLUMNS``, and ``strand`` on which the word or the significant match reads, one row a seqlet.
    """
    spoken = [] if words is None else read_meme(words)
    signed = [[w for w in spoken if w.identifier.startswith(prefix)] for prefix in ("pos", "neg")]
    kinds = [*(databases[name] for name in sorted(databases)), *signed]
    small = smallness([motif.ppm for kind in kinds for motif in kind])
    best = _best(handle, found, kinds, small, threads)
    table = pd.DataFrame("", index=range(len(found)), columns=[*NAME_COLUMNS, "strand"])
    table[_NUMBERS] = np.nan
    table["strand"] = "."
    if any(kinds):
        table["null"] = SHUFFLED if small else TOMTOM
    if databases:
        _fill_matches(table, sorted(databases), best[: len(databases)])
    is_raised = (found["sign"] == "+").to_numpy()
    _fill_words(table, [(best[-2], is_raised), (best[-1], ~is_raised)])
    return table


def _fill_matches(table: pd.DataFrame, names: Sequence[str], best: Sequence[_Best]) -> None:
    """The best match over databases: smallest q, then p, then the name of the database."""
    q = np.array([adjust_p_values(group.p) for group in best])
    order = np.lexsort((np.array([group.p for group in best]), q), axis=0)[0]
    for number, (name, group) in enumerate(zip(names, best, strict=True)):
        own = order == number
        motifs = [group.motifs[index] for index in group.index[own]]
        table.loc[own, "match"] = [motif.identifier for motif in motifs]
        table.loc[own, "match_name"] = [motif.name for motif in motifs]
        table.loc[own, "match_p"], table.loc[own, "match_q"] = group.p[own], q[number, own]
        table.loc[own, "database"] = name
        sure = own & (q[number] <= MAX_Q)
        table.loc[sure, "strand"] = np.where(group.turned[sure], "-", "+")


def _fill_words(table: pd.DataFrame, groups: Sequence[tuple[_Best, NDArray[np.bool_]]]) -> None:
    """The word of each seqlet, of its sign and where it is sure; its orientation goes before a match's."""
    p = np.ones(len(table))
    for group, own in groups:
        p[own] = group.p[own] if group.motifs else 1.0
    q = adjust_p_values(p)
    for group, own in groups:
        if not group.motifs:
            continue
        table.loc[own, "word_p"], table.loc[own, "word_q"] = p[own], q[own]
        sure = own & (q <= MAX_Q)
        motifs = [group.motifs[index] for index in group.index[sure]]
        table.loc[sure, "word"] = [motif.identifier for motif in motifs]
        table.loc[sure, "word_name"] = [motif.name for motif in motifs]
        table.loc[sure, "strand"] = np.where(group.turned[sure], "-", "+")


def _best(
    handle: h5py.File, found: pd.DataFrame, kinds: Sequence[Sequence[MemeMotif]], small: str, threads: int
) -> list[_Best]:
    """The best motif of each group for every seqlet; ``small``: why there are too few of them, if so."""
    count = len(found)
    groups = [
        _Best(motifs, np.zeros(count, dtype=np.int64), np.ones(count), np.zeros(count, dtype=bool))
        for motifs in kinds
    ]
    targets = [motif.ppm for motifs in kinds for motif in motifs]
    if not count or not targets:
        return groups
    ends = np.cumsum([len(motifs) for motifs in kinds])
    columns = [slice(end - len(motifs), end) for end, motifs in zip(ends, kinds, strict=True)]
    first = 0
    for queries in _queries(handle, found):
        p, score, strand = tomtom_of(queries, targets, threads)
        rows = np.arange(len(queries))
        for group, own in zip(groups, columns, strict=True):
            if not group.motifs:
                continue
            index = np.lexsort((-score[:, own], p[:, own]), axis=1)[:, 0]
            here = slice(first, first + len(queries))
            group.index[here], group.turned[here] = index, strand[:, own][rows, index] == 1
            group.p[here] = p[:, own][rows, index]
        first += len(queries)
    if small:
        logger.warning("%s and words: q-values come from shuffled columns of the seqlets", small)
        chance = _shuffled(handle, found, targets, threads)
    for group, own in zip(groups, columns, strict=True):
        if not group.motifs:
            continue
        if small:
            null = np.sort(chance[:, own].min(axis=1))
            rank = np.searchsorted(null, group.p * (1 + 1e-9), side="right")
            group.p[:] = (1 + rank) / (1 + len(null))
        else:  # the chance that any of them matches as well
            with np.errstate(divide="ignore"):
                group.p[:] = -np.expm1(len(group.motifs) * np.log1p(-group.p))
    return groups


def _shuffled(
    handle: h5py.File, found: pd.DataFrame, targets: Sequence[Matrix], threads: int
) -> NDArray[np.float64]:
    """p-values of seqlets with shuffled columns; the sample depends on what they are, not on their order."""
    ranked = found.sort_values(["p", "contribution"], kind="stable")
    chosen = np.unique(np.linspace(0, len(found) - 1, min(SAMPLE, len(found))).round().astype(int))
    sample = ranked.iloc[chosen].sort_values("row", kind="stable", ignore_index=True)
    repeats = SHUFFLES * SAMPLE // len(sample)
    drawn = []
    for queries in _queries(handle, sample):
        for query in queries:
            rng = np.random.default_rng(0)
            drawn += [query[:, rng.permutation(query.shape[1])] for _ in range(repeats)]
    blocks = range(0, len(drawn), BLOCK)
    return np.concatenate([tomtom_of(drawn[b : b + BLOCK], targets, threads)[0] for b in blocks])


def _queries(handle: h5py.File, found: pd.DataFrame) -> Iterator[list[Matrix]]:
    """What the model prefers under each seqlet, as base frequencies, in blocks."""
    where = found[["row", "start", "end"]].to_numpy()
    signs = np.where(found["sign"] == "+", 1.0, -1.0)
    for first in range(0, len(where), BLOCK):
        block = where[first : first + BLOCK]
        rows, place = np.unique(block[:, 0], return_inverse=True)
        hypothetical = handle["hypothetical"][rows].astype(np.float64)
        yield [
            _preferences(signs[first + n] * hypothetical[place[n], :, start:end])
            for n, (_, start, end) in enumerate(block)
        ]


def _preferences(scores: Matrix) -> Matrix:
    """Frequencies (4, w) in proportion to positive scores; equal ones where none is positive."""
    kept = np.maximum(scores, 0.0)
    total = kept.sum(axis=0)
    return np.asfortranarray(np.where(total > 0, kept / np.where(total > 0, total, 1.0), 0.25))
