"""Attribution of the strongest variants: both alleles have the same references, and words are told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from cislex.errors import ConfigError
from cislex.models.architectures import build
from cislex.motifs.files import MemeMotif, write_meme
from cislex.training.train import save_checkpoint
from cislex.variants.attribute import TopFiles, TopJob, attribute_variants
from cislex.variants.ranking import strongest
from cislex.variants.score import NullOptions, score_variants
from cislex.variants.sites import score_sites
from cislex.variants.windows import WindowOptions
from cislex.variants.word_changes import Allele, best_site, word_changes
from variants_genome import open_context, random_variants, sequences, write_vcf

LENGTH, N = 60, 25
WANTED = {"a": {"kind": "output", "index": 0}, "b": {"kind": "output", "index": 1}}
MODEL = {"loader": "trained"}


def motif(text: str, name: str) -> MemeMotif:
    ppm = np.full((4, len(text)), 0.01)
    ppm[["ACGT".index(letter) for letter in text], range(len(text))] = 0.97
    return MemeMotif(name, f"{name}-name", ppm, 100)


def settings(**changes: Any) -> dict[str, Any]:
    method = {"name": "deep_lift_shap", "references": {"kind": "dinucleotide_shuffle", "n": 3}}
    windows = {"length": LENGTH, "anchor": "both", "shifts": [0]}
    job = {"n": N, "flank": LENGTH // 2, "targets": WANTED, "method": method, "windows": windows}
    return {**job, **changes}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("top")
    options = {"tasks": 2, "input_length": LENGTH, "filters": 6}
    for fold in range(2):
        torch.manual_seed(fold)
        model = build("cnn", **options)
        save_checkpoint(
            model, folder / f"{fold}.pt", architecture="cnn", hyperparameters=options, tasks=["a", "b"]
        )
    open_context(folder)
    rows = [(v.chrom, v.start + 1, v.ref, v.alt) for v in random_variants(30, margin=35).itertuples()]
    write_vcf(folder / "calls.vcf", rows)
    score_variants(
        folder / "calls.vcf", folder / "genome.fa", weights(folder), folder / "variants.tsv",
        folder / "dropped.tsv", wanted=WANTED, windows=WindowOptions(length=LENGTH), device="cpu",
        null=NullOptions(size=20), **MODEL,
    )  # fmt: skip
    from cislex.variants.checked import prepare_variants

    prepare_variants(
        folder / "calls.vcf", folder / "genome.fa", folder / "alleles.tsv", folder / "dropped.tsv",
        windows=WindowOptions(length=LENGTH),
    )  # fmt: skip
    return folder


def weights(folder: Path) -> dict[str, Path]:
    return {f"fold_{fold}": folder / f"{fold}.pt" for fold in range(2)}


def run(folder: Path, **changes: Any) -> tuple[pd.DataFrame, dict[str, dict[str, np.ndarray]]]:
    files = TopFiles(folder / "top.h5", folder / "top.tsv")
    attribute_variants(
        folder / "variants.tsv", folder / "alleles.tsv", folder / "genome.fa", weights(folder), files,
        TopJob.from_settings(settings(**changes)), model=MODEL, device="cpu",
    )  # fmt: skip
    with h5py.File(files.arrays) as handle:
        arrays = {name: {key: part[key][:] for key in part} for name, part in handle["targets"].items()}
    return pd.read_csv(files.table, sep="\t"), arrays


def test_contributions_of_both_alleles_differ_by_the_effect(folder: Path) -> None:
    """Of substitutions, whose whole windows are kept: references are the same, so theirs cancel out."""
    scores = pd.read_csv(folder / "variants.tsv", sep="\t")
    table, arrays = run(folder)
    for target in WANTED:
        part = arrays[target]
        top = scores.iloc[part["rows"]]
        assert part["rows"].tolist() == strongest(scores, target, N).tolist()
        assert table[table["target"] == target]["pos"].tolist() == top["pos"].tolist()
        assert part["reference_hypothetical"].shape == (N, 4, LENGTH + 1)
        sums = [
            (part[f"{allele}_hypothetical"].astype(float) * part[f"{allele}_sequences"]).sum((1, 2))
            for allele in ("reference", "alternative")
        ]
        single = (top["ref"].str.len() == top["alt"].str.len()).to_numpy()
        assert single.sum() > 10
        np.testing.assert_allclose(
            (sums[1] - sums[0])[single], top[f"{target}.effect"][single], rtol=2e-3, atol=1e-5
        )
        predicted = [part[f"{allele}_prediction"] for allele in ("reference", "alternative")]
        np.testing.assert_allclose(predicted[0], top[f"{target}.reference"], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(predicted[1], top[f"{target}.alternative"], rtol=1e-4, atol=1e-6)
        assert (part["alternative_max_relative_delta"] < 1e-3).all()


@pytest.mark.parametrize("anchor", ["left", "right"])
def test_both_alleles_begin_with_the_same_bases(folder: Path, anchor: str) -> None:
    """``flank`` bases before the variant are alike on both alleles, wherever an indel is anchored."""
    flank = 12
    windows = {"length": LENGTH, "anchor": anchor, "shifts": [0]}
    _, arrays = run(folder, flank=flank, windows=windows, n=30)
    alleles = pd.read_csv(folder / "alleles.tsv", sep="\t", keep_default_na=False)
    part, genome = arrays["a"], sequences()["chr1"]
    assert part["reference_sequences"].shape == (30, 4, 2 * flank + 1)
    for i, row in enumerate(alleles.iloc[part["rows"]].itertuples()):
        letters = [
            "".join("ACGT"[base] for base in part[f"{allele}_sequences"][i].argmax(0))
            for allele in ("reference", "alternative")
        ]
        before = genome[row.at - flank : row.at]
        after = genome[row.at + len(row.before) :]
        assert letters[0].startswith(before + row.before)
        assert letters[1] == (before + row.after + after)[: 2 * flank + 1]


def test_held_out_variants_are_attributed_by_their_own_fold(folder: Path) -> None:
    scores = pd.read_csv(folder / "variants.tsv", sep="\t")
    _, arrays = run(folder, held_out={"fold_1": ["chr1"], "fold_0": ["chr2"]})
    rows = arrays["a"]["rows"]
    effects = arrays["a"]["alternative_prediction"] - arrays["a"]["reference_prediction"]
    single = (scores["ref"].str.len() == scores["alt"].str.len()).to_numpy()[rows]
    np.testing.assert_allclose(
        effects[single], scores["a.fold_1.effect"].iloc[rows][single], rtol=1e-3, atol=1e-5
    )


def test_words_over_a_variant_are_in_the_table(folder: Path) -> None:
    """Words made of the first variant's alleles are lost and gained; another one is no matter."""
    scores = pd.read_csv(folder / "variants.tsv", sep="\t")
    single = scores[(scores["ref"].str.len() == 1) & (scores["alt"].str.len() == 1)]
    row = single.iloc[strongest(single, "a", 1)[0]]
    genome, at = sequences()["chr1"], row["pos"] - 1
    old = genome[at - 5 : at + 6]
    new = old[:5] + row["alt"] + old[6:]
    write_meme([motif(old[2:9], "w0"), motif(new[2:9], "w1"), motif("G" * 12, "w2")], folder / "words.meme")
    files = TopFiles(folder / "top.h5", folder / "top.tsv")
    attribute_variants(
        folder / "variants.tsv", folder / "alleles.tsv", folder / "genome.fa", weights(folder), files,
        TopJob.from_settings(settings(n=30)), model=MODEL, words=folder / "words.meme", device="cpu",
    )  # fmt: skip
    table = pd.read_csv(files.table, sep="\t")
    found = table[(table["target"] == "a") & (table["pos"] == row["pos"])].set_index("word")
    assert {"w0", "w1"} <= set(found.index)
    assert found.loc["w0", "before"] > found.loc["w0", "after"]
    assert found.loc["w1", "before"] < found.loc["w1", "after"]
    assert found.loc["w0", "name"] == "w0-name"
    crop = LENGTH // 2 - 3
    assert found.loc["w0", "before_start"] == found.loc["w1", "after_start"] == crop
    with h5py.File(files.arrays) as handle:
        part = handle["targets/a"]
        i = int(found.loc["w0", "rank"]) - 1
        values = (part["reference_hypothetical"][i] * part["reference_sequences"][i]).sum(0)
    assert found.loc["w0", "contribution_before"] == pytest.approx(values[crop : crop + 7].sum(), rel=1e-3)
    assert set(table["rank"][table["target"] == "b"]) == set(range(1, 31)), "without a word, too"


def allele(text: str, place: int, size: int) -> Allele:
    codes = np.array(["ACGTN".index(letter) for letter in text], dtype=np.uint8)
    return Allele(codes, place, size, np.arange(len(text), dtype=np.float64))


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (("CCCCTGACTCACCC", 6, 1), ("CCCCTGCCTCACCC", 6, 1), "lost"),
        (("CCCCTGCCTCACCC", 6, 1), ("CCCCTGACTCACCC", 6, 1), "gained"),
        (("CCCCTGAGCTCACC", 7, 1), ("CCCCTGACTCACCC", 7, 0), "gained"),
        (("CCCCTGACTCACCC", 12, 1), ("CCCCTGACTCACAC", 12, 1), None),
        (("CCCCTGACTCACCC", 6, 1), ("CCCCTGACTCACCC", 6, 1), None),
    ],
    ids=["lost", "gained", "by a deletion", "beside it", "no change"],
)
def test_what_a_variant_does_to_a_word(before: Any, after: Any, change: str | None) -> None:
    word = motif("TGACTCA", "ap1")
    found = word_changes(allele(*before), allele(*after), [word])
    assert [one.change for one in found] == ([change] if change else [])
    for one in found:
        full = one.before if change == "lost" else one.after
        assert full is not None
        assert (full.start, full.contribution) == (4, sum(range(4, 11)))


def test_a_site_that_stays_is_changed() -> None:
    word = motif("TGACTCAGGCGC", "long")
    found = word_changes(allele("TTGACTCAGGCGCT", 12, 1), allele("TTGACTCAGGCGAT", 12, 1), [word])
    assert [one.change for one in found] == ["changed"]


def test_best_sites_are_those_of_the_scan(tmp_path: Path) -> None:
    """The same score as the scan over all variants, on either strand, for every kind of variant."""
    from cislex.motifs.baseline import log_odds

    context, table = open_context(tmp_path), random_variants(20)
    table = table.assign(at=table["start"], before=table["ref"], after=table["alt"])
    words = [motif("TGACTCA", "a"), motif("GGCA", "b")]
    scores = score_sites(table, context, words)
    genome = sequences()["chr1"]
    for i, row in enumerate(table.itertuples()):
        text = genome[: row.at] + row.before + genome[row.at + len(row.before) :]
        changed = genome[: row.at] + row.after + genome[row.at + len(row.before) :]
        for number, word in enumerate(words):
            for which, letters, size in ((0, text, len(row.before)), (1, changed, len(row.after))):
                site = best_site(allele(letters, row.at, size), log_odds(word, np.full(4, 0.25)))
                assert site is not None
                assert max(site.score, 0) == pytest.approx(scores[which][i, number], abs=1e-3)


@pytest.mark.parametrize("changes", [{"n": 0}, {"flank": 0}, {"flank": 31}])
def test_wrong_settings_are_named(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(changes))} is"):
        TopJob.from_settings(settings(**changes))
