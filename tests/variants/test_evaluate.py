"""Measured variants: a planted truth is found by the effect, and the best site of a motif is the baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cislex.errors import InputError
from cislex.files.bigwig import writing_bigwig
from cislex.motifs.files import MemeMotif
from cislex.report.sections.measured_variants import describe_measured
from cislex.report.specs import VariantTables
from cislex.variants.attributed import attribution_around
from cislex.variants.checked import read_alleles
from cislex.variants.evaluate import EvaluationFiles, enriched, evaluate_variants, observed_numbers
from cislex.variants.sites import largest_changes, score_sites
from scipy.stats import fisher_exact, pearsonr, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score
from variants_genome import open_context, random_variants, sequences

N = 120
MOTIF = "TGACTCAG"


def motif(text: str, name: str = "m") -> MemeMotif:
    ppm = np.full((4, len(text)), 0.01)
    ppm[["ACGT".index(letter) for letter in text], range(len(text))] = 0.97
    return MemeMotif(name, name, ppm, 100)


def write(folder: Path, observed: Any) -> dict[str, Any]:
    """Tables of random substitutions whose effects on ``a`` are planted; those on ``b`` are noise."""
    rng = np.random.default_rng(1)
    read = random_variants(N, indels=False)
    truth = rng.normal(size=N)
    effects = {"a": truth + 0.3 * rng.normal(size=N), "b": rng.normal(size=N)}
    cells = observed(truth)
    named = read[["chrom", "ref", "alt", "id"]].assign(pos=read["start"] + 1, observed=cells)
    columns = {f"{name}.effect": effect for name, effect in effects.items()}
    columns |= {"a.logfc": 2 * effects["a"], "a.q": np.where(np.abs(truth) > 1, 0.01, 0.5), "b.q": 0.5}
    named.assign(**columns).to_csv(folder / "variants.tsv", sep="\t", index=False)
    read.assign(at=read["start"], before=read["ref"], after=read["alt"], observed=cells).to_csv(
        folder / "alleles.tsv", sep="\t", index=False
    )
    open_context(folder)
    rows = "\n".join(" ".join(map(str, row)) for row in motif(MOTIF).ppm.T)
    (folder / "m.meme").write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF m1 AP1\n"
        f"letter-probability matrix: alength= 4 w= 8\n{rows}\n"
    )
    return {"truth": truth, **effects}


def run(folder: Path, **options: Any) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    made = [folder / f"{name}.tsv" for name in ("evaluation", "enrichment", "observed")]
    evaluate_variants(
        folder / "variants.tsv", folder / "alleles.tsv", folder / "genome.fa", EvaluationFiles(*made),
        targets=["a", "b"], motifs={"known": [folder / "m.meme"]}, **options,
    )  # fmt: skip
    evaluation, enrichment, observed = (pd.read_csv(path, sep="\t") for path in made)
    return evaluation.set_index(["target", "by"]), enrichment, observed


def test_numbers_are_correlated_and_a_threshold_makes_classes(tmp_path: Path) -> None:
    made = write(tmp_path, lambda truth: [*truth[:-5], *[""] * 5])
    evaluation, enrichment, observed = run(tmp_path, threshold=1.0)
    truth, effects = made["truth"][:-5], made["a"][:-5]
    row = evaluation.loc[("a", "effect")]
    assert row["n"] == len(observed) == N - 5
    assert row["pearson"] == pytest.approx(pearsonr(truth, effects)[0], abs=1e-4)
    assert row["spearman"] == pytest.approx(spearmanr(truth, effects)[0], abs=1e-4)
    positive = np.abs(truth) >= 1
    assert row["auroc"] == pytest.approx(roc_auc_score(positive, np.abs(effects)), abs=1e-4)
    assert row["auprc"] == pytest.approx(average_precision_score(positive, np.abs(effects)), abs=1e-4)
    assert row["pearson_low"] < row["pearson"] < row["pearson_high"]
    assert evaluation.loc[("a", "logfc"), "pearson"] == pytest.approx(row["pearson"], abs=1e-4)
    assert evaluation.loc[("b", "effect"), "pearson_high"] < row["pearson_low"], "noise is told from a signal"
    assert set(evaluation.index) == {(t, b) for t in "ab" for b in ("effect", "known")} | {("a", "logfc")}
    first = enrichment[(enrichment["target"] == "a") & (enrichment["by"] == "effect")].set_index("selection")
    assert list(first.index) == ["q < 0.05", "top 1 %", "top 5 %", "top 10 %"]
    assert first.loc["q < 0.05", "selected"] == first.loc["q < 0.05", "selected_positives"] == positive.sum()
    assert first.loc["q < 0.05", "p"] < 1e-10
    assert first.loc["top 10 %", "selected"] == 12
    expected = np.argsort(-np.abs(effects))[:12]
    assert first.loc["top 10 %", "selected_positives"] == positive[expected].sum()
    view = describe_measured(
        VariantTables(
            "v", "x", ["a"], *(tmp_path / "variants.tsv",) * 3,
            evaluation=tmp_path / "evaluation.tsv", enrichment=tmp_path / "enrichment.tsv",
        )
    )["a"]  # fmt: skip
    assert view.text.startswith(f"115 measured alleles, {positive.sum()} of them positive")
    assert [row[0] for row in view.rows] == ["effect", "fold change", "best change of a known motif's site"]
    assert all(len(row) == 1 + len(view.headings) for row in view.rows)


def test_variants_are_ranked_by_the_attribution_around_them(tmp_path: Path) -> None:
    made = write(tmp_path, lambda truth: truth)
    rows = read_alleles(tmp_path / "alleles.tsv")
    positive = np.abs(made["truth"]) >= 1
    sizes = {name: len(letters) for name, letters in sequences().items()}
    tracks = {name: np.full(size, np.nan) for name, size in sizes.items()}
    for place, (chrom, at) in enumerate(zip(rows["chrom"], rows["at"], strict=True)):
        if place % 3:  # the others are in no region
            tracks[chrom][max(at - 6, 0) : at + 7] = -1.0
    for chrom, at in zip(rows["chrom"][positive], rows["at"][positive], strict=True):
        tracks[chrom][at - 2 if at > 1 else 0 : at + 3] *= -3.0
    with writing_bigwig(tmp_path / "a.bw", sizes) as add:
        for chrom, values in tracks.items():
            for start in np.flatnonzero(~np.isnan(values)):
                add(chrom, int(start), values[start : start + 1])
    expected = np.array(
        [
            np.nanmean(np.abs(tracks[chrom][max(at - 4, 0) : at + 5]))
            if np.isfinite(tracks[chrom][max(at - 4, 0) : at + 5]).any()
            else np.nan
            for chrom, at in zip(rows["chrom"], rows["at"], strict=True)
        ]
    )
    np.testing.assert_allclose(attribution_around(rows, tmp_path / "a.bw", 4), expected, rtol=1e-6)
    evaluation, enrichment, observed = run(tmp_path, threshold=1.0, tracks={"a": tmp_path / "a.bw"}, flank=4)
    covered = np.isfinite(expected)
    row = evaluation.loc[("a", "attribution")]
    assert row["n"] == covered.sum() < N
    assert row["auroc"] > 0.6
    assert row["auroc"] == pytest.approx(roc_auc_score(positive[covered], expected[covered]), abs=1e-4)
    assert np.isnan(row["pearson"]), "it has no sign"
    assert ("b", "attribution") not in evaluation.index
    np.testing.assert_allclose(observed["a.attribution"], expected, rtol=1e-5)
    assert set(enrichment[enrichment["by"] == "attribution"]["n"]) == {covered.sum()}
    assert ("a", "attribution") not in run(tmp_path, tracks={"a": tmp_path / "a.bw"})[0].index, "no classes"


def test_zeros_and_ones_are_classes_and_numbers_without_threshold_are_not(tmp_path: Path) -> None:
    write(tmp_path, lambda truth: (np.abs(truth) > 1).astype(int))
    evaluation, enrichment, _ = run(tmp_path)
    assert evaluation["pearson"].isna().all()
    assert evaluation.loc[("a", "effect"), "auroc"] > 0.9
    assert len(enrichment) == 2 * (4 + 3) + 3, "both targets by two scores, one by its fold change"
    write(tmp_path, lambda truth: truth)
    evaluation, enrichment, _ = run(tmp_path)
    assert evaluation["auroc"].isna().all()
    assert enrichment.empty


@pytest.mark.parametrize(
    ("observed", "options", "message"),
    [
        (lambda t: t, {"column": "fold"}, "no column fold; it has"),
        (lambda t: ["high", "low", *t[2:]], {}, "2 are not finite numbers: line 3: 'high', line 4: 'low'"),
        (lambda t: 0 * t + 1, {}, "all 120 measurements are 1"),
        (lambda t: [""] * len(t), {}, "no measurement"),
        (lambda t: t, {"threshold": 99.0}, "0 of 120 measurements are at least 99; both kinds"),
    ],
)
def test_measurements_that_cannot_be_compared_are_named(
    tmp_path: Path, observed: Any, options: dict[str, Any], message: str
) -> None:
    write(tmp_path, observed)
    with pytest.raises(InputError, match=message):
        run(tmp_path, **options)
    assert not (tmp_path / "evaluation.tsv").exists()


def test_tables_of_other_alleles_are_refused(tmp_path: Path) -> None:
    write(tmp_path, lambda truth: truth)
    table = pd.read_csv(tmp_path / "variants.tsv", sep="\t").iloc[::-1]
    table.to_csv(tmp_path / "variants.tsv", sep="\t", index=False)
    with pytest.raises(InputError, match="different alleles; run combine_variants again"):
        run(tmp_path)


def test_odds_are_those_of_the_counts_and_ties_are_selected_together() -> None:
    positive = np.array([True] * 6 + [False] * 14)
    guess = np.array([3.0] * 3 + [0.0] * 17)
    rows = {row["selection"]: row for row in enriched(positive, guess)}
    assert [row["selected"] for row in rows.values()] == [3, 3, 3]
    assert rows["top 5 %"]["p"] == pytest.approx(fisher_exact([[3, 0], [3, 14]], "greater")[1])
    assert rows["top 5 %"]["odds_ratio"] == pytest.approx(3.5 * 14.5 / (0.5 * 3.5))


def test_nothing_selected_has_no_odds() -> None:
    positive = np.arange(20) < 5
    first, *others = enriched(positive, np.arange(20.0), q=np.full(20, 0.5))
    assert (first["selection"], first["selected"], first["p"]) == ("q < 0.05", 0, 1.0)
    assert np.isnan([first[f"odds_ratio{end}"] for end in ("", "_low", "_high")]).all()
    assert all(np.isfinite(row["odds_ratio"]) for row in others)


def test_empty_cells_of_every_spelling_are_missing() -> None:
    table = pd.DataFrame({"observed": ["1", " ", "NA", "nan", ".", "-2e3"], "source_line": range(6)})
    np.testing.assert_array_equal(observed_numbers(table, "observed", "t"), [1, *[np.nan] * 4, -2000])


@pytest.mark.parametrize("strand", [1, -1])
@pytest.mark.parametrize(
    ("before", "after", "loses"),
    [("A", "G", True), ("", "TT", True), ("AC", "", True), ("A", "A", False)],
    ids=["substitution", "insertion", "deletion", "nothing"],
)
def test_a_site_is_scored_where_it_overlaps_the_allele(
    tmp_path: Path, strand: int, before: str, after: str, loses: bool
) -> None:
    """A planted site, on either strand, is full on the reference, and gone after a change in it."""
    text = MOTIF if strand == 1 else MOTIF[::-1].translate(str.maketrans("ACGT", "TGCA"))
    context = open_context(tmp_path)
    genome = sequences()["chr1"]
    planted = genome[:300] + text + genome[308:]
    (tmp_path / "genome.fa").write_text(f">chr1\n{planted}\n")
    (tmp_path / "genome.fa.fai").unlink(missing_ok=True)
    context = type(context)(type(context.genome)(tmp_path / "genome.fa"))
    at = 302 + (strand < 0)
    before = planted[at : at + len(before)]
    after = before if not loses else after if after != before else "C"
    rows = [("chr1", at, before, after), ("chr1", 300 - 20, planted[280], "ACGT"[planted[280] == "A"])]
    table = pd.DataFrame(rows, columns=["chrom", "at", "before", "after"])
    motifs = [motif("GGGGGGGGGGGG"), motif(MOTIF)]
    scores = score_sites(table, context, motifs)
    best = 8 * np.log2(0.97 * 4)
    assert scores[0][0, 1] == pytest.approx(best, rel=0.02)
    assert scores[0][1, 1] < best - 4, "a site that does not overlap is no site of the variant"
    assert (scores[1][0, 1] < best - 4) == loses
    found = largest_changes(table, context, motifs)
    assert found.motif[0] == 1 or not loses
    assert (found.change[0] < -4) == loses
