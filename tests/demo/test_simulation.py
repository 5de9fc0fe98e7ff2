"""The simulated truth is true: sites are where the table says, and peaks hold what makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cislex.demo.planted_motifs import load_motifs, meme_text
from cislex.demo.simulation import (
    BACKGROUND,
    SimulationOptions,
    markov_sequence,
    simulate,
    simulate_genome,
)
from cislex.errors import ConfigError
from cislex.regions.genome import Genome
from cislex.regions.peaks import read_peaks

SMALL = SimulationOptions(chromosomes=2, chromosome_length=100_000, peaks_per_assay=80)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated")
    peaks: dict[str, str | Path] = {assay: path / f"{assay}.narrowPeak" for assay in SMALL.assays}
    simulate_genome(
        path / "genome.fa", peaks, path / "truth.tsv", path / "motifs.meme", seed=3, options=SMALL
    )
    return path


@pytest.fixture(scope="module")
def truth(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "truth.tsv", sep="\t")


def test_sites_are_in_the_genome(folder: Path, truth: pd.DataFrame) -> None:
    motifs = {motif.matrix_id: motif.probabilities for motif in load_motifs().values()}
    scores: dict[str, list[float]] = {}
    with Genome(folder / "genome.fa") as genome:
        for site in truth.to_dict("records"):
            codes = genome.codes(site["chrom"], site["start"], site["end"])
            codes = 3 - codes[::-1] if site["strand"] == "-" else codes
            matrix = motifs[site["motif"]]
            assert len(codes) == matrix.shape[1]
            chance = matrix[codes, np.arange(len(codes))]
            assert (chance > 0).all()
            scores.setdefault(site["motif"], []).append(np.log2(chance / 0.25).sum())
    for motif, found in scores.items():
        information = (motifs[motif] * np.log2(np.maximum(motifs[motif], 1e-12) / 0.25)).sum()
        assert np.mean(found) == pytest.approx(information, abs=1.5)


def test_sites_do_not_overlap(truth: pd.DataFrame) -> None:
    for _, sites in truth.groupby("chrom"):
        assert (sites["start"].to_numpy()[1:] >= sites["end"].to_numpy()[:-1]).all()


def test_peaks_hold_what_makes_them(folder: Path, truth: pd.DataFrame) -> None:
    wanted = {"enhancer": {"FOS::JUN", "Spi1"}, "insulator": {"CTCF"}}
    for assay in SMALL.assays:
        peaks = read_peaks(folder / f"{assay}.narrowPeak")
        assert peaks.attrs["format"] == "narrowPeak"
        assert len(peaks) == SMALL.peaks_per_assay
        sites = truth[truth["functional"] & (truth["assay"] == assay)]
        assert set(sites["name"]) == wanted[assay]
        for peak in peaks.to_dict("records"):
            own = sites[sites["peak"] == peak["name"]]
            assert set(own["name"]) == wanted[assay]
            assert (own["start"] >= peak["start"]).all()
            assert (own["end"] <= peak["end"]).all()
            middle = (own["start"].min() + own["end"].max()) / 2
            assert abs(middle - peak["summit"]) <= SMALL.jitter + 1


def test_grammar_of_the_pair(truth: pd.DataFrame) -> None:
    pairs = truth[truth["functional"] & (truth["assay"] == "enhancer")].groupby("peak")
    gaps, strands = set(), set()
    for _, pair in pairs:
        first, second = pair.sort_values("start").to_dict("records")
        assert first["strand"] == second["strand"]
        strands.add(first["strand"])
        upstream = first if first["strand"] == "+" else second
        assert upstream["name"] == "FOS::JUN"
        gaps.add(second["start"] - first["end"])
    assert strands == {"+", "-"}
    assert gaps <= set(range(SMALL.spacing[0], SMALL.spacing[1] + 1))
    assert len(gaps) > 10


def test_decoys_make_no_peak(folder: Path, truth: pd.DataFrame) -> None:
    decoys = truth[~truth["functional"]]
    assert (decoys["assay"] == ".").all()
    alone = decoys[decoys["peak"] == "."]
    assert len(alone) == SMALL.decoys
    assert set(alone["name"]) == {"FOS::JUN", "Spi1", "GATA1"}
    assert set(decoys.loc[decoys["peak"] != ".", "name"]) == {"GATA1"}
    peaks = pd.concat([read_peaks(folder / f"{assay}.narrowPeak") for assay in SMALL.assays])
    for site in alone.to_dict("records"):
        near = peaks[peaks["chrom"] == site["chrom"]]
        assert not ((near["start"] < site["end"]) & (near["end"] > site["start"])).any()


def test_seed_decides_everything(folder: Path) -> None:
    first, peaks, sites = simulate(SMALL, seed=3)
    again, _, _ = simulate(SMALL, seed=3)
    other, _, _ = simulate(SMALL, seed=4)
    assert all((first[chrom] == again[chrom]).all() for chrom in first)
    assert not all((first[chrom] == other[chrom]).all() for chrom in first)
    pd.testing.assert_frame_equal(sites, pd.read_csv(folder / "truth.tsv", sep="\t"))
    assert peaks["enhancer"]["name"].tolist() == read_peaks(folder / "enhancer.narrowPeak")["name"].tolist()


def test_background_is_the_markov_chain() -> None:
    codes = markov_sequence(200_000, np.random.default_rng(0)).astype(int)
    counts = np.bincount(codes[:-1] * 4 + codes[1:], minlength=16).reshape(4, 4)
    np.testing.assert_allclose(counts / counts.sum(1, keepdims=True), BACKGROUND, atol=0.01)


def test_meme_holds_the_planted_matrices(folder: Path) -> None:
    from memelite.io import read_meme

    found = read_meme(str(folder / "motifs.meme"))
    motifs = load_motifs(SMALL.parts)
    assert set(motifs) == {"ctcf", "ap1", "spi1", "gata1"}
    assert meme_text(motifs) == (folder / "motifs.meme").read_text()
    assert len(found) == len(motifs)
    for (name, matrix), motif in zip(found.items(), motifs.values(), strict=True):
        assert name.split()[0] == motif.matrix_id
        np.testing.assert_allclose(np.asarray(matrix), motif.probabilities, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"chromosome_length": 20_000}, "stretches of 400 bp"),
        ({"spacing": (5, 3)}, "spacing"),
        ({"peak_width": 900}, "peak_width"),
        ({"gata_fraction": 2.0}, "cannot be negative"),
    ],
)
def test_options_are_checked(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SimulationOptions(**wrong)  # type: ignore[arg-type]


def test_the_default_genome_is_small() -> None:
    options = SimulationOptions()
    assert options.chromosomes * options.chromosome_length * 61 / 60 < 4e6
