"""Positions: a central word is told from one of the flanks, and clusters do not make evidence."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from cislex.errors import InputError
from cislex.motifs.hits import HitSettings, call_hits, read_margins
from cislex.syntax.analysis import analyse_syntax
from cislex.syntax.placed_hits import PlacedHits, place_hits
from cislex.syntax.positions import find_positions, possible_offsets
from cislex.syntax.settings import SyntaxSettings
from motif_fixtures import write_attributions
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


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Fi-NeMo's hits of a core that is everywhere: columns 5 to 12 of 30, beside a pattern of 40."""
    folder, random = tmp_path_factory.mktemp("everywhere"), np.random.default_rng(1)
    core, length, width = np.array([2, 0, 3, 3, 0, 2, 0, 2]), 100, 8  # GATTAGAG
    start, turned, minus = (part.ravel() for part in np.meshgrid(np.arange(93), [False, True], [False, True]))
    bases = random.integers(0, 4, (len(start), length))
    scores = random.normal(0, 0.02, (len(start), 4, length))
    for row, (first, is_turned) in enumerate(zip(start, turned, strict=True)):
        site = (3 - core)[::-1] if is_turned else core
        bases[row, first : first + width] = site
        scores[row, site, first + np.arange(width)] = 1
    regions = pd.DataFrame({"chrom": "chr1", "start": 500 * np.arange(len(start)), "name": "r"})
    regions = regions.assign(end=regions["start"] + length, strand=np.where(minus, "-", "+"))
    files = {"attributions": folder / "a.h5", "motifs": folder / "m.h5", "hits": folder / "hits.bed.gz"}
    write_attributions(files["attributions"], np.eye(4)[bases].transpose(0, 2, 1), scores, regions)
    with h5py.File(files["motifs"], "w") as handle:
        for number, (size, place) in enumerate(((30, 5), (40, 20))):
            group = handle.create_group(f"pos_patterns/pattern_{number}")
            letters = np.eye(4)[core if number == 0 else [2, 2, 1, 2, 1, 1, 2, 2]]
            group["sequence"], group["contrib_scores"] = np.full((size, 4), 0.25), np.zeros((size, 4))
            for name in ("sequence", "contrib_scores"):
                group[name][place : place + width] = letters
            group["hypothetical_contribs"] = group["contrib_scores"][()]
            group.create_group("seqlets")["n_seqlets"] = np.array([100])
    call_hits(*(files[name] for name in ("attributions", "motifs", "hits")), HitSettings(), analysis="a")
    return files


def test_what_fi_nemo_can_find_is_what_is_expected(everywhere: dict[str, Path]) -> None:
    hits = place_hits(everywhere["hits"], everywhere["attributions"], apart=True)
    own = hits.slices()[hits.words.index("pos_0")]
    margins = read_margins(everywhere["motifs"])
    assert margins == {"pos_0": (5, 27), "pos_1": (20, 12)}
    is_minus = (hits.regions["strand"] == "-").to_numpy()[hits.region[own]]
    for kind in range(4):
        chosen = (2 * is_minus + (hits.strand[own] < 0)) == kind
        found = np.unique(hits.offset[own][chosen])
        possible = possible_offsets(hits, own, margins["pos_0"], SyntaxSettings(), kind=kind)
        assert found.tolist() == possible.tolist()


def test_hits_of_fi_nemo_anywhere_are_not_central(everywhere: dict[str, Path], tmp_path: Path) -> None:
    settings = SyntaxSettings(centre=20, permutations=99)
    files = (everywhere["hits"], everywhere["attributions"], tmp_path)
    table = analyse_syntax(*files, settings=settings, motifs=everywhere["motifs"]).positions
    own = table[table["word"] == "pos_0"]
    assert own["observed"].iloc[0] == pytest.approx(own["expected"].iloc[0], rel=0.02)
    assert own["q"].min() > 0.5
    unaware = analyse_syntax(*files, settings=settings).positions
    assert unaware["q"].iloc[0] < 1e-6
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    with pytest.raises(InputError, match=r"other.h5 has no unflagged motif for pos_0"):
        analyse_syntax(*files, settings=settings, motifs=tmp_path / "other.h5")
