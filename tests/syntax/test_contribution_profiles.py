"""Contributions around hits: read on the hit's strand, wherever the region lies."""

from __future__ import annotations

import runpy
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from cislex.errors import InputError
from cislex.files.tables import write_regions
from cislex.syntax.analysis import analyse_syntax
from cislex.syntax.contribution_profiles import mean_profiles
from cislex.syntax.placed_hits import place_hits
from numpy.typing import NDArray
from syntax_fixtures import LENGTH, WIDTH, PlantedHits


def write_attributions(planted: PlantedHits, contributions: NDArray[np.float64], path: Path) -> Path:
    """Contributions of shape (N, L), each region in its own orientation."""
    bases = np.random.default_rng(0).integers(0, 4, contributions.shape)
    sequences = (np.arange(4)[None, :, None] == bases[:, None]).astype(np.uint8)
    noise = np.random.default_rng(1).normal(size=sequences.shape)
    hypothetical = np.where(sequences == 1, contributions[:, None], noise)
    with h5py.File(path, "w") as handle:
        handle["sequences"], handle["hypothetical"] = sequences, hypothetical.astype(np.float32)
        write_regions(handle, planted.regions)
    return path


def waves(planted: PlantedHits, *, size: float) -> NDArray[np.float64]:
    """Noise, and around each hit of ``alpha`` a wave of 10.5 bp that is steeper downstream of the hit."""
    values = np.random.default_rng(2).normal(size=(planted.count, LENGTH))
    for table in planted.rows:
        for row, low, strand in table.query("motif == 'alpha'")[["row", "low", "strand"]].to_numpy():
            along = strand * (np.arange(LENGTH) - low - WIDTH / 2 + 0.5)
            decay = np.exp(-np.abs(along) / 80) * np.where(along > 0, 1.0, 0.5)
            values[row] += size * decay * np.cos(2 * np.pi * along / 10.5)
    return values


@pytest.mark.parametrize("block_values", [10_000, 10**7])
def test_a_profile_is_the_mean_over_hits_on_their_strand(tmp_path: Path, block_values: int) -> None:
    random = np.random.default_rng(3)
    planted = PlantedHits(30, minus=0.5)
    low, strand = random.integers(0, LENGTH - 11, 30), random.choice([-1, 1], 30)
    for word, width in (("odd", 11), ("even", 10)):
        planted.add(word, np.arange(30), (low + 37 * width) % (LENGTH - 11), strand, width=width)
    hits, regions = planted.write(tmp_path)
    values = random.normal(size=(30, LENGTH))
    path = write_attributions(planted, values, tmp_path / "attributions.h5")
    placed = place_hits(hits, regions)
    found = mean_profiles(path, placed, [0, 1], 25, block_values=block_values)
    for profile, table in zip(found, (planted.rows[1], planted.rows[0]), strict=True):
        rows = []
        for row, start, sign, width in table[["row", "low", "strand", "width"]].to_numpy():
            read = values[row][::sign]
            centre = (start if sign > 0 else LENGTH - start - width) + width // 2
            places = np.arange(centre - 25, centre + 26)
            inside = (places >= 0) & (places < LENGTH)
            rows.append(np.where(inside, read[places.clip(0, LENGTH - 1)], np.nan))
        assert profile == pytest.approx(np.nanmean(rows, axis=0), abs=1e-6)


def test_helical_contributions_around_hits_have_their_period(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    planted = PlantedHits(300, minus=0.5)
    for word in ("alpha", "beta"):
        rows = np.arange(300)
        starts = random.integers(0, LENGTH - WIDTH + 1, 300)
        planted.add(word, rows, starts, random.choice([-1, 1], 300))
    hits, regions = planted.write(tmp_path)
    path = write_attributions(planted, waves(planted, size=0.5), tmp_path / "attributions.h5")
    found = analyse_syntax(hits, regions, tmp_path, attributions=path).periodicity.set_index("word_a")
    assert set(found["series"]) == {"contributions"}
    assert 10 <= found.loc["alpha", "period"] <= 11
    assert found.loc["alpha", "q"] < 0.01
    assert found.loc["alpha", "autocorrelation"] > 0.3
    assert found.loc["beta", "q"] > 0.05


def test_attributions_of_other_regions_are_a_named_error(tmp_path: Path) -> None:
    planted, other = PlantedHits(30), PlantedHits(31)
    planted.add("alpha", np.arange(30), np.arange(30), np.ones(30, int))
    hits, regions = planted.write(tmp_path)
    path = write_attributions(other, np.zeros((31, LENGTH)), tmp_path / "attributions.h5")
    with pytest.raises(InputError, match=r"its 31 regions are not the 30 of regions\.bed"):
        analyse_syntax(hits, regions, tmp_path, attributions=path)


def test_the_script_takes_the_regions_that_passed_the_quality_gate(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    planted = PlantedHits(40)
    rows = np.repeat(np.arange(40), 2)
    planted.add("alpha", rows, random.integers(20, LENGTH - 30, len(rows)), np.ones(len(rows), int))
    planted.regions, hits = planted.regions.iloc[:30], planted.rows[0]
    planted.rows[0] = hits[hits["row"] < 30]
    path, _regions = planted.write(tmp_path)
    attributions = write_attributions(planted, np.ones((30, LENGTH)), tmp_path / "attributions.h5")
    script = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "analyse_syntax.py"))
    (tmp_path / "out").mkdir()
    settings = {"min_hits": 5, "permutations": 99, "windows": [20, 50]}
    files = (str(path), str(attributions), str(tmp_path / "out"))
    script["main"](*files, settings=settings, words={"lexicon": None, "motifs": None}, trimming={})
    found = pd.read_csv(tmp_path / "out" / "syntax.tsv", sep="\t")
    several = found[found["test"] == "regions"].iloc[0]
    assert several["observed"] <= 30
    assert (tmp_path / "out" / "periodicity.tsv").is_file()
    assert (tmp_path / "out" / "positions.tsv").is_file()
