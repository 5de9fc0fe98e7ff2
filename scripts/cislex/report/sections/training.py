"""Section about models trained in this run: training curve, held-out scores, observed against predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from cislex.report.facts import cell, interval
from cislex.report.figures.svg import (
    BOTTOM,
    GRID,
    HEIGHT,
    LEFT,
    MAIN,
    RIGHT,
    SOFT,
    TOP,
    WIDTH,
    Scale,
    axes,
    curves,
    figure,
    line,
    nice_ticks,
    short,
    text,
)
from cislex.report.specs import TrainedModel
from cislex.report.tables import numbers, read_table

#: Heads of the columns that the evaluation may hold, in this order; each with limits ``_low`` and ``_high``.
SCORES = {
    "auroc": "AUROC", "auprc": "AUPRC", "accuracy": "Accuracy", "pearson": "Pearson", "spearman": "Spearman",
    "profile_jsd": "Profile JSD (bits)", "profile_jsd_flat": "– flat profile",
}  # fmt: skip
#: Okabe and Ito's colours that are dark enough on white; dashes tell curves apart without colour.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#222222", "#a6761d")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2")
#: Outputs that are drawn, points of a curve, and points of a scatter plot, at most.
MOST_TASKS, MOST_STEPS, MOST_POINTS = 6, 200, 1500

#: What is said of an output that a known motif alone predicts better.
LOST = "is outperformed by a known motif: do not interpret it; scan for the motif, or use more positives"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Defeat:
    """An output that a known motif alone predicts better: the interval of the difference excludes zero."""

    output: str
    text: str


@dataclass(frozen=True)
class FoldView:
    """Training curve and held-out scores of one fold; ``None`` or empty where there is no file.

    ``columns`` are the heads of ``scores``, one row per output and split; ``drawn`` are figures of the
    test windows and ``beaten`` the outputs that a known motif predicts better than the model.
    """

    spec: TrainedModel
    curve: Markup | None
    epochs: str
    columns: list[str]
    scores: list[list[str]]
    drawn: list[Markup]
    beaten: list[Defeat]


def describe_training(specs: Sequence[TrainedModel]) -> list[FoldView]:
    """Read training curves, held-out scores and held-out predictions of each fold."""
    return [_describe_fold(spec) for spec in specs]


def _describe_fold(spec: TrainedModel) -> FoldView:
    what = f"model {spec.name}, {spec.fold}"
    curve, epochs = (None, "") if spec.training is None else _curve(spec.training, what)
    columns, rows, beaten = ([], [], []) if spec.evaluation is None else _scores(spec, what)
    drawn = [] if spec.held_out is None else _draw(spec.held_out, what, _test_scores(spec, what))
    return FoldView(spec, curve, epochs, columns, rows, drawn, beaten)


def _curve(path: str | Path, what: str) -> tuple[Markup | None, str]:
    table = read_table(path, what=f"training of {what}", columns=["epoch", "train_loss"])
    xs = numbers(table, "epoch").to_numpy()
    losses = [
        (name, numbers(table, column).to_numpy())
        for name, column in (("training", "train_loss"), ("validation", "validation_loss"))
    ]
    losses = [(name, values) for name, values in losses if (values == values).any()]
    if not losses or not (xs == xs).all():
        return None, ""
    name, values = losses[-1]
    why = f"lowest {name} loss"
    if "validation_auprc" in table:  # which then decided
        auprc = numbers(table, "validation_auprc").to_numpy()
        best, why = int(np.nanargmax(auprc)), "highest mean validation AUPRC"
        value = f"{auprc[best]:.3f}"
    else:
        best = int(np.nanargmin(values))
        value = short(float(values[best]))
    why = f"{why} {value} at epoch {xs[best]:g}"
    return curves(
        xs, losses, kept=(best, why), label=f"Training curve of {what}"
    ), f"{len(xs):,} epochs; {why}"


def _scores(spec: TrainedModel, what: str) -> tuple[list[str], list[list[str]], list[Defeat]]:
    """Heads and rows of the table, and where a known motif alone does better on the test windows."""
    assert spec.evaluation is not None
    table = read_table(spec.evaluation, what=f"evaluation of {what}", columns=["task", "split", "n"])
    own = [name for name in SCORES if name in table]
    heads = ["Split", "n", *(["Positives"] if "positives" in table else []), *(SCORES[name] for name in own)]
    cells: list[Sequence[str]] = [table[name].tolist() for name in ("task", "split")]
    cells += [[cell(text) for text in table[name]] for name in ("n", "positives") if name in table]
    cells += [_intervals(table, name) for name in own]
    beaten: list[Defeat] = []
    if spec.baseline is not None:
        keys = ["task", "split"]
        needed = [*keys, "pwm_id", "pwm_name", "pwm_auroc", "pwm_auprc"]
        known = read_table(spec.baseline, what=f"baseline of {what}", columns=needed)
        table = table.merge(known, on=keys, how="left", validate="one_to_one").fillna("")
        heads += ["Best known motif", "– its AUROC", "– its AUPRC"]
        cells += [(table["pwm_name"] + " " + table["pwm_id"]).tolist()]
        cells += [_intervals(table, f"pwm_{name}") for name in ("auroc", "auprc")]
        if "auprc_gain" in table:
            heads.append("Model − motif, AUPRC")
            cells.append(_intervals(table, "auprc_gain"))
        beaten = _defeats(table)
    rows = [[str(cell) for cell in row] for row in zip(*cells, strict=True)]
    return ["Output", *heads], rows, beaten


def _defeats(table: pd.DataFrame) -> list[Defeat]:
    """Outputs whose AUPRC on the test windows is below that of a known motif.

    By a paired bootstrap; of tables without its columns, where the intervals of both do not overlap.
    """
    clear = numbers(table, "pwm_auprc_low") > numbers(table, "auprc_high")
    if "auprc_gain_high" in table:
        clear = numbers(table, "auprc_gain_high") < 0
    pairs = zip(_intervals(table, "auprc"), _intervals(table, "pwm_auprc"), strict=True)
    found = []
    for row, (own, known) in enumerate(pairs):
        entry = table.iloc[row]
        if entry["split"] != "test" or not clear.iloc[row]:
            continue
        scores = f"AUPRC {own} against {known} of {entry['pwm_name']} {entry['pwm_id']} on the test windows"
        found.append(Defeat(str(entry["task"]), f"output {entry['task']} {LOST} ({scores})."))
    return found


def _test_scores(spec: TrainedModel, what: str) -> dict[tuple[str, str], str]:
    """Score with interval of each output and score's name on the test windows: what the curves sum up to."""
    if spec.evaluation is None:
        return {}
    table = read_table(spec.evaluation, what=f"evaluation of {what}", columns=["task", "split", "n"])
    table = table[table["split"] == "test"]
    return {
        (task, name): score
        for name in SCORES
        if name in table
        for task, score in zip(table["task"], _intervals(table, name), strict=True)
    }


def _intervals(table: pd.DataFrame, name: str) -> list[str]:
    parts = (numbers(table, f"{name}{end}") for end in ("", "_low", "_high"))
    return [interval(*values) for values in zip(*parts, strict=True)]


def _draw(path: str | Path, what: str, scores: Mapping[tuple[str, str], str]) -> list[Markup]:
    """Figures of the test windows with their scores: curves of classes, or observed against predicted."""
    table = read_table(path, what=f"held-out windows of {what}", columns=["split", "sequence"])
    test = table[table["split"] == "test"]
    tasks = [name.removesuffix(".observed") for name in map(str, table) if name.endswith(".observed")]
    pairs = []
    for task in tasks[:MOST_TASKS]:
        observed, predicted = (
            numbers(test, f"{task}.{kind}").to_numpy() for kind in ("observed", "predicted")
        )
        pairs.append((task, observed, predicted))
    if not len(test) or not pairs:
        return []
    if all(np.isin(observed, (0, 1)).all() for _, observed, _ in pairs):
        ranked = [(task, *ranking(observed == 1, predicted)) for task, observed, predicted in pairs]
        return [
            lines(
                [(_with(task, "auprc", scores), recall, precision) for task, recall, precision, _ in ranked],
                x_label="recall", y_label="precision", label=f"Precision and recall of {what}, test windows",
            ),
            lines(
                [(_with(task, "auroc", scores), misses, recall) for task, recall, _, misses in ranked],
                x_label="false positive rate", y_label="recall", label=f"ROC curve of {what}, test windows",
                roc=True,
            ),
        ]  # fmt: skip
    drawn = []
    for task, observed, predicted in pairs:
        parts = [_with("", name, scores).removeprefix(": ") for name in ("pearson", "spearman")]
        title = ", ".join(part for part in parts if part)
        label = f"Observed and predicted {task} of {what}"
        drawn.append(scatter(task, observed, predicted, label=label, title=title))
    return drawn


def ranking(truth: NDArray[np.bool_], score: Array) -> tuple[Array, Array, Array]:
    """Recall, precision and false positive rate at each threshold, from the highest score on.

    Thresholds lie between different scores; of many, about ``MOST_STEPS`` are kept.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    hits = np.cumsum(truth[order])[last].astype(np.float64)
    misses = (last + 1) - hits
    kept = np.unique(np.linspace(0, len(last) - 1, min(len(last), MOST_STEPS)).round().astype(int))
    recall, precision = hits / max(hits[-1], 1), hits / (last + 1)
    return recall[kept], precision[kept], (misses / max(misses[-1], 1))[kept]


def lines(
    series: Sequence[tuple[str, Array, Array]],
    *,
    x_label: str,
    y_label: str,
    label: str,
    roc: bool = False,
) -> Markup:
    """Curves of both coordinates from 0 to 1, with name, colour and dashes of their own.

    Names stand where good curves leave room: below them, at the left, or at the right for ``roc``.
    """
    height = HEIGHT + 60
    x, y = Scale(0, 1, LEFT, WIDTH - RIGHT), Scale(0, 1, height - BOTTOM, TOP)
    ticks = [(t, short(t)) for t in (0, 0.25, 0.5, 0.75, 1)]
    parts = axes(x, y, x_label=x_label, y_label=y_label, x_ticks=ticks)
    if roc:
        parts.append(line(x(0), y(0), x(1), y(1), stroke=SOFT, extra=' stroke-dasharray="1 4"'))
    end, anchor = (WIDTH - RIGHT - 34, "end") if roc else (LEFT + 42, "start")
    for index, (name, xs, ys) in enumerate(series):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        extra = f' stroke-width="2"{f" stroke-dasharray={chr(34)}{dash}{chr(34)}" if dash else ""}'
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(xs, ys, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"{extra}/>')
        at = y(0) - 14 - 17 * (len(series) - 1 - index)
        stroke = (end + 6, end + 32) if roc else (LEFT + 8, LEFT + 34)
        parts.append(line(stroke[0], at - 4, stroke[1], at - 4, stroke=colour, extra=extra))
        parts.append(text(end, at, name, anchor=anchor))
    names = "; ".join(name for name, _, _ in series)
    return figure(parts, width=WIDTH, height=height, label=f"{label}. {names}")


def _with(task: str, name: str, scores: Mapping[tuple[str, str], str]) -> str:
    """Name an output with its score, where there is one: ``reb1: AUROC 0.870 (0.830–0.905)``."""
    known = scores.get((task, name))
    return f"{task}: {SCORES[name]} {known}" if known else task


def scatter(task: str, observed: Array, predicted: Array, *, label: str, title: str = "") -> Markup:
    """Observed (x) against predicted (y) numbers under a title; of many windows an even choice."""
    kept = np.unique(np.linspace(0, len(observed) - 1, min(len(observed), MOST_POINTS)).round().astype(int))
    xs, ys = observed[kept], predicted[kept]
    low, high = float(min(xs.min(), ys.min())), float(max(xs.max(), ys.max()))
    x, y = Scale(low, high, LEFT, WIDTH - RIGHT), Scale(low, high, HEIGHT - BOTTOM, TOP)
    ticks = [(t, short(t)) for t in nice_ticks(low, high)]
    parts = axes(x, y, x_label=f"observed {task}", y_label="predicted", x_ticks=ticks)
    parts.append(line(x(low), y(low), x(high), y(high), stroke=GRID))
    parts.append(text(LEFT, 14, title))
    parts += [
        f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="2" fill="{MAIN}" fill-opacity="0.4"/>'
        for a, b in zip(xs, ys, strict=True)
    ]
    return figure(parts, width=WIDTH, height=HEIGHT, label=f"{label}. {title}" if title else label)
