"""The demo's truth: which planted motifs were recovered, and how well hits agree with planted sites."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.comparison.planted import MIN_DRIVEN
from cislex.errors import InputError, offenders
from cislex.files.tables import open_hdf5, read_regions, require_file, write_table
from cislex.files.text_tables import read_numbers, read_text
from cislex.logs import get_logger
from cislex.motifs.files import Matrix, MemeMotif, read_meme, reverse_complement
from cislex.motifs.hits import read_hits
from cislex.motifs.matching import SHUFFLED, Similarities, compare_motifs
from cislex.multiple_testing import adjust_p_values
from cislex.regions.overlaps import overlaps

COLUMNS = [
    *("motif", "name", "assay", "functional", "recovered_as", "variants", "p", "q", "pearson"),
    *("n_planted", "n_planted_in_regions", "n_functional_in_regions"),
    *("hits", "hits_precision", "hits_recall", "hits_on_decoys"),
]
TRUTH_COLUMNS = ("chrom", "start", "end", "strand", "motif", "name", "assay", "functional", "peak")

logger = get_logger("truth")


@dataclasses.dataclass(frozen=True)
class Recovery:
    """Discovered motifs assigned to one planted motif, most seqlets first, and the first one's similarity."""

    motifs: tuple[str, ...]
    p: float
    q: float
    pearson: float


NOTHING = Recovery((), np.nan, np.nan, np.nan)


def compare_with_truth(
    truth: str | Path,
    planted: str | Path,
    motifs: str | Path,
    meme: str | Path,
    hits: str | Path | None,
    attributions: str | Path,
    database: str | Path,
    out: str | Path,
    *,
    words: str | Path | None = None,
    max_q: float = 0.01,
    threads: int = 1,
) -> pd.DataFrame:
    """Compare discovered motifs and hits with what was planted.

    Parameters
    ----------
    truth
        Planted sites: ``chrom start end strand motif name assay functional peak``, 0-based half-open.
    planted
        MEME file of the planted motifs, identified as in ``truth``.
    motifs, meme, hits
        ``motifs.tsv``, ``motifs.meme`` and ``hits.bed.gz`` of one target; hits may be None.
    attributions, database
        ``attributions.h5``, whose regions say which sites could be found; MEME file of known motifs, TOMTOM's
        targets besides the planted ones, since its p-values need many.
    out
        ``truth.tsv`` to write, one row per planted motif. A motif is functional here when the regions of this
        target hold its functional sites; elsewhere, or without any, it is a decoy.
    words
        ``lexicon.meme``, where hits were called with its words: those that are a planted motif stand for it.
        None: hits are those of the target's own motifs.
    max_q, threads
        Greatest q-value at which a discovered motif recovers a planted one; threads of numba.

    Returns
    -------
    pandas.DataFrame
        The table as written.
    """
    with open_hdf5(attributions, what="attributions", datasets=("regions",)) as handle:
        regions = read_regions(handle)
    known = read_meme(planted)
    sites = _read_truth(truth, known, regions)
    discovered = _unflagged(motifs, meme)
    others = read_meme(database)
    recovered = _recover(discovered, known, others, max_q=max_q, threads=threads)
    called = recovered
    if words is not None:
        called = _recover(read_meme(words), known, others, max_q=max_q, threads=threads)
    table = None if hits is None else read_hits(hits)
    rows = []
    for motif in known:
        own = None if table is None else _hits_of(table, called.get(motif.identifier, NOTHING))
        group = sites[sites["motif"] == motif.identifier]
        rows.append(_row(motif, group, len(regions), own, recovered.get(motif.identifier, NOTHING)))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame = frame.sort_values(["functional", "assay", "motif"], ascending=[False, True, True])
    write_table(frame, out)
    back = frame.loc[frame["functional"], "recovered_as"] != ""
    logger.info("%d of %d planted motifs that drive these regions were recovered", back.sum(), len(back))
    return frame


def _unflagged(motifs: str | Path, meme: str | Path) -> list[MemeMotif]:
    """The discovered motifs that nothing speaks against."""
    table = read_text(require_file(motifs, what="motif table"))
    flagged = dict(zip(table["motif"], table["flagged"], strict=True))
    return [motif for motif in read_meme(meme) if not flagged[motif.identifier]]


def _read_truth(path: str | Path, known: Sequence[MemeMotif], regions: pd.DataFrame) -> pd.DataFrame:
    """The planted sites, with the column ``in_regions``."""
    sites = read_numbers(
        require_file(path, what="planted sites"), texts=("chrom", "strand", "motif", "name", "assay", "peak")
    )
    missing = [column for column in TRUTH_COLUMNS if column not in sites]
    if missing:
        columns = ", ".join(map(str, sites.columns))
        raise InputError(f"{path} lacks the columns {', '.join(missing)}; it has {columns}")
    sites = sites.astype({"chrom": str, "motif": str, "name": str, "assay": str})
    unknown = sorted(set(sites["motif"]) - {motif.identifier for motif in known})
    if unknown:
        raise InputError(f"{path}: the MEME file lacks planted motifs {offenders(unknown)}")
    sites["functional"] = sites["functional"].astype(str).str.lower().isin(["true", "1"])
    sites["in_regions"] = is_inside(sites, regions)
    return sites


def _row(
    planted: MemeMotif,
    sites: pd.DataFrame,
    regions: int,
    hits: pd.DataFrame | None,
    recovery: Recovery,
) -> dict[str, object]:
    inside = sites[sites["in_regions"]]
    driving, decoys = inside[inside["functional"]], inside[~inside["functional"]]
    row: dict[str, object] = {
        "motif": planted.identifier,
        "name": planted.name,
        "assay": ",".join(sorted(set(sites.loc[sites["functional"], "assay"]))) or ".",
        "functional": len(driving) > 0 and len(driving) >= MIN_DRIVEN * regions,
        "recovered_as": recovery.motifs[0] if recovery.motifs else "",
        "variants": ",".join(recovery.motifs[1:]),
        "p": recovery.p,
        "q": recovery.q,
        "pearson": recovery.pearson,
        "n_planted": len(sites),
        "n_planted_in_regions": len(inside),
        "n_functional_in_regions": len(driving),
    }
    if hits is not None:
        row["hits"] = len(hits)
        row["hits_precision"] = _share(hits, sites)
        row["hits_recall"] = _share(driving, hits)
        row["hits_on_decoys"] = _share(decoys, hits)
    return row


def _hits_of(hits: pd.DataFrame, recovery: Recovery) -> pd.DataFrame | None:
    """Hits of what recovers a planted motif; None where nothing does."""
    column = "word" if "word" in hits else "motif"
    return hits[hits[column].isin(recovery.motifs)] if recovery.motifs else None


def _share(these: pd.DataFrame, those: pd.DataFrame) -> float:
    """Share of these intervals that are one of those; NaN when there are none."""
    return float(overlaps(these, those).mean()) if len(these) else float("nan")


def _recover(
    discovered: Sequence[MemeMotif],
    planted: Sequence[MemeMotif],
    database: Sequence[MemeMotif],
    *,
    max_q: float,
    threads: int,
) -> dict[str, Recovery]:
    """Assign each discovered motif to the planted motif that it resembles most, by identifier.

    q-values are Benjamini-Hochberg over discovered × planted motifs; the database only gives TOMTOM
    enough targets for its p-values to mean something. Without enough of them q-values are empirical.
    """
    if not discovered:
        return {}
    names = {motif.identifier for motif in planted}
    targets = [*planted, *(motif for motif in database if motif.identifier not in names)]
    similar: Similarities = compare_motifs(
        [motif.ppm for motif in discovered], [motif.ppm for motif in targets], threads=threads
    )
    p = similar.p[:, : len(planted)]
    q = similar.q[:, : len(planted)] if similar.null == SHUFFLED else adjust_p_values(p)
    best = p.argmin(axis=1)
    recovered = {}
    for number, target in enumerate(planted):
        mine = np.flatnonzero((best == number) & (q[np.arange(len(q)), best] <= max_q))
        if len(mine):
            # A composite of few seqlets may be more similar by chance than the motif that most seqlets have.
            order = mine[np.lexsort((p[mine, number], [-discovered[int(i)].nsites for i in mine]))]
            first = order[0]
            recovered[target.identifier] = Recovery(
                tuple(discovered[i].identifier for i in order),
                float(p[first, number]),
                float(q[first, number]),
                pearson_similarity(discovered[first].ppm, target.ppm),
            )
    return recovered


def pearson_similarity(first: Matrix, second: Matrix) -> float:
    """Greatest Pearson correlation of two frequency matrices over offsets and strands.

    The overlap must be at least three quarters of the narrower one.

    Parameters
    ----------
    first, second
        (4, w) frequencies.

    Returns
    -------
    float
        -1 to 1.
    """
    narrow, wide = sorted((first, second), key=lambda matrix: matrix.shape[1])
    least = int(np.ceil(0.75 * narrow.shape[1]))
    best = -1.0
    for other in (narrow, reverse_complement(narrow)):
        for shift in range(least - narrow.shape[1], wide.shape[1] - least + 1):
            begin, end = max(shift, 0), min(shift + narrow.shape[1], wide.shape[1])
            a, b = wide[:, begin:end].ravel(), other[:, begin - shift : end - shift].ravel()
            if a.std() > 0 and b.std() > 0:
                best = max(best, float(np.corrcoef(a, b)[0, 1]))
    return best


def is_inside(sites: pd.DataFrame, regions: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each site lies wholly inside a region."""
    inside = np.zeros(len(sites), dtype=bool)
    for chrom, rows in sites.groupby("chrom").indices.items():
        on_chrom = regions[regions["chrom"] == chrom].sort_values("start")
        if on_chrom.empty:
            continue
        # The farthest end of the regions that begin at or before the site.
        farthest = np.maximum.accumulate(on_chrom["end"].to_numpy())
        last = np.searchsorted(on_chrom["start"], sites["start"].to_numpy()[rows], side="right") - 1
        inside[rows] = (last >= 0) & (farthest[last] >= sites["end"].to_numpy()[rows])
    return inside
