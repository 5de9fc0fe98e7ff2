"""Syntax of a target's hits: positions, pairs and periodicity, as three tables."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cislex.errors import InputError, offenders
from cislex.files.tables import write_table
from cislex.logs import get_logger
from cislex.motifs.files import TrimSettings
from cislex.motifs.hits import read_margins
from cislex.multiple_testing import adjust_p_values
from cislex.syntax.contribution_profiles import mean_profiles
from cislex.syntax.pairs import (
    BLOCK_PAIRS,
    SYNTAX_COLUMNS,
    PairWalk,
    Spacing,
    co_occurrence,
    spacing_rows,
)
from cislex.syntax.periodicity import TURN, find_period
from cislex.syntax.placed_hits import BLOCK_ROWS, PlacedHits, place_hits
from cislex.syntax.positions import Margins, find_positions
from cislex.syntax.settings import ORIENTATIONS, SyntaxSettings
from cislex.syntax.vocabulary import WORD, Vocabulary, read_vocabulary, word_column
from cislex.wording import counted

PERIODICITY_COLUMNS = [
    *("word_a", "word_b", "orientation", "series", "n", "period", "power", "autocorrelation", "p", "q"),
]
logger = get_logger("syntax")


@dataclass(frozen=True)
class Syntax:
    """The tables as written, and a sentence where there was nothing to test.

    Attributes
    ----------
    syntax, positions, periodicity
        See :func:`analyse_syntax`.
    note
        Why tables are empty; "" where they are not.
    """

    syntax: pd.DataFrame
    positions: pd.DataFrame
    periodicity: pd.DataFrame
    note: str


def analyse_syntax(
    hits: str | Path,
    regions: str | Path,
    out: str | Path,
    *,
    settings: SyntaxSettings | None = None,
    attributions: str | Path | None = None,
    lexicon: str | Path | None = None,
    motifs: str | Path | None = None,
    trimming: TrimSettings | None = None,
    left_out: Collection[str] = (),
    column: str | None = None,
    block_rows: int = BLOCK_ROWS,
    block_pairs: int = BLOCK_PAIRS,
) -> Syntax:
    """Analyse where words stand in the regions, and how they stand to each other.

    Parameters
    ----------
    hits
        ``hits.bed.gz`` of a target. Of hits that share more than half of the narrower one, the one with the
        larger |contribution| counts.
    regions
        ``regions.bed`` of the same analysis, or ``attributions.h5`` of the target, which lacks the regions
        that the quality gate dropped: on the genome, or sequences given directly.
    out
        Folder of the three tables:

        ``positions.tsv``
            The position of each word relative to the region's centre, by bin, and the centre against the
            flanks.
        ``syntax.tsv``
            For each pair of words whether they share regions (``test`` is ``regions``); each distance
            between centres in each orientation (``spacing``); and pairs up to a distance (``window``).
            Counts are regions. Rows that no region has are not written; they count among the tests that the
            q-values are adjusted for, separately for each kind of test.
        ``periodicity.tsv``
            The strongest period of the distances of each pair (``series`` is ``spacing``), and of the
            contributions around each word's hits (``contributions``), with its p-value.
    settings
        Distances, least numbers of hits, periods, permutations, seed.
    attributions
        ``attributions.h5`` of the target; without it contributions around hits are not analysed.
    lexicon
        ``lexicon.tsv``, for hits with its words: their display names, and composites, which do not count.
    motifs, trimming
        What Fi-NeMo called the hits with, as given to ``call_hits``: near the ends of what is searched it
        finds no word whose untrimmed pattern does not fit, and ``positions.tsv`` expects none there. None:
        hits of a scan, or of other origin, that are found wherever the word itself fits.
    left_out
        Further words that do not count.
    column
        Column of ``hits`` that names the word; None: ``word``, or ``motif`` in files without it, whose
        patterns the lexicon does not name.
    block_rows, block_pairs
        Rows and pairs of hits that are held at once. They change memory, not results.

    Returns
    -------
    Syntax
        The tables. With too few hits they have only their header, and ``note`` says so.

    Raises
    ------
    InputError
        A file is missing, damaged or of another kind, or files are not of one analysis.
    """
    settings = settings or SyntaxSettings()
    column = column or word_column(hits)
    vocabulary = read_vocabulary(lexicon) if lexicon is not None and column == WORD else Vocabulary()
    left_out = {*left_out, *vocabulary.composites}
    placed = place_hits(
        hits,
        regions,
        apart=True,
        searched=settings.searched,
        left_out=left_out,
        column=column,
        rows=block_rows,
    )
    margins = None if motifs is None else _margins_of(placed, motifs, trimming, hits)
    walk = PairWalk(placed, settings, block_pairs=block_pairs)
    note = _why_empty(placed, walk, settings)
    syntax, periods = _analyse_pairs(walk)
    if attributions is not None and walk.words:
        periods += _contribution_rows(attributions, walk)
    result = Syntax(
        syntax=vocabulary.name(syntax),
        positions=vocabulary.name(find_positions(placed, settings, margins=margins)),
        periodicity=vocabulary.name(_periodicity_table(periods)),
        note=note,
    )
    for name in ("positions", "syntax", "periodicity"):
        write_table(getattr(result, name), Path(out) / f"{name}.tsv")
    _log(placed, result)
    return result


def _margins_of(
    placed: PlacedHits, motifs: str | Path, trimming: TrimSettings | None, hits: str | Path
) -> dict[str, Margins]:
    margins = read_margins(motifs, trimming)
    unknown = [word for word in placed.words if word not in margins]
    if unknown:
        raise InputError(
            f"{motifs} has no unflagged motif for {offenders(unknown)} of {hits}; give the motifs and the "
            "trimming that the hits were called with"
        )
    return margins


def _why_empty(hits: PlacedHits, walk: PairWalk, settings: SyntaxSettings) -> str:
    if walk.words:
        return ""
    most = max((part.stop - part.start for part in hits.slices()), default=0)
    return f"syntax was not analysed: no word has {settings.min_hits} hits (the most frequent has {most})"


def _analyse_pairs(walk: PairWalk) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """All rows of ``syntax.tsv``, and those of the periodicity of distances."""
    settings, words = walk.settings, walk.hits.words
    both: dict[tuple[int, int], int] = {}
    tables, periods = [], []
    tests = {"spacing": 0, "window": 0}
    for a, b, *where in walk:
        both[a, b] = len(where[0])
        if len(where[0]) < settings.min_regions:
            continue
        spacing = walk.spacing(a, b, *where)
        rows, made = spacing_rows(spacing, settings)
        tests = {kind: tests[kind] + made[kind] for kind in tests}
        if len(rows):
            tables.append(rows.assign(word_a=words[a], word_b=words[b]))
        periods += _spacing_periods(spacing, words[a], words[b], settings)
    if not both:
        return pd.DataFrame(columns=SYNTAX_COLUMNS), periods
    parts = [co_occurrence(walk, both)]
    if tables:
        table = pd.concat(tables, ignore_index=True)
        for kind, number in tests.items():
            own = table[table["test"] == kind]
            parts.append(own.assign(q=adjust_p_values(own["p"].to_numpy(float), tests=number)))
    result = pd.concat([part[SYNTAX_COLUMNS] for part in parts if len(part)], ignore_index=True)
    return result, periods


def _spacing_periods(
    spacing: Spacing, word_a: str, word_b: str, settings: SyntaxSettings
) -> list[dict[str, object]]:
    """The period of a pair's distances, in each orientation and over all."""
    found: list[dict[str, object]] = []
    even, odd = slice(0, 2 * settings.max_distance, 2), slice(1, None, 2)
    pairs = spacing.pairs[:, even] + spacing.pairs[:, odd]
    share = spacing.share[:, even] + spacing.share[:, odd]
    pairs = np.where(share > 0, pairs, 0)
    sizes, counts = spacing.per_region
    total = float(sizes @ counts)
    for name, own in [*((name, [place]) for place, name in enumerate(ORIENTATIONS)), ("any", [0, 1, 2, 3])]:
        observed, expected = pairs[own].sum(axis=0), total * share[own].sum(axis=0)
        positions = np.flatnonzero(expected > 0)
        if observed.sum() < settings.min_pairs or not len(positions):
            continue
        series = (observed - expected)[positions] / np.sqrt(expected[positions])
        period = find_period(series, positions, settings, key=f"{word_a}\0{word_b}\0{name}")
        if period is not None:
            row: dict[str, object] = {"word_a": word_a, "word_b": word_b, "orientation": name}
            found.append(row | {"series": "spacing", "n": int(observed.sum())} | vars(period))
    return found


def _contribution_rows(attributions: str | Path, walk: PairWalk) -> list[dict[str, object]]:
    """The period of the contributions on both sides of each word's hits."""
    reach, slices = walk.settings.max_distance, walk.hits.slices()
    profiles = mean_profiles(attributions, walk.hits, walk.words, reach)
    found: list[dict[str, object]] = []
    for word, profile in zip(walk.words, profiles, strict=True):
        own = slices[word]
        # The motif itself has no say: its bases, and half a turn on either side.
        core = int(walk.hits.width[own].max()) // 2 + TURN // 2
        positions = np.arange(-reach, reach + 1)
        outside = np.abs(positions) > core
        name = walk.hits.words[word]
        period = find_period(
            profile[outside], positions[outside], walk.settings, key=f"{name}\0contributions"
        )
        if period is not None:
            row: dict[str, object] = {"word_a": name, "word_b": "", "orientation": ""}
            found.append(row | {"series": "contributions", "n": own.stop - own.start} | vars(period))
    return found


def _periodicity_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[name for name in PERIODICITY_COLUMNS if name != "q"]).assign(q=1.0)
    for kind in ("spacing", "contributions"):
        own = table["series"] == kind
        table.loc[own, "q"] = adjust_p_values(table.loc[own, "p"].to_numpy(float))
    return table[PERIODICITY_COLUMNS]


def _log(hits: PlacedHits, result: Syntax) -> None:
    level = logging.WARNING if result.note or hits.outside else logging.INFO
    called = result.syntax[result.syntax["q"] < 0.05]["test"].value_counts()
    text = ", ".join(f"{number} {kind}" for kind, number in sorted(called.items())) or "none"
    logger.log(
        level,
        "%s of %s in %s (%d gave way to an overlapping hit, %d lie in no region); not counted: %s, %s that "
        "overlap one that counts, %s there; q < 0.05: %s%s",
        *(counted(n, one) for n, one in ((len(hits), "hit"), (len(hits.words), "word"))),
        *(counted(hits.counted, "region"), hits.overlapped, hits.outside),
        *(counted(hits.repeated, "repeated window"), counted(hits.overlapping, "region")),
        *(counted(hits.set_aside, "hit"), text),
        f"; {result.note}" if result.note else "",
    )
