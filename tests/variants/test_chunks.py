"""Chunks and folds of variants make the table that one call makes; the VCF says what the table says."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pysam
import pytest
import torch
from cislex import provenance
from cislex.errors import ConfigError, InputError, StorageError
from cislex.models.architectures import build
from cislex.training.train import save_checkpoint
from cislex.variants.checked import digest_alleles, prepare_variants, read_alleles
from cislex.variants.chunk import NullOptions, VariantJob, score_chunk
from cislex.variants.summary import combine_chunks
from cislex.variants.vcf_output import write_vcf as write_scores
from cislex.variants.windows import WindowOptions
from variants_genome import LENGTHS, open_context, sequences, write_vcf

LENGTH = 40
WANTED = {"b": {"kind": "output", "index": 1}, "a": {"kind": "output", "index": 0}}
NULL = NullOptions(size=9)
WINDOWS = WindowOptions(length=LENGTH)
FOLDS = ("one", "two")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chunks")
    settings = {"tasks": 2, "input_length": LENGTH, "filters": 4}
    for number, fold in enumerate(FOLDS):
        torch.manual_seed(number)
        model = build("cnn", **settings)
        save_checkpoint(
            model, folder / f"{fold}.pt", architecture="cnn", hyperparameters=settings, tasks=["a", "b"]
        )
    open_context(folder)
    genome, rng = sequences(), np.random.default_rng(1)
    places = [(chrom, int(at)) for chrom in LENGTHS for at in rng.integers(60, LENGTHS[chrom] - 60, 12)]
    rows = [
        (chrom, at + 1, genome[chrom][at], "ACGT".replace(genome[chrom][at], "")[at % 3])
        for chrom, at in places
    ]
    rows += [("chr1", 101, genome["chr1"][100], genome["chr1"][100] + "GA")]
    rng.shuffle(rows)
    rows = [(chrom, int(at), ref, alt) for chrom, at, ref, alt in rows]
    prepare_variants(
        write_vcf(folder / "calls.vcf", rows),
        folder / "genome.fa",
        folder / "alleles.tsv",
        folder / "dropped.tsv",
        windows=WINDOWS,
    )
    return folder


def scores(
    folder: Path, chunks: int, *, folds: tuple[str, ...] = FOLDS, **options: Any
) -> tuple[pd.DataFrame, dict[str, list[Path]]]:
    files: dict[str, list[Path]] = {}
    for fold in folds:
        files[fold] = [folder / f"{fold}-{chunk}of{chunks}.h5" for chunk in range(chunks)]
        for chunk, path in enumerate(files[fold]):
            job = VariantJob(
                chunk=chunk, chunks=chunks, fold=fold, targets=WANTED, windows=WINDOWS, null=NULL, **options
            )
            score_chunk(
                folder / "alleles.tsv",
                folder / "genome.fa",
                folder / f"{fold}.pt",
                path,
                job,
                model={"loader": "trained"},
                device="cpu",
            )
    combine_chunks(folder / "alleles.tsv", files, folder / "scores.tsv", wanted=WANTED, null=NULL)
    return pd.read_csv(folder / "scores.tsv", sep="\t"), files


@pytest.fixture(scope="module")
def whole(folder: Path) -> pd.DataFrame:
    return scores(folder, 1)[0]


def test_any_number_of_chunks_makes_one_table(folder: Path, whole: pd.DataFrame) -> None:
    found, _ = scores(folder, 40)  # more chunks than alleles: some are empty
    pd.testing.assert_frame_equal(found, whole, rtol=1e-4, atol=1e-6)


def test_each_variant_is_scored_by_the_fold_that_held_it_out(folder: Path, whole: pd.DataFrame) -> None:
    found, _ = scores(folder, 2, held_out={"one": ["chr2"], "two": ["chr1"]})
    own = np.where(found["chrom"] == "chr2", whole["a.one.effect"], whole["a.two.effect"])
    np.testing.assert_allclose(found["a.effect"], own, rtol=1e-4, atol=1e-6)
    assert found["a.p"].between(0.1, 1).all()
    assert not [name for name in found if "spread" in name or "one" in name], "nothing is shared by folds"


def test_alleles_that_no_fold_held_out_are_dropped_and_counted(folder: Path, tmp_path: Path) -> None:
    out = (tmp_path / "alleles.tsv", tmp_path / "dropped.tsv")
    prepare_variants(
        folder / "calls.vcf", folder / "genome.fa", *out, windows=WINDOWS, held_out={"one": ["chr2"]}
    )
    kept, dropped = read_alleles(out[0]), pd.read_csv(out[1], sep="\t")
    assert set(kept["chrom"]) == {"chr2"}
    assert len(kept) + len(dropped) == 25
    assert set(dropped["reason"]) == {"not_held_out"}


def test_a_missing_or_foreign_chunk_is_named(folder: Path, tmp_path: Path) -> None:
    _, files = scores(folder, 2)
    out = tmp_path / "scores.tsv"
    with pytest.raises(StorageError, match="alleles are in no chunk"):
        combine_chunks(folder / "alleles.tsv", {"one": files["one"][:1]}, out, wanted=WANTED, null=NULL)
    with pytest.raises(StorageError, match=r"null: found .*'size': 9\b.*'size': 99\b"):
        combine_chunks(folder / "alleles.tsv", files, out, wanted=WANTED, null=NullOptions(size=99))
    with h5py.File(files["one"][0]) as given, h5py.File(tmp_path / "few.h5", "w") as few:
        for name in given:
            few[name] = given[name][:0] if name in ("draws", "null") else given[name][:]
        few.attrs.update(given.attrs)
    lost = {"one": [tmp_path / "few.h5", files["one"][1]]}
    with pytest.raises(StorageError, match="of 18 contexts of the null are in no chunk"):
        combine_chunks(folder / "alleles.tsv", lost, out, wanted=WANTED, null=NULL)
    with pytest.raises(StorageError, match="fold: found one, expected two"):
        combine_chunks(folder / "alleles.tsv", {"two": files["one"]}, out, wanted=WANTED, null=NULL)
    other = read_alleles(folder / "alleles.tsv").iloc[1:]
    other.to_csv(tmp_path / "alleles.tsv", sep="\t", index=False)
    with pytest.raises(StorageError, match="alleles: found"):
        combine_chunks(tmp_path / "alleles.tsv", files, out, wanted=WANTED, null=NULL)
    assert not out.exists()


def test_distances_of_profiles_are_averaged_without_and_written_with_the_sign_of_the_mean_effect(
    folder: Path, tmp_path: Path
) -> None:
    """Folds disagree on the sign; one target takes its sign from the other one's effect."""
    alleles = read_alleles(folder / "alleles.tsv").iloc[:1]
    alleles.to_csv(tmp_path / "alleles.tsv", sep="\t", index=False)
    wanted = {"own": {"kind": "profile"}, "of_other": {"kind": "profile"}}
    null = NullOptions(size=0)
    for fold, (effect, distance) in {"one": (0.3, 0.05), "two": (-0.2, -0.4)}.items():
        measures = [[[1, 1, effect, np.nan, distance], [1, 1, -effect, np.nan, distance]]]
        with h5py.File(tmp_path / f"{fold}.h5", "w") as handle:
            arrays = {"rows": [0], "draws": np.zeros(0, int), "measures": measures, "null": np.zeros((0, 2))}
            for name, values in arrays.items():
                handle[name] = values
            job = {"fold": fold, "targets": wanted, "null": asdict(null), "signs": {"of_other": "own"}}
            handle.attrs.update(provenance.to_attributes({**job, "alleles_digest": digest_alleles(alleles)}))
    chunks = {fold: [tmp_path / f"{fold}.h5"] for fold in FOLDS}
    combine_chunks(tmp_path / "alleles.tsv", chunks, tmp_path / "s.tsv", wanted=wanted, null=null)
    row = pd.read_csv(tmp_path / "s.tsv", sep="\t").iloc[0]
    assert (row["own.effect"], row["own.jsd"]) == pytest.approx((0.05, 0.225))
    assert (row["of_other.effect"], row["of_other.jsd"]) == pytest.approx((-0.05, 0.225))


def test_a_column_of_a_reserved_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calls.tsv"
    path.write_text("chrom\tpos\tref\talt\tbefore\nchr1\t7\tA\tC\tx\n")
    with pytest.raises(InputError, match="reserved: before; rename"):
        prepare_variants(path, "genome.fa", "a", "d", windows=WINDOWS)


def test_the_vcf_is_sorted_indexed_and_has_the_scores(folder: Path, whole: pd.DataFrame) -> None:
    scores(folder, 1)
    out, index = folder / "variants.vcf.gz", folder / "variants.vcf.gz.tbi"
    write_scores(folder / "scores.tsv", out, targets=["b", "a"], lengths=LENGTHS)
    with pysam.VariantFile(str(out)) as handle:
        records, fields = list(handle.fetch("chr2", 0, 200)), set(handle.header.info)
    expected = whole[(whole["chrom"] == "chr2") & (whole["pos"] <= 200)].sort_values("pos")
    assert [record.pos for record in records] == expected["pos"].tolist()
    assert [record.id for record in records] == expected["id"].tolist()
    found = [record.info["a_effect"] for record in records]
    np.testing.assert_allclose(found, expected["a.effect"], rtol=1e-4)
    assert "a_logfc" not in fields, "a target that is no count has no fold change"
    assert index.stat().st_mtime_ns >= out.stat().st_mtime_ns


def test_ids_with_white_space_are_one_word_in_the_vcf(tmp_path: Path) -> None:
    row = {"chrom": ["chr1"], "pos": [1], "ref": ["A"], "alt": ["C"], "id": ["rs 1"], "x.effect": [0.5]}
    pd.DataFrame(row).to_csv(tmp_path / "scores.tsv", sep="\t", index=False)
    write_scores(tmp_path / "scores.tsv", tmp_path / "v.vcf.gz", targets=["x"], lengths=LENGTHS)
    with gzip.open(tmp_path / "v.vcf.gz", "rt") as handle:
        last = handle.read().splitlines()[-1]
    assert last == "	".join(["chr1", "1", "rs_1", "A", "C", ".", ".", "x_effect=0.5"])


def test_targets_whose_info_fields_would_be_one_are_refused(folder: Path, tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"chrom": ["chr1"], "pos": [1], "ref": ["A"], "alt": ["C"], "id": ["."], "x.y.p": [1], "x-y.p": [1]}
    )
    table.to_csv(tmp_path / "scores.tsv", sep="\t", index=False)
    out = tmp_path / "variants.vcf.gz"
    with pytest.raises(ConfigError, match="x_y_p; rename"):
        write_scores(tmp_path / "scores.tsv", out, targets=["x.y", "x-y"], lengths=LENGTHS)
    assert not out.exists()
