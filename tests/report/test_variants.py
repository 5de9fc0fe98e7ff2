"""The section on variants: counts, reasons, and the strongest alleles with what the table has of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import report_fixture
from cislex.errors import InputError, StorageError
from cislex.report import render_report
from cislex.report.sections.variants import describe_variants
from cislex.report.specs import VariantTables


def tables(folder: Path, *, tested: bool = True, targets: tuple[str, ...] = ("a",)) -> VariantTables:
    effects = [0.1, -2.0, 1.5, 0.0] * 5
    scores = pd.DataFrame(
        {
            "chrom": "chr1",
            "pos": range(1001, 1021),
            "ref": ["A"] * 19 + ["ACGTACGTACGTACGT"],
            "alt": "<b>"[1],
            "id": ["rs<1>"] * 2 + ["."] * 18,
            "a.effect": effects,
            "a.logfc": None,
            "a.p": [0.5, 0.001, 0.01, 1.0] * 5 if tested else None,
            "a.q": [0.5, 0.01, 0.04, 1.0] * 5 if tested else None,
            "a.spread": 0.25,
        }
    )
    scores.to_csv(folder / "variants.tsv", sep="\t", index=False)
    reasons = pd.DataFrame(
        {"source_line": [1, 2, 3], "reason": ["not_bases", "not_bases", "symbolic_allele"]}
    )
    reasons.to_csv(folder / "dropped_variants.tsv", sep="\t", index=False)
    (folder / "variants.vcf.gz").touch()
    files = (folder / name for name in ("variants.tsv", "dropped_variants.tsv", "variants.vcf.gz"))
    return VariantTables("mine", "shap", targets, *files)


def test_the_strongest_come_first_with_the_columns_that_hold_values(tmp_path: Path) -> None:
    [view] = describe_variants([tables(tmp_path)])
    assert view.text == "20 alleles scored, 3 left out (2 not bases, 1 symbolic allele)."
    [target] = view.targets
    assert (
        target.text
        == "10 of 20 alleles with q < 0.05: 5 raise the prediction, 5 lower it. 5 alleles change nothing."
    )
    assert target.headings == ("Spread over folds", "p", "q"), "no fold change, quantile or distance here"
    assert [row.effect for row in target.rows] == ["−2.00"] * 5 + ["1.50"] * 5
    assert target.rows[0].variant == "chr1:1,002 A>b"
    assert target.rows[0].name == "rs<1>"


def test_without_p_values_effects_are_ranked_and_this_is_said(tmp_path: Path) -> None:
    [view] = describe_variants([tables(tmp_path, tested=False)])
    assert view.targets[0].text == ("Not tested (null: 0); by size of the effect. 5 alleles change nothing.")
    assert view.targets[0].headings == ("Spread over folds",)
    assert view.targets[0].rows[0].effect == "−2.00"


def test_the_page_has_the_section_and_links_its_files(tmp_path: Path) -> None:
    arguments = report_fixture.write_results(tmp_path / "results")
    spec = tables(tmp_path)
    render_report(tmp_path / "r.html", title="T", **arguments, variants=[spec])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count('id="variants"') == page.count('href="#variants"') == 1
    assert "rs&lt;1&gt;" in page
    assert page.count('href="variants.tsv"') == 2
    Path(spec.vcf).unlink()
    with pytest.raises(InputError, match="variants mine"):
        render_report(tmp_path / "r.html", title="T", **arguments, variants=[spec])


def test_a_table_without_the_effects_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="lacks effects of z"):
        describe_variants([tables(tmp_path, targets=("z",))])


def with_top(folder: Path) -> VariantTables:
    """Four variants of a target: the first loses a word, the second changes none."""
    spec = tables(folder)
    rng = np.random.default_rng(0)
    with h5py.File(folder / "top.h5", "w") as handle:
        for allele in ("reference", "alternative"):
            onehot = np.eye(4, dtype=np.uint8)[rng.integers(0, 4, (4, 21))].swapaxes(1, 2)
            handle[f"targets/a/{allele}_hypothetical"] = rng.normal(size=(4, 4, 21)).astype(np.float32)
            handle[f"targets/a/{allele}_sequences"] = onehot
    cells = {
        "target": "a", "rank": range(1, 5), "chrom": "chr1", "pos": 1002, "ref": "A", "alt": "b", "id": ".",
        "effect": -2.0, "q": 0.01, "name": ["<AP1>", *[""] * 3], "change": ["lost", *[""] * 3],
        "width": ["7", *[""] * 3], "before": ["12.5", *[""] * 3], "after": ["3.25", *[""] * 3],
        "contribution_before": ["0.5", *[""] * 3], "contribution_after": ["0.1", *[""] * 3],
        "before_start": ["8", *[""] * 3], "after_start": ["8", *[""] * 3],
    }  # fmt: skip
    pd.DataFrame(cells).to_csv(folder / "top.tsv", sep="\t", index=False)
    return dataclasses.replace(spec, top=folder / "top.tsv", arrays=folder / "top.h5")


def test_both_alleles_of_the_strongest_are_drawn_with_the_words_that_they_have(tmp_path: Path) -> None:
    [view] = describe_variants([with_top(tmp_path)])
    first, *others = view.targets[0].drawn
    assert len(others) == 2
    assert first.words == "<AP1> lost (12.5 → 3.25 bits; contribution 0.500 → 0.100)"
    assert first.figure.count("&lt;AP1&gt;") == 1, "the allele that lost it has no bracket"
    assert all(not one.words and "AP1" not in one.figure for one in others)
    assert first.figure.count(">ref<") == first.figure.count(">alt<") == 1
    arguments = report_fixture.write_results(tmp_path / "results")
    render_report(tmp_path / "r.html", title="T", **arguments, variants=[view.spec])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("on both alleles") == 3
    assert "&lt;AP1&gt; lost" in page


def test_alleles_without_effect_are_neither_listed_nor_drawn(tmp_path: Path) -> None:
    spec = with_top(tmp_path)
    scores = pd.read_csv(spec.scores, sep="\t", keep_default_na=False)
    top = pd.read_csv(str(spec.top), sep="\t", keep_default_na=False)
    for some, said, listed, drawn in (([0], "No allele changes the prediction.", 0, 0), ([0, 2], "", 10, 2)):
        scores.assign(**{"a.effect": [*some] * (20 // len(some))}).to_csv(spec.scores, sep="\t", index=False)
        top.assign(effect=(some * 5)[1:5]).to_csv(str(spec.top), sep="\t", index=False)
        [view] = describe_variants([spec])
        [target] = view.targets
        assert target.text.startswith(said)
        assert (len(target.rows), len(target.drawn)) == (listed, drawn)
    scores.assign(**{"a.effect": 0, "a.jsd": 0.1}).to_csv(spec.scores, sep="\t", index=False)
    assert len(describe_variants([spec])[0].targets[0].rows) == 10, "the shape of a profile changes alone"
