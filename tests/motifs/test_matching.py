"""Matches with known motifs: q-values by TOMTOM's null or by shuffled columns, as many as are known."""

from __future__ import annotations

import motif_fixtures
import numpy as np
import pytest
from cislex.errors import InputError
from cislex.motifs.files import MemeMotif, read_meme, reverse_complement
from cislex.motifs.matching import compare_motifs, match_motifs
from cislex.multiple_testing import adjust_p_values
from hypothesis import given
from hypothesis import strategies as st


def matrix(text: str) -> np.ndarray:
    return np.array([[0.97 if base == letter else 0.01 for letter in text] for base in "ACGT"])


def varied(text: str, rng: np.random.Generator) -> np.ndarray:
    """The same with columns that differ, as those of real motifs do."""
    ppm = matrix(text) + 0.2 * rng.dirichlet([0.5] * 4, len(text)).T
    return ppm / ppm.sum(axis=0)


def test_a_motif_matches_itself_and_its_reverse_complement(planted: motif_fixtures.Planted) -> None:
    known = read_meme(planted.database)
    number = next(n for n, motif in enumerate(known) if motif.name == "ABF1")
    ppm = known[number].ppm
    similar = compare_motifs([ppm, reverse_complement(ppm)], [m.ppm for m in known], threads=1)
    for query in (0, 1):
        assert similar.best(query, 1)[0] == number
        assert similar.strand[query, number] == query
        assert similar.q[query, number] < 1e-6


def test_matrices_of_another_shape_are_refused() -> None:
    good = np.full((4, 6), 0.25)
    with pytest.raises(InputError, match=r"query 1 \(6, 4\)"):
        compare_motifs([good, good.T], [good], threads=1)
    with pytest.raises(InputError, match="target 0"):
        compare_motifs([good], [good * np.nan], threads=1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_values_follow_benjamini_and_hochberg(values: list[float]) -> None:
    p = np.array(values)
    expected = [
        min(1.0, min(p[j] * len(p) / (p <= p[j]).sum() for j in range(len(p)) if p[j] >= p[i]))
        for i in range(len(p))
    ]
    np.testing.assert_allclose(adjust_p_values(p), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "known", [["CTGAAGTC"], ["GGGGCCCCAT", "CTGAAGTC"], ["TTTTTTTT", "CTGAAGTC", "CAGGTG"]]
)
def test_few_known_motifs_claim_no_match_by_chance(known: list[str]) -> None:
    similar = compare_motifs([matrix("AAGTGAAG"), matrix("AAAAAAAA")], [matrix(k) for k in known], threads=1)
    assert (similar.q > 0.05).all()


@pytest.mark.parametrize("others", [0, 5, 23])
def test_a_true_match_is_claimed_among_few_known_motifs(others: int) -> None:
    rng = np.random.default_rng(1)
    known = ["TTACCCGG", *("".join(rng.choice(list("ACGT"), 9)) for _ in range(others))]
    queries = [matrix("TTACCCGGAA"), matrix("CATGACGT")]
    similar = compare_motifs(queries, [matrix(k) for k in known], threads=1)
    assert similar.q[0, 0] <= 0.02
    assert similar.q[1].min() > 0.05
    assert similar.best(0, 1)[0] == 0


def test_few_known_motifs_claim_at_the_rate_that_q_promises() -> None:
    rng = np.random.default_rng(2)
    drawn = [matrix("".join(rng.choice(list("ACGT"), 9))) for _ in range(43)]
    found = [compare_motifs([query], drawn[:3], threads=1).q.min() <= 0.1 for query in drawn[3:]]
    assert sum(found) <= 9  # 4 of 40 are expected; more than 9 come in 1 of 200 trials


def test_the_null_is_that_of_tomtom_from_25_known_motifs_on() -> None:
    rng = np.random.default_rng(3)
    known = [varied("".join(rng.choice(list("ACGT"), 9)), rng) for _ in range(25)]
    similar = compare_motifs(known[:2], known, threads=1)
    np.testing.assert_array_equal(similar.q, adjust_p_values(similar.p))
    assert (compare_motifs(known[:2], known[:24], threads=1).q >= 2 / 4999).all()


def test_a_small_database_does_not_outrank_a_large_one_by_chance() -> None:
    rng = np.random.default_rng(4)
    drawn = ["".join(rng.choice(list("ACGT"), 9)) for _ in range(40)]
    texts = [*drawn, "TTACCCGG"]
    large = [MemeMotif(f"L{n}", text, varied(text, rng), 20) for n, text in enumerate(texts)]
    small = [MemeMotif("S0", "chance", matrix("CTGAAGTC"), 20)]
    (true,), (chance,) = match_motifs(
        [matrix("TTACCCGGAA"), matrix("AAGTGAAG")], {"a": small, "b": large}, count=1, threads=1
    )
    assert (true.database, true.known.name, true.null) == ("b", "TTACCCGG", "tomtom")
    assert true.q < 0.01 < 0.05 < chance.q
    assert match_motifs([], {"a": small}, count=1, threads=1) == []
    assert match_motifs([matrix("ACGT")], {}, count=1, threads=1) == [[]]


def test_motifs_written_as_consensus_letters_claim_no_match_by_chance() -> None:
    """With four different columns in all, TOMTOM gives most pairs of random motifs a p below 0.01."""
    rng = np.random.default_rng(4)
    letters = np.eye(4) * 0.88 + 0.03
    draw = [letters[:, rng.integers(0, 4, int(width))] for width in rng.integers(8, 13, 60)]
    similar = compare_motifs(draw[:20], draw[20:], threads=1)
    assert (similar.p < 0.01).mean() > 0.5
    assert similar.q.min() > 0.05
    own = compare_motifs(draw[:3], draw[:40], threads=1)
    assert (own.q[np.arange(3), np.arange(3)] < 0.05).all(), "what is there is found"


def test_p_values_depend_neither_on_the_order_of_known_motifs_nor_on_the_strand_of_the_query() -> None:
    rng = np.random.default_rng(3)
    known = [rng.dirichlet([0.4] * 4, int(width)).T for width in rng.integers(6, 14, 60)]
    queries = [rng.dirichlet([0.4] * 4, int(width)).T for width in rng.integers(6, 14, 5)]
    p = compare_motifs(queries, known, threads=1).p
    turned = compare_motifs([query[::-1, ::-1] for query in queries], known, threads=1).p
    np.testing.assert_allclose(turned, p, rtol=1e-9)
    order = rng.permutation(len(known))
    moved = compare_motifs(queries, [known[i] for i in order], threads=1).p
    np.testing.assert_allclose(moved, p[:, order], rtol=1e-9)
