"""Variants from a file to the table of scores: every allele is there once, and chunks change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from cislex.errors import ConfigError, InputError
from cislex.models.architectures import build
from cislex.models.loading import load_model
from cislex.targets import Output
from cislex.training.train import save_checkpoint
from cislex.variants.alleles import check_variants
from cislex.variants.effects import prepare_comparison, variant_effects
from cislex.variants.score import NullOptions, score_variants
from cislex.variants.significance import draw_contexts, shuffled
from cislex.variants.vcf import read_variants
from cislex.variants.windows import WindowOptions, drop_unfit
from scipy.stats import false_discovery_control, percentileofscore
from variants_genome import open_context, random_variants, sequences, write_vcf

LENGTH = 60
WINDOWS = WindowOptions(length=LENGTH, anchor="both")
WANTED = {
    "a": {"kind": "output", "index": 0},
    "b": {"kind": "log", "of": {"kind": "output", "index": 1}, "pseudocount": 50},
}
SIZE = 25


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scores")
    settings = {"tasks": 2, "input_length": LENGTH, "filters": 6}
    for fold in range(2):
        torch.manual_seed(fold)
        save_checkpoint(
            build("cnn", **settings),
            folder / f"{fold}.pt",
            architecture="cnn",
            hyperparameters=settings,
            tasks=["a", "b"],
        )
    open_context(folder)
    rows = [
        (row.chrom, row.start + 1, row.ref, row.alt) for row in random_variants(40, margin=20).itertuples()
    ]
    rows += [("chrU", 5, "A", "C"), ("chr1", 100, sequences()["chr1"][99], "<DEL>")]
    write_vcf(folder / "calls.vcf", rows)
    pd.DataFrame(
        {
            "chrom": "chr1",
            "start": 0,
            "end": 9,
            "name": "x",
            "strand": ".",
            "a": np.linspace(-1, 1, 50),
            "b": 4.0,
        }
    ).to_csv(folder / "predictions.tsv", sep="\t", index=False)
    return folder


def score(folder: Path, variants: Path, **options: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    settings = {
        "weights": {f"fold_{i}": folder / f"{i}.pt" for i in range(2)},
        "wanted": WANTED,
        "loader": "trained",
        "windows": WINDOWS,
        "null": NullOptions(size=SIZE),
        "reverse_complement": True,
        "device": "cpu",
        **options,
    }
    out = folder / "scores.tsv", folder / "dropped.tsv"
    score_variants(variants, folder / "genome.fa", settings.pop("weights"), *out, **settings)
    return pd.read_csv(out[0], sep="\t"), pd.read_csv(out[1], sep="\t")


@pytest.fixture(scope="module")
def scored(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return score(folder, folder / "calls.vcf", background=folder / "predictions.tsv")


def test_every_allele_is_in_one_of_both_tables(
    folder: Path, scored: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    table, dropped = scored
    read = read_variants(folder / "calls.vcf")
    assert len(table) + len(dropped) == len(read)
    assert {"unknown_chromosome", "symbolic_allele", "chromosome_edge"} == set(dropped["reason"])
    left = read[~read["id"].isin(dropped["id"])]
    assert table["id"].tolist() == left["id"].tolist(), "in the order of the file"
    assert table["pos"].tolist() == (left["start"] + 1).tolist()


def test_columns_are_those_that_are_public(scored: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    rest = ["spread", "quantile", "reference", "alternative", "fold_0.effect", "fold_1.effect"]
    own = {"a": ("effect", "p", "q"), "b": ("effect", "logfc", "p", "q")}  # only b is counts
    columns = [f"{name}.{part}" for name in WANTED for part in (*own[name], *rest)]
    assert list(scored[0]) == ["chrom", "pos", "ref", "alt", "id", *columns]
    np.testing.assert_allclose(scored[0]["b.logfc"], scored[0]["b.effect"] / np.log(2), rtol=1e-4)


def test_scores_are_those_of_the_folds(folder: Path, scored: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Mean, spread, p and q over the folds, from the definitions and the effects of each fold."""
    context = open_context(folder)
    ledger = check_variants(read_variants(folder / "calls.vcf"), context)
    drop_unfit(ledger, context.genome.lengths, WINDOWS)
    kept = ledger.peaks[ledger.alive].reset_index(drop=True)
    draws = draw_contexts(kept, size=SIZE)
    values, null = [], []
    for fold in range(2):
        model = load_model("trained", weights=folder / f"{fold}.pt").model
        comparison = prepare_comparison(model, {"a": Output(0)}, both_strands=True)
        values.append(variant_effects(comparison, kept, context, WINDOWS)[:, 0])
        null.append(
            variant_effects(
                comparison,
                kept.iloc[draws.variant],
                context,
                WINDOWS,
                change=lambda stretches, chosen: shuffled(stretches, draws.seed[chosen]),
            )[2, 0]
        )
    effects, table = np.array([value[2] for value in values]), scored[0]
    np.testing.assert_allclose(table["a.effect"], effects.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(table["a.spread"], effects.std(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(table["a.fold_1.effect"], effects[1], rtol=1e-4, atol=1e-6)
    indel = (kept["before"].str.len() != kept["after"].str.len()).to_numpy()
    size, mean = np.abs(np.mean(null, axis=0)), effects.mean(0)
    p = [
        (1 + (size[draws.indel == kind] >= abs(x)).sum()) / (1 + SIZE)
        for x, kind in zip(mean, indel, strict=True)
    ]
    np.testing.assert_allclose(table["a.p"], p, rtol=1e-5)
    np.testing.assert_allclose(table["a.q"], false_discovery_control(p), rtol=1e-5)
    active = np.maximum(table["a.reference"], table["a.alternative"])
    expected = [percentileofscore(np.linspace(-1, 1, 50), value, kind="mean") / 100 for value in active]
    np.testing.assert_allclose(table["a.quantile"], expected, atol=0.011)


@pytest.mark.parametrize("options", [{"batch_size": 3}, {"reverse": True}, {"table": True}])
def test_order_format_and_batch_size_change_nothing(
    folder: Path,
    scored: tuple[pd.DataFrame, pd.DataFrame],
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = read_variants(folder / "calls.vcf")
    reverse, as_table = options.pop("reverse", False), options.pop("table", False)
    read = read.iloc[::-1] if reverse else read
    path = folder / "calls.tsv"
    if as_table:
        read.drop(columns="source_line").to_csv(path, sep="\t", index=False)
    else:
        rows = [(row.chrom, row.start + 1, row.ref, row.alt) for row in read.itertuples()]
        write_vcf(path, rows)
    monkeypatch.setattr("cislex.variants.summary.PART", 7)
    monkeypatch.setattr("cislex.variants.effects.BLOCK_BASES", 5 * LENGTH * 4)
    found = score(folder, path, background=folder / "predictions.tsv", **options)[0]
    expected = scored[0].iloc[::-1].reset_index(drop=True) if reverse else scored[0]
    numbers = [column for column in expected if "." in column]
    assert found[["chrom", "pos", "ref", "alt"]].equals(expected[["chrom", "pos", "ref", "alt"]])
    np.testing.assert_allclose(found[numbers], expected[numbers], rtol=1e-3, atol=1e-5)


def test_chunks_of_variants_have_the_effects_of_all(
    folder: Path, scored: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    columns = ["a.effect", "a.spread", "b.logfc", "a.reference"]
    text = (folder / "calls.vcf").read_text().splitlines(keepends=True)
    head, rows = text[:2], text[2:]
    parts = []
    for number, part in enumerate((rows[:15], rows[15:])):
        path = folder / f"part{number}.vcf"
        path.write_text("".join(head + part))
        parts.append(score(folder, path, null=NullOptions(size=0))[0])
    found = pd.concat(parts, ignore_index=True)
    np.testing.assert_allclose(found[columns], scored[0][columns], rtol=1e-4, atol=1e-6)
    assert found[["a.p", "a.q"]].isna().all(axis=None)


def test_further_columns_of_a_table_are_kept(folder: Path) -> None:
    base = sequences()["chr1"][200]
    path = folder / "one.tsv"
    path.write_text(
        f"chrom\tpos\tref\talt\tobserved\nchr1\t201\t{base}\t{'ACGT'.replace(base, '')[0]}\t1.5\n"
    )
    table, _ = score(folder, path, null=NullOptions(size=0), weights={"only": folder / "0.pt"})
    assert table["observed"].tolist() == [1.5]
    assert not [column for column in table if "spread" in column or "only" in column]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weights": {}}, ConfigError, "no fold"),
        ({"background": "other.tsv"}, InputError, "no numbers for b; it has name, a, b"),
        ({"signs": {"a": "x"}}, ConfigError, "signs: found x"),
        ({"wanted": {}}, ConfigError, "targets: found none"),
    ],
)
def test_wrong_settings_are_named(folder: Path, options: Any, error: type[Exception], message: str) -> None:
    if "background" in options:
        options = {"background": folder / options["background"]}
        options["background"].write_text("name\ta\tb\nx\t1\thigh\n")
    with pytest.raises(error, match=message):
        score(folder, folder / "calls.vcf", **options)


def test_no_variant_left_is_an_error_that_counts_the_reasons(folder: Path) -> None:
    path = write_vcf(folder / "none.vcf", [("chrU", 5, "A", "C"), ("chr1", 2, sequences()["chr1"][1], "*")])
    (folder / "scores.tsv").unlink(missing_ok=True)
    with pytest.raises(
        InputError, match=r"2 alleles read, 0 kept \(1 unknown_chromosome, 1 spanning_deletion\)"
    ) as caught:
        score(folder, path)
    said = str(caught.value)
    assert "no variant is left: line 3: chrU:5 A>C, unknown_chromosome (" in said, (
        "Snakemake deletes the table"
    )
    assert "The file has chrU; the genome has chr1, chr2, chrR" in said
    assert "genome: {aliases: file.tsv}" in said
    assert not (folder / "scores.tsv").exists()
    assert len(pd.read_csv(folder / "dropped.tsv", sep="\t")) == 2


def test_many_variants_on_unknown_chromosomes_are_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from cislex.variants.checked import prepare_variants

    base = sequences()["chr1"]
    rows = [("chr1", at + 1, base[at], "ACGT".replace(base[at], "")[0]) for at in range(100, 110)]
    star = [("chr1", 100, base[99], "*")] * 5
    out = (folder / "genome.fa", folder / "a.tsv", folder / "d.tsv")
    for more, level in (([], "INFO"), (star, "INFO"), ([("1", 101, "A", "C")] * 2, "WARNING")):
        caplog.clear()
        prepare_variants(write_vcf(folder / "m.vcf", rows + more), *out, windows=WindowOptions(length=LENGTH))
        (record,) = [r for r in caplog.records if "alleles read" in r.message]
        assert record.levelname == level
        assert ("genome: {aliases: file.tsv}" in record.message) == (level == "WARNING")


def test_null_of_negative_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="null size: found -1"):
        NullOptions(size=-1)
