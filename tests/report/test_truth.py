"""The section on the truth: planted arrangements of words beside what was found of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from cislex.demo.grammar_truth import COLUMNS
from cislex.files.tables import write_table
from cislex.report import AnalysisTarget
from cislex.report.sections.truth import Grammar, describe_truth


def test_planted_grammars_are_told_with_what_was_found(tmp_path: Path) -> None:
    pair = {"assay": "a", "kind": "pair", "name_a": "FOS::JUN", "name_b": "Spi1", "q": 3e-12}
    rows = [
        {**pair, "orientation": "++", "least": 27, "most": 47, "found_orientation": "?+", "found_least": 27.5,
         "found_most": 46.5, "recovered": True},
        {**pair, "kind": "helical", "orientation": "any", "period": 10.5, "least": 18, "most": 18, "q": "",
         "recovered": False},
        {**pair, "kind": "independent", "q": 0.7, "recovered": True},
        {"kind": "lowers", "name_a": "REST", "contribution": -0.25, "recovered": True},
        {"kind": "single", "name_a": "CTCF", "recovered": True},
    ]  # fmt: skip
    write_table(pd.DataFrame(rows, columns=COLUMNS), tmp_path / "grammar.tsv")
    truth = pd.DataFrame(columns=["motif", "name", "functional", "recovered_as"])
    write_table(truth, tmp_path / "truth.tsv")
    spec = AnalysisTarget(
        analysis="a", target="t", region_set="r", model="m", attributions="x.h5", motifs=None,
        truth=tmp_path / "truth.tsv", grammar=tmp_path / "grammar.tsv",
    )  # fmt: skip
    view = describe_truth(spec)
    assert view is not None
    names = "FOS::JUN and Spi1"
    assert list(view.grammar) == [
        Grammar(names, "→ →, 27–47 bp", "? →, 27.5–46.5 bp, q = 3.0×10⁻¹²", True),
        Grammar(names, "any orientation, 18 bp, period 10.5 bp", "not tested", False),
        Grammar(names, "independent of each other", "smallest of all distances: q = 0.70", True),
        Grammar("REST", "lowers the signal", "mean contribution −0.250", True),
    ]
    assert view.has_unknown_strand, "the page explains the question mark"
    assert not replace(view, grammar=view.grammar[1:]).has_unknown_strand
