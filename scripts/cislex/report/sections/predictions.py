"""Section about labels: scores of the predictions, and figures of observed against predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from cislex.errors import StorageError
from cislex.files.tables import require_file
from cislex.files.text_tables import read_numbers
from cislex.report.facts import count, interval
from cislex.report.figures.svg import (
    BOTTOM,
    LEFT,
    MAIN,
    RIGHT,
    SOFT,
    TOP,
    WIDTH,
    Scale,
    axes,
    figure,
    line,
    nice_ticks,
    rectangle,
    short,
    text,
)
from cislex.report.sections.labels import observed_words
from cislex.report.sections.training import lines, ranking
from cislex.report.specs import AnalysisTarget
from cislex.report.tables import numbers, read_table

#: Heads of the scores that the evaluation may hold, in this order; each with limits ``_low`` and ``_high``.
HEADS = {"auroc": "AUROC", "auprc": "AUPRC", "pearson": "Pearson", "spearman": "Spearman", "rmse": "RMSE"}
#: A lower correlation of predictions with numbers is told at the head of the page.
POOR_CORRELATION = 0.3
SPLITS = {"held_out": "held out", "seen": "seen in training", "all": "all"}
#: Height of a figure, and of the line in it that explains the shades.
HEIGHT, KEY = 400, 18
#: Up to as many regions are points, more are hexagons of this radius (pixels), shaded by their number.
MOST_POINTS, RADIUS = 1500, 6.5
SHADES = ("#d6e4ef", "#aecbe0", "#7fadcd", "#5089b3", "#2c6690", "#123f63")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AgreementView:
    """What the page says about a target's labels.

    ``columns`` are the heads of ``rows``, one per split, and of ``chromosomes``; ``drawn`` are figures and
    ``caption`` says how to read them; ``text`` says what was observed and what the scores are worth.
    ``correlation`` is the larger of Pearson's and Spearman's on held-out regions, or on all where none are
    (``scored_on`` says so); ``None`` for classes.
    """

    text: str
    columns: list[str]
    rows: list[list[str]]
    chromosomes: list[list[str]]
    drawn: list[Markup]
    caption: str
    correlation: float | None = None
    scored_on: str = ""


def describe_agreement(spec: AnalysisTarget) -> AgreementView | None:
    """Read scores and labels of a target; ``None`` where it has no labels."""
    if spec.evaluation is None or spec.observed is None:
        return None
    table = read_table(
        spec.evaluation,
        what=f"evaluation of {spec.label}",
        columns=["target", "labels", "split", "chrom", "n"],
    )
    table = table[table["target"] == spec.target]
    if table.empty:
        return None
    classes = table["labels"].iloc[0] == "classes"
    observed = _read_observed(spec.observed, spec.target)
    is_alike = not classes and _scales(observed)[2]
    # In other units than the prediction's, an error is no measure of anything.
    known = [name for name in HEADS if is_alike or name != "rmse"]
    own = [name for name in known if numbers(table, name).notna().any()]
    heads = ["Regions", "n", *(["Positives"] if classes else []), *(HEADS[name] for name in own)]
    whole = table["chrom"] == ""
    parts = table[whole]
    if len(parts) == 2:  # one part that is all of it, under a better name
        parts = parts[parts["split"] != "all"]
    best, scored_on = _correlation(table)
    scores = {str(row["split"]): _scores(row, own) for _, row in parts.iterrows()}
    return AgreementView(
        text=_source(spec, classes)
        + _text(table, spec.model, direct=bool((spec.labels or {}).get("dataset"))),
        columns=heads,
        rows=_cells(parts, own, "split", classes=classes),
        chromosomes=_cells(table[~whole], own, "chrom", classes=classes),
        drawn=(_draw_classes if classes else _draw_numbers)(observed, spec, scores),
        caption=_caption(classes, observed),
        correlation=None if classes else best,
        scored_on=scored_on,
    )


def _source(spec: AnalysisTarget, classes: bool) -> str:
    """What was observed, as a sentence; empty where it is not known."""
    words, _ = observed_words(spec.labels, spec.peaks)
    if not words:
        return ""
    return f"Observed: {words.removesuffix(', untransformed') if classes else words}. "


def _correlation(table: pd.DataFrame) -> tuple[float | None, str]:
    """The larger of both correlations on held-out regions, else on all, and on which."""
    for split, said in (("held_out", ", held-out regions"), ("all", "")):
        rows = table[(table["chrom"] == "") & (table["split"] == split)]
        values = [float(value) for name in ("pearson", "spearman") for value in numbers(rows, name).dropna()]
        if values:
            return max(values), said
    return None, ""


def _text(table: pd.DataFrame, model: str, *, direct: bool = False) -> str:
    """What the splits say about the scores."""
    sizes = table.drop_duplicates("split").set_index("split")["n"].astype(int)
    said = f"{count(int(sizes['all']), 'region')} with a label."
    if "held_out" in sizes:
        if direct:
            return f"{said} They are the test set, which none of the contributing models saw in training."
        held = "All" if sizes["held_out"] == sizes["all"] else f"{sizes['held_out']:,}"
        return f"{said} {held} of them are on chromosomes that no contributing model was trained on."
    if "seen" in sizes:
        return (
            f"{said} Every region was seen in training by at least one fold, so the scores measure how "
            "well the model fits, not how it performs on new sequences."
        )
    return (
        f"{said} It is not known which of them the model was trained on, and training regions inflate the "
        f"scores. List each fold's held-out chromosomes in the config (models.{model}.held_out) to score "
        "those regions separately."
    )


def _cells(table: pd.DataFrame, own: Sequence[str], first: str, *, classes: bool) -> list[list[str]]:
    """Rows of the table on the page; chromosomes that were held out are marked."""
    rows = []
    for _, row in table.iterrows():
        name = SPLITS.get(row[first], row[first])
        if first == "chrom" and row["split"] == "held_out":
            name += " (held out)"
        cells = [name, f"{int(row['n']):,}"]
        cells += [f"{int(float(row['positives'])):,}"] if classes else []
        rows.append([*cells, *_scores(row, own).values()])
    return rows


def _scores(row: pd.Series, own: Sequence[str]) -> dict[str, str]:
    """Each score of a split with its interval, by name."""
    found = {}
    for name in own:
        values = [pd.to_numeric(row[f"{name}{end}"], errors="coerce") for end in ("", "_low", "_high")]
        found[name] = interval(*map(float, values))
    return found


def _read_observed(path: str | Path, target: str) -> pd.DataFrame:
    """Labelled regions: ``observed``, ``predicted`` and ``split``."""
    require_file(path, what="report: observed")
    wanted = {f"{target}.observed": "observed", f"{target}.predicted": "predicted", "held_out": "held_out"}
    table = read_numbers(path, texts=(), columns=wanted.__contains__).rename(columns=wanted)
    missing = [name for name in ("observed", "predicted") if name not in table]
    if missing:
        raise StorageError(f"report: {path} lacks {target}.{missing[0]}; rerun the rule that writes it")
    table = table[table["observed"].notna()]
    if "held_out" not in table:
        return table.assign(split="all")
    return table.assign(split=np.where(table["held_out"] == 1, "held_out", "seen"))


def _parts(table: pd.DataFrame) -> list[tuple[str, Array, Array]]:
    """Split, observed and predicted of each split that has regions, held-out ones first."""
    return [
        (split, part["observed"].to_numpy(np.float64), part["predicted"].to_numpy(np.float64))
        for split in SPLITS
        if len(part := table[table["split"] == split])
    ]


def _draw_classes(
    table: pd.DataFrame, spec: AnalysisTarget, scores: Mapping[str, Mapping[str, str]]
) -> list[Markup]:
    """Precision against recall, and ROC; a curve for each split."""
    ranked = [
        (split, *ranking(observed == 1, predicted))
        for split, observed, predicted in _parts(table)
        if np.ptp(observed) > 0
    ]
    if not ranked:
        return []

    def name(split: str, score: str) -> str:
        return f"{SPLITS[split]}: {HEADS[score]} {scores[split][score]}"

    return [
        lines(
            [(name(split, "auprc"), recall, precision) for split, recall, precision, _ in ranked],
            x_label="recall", y_label="precision", label=f"Precision and recall of {spec.label}",
        ),
        lines(
            [(name(split, "auroc"), misses, recall) for split, recall, _, misses in ranked],
            x_label="false positive rate", y_label="recall", label=f"ROC curve of {spec.label}", roc=True,
        ),
    ]  # fmt: skip


def _draw_numbers(
    table: pd.DataFrame, spec: AnalysisTarget, scores: Mapping[str, Mapping[str, str]]
) -> list[Markup]:
    """One figure for each split, on the same axes."""
    x, y, same = _scales(table)
    _, axis = observed_words(spec.labels, spec.peaks)
    drawn = []
    for split, observed, predicted in _parts(table):
        pearson = scores[split].get("pearson", "–")
        title = f"{SPLITS[split]}: Pearson {pearson}, n = {len(observed):,}"
        label = f"Observed and predicted {spec.label}"
        drawn.append(
            density(
                observed, predicted, x=x, y=y, diagonal=same, title=title, label=label, x_label=axis,
                y_label=f"predicted {spec.target}",
            )
        )  # fmt: skip
    return drawn


def _scales(table: pd.DataFrame) -> tuple[Scale, Scale, bool]:
    """Axes, and whether both have one range: where the ranges share more than half of what they span."""
    ranges = [(float(table[name].min()), float(table[name].max())) for name in ("observed", "predicted")]
    (a, b), (c, d) = ranges
    same = min(b, d) - max(a, c) > 0.5 * (max(b, d) - min(a, c))
    if same:
        ranges = [(min(a, c), max(b, d))] * 2
    # Points at the edge keep their whole symbol inside.
    wide = [(low - 0.03 * (high - low), high + 0.03 * (high - low)) for low, high in ranges]
    x, y = Scale(*wide[0], LEFT, WIDTH - RIGHT), Scale(*wide[1], HEIGHT - BOTTOM, TOP + KEY)
    return x, y, same


def density(
    observed: Array,
    predicted: Array,
    *,
    x: Scale,
    y: Scale,
    diagonal: bool,
    title: str,
    label: str,
    x_label: str = "observed",
    y_label: str = "predicted",
) -> Markup:
    """Observed (x) against predicted (y): points, or of many regions hexagons shaded by their number.

    Parameters
    ----------
    observed, predicted
        (N,) float64.
    x, y
        The axes.
    diagonal
        Draw where both are equal.
    title
        Which regions.
    label
        What the figure shows, for screen readers.
    x_label, y_label
        Names of the axes.
    """
    parts = axes(
        x,
        y,
        x_label=x_label,
        y_label=y_label,
        x_ticks=[(t, short(t)) for t in nice_ticks(x.low, x.high)],
    )
    across, down = _pixels(x, observed), _pixels(y, predicted)
    if len(observed) <= MOST_POINTS:
        places = zip(across, down, strict=True)
        dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.2"/>' for a, b in places)
        parts.append(f'<g fill="{MAIN}" fill-opacity="0.5">{dots}</g>')
    else:
        centres, counts = hexagon_counts(across, down)
        parts += [*_hexagons(centres, counts), *_key(_bounds(counts))]
    if diagonal:
        parts.append(line(x(x.low), y(x.low), x(x.high), y(x.high), extra=' stroke-dasharray="5 3"'))
    parts.append(text(LEFT, 14, title))
    return figure(parts, width=WIDTH, height=HEIGHT, label=f"{label}. {title}")


def _pixels(scale: Scale, values: Array) -> Array:
    """All values on a scale, which is linear."""
    return scale(0.0) + values * (scale(1.0) - scale(0.0))


def hexagon_counts(across: Array, down: Array) -> tuple[Array, NDArray[np.int64]]:
    """Centres (hexagons, 2) of the occupied hexagons of a tiling, in pixels, and how many points each holds.

    A hexagon holds the points that are nearest to its centre. Centres are those of two rectangular lattices,
    shifted against each other by half a step.
    """
    step = np.array([math.sqrt(3) * RADIUS, 3 * RADIUS])
    points = np.stack([across, down], axis=1)
    even = np.round(points / step) * step
    odd = (np.floor(points / step) + 0.5) * step
    nearer = ((points - odd) ** 2).sum(axis=1) < ((points - even) ** 2).sum(axis=1)
    centres = np.where(nearer[:, None], odd, even)
    # Centres are multiples of half a step: whole numbers tell equal ones apart from rounding.
    cells, counts = np.unique(np.round(2 * centres / step).astype(np.int64), axis=0, return_counts=True)
    return cells * step / 2, counts


def _bounds(counts: NDArray[np.int64]) -> list[int]:
    """Least number of regions of each shade that is used, evenly spaced on a log scale."""
    return np.unique(np.geomspace(1, max(int(counts.max()), 2), len(SHADES) + 1)[:-1].astype(int)).tolist()


def _shades(bounds: Sequence[int]) -> list[str]:
    """A shade for each class of numbers, over the whole range of shades."""
    return [SHADES[round(i)] for i in np.linspace(0, len(SHADES) - 1, len(bounds))]


def _hexagons(centres: Array, counts: NDArray[np.int64]) -> list[str]:
    """One path for the hexagons of each shade: short, also for many."""
    w, h = math.sqrt(3) / 2 * RADIUS, RADIUS / 2
    outline = f"l{w:.2f} {h:.2f}v{RADIUS:.2f}l-{w:.2f} {h:.2f}l-{w:.2f} -{h:.2f}v-{RADIUS:.2f}z"
    bounds = _bounds(counts)
    shade = np.searchsorted(bounds, counts, side="right") - 1
    return [
        f'<path fill="{colour}" d="'
        + "".join(f"M{a:.1f} {b - RADIUS:.1f}{outline}" for a, b in centres[shade == i])
        + '"/>'
        for i, colour in enumerate(_shades(bounds))
    ]


def _key(bounds: Sequence[int]) -> list[str]:
    """Shades and the least number of regions of each."""
    parts = []
    for i, (bound, colour) in enumerate(zip(bounds, _shades(bounds), strict=True)):
        at = LEFT + 60 * i
        parts.append(rectangle(at, 24, 11, 10, fill=colour))
        parts.append(text(at + 15, 33, f"≥ {bound:,}", fill=SOFT, size=11))
    return parts


def _caption(classes: bool, table: pd.DataFrame) -> str:
    if classes:
        return "Random guessing gives an AUROC of 0.5 and an AUPRC equal to the fraction of positives."
    most = table["split"].value_counts().max()
    many = " Hexagons are shaded by their number of regions." if most > MOST_POINTS else ""
    if _scales(table)[2]:
        return (
            f"Observed against predicted; dashed: equal.{many} RMSE is meaningful only if label and target "
            "have the same unit; a logit, for instance, never has the unit of a signal."
        )
    return (
        f"Observed against predicted, on separate axes.{many} Their ranges differ, so label and target "
        "probably have different units: only the correlations count, and RMSE is not shown (it is in "
        "evaluation.tsv)."
    )
