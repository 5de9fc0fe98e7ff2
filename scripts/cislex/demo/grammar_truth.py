"""The truth of grammars: which planted arrangements of words were recovered, and with which parameters.

Words are identified by the planted sites that their hits lie on. A word may be the reverse complement of the
planted motif, and its centre may lie elsewhere: orientations and distances are given for the planted sites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from cislex.comparison.planted import MIN_DRIVEN
from cislex.demo.grammar import GRAMMAR_COLUMNS
from cislex.demo.truth import is_inside
from cislex.errors import InputError
from cislex.files.tables import open_hdf5, read_regions, require_file, write_table
from cislex.files.text_tables import read_numbers
from cislex.logs import get_logger
from cislex.motifs.hits import read_hits
from cislex.regions.overlaps import MIN_OVERLAP
from cislex.syntax.vocabulary import word_column

COLUMNS = [
    *("assay", "kind", "name_a", "name_b", "word_a", "word_b", "orientation", "found_orientation"),
    *("least", "found_least", "most", "found_most", "period", "found_period", "period_q"),
    *("observed", "expected", "odds", "q", "contribution", "recovered"),
]
#: A word is a planted motif if at least this share of its hits lies on that motif's sites.
LEAST_SHARE = 0.5
#: Hits have the strand of the planted sites, or the other, in at least this share; else it is not known.
STRANDED = 0.8
#: Shares of the excess of a pair: of the orientation that has it alone, and of one that takes part.
ALONE, PART = 0.8, 0.08
#: Significance, and the largest error of a recovered distance and period (bp).
MAX_Q, MAX_DISTANCE_ERROR, MAX_PERIOD_ERROR = 0.05, 3.0, 0.5

Floats = NDArray[np.float64]
logger = get_logger("grammar")


@dataclass(frozen=True)
class Word:
    """A word and the planted motif that it is.

    Attributes
    ----------
    word
        As hits and tables call it.
    strand
        1 or -1: whether it reads as the planted motif; 0: not known, as of a palindrome.
    shift
        From the centre of the planted site to that of the hit, on the site's strand (bp).
    contribution
        Mean contribution of its hits.
    """

    word: str
    strand: int
    shift: float
    contribution: float


@dataclass(frozen=True)
class Arrangement:
    """Orientations, least and most distance of a pair in excess."""

    orientation: str
    least: float
    most: float


def compare_grammar(
    grammar: str | Path, truth: str | Path, hits: str | Path, attributions: str | Path,
    tables: str | Path, out: str | Path,
) -> pd.DataFrame:  # fmt: skip
    """Compare the syntax of a target with what was planted.

    Parameters
    ----------
    grammar, truth
        ``grammar.tsv`` and ``truth.tsv`` of the simulated genome.
    hits, attributions
        ``hits.bed.gz`` and ``attributions.h5`` of the target.
    tables
        Folder of its ``positions.tsv``, ``syntax.tsv`` and ``periodicity.tsv``.
    out
        Table to write: one row for each planted grammar of the assays that drive these regions.

    Returns
    -------
    pandas.DataFrame
        COLUMNS.
    """
    with open_hdf5(attributions, what="attributions", datasets=("regions",)) as handle:
        regions = read_regions(handle)
    sites = _read(truth, "planted sites", texts=("chrom", "strand", "motif", "name", "assay", "peak"))
    planted = _read(grammar, "grammar", texts=GRAMMAR_COLUMNS[:7], columns=GRAMMAR_COLUMNS)
    named = ("word", "word_a", "word_b", "orientation", "part", "series", "test", "name", "name_a", "name_b")
    positions, syntax, periods = (
        _read(Path(tables) / f"{name}.tsv", name, texts=named)
        for name in ("positions", "syntax", "periodicity")
    )
    inside = sites[is_inside(sites, regions)]
    driving = inside.loc[inside["functional"].astype(str) == "True", "assay"].value_counts()
    assays = [name for name, number in driving.items() if number >= MIN_DRIVEN * len(regions)]
    words = _identify(hits, inside, set(positions["word"]))
    rows = [
        {**_planted(row), **_found(row, words, syntax, periods)}
        for _, row in planted[planted["assay"].isin(assays)].iterrows()
    ]
    result = pd.DataFrame(rows, columns=COLUMNS)
    write_table(result, out)
    logger.info("%d of %d planted grammars were recovered", int(result["recovered"].sum()), len(result))
    return result


def _read(
    path: str | Path, what: str, *, texts: list[str] | tuple[str, ...], columns: list[str] | None = None
) -> pd.DataFrame:
    table = read_numbers(require_file(path, what=what), texts=texts)
    if missing := [name for name in columns or () if name not in table]:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}")
    return table


def _identify(hits: str | Path, sites: pd.DataFrame, analysed: set[str]) -> dict[str, Word]:
    """The word of each planted motif, by matrix id: of several the one with most hits."""
    column = word_column(hits)
    table = read_hits(hits)
    table = table[table[column].astype(str).isin(analysed)]
    site = nearest_site(table, sites)
    found: dict[str, Word] = {}
    most: dict[str, int] = {}
    names = table[column].astype(str).to_numpy()
    for word in sorted(set(names)):
        rows = np.flatnonzero(names == word)
        on = rows[site[rows] >= 0]
        if len(on) < LEAST_SHARE * len(rows):
            continue
        own = sites.iloc[site[on]].reset_index(drop=True)
        motif = str(own["motif"].value_counts().index[0])
        chosen = (own["motif"] == motif).to_numpy()
        if chosen.sum() < LEAST_SHARE * len(rows) or chosen.sum() <= most.get(motif, 0):
            continue
        own, mine = own[chosen], table.iloc[on[chosen]]
        strand = np.where(own["strand"] == "-", -1, 1)
        alike = float(np.mean(strand == np.where(mine["strand"] == "-", -1, 1)))
        middle = (mine["start"] + mine["end"]).to_numpy() - (own["start"] + own["end"]).to_numpy()
        most[motif] = int(chosen.sum())
        found[motif] = Word(
            word=word,
            strand=1 if alike >= STRANDED else -1 if alike <= 1 - STRANDED else 0,
            shift=float(np.median(strand * middle / 2)),
            contribution=float(mine["contribution"].mean()),
        )
    return found


def nearest_site(hits: pd.DataFrame, sites: pd.DataFrame) -> NDArray[np.int64]:
    """Row of the planted site that each hit lies on (at least half of the narrower one), or -1.

    Parameters
    ----------
    hits, sites
        Columns ``chrom``, ``start`` and ``end``. Sites do not overlap.
    """
    found = np.full(len(hits), -1)
    low, high = hits["start"].to_numpy(), hits["end"].to_numpy()
    for chrom, rows in hits.groupby("chrom").indices.items():
        own = np.flatnonzero((sites["chrom"] == chrom).to_numpy())
        if not len(own):
            continue
        starts, ends = sites["start"].to_numpy()[own], sites["end"].to_numpy()[own]
        order = np.argsort(starts + ends)
        own, starts, ends = own[order], starts[order], ends[order]
        right = np.searchsorted(starts + ends, low[rows] + high[rows]).clip(0, len(own) - 1)
        for place in ((right - 1).clip(0), right):
            common = np.minimum(high[rows], ends[place]) - np.maximum(low[rows], starts[place])
            narrower = np.minimum(high[rows] - low[rows], ends[place] - starts[place])
            better = common >= MIN_OVERLAP * narrower
            found[rows[better]] = own[place[better]]
    return found


def _planted(row: pd.Series) -> dict[str, object]:
    keys = ("assay", "kind", "name_a", "name_b", "orientation", "least", "most", "period")
    return {key: row[key] for key in keys}


def _found(
    row: pd.Series, words: dict[str, Word], syntax: pd.DataFrame, periods: pd.DataFrame
) -> dict[str, object]:
    """What was found of one planted grammar, and whether that recovers it."""
    first, second = words.get(row["motif_a"]), words.get(row["motif_b"] or row["motif_a"])
    if first is None or second is None:
        return {
            "word_a": first.word if first else "",
            "word_b": second.word if second else "",
            "recovered": False,
        }
    cells: dict[str, object] = {"word_a": first.word, "contribution": first.contribution}
    if row["motif_b"]:
        cells["word_b"] = second.word
    judge: dict[str, Callable[[], dict[str, object]]] = {
        "single": lambda: {"recovered": first.contribution > 0},
        "lowers": lambda: {"recovered": first.contribution < 0},
        "cluster": lambda: _cluster(first, syntax),
        "independent": lambda: _independent(first, second, syntax),
        "pair": lambda: _pair(row, first, second, syntax),
        "helical": lambda: _helical(row, first, second, syntax, periods),
    }
    return cells | judge[row["kind"]]()


def _cluster(word: Word, syntax: pd.DataFrame) -> dict[str, object]:
    """Sites of one word must be called close to each other, or several to a region."""
    own = _rows_of(syntax, word, word)
    own = own[own["odds"] > 1].sort_values("p", kind="stable")
    if own.empty:
        return {"recovered": False}
    return _test(own.iloc[0]) | {"recovered": bool(own["q"].iloc[0] < MAX_Q)}


def _independent(first: Word, second: Word, syntax: pd.DataFrame) -> dict[str, object]:
    """Independent words must not be called at any distance or orientation."""
    own = _rows_of(syntax[syntax["test"] != "regions"], first, second)
    if own.empty:
        return {"recovered": True}
    best = own.sort_values("p", kind="stable").iloc[0]
    return _test(best) | {"recovered": bool(best["q"] >= MAX_Q)}


def _pair(row: pd.Series, first: Word, second: Word, syntax: pd.DataFrame) -> dict[str, object]:
    own = _rows_of(syntax[syntax["test"] != "regions"], first, second)
    spacing = own[own["test"] == "spacing"]
    if spacing.empty:
        return {"recovered": False}
    best = own.sort_values("p", kind="stable").iloc[0]
    found = _arrangement(spacing)
    low, high = found.least - row["least"], found.most - row["most"]
    near = max(abs(low), abs(high)) <= MAX_DISTANCE_ERROR
    good = bool(
        best["q"] < MAX_Q and near and found.orientation == _blurred(row["orientation"], first, second)
    )
    cells = {"found_orientation": found.orientation, "found_least": found.least, "found_most": found.most}
    return _test(best) | cells | {"recovered": good}


def _helical(
    row: pd.Series, first: Word, second: Word, syntax: pd.DataFrame, periods: pd.DataFrame
) -> dict[str, object]:
    """Orientation and period count; distances are planted all over, so that they have no ends to find."""
    spacing = _rows_of(syntax[syntax["test"] == "spacing"], first, second)
    own = _rows_of(periods[periods["series"] == "spacing"], first, second)
    if spacing.empty or own.empty:
        return {"recovered": False}
    series = {str(name): _series(rows) for name, rows in spacing.groupby("orientation")}
    orientation = "/".join(_orientations(series, -np.inf, np.inf))
    alike = own[own["orientation"] == orientation]
    best = (alike if len(alike) else own[own["orientation"] == "any"]).iloc[:1]
    if best.empty:
        return {"found_orientation": orientation, "recovered": False}
    period, q = float(best["period"].iloc[0]), float(best["q"].iloc[0])
    good = q < MAX_Q and abs(period - row["period"]) <= MAX_PERIOD_ERROR
    good = bool(good and orientation == _blurred(row["orientation"], first, second))
    strongest = _test(spacing.sort_values("p", kind="stable").iloc[0])
    cells = {"found_orientation": orientation, "found_period": period, "period_q": q, "recovered": good}
    return strongest | cells


def _test(row: pd.Series) -> dict[str, object]:
    return {key: row[key] for key in ("observed", "expected", "odds", "q")}


def _rows_of(table: pd.DataFrame, first: Word, second: Word) -> pd.DataFrame:
    """Rows of a pair, with orientation and distance of the planted sites, ``first`` read first."""
    for one, other in ((first, second), (second, first)):
        own = table[(table["word_a"] == one.word) & (table["word_b"] == other.word)]
        if len(own):
            break
    else:
        return table.iloc[:0]
    shown = own["orientation"].to_numpy(dtype=object)
    if own["word_a"].iloc[0] != first.word:  # read from the other end
        shown = np.array([{"++": "--", "--": "++"}.get(text, text) for text in shown], dtype=object)
    sites = [_site_strands(text, first, second) for text in shown]
    distance = own["distance"].to_numpy(float) if "distance" in own else np.full(len(own), np.nan)
    moved = [b * second.shift - a * first.shift for a, b in sites]
    named = [_blurred(_name(*strands) if text != "any" else "any", first, second)
             for text, strands in zip(shown, sites, strict=True)]  # fmt: skip
    return own.assign(orientation=named, distance=distance - np.array(moved))


def _site_strands(text: str, first: Word, second: Word) -> tuple[int, int]:
    if text == "any":
        return 0, 0
    one, two = (
        (1 if sign == "+" else -1) * (word.strand or 1)
        for sign, word in zip(text, (first, second), strict=True)
    )
    return one, two


def _name(one: int, two: int) -> str:
    return f"{'+' if one > 0 else '-'}{'+' if two > 0 else '-'}"


def _blurred(text: str, first: Word, second: Word) -> str:
    """An orientation with ? for strands that are not known; of a word with itself ``--`` is ``++``."""
    if text == "any":
        return text
    if first == second and text == "--":
        text = "++"
    return "".join(sign if word.strand else "?" for sign, word in zip(text, (first, second), strict=True))


def _arrangement(spacing: pd.DataFrame) -> Arrangement:
    """The distances at which a pair is in excess, and in which orientations."""
    series = {str(name): _series(rows) for name, rows in spacing.groupby("orientation")}
    low, high = excess_interval(*_joined(list(series.values())))
    parts = _orientations(series, low, high)
    low, high = excess_interval(*_joined([series[name] for name in parts]))
    found = "any" if len(parts) > 1 and len(parts) == len(series) else "/".join(parts)
    return Arrangement(found, low, high)


def _orientations(series: Mapping[str, tuple[Floats, Floats, Floats]], low: float, high: float) -> list[str]:
    """The orientations that are in excess at distances from ``low`` to ``high``."""
    gain = {}
    for name, (places, observed, expected) in series.items():
        within = (places >= low) & (places <= high)
        gain[name] = max(float((observed - expected)[within].sum()), 0.0)
    total = sum(gain.values()) or 1.0
    best = max(gain, key=lambda name: gain[name])
    if gain[best] >= ALONE * total:
        return [best]
    return sorted(name for name, value in gain.items() if value >= PART * total)


def _series(rows: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Distances one base apart, with the regions of those that no region has."""
    first = float(rows["distance"].min())
    # Hits of one word have one width; half a base, where they do not, counts with the base before.
    base = np.floor(rows["distance"].to_numpy(float) - first + 0.25)
    own, where = np.unique(base, return_inverse=True)
    seen, chance = (np.bincount(where, rows[key].to_numpy(float)) for key in ("observed", "expected"))
    places = np.arange(own[-1] + 1)
    observed = np.zeros(len(places))
    observed[own.astype(int)] = seen
    return first + places, observed, np.interp(places, own, chance)


def _joined(series: list[tuple[Floats, Floats, Floats]]) -> tuple[Floats, Floats, Floats]:
    """The sum of several series."""
    places, observed, expected = (np.concatenate(parts) for parts in zip(*series, strict=True))
    grid, where = np.unique(places, return_inverse=True)
    sums = [np.asarray(np.bincount(where, values), dtype=np.float64) for values in (observed, expected)]
    return grid, sums[0], sums[1]


def excess_interval(places: Floats, observed: Floats, expected: Floats) -> tuple[float, float]:
    """First and last place of the interval in which ``observed`` exceeds ``expected`` most.

    Kulldorff's scan statistic: inside and outside each have their own rate, so that an interval that draws
    all pairs is found with its ends even where the words' positions alone expect many there.
    """
    total = float(observed.sum())
    scaled = expected * total / max(float(expected.sum()), 1e-9)
    seen, chance = (np.concatenate([[0.0], np.cumsum(values)]) for values in (observed, scaled))
    inside = np.maximum(seen[None] - seen[:, None], 0)
    by_chance = np.maximum(chance[None] - chance[:, None], 1e-9)
    outside, rest = total - inside, np.maximum(total - by_chance, 1e-9)
    gain = special.xlogy(inside, inside / by_chance) + special.xlogy(outside, outside / rest)
    forward = np.triu(np.ones(gain.shape, dtype=bool), 1)
    gain = np.where(forward & (inside > by_chance), gain, -1.0)
    first, last = np.unravel_index(int(np.argmax(gain)), gain.shape)
    return float(places[first]), float(places[last - 1])
