"""What edits are allowed is what brute force finds, base by base; misfits are named errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cislex.design.constraints import (
    Constraints,
    ConstraintSettings,
    make_constraints,
    mismatches,
    patterns_of,
)
from cislex.errors import ConfigError, InputError
from insertion_fixtures import codes_of, random_codes


def places(texts: list[str], codes: np.ndarray) -> set[tuple[int, int, int]]:
    """Pattern, first and last base of each match."""
    return {
        (number, int(place), int(place) + len(pattern))
        for number, pattern in enumerate(patterns_of(texts))
        for place in np.flatnonzero(mismatches(pattern, codes) == 0)
    }


@pytest.mark.parametrize("seed", range(4))
def test_allowed_edits_are_those_of_brute_force(seed: int) -> None:
    codes, start = random_codes(2, 24, seed=seed)
    start[6:] = codes[6:]
    kept = np.arange(24) % 5 == 0
    texts, low, high = ["GAT", "CNG", "RY"][seed % 3 :], 0.4, 0.6
    settings = ConstraintSettings(gc=(low, high), forbidden=texts, max_edits=5)
    found = Constraints(settings, kept).allowed(codes, start)

    def outside(one: np.ndarray) -> float:
        share = np.isin(one, (1, 2)).mean()
        return max(low - share, share - high, 0)

    for position in range(24):
        for base in range(4):
            edited = codes.copy()
            edited[position] = base
            makes = any(first <= position < last for _, first, last in places(texts, edited))
            gc = outside(edited) < 1e-9 or outside(edited) < outside(codes) - 1e-9
            many = (edited != start).sum() > 5
            expected = base != codes[position] and not kept[position] and gc and not makes and not many
            assert found[base, position] == expected, (position, base)


def test_forbidden_strings_count_on_both_strands() -> None:
    assert len(patterns_of(["GAATTC"])) == 1  # a palindrome
    assert [len(one) for one in patterns_of(["GGTCTC", "GCAATG"])] == [6] * 4
    assert places(["GGTCTC"], codes_of("TTGAGACCTT")) == {(1, 2, 8)}


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"keep": [[0, 8], [8, 12]]}, ConfigError, "no edit is allowed in any of 2 sequences: all 12"),
        ({"keep": [[4, 13]]}, ConfigError, r"keep: \[4, 13\] passes the end of the sequences of 12 bp"),
        ({"keep": [[4, 4]]}, ConfigError, "expected 0 <= start < end"),
        ({"keep": [[2, 10]], "forbidden": ["GAATTC"]}, InputError, r"kept positions .* b \(GAATTC at 3\)"),
        ({"keep": [[0, 11]], "gc": [0.6, 0.6]}, ConfigError, "keep, gc and forbidden leave none"),
        ({"gc": [0.6, 0.4]}, ConfigError, "two shares in order"),
        ({"forbidden": ["NN"]}, ConfigError, "not N alone"),
        ({"forbidden": ["GAUTTC"]}, ConfigError, "letters of IUPAC"),
        ({"max_edits": 0}, ConfigError, "max_edits: found 0"),
    ],
)
def test_constraints_that_cannot_hold_are_named(settings: Any, error: type, said: str) -> None:
    starts = np.stack([codes_of("ATATATATATAG"), codes_of("ATAGAATTCTAG")])
    if "gc" in settings:
        starts = np.stack([codes_of("GGGGGGGAAAAT")] * 2)
    with pytest.raises(error, match=said):
        make_constraints(ConstraintSettings(**settings), starts, ["a", "b"])
