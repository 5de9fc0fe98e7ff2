"""The section on the vocabulary: words, composites by both names, and shares of each target's seqlets."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import report_fixture
from cislex.errors import InputError
from cislex.lexicon.usage import UsageSource
from cislex.report import LexiconTables, render_report
from cislex.report.sections.vocabulary import describe_vocabulary
from lexicon_fixtures import WORDS, combine, pattern, summarise, write_database


def tables(folder: Path, targets: dict[str, Any]) -> LexiconTables:
    database = write_database(folder / "known.meme")
    files = combine(folder, targets, databases={"known": database})
    usage = summarise(files, [UsageSource("analysis", target) for target in targets])
    return LexiconTables(
        words=files.table, usage=usage, matrices=files.modisco, members=files.members, files=(files.meme,)
    )


def targets() -> dict[str, Any]:
    pair = pattern(
        WORDS[1] + "." * 6 + WORDS[0], weights=[1.0] * len(WORDS[1]) + [0.0] * 6 + [1.0] * len(WORDS[0]), n=50
    )
    shared = pattern(WORDS[1], n=150)
    return {"a": [shared, pattern(WORDS[0], n=200), pair], "b<i>": [shared, pattern(WORDS[5], n=50, sign=-1)]}


def test_words_composites_and_shares_of_targets_are_shown(tmp_path: Path) -> None:
    view = describe_vocabulary(tables(tmp_path, targets()))
    assert view is not None
    assert view.text == (
        "5 patterns of 2 targets: 3 words and 1 composite. 1 word is used by more than one target."
    )
    assert [row.name for row in view.words] == ["FACTOR1", "FACTOR0", "FACTOR5"]
    assert view.words[0].targets == "2 of 2"
    for row in (*view.words, *view.composites):
        places = {float(x) for x in re.findall(r"matrix\([\d.]+ 0 0 [-\d.e]+ ([\d.]+)", str(row.logo))}
        assert max(places) == pytest.approx(34 + 18 * (len(row.consensus) - 0.97), abs=0.1), "the core"
    assert re.fullmatch(r"FACTOR\d\([+-]\) –6 bp– FACTOR\d\([+-]\)", view.composites[0].name)
    # 150, 200 and 50 of 400 seqlets; 150 and 50 of 200.
    assert view.heat_map is not None
    assert view.heat_map.targets == [("a", "analysis.a"), ("b<i>", "analysis.b%3Ci%3E")]
    found = [cell for _, cells in view.heat_map.rows for cell in cells]
    assert [cell.written for cell in found if cell.seqlets] == ["38", "75", "50", "25", "12"]
    assert [cell.strength for cell in found if cell.seqlets] == pytest.approx([0.5, 1, 2 / 3, 1 / 3, 1 / 6])


def test_with_several_databases_a_match_says_its_own(tmp_path: Path) -> None:
    given = tables(tmp_path, {"a": [pattern(WORDS[0], n=9), pattern(WORDS[1], n=8)]})
    table = pd.read_csv(given.words, sep="\t", keep_default_na=False)
    for names, said in ((["k", "k"], "), q"), (["meme-mine.0a1b2c3d", "k"], ", mine), q")):
        table.assign(database=names).to_csv(given.words, sep="\t", index=False)
        view = describe_vocabulary(given)
        assert view is not None
        assert said in view.words[0].match


def test_words_of_one_fold_alone_are_named(tmp_path: Path) -> None:
    found = {"zero": [pattern(WORDS[0], n=9), pattern(WORDS[1], n=8)], "one": [pattern(WORDS[0], n=7)]}
    given = tables(tmp_path, found)
    usage = pd.read_csv(given.usage, sep="\t", keep_default_na=False)
    usage.assign(analysis=usage["target"], target="t").to_csv(given.usage, sep="\t", index=False)
    view = describe_vocabulary(replace(given, folds=(["zero", "one"],)))
    assert view is not None
    assert view.text.endswith(
        " Of 2 words and composites of zero and one (one fold each), 1 has patterns in one fold alone: "
        "FACTOR1."
    )


def test_without_shared_words_the_sentence_begins_with_a_capital(tmp_path: Path) -> None:
    view = describe_vocabulary(tables(tmp_path, {"a": [pattern(WORDS[0])], "b": [pattern(WORDS[1])]}))
    assert view is not None
    assert view.text == "2 patterns of 2 targets: 2 words. No words are used by more than one target."


def test_one_target_has_no_heat_map_and_an_empty_lexicon_no_section(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "none").mkdir()
    one = describe_vocabulary(tables(tmp_path / "one", {"a": [pattern(WORDS[0])]}))
    assert one is not None
    assert one.heat_map is None
    assert one.text == "1 pattern of 1 target: 1 word."
    assert describe_vocabulary(tables(tmp_path / "none", {"a": [], "b": []})) is None
    assert describe_vocabulary(None) is None


def test_the_page_has_the_section_and_links_its_files(tmp_path: Path) -> None:
    arguments: dict[str, Any] = report_fixture.write_results(tmp_path / "results")
    (tmp_path / "made").mkdir()
    lexicon = tables(tmp_path / "made", targets())
    render_report(tmp_path / "r.html", title="T", **arguments, lexicon=lexicon)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count('id="vocabulary"') == page.count('href="#vocabulary">Vocab') == 1
    assert 'href="made/out/lexicon_members.tsv"' in page
    assert "b<i>" not in page
    vocabulary = page[page.index('<section id="vocabulary">') :]
    assert (vocabulary.count("▲ raises"), vocabulary.count("▼ lowers")) == (3, 1), "as in the table of motifs"
    Path(str(lexicon.members)).unlink()
    with pytest.raises(InputError, match="lexicon_members"):
        render_report(tmp_path / "r.html", title="T", **arguments, lexicon=lexicon)
