"""Compare motifs with known ones: TOMTOM, its q-values, and the best matches over several databases."""

from __future__ import annotations

import dataclasses
import importlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.logs import get_logger
from cislex.motifs.files import Matrix, MemeMotif, read_meme, smallness
from cislex.multiple_testing import adjust_p_values

#: Shuffles of each query: a first look, and for queries that may match more, at most so many.
FIRST_SHUFFLES, LEAST_SHUFFLES, MOST_SHUFFLES = 99, 999, 4999
#: A query whose p-value after the first look is above this is not looked at again.
HOPELESS = 0.1
#: Where q-values come from: TOMTOM's p-values, or shuffled columns of the queries.
TOMTOM, SHUFFLED = "tomtom", "shuffled"

logger = get_logger("matching")


@dataclasses.dataclass(frozen=True)
class Similarities:
    """TOMTOM of every query against every target.

    Parameters
    ----------
    p, q
        float64 (queries, targets): TOMTOM's p-values, and their Benjamini-Hochberg q-values over all pairs;
        with few targets q-values of an empirical null (:func:`compare_motifs`).
    score
        float64 (queries, targets): the alignment's score; breaks ties of p.
    strand
        (queries, targets): 1 where the target matched as its reverse complement.
    null
        Where q comes from: ``TOMTOM`` or ``SHUFFLED``.
    """

    p: NDArray[np.float64]
    q: NDArray[np.float64]
    score: NDArray[np.float64]
    strand: NDArray[np.int64]
    null: str

    def best(self, query: int, count: int) -> NDArray[np.int64]:
        """The ``count`` targets of smallest p (then greatest score, then first) for a query."""
        order = np.lexsort((np.arange(self.p.shape[1]), -self.score[query], self.p[query]))
        return order[:count].astype(np.int64)


def compare_motifs(queries: Sequence[Matrix], targets: Sequence[Matrix], *, threads: int) -> Similarities:
    """Compare motifs by TOMTOM (memelite; Euclidean distance, both strands).

    With fewer than 25 targets, TOMTOM's p-values depend on which these are, and with fewer than 50 different
    columns (motifs made of consensus letters) they are too small. There q-values are empirical: a
    query's columns are shuffled, and a match counts by how often a shuffled query matches any target as well.
    So they are corrected for the targets; Benjamini-Hochberg corrects for the queries.

    Parameters
    ----------
    queries, targets
        Base frequencies, each (4, w); at least one of each. Queries must be trimmed: columns without
        information match anything.
    threads
        Threads of numba.

    Raises
    ------
    InputError
        When a matrix is not (4, w) finite frequencies.
    """
    wrong = [
        f"{what} {number} {matrix.shape}"
        for what, matrices in (("query", queries), ("target", targets))
        for number, matrix in enumerate(matrices)
        if matrix.ndim != 2 or matrix.shape[0] != 4 or not np.isfinite(matrix).all()
    ]
    if wrong:
        raise InputError(f"motifs to compare must be finite and (4, w): {offenders(wrong)}")
    p, score, strand = tomtom_of(queries, targets, threads)
    small = smallness(targets)
    if not small:
        return Similarities(p, adjust_p_values(p), score, strand, TOMTOM)
    logger.warning("%s: q-values come from shuffled columns of the motifs", small)
    return Similarities(p, _empirical_q_values(queries, targets, p, threads), score, strand, SHUFFLED)


def tomtom_of(
    queries: Sequence[Matrix], targets: Sequence[Matrix], threads: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """TOMTOM's p-value, score and strand of every pair, (queries, targets) each; p-values as they are.

    ``strand`` is 1 where the target matched as its reverse complement.
    """
    import numba
    from memelite import tomtom

    from cislex.runtime.compilation import compile_module_once

    compile_module_once(importlib.import_module("memelite.tomtom"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="tomtom was given")  # few targets are dealt with
        p, score, _, _, strand = tomtom(
            [np.asfortranarray(q, dtype=np.float64) for q in queries],
            [np.asfortranarray(t, dtype=np.float64) for t in targets],
            n_jobs=min(threads, numba.get_num_threads()),
            n_target_bins=None,  # exact: bins would let p depend on the targets' order and the query's strand
        )
    p = np.clip(p.astype(np.float64), 0.0, 1.0)
    return p, score.astype(np.float64), strand.astype(np.int64)


def compile_comparison() -> None:
    """Compile TOMTOM before it is needed: it takes a minute, once on a machine."""
    logger.info("preparing TOMTOM: a minute where it was never compiled on this machine")
    rng = np.random.default_rng(0)
    motifs = [rng.dirichlet(np.ones(4), width).T for width in (6, 8, 10)]
    tomtom_of(motifs[:2], motifs, 1)


def _empirical_q_values(
    queries: Sequence[Matrix], targets: Sequence[Matrix], p: NDArray[np.float64], threads: int
) -> NDArray[np.float64]:
    """q-values (queries, targets) against queries whose columns are shuffled; the same in every run."""
    most = min(MOST_SHUFFLES, max(LEAST_SHUFFLES, 40 * len(queries)))
    chance = np.ones_like(p)
    for number, query in enumerate(queries):
        rng = np.random.default_rng(0)
        best = np.empty(0)
        for wanted in (FIRST_SHUFFLES, most):
            shuffled = [query[:, rng.permutation(query.shape[1])] for _ in range(wanted - len(best))]
            best = np.concatenate([best, tomtom_of(shuffled, targets, threads)[0].min(axis=1)])
            as_good = (best[:, None] <= p[number] * (1 + 1e-9)).sum(axis=0)
            chance[number] = (1 + as_good) / (1 + len(best))
            if chance[number].min() > HOPELESS:
                break
    smallest = chance.min(axis=1)
    return np.minimum(chance * (adjust_p_values(smallest) / smallest)[:, None], 1.0)


@dataclasses.dataclass(frozen=True)
class Match:
    """A known motif that a query resembles.

    Parameters
    ----------
    known
        The motif.
    database
        Name of its database.
    p, q
        TOMTOM's p-value, and the q-value within that database (:class:`Similarities`).
    score
        TOMTOM's score of the alignment.
    is_reversed
        Whether it matched as its reverse complement.
    null
        Where q comes from: ``tomtom``, or ``shuffled`` with fewer than 25 motifs in the database.
    """

    known: MemeMotif
    database: str
    p: float
    q: float
    score: float
    is_reversed: bool
    null: str


def read_databases(databases: Mapping[str, str | Path]) -> dict[str, list[MemeMotif]]:
    """Known motifs of each database by its name, in the order of the names.

    Raises
    ------
    InputError
        When a file is no MEME file, holds no motif, or repeats an identifier.
    """
    found = {name: read_meme(path) for name, path in sorted(databases.items())}
    empty = [f"{name} ({databases[name]})" for name, motifs in found.items() if not motifs]
    if empty:
        raise InputError(f"motif databases without a motif: {', '.join(empty)}")
    return found


def match_motifs(
    queries: Sequence[Matrix], databases: Mapping[str, Sequence[MemeMotif]], *, count: int, threads: int
) -> list[list[Match]]:
    """The ``count`` known motifs that each query resembles most, over all databases.

    Each database is ranked by its own q-values. Over databases the smallest q is best (then p, score, and the
    name of the database), so the order of the databases does not matter.

    Parameters
    ----------
    queries
        Base frequencies, each (4, w), trimmed; may be none.
    databases
        Known motifs by the name of their database; none gives no matches.
    count, threads
        Matches for each query at most; threads of numba.
    """
    found: list[list[Match]] = [[] for _ in queries]
    if not queries:
        return found
    for database, known in sorted(databases.items()):
        similar = compare_motifs(queries, [motif.ppm for motif in known], threads=threads)
        for number, matches in enumerate(found):
            matches += [
                Match(
                    known=known[target],
                    database=database,
                    p=float(similar.p[number, target]),
                    q=float(similar.q[number, target]),
                    score=float(similar.score[number, target]),
                    is_reversed=bool(similar.strand[number, target]),
                    null=similar.null,
                )
                for target in similar.best(number, count)
            ]
    return [sorted(m, key=lambda match: (match.q, match.p, -match.score))[:count] for m in found]
