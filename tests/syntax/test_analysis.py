"""Syntax: what was planted is found with its parameters, and nothing else is called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cislex.errors import InputError
from cislex.syntax.analysis import PERIODICITY_COLUMNS, Syntax, analyse_syntax
from cislex.syntax.pairs import SYNTAX_COLUMNS
from cislex.syntax.positions import POSITION_COLUMNS
from cislex.syntax.settings import SyntaxSettings
from syntax_fixtures import LENGTH, PlantedHits, pair_up, scatter

TABLES = ("syntax", "positions", "periodicity")


def analysed(planted: PlantedHits, folder: Path, **options: object) -> Syntax:
    hits, regions = planted.write(folder)
    return analyse_syntax(hits, regions, folder, **options)  # type: ignore[arg-type]


def called(table: pd.DataFrame, test: str, *, word_a: str = "alpha", word_b: str = "beta") -> pd.DataFrame:
    """Significant rows of a pair, strongest first."""
    own = (table["test"] == test) & (table["word_a"] == word_a) & (table["word_b"] == word_b)
    return table[own & (table["q"] < 0.05)].sort_values("p", ignore_index=True)


def background(count: int = 2000, **options: object) -> tuple[PlantedHits, np.random.Generator]:
    random = np.random.default_rng(11)
    planted = PlantedHits(count, **options)  # type: ignore[arg-type]
    for word in ("alpha", "beta", "gamma"):
        scatter(planted, word, count // 2, random)
    return planted, random


@pytest.mark.parametrize(
    ("distance", "strand", "orientation"),
    [(18, 1, "++"), (18, -1, "+-"), (-18, 1, "--"), (-18, -1, "-+")],
)
@pytest.mark.parametrize("form", [{}, {"minus": 0.5}, {"direct": True}], ids=["plus", "minus", "direct"])
def test_a_fixed_gap_is_found_with_its_distance_and_orientation(
    tmp_path: Path, distance: int, strand: int, orientation: str, form: dict[str, object]
) -> None:
    planted, random = background(1000, **form)
    pair_up(planted, np.arange(0, 1000, 20), np.full(50, distance), strand, random)
    found = analysed(planted, tmp_path).syntax
    best = called(found, "spacing")
    assert list(zip(best["orientation"], best["distance"], strict=True)) == [(orientation, 18)]
    assert 40 <= best["observed"][0] <= 55
    assert best["expected"][0] < 5
    assert best["odds"][0] > 10
    assert called(found, "regions").empty  # 50 of 1,000 regions change little
    assert called(found, "spacing", word_b="gamma").empty


def test_a_window_in_any_orientation_is_found_with_its_width(tmp_path: Path) -> None:
    planted, random = background()
    rows = np.arange(0, 2000, 10)
    distances = random.integers(10, 21, size=len(rows)) * random.choice([-1, 1], size=len(rows))
    pair_up(planted, rows, distances, random.choice([-1, 1], size=len(rows)), random)
    found = analysed(planted, tmp_path).syntax
    best = called(found, "window").iloc[0]
    assert (best["orientation"], best["distance"]) == ("any", 20)
    each = called(found, "window").query("distance == 20")["orientation"]
    assert set(each) == {"any", "++", "+-", "-+", "--"}
    assert called(found, "window", word_b="gamma").empty


def test_words_that_share_regions_are_told_from_those_that_avoid_them(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    planted = PlantedHits(1000)
    starts = {word: 100 * place for place, word in enumerate(("alpha", "beta", "delta", "gamma"))}
    for word, rows in {
        "alpha": np.arange(300),
        "beta": np.arange(150, 450),  # shares 150 of 300, where 90 are expected
        "delta": np.arange(280, 580),  # shares 20
        "gamma": random.choice(1000, 300, replace=False),
    }.items():
        planted.add(word, rows, np.full(len(rows), starts[word]), np.ones(len(rows), int))
    found = analysed(planted, tmp_path).syntax.query("test == 'regions'")
    pairs = found.set_index(["word_a", "word_b"])
    beta, delta = pairs.loc[("alpha", "beta")], pairs.loc[("alpha", "delta")]
    assert (beta["observed"], beta["expected"]) == (150, 90)
    assert beta["odds"] == pytest.approx(150 * 550 / 150**2)
    assert delta["odds"] < 0.2
    assert max(beta["q"], delta["q"]) < 1e-6
    assert pairs.loc[("alpha", "gamma")]["q"] > 0.05


def test_a_helical_preference_has_a_period_of_ten_to_eleven_bases(tmp_path: Path) -> None:
    planted, random = background(4000)
    rows = np.arange(4000)
    turns = random.integers(2, 14, size=len(rows))
    distances = np.rint(10.5 * turns + random.normal(0, 1.5, len(rows))).astype(int)
    distances *= random.choice([-1, 1], size=len(rows))
    pair_up(planted, rows, distances, random.choice([-1, 1], size=len(rows)), random)
    found = analysed(planted, tmp_path).periodicity
    best = found[(found["word_b"] == "beta") & (found["orientation"] == "any")].set_index("word_a")
    assert 10 <= best.loc["alpha", "period"] <= 11
    assert best.loc["alpha", "q"] < 0.01
    assert best.loc["alpha", "autocorrelation"] > 0.3
    is_planted = (found["word_a"] == "alpha") & (found["word_b"] == "beta")
    assert is_planted.sum() == 5
    assert found[is_planted]["q"].max() < 0.01 < 0.05 < found[~is_planted]["q"].min()


@pytest.mark.parametrize("kind", ["spike", "window"])
def test_a_fixed_gap_or_a_window_is_no_period(tmp_path: Path, kind: str) -> None:
    planted, random = background(4000)
    rows = np.arange(0, 4000, 4)
    distances = np.full(len(rows), 63) if kind == "spike" else random.integers(10, 31, size=len(rows))
    pair_up(planted, rows, distances, random.choice([-1, 1], size=len(rows)), random)
    found = analysed(planted, tmp_path).periodicity
    own = found[(found["word_a"] == "alpha") & (found["word_b"] == "beta")]
    assert len(own) >= 3
    assert own["p"].min() > 0.05


def test_clusters_of_one_word_are_found_where_they_are_and_only_there(tmp_path: Path) -> None:
    planted, random = background()
    rows = np.arange(0, 2000, 10)
    first = random.integers(50, LENGTH - 100, size=len(rows))
    for number in range(4):  # tandem, 12 bp apart
        planted.add("beta", rows, first + 12 * number, np.ones(len(rows), int))
    found = analysed(planted, tmp_path).syntax
    tandem = called(found, "spacing", word_a="beta")
    assert set(tandem["orientation"]) == {"++"}
    assert set(tandem["distance"]) == {12, 24, 36}
    assert called(found, "regions", word_a="beta")["odds"][0] > 1.3
    assert called(found, "window", word_a="beta").iloc[0][["orientation", "distance"]].tolist() == ["++", 20]
    for test in ("spacing", "window", "regions"):
        assert called(found, test, word_b="alpha").empty


@pytest.mark.parametrize("centred", [False, True])
def test_two_hundred_independent_pairs_are_not_called_more_often_than_nominally(
    tmp_path: Path, centred: bool
) -> None:
    random = np.random.default_rng(0)
    planted = PlantedHits(2500, minus=0.3)
    for number in range(20):  # 210 pairs
        rows = random.integers(planted.count, size=1200)
        offsets = random.normal(0, 80, 1200) if centred else random.uniform(-290, 290, 1200)
        strands = random.choice([-1, 1], size=1200, p=[0.2, 0.8])
        planted.add(f"word{number:02}", rows, 295 + offsets.astype(int), strands)
    settings = SyntaxSettings(permutations=199, max_distance=80, windows=(20, 50, 80), min_pairs=100)
    found = analysed(planted, tmp_path, settings=settings)
    assert (found.syntax["q"] < 0.05).sum() == 0
    distances = found.syntax.query("test != 'regions'")
    # Rows that no region has are not written: 76 distances and 3 windows in 3 or 4 orientations, or any.
    tests = 190 * (4 * 76 + 5 * 3) + 20 * (3 * 76 + 4 * 3)
    assert 0.005 < (distances["p"] < 0.05).sum() / tests < 0.05
    shared = found.syntax.query("test == 'regions'")
    assert len(shared) == 210
    assert (shared["p"] < 0.05).mean() < 0.1
    assert len(found.periodicity) > 40
    assert (found.periodicity["q"] < 0.05).sum() == 0
    assert (found.periodicity["p"] < 0.05).mean() < 0.1
    centre = found.positions.query("part == 'centre'")
    assert (centre["q"] < 0.05).sum() == (20 if centred else 0)


def test_tables_depend_neither_on_blocks_nor_on_the_order_of_rows(tmp_path: Path) -> None:
    planted, random = background(300, minus=0.5)
    pair_up(planted, np.arange(100), np.full(100, 15), 1, random)
    for word in ("alpha", "beta"):  # equal contributions, overlapping
        scatter(planted, word, 600, random)
    plain = analysed(planted, tmp_path / "plain")
    total = sum(len(part) for part in planted.rows)
    hits, regions = planted.write(tmp_path / "other", order=random.permutation(total))
    analyse_syntax(hits, regions, tmp_path / "other", block_rows=37, block_pairs=50)
    for name in TABLES:
        texts = [(tmp_path / folder / f"{name}.tsv").read_text() for folder in ("plain", "other")]
        assert texts[0] == texts[1]
        assert len(getattr(plain, name))


def test_a_region_read_on_the_other_strand_has_the_same_syntax(tmp_path: Path) -> None:
    tables = []
    for minus in (0.0, 1.0):
        random = np.random.default_rng(4)
        planted = PlantedHits(400, minus=minus)
        for word in ("alpha", "beta"):
            scatter(planted, word, 600, random)
        pair_up(planted, np.arange(100), np.full(100, 15), 1, random)
        tables.append(analysed(planted, tmp_path / f"{minus}"))
    pd.testing.assert_frame_equal(tables[0].syntax, tables[1].syntax)
    pd.testing.assert_frame_equal(tables[0].periodicity, tables[1].periodicity)


@pytest.mark.parametrize("number", [0, 12])
def test_too_few_hits_are_a_sentence_and_tables_without_rows(tmp_path: Path, number: int) -> None:
    planted = PlantedHits(50)
    planted.add("alpha", np.arange(number), np.full(number, 100), np.ones(number, int))
    found = analysed(planted, tmp_path)
    assert f"no word has 20 hits (the most frequent has {number})" in found.note
    pair = ["name_a", "name_b"]
    columns = ([*SYNTAX_COLUMNS, *pair], [*POSITION_COLUMNS, "name"], [*PERIODICITY_COLUMNS, *pair])
    for name, expected in zip(TABLES, columns, strict=True):
        assert (tmp_path / f"{name}.tsv").read_text() == "\t".join(expected) + "\n"


def test_composites_that_are_left_out_do_not_hide_their_parts(tmp_path: Path) -> None:
    planted, _random = background(500)
    rows = np.arange(0, 500, 5)
    planted.add("alpha", rows, np.full(100, 200), np.ones(100, int))
    planted.add("beta", rows, np.full(100, 215), np.ones(100, int))
    planted.add("alpha::beta", rows, np.full(100, 200), np.ones(100, int), width=25, contribution=2.0)
    hidden = called(analysed(planted, tmp_path).syntax, "spacing")
    assert hidden.empty
    found = called(analysed(planted, tmp_path, left_out=["alpha::beta"]).syntax, "spacing")
    assert found["distance"][0] == 15
    assert found["observed"][0] > 90


def test_words_of_the_lexicon_have_its_names_and_its_composites_do_not_count(tmp_path: Path) -> None:
    planted, random = background(400)
    pair_up(planted, np.arange(0, 400, 4), np.full(100, 18), 1, random)
    planted.add("both", np.arange(0, 400, 4), np.full(100, 200), np.ones(100, int), width=30)
    hits, regions = planted.write(tmp_path)
    table = pd.read_csv(hits, sep="\t").rename(columns={"motif": "word"})
    names = {"alpha": "GATA1", "beta": "SPI1", "gamma": "REST", "both": "GATA1 –18 bp– SPI1"}
    table.assign(motif=table["word"].map(names)).to_csv(hits, sep="\t", index=False)
    lexicon = tmp_path / "lexicon.tsv"
    lines = [f"{word}\t{name}\t{'alpha,beta' * (word == 'both')}" for word, name in names.items()]
    lexicon.write_text("\n".join(["word\tname\tcomposite_of", *lines]) + "\n")
    found = analyse_syntax(hits, regions, tmp_path, lexicon=lexicon)
    best = called(found.syntax, "spacing").iloc[0]
    assert (best["distance"], best["name_a"], best["name_b"]) == (18, "GATA1", "SPI1")
    assert dict(zip(found.positions["word"], found.positions["name"], strict=True)) == {
        word: name for word, name in names.items() if word != "both"
    }
    lexicon.write_text("word\tname\nalpha\tGATA1\n")
    with pytest.raises(InputError, match=r"lexicon.tsv lacks the columns composite_of"):
        analyse_syntax(hits, regions, tmp_path, lexicon=lexicon)
    # Hits of before the lexicon name the target's patterns, which may be called as its words are.
    old = pd.read_csv(hits, sep="\t").drop(columns="motif").rename(columns={"word": "motif"})
    old.to_csv(hits, sep="\t", index=False)
    assert set(analyse_syntax(hits, regions, tmp_path, lexicon=lexicon).positions["name"]) == set(names)


def test_hits_of_other_regions_are_a_named_error(tmp_path: Path) -> None:
    planted, _random = background(100)
    hits, regions = planted.write(tmp_path)
    text = regions.read_text().replace("chr1", "chr2")
    regions.write_text(text)
    (tmp_path / "regions.summary.tsv").unlink()
    with pytest.raises(InputError, match="none of its 150 hits lies in a region"):
        analyse_syntax(hits, regions, tmp_path)


@pytest.mark.parametrize("length", [60, 150, 151])
def test_regions_shorter_than_the_largest_distance_are_analysed(tmp_path: Path, length: int) -> None:
    random = np.random.default_rng(3)
    planted = PlantedHits(80, length=length)
    for word in ("alpha", "beta"):
        scatter(planted, word, 200, random)
    found = analysed(planted, tmp_path)
    spacing = found.syntax[found.syntax["test"] == "spacing"]
    assert len(spacing)
    assert spacing["distance"].max() < length
