"""Planted grammars: what is simulated stands as the table says, and syntax recovers it from planted hits."""

from __future__ import annotations

import hashlib
import runpy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from cislex.demo.grammar import Assay
from cislex.demo.grammar_truth import compare_grammar, excess_interval, nearest_site
from cislex.demo.planted_motifs import load_motifs
from cislex.demo.simulation import SimulationOptions, simulate, simulate_genome
from cislex.errors import ConfigError
from cislex.files.tables import write_regions
from cislex.syntax.analysis import analyse_syntax
from cislex.syntax.settings import SyntaxSettings

ROOT = Path(__file__).resolve().parents[2]
ASSAYS: dict[str, Any] = {
    "fixed": {"words": ["spi1", "runx1"], "spacing": [7, 7], "orientation": "+-"},
    "window": {"words": ["tead4", "klf4"], "spacing": [0, 20], "orientation": "any"},
    "helical": {"words": ["foxa1", "yy1"], "spacing": [10, 110], "period": 10.5},
    "cluster": {"words": ["runx1"], "copies": [2, 4], "spacing": [3, 25], "orientation": "any"},
    "independent": {"words": ["spi1", "ctcf"], "independent": True},
    "lowered": {"words": ["ctcf"], "lowered_by": "rest"},
}
OPTIONS = SimulationOptions(
    chromosomes=2,
    chromosome_length=500_000,
    peaks_per_assay=400,
    jitter=40,
    decoys=0,
    gata_fraction=0.0,
    assays=ASSAYS,
)
#: Words that read as the reverse complement of the planted motif, and where their cores begin and end in it.
TURNED = {"spi1": (2, 1), "klf4": (0, 0), "foxa1": (0, 3)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grammar")
    peaks: dict[str, str | Path] = {assay: path / f"{assay}.narrowPeak" for assay in OPTIONS.assays}
    simulate_genome(
        path / "genome.fa", peaks, path / "truth.tsv", path / "motifs.meme", path / "grammar.tsv",
        seed=1, options=OPTIONS,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def truth(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "truth.tsv", sep="\t")


def pairs(truth: pd.DataFrame, assay: str) -> pd.DataFrame:
    """Both sites of each peak of an assay with two words, left and right."""
    own = truth[truth["assay"] == assay].sort_values(["peak", "start"])
    left, right = own.iloc[::2].reset_index(drop=True), own.iloc[1::2].reset_index(drop=True)
    assert (left["peak"] == right["peak"]).all()
    return left.add_suffix("_left").join(right.add_suffix("_right"))


def test_a_pair_has_its_gap_and_orientation(truth: pd.DataFrame) -> None:
    found = pairs(truth, "fixed")
    assert (found["start_right"] - found["end_left"] == 7).all()
    plus = found["name_left"] == "Spi1"
    assert 0.4 < plus.mean() < 0.6
    # Convergent reads alike from either end.
    assert (found["strand_left"] == "+").all()
    assert (found["strand_right"] == "-").all()


def test_a_window_has_every_gap_strand_and_order(truth: pd.DataFrame) -> None:
    found = pairs(truth, "window")
    assert set(found["start_right"] - found["end_left"]) == set(range(21))
    kinds = found.groupby(["name_left", "strand_left", "strand_right"]).size()
    assert len(kinds) == 8
    assert kinds.min() > 25


def test_helical_distances_are_multiples_of_the_period(truth: pd.DataFrame) -> None:
    found = pairs(truth, "helical")
    middle = found["start_right"] + found["end_right"] - found["start_left"] - found["end_left"]
    turns = middle / 2 / 10.5
    assert np.abs(turns - turns.round()).mul(10.5).max() < 4
    assert set(turns.round()) == set(range(2, 12))
    assert (found["strand_left"] == found["strand_right"]).all()


def test_clusters_have_their_copies_and_independent_words_every_place(truth: pd.DataFrame) -> None:
    copies = truth[truth["assay"] == "cluster"].groupby("peak").size()
    assert set(copies) == {2, 3, 4}
    own = pairs(truth, "independent")
    distance = (own["start_right"] - own["start_left"]).to_numpy()
    assert distance.std() > 30
    assert own.groupby(["name_left", "strand_left", "strand_right"]).size().min() > 25


def test_a_word_that_lowers_the_signal_does_and_no_sites_overlap(folder: Path, truth: pd.DataFrame) -> None:
    peaks = pd.read_csv(folder / "lowered.narrowPeak", sep="\t", header=None)
    with_only = simulate(SimulationOptions(
        chromosomes=1, peaks_per_assay=200, decoys=0, assays={"ctcf": Assay(("ctcf",))}), seed=1
    )[1]["ctcf"]  # fmt: skip
    assert peaks[6].mean() < with_only["signal"].mean() / 2
    ordered = truth.sort_values(["chrom", "start"])
    same = ordered["chrom"].eq(ordered["chrom"].shift())
    assert (ordered["start"] >= ordered["end"].shift())[same].all()


def test_the_default_assays_give_the_genome_of_before() -> None:
    options = SimulationOptions(chromosomes=2, chromosome_length=60_000, peaks_per_assay=40)
    genome, peaks, truth = simulate(options, seed=0)
    digest = hashlib.blake2b(digest_size=8)
    for codes in genome.values():
        digest.update(codes.tobytes())
    digest.update(truth.to_csv(index=False).encode())
    digest.update(peaks["enhancer"].to_csv(index=False).encode())
    # As `simulate` of version 0.1 without `assays` makes them.
    assert digest.hexdigest() == "22f2dfc050257305"


@pytest.mark.parametrize(
    ("assay", "message"),
    [
        ({"words": ["gata1"]}, "unknown word 'gata1'; known are ctcf"),
        ({"words": ["ctcf", "ctcf"]}, "each once"),
        ({"words": ["ctcf", "rest"], "copies": [1, 2]}, "copies"),
        ({"words": ["ctcf"], "independent": True}, "independent needs two words"),
        ({"words": ["ctcf"], "orientation": "+"}, "orientation '\\+'"),
        ({"words": ["ctcf", "spi1"], "spacing": [5, 9], "period": 10.5}, "period 10.5: expected 2 to"),
    ],
)
def test_grammars_that_cannot_be_are_named(assay: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"simulate.assays.odd: .*{message}"):
        SimulationOptions(assays={"odd": assay})


def test_a_grammar_that_does_not_fit_into_a_peak_is_named() -> None:
    wide = SimulationOptions(
        assays={"wide": {"words": ["ctcf", "rest"], "spacing": [0, 180]}}, peaks_per_assay=10
    )
    with pytest.raises(ConfigError, match="wide: its sites take up to 215 bp, but peaks have room for 200"):
        simulate(wide, seed=0)


def write_target(folder: Path, truth: pd.DataFrame, assay: str) -> dict[str, Path]:
    """Hits on the planted sites of an assay, some missing and some elsewhere, and their syntax."""
    random = np.random.default_rng(2)
    target = folder / assay
    target.mkdir()
    peaks = pd.read_csv(folder / f"{assay}.narrowPeak", sep="\t", header=None)
    start = peaks[1] + peaks[9] - 120
    regions = pd.DataFrame(
        {"chrom": peaks[0], "start": start, "end": start + 240, "name": peaks[3], "strand": "+"}
    )
    own = truth[truth["assay"] == assay]
    hits = own[random.random(len(own)) < 0.9]
    ids = {motif.name: part for part, motif in load_motifs().items()}
    parts = hits["name"].map(ids)
    turned = parts.isin(list(TURNED)).to_numpy()
    plus = (hits["strand"] == "+").to_numpy()
    left = np.array([TURNED.get(part, (0, 0))[0] for part in parts])
    right = np.array([TURNED.get(part, (0, 0))[1] for part in parts])
    hits = hits.assign(
        start=hits["start"] + np.where(plus, left, right), end=hits["end"] - np.where(plus, right, left),
        strand=np.where(plus ^ turned, "+", "-"), word=parts,
    )  # fmt: skip
    where = random.integers(len(regions), size=len(hits) // 10)
    word, strand = random.choice(parts.unique(), len(where)), random.choice(["+", "-"], len(where))
    widths = hits.assign(width=hits["end"] - hits["start"]).groupby("word")["width"].first()
    width = widths[word].to_numpy()
    low = regions["start"].to_numpy()[where] + random.integers(0, 240 - width)
    noise = {"chrom": regions["chrom"].to_numpy()[where], "start": low, "end": low + width}
    hits = pd.concat([hits, pd.DataFrame({**noise, "word": word, "strand": strand})], ignore_index=True)
    inside = [
        bool(((regions["chrom"] == hit.chrom) & (start <= hit.start) & (hit.end <= start + 240)).any())
        for hit in hits.itertuples()
    ]
    hits = hits[inside]  # a site near the edge of a peak may reach beyond its region
    sign = np.where(hits["word"] == "rest", -1.0, 1.0)
    hits = hits.assign(motif=hits["word"], score=900, contribution=sign * random.normal(1, 0.1, len(hits)))
    hits = hits.rename(columns={"chrom": "#chrom"}).sort_values(["#chrom", "start"])
    columns = ["#chrom", "start", "end", "motif", "score", "strand", "word", "contribution"]
    hits[columns].to_csv(target / "hits.bed.gz", sep="\t", index=False)
    with h5py.File(target / "attributions.h5", "w") as handle:
        write_regions(handle, regions)
    files = {"hits": target / "hits.bed.gz", "attributions": target / "attributions.h5"}
    analyse_syntax(*files.values(), target, settings=SyntaxSettings(permutations=999))
    return files | {"tables": target}


@pytest.fixture(scope="module")
def recovered(folder: Path, truth: pd.DataFrame) -> pd.DataFrame:
    tables = []
    for assay in ASSAYS:
        files = write_target(folder, truth, assay)
        shared = {"grammar": folder / "grammar.tsv", "truth": folder / "truth.tsv"}
        tables.append(compare_grammar(**shared, **files, out=files["tables"] / "grammar.tsv"))
    return pd.concat(tables).set_index(["assay", "kind"])


def test_every_planted_grammar_is_recovered_from_hits(recovered: pd.DataFrame) -> None:
    assert len(recovered) == len(ASSAYS) + 1
    assert recovered["recovered"].all(), recovered.loc[~recovered["recovered"].astype(bool)].to_string()


def test_a_fixed_pair_has_its_distance_and_orientation(recovered: pd.DataFrame) -> None:
    row = recovered.loc[("fixed", "pair")]
    assert (row["found_orientation"], row["found_least"], row["found_most"]) == ("+-", 18, 18)
    assert (row["least"], row["most"]) == (18, 18)


def test_a_window_has_its_width_in_any_orientation(recovered: pd.DataFrame) -> None:
    row = recovered.loc[("window", "pair")]
    assert row["found_orientation"] == "any"
    assert abs(row["found_least"] - 8) <= 1
    assert abs(row["found_most"] - 28) <= 2


def test_a_helical_preference_has_its_period(recovered: pd.DataFrame) -> None:
    row = recovered.loc[("helical", "helical")]
    assert abs(row["found_period"] - 10.5) <= 0.5
    assert row["period_q"] < 0.05
    assert row["found_orientation"] == "++"


def test_independent_words_are_not_called_and_a_lowering_word_is_negative(recovered: pd.DataFrame) -> None:
    assert recovered.loc[("independent", "independent"), "q"] >= 0.05
    assert recovered.loc[("lowered", "lowers"), "contribution"] < 0
    assert recovered.loc[("cluster", "cluster"), "odds"] > 1


def test_a_grammar_that_is_not_there_is_not_recovered(
    folder: Path, truth: pd.DataFrame, tmp_path: Path
) -> None:
    wrong = pd.read_csv(folder / "grammar.tsv", sep="\t", keep_default_na=False)
    wrong.loc[wrong["assay"] == "fixed", ["orientation", "least", "most"]] = ["-+", "18", "18"]
    rows = wrong["assay"] == "independent"
    wrong.loc[rows, ["kind", "orientation", "least", "most"]] = ["pair", "any", "14", "60"]
    wrong.to_csv(tmp_path / "grammar.tsv", sep="\t", index=False)
    script = runpy.run_path(str(ROOT / "scripts" / "compare_grammar.py"))["main"]
    for assay in ("fixed", "independent"):
        target = folder / assay
        script(
            grammar=str(tmp_path / "grammar.tsv"), truth=str(folder / "truth.tsv"),
            hits=str(target / "hits.bed.gz"), attributions=str(target / "attributions.h5"),
            tables=str(target), out=str(tmp_path / "out.tsv"),
        )  # fmt: skip
        assert not pd.read_csv(tmp_path / "out.tsv", sep="\t")["recovered"].any()


def test_a_hit_belongs_to_the_site_that_it_covers() -> None:
    sites = pd.DataFrame({"chrom": ["a", "a", "b"], "start": [10, 30, 10], "end": [20, 40, 20]})
    hits = pd.DataFrame(
        {"chrom": ["a", "a", "b", "c", "a"], "start": [12, 24, 5, 10, 29], "end": [22, 34, 14, 20, 37]}
    )
    assert nearest_site(hits, sites).tolist() == [0, -1, -1, -1, 1]


def test_the_greatest_excess_is_the_planted_interval() -> None:
    places = np.arange(5.0, 60.0)
    expected = np.full(len(places), 2.0)
    observed = (
        np.random.default_rng(0).poisson(np.where((places >= 20) & (places <= 31), 20, 2)).astype(float)
    )
    assert excess_interval(places, observed, expected) == (20, 31)
