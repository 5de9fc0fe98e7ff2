"""Section about comparisons of methods: who agrees with whom, and how good each is by itself."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from cislex.report.facts import count, decimals, number
from cislex.report.figures.comparison import agreement_map, curve_panels, stacked_logos
from cislex.report.figures.insertions import Dot, effect_plot
from cislex.report.specs import ComparisonTables
from cislex.report.tables import numbers, read_table

#: Targets of a comparison that the page shows.
TARGETS_SHOWN = 4
#: How the curve of random orders is called.
CHANCE = "bases in random order"
#: Columns of ``methods.tsv`` that the page shows where any analysis has them, with their headings.
HEADINGS = {
    "yardstick.contributions": "Yardstick: contributions",
    "yardstick.hypothetical": "Yardstick: hypothetical",
    "planted_auprc": "Planted bases: AUPRC",
    "deletion": "Deletion: area",
    "insertion": "Insertion: area",
    "stability": "Other references",
    "randomised": "Random parameters",
    "seconds_per_region": "Seconds per region",
    "max_delta": "Largest delta",
}
_TEXTS = ("target", "analysis", "model", "method", "rule", "references", "n_references")
_RANDOM = ("deletion_random", "insertion_random", "planted_share")
_WORDS = ("interaction", "effect_balance", "attributed_balance", "error", "regions")


@dataclass(frozen=True)
class ComparedTarget:
    """A comparison for one target; ``rows`` and ``words`` are ready to print."""

    target: str
    agreement: Markup
    headings: list[str]
    rows: list[tuple[str, ...]]
    note: str
    areas: Markup | None
    curves: Markup | None
    words: list[tuple[str, ...]]
    logos: list[tuple[str, Markup]]


@dataclass(frozen=True)
class ComparisonView:
    """One comparison."""

    spec: ComparisonTables
    text: str
    targets: list[ComparedTarget]
    left_out: str


def describe_comparisons(specs: Sequence[ComparisonTables]) -> list[ComparisonView]:
    """Read the tables of all comparisons."""
    return [_describe(spec) for spec in specs]


def _describe(spec: ComparisonTables) -> ComparisonView:
    kinds = ("contributions.pearson", "contributions.undefined", "hypothetical.pearson", "regions")
    pairs = read_table(
        spec.comparison, what="comparison", columns=["target", "analysis_a", "analysis_b", *kinds]
    )
    pairs = pairs.assign(**{name: numbers(pairs, name) for name in kinds})
    methods = read_table(spec.methods, what="methods", columns=[*_TEXTS, *HEADINGS, *_RANDOM])
    methods = methods.assign(**{name: numbers(methods, name) for name in (*HEADINGS, *_RANDOM)})
    words = read_table(spec.words, what="words", columns=["target", "analysis", "name_a", "name_b", *_WORDS])
    words = words.assign(**{name: numbers(words, name) for name in _WORDS})
    logos = read_table(
        spec.logos, what="logos", columns=["target", "analysis", "row", "name", "base", "contribution"]
    )
    points = ("share", "normalised")
    curves = read_table(spec.curves, what="curves", columns=["target", "analysis", "curve", "order", *points])
    curves = curves.assign(**{name: numbers(curves, name) for name in points})
    targets = list(dict.fromkeys(methods["target"]))
    undefined = int(pairs["contributions.undefined"].max())
    text = f"{count(methods['analysis'].nunique(), 'analysis', 'analyses')} of the same "
    text += f"{count(int(pairs['regions'].max()), 'region')}."
    if undefined:
        text += f" In up to {count(undefined, 'region')} of a pair all scores are the same: not counted."
    hidden, tables = len(targets) - TARGETS_SHOWN, (pairs, methods, curves, words, logos)
    return ComparisonView(
        spec,
        text,
        [
            _of_target(target, *(table[table["target"] == target] for table in tables))
            for target in targets[:TARGETS_SHOWN]
        ],
        f"Not shown: {count(hidden, 'target')}; the tables have all of them." if hidden > 0 else "",
    )


def _of_target(
    target: str,
    pairs: pd.DataFrame,
    methods: pd.DataFrame,
    curves: pd.DataFrame,
    words: pd.DataFrame,
    logos: pd.DataFrame,
) -> ComparedTarget:
    names = list(methods["analysis"])
    shown = [name for name in HEADINGS if methods[name].notna().any()]
    rows = [
        (
            row["analysis"],
            _method(row),
            *(_cell(row[name], name in ("seconds_per_region", "max_delta")) for name in shown),
        )
        for row in methods.to_dict("records")
    ]
    return ComparedTarget(
        target,
        _agreement(names, pairs, target),
        [HEADINGS[name] for name in shown],
        rows,
        _by_chance(methods),
        _areas(methods),
        _curves(curves),
        [
            (
                f"{row['name_a']} and {row['name_b']}",
                row["analysis"],
                *(_cell(row[name]) for name in _WORDS[:-1]),
                f"{row['regions']:.0f}",
            )
            for row in words.to_dict("records")
        ],
        _logos(logos),
    )


def _cell(value: float, small: bool = False) -> str:
    if np.isnan(value):
        return "–"
    return number(value) if small else decimals(value, 2)


def _method(row: Mapping[Hashable, str]) -> str:
    references = row["references"].replace("_", " ")
    single = references in ("zeros", "uniform")
    if references == "none":
        references, single = "no", True
    against = f"{references} reference" if single else f"{row['n_references']} × {references}"
    return ", ".join(part.replace("_", " ") for part in (row["method"], row["rule"], against) if part)


def _by_chance(methods: pd.DataFrame) -> str:
    """What random scores would reach."""
    means = zip(("deletion", "insertion", "AUPRC"), (methods[name].mean() for name in _RANDOM), strict=True)
    parts = [f"{what} {mean:.2f}" for what, mean in means if not np.isnan(mean)]
    return f"Bases in random order: {', '.join(parts)}." if parts else ""


def _agreement(names: Sequence[str], pairs: pd.DataFrame, target: str) -> Markup:
    """Contributions above the diagonal, hypothetical scores below it."""
    values = np.full((len(names), len(names)), np.nan)
    titles = [[name if name == other else "" for other in names] for name in names]
    for row in pairs.to_dict("records"):
        i, j = names.index(row["analysis_a"]), names.index(row["analysis_b"])
        for a, b, kind in ((i, j, "contributions"), (j, i, "hypothetical")):
            values[a, b] = row[f"{kind}.pearson"]
            titles[a][b] = f"{names[i]} and {names[j]}, {kind}: {number(values[a, b])}"
    return agreement_map(values, names, titles=titles, label=f"Agreement of methods for {target}")


def _areas(methods: pd.DataFrame) -> Markup | None:
    own = methods.dropna(subset=["deletion", "insertion"])
    if own.empty:
        return None
    rows = []
    for row in own.sort_values("deletion", ascending=False, kind="stable").to_dict("records"):
        dots = [
            Dot(
                row[kind],
                row[kind],
                row[kind],
                row[kind] > row[f"{kind}_random"],
                f"{kind}: {number(row[kind])}",
            )
            for kind in ("deletion", "insertion")
        ]
        rows.append((row["analysis"], dots))
    return effect_plot(rows, label="area under the curve")


def _curves(table: pd.DataFrame) -> Markup | None:
    """Both curves of every analysis, and of random orders, which all analyses share."""
    panels: dict[str, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for (kind, order, name), own in table.groupby(["curve", "order", "analysis"], sort=False):
        shown = str(name) if order == "scores" else CHANCE
        points = (own["share"].to_numpy(np.float64), own["normalised"].to_numpy(np.float64))
        panels.setdefault(str(kind), {})[shown] = points
    return curve_panels(panels, chance=CHANCE, label="Deletion and insertion curves") if panels else None


def _logos(table: pd.DataFrame) -> list[tuple[str, Markup]]:
    found = []
    for row in dict.fromkeys(table["row"]):
        own = table[table["row"] == row]
        first = own[own["analysis"] == own["analysis"].iloc[0]]
        onehot = np.array([(first["base"] == base).to_numpy() for base in "ACGT"]).astype(np.uint8)
        drawn = [
            (str(name), numbers(part, "contribution").to_numpy(np.float32))
            for name, part in own.groupby("analysis", sort=False)
        ]
        name = first["name"].iloc[0] or f"row {row}"
        found.append((name, stacked_logos(drawn, onehot, label=f"Contributions in {name} by every analysis")))
    return found
