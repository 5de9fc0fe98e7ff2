"""What the report counts as a motif, and how it writes numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import report_fixture as fixture
from cislex.motifs.files import MemeMotif, write_meme
from cislex.report import AnalysisTarget
from cislex.report.facts import (
    cell,
    decimals,
    equation,
    interval,
    label,
    number,
    power_of_ten,
    probability,
    small,
)
from cislex.report.sections.lexicon import (
    composition,
    few_known_motifs,
    is_composite,
    known_motifs,
    match_width,
    match_widths,
    read_lexicon,
)
from cislex.report.sections.motifs import Match, MotifView, describe_motifs


def pattern(name: str, seqlets: int, *matches: str, composite: bool = False, weak: bool = False) -> MotifView:
    """Return a pattern that resembles known motifs, best first."""
    known = [Match(identifier, identifier.lower(), "0.001", "0.01", weak=weak) for identifier in matches]
    return MotifView(name, "+", seqlets, "10", "ACGT", "2.00", "", known, None, None, None, composite)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.8861, "0.886"), (5.0, "5.00"), (12345.6, "12,346"), (0.0, "0"), (-0.25, "−0.250"), (9.999, "10.0"),
        (4.2e-5, "4.20×10⁻⁵"), (3e9, "3.00×10⁹"), (float("nan"), "–"),
    ],
)  # fmt: skip
def test_a_number_has_three_digits(value: float, said: str) -> None:
    assert number(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.02, "0.020"), (0.001, "0.0010"), (3.34e-12, "3.3×10⁻¹²"), (1e-4, "10⁻⁴"), (0.89, "0.89")],
)
def test_a_probability_has_two_digits(value: float, said: str) -> None:
    assert small(value) == probability(value) == said
    assert equation(said, "q") == f"q = {said}"


@pytest.mark.parametrize("value", [0.0, 8.3e-316, 9e-301])
def test_a_probability_that_floats_cannot_tell_from_zero_is_a_bound(value: float) -> None:
    assert probability(value) == "< 10⁻³⁰⁰"
    assert equation(probability(value), "q") == "q < 10⁻³⁰⁰"
    assert small(0.0) == "0"


def test_cells_are_counts_numbers_or_text() -> None:
    assert cell("1200") == "1,200"
    assert cell("0.876126", lambda value: decimals(value, 3)) == "0.876"
    assert cell("1", lambda value: decimals(value, 3)) == "1.000"
    assert [cell(""), cell("SPI1"), cell("nan")] == ["–", "SPI1", "–"]
    assert power_of_ten(float("inf")) == "–"


def test_patterns_that_share_a_match_are_one_motif() -> None:
    lexicon = read_lexicon(
        [
            pattern("pos_9", 5, "FOSL1", "JUND"),
            pattern("pos_0", 90, "SPI1", "SPIB"),
            pattern("pos_1", 60, "BACH1", "FOSL1"),
            pattern("pos_2", 50, "SPI1", composite=True),
            pattern("pos_3", 40),
            pattern("pos_4", 30, "CTCF", weak=True),
        ]
    )
    assert [[motif.name for motif in family] for family in lexicon.families] == [
        ["pos_0"],
        ["pos_1", "pos_9"],
    ]
    assert lexicon.names == ["spi1 (SPI1)", "bach1 (BACH1)"]
    assert [motif.name for motif in lexicon.composites] == ["pos_2"]
    assert [motif.name for motif in lexicon.unknown] == ["pos_3", "pos_4"]
    assert known_motifs(lexicon) == "2 distinct known motifs"
    assert composition(lexicon) == (
        "Of 6 patterns, 3 match a known motif (q ≤ 0.05), 1 is a composite (a motif plus something else) "
        "and 2 resemble no known motif."
    )


def test_families_join_through_a_third() -> None:
    apart = [pattern("a", 9, "M1"), pattern("b", 8, "M2"), pattern("c", 7, "M3")]
    assert len(read_lexicon(apart).families) == 3
    (first, second) = read_lexicon([*apart, pattern("d", 1, "M1", "M3")]).families
    assert [[motif.name for motif in family] for family in (first, second)] == [["a", "c", "d"], ["b"]]


def test_no_pattern_is_no_motif() -> None:
    assert known_motifs(read_lexicon([])) == "no known motif"
    assert composition(read_lexicon([])) == ""


def test_one_pattern_is_told_without_numbers() -> None:
    assert composition(read_lexicon([pattern("a", 1, "M1")])) == (
        "The one pattern matches a known motif (q ≤ 0.05)."
    )
    assert composition(read_lexicon([pattern("a", 1)])) == "The one pattern resembles no known motif."
    two = [pattern("a", 1, "M1", composite=True), pattern("b", 1)]
    assert composition(read_lexicon(two)) == (
        "Of 2 patterns, none match a known motif (q ≤ 0.05), 1 is a composite (a motif plus "
        "something else) and 1 resembles no known motif."
    )


def test_patterns_all_of_a_kind() -> None:
    known = [pattern("a", 2, "M1"), pattern("b", 1, "M2")]
    assert composition(read_lexicon(known)) == "Both patterns match a known motif (q ≤ 0.05)."
    unknown = [pattern("a", 2), pattern("b", 1)]
    assert composition(read_lexicon(unknown)) == "Both patterns resemble no known motif."


def test_names_with_numbers_stay() -> None:
    assert label("learning_rate") == "learning rate"
    assert label("fold_0") == "fold_0"


def test_a_composite_is_much_wider_than_its_match() -> None:
    assert is_composite(37, 13)
    assert not is_composite(20, 13), "only 7 bp more"
    assert not is_composite(28, 20), "not half as wide again"


def test_widths_of_the_database_tell_composites(tmp_path: Path) -> None:
    known = MemeMotif("MA0363.3", "REB1", np.full((4, 8), 0.25), 20)
    write_meme([known], tmp_path / "known.meme")
    rows = [
        fixture.motif("pos_0", "+", 90, "TTACCCGG", **fixture.REB1),
        fixture.motif("pos_1", "+", 30, "TTACCCGG" + "." * 8 + "TTACCCGG", **fixture.REB1),
    ]
    fixture.write_motifs(tmp_path, rows)
    spec = AnalysisTarget(
        analysis="a", target="b", region_set="r", model="m", attributions=tmp_path / "x",
        motifs=tmp_path / "motifs.tsv",
    )  # fmt: skip
    widths = match_widths(tmp_path / "known.meme")
    assert widths == {"MA0363.3": 8}
    alone, double = describe_motifs(
        spec,
        composite=lambda width, match: is_composite(width, widths[match.matrix]),
    )
    assert (alone.composite, double.composite) == (False, True)
    assert double.short == "REB1 composite"
    assert double.known == "composite with REB1 (MA0363.3)"
    assert match_widths(None) == {}


def test_intervals_of_negative_numbers_are_no_subtractions() -> None:
    assert interval(0.986, 0.975, 0.994) == "0.986 (0.975–0.994)"
    assert interval(-0.05, -0.2, 0.1) == "−0.050 (−0.200 to 0.100)"
    assert interval(0.5, float("nan"), 0.6) == "0.500"
    assert interval(float("nan"), 0, 1) == "–"


def test_a_database_too_small_for_tomtom_is_told() -> None:
    why = "fewer than 25 known motifs"
    (note,) = few_known_motifs({"jaspar-fungi.JASPAR2026": why})
    assert note.startswith("the database holds fewer than 25 known motifs: q-values come from patterns with")
    assert few_known_motifs({"a": ""}) == few_known_motifs({}) == []
    (note,) = few_known_motifs({"jaspar-fungi.JASPAR2026": "", "meme-mine.0a1b2c3d": why})
    assert note.startswith("mine holds fewer than 25 known motifs")


def test_a_match_is_as_wide_as_its_own_database_says() -> None:
    widths = {"a": {"M1": 8}, "b": {"M1": 20, "M2": 9}}
    assert [match_width(Match("M1", "", "", "", database=name), widths) for name in "ab"] == [8, 20]
    assert match_width(Match("M2", "", "", ""), widths) == 9, "a table that names no database"
    assert match_width(Match("M2", "", "", "", database="a"), widths) is None
