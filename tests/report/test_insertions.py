"""The section on in-silico experiments: dots with intervals, a pair against its expectation, and contexts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import report_fixture
from cislex.errors import InputError
from cislex.files.tables import write_table
from cislex.insertions.chunk import make_predictor, predict_constructs
from cislex.insertions.constructs import GridSettings
from cislex.insertions.insert import CONTEXT_COLUMNS, INSERTION_COLUMNS, effect_table
from cislex.insertions.inserts import from_string
from cislex.insertions.plan_files import Plan, no_sites
from cislex.report import InsertionTables, render_report
from cislex.report.sections.insertions import describe_insertions
from cislex.targets import Output
from insertion_fixtures import LENGTH, A, B, Grammar, random_codes

HOSTILE = "<b>x</b>"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> InsertionTables:
    """Three motifs, two of which work together at 20.5 bp on the plus strands."""
    folder = tmp_path_factory.mktemp("tables")
    inserts = [from_string(*one) for one in (("AP1", A), ("ETS", B), (HOSTILE, "GGGGTTTT"))]
    grid = GridSettings(pairs=[["AP1", "ETS"], ["AP1", "AP1"]], distances=range(10, 50, 2))
    n = 40
    plan = Plan(inserts, grid, random_codes(n), [""] * n, 0, no_sites(LENGTH), None)
    predictor = make_predictor(Grammar(20), [Output(0), Output(1)], LENGTH)
    values = np.concatenate([found for _, found in predict_constructs(predictor, plan, slice(0, n))])
    tables = [
        effect_table(inserts, plan.grid(), values[None, :, t], "float32").assign(target=name, scale=scale)
        for t, (name, scale) in enumerate((("apart", "linear"), ("together", "log")))
    ]
    write_table(pd.concat(tables)[INSERTION_COLUMNS], folder / "insertions.tsv")
    row = dict.fromkeys(CONTEXT_COLUMNS, 0.5) | {"target": "apart", "word": "pos_0", "name": "AP1", "n": 30}
    write_table(pd.DataFrame([row], columns=CONTEXT_COLUMNS), folder / "contexts.tsv")
    return InsertionTables(
        name="pairs", analysis="a", backgrounds="shuffled",
        insertions=folder / "insertions.tsv", contexts=folder / "contexts.tsv",
    )  # fmt: skip


def test_the_co_operative_pair_is_first_and_marked_where_it_differs(spec: InsertionTables) -> None:
    [view] = describe_insertions([spec])
    assert view.text == (
        "3 motifs put singly into 40 dinucleotide shuffles of the regions, on both strands. At q ≤ 0.05, "
        "2 raise the target apart; 2 raise the target together."
    )
    # 20 distances × 4 orientations, and × 3 for a motif with itself; two targets.
    assert "2 pairs over distances and orientations, 280 arrangements" in view.pair_text
    assert "higher in 1 and lower in 0" in view.pair_text
    first = view.pairs[0]
    assert first.title == "AP1 and ETS on together"
    assert re.search(r"difference from the expectation: 2\S* .* at 20.5 bp, → →", first.text)
    assert str(first.figure).count("<circle") == 1
    assert str(first.figure).count("<polygon") == 4
    assert ">effect on together</text>" in str(first.figure)
    assert len(view.pairs) == 1, "flat pairs take no room"
    assert view.pairs_left == (
        "Not drawn, because no arrangement differs from the expectation (q > 0.05): AP1 and ETS on apart; "
        "AP1 and AP1 on apart; AP1 and AP1 on together."
    )
    assert view.contexts == [("AP1 on apart", "30", *["0.500 (0.500 to 0.500)"] * 3, "0.50")]


def test_pairs_beyond_those_drawn_are_counted_and_untested_ones_are_not_flat(
    tmp_path: Path, spec: InsertionTables
) -> None:
    table = pd.read_csv(spec.insertions, sep="\t", keep_default_na=False)
    several = pd.concat([table.assign(target=f"{name}{n}") for n in range(3) for name in ("a", "b")])
    for q, drawn, said in (
        (0.01, 4, "Drawn are the 4 pairs that differ most clearly, of 12."),
        ("", 4, "Drawn are the 4"),
        (0.5, 0, "Not drawn"),
    ):
        several.assign(cooperativity_q=q).to_csv(tmp_path / "t.tsv", sep="\t", index=False)
        [view] = describe_insertions([replace(spec, insertions=tmp_path / "t.tsv")])
        assert len(view.pairs) == drawn
        assert view.pairs_left.startswith(said)


def test_dots_are_filled_where_an_effect_is_there_on_either_strand(spec: InsertionTables) -> None:
    [view] = describe_insertions([spec])
    figure = str(view.effects[0].figure)
    assert figure.count("<circle") == 6
    assert figure.count('fill="#fff" stroke=') == 4  # minus strands of two motifs, both of the third
    assert "&lt;b&gt;x" in figure
    assert HOSTILE not in figure


def test_the_page_has_the_section_and_links_its_files(tmp_path: Path, spec: InsertionTables) -> None:
    arguments: dict[str, Any] = report_fixture.write_results(tmp_path / "results")
    render_report(tmp_path / "r.html", title="T", **arguments, insertions=[spec])
    page = (tmp_path / "r.html").read_text()
    assert '<section id="insertions">' in page
    assert 'href="#insertions"' in page
    assert page.count('insertions.tsv">') == page.count('contexts.tsv">') == 2, "in the section and the list"
    assert HOSTILE not in page
    render_report(tmp_path / "r.html", title="T", **arguments)
    assert "In-silico" not in (tmp_path / "r.html").read_text()
    lost = InsertionTables(name="x", analysis="a", insertions=tmp_path / "no.tsv", contexts=spec.contexts)
    with pytest.raises(InputError, match="insertions x"):
        render_report(tmp_path / "r.html", title="T", **arguments, insertions=[lost])
