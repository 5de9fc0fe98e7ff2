"""Patterns of a target bear the names of their words in the lexicon, never the number of another word."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pandas as pd
import pytest
import report_fixture as fixture
from cislex.files.tables import write_table
from cislex.report import AnalysisTarget, LexiconTables, render_report
from cislex.report.sections.hits import describe_hits
from cislex.report.sections.motifs import MotifView, describe_motifs
from cislex.report.sections.pattern_words import PatternWord, read_pattern_words, words_of
from cislex.report.sections.truth import describe_truth

COMPOSITE = "FOS(-) –21 bp– REB1(+)"


@pytest.fixture
def lexicon(tmp_path: Path) -> LexiconTables:
    """Word ``pos_0`` is FOS; pattern ``pos_0`` of the target is REB1, ``pos_1`` a composite of both."""
    words = [
        ("pos_0", "FOS", ""),
        ("pos_1", "REB1", ""),
        ("pos_composite_0", COMPOSITE, "pos_0(-) 21 pos_1(+)"),
    ]
    table = pd.DataFrame(words, columns=["word", "name", "composite_of"])
    table = table.assign(sign="+", n_patterns=1, n_seqlets=9)
    write_table(table, tmp_path / "lexicon.tsv")
    members = [("peaks", "reb1", "pos_0", "pos_1"), ("peaks", "reb1", "pos_1", "pos_composite_0"),
               ("peaks", "reb1", "pos_2", ""), ("peaks", "rap1", "pos_0", "pos_0")]  # fmt: skip
    columns = ["analysis", "target", "motif", "word"]
    write_table(pd.DataFrame(members, columns=columns), tmp_path / "lexicon_members.tsv")
    usage = pd.DataFrame(
        [("pos_0", "peaks", "reb1", 9, 1)], columns=["word", *columns[:2], "n_seqlets", "n_patterns"]
    )
    write_table(usage, tmp_path / "usage.tsv")
    files = (tmp_path / f"{name}.tsv" for name in ("lexicon", "usage", "lexicon_members"))
    return LexiconTables(**dict(zip(("words", "usage", "members"), files, strict=True)))


@pytest.fixture
def spec(tmp_path: Path) -> AnalysisTarget:
    folder = tmp_path / "reb1"
    folder.mkdir()
    rows = [fixture.motif(f"pos_{n}", "+", 90 - n, "TTACCCGG", **fixture.REB1) for n in range(3)]
    fixture.write_motifs(folder, rows)
    truth = {"motif": "MA0363.3", "name": "REB1", "functional": "True", "recovered_as": "pos_0"}
    write_table(pd.DataFrame([truth | {"variants": "pos_1,pos_2"}]), folder / "truth.tsv")
    return AnalysisTarget(
        analysis="peaks", target="reb1", region_set="peaks", model="m", attributions="x.h5",
        motifs=folder / "motifs.tsv", truth=folder / "truth.tsv",
    )  # fmt: skip


def motifs_of(spec: AnalysisTarget, lexicon: LexiconTables | None) -> list[MotifView]:
    words = words_of(spec, read_pattern_words(lexicon))
    return describe_motifs(spec, words=words)


def test_a_pattern_has_the_name_of_its_word_and_the_lexicon_says_what_is_composite(
    spec: AnalysisTarget, lexicon: LexiconTables
) -> None:
    words = words_of(spec, read_pattern_words(lexicon))
    assert words["pos_0"] == PatternWord("pos_1", "REB1", False)
    found = motifs_of(spec, lexicon)
    assert [(one.word, one.identifier, one.composite) for one in found] == [
        ("REB1", "pos_1", False), (COMPOSITE, "pos_composite_0", True), ("", "", False),
    ]  # fmt: skip
    assert [one.said for one in found] == [
        "REB1 (pattern pos_0)", f"{COMPOSITE} (pattern pos_1)", "pattern pos_2",
    ]  # fmt: skip
    assert [one.word for one in motifs_of(spec, dataclasses.replace(lexicon, members=None))] == [""] * 3


def test_truth_tells_composites_apart_from_variants(spec: AnalysisTarget, lexicon: LexiconTables) -> None:
    for given, said in (
        (lexicon, f"REB1 (pattern pos_0); variant pattern pos_2; in composite {COMPOSITE} (pattern pos_1)"),
        (None, "pattern pos_0; variants pattern pos_1, pattern pos_2"),
    ):
        view = describe_truth(spec, motifs_of(spec, given))
        assert view is not None
        assert view.rows[0].found_as == said


def test_a_nameless_word_is_not_the_pattern_of_its_number(
    tmp_path: Path, spec: AnalysisTarget, lexicon: LexiconTables
) -> None:
    rows = [("chr1", 10, 18, "pos_0", 900, "+", "pos_0")]
    columns = ["#chrom", "start", "end", "name", "score", "strand", "word"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "hits.bed.gz", sep="\t", index=False)
    usage = pd.DataFrame(columns=["word", "name", "analysis", "target", "n_seqlets", "seqlet_recall"])
    write_table(usage, tmp_path / "recall.tsv")
    of_words = dataclasses.replace(spec, hits=tmp_path / "hits.bed.gz", usage=tmp_path / "recall.tsv")
    view = describe_hits(of_words, motifs_of(spec, lexicon), [("chr1", 0, 50)])
    assert view is not None
    assert (view.of_words, view.inside) == (True, {0: [(10, 18, "pos_0", "+")]})
    own = describe_hits(
        dataclasses.replace(of_words, usage=None), motifs_of(spec, lexicon), [("chr1", 0, 50)]
    )
    assert own is not None
    assert (own.of_words, own.inside) == (False, {0: [(10, 18, "REB1", "+")]})


def test_the_page_calls_patterns_and_words_by_different_numbers(
    tmp_path: Path, lexicon: LexiconTables
) -> None:
    arguments = fixture.write_results(tmp_path / "results")
    members = pd.read_csv(lexicon.members, sep="\t", keep_default_na=False)
    write_table(members.assign(analysis="peaks_yeast"), lexicon.members)
    render_report(tmp_path / "r.html", title="T", **arguments, lexicon=lexicon)
    page = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", (tmp_path / "r.html").read_text(encoding="utf-8")))
    assert "REB1 # pattern pos_0" in page
    assert "FOS # word pos_0" in page
    assert "✓ recovered as REB1 (pattern pos_0)" in page
