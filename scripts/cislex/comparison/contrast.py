"""Two targets or two models contrasted at hits: what the bases under each hit contribute to both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.comparison.scores import Rows, Scores, Source, blocks, contributions, open_scores
from cislex.errors import InputError, offenders
from cislex.files.tables import has_coordinates, require_file, write_table
from cislex.logs import get_logger
from cislex.motifs.hits import read_hits
from cislex.regions.extraction import bed_names
from cislex.regions.strands import in_sequence
from cislex.uncertainty import compare_sums, compare_words, sum_error_bound
from cislex.wording import counted

#: Columns of ``hits.bed.gz`` that are kept, and what they are called here.
PLACE = {name: name for name in ("chrom", "start", "end", "word", "motif", "strand", "region")}
PLACE["motif"] = "name"
TESTED = ("difference", "error", "p", "q")
WORD_COLUMNS = ("word", "name", "hits", "regions", "first", "second", "difference", "p", "q")
#: Bytes that are read at once, and those of each base: scores of four bases, some copies of them.
BLOCK_BYTES, BASE_BYTES = 1 << 27, 200

Floats = NDArray[np.float64]
logger = get_logger("contrast")


@dataclass(frozen=True)
class Side:
    """One of the two: its names, and ``attributions.h5`` of the target."""

    analysis: str
    target: str
    attributions: str | Path


@dataclass(frozen=True)
class ContrastFiles:
    """What :func:`contrast_hits` writes: ``hits.tsv.gz``, ``words.tsv`` and ``sides.tsv``."""

    hits: str | Path
    words: str | Path
    sides: str | Path


def contrast_hits(
    hits: str | Path,
    first: Side,
    second: Side,
    files: ContrastFiles,
    *,
    hits_of: Literal["first", "second"] = "first",
    scale: Literal["none", "hits"] = "none",
) -> None:
    """Compare the contributions of two targets or models at each hit and over the hits of each word.

    Parameters
    ----------
    hits
        ``hits.bed.gz`` of one of the two.
    first, second
        Analyses of one region set. Hits in regions that either lacks are left out.
    files
        Written. At a hit ``error``, ``p`` and ``q`` (:func:`cislex.uncertainty.compare_sums`) need two folds
        of both sides whose spread is known, and are empty otherwise.
    hits_of
        The side whose hits they are.
    scale
        ``none``: as they are; ``hits``: contributions of each side divided by their mean absolute value over
        all hits.

    Raises
    ------
    InputError
        The sides are of other sequences, or the hits of other regions.
    """
    table = _read(hits)
    with open_scores({"first": Source(first.attributions), "second": Source(second.attributions)}) as found:
        sides, common = found
        own = sides[hits_of]
        regions = own.regions()
        places = place_in_regions(table, regions, hits)
        is_common = np.isin(own.rows[places], common)
        table, places = table[is_common].reset_index(drop=True), places[is_common]
        starts, ends = in_sequence(regions.iloc[places], table["start"], table["end"])
        sums = {name: span_sums(side, own.rows[places], starts, ends) for name, side in sides.items()}
        folds = {name: side.folds for name, side in sides.items()}
    scales = {name: _scale(values, scale, name) for name, (values, _) in sums.items()}
    compared = _compare(sums, scales, folds)
    described = table[list(PLACE)].rename(columns=PLACE)
    write_table(pd.concat([described, compared], axis=1), files.hits)
    write_table(_words(described, compared, independent_regions(regions)[places]), files.words)
    names = {"first": first, "second": second}
    rows = [
        (name, side.analysis, side.target, folds[name], name == hits_of, scales[name])
        for name, side in names.items()
    ]
    columns = ["side", "analysis", "target", "folds", "has_hits", "scale"]
    write_table(pd.DataFrame(rows, columns=columns), files.sides)
    _log(compared, folds, int((~is_common).sum()))


def _read(path: str | Path) -> pd.DataFrame:
    table = read_hits(require_file(path, what="hits"))
    missing = [name for name in PLACE if name not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; call the hits again")
    return table


def place_in_regions(hits: pd.DataFrame, regions: pd.DataFrame, path: str | Path = "hits") -> Rows:
    """Find the region in which each hit was found: the first that has its name and contains it.

    Parameters
    ----------
    hits
        ``chrom start end region`` of ``hits.bed.gz``, which has each hit once, with the region of its
        greatest similarity, however many regions overlap there.
    regions
        Those of ``attributions.h5``, all of one length.
    path
        Named in errors.

    Returns
    -------
    ndarray
        int64 (n,): places in ``regions``.
    """
    if not has_coordinates(regions):
        found = np.asarray(pd.Index(bed_names(regions)).get_indexer(hits["chrom"]), np.int64)
    else:
        found = np.full(len(hits), -1, np.int64)
        length = int(regions["end"].iloc[0] - regions["start"].iloc[0])
        ordered = regions.assign(row=np.arange(len(regions))).sort_values(["chrom", "start", "row"])
        windows = {str(chrom): part for chrom, part in ordered.groupby("chrom", sort=False)}
        for chrom, own in hits.groupby("chrom", sort=False):
            if str(chrom) in windows:
                found[own.index] = _around(own, windows[str(chrom)], length)
    if (found < 0).any():
        lost = hits[found < 0].iloc[:3]
        where = offenders(f"{r.chrom}:{r.start}-{r.end} in {r.region}" for r in lost.itertuples())
        number = counted(int((found < 0).sum()), "hit")
        raise InputError(f"{path}: {number} in no region of the attributions ({where}); call the hits again")
    return found


def _around(hits: pd.DataFrame, windows: pd.DataFrame, length: int) -> Rows:
    """Row of the window of each hit's name that contains it, on one chromosome; -1: none."""
    low, rows, names = (windows[column].to_numpy() for column in ("start", "row", "name"))
    wanted = hits["region"].to_numpy()
    begin = np.searchsorted(low, hits["end"].to_numpy() - length, side="left")
    stop = np.searchsorted(low, hits["start"].to_numpy(), side="right")
    found = np.full(len(hits), -1, np.int64)
    pending = np.flatnonzero(begin < stop)
    while len(pending):
        same = names[begin[pending]] == wanted[pending]
        found[pending[same]] = rows[begin[pending[same]]]
        pending = pending[~same]
        begin[pending] += 1
        pending = pending[begin[pending] < stop[pending]]
    return found


def independent_regions(regions: pd.DataFrame) -> Rows:
    """Number of the group of each region, int64 (N,): regions that overlap, on any strand, are one group.

    Sequences given directly are a group each.
    """
    if not has_coordinates(regions):
        return np.arange(len(regions))
    chrom, start, end = (regions[column].to_numpy() for column in ("chrom", "start", "end"))
    order = np.lexsort((start, pd.factorize(chrom)[0]))
    # Regions of one length: one that overlaps any before it overlaps the last.
    apart = (chrom[order][1:] != chrom[order][:-1]) | (start[order][1:] >= end[order][:-1])
    groups = np.empty(len(regions), np.int64)
    groups[order] = np.concatenate([[0], apart.cumsum()])
    return groups


def span_sums(scores: Scores, rows: Rows, starts: Rows, ends: Rows) -> tuple[Floats, Floats | None]:
    """Sums of the contributions over stretches of regions, and upper bounds of their standard errors.

    Parameters
    ----------
    scores
        The attributions, of which only regions with stretches are read, in blocks.
    rows, starts, ends
        int64 (n,) each: rows of ``sequences.h5``, and columns of the sequences, 0-based half-open.

    Returns
    -------
    tuple
        float64 (n,) each; None for the errors where no spread over folds is known.
    """
    total, error = np.zeros(len(rows)), np.zeros(len(rows)) if scores.folds > 1 else None
    order = np.argsort(rows, kind="stable")
    for block in blocks(np.unique(rows), BLOCK_BYTES // (BASE_BYTES * scores.length)):
        low, high = np.searchsorted(rows[order], [block[0], block[-1] + 1])
        chosen = order[low:high]
        where = (np.searchsorted(block, rows[chosen]), starts[chosen], ends[chosen])
        total[chosen] = _spans(contributions(*scores.read(block)), *where)
        if error is not None:
            base = sum_error_bound(scores.fold_spread(block)[..., None], folds=scores.folds)
            error[chosen] = _spans(base, *where)
    return total, error


def _spans(values: Floats, rows: Rows, starts: Rows, ends: Rows) -> Floats:
    """Sums of ``values`` (k, L) from start to end in each row."""
    running = np.pad(values.cumsum(axis=1), ((0, 0), (1, 0)))
    return np.asarray(running[rows, ends] - running[rows, starts])


def _scale(values: Floats, scale: str, side: str) -> float:
    """By what contributions of a side are divided."""
    if scale == "none":
        return 1.0
    mean = float(np.abs(values).mean()) if len(values) else 0.0
    if mean == 0:
        logger.warning("contributions of %s are zero at all hits: nothing to divide by", side)
    return mean or 1.0


def _compare(
    sums: dict[str, tuple[Floats, Floats | None]], scales: dict[str, float], folds: dict[str, int]
) -> pd.DataFrame:
    """``first``, ``second`` and what compares them, of each hit."""
    values = {name: own / scales[name] for name, (own, _) in sums.items()}
    errors = [None if error is None else error / scales[name] for name, (_, error) in sums.items()]
    first_error, second_error = errors
    table = pd.DataFrame(values)
    if first_error is None or second_error is None:
        difference = values["first"] - values["second"]
        return table.assign(**dict.fromkeys(TESTED, np.nan) | {"difference": difference})
    tested = compare_sums(
        values["first"],
        values["second"],
        first_error=first_error,
        second_error=second_error,
        folds=(folds["first"], folds["second"]),
    )
    return table.join(tested)


def _words(hits: pd.DataFrame, compared: pd.DataFrame, groups: Rows) -> pd.DataFrame:
    """Rows of ``words.tsv``: means of each group of regions, medians over them, and their test."""
    table = compare_words(compared["difference"], hits["word"], groups)
    keys = [hits["word"], pd.Series(groups, hits.index, name="group")]
    medians = compared[["first", "second"]].groupby(keys).mean().groupby(level="word").median()
    names = hits.drop_duplicates("word").set_index("word")["name"]
    table = table.join(medians, on="word").join(names, on="word")
    return table.reindex(columns=list(WORD_COLUMNS))


def _log(compared: pd.DataFrame, folds: dict[str, int], left_out: int) -> None:
    single = [name for name, number in folds.items() if number < 2]
    if single:
        logger.info(
            "no p and q of single hits: no spread over folds is known of %s (one fold, or fold_use: "
            "held_out); words are tested over regions",
            " and ".join(single),
        )
    if left_out:
        logger.warning("%s in regions that one side lacks: left out", counted(left_out, "hit"))
    if not len(compared):
        logger.warning("there is no hit to compare")
    called = int((compared["q"] <= 0.05).sum())
    logger.info("%s, of them %d with q <= 0.05", counted(len(compared), "hit"), called)
