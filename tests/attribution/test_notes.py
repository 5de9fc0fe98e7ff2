"""Notes of batches are merged without loss, in whatever portions."""

from __future__ import annotations

import pytest
from cislex.attribution.notes import merge_notes, unite_notes
from hypothesis import given
from hypothesis import strategies as st

Part = tuple[dict[str, str], int]

PARTS: list[Part] = [
    ({"integrated": "erf, softmax", "ism": "whole sequences: a"}, 3),
    ({"integrated": "erf, lstm", "integrated_gradients.not_converged": "2"}, 4),
    ({"ism": "whole sequences: b", "batch_size": "halved to 8 pairs"}, 1),
    ({"ism": "whole sequences: a", "batch_size": "halved to 4 pairs"}, 2),
    ({"integrated_gradients.not_converged": "5", "integrated_gradients.steps": "64"}, 2),
    ({"integrated_gradients.steps": "200", "integrated_gradients.largest_delta": "3.0e-02"}, 5),
    ({"integrated_gradients.largest_delta": "1.2e-01", "precision": "float32"}, 1),
    ({}, 7),
]


def test_names_are_united_counts_added_and_texts_kept_with_their_reach() -> None:
    merged = merge_notes(PARTS)
    assert merged["integrated"] == "erf, lstm, softmax"
    assert merged["integrated_gradients.not_converged"] == "7"
    assert merged["integrated_gradients.steps"] == "200"
    assert merged["integrated_gradients.largest_delta"] == "1.2e-01"
    assert merged["batch_size"] == "halved to 4 pairs"
    assert merged["ism"] == (
        "whole sequences: a (in 5 of 25 regions) | whole sequences: b (in 1 of 25 regions)"
    )
    assert merged["precision"] == "float32 (in 1 of 25 regions)"


def test_what_holds_for_all_regions_is_said_plainly() -> None:
    assert merge_notes([({"precision": "tf32"}, 3), ({"precision": "tf32"}, 2)]) == {"precision": "tf32"}
    assert merge_notes([({}, 0), ({"precision": "tf32"}, 2)]) == {"precision": "tf32"}
    assert merge_notes([]) == {}


def test_both_strands_are_the_same_regions() -> None:
    united = unite_notes({"ism": "a", "integrated": "erf"}, {"ism": "b", "integrated": "lstm"})
    assert united == {"ism": "a | b", "integrated": "erf, lstm"}
    assert unite_notes({"ism": "a"}, {}) == {"ism": "a"}


@given(order=st.lists(st.sampled_from(range(len(PARTS))), max_size=12), data=st.data())
def test_merging_in_portions_equals_merging_at_once(order: list[int], data: st.DataObject) -> None:
    parts = [PARTS[i] for i in order]
    cut = data.draw(st.integers(0, len(parts)))
    portions = [(merge_notes(some), sum(n for _, n in some)) for some in (parts[:cut], parts[cut:])]
    assert merge_notes(portions) == merge_notes(parts)


@pytest.mark.parametrize("key", ["integrated", "ism", "batch_size"])
def test_merging_with_itself_changes_nothing(key: str) -> None:
    part = ({key: "text"}, 4)
    assert merge_notes([part, part]) == {key: "text"}
