"""Section about in-silico experiments: what motifs do singly, in pairs, and in their own contexts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from cislex.report.facts import count, equation, number, probability
from cislex.report.figures.insertions import Distances, Dot, distance_chart, effect_plot
from cislex.report.figures.syntax import ARROWS
from cislex.report.sections.summary import some
from cislex.report.specs import InsertionTables
from cislex.report.tables import numbers, read_table

#: Effects and differences with at most this q-value are called.
MAX_Q = 0.05
#: Targets, motifs and pairs of one experiment that the page draws, and sites that it lists.
TARGETS_SHOWN, MOTIFS_SHOWN, PAIRS_SHOWN, CONTEXTS_SHOWN = 6, 40, 4, 40
#: How backgrounds are called.
BACKGROUNDS = {
    "shuffled": "dinucleotide shuffles of the regions",
    "genomic": "windows of the genome",
    "fasta": "sequences of a file",
}
#: What tells a pair of a target.
KEYS = ["target", "word_a", "word_b"]
_NUMBERS = (
    *("distance", "n", "effect", "low", "high", "q", "expected"),
    *("cooperativity", "cooperativity_low", "cooperativity_high", "cooperativity_q"),
)
_TEXTS = ("target", "kind", "word_a", "name_a", "word_b", "name_b", "orientation", "scale")


@dataclass(frozen=True)
class TargetEffects:
    """Effects of single motifs on a target."""

    target: str
    figure: Markup


@dataclass(frozen=True)
class PairChart:
    """A pair whose effect differs from that of its motifs alone."""

    title: str
    text: str
    figure: Markup


@dataclass(frozen=True)
class InsertionView:
    """One experiment.

    Parameters
    ----------
    text, pair_text, pairs_left, left_out
        Ready to print; empty: nothing to say. ``pairs_left`` says which pairs are not drawn.
    effects, pairs
        Figures.
    contexts
        Rows of the table of sites.
    """

    spec: InsertionTables
    text: str
    pair_text: str
    pairs_left: str
    left_out: str
    effects: list[TargetEffects]
    pairs: list[PairChart]
    contexts: list[tuple[str, ...]]


def describe_insertions(specs: Sequence[InsertionTables]) -> list[InsertionView]:
    """Read the tables of all experiments."""
    return [_describe(spec) for spec in specs]


def _describe(spec: InsertionTables) -> InsertionView:
    table = read_table(spec.insertions, what="insertions", columns=[*_TEXTS, *_NUMBERS])
    table = table.assign(**{name: numbers(table, name) for name in _NUMBERS})
    targets = list(dict.fromkeys(table["target"]))
    single, pairs = table[table["kind"] == "single"], table[table["kind"] == "pair"]
    best = _best_arrangements(pairs)
    flat = best["cooperativity_q"] > MAX_Q  # a pair without a test is not flat
    several = len(targets) > 1
    return InsertionView(
        spec=spec,
        text=_sentence(spec, single, targets),
        pair_text=_pair_sentence(pairs),
        pairs_left=_pairs_left(best[~flat], best[flat], several=several),
        left_out=_left_out(len(targets), single["word_a"].nunique()),
        effects=[
            TargetEffects(target, _effects(single[single["target"] == target], target))
            for target in targets[:TARGETS_SHOWN]
            if len(single)
        ],
        pairs=_pair_charts(best[~flat], pairs, several=several),
        contexts=_contexts(spec, several=several),
    )


def _sentence(spec: InsertionTables, single: pd.DataFrame, targets: Sequence[str]) -> str:
    if single.empty:
        return "No motif was inserted: the lexicon has no word, and no other motif was given."
    called = single[single["q"] <= MAX_Q]
    words, n = single["word_a"].nunique(), int(single["n"].max())
    kind = BACKGROUNDS.get(spec.backgrounds, "sequences")
    said = f"{count(words, 'motif')} put singly into {n:,} {kind}, on both strands."
    parts = []
    for target in targets[:TARGETS_SHOWN]:
        own = called[called["target"] == target]
        sides = {verb: own.loc[sign, "word_a"].nunique() for verb, sign in _sides(own["effect"]).items()}
        said_of = (f"{n:,} {verb}{'s' if n == 1 else ''}" for verb, n in sides.items() if n)
        moved = " and ".join(said_of) or "none moves"
        parts.append(f"{moved} the target {target}")
    return f"{said} At q ≤ {MAX_Q:g}, {'; '.join(parts)}."


def _sides(effect: pd.Series) -> dict[str, pd.Series]:
    return {"raise": effect > 0, "lower": effect < 0}


def _pair_sentence(pairs: pd.DataFrame) -> str:
    if pairs.empty:
        return ""
    called = pairs[pairs["cooperativity_q"] <= MAX_Q]
    more = int((called["cooperativity"] > 0).sum())
    scales = set(pairs["scale"])
    expectation = {
        frozenset({"log"}): "the product of the fold changes of its motifs alone",
        frozenset({"linear"}): "the sum of the effects of its motifs alone, on the target's scale",
    }.get(frozenset(scales), "the effects of its motifs alone, added on the target's scale")
    return (
        f"{count(pairs.groupby(['word_a', 'word_b']).ngroups, 'pair')} over distances and orientations, "
        f"{count(len(pairs), 'arrangement')}. Each is compared with {expectation}, at the same places: "
        f"the prediction is higher in {more:,} and lower in {len(called) - more:,} (q ≤ {MAX_Q:g})."
    )


def _left_out(targets: int, motifs: int) -> str:
    parts = [count(targets - TARGETS_SHOWN, "target")] if targets > TARGETS_SHOWN else []
    parts += [count(motifs - MOTIFS_SHOWN, "motif")] if motifs > MOTIFS_SHOWN else []
    return f"Not shown: {' and '.join(parts)}; the tables have all of them." if parts else ""


def _effects(single: pd.DataFrame, target: str) -> Markup:
    """Motifs by their greatest effect, each on both strands."""
    order = single.groupby("word_a")["effect"].agg(lambda values: values.abs().max())
    words = order.sort_values(ascending=False, kind="stable").index[:MOTIFS_SHOWN]
    rows = []
    for word in words:
        own = single[single["word_a"] == word]
        records = own.sort_values("orientation").to_dict("records")
        dots = [
            Dot(
                row["effect"],
                row["low"],
                row["high"],
                row["q"] <= MAX_Q,
                f"{row['name_a']} ({row['orientation']}): {number(row['effect'])} "
                f"({number(row['low'])} to {number(row['high'])}), " + equation(probability(row["q"]), "q"),
            )
            for row in records
        ]
        rows.append((str(own["name_a"].iloc[0]), dots))
    return effect_plot(rows, label=f"effect on {target}")


def _best_arrangements(pairs: pd.DataFrame) -> pd.DataFrame:
    """Where each pair differs most from the expectation for each target, the strongest evidence first."""
    score = pairs.assign(
        rank=pairs["cooperativity_q"].fillna(1.0),
        size=-(pairs["cooperativity"].abs() / (pairs["cooperativity_high"] - pairs["cooperativity_low"])),
    )
    return score.sort_values(["rank", "size"], kind="stable").drop_duplicates(KEYS)


def _pairs_left(drawn: pd.DataFrame, flat: pd.DataFrame, *, several: bool) -> str:
    """Which pairs have no figure, and why."""
    said = []
    if len(drawn) > PAIRS_SHOWN:
        said.append(f"Drawn are the {PAIRS_SHOWN} pairs that differ most clearly, of {len(drawn):,}.")
    if len(flat):
        names = [_pair_name(row, several=several) for row in flat.to_dict("records")]
        head = "Not drawn, because no arrangement differs from the expectation"
        said.append(f"{head} (q > {MAX_Q:g}): {some(names, '; ')}.")
    return " ".join(said)


def _pair_name(row: Mapping[Hashable, Any], *, several: bool) -> str:
    return f"{row['name_a']} and {row['name_b']}{' on ' + row['target'] if several else ''}"


def _pair_charts(best: pd.DataFrame, pairs: pd.DataFrame, *, several: bool) -> list[PairChart]:
    """Charts of the first pairs; ``best`` has where each differs most."""
    charts = []
    for row in best.iloc[:PAIRS_SHOWN].to_dict("records"):
        own = pairs[(pairs[KEYS] == [row[key] for key in KEYS]).all(axis=1)]
        charts.append(_pair_chart(row, own, several=several))
    return charts


def _pair_chart(row: Mapping[Hashable, Any], own: pd.DataFrame, *, several: bool) -> PairChart:
    """A pair's chart; ``row`` is where it differs most."""
    q = row["cooperativity_q"]
    tested = "not tested" if pd.isna(q) else equation(probability(q), "q")
    return PairChart(
        title=_pair_name(row, several=several),
        text=(
            f"Largest difference from the expectation: {_with_interval(row, 'cooperativity')} at "
            f"{row['distance']:g} bp, {ARROWS[row['orientation']]}, {tested}."
        ),
        figure=distance_chart(
            {str(name): _distances(part) for name, part in own.groupby("orientation", sort=True)},
            first=row["name_a"],
            second=row["name_b"],
            label=f"effect on {row['target']}",
        ),
    )


def _distances(part: pd.DataFrame) -> Distances:
    part = part.sort_values("distance")
    names = ("distance", "effect", "low", "high", "expected")
    distance, effect, low, high, expected = (part[name].to_numpy(np.float64) for name in names)
    called = (part["cooperativity_q"] <= MAX_Q).to_numpy()
    return Distances(distance, effect, low, high, expected, called)


def _contexts(spec: InsertionTables, *, several: bool) -> list[tuple[str, ...]]:
    """Word, sites, effects in the own sequence and in others, and their difference with q."""
    columns = ["target", "name", "n", "own", "moved", "context", "context_q"]
    table = read_table(spec.contexts, what="contexts of sites", columns=columns)
    rows = []
    for row in table.iloc[:CONTEXTS_SHOWN].to_dict("records"):
        name = f"{row['name']} on {row['target']}" if several else row["name"]
        cells = [_with_interval(row, what) for what in ("own", "moved", "context")]
        q = probability(float(row["context_q"])) if row["context_q"] else "–"
        rows.append((name, f"{int(row['n']):,}", *cells, q))
    return rows


def _with_interval(row: Mapping[Hashable, Any], what: str) -> str:
    middle, low, high = (float(row.get(f"{what}{end}") or "nan") for end in ("", "_low", "_high"))
    if not (np.isfinite(low) and np.isfinite(high)):
        return number(middle)
    return f"{number(middle)} ({number(low)} to {number(high)})"
