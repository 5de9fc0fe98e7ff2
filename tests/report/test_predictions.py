"""The report's section on labels: scores as the tables have them, figures that hold every region."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cislex.errors import StorageError
from cislex.files.tables import write_table
from cislex.prediction.evaluate import score
from cislex.report import render_report
from cislex.report.sections.concerns import target_concerns
from cislex.report.sections.labels import observed_words
from cislex.report.sections.predictions import MOST_POINTS, RADIUS, describe_agreement, hexagon_counts
from cislex.report.specs import AnalysisTarget
from report_fixture import write_results

ROOT = Path(__file__).resolve().parents[2]


def write_labels(
    folder: Path, *, n: int, classes: bool = False, held_out: bool = True, scale: float = 1.0
) -> tuple[Path, Path]:
    """Tables of labels that follow the predictions of target t with noise; chr2 is held out."""
    rng = np.random.default_rng(0)
    predicted = rng.normal(size=n)
    observed = scale * (predicted + 0.7 * rng.normal(size=n))
    if classes:
        observed = (observed > 0.5).astype(float)
    chroms = pd.Series(np.where(np.arange(n) % 3 == 0, "chr2", "chr1"))
    unseen = (chroms == "chr2").to_numpy() if held_out else None
    table = pd.DataFrame({"chrom": chroms, "t.observed": observed, "t.predicted": predicted})
    if unseen is not None:
        table.insert(1, "held_out", unseen.astype(int))
    write_table(table, folder / "observed.tsv")
    scores = score(
        observed, predicted, target="t", classes=classes, chroms=chroms, unseen=unseen, n_bootstrap=20
    )
    write_table(scores, folder / "evaluation.tsv")
    return folder / "evaluation.tsv", folder / "observed.tsv"


def target(folder: Path, **options: object) -> AnalysisTarget:
    evaluation, observed = write_labels(folder, **options)  # type: ignore[arg-type]
    return AnalysisTarget(
        analysis="a", target="t", region_set="r", model="m", attributions="x", motifs="y",
        evaluation=evaluation, observed=observed,
    )  # fmt: skip


def test_a_target_without_labels_has_no_section(tmp_path: Path) -> None:
    spec = target(tmp_path, n=30)
    assert describe_agreement(dataclasses.replace(spec, evaluation=None, observed=None)) is None


def test_numbers_are_told_by_split_and_chromosome(tmp_path: Path) -> None:
    view = describe_agreement(target(tmp_path, n=90))
    assert view is not None
    table = pd.read_csv(tmp_path / "evaluation.tsv", sep="\t", keep_default_na=False)
    assert view.columns == ["Regions", "n", "Pearson", "Spearman", "RMSE"]
    assert "have the same unit" in view.caption
    assert [row[:2] for row in view.rows] == [["all", "90"], ["held out", "30"], ["seen in training", "60"]]
    first = table.iloc[0]
    expected = f"{first['pearson']:.3f} ({first['pearson_low']:.3f}–{first['pearson_high']:.3f})"
    assert view.rows[0][2] == expected
    assert [row[0] for row in view.chromosomes] == ["chr1", "chr2 (held out)"]
    assert "30 of them are on chromosomes that no contributing model" in view.text
    assert [str(figure).count("<circle") for figure in view.drawn] == [30, 60]
    assert "dashed: equal" in view.caption
    assert all("stroke-dasharray" in figure for figure in view.drawn)


def test_regions_that_are_all_alike_have_one_row(tmp_path: Path) -> None:
    spec = target(tmp_path, n=60)
    for name in ("evaluation.tsv", "observed.tsv"):
        table = pd.read_csv(tmp_path / name, sep="\t", keep_default_na=False)
        held = table[table["split"] != "seen"] if "split" in table else table.assign(held_out=1)
        write_table(held.assign(n=60) if "split" in table else held, tmp_path / name)
    view = describe_agreement(spec)
    assert view is not None
    assert [row[0] for row in view.rows] == ["held out"]
    assert len(view.drawn) == 1
    assert "All of them are on chromosomes that no contributing model" in view.text


def test_many_regions_become_hexagons_that_hold_them_all(tmp_path: Path) -> None:
    view = describe_agreement(target(tmp_path, n=20_000, held_out=False))
    assert view is not None
    (figure,) = view.drawn
    assert "<circle" not in figure
    assert len(figure) < 60_000
    assert "shaded by their number of regions" in view.caption
    assert "training regions inflate the scores" in view.text
    assert "models.m.held_out" in view.text


def test_a_hexagon_holds_the_points_nearest_to_its_centre() -> None:
    points = np.random.default_rng(0).uniform(0, 90, size=(3000, 2))
    centres, counts = hexagon_counts(points[:, 0], points[:, 1])
    assert counts.sum() == 3000
    distances = np.sqrt(((points[:, None] - centres[None]) ** 2).sum(axis=2))
    np.testing.assert_array_equal(np.bincount(distances.argmin(axis=1), minlength=len(centres)), counts)
    assert distances.min(axis=1).max() <= RADIUS * (1 + 1e-9)
    inner = np.sqrt(((centres[:, None] - centres[None]) ** 2).sum(axis=2))
    assert inner[inner > 1e-6].min() == pytest.approx(np.sqrt(3) * RADIUS)


def test_units_that_differ_have_axes_of_their_own(tmp_path: Path) -> None:
    view = describe_agreement(target(tmp_path, n=MOST_POINTS, held_out=False, scale=1000))
    assert view is not None
    assert "stroke-dasharray" not in view.drawn[0]
    assert "only the correlations count" in view.caption
    assert view.columns == ["Regions", "n", "Pearson", "Spearman"]
    assert "RMSE is not shown" in view.caption
    assert {len(row) for row in view.rows + view.chromosomes} == {4}


@pytest.mark.parametrize(
    ("labels", "words", "axis"),
    [
        ({"column": "score"}, "score of my.bed, untransformed", "observed: score of my.bed"),
        (
            {"column": 7, "table": "a/b/t.tsv", "transform": "log1p"},
            "column 7 of t.tsv, as log(1 + value)",
            "observed: log(1 + column 7) of t.tsv",
        ),
        (
            {"plus": "p.bw", "minus": "m.bw", "window": 1000, "strand": "minus", "transform": "auto"},
            "signal over the middle 1,000 bp, minus strand of p.bw and m.bw, as log(1 + value)",
            "observed: log(1 + signal over the middle 1,000 bp, minus strand)",
        ),
        (
            {"bigwig": "s.bw", "transform": "none"},
            "signal of s.bw, untransformed",
            "observed: signal of s.bw",
        ),
        ({"dataset": "y", "index": 2, "hdf5": "d.h5"}, "dataset y, output 2 of d.h5, untransformed", None),
        ({"peaks": "x.bed", "distance": 50}, "a peak of x.bed within 50 bp of the middle", None),
        ({}, "", "observed"),
    ],
)
def test_what_was_observed_is_told(labels: dict[str, object], words: str, axis: str | None) -> None:
    told = observed_words(labels, "peaks/my.bed")
    assert told[0] == words
    assert axis is None or told[1] == axis


def test_the_section_names_the_labels(tmp_path: Path) -> None:
    labels = {"column": "score", "transform": "log1p"}
    spec = dataclasses.replace(target(tmp_path, n=90), labels=labels, peaks="a/my.bed")
    view = describe_agreement(spec)
    assert view is not None
    assert view.text.startswith("Observed: score of my.bed, as log(1 + value). 90 regions")
    assert all(">observed: log(1 + score) of my.bed</text>" in figure for figure in view.drawn)
    assert all(">predicted t</text>" in figure for figure in view.drawn)


def test_a_poor_correlation_is_a_concern(tmp_path: Path) -> None:
    view = describe_agreement(target(tmp_path, n=90))
    assert view is not None
    table = pd.read_csv(tmp_path / "evaluation.tsv", sep="\t", keep_default_na=False)
    held = table[(table["split"] == "held_out") & (table["chrom"] == "")].iloc[0]
    assert view.correlation == max(float(held["pearson"]), float(held["spearman"]))
    assert target_concerns("a / t", "a.t", folds=None, agreement=view) == []
    poor = dataclasses.replace(view, correlation=-0.2)
    (concern,) = target_concerns("a / t", "a.t", folds=None, agreement=poor)
    assert "a / t: predictions correlate poorly with the observations" in concern.text
    assert "(correlation −0.20, held-out regions)" in concern.text
    assert concern.anchor == "a.t-observed"
    classes = describe_agreement(target(tmp_path, n=90, classes=True))
    assert classes is not None
    assert classes.correlation is None


def test_classes_have_curves_with_their_areas(tmp_path: Path) -> None:
    view = describe_agreement(target(tmp_path, n=120, classes=True))
    assert view is not None
    assert view.columns == ["Regions", "n", "Positives", "AUROC", "AUPRC"]
    positives = pd.read_csv(tmp_path / "observed.tsv", sep="\t")["t.observed"].sum()
    assert view.rows[0][2] == f"{int(positives)}"
    assert [str(figure).count("<polyline") for figure in view.drawn] == [2, 2]
    assert f"held out: AUPRC {view.rows[1][4]}" in view.drawn[0]
    assert f"seen in training: AUROC {view.rows[2][3]}" in view.drawn[1]


def test_a_table_of_other_targets_is_no_section_and_a_lost_column_is_named(tmp_path: Path) -> None:
    spec = target(tmp_path, n=30)
    assert describe_agreement(dataclasses.replace(spec, target="other")) is None
    table = pd.read_csv(tmp_path / "observed.tsv", sep="\t")
    write_table(table.drop(columns="t.predicted"), tmp_path / "observed.tsv")
    with pytest.raises(StorageError, match=r"lacks t\.predicted; rerun the rule"):
        describe_agreement(spec)


def test_the_page_shows_the_section_where_there_are_labels(tmp_path: Path) -> None:
    options = write_results(tmp_path / "results")
    first, *others = options.pop("analyses")  # type: ignore[misc]
    evaluation, observed = write_labels(tmp_path, n=500)
    for path in (evaluation, observed):
        path.write_text(path.read_text().replace("t.", f"{first.target}."))
    table = pd.read_csv(evaluation, sep="\t")
    write_table(table.assign(target=first.target), evaluation)
    labelled = dataclasses.replace(first, evaluation=evaluation, observed=observed)
    page = tmp_path / "report.html"
    template = ROOT / "scripts" / "cislex" / "report" / "report.html.j2"
    render_report(page, title="T", template=template, analyses=[labelled, *others], **options)
    html = page.read_text()
    assert html.count("Does the model predict what was observed?") == 1
    assert "<summary>By chromosome</summary>" in html
    assert html.count("observed vs predicted</a>") == html.count('reb1-observed">Does') == 1
    assert html.count('href="evaluation.tsv"') == html.count('href="observed.tsv"') == 1
    render_report(page, title="T", template=template, analyses=[first, *others], **options)
    assert not re.search("what was observed|observed.tsv", page.read_text())
