"""Section about designs: how predictions changed, why sequences stopped, and the first ones by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from cislex.files.tables import open_hdf5
from cislex.report.facts import count, number, recorded
from cislex.report.figures.evolution import walk_chart
from cislex.report.figures.logos import stacked_logos
from cislex.report.sections.references import Bibliography
from cislex.report.specs import EvolutionTables
from cislex.report.tables import numbers, read_table

#: Sequences of a design whose logos are drawn, and bases of a logo.
DRAWN, WINDOW = 3, 90
#: How guides are called, and the papers behind them.
GUIDES = {
    "integrated_gradients": ("integrated gradients", ("sundararajan2017ig",)),
    "tism": ("Taylor in-silico mutagenesis", ("sasse2024tism",)),
    "deep_lift_shap": ("DeepLIFT/SHAP", ("shrikumar2017deeplift", "lundberg2017shap")),
    "ism": ("in-silico mutagenesis", ("zhou2015deepsea",)),
}
STARTS = {"fasta": "sequences of a file", "random": "random sequences"}
STOPS = {
    "rounds": "used all rounds",
    "guide": "had no edit left that promises a gain",
    "constraints": "had none left that the constraints allow",
    "cycle": "had none left that leads to a new sequence",
}
_NUMBERS = ("round", "objective", "skipped_noops", "skipped_cycles", "refused")


@dataclass(frozen=True)
class LogosView:
    """A sequence at its first, middle and last round."""

    name: str
    text: str
    figure: Markup


@dataclass(frozen=True)
class EvolutionView:
    """One design; ``figure`` is None where nothing was edited."""

    spec: EvolutionTables
    text: str
    figure: Markup | None
    drawn: list[LogosView]


def describe_evolution(specs: Sequence[EvolutionTables]) -> list[EvolutionView]:
    """Read the tables and arrays of all designs."""
    return [_describe(spec) for spec in specs]


def _describe(spec: EvolutionTables) -> EvolutionView:
    columns = ["sequence", *_NUMBERS, "stop"]
    table = read_table(spec.trajectories, what="trajectories of designs", columns=columns)
    table = table.assign(**{name: numbers(table, name) for name in _NUMBERS})
    made = recorded(spec.arrays)
    if table.empty:
        return EvolutionView(spec, "There was no sequence to edit.", None, [])
    walks = [own["objective"].to_numpy(np.float64) for _, own in table.groupby("sequence", sort=False)]
    rounds = max(map(len, walks))
    values = np.array([np.append(walk, np.full(rounds - len(walk), walk[-1])) for walk in walks])
    goal = _goal(made)
    label = f"{goal} against the round"
    chart = walk_chart({"": values}, y_label=goal, label=f"Prediction of {label}")
    return EvolutionView(spec, _sentence(table, values, made), chart, _logos(spec, table))


def _goal(made: Mapping[str, Any]) -> str:
    return f"{made['target']} − {made['against']}" if made["against"] else str(made["target"])


def _sentence(table: pd.DataFrame, values: NDArray[np.float64], made: Mapping[str, Any]) -> str:
    last = table.groupby("sequence", sort=False).tail(1)
    verb = "lowered" if made.get("direction") == "down" else "raised"
    guide = made["guide"]["name"]
    by = "exact greedy edits" if guide == "greedy" else f"edits guided by {GUIDES[guide][0]}"
    stops = last["stop"].value_counts()
    said = "; ".join(f"{n:,} {STOPS.get(str(stop), stop)}" for stop, n in stops.items())
    skipped = {
        "no-op": table["skipped_noops"].sum(),
        "cycle": table["skipped_cycles"].sum(),
        "refused edit": table["refused"].sum(),
    }
    passed = ", ".join(count(int(n), what) for what, n in skipped.items())
    return (
        f"{count(len(last), 'sequence')}: {by} {verb} {_goal(made)} from {number(values[:, 0].mean())} to "
        f"{number(values[:, -1].mean())} on average, with {last['round'].median():g} edits each (median). Of "
        f"them, {said}. Skipped on the way: {passed}."
    )


def _logos(spec: EvolutionTables, table: pd.DataFrame) -> list[LogosView]:
    names = list(dict.fromkeys(table["sequence"]))[:DRAWN]
    parts = ("rounds", "sequences", "contributions")
    with open_hdf5(spec.arrays, what="report: designs", datasets=parts) as handle:
        rounds, onehot, contributions = (handle[part][: len(names)] for part in parts)
    views = []
    for row, name in enumerate(names):
        differs = (onehot[row] != onehot[row, :1]).any(axis=1)  # (3, L) from the start
        start = _window(differs[-1])
        cut = slice(start, start + WINDOW)
        rows = [
            (f"round {rounds[row, k]}", contributions[row, k, cut], onehot[row, k, :, cut], differs[k, cut])
            for k in range(3)
            if k == 0 or rounds[row, k] > rounds[row, k - 1]
        ]
        own = table.loc[table["sequence"] == name, "objective"]
        stretch = (
            "" if start == 0 and differs.shape[1] <= WINDOW else f", {start + 1:,} to {start + WINDOW:,} bp"
        )
        said = f"{number(own.iloc[0])} → {number(own.iloc[-1])}{stretch}"
        views.append(LogosView(name, said, stacked_logos(rows, label=f"Contributions of {name} by round")))
    return views


def _window(edited: NDArray[np.bool_]) -> int:
    """Start of the stretch with most edits."""
    if len(edited) <= WINDOW:
        return 0
    sums = np.convolve(edited, np.ones(WINDOW), mode="valid")
    best = np.flatnonzero(sums >= sums.max())
    return int(best[len(best) // 2])


def evolution_words(spec: EvolutionTables, cited: Bibliography) -> str:
    """How the sequences of a design were edited, for the section on methods."""
    made = recorded(spec.arrays)
    guide, start, limits = made["guide"]["name"], made["start"], made.get("constraints") or {}
    kind = STARTS.get(start["kind"], f"regions of {spec.analysis}")
    shuffled = "" if start["shuffle"] == "none" else f", each shuffled ({start['shuffle'].replace('_', ' ')})"
    verb = "lower" if made["direction"] == "down" else "raise"
    if guide == "greedy":
        how = "the best of all substitutions, predicted exactly, was made"
    else:
        name, papers = GUIDES[guide]
        ends = ("highest", "lowest") if made["direction"] == "down" else ("lowest", "highest")
        how = (
            f"the base with the {ends[0]} contribution ({name}; {cited.cite(*papers)}) was replaced by the "
            f"one with the {ends[1]} hypothetical contribution at its position"
        )
    kept = {
        "positions kept": made["kept_positions"],
        f"GC content {limits.get('gc')}": list(limits.get("gc") or [0, 1]) != [0, 1],
        f"no {', '.join(limits.get('forbidden') or [])}": limits.get("forbidden"),
        f"at most {limits.get('max_edits')} edited positions": limits.get("max_edits"),
    }
    held = [text for text, given in kept.items() if given]
    within = f" Constraints: {'; '.join(held)}." if held else ""
    beam = f" with a beam of {made['beam']}" if made["beam"] > 1 else ""
    return (
        f"Design {spec.name}: {kind}{shuffled} were edited for up to {made['rounds']} rounds{beam} to {verb} "
        f"{_goal(made)}. In each round {how}.{within}"
    )
