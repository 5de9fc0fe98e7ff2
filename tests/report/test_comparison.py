"""The section on comparisons: agreement of every pair, a row per method, words and logos."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import report_fixture
from cislex.comparison.columns import WORDS
from cislex.comparison.compare import Analysis, ComparisonFiles, compare_methods
from cislex.comparison.scores import Source
from cislex.errors import InputError
from cislex.files.tables import write_table
from cislex.report import ComparisonTables, render_report
from cislex.report.sections.comparison import describe_comparisons
from comparison_fixtures import LENGTH, make_codes, write_attributions

HOSTILE = "<b>x</b>"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ComparisonTables:
    """ISM, its negative, and scores with a hostile name, one region of which is flat."""
    folder = tmp_path_factory.mktemp("tables")
    codes, scores = make_codes(5), np.random.default_rng(0).normal(size=(2, 5, 4, LENGTH))
    scores[1, 2] = 0
    arrays = {"ism": scores[0], "turned": -scores[0], HOSTILE: scores[1]}
    described = {"model": "m", "method": "deep_lift_shap", "rule": "rescale"}
    described |= {"references": "dinucleotide_shuffle", "n_references": "20"}
    analyses = {
        name: Analysis({"t": Source(write_attributions(folder / f"{i}.h5", codes, array))}, described)
        for i, (name, array) in enumerate(arrays.items())
    }
    files = {name: folder / f"{name}.tsv" for name in ("comparison", "methods", "curves", "words", "logos")}
    compare_methods(
        analyses, ComparisonFiles(regions=folder / "r.tsv.gz", **files), top=(3,), yardstick="ism", logos=1
    )
    return ComparisonTables(name="all", yardstick="ism", files=(folder / "r.tsv.gz",), **files)


def test_agreement_methods_and_logos_are_shown(spec: ComparisonTables) -> None:
    [view] = describe_comparisons([spec])
    assert view.text == (
        "3 analyses of the same 5 regions. In up to 1 region of a pair all scores are the same: not counted."
    )
    [target] = view.targets
    assert "ism and turned, contributions: −1.00" in target.agreement
    assert [row[:3] for row in target.rows[:2]] == [
        ("ism", "deep lift shap, rescale, 20 × dinucleotide shuffle", "1.00"),
        ("turned", "deep lift shap, rescale, 20 × dinucleotide shuffle", "−1.00"),
    ]
    # Nothing of the model was measured, and no method promises completeness.
    assert [heading.split()[0] for heading in target.headings] == ["Yardstick:", "Yardstick:"]
    assert target.areas is None
    [(name, figure)] = target.logos
    assert re.fullmatch(r"r\d", name)
    assert figure.count(">turned<") == 1


def test_words_and_areas_are_shown_where_they_were_measured(spec: ComparisonTables, tmp_path: Path) -> None:
    row = dict.fromkeys(WORDS, 0.5) | {"target": "t", "analysis": "ism", "name_a": "A", "name_b": "B"}
    write_table(pd.DataFrame([row | {"regions": 7}]), tmp_path / "words.tsv")
    methods = pd.read_csv(spec.methods, sep="\t").assign(deletion=0.8, insertion=0.4)
    methods = methods.assign(deletion_random=0.5, insertion_random=0.5, planted_share=0.1)
    write_table(methods, tmp_path / "methods.tsv")
    rows = [("t", "ism", k, o, 9, s, 1, s) for k in ("deletion", "insertion") for o in ("scores", "random")
            for s in (0, 0.1, 1)]  # fmt: skip
    columns = ["target", "analysis", "curve", "order", "bases", "share", "prediction", "normalised"]
    write_table(pd.DataFrame(rows, columns=columns), tmp_path / "curves.tsv")
    own = {name: tmp_path / f"{name}.tsv" for name in ("words", "methods", "curves")}
    given = {"comparison": spec.comparison, "logos": spec.logos, "name": "all"}
    [view] = describe_comparisons([ComparisonTables(**given, **own)])
    [target] = view.targets
    assert target.words == [("A and B", "ism", *["0.50"] * 4, "7")]
    assert target.note == "Bases in random order: deletion 0.50, insertion 0.50, AUPRC 0.10."
    assert target.areas is not None
    assert target.curves is not None
    assert target.curves.count("<polyline") == 4


def test_the_page_has_the_section_and_escapes_names(spec: ComparisonTables, tmp_path: Path) -> None:
    arguments: dict[str, Any] = report_fixture.write_results(tmp_path / "results")
    render_report(tmp_path / "report.html", title="T", **arguments, comparisons=[spec])
    html = (tmp_path / "report.html").read_text()
    assert '<section id="comparisons">' in html
    assert HOSTILE not in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert "comparison.tsv" in html


def test_a_missing_table_is_named(spec: ComparisonTables, tmp_path: Path) -> None:
    own = {"methods": spec.methods, "curves": spec.curves, "words": spec.words, "logos": spec.logos}
    gone = ComparisonTables(name="all", comparison=tmp_path / "gone.tsv", **own)
    with pytest.raises(InputError, match=r"comparison all.*gone\.tsv"):
        gone.check()
