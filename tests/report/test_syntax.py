"""The section on syntax: what is significant is shown with its parameters, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import report_fixture
from cislex.errors import StorageError
from cislex.report import AnalysisTarget, render_report
from cislex.report.figures.syntax import join_bins
from cislex.report.sections.syntax import SyntaxView, describe_syntax
from cislex.syntax.analysis import analyse_syntax
from cislex.syntax.settings import SyntaxSettings
from syntax_fixtures import PlantedHits, pair_up, scatter

SETTINGS = {"min_hits": 20, "min_regions": 20, "max_distance": 150}


def planted(*, pairs: bool) -> PlantedHits:
    """Words anywhere; with ``pairs`` a fixed gap, a helical preference, clusters, and a central word."""
    random = np.random.default_rng(11)
    found = PlantedHits(1000)
    for word in ("alpha", "beta", "gamma"):
        scatter(found, word, 500, random)
    if pairs:
        pair_up(found, np.arange(0, 1000, 8), np.full(125, 18), -1, random)
        rows = np.repeat(np.arange(1000), 3)
        turns = np.rint(10.5 * random.integers(2, 12, len(rows)) + random.normal(0, 1, len(rows))).astype(int)
        pair_up(found, rows, turns, 1, random, words=("delta", "epsilon"))
        rows = np.arange(0, 1000, 2)
        found.add("cent<r>al", rows, random.integers(280, 310, len(rows)), np.ones(len(rows), int))
    return found


def write_tables(folder: Path, hits: PlantedHits) -> None:
    files = hits.write(folder)
    analyse_syntax(*files, folder, settings=SyntaxSettings(permutations=999))


def spec(folder: Path) -> AnalysisTarget:
    tables = {name: folder / f"{name}.tsv" for name in ("positions", "syntax", "periodicity")}
    return AnalysisTarget(
        analysis="a", target="t", region_set="r", model="m", attributions="x.h5", motifs=None,
        settings={"syntax": SETTINGS}, **tables,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("syntax")
    write_tables(folder, planted(pairs=True))
    return folder


@pytest.fixture(scope="module")
def view(tables: Path) -> SyntaxView:
    found = describe_syntax(spec(tables), [])
    assert found is not None
    return found


def test_planted_pairs_stand_first_with_distance_and_orientation(view: SyntaxView) -> None:
    rows = {row.pair: row for row in view.pairs}
    assert rows["alpha and beta"].arrangement == "→ ←, 18 bp"
    assert re.fullmatch(r"1\d\d \(0\.\d+ expected\)", rows["alpha and beta"].regions)
    assert "alpha and gamma" not in rows
    captions = [caption for caption, _ in view.charts]
    assert any(caption.startswith("alpha and beta: most significant → ←, 18 bp") for caption in captions)


def test_a_helical_preference_is_a_row_with_its_period(view: SyntaxView) -> None:
    [best] = [
        row for row in view.periods if row[:2] == ["delta and epsilon", "distances"] and row[2] == "→ →"
    ]
    assert 10.0 <= float(best[3].removesuffix(" bp")) <= 11.0
    assert all("delta and epsilon" in row[0] for row in view.periods)


def test_a_period_at_the_edge_of_the_range_is_told_as_such(tables: Path, tmp_path: Path) -> None:
    table = pd.read_csv(tables / "periodicity.tsv", sep="\t", keep_default_na=False)
    best = table[table["q"].astype(float) < 0.05].head(2).assign(period=[13.0, 12.9])
    best.to_csv(tmp_path / "periodicity.tsv", sep="\t", index=False)
    found = describe_syntax(replace(spec(tables), periodicity=tmp_path / "periodicity.tsv"), [])
    assert found is not None
    assert [row[3] for row in sorted(found.periods, key=lambda row: row[3])] == [
        "12.9 bp", "13.0 bp (edge of the range)",
    ]  # fmt: skip
    assert found.text.endswith("At the very edge of this range, beyond which the true period may lie: 1.")


def test_central_words_say_how_often_they_are_central(view: SyntaxView) -> None:
    drawn = str(view.positions)
    assert "cent&lt;r&gt;al" in drawn
    assert re.search(r">5\.\d× \(q &lt; 10⁻³⁰⁰\)", drawn)


def test_independent_words_are_a_sentence_without_tables(tmp_path: Path) -> None:
    write_tables(tmp_path, planted(pairs=False))
    found = describe_syntax(spec(tmp_path), [])
    assert found is not None
    assert found.pairs == found.charts == found.periods == []
    assert found.text == (
        "6 pairs of words tested, a word with itself included (significant: q < 0.05). A preferred distance "
        "or orientation: none of 6 pairs that share enough regions. Regions shared more often than by "
        "chance: none; less often: none. Series with a period between 8 and 13 bp: none."
    )
    assert found.positions is not None


def test_too_few_hits_are_a_sentence(tmp_path: Path) -> None:
    few = PlantedHits(10)
    scatter(few, "alpha", 8, np.random.default_rng(0))
    write_tables(tmp_path, few)
    found = describe_syntax(spec(tmp_path), [])
    assert found == SyntaxView("Syntax was not analysed: no word has enough hits (20 are needed).")
    assert describe_syntax(replace(spec(tmp_path), syntax=None), []) is None


def test_a_table_of_another_kind_is_a_named_error(tables: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="lacks the columns word_a, word_b"):
        describe_syntax(replace(spec(tables), syntax=tables / "positions.tsv"), [])


def test_joined_bins_keep_every_hit() -> None:
    hits = np.arange(2 * 201, dtype=float).reshape(2, 201)
    joined, edges = join_bins(hits, np.arange(202) * 10.0 - 1005)
    assert joined.shape == (2, 67)
    assert np.array_equal(joined.sum(axis=1), hits.sum(axis=1))
    assert (edges[0], edges[-1], len(edges)) == (-1005, 1005, 68)


def test_the_page_has_the_section_and_links_the_tables(tables: Path, tmp_path: Path) -> None:
    arguments: dict[str, Any] = report_fixture.write_results(tmp_path / "results")
    own = spec(tables)
    first, *others = arguments["analyses"]
    first = replace(first, positions=own.positions, syntax=own.syntax, periodicity=own.periodicity)
    render_report(tmp_path / "r.html", title="T", **{**arguments, "analyses": [first, *others]})
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count(">Syntax</h3>") == 1
    assert "periodicity.tsv" in page
    assert "cent<r>al" not in page
