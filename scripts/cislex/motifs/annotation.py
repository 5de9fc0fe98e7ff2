"""Annotation of motifs: trimmed cores, best known matches, tables, MEME file and logos."""

from __future__ import annotations

import dataclasses
import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.files.tables import write_table
from cislex.files.temporary import replace_folder, temporary_folder
from cislex.logs import get_logger
from cislex.motifs.files import (
    FEW_MOTIFS,
    Matrix,
    MemeMotif,
    Motif,
    TrimSettings,
    read_meme,
    read_motifs,
    reverse_complement,
    write_meme,
)
from cislex.motifs.logos import information_heights, write_logo

#: Known motifs that are named for each motif.
MATCHES = 3
#: Shuffles of each query: a first look, and for queries that may match more, at most so many.
FIRST_SHUFFLES, LEAST_SHUFFLES, MOST_SHUFFLES = 99, 999, 4999
#: A query whose p-value after the first look is above this is not looked at again.
HOPELESS = 0.1

MATCH_COLUMNS = [
    f"match_{rank}{suffix}" for rank in range(1, MATCHES + 1) for suffix in ("", "_name", "_p", "_q")
]
COLUMNS = [
    *("motif", "sign", "n_seqlets", "width", "consensus", "information", "flagged"),
    *MATCH_COLUMNS,
    *("subpatterns", "logo", "match_logo", "pattern", "trim_start", "trim_end", "is_reversed"),
]

logger = get_logger("annotation")


@dataclasses.dataclass(frozen=True)
class Similarities:
    """TOMTOM of every query against every target.

    Parameters
    ----------
    p, q
        float64 (queries, targets): TOMTOM's p-values, and their Benjamini-Hochberg q-values over all pairs;
        with fewer than 25 targets q-values of an empirical null (:func:`compare_motifs`).
    score
        float64 (queries, targets): the alignment's score; breaks ties of p.
    strand
        (queries, targets): 1 where the target matched as its reverse complement.
    """

    p: NDArray[np.float64]
    q: NDArray[np.float64]
    score: NDArray[np.float64]
    strand: NDArray[np.int64]

    def best(self, query: int, count: int) -> NDArray[np.int64]:
        """The ``count`` targets of smallest p (then greatest score, then first) for a query."""
        order = np.lexsort((np.arange(self.p.shape[1]), -self.score[query], self.p[query]))
        return order[:count].astype(np.int64)


def adjust_p_values(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Benjamini-Hochberg q-values of p-values of any shape, over all of them together."""
    flat = p.ravel()
    order = np.argsort(flat, kind="stable")
    scaled = flat[order] * flat.size / np.arange(1, flat.size + 1)
    adjusted = np.empty_like(flat)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted.reshape(p.shape)


def compare_motifs(queries: Sequence[Matrix], targets: Sequence[Matrix], *, threads: int) -> Similarities:
    """Compare motifs by TOMTOM (memelite; Euclidean distance, both strands).

    With fewer than 25 targets, TOMTOM's p-values depend on which these are. There q-values are empirical: a
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
    p, score, strand = _tomtom(queries, targets, threads)
    if len(targets) >= FEW_MOTIFS:
        return Similarities(p, adjust_p_values(p), score, strand)
    logger.warning(
        "only %d known motifs, fewer than %d: q-values come from shuffled columns of the motifs",
        len(targets),
        FEW_MOTIFS,
    )
    return Similarities(p, _empirical_q_values(queries, targets, p, threads), score, strand)


def _tomtom(
    queries: Sequence[Matrix], targets: Sequence[Matrix], threads: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """p-value, score and strand of every pair, (queries, targets) each."""
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
        )
    p = np.clip(p.astype(np.float64), 0.0, 1.0)
    return p, score.astype(np.float64), strand.astype(np.int64)


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
            best = np.concatenate([best, _tomtom(shuffled, targets, threads)[0].min(axis=1)])
            as_good = (best[:, None] <= p[number] * (1 + 1e-9)).sum(axis=0)
            chance[number] = (1 + as_good) / (1 + len(best))
            if chance[number].min() > HOPELESS:
                break
    smallest = chance.min(axis=1)
    return np.minimum(chance * (adjust_p_values(smallest) / smallest)[:, None], 1.0)


def annotate_motifs(
    modisco: str | Path,
    database: str | Path,
    table: str | Path,
    meme: str | Path,
    logos: str | Path,
    settings: TrimSettings | None = None,
    *,
    threads: int = 1,
) -> pd.DataFrame:
    """Describe each motif and name the known motifs that it resembles.

    Parameters
    ----------
    modisco
        ``modisco.h5`` of :func:`cislex.motifs.discovery.find_motifs`.
    database
        MEME file of known motifs.
    table
        ``motifs.tsv`` to write, one row a motif (docs/output.md).
    meme
        ``motifs.meme`` to write: trimmed base frequencies, with the number of seqlets as sites.
    logos
        Folder to write: ``{motif}.svg`` (contributions of the core), ``{motif}.rc.svg`` (its reverse
        complement) and ``{motif}.match.svg`` (the best known match, turned as it aligned).
    settings, threads
        Trimming and flagging; threads of numba.

    Returns
    -------
    pandas.DataFrame
        The table as written.
    """
    motifs = read_motifs(modisco, settings)
    known = read_meme(database)
    if not known:
        raise InputError(f"motif database {database} contains no motifs")
    queries, targets = [motif.core_ppm for motif in motifs], [motif.ppm for motif in known]
    similarities = compare_motifs(queries, targets, threads=threads) if motifs else None
    rows = [_row(number, motif, known, similarities) for number, motif in enumerate(motifs)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    _write_logos(motifs, known, similarities, Path(logos))
    named = zip(motifs, rows, strict=True)
    write_meme([MemeMotif(m.name, str(r["match_1_name"]), m.core_ppm, m.n_seqlets) for m, r in named], meme)
    write_table(frame, table)
    flagged = sum(bool(motif.flagged) for motif in motifs)
    logger.info("%d motifs, %d of them flagged, compared with %d known", len(motifs), flagged, len(known))
    return frame


def _row(
    number: int, motif: Motif, known: Sequence[MemeMotif], similarities: Similarities | None
) -> dict[str, object]:
    row: dict[str, object] = {
        "motif": motif.name,
        "sign": motif.sign,
        "n_seqlets": motif.n_seqlets,
        "width": motif.width,
        "consensus": motif.consensus,
        "information": motif.information,
        "flagged": motif.flagged,
        "subpatterns": motif.subpatterns,
        "logo": f"{motif.name}.svg",
        "match_logo": f"{motif.name}.match.svg",
        "pattern": motif.pattern,
        "trim_start": motif.start,
        "trim_end": motif.end,
        "is_reversed": motif.is_reversed,
    }
    if similarities is not None:
        for rank, target in enumerate(similarities.best(number, MATCHES), start=1):
            row[f"match_{rank}"] = known[target].identifier
            row[f"match_{rank}_name"] = known[target].name
            row[f"match_{rank}_p"] = similarities.p[number, target]
            row[f"match_{rank}_q"] = similarities.q[number, target]
    return row


def _write_logos(
    motifs: Sequence[Motif], known: Sequence[MemeMotif], similarities: Similarities | None, folder: Path
) -> None:
    """Write all logos into a new folder, which then takes the place of the old one."""
    with temporary_folder(folder) as temporary:
        for number, motif in enumerate(motifs):
            title = f"{motif.name}: contributions, {motif.consensus}"
            write_logo(motif.core_cwm, temporary / f"{motif.name}.svg", title=title, label="contribution")
            turned = reverse_complement(motif.core_cwm)
            title = f"{motif.name}: contributions, reverse complement"
            write_logo(turned, temporary / f"{motif.name}.rc.svg", title=title, label="contribution")
            if similarities is None:
                continue
            target = int(similarities.best(number, 1)[0])
            match, ppm = known[target], known[target].ppm
            if similarities.strand[number, target]:
                ppm = reverse_complement(ppm)
            title = f"{match.name} ({match.identifier})"
            path = temporary / f"{motif.name}.match.svg"
            write_logo(information_heights(ppm), path, title=title, label="bits", limits=(0.0, 2.0))
        replace_folder(temporary, folder)
