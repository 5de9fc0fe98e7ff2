"""One of the two hits of a palindrome stays; hits of other words at neighbouring places all do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cislex.motifs.palindromes import merge_strands, own_shift


def matrix(text: str) -> np.ndarray:
    found = np.full((4, len(text)), -0.25)
    found[["ACGT".index(letter) for letter in text], range(len(text))] = 0.75
    return found


def reverse_complement(text: str) -> str:
    return text.translate(str.maketrans("ACGT", "TGCA"))[::-1]


@pytest.mark.parametrize(
    ("text", "shift"),
    [
        ("TATATATA", 0),
        ("TGACTCA", 0),
        ("CTGACGTCA", 1),
        ("TGACGTCAC", -1),
        ("GAAATT", None),
        ("ACCGGG", None),
    ],
)
def test_the_shift_puts_the_reverse_complement_on_the_motif(text: str, shift: int | None) -> None:
    assert own_shift(matrix(text)) == shift
    if shift is not None:
        at = 10
        letters = "N" * at + text + "N" * 10
        other = reverse_complement(text)
        place = letters[at + shift : at + shift + len(text)]
        same = sum(a == b for a, b in zip(place, other, strict=True))
        assert same >= len(text) - 1 - abs(shift)


def hits(*rows: tuple[int, str, float], word: str = "w") -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["start", "strand", "rank"])
    return table.assign(**{"#chrom": "c", "word": word})


def left(table: pd.DataFrame, shift: int | None) -> list[tuple[int, str]]:
    found = merge_strands(table, {"w": shift})
    return list(zip(found["start"].tolist(), found["strand"].tolist(), strict=True))


def test_sites_of_one_strand_stay_whatever_lies_on_the_other() -> None:
    sites = [(start, strand, 0.9) for start in (20, 22, 24, 26) for strand in "+-"]
    assert left(hits(*sites), 0) == [(20, "+"), (22, "+"), (24, "+"), (26, "+")]
    assert left(hits((100, "+", 0.9), (100, "-", 0.85), (102, "+", 0.8)), 0) == [(100, "+"), (102, "+")]


def test_of_a_palindrome_the_hit_of_higher_rank_stays_and_of_other_words_both() -> None:
    pair = hits((20, "+", 0.7), (21, "-", 0.8))
    assert left(pair, 1) == [(21, "-")]
    assert left(pair, 0) == left(pair, None) == [(20, "+"), (21, "-")]
    assert left(pd.concat([pair, pair.assign(**{"#chrom": "d"})], ignore_index=True), 1) == [(21, "-")] * 2
