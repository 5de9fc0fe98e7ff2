"""The section on contrasts: what was called, the words and hits that differ most, and single folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import report_fixture
from cislex.comparison.contrast import ContrastFiles, Side, contrast_hits
from cislex.errors import InputError, StorageError
from cislex.files.indexed_text import write_indexed_bed
from cislex.report import ContrastTables, render_report
from cislex.report.sections import contrasts
from cislex.report.sections.contrasts import contrast_words, describe_contrasts
from comparison_fixtures import LENGTH, make_codes, write_attributions

N, HOSTILE = 60, "<b>x</b>"


def make(folder: Path, *, folds: int = 4, scale: str = "none") -> ContrastTables:
    """Word 0 matters to the first alone, word 1 to the second alone, six others to both."""
    folder.mkdir()
    rng, codes = np.random.default_rng(0), make_codes(N)
    word = np.arange(N) % 8
    sides = []
    for side in range(2):
        matters = np.where(word == 1 - side, 0.0, 1.0)[None, :, None, None]
        values = matters + rng.normal(0, 0.05, (folds, N, 4, LENGTH))
        path = write_attributions(folder / f"{side}.h5", codes, values if folds > 1 else values[0])
        sides.append(Side("yeast", ("reb1", HOSTILE)[side], path))
    hits = pd.DataFrame({"#chrom": "chr1", "start": 100 * np.arange(N) + 4, "end": 100 * np.arange(N) + 12})
    hits = hits.assign(motif=[f"name{w}" for w in word], score=1, strand="-", word=[f"w{w}" for w in word])
    write_indexed_bed(hits.assign(region=[f"r{i}" for i in range(N)]), folder / "hits.bed.gz")
    files = {"hits": folder / "hits.tsv.gz", "words": folder / "words.tsv", "sides": folder / "sides.tsv"}
    contrast_hits(folder / "hits.bed.gz", *sides, ContrastFiles(**files), scale=scale)  # type: ignore[arg-type]
    return ContrastTables(name="factors", **files)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ContrastTables:
    return make(tmp_path_factory.mktemp("contrast") / "raw")


def test_hits_and_words_that_differ_are_counted_and_come_first(spec: ContrastTables) -> None:
    [view] = describe_contrasts([spec])
    first, second = "yeast / reb1", f"yeast / {HOSTILE}"
    assert view.text == (
        f"60 hits of {first}; the difference is {first} minus {second}. 8 contribute more to {first} and 8 "
        f"more to {second} (q ≤ 0.05; t-tests with an upper bound of the error over folds)."
    )
    assert {view.words[0][0], view.words[1][0]} == {"name0", "name1"}
    assert view.words[0][1:3] == ("8", "8")
    by_name = {row[0]: row for row in view.words}
    assert float(by_name["name0"][5]) == pytest.approx(8, abs=0.2)
    assert by_name["name1"][5].startswith("−7.") or by_name["name1"][5].startswith("−8.")
    assert len(view.top) == contrasts.TOP
    assert {row[1] for row in view.top} <= {"name0", "name1"}
    assert view.top[0][0].endswith("(−)")
    assert view.top_text == "Hits with the clearest differences:"
    assert str(view.figure).count('r="2.6"') == N
    assert view.drawn == ""
    assert "other words" in str(view.figure)


def test_blocks_and_thinning_keep_what_is_counted(
    spec: ContrastTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    [whole] = describe_contrasts([spec])
    monkeypatch.setattr(contrasts, "BLOCK_ROWS", 7)
    monkeypatch.setattr(contrasts, "DRAWN", 20)
    [view] = describe_contrasts([spec])
    assert (view.text, view.words, view.top) == (whole.text, whole.words, whole.top)
    assert view.drawn == " (20 of 60 hits)"
    assert str(view.figure).count('r="2.6"') == 20


def test_single_folds_and_scales_are_said(tmp_path: Path) -> None:
    single = make(tmp_path / "single", folds=1, scale="hits")
    [view] = describe_contrasts([single])
    assert "Each side is divided by its mean |contribution| over these hits (6.9" in view.text
    assert "Single hits are not tested: that needs the spread over two folds" in view.text
    assert view.top_text == "Hits with the greatest differences:"
    assert {row[1] for row in view.top} <= {"name0", "name1"}
    assert view.top[0][5:] == ("–", "–")
    assert view.words[0][-1] != "–"
    assert "t-tests over folds" not in contrast_words([single])
    assert "divided by its mean absolute contribution" in contrast_words([single])


def test_the_page_has_the_section_its_files_and_the_methods(spec: ContrastTables, tmp_path: Path) -> None:
    arguments: dict[str, Any] = report_fixture.write_results(tmp_path / "results")
    render_report(tmp_path / "report.html", title="T", **arguments, contrasts=[spec])
    html = (tmp_path / "report.html").read_text()
    assert html.count('<section id="contrasts">') == html.count('href="#contrasts"') == 1
    assert HOSTILE not in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert html.count("hits.tsv.gz") >= 2
    assert "Single hits were tested by t-tests over folds" in " ".join(html.split())
    render_report(tmp_path / "report.html", title="T", **arguments)
    assert "contrasts" not in (tmp_path / "report.html").read_text()


def test_a_contrast_without_hits_has_a_sentence(spec: ContrastTables, tmp_path: Path) -> None:
    for name in ("hits", "words"):
        table = pd.read_csv(getattr(spec, name), sep="\t").iloc[:0]
        table.to_csv(tmp_path / Path(getattr(spec, name)).name, sep="\t", index=False)
    empty = ContrastTables("none", tmp_path / "hits.tsv.gz", tmp_path / "words.tsv", spec.sides)
    [view] = describe_contrasts([empty])
    assert view.figure is None
    assert view.text.startswith("No hits of yeast / reb1;")


def test_missing_and_broken_tables_are_named(spec: ContrastTables, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"contrast x.*gone\.tsv"):
        ContrastTables("x", tmp_path / "gone.tsv", spec.words, spec.sides).check()
    (tmp_path / "cut.tsv").write_text("chrom\tstart\nchr1\t5\n")
    with pytest.raises(StorageError, match=r"cut\.tsv is not a complete table of hits"):
        describe_contrasts([ContrastTables("x", tmp_path / "cut.tsv", spec.words, spec.sides)])
    with pytest.raises(StorageError, match="lacks the columns side"):
        describe_contrasts([ContrastTables("x", spec.hits, spec.words, spec.words)])
