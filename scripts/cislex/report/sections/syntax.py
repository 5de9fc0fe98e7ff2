"""Section about syntax: where words stand, which pairs keep a distance or an orientation, and periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from cislex.errors import StorageError
from cislex.files.tables import require_file
from cislex.files.text_tables import read_numbers
from cislex.report.facts import count, equation, number, percent, probability
from cislex.report.figures.syntax import ARROWS, position_map, spacing_chart
from cislex.report.sections.motifs import MotifView
from cislex.report.specs import AnalysisTarget

#: What is called significant, and how much of it the page shows.
MAX_Q = 0.05
WORDS_SHOWN, PAIRS_SHOWN, CHARTS_SHOWN, PERIODS_SHOWN = 25, 10, 4, 6
#: Periods this close (bp) to the end of the range that was searched are at its edge.
EDGE = 0.01
TEXTS = frozenset(
    ["word", "word_a", "word_b", "name", "name_a", "name_b", "orientation", "test", "part", "series"]
)
COLUMNS = {
    "positions": ("word", "part", "start", "end", "hits", "observed", "expected", "q", "word_hits", "name"),
    "syntax": (
        *("word_a", "word_b", "orientation", "distance", "observed", "expected", "odds", "p", "q", "test"),
        *("name_a", "name_b"),
    ),
    "periodicity": (
        "word_a",
        "word_b",
        "orientation",
        "series",
        "period",
        "power",
        "p",
        "q",
        "name_a",
        "name_b",
    ),
}


@dataclass(frozen=True)
class PairRow:
    """A pair of words as the table shows it; cells are ready to print, empty where nothing is significant."""

    pair: str
    arrangement: str
    regions: str
    arrangement_q: str
    together: str
    together_q: str


@dataclass(frozen=True)
class SyntaxView:
    """What the page says about the syntax of a target.

    Parameters
    ----------
    text
        What was found, in a few sentences.
    positions
        Heat map of words along the regions; None without words.
    pairs, hidden
        The strongest pairs, and how many more are significant.
    charts
        Caption and figure of the pairs with the strongest distances.
    periods
        Rows of the table of periods.
    """

    text: str
    positions: Markup | None = None
    pairs: Sequence[PairRow] = ()
    hidden: int = 0
    charts: Sequence[tuple[str, Markup]] = ()
    periods: Sequence[Sequence[str]] = ()


def describe_syntax(
    spec: AnalysisTarget, motifs: Sequence[MotifView], *, charts: int = CHARTS_SHOWN
) -> SyntaxView | None:
    """Read the three tables.

    Parameters
    ----------
    spec
        The target; ``None`` is returned where its syntax was not analysed.
    motifs
        Its motifs, for the names of hits of these.
    charts
        Pairs whose distances are drawn, at most.
    """
    if spec.positions is None or spec.syntax is None or spec.periodicity is None:
        return None
    positions = _read(spec.positions, "positions")
    pairs, periods = _read(spec.syntax, "syntax"), _read(spec.periodicity, "periodicity")
    settings = spec.settings.get("syntax") or {}
    if positions.empty:
        least = settings.get("min_hits")
        need = f" ({least} are needed)" if least else ""
        return SyntaxView(f"Syntax was not analysed: no word has enough hits{need}.")
    # A word without a name of its own is not the pattern of the same number.
    own = {} if spec.usage is not None else {motif.name: motif.short for motif in motifs}
    names = _names((positions, pairs), own)
    found = _significant_pairs(pairs)
    with_distance = [pair for pair in found if pair.arrangement is not None]
    good = periods[periods["q"] < MAX_Q].sort_values(["q", "power"], ascending=[True, False], kind="stable")
    return SyntaxView(
        text=_sentences(pairs, found, good, settings),
        positions=_draw_positions(positions, names),
        pairs=[_pair_row(pair, names) for pair in found[:PAIRS_SHOWN]],
        hidden=max(len(found) - PAIRS_SHOWN, 0),
        charts=[_chart(pair, pairs, names, settings) for pair in with_distance[:charts]],
        periods=[_period_row(row, names, settings) for _, row in good.head(PERIODS_SHOWN).iterrows()],
    )


@dataclass(frozen=True)
class _Pair:
    """The significant rows of a pair: its best distance or window, and whether it shares regions."""

    words: tuple[str, str]
    arrangement: pd.Series | None
    together: pd.Series | None

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Distances first, the most significant first; of equals the larger effect."""
        best = self.together if self.arrangement is None else self.arrangement
        assert best is not None
        return self.arrangement is None, float(best["p"]), -abs(np.log(float(best["odds"])))


def _read(path: str | Path, kind: str) -> pd.DataFrame:
    require_file(path, what=f"report: {kind}")
    wanted = COLUMNS[kind]
    try:
        table = read_numbers(path, texts=TEXTS, columns=lambda name: name in wanted)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise StorageError(f"report: {kind}: {path} is not a table with a header: {error}") from error
    missing = [name for name in wanted if name not in table]
    if missing:
        raise StorageError(
            f"report: {kind}: {path} lacks the columns {', '.join(missing)}; rerun analyse_syntax"
        )
    return table


def _names(tables: Sequence[pd.DataFrame], known: Mapping[str, str]) -> dict[str, str]:
    """What each word is called; words of one name are told apart by their ids."""
    found: dict[str, str] = {}
    for table in tables:
        for word, name in (("word", "name"), ("word_a", "name_a"), ("word_b", "name_b")):
            if word in table:
                found |= dict(zip(table[word], table[name], strict=True))
    found = {word: known.get(word, word) if name == word else name for word, name in found.items()}
    called = list(found.values())
    return {word: f"{name} ({word})" if called.count(name) > 1 else name for word, name in found.items()}


def _significant_pairs(table: pd.DataFrame) -> list[_Pair]:
    good = table[table["q"] < MAX_Q].sort_values(["p", "odds"], ascending=[True, False], kind="stable")
    apart = good[good["test"] != "regions"].drop_duplicates(["word_a", "word_b"])
    arrangements = {(row["word_a"], row["word_b"]): row for _, row in apart.iterrows()}
    regions = good[good["test"] == "regions"]
    together = {(row["word_a"], row["word_b"]): row for _, row in regions.iterrows()}
    words = dict.fromkeys([*arrangements, *together])
    return sorted(
        (_Pair(pair, arrangements.get(pair), together.get(pair)) for pair in words), key=lambda x: x.rank
    )


def _sentences(
    table: pd.DataFrame, found: Sequence[_Pair], periods: pd.DataFrame, settings: Mapping[str, Any]
) -> str:
    tested = int((table["test"] == "regions").sum())
    distances = table.loc[table["test"] == "spacing", ["word_a", "word_b"]].drop_duplicates()
    preferred = sum(pair.arrangement is not None for pair in found)
    more = sum(pair.together is not None and pair.together["odds"] > 1 for pair in found)
    less = sum(pair.together is not None and pair.together["odds"] < 1 for pair in found)
    said = [
        f"{count(tested, 'pair')} of words tested, a word with itself included (significant: q < {MAX_Q:g})."
    ]
    if len(distances):
        of = count(len(distances), "pair")
        said.append(
            f"A preferred distance or orientation: {preferred or 'none'} of {of} that share enough regions."
        )
    else:
        least = settings.get("min_regions")
        need = f" ({least})" if least else ""
        said.append(f"Distances were not tested: no pair shares enough regions{need}.")
    said.append(f"Regions shared more often than by chance: {more or 'none'}; less often: {less or 'none'}.")
    low, high = _searched(settings)
    said.append(f"Series with a period between {low:g} and {high:g} bp: {len(periods) or 'none'}.")
    if edge := sum(_is_edge(period, settings) for period in periods["period"]):
        said.append(f"At the very edge of this range, beyond which the true period may lie: {edge}.")
    return " ".join(said)


def _draw_positions(table: pd.DataFrame, names: Mapping[str, str]) -> Markup:
    centre = table[table["part"] == "centre"].sort_values("word_hits", ascending=False, kind="stable")
    centre = centre.head(WORDS_SHOWN)
    bins = table[table["part"] == "bin"].pivot_table(
        index="word", columns="start", values="hits", aggfunc="sum"
    )
    ends = table.loc[table["part"] == "bin", "end"].max()
    words = centre["word"].tolist()
    edges = np.append(bins.columns.to_numpy(np.float64), float(ends))
    return position_map(
        bins.reindex(words).fillna(0).to_numpy(np.float64),
        edges,
        [names[word] for word in words],
        [int(hits) for hits in centre["word_hits"]],
        [_remark(row) for _, row in centre.iterrows()],
    )


def _remark(row: pd.Series) -> str:
    """How many times as often as expected a word is central, where that is significant."""
    if not row["q"] < MAX_Q or not row["expected"] > 0:
        return "–"
    return f"{number(row['observed'] / row['expected'], 2)}× ({equation(probability(row['q']), 'q')})"


def _pair_name(words: tuple[str, str], names: Mapping[str, str]) -> str:
    one, two = (names[word] for word in words)
    return f"{one} with itself" if words[0] == words[1] else f"{one} and {two}"


def _arrangement(row: pd.Series) -> str:
    where = ARROWS.get(row["orientation"], "any orientation")
    return f"{where}, {'up to ' if row['test'] == 'window' else ''}{row['distance']:g} bp"


def _against(row: pd.Series | None) -> str:
    return "" if row is None else f"{int(row['observed']):,} ({number(row['expected'], 2)} expected)"


def _pair_row(pair: _Pair, names: Mapping[str, str]) -> PairRow:
    apart, together = pair.arrangement, pair.together
    return PairRow(
        pair=_pair_name(pair.words, names),
        arrangement="" if apart is None else _arrangement(apart),
        regions=_against(apart),
        arrangement_q="" if apart is None else probability(float(apart["q"])),
        together=_against(together),
        together_q="" if together is None else probability(float(together["q"])),
    )


def _chart(
    pair: _Pair, table: pd.DataFrame, names: Mapping[str, str], settings: Mapping[str, Any]
) -> tuple[str, Markup]:
    one, two = pair.words
    own = table[(table["word_a"] == one) & (table["word_b"] == two) & (table["test"] == "spacing")]
    orientations = [key for key in ARROWS if one != two or key != "--"]
    series = {}
    for orientation in orientations:
        rows = own[own["orientation"] == orientation].sort_values("distance")
        distance, observed, expected = (
            rows[key].to_numpy(np.float64) for key in ("distance", "observed", "expected")
        )
        series[orientation] = (distance, observed, expected)
    reach = float(settings.get("max_distance") or max(own["distance"].max(), 10))
    assert pair.arrangement is not None
    caption = f"{_pair_name(pair.words, names)}: most significant {_arrangement(pair.arrangement)}"
    return caption, spacing_chart(series, reach=reach, first=names[one], second=names[two])


def _searched(settings: Mapping[str, Any]) -> tuple[float, float]:
    """Shortest and longest period that are looked for, bp."""
    return float(settings.get("shortest_period", 8)), float(settings.get("longest_period", 13))


def _is_edge(period: float, settings: Mapping[str, Any]) -> bool:
    """Whether a period is the first or the last that was looked for: the strongest may lie beyond."""
    return any(abs(period - end) < EDGE for end in _searched(settings))


def _period_row(row: pd.Series, names: Mapping[str, str], settings: Mapping[str, Any]) -> list[str]:
    of = "contributions" if row["series"] == "contributions" else "distances"
    pair = (
        names[row["word_a"]] if of == "contributions" else _pair_name((row["word_a"], row["word_b"]), names)
    )
    where = ARROWS.get(row["orientation"], "any" if of == "distances" else "–")
    edge = " (edge of the range)" if _is_edge(row["period"], settings) else ""
    period, share = f"{row['period']:.1f} bp{edge}", percent(float(row["power"]))
    return [pair, of, where, period, share, probability(float(row["p"])), probability(float(row["q"]))]
