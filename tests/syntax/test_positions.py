"""Positions: a central word is told from one of the flanks, and clusters do not make evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cislex.syntax.placed_hits import PlacedHits, place_hits
from cislex.syntax.positions import find_positions
from cislex.syntax.settings import SyntaxSettings
from syntax_fixtures import LENGTH, WIDTH, PlantedHits


def placed(planted: PlantedHits, folder: Path) -> PlacedHits:
    return place_hits(*planted.write(folder))


@pytest.mark.parametrize("form", [{}, {"minus": 0.5}, {"direct": True}], ids=["plus", "minus", "direct"])
def test_central_words_are_enriched_and_those_of_the_flanks_depleted(
    tmp_path: Path, form: dict[str, object]
) -> None:
    random = np.random.default_rng(0)
    planted = PlantedHits(400, **form)  # type: ignore[arg-type]
    rows = np.arange(400)
    ones = np.ones(400, int)
    planted.add("centre", rows, 295 + random.integers(-40, 41, 400), ones, contribution=3.0)
    flanks = np.where(rows % 2, 30, 560) + random.integers(-30, 30, 400)
    planted.add("flank", rows, flanks, -ones, contribution=2.0)
    where = random.integers(0, LENGTH - WIDTH + 1, 400)
    planted.add("anywhere", rows, where, ones)
    table = find_positions(placed(planted, tmp_path), SyntaxSettings())
    centre = table[table["part"] == "centre"].set_index("word")
    assert centre.loc["centre", "observed"] == 400
    assert centre.loc["centre", "expected"] == pytest.approx(400 * 101 / 591, rel=0.01)
    assert (centre.loc["flank", "observed"], centre.loc["flank", "odds"] < 0.1) == (0, True)
    assert (centre["q"] < 1e-6).to_dict() == {"anywhere": False, "centre": True, "flank": True}
    bins = table[table["part"] == "bin"]
    sums = bins.groupby("word")[["hits", "forward", "observed", "expected"]].sum()
    assert np.allclose(sums.loc["centre"], 400)
    assert np.allclose(sums.loc["flank"], [400, 0, 400, 400])
    # A weaker hit gives way where it overlaps with others.
    assert sums.loc["anywhere", "hits"] == centre.loc["anywhere", "word_hits"] > 360
    far = bins[(bins["word"] == "centre") & (bins["hits"] > 0)]
    assert far["start"].min() >= -45
    assert far["end"].max() <= 45


def test_a_region_counts_once_by_its_strongest_hit(tmp_path: Path) -> None:
    planted = PlantedHits(40)
    rows, ones = np.arange(40), np.ones(40, int)
    planted.add("a", rows, np.full(40, 100), ones, contribution=-3.0)
    for number in range(5):
        planted.add("a", rows, np.full(40, 270 + 12 * number), ones, contribution=1.0)
    table = find_positions(placed(planted, tmp_path), SyntaxSettings())
    centre = table.iloc[0]
    assert (centre["hits"], centre["observed"], centre["word_regions"]) == (200, 0, 40)
    assert (centre["several"], centre["hits_per_region"]) == (40, 6)


def test_only_the_searched_part_is_expected(tmp_path: Path) -> None:
    planted = PlantedHits(40)
    planted.add("a", np.arange(40), 295 + np.arange(40) - 20, np.ones(40, int))
    hits = placed(planted, tmp_path)
    wide, narrow = (
        find_positions(hits, SyntaxSettings(searched=searched)).iloc[0] for searched in (None, 100)
    )
    assert wide["p"] < 1e-6
    assert narrow["expected"] == pytest.approx(40)
    assert narrow["p"] == 1
