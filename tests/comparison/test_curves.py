"""Curves of a linear model, areas and localisation are known exactly; so are the words of an AND gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cislex.comparison import curves, words
from cislex.comparison.planted import planted_auprc, read_planted
from cislex.errors import ConfigError
from comparison_fixtures import LENGTH, make_codes, one_hot, regions_of


def test_curves_of_a_linear_model_are_sums_of_its_sorted_contributions() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, LENGTH))
    sequence, draws = make_codes(1)[0], make_codes(3, seed=1)
    counts = curves.base_counts(LENGTH, 6)
    gain = (one_hot(sequence) * weight).sum(0) - (one_hot(draws) * weight).sum(1)
    place = curves.ranking(gain)  # one order for each draw
    made = curves.curve_sequences(sequence, draws, place, counts)
    values = (one_hot(made) * weight).sum((-1, -2)) - (one_hot(sequence) * weight).sum()
    ordered = np.cumsum(np.concatenate([np.zeros((3, 1)), -np.sort(-gain, axis=1)], axis=1), axis=1)[
        :, counts
    ]
    assert values[0] == pytest.approx(-ordered)
    assert values[1] == pytest.approx(ordered - ordered[:, -1:])
    assert (made[0, :, 0] == sequence).all()
    assert (made[1, :, 0] == draws).all()


def test_areas_are_exact() -> None:
    counts = curves.base_counts(100, 8)
    assert counts[[0, 1, -1]].tolist() == [0, 1, 100]
    straight = 5 - 2 * counts / 100
    at_once = np.where(counts > 0, 3.0, 5.0)
    flat = np.full(len(counts), 5.0)
    found = curves.area(np.stack([straight, at_once, flat]), counts)
    assert found[:2] == pytest.approx([0.5, 0.995])
    assert np.isnan(found[2])
    with pytest.raises(ConfigError, match="steps: found 1"):
        curves.base_counts(100, 1)


def test_ranking_puts_the_first_of_equal_scores_first() -> None:
    assert curves.ranking(np.array([0.0, 2, 2, -1])).tolist() == [2, 0, 1, 3]


def test_average_precision_of_planted_bases_is_exact() -> None:
    scores = np.array([0.0, -9, 5, 3, 4, 1])
    # Planted 1, 3 and 4 come first, third and fourth by absolute score.
    assert planted_auprc(scores, np.isin(np.arange(6), [1, 3, 4])) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert np.isnan(planted_auprc(scores, np.zeros(6, bool)))


@pytest.mark.parametrize(
    ("strand", "expected"), [("+", [3, 4, 5]), ("-", [LENGTH - 6, LENGTH - 5, LENGTH - 4])]
)
def test_planted_sites_lie_on_the_strand_of_their_region(
    tmp_path: Path, strand: str, expected: list[int]
) -> None:
    rows = [
        *(("chr1", 100 * i + 3, 100 * i + 6, "+", "m", "A", "own", True, "p") for i in range(10)),
        ("chr1", 103, 106, "+", "d", "DECOY", "own", False, "p"),
        ("chr1", 98, 104, "+", "m", "A", "own", True, "p"),
        ("chr2", 103, 106, "+", "m", "A", "own", True, "p"),
        ("chr1", 210, 213, "+", "m", "B", "rare", True, "p"),
    ]
    columns = ["chrom", "start", "end", "strand", "motif", "name", "assay", "functional", "peak"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "truth.tsv", sep="\t", index=False)
    planted = read_planted(tmp_path / "truth.tsv", regions_of(11, strand=strand))
    assert len(planted.region) == 10  # one of 11 regions is less than a tenth
    assert np.flatnonzero(planted.mask(1, LENGTH)).tolist() == expected
    assert planted.names_in(1) == ("A",)
    assert planted.names_in(10) == ()
    assert not planted.mask(1, LENGTH, ("B",)).any()


@pytest.mark.parametrize(
    ("values", "expected"),
    [((6.0, 0, 0, 0), (3, 3, 6)), ((1.0, 1, 1, 0), (0.5, 0.5, -1)), ((5.0, 2, 3, 0), (2, 3, 0))],
    ids=["and", "redundant", "independent"],
)
def test_effects_of_two_words_are_their_shapley_values(values: tuple, expected: tuple) -> None:
    assert words.effects(*values) == pytest.approx(expected)


def test_a_method_that_gives_all_to_one_word_has_no_balance() -> None:
    names = {0: ("A", "B"), 4: ("A", "B")}
    found = dict.fromkeys(names, words.effects(6.0, 0, 0, 0))
    gap, even = (words.word_table(names, found, given) for given in (
        {0: (0.0, 6.0), 4: (6.0, 0.0)}, {0: (3.0, 3.0), 4: (3.0, 3.0)}))  # fmt: skip
    assert gap[["attributed_balance", "effect_balance", "error", "attributed_a"]].iloc[0].tolist() == [
        0,
        0.5,
        1,
        3,
    ]
    assert even[["attributed_balance", "error", "interaction", "regions"]].iloc[0].tolist() == [0.5, 0, 6, 2]


def test_words_replace_one_both_or_the_other() -> None:
    sequence, draws = np.zeros(4, np.uint8), np.ones((2, 4), np.uint8)
    first, second = np.array([1, 0, 0, 0], bool), np.array([0, 0, 1, 0], bool)
    made = words.word_sequences(sequence, draws, first, second)
    assert made[:, 0].tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 1, 0]]
