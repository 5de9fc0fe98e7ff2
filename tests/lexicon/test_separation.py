"""Composites whose parts are cut, faint or at several distances are composites, and no word's second self."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lexicon_fixtures import FILES, WORDS, combine, pattern, write_database

Given = dict[str, Any]
ONE, OTHER = WORDS[1], WORDS[4]
GAP = 9


def pair(one: float = 1.0, other: float = 1.0, *, gap: int = GAP, shift: int = 0, **options: Any) -> Given:
    """ONE and OTHER, as strong as said; the first columns of OTHER weigh little, in ``alone``, too."""
    weights = [one] * len(ONE) + [0.0] * gap + list(other * flanked())
    return pattern(ONE + "." * gap + OTHER, weights=weights, shift=shift, **options)


def flanked() -> np.ndarray:
    return np.array([0.45] * 3 + [1.0] * (len(OTHER) - 3))


def alone(n: int = 200) -> list[Given]:
    return [pattern(ONE, n=n), pattern(OTHER, n=n, weights=flanked())]


def lexicon_of(folder: Path, targets: dict[str, list[Given]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    database = write_database(folder / "known.meme")
    files = combine(folder, targets, databases={"known": database})
    table, members = (
        pd.read_csv(path, sep="\t", keep_default_na=False) for path in (files.table, files.members)
    )
    return table, members.set_index(["target", "motif"])


def parts_in(table: pd.DataFrame, text: str) -> set[str]:
    """Names of a composite's parts; ``[ACG]`` is what is no word."""
    names = dict(zip(table["word"], table["name"], strict=True))
    return {part if part.startswith("[") else names[part[:-3]] for part in text.split()[::2]}


@pytest.mark.parametrize("turned", [False, True])
def test_a_part_that_trimming_cuts_is_told_by_its_word(turned: bool, tmp_path: Path) -> None:
    """Beside a strong word, the other one's first columns fall below the threshold of trimming."""
    given = pattern(OTHER + "." * GAP + ONE, n=60, turned=turned,
                    weights=[*(0.6 * flanked()), *[0.0] * GAP, *[1.0] * len(ONE)])  # fmt: skip
    table, _ = lexicon_of(tmp_path, {"a": [*alone(), given], "b": alone()})
    assert table["n_patterns"].tolist() == [2, 2, 1]
    assert len(table["consensus"].iloc[2]) < len(ONE) + GAP + len(OTHER)
    (text,) = table.loc[table["composite_of"] != "", "composite_of"]
    assert parts_in(table, text) == {"FACTOR1", "FACTOR4"}
    assert int(text.split()[1]) == GAP


def test_a_composite_with_a_faint_part_is_not_counted_as_the_other_word(tmp_path: Path) -> None:
    """The patterns of OTHER, and of OTHER beside a faint ONE, are alike enough to be one word."""
    table, members = lexicon_of(tmp_path, {"a": [*alone(), pair(one=0.3, n=190)], "b": alone()})
    assert table["word"].tolist() == ["pos_0", "pos_1", "pos_composite_0"]
    assert table["n_patterns"].tolist() == [2, 2, 1]
    assert members.loc[("a", "pos_2"), "word"] == "pos_composite_0"
    assert parts_in(table, table["composite_of"].iloc[2]) == {"FACTOR1", "FACTOR4"}


def test_a_word_is_found_beside_a_composite_of_more_seqlets_that_is_alike(tmp_path: Path) -> None:
    table, members = lexicon_of(tmp_path, {"a": [*alone(), pair(one=0.3, n=900)], "b": alone()})
    assert set(table["name"].iloc[:2]) == {"FACTOR1", "FACTOR4"}
    assert members.loc[("a", "pos_0"), "word"] == "pos_composite_0"


@pytest.mark.parametrize("turned", [False, True])
def test_what_is_spread_beside_a_word_makes_it_a_composite(turned: bool, tmp_path: Path) -> None:
    """Copies of a word at several distances overlap in the mean: none fits, and no few columns hold much."""
    weights = [0.5, *[1.0] * (len(ONE) - 1), *[0.0] * 4, *[0.25] * 16, *[0.55] * 4]
    spread = pattern(ONE + "....GGAGGTGGCGGAGGTG" + "GGGG", n=60, turned=turned, weights=weights)
    table, members = lexicon_of(tmp_path, {"a": [*alone(), spread], "b": alone()})
    assert members.loc[("a", "pos_2"), "word"] == "pos_composite_0"
    parts = parts_in(table, table["composite_of"].iloc[2])
    assert parts in ({"FACTOR1", "[GGGG]"}, {"FACTOR1", "[CCCC]"})


def test_words_apart_from_composites_are_the_same_to_the_byte_in_any_order(tmp_path: Path) -> None:
    given = {"a": [*alone(), pair(one=0.3, n=190)], "b": [*alone(), pair(one=0.3, n=90)], "c": alone()}
    found = []
    for order in ("abc", "cba"):
        folder = tmp_path / order
        folder.mkdir()
        combine(folder, {target: given[target] for target in order})
        found.append([(folder / "out" / name).read_bytes() for name in FILES])
    assert found[0] == found[1]
    assert b"pos_composite_0" in found[0][0]
    assert b"pos_composite_1" not in found[0][0]
