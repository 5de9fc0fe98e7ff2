"""Predictions beside labels: closed-form scores, splits, and tables that hold what was compared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cislex.errors import ConfigError, InputError
from cislex.files.tables import write_table
from cislex.prediction.evaluate import evaluate_predictions, score
from cislex.regions.extraction import write_regions_bed
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

ROOT = Path(__file__).resolve().parents[2]
N = 90


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Predictions of two targets for regions of three chromosomes, and labels that follow them with noise."""
    rng = np.random.default_rng(0)
    start = np.arange(N) * 1000
    regions = pd.DataFrame(
        {
            "chrom": ["chr1"] * 50 + ["chr2"] * 30 + ["chr3"] * 10,
            "start": start, "end": start + 100, "name": [f"p{i}" for i in range(N)], "score": ".",
            "strand": "+", "peak_start": start, "peak_end": start + 100, "source_line": range(1, N + 1),
        }
    )  # fmt: skip
    write_regions_bed(regions, tmp_path / "regions.bed")
    table = regions[["chrom", "start", "end", "name", "strand"]].copy()
    table["number"], table["class"] = rng.normal(size=(2, N)).round(3)
    write_table(table, tmp_path / "predictions.tsv")
    labels = pd.DataFrame(
        {
            "name": table["name"],
            "signal": 2 * table["number"] + rng.normal(size=N) + 3,
            "bound": (table["class"] + rng.normal(size=N) > 0).astype(int),
        }
    )
    write_table(labels, tmp_path / "labels.tsv")
    return tmp_path


def run(folder: Path, labels: dict[str, dict[str, object]], **options: object) -> list[pd.DataFrame]:
    paths = [folder / name for name in ("predictions.tsv", "regions.bed", "observed.tsv", "evaluation.tsv")]
    evaluate_predictions(*paths, labels=labels, **{"n_bootstrap": 50, **options})
    return [pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""]) for path in paths[2:]]


def sources(folder: Path) -> dict[str, dict[str, object]]:
    table = folder / "labels.tsv"
    return {"number": {"table": table, "column": "signal"}, "class": {"table": table, "column": "bound"}}


def test_scores_equal_their_definitions(folder: Path) -> None:
    observed, evaluation = run(folder, sources(folder))
    labels = pd.read_csv(folder / "labels.tsv", sep="\t")
    predicted = pd.read_csv(folder / "predictions.tsv", sep="\t")
    np.testing.assert_allclose(observed["number.observed"], labels["signal"], rtol=1e-5)
    np.testing.assert_array_equal(observed["class.observed"], labels["bound"])
    for target in ("number", "class"):
        np.testing.assert_array_equal(observed[f"{target}.predicted"], predicted[target])
    assert observed["name"].tolist() == labels["name"].tolist()
    assert "held_out" not in observed

    rows = evaluation[(evaluation["split"] == "all") & evaluation["chrom"].isna()].set_index("target")
    assert rows["n"].tolist() == [N, N]
    x, y = labels["signal"], predicted["number"]
    expected = {
        "pearson": stats.pearsonr(x, y).statistic,
        "spearman": stats.spearmanr(x, y).statistic,
        "rmse": np.sqrt(((x - y) ** 2).mean()),
    }
    x, y = labels["bound"], predicted["class"]
    areas = {"auroc": roc_auc_score(x, y), "auprc": average_precision_score(x, y)}
    assert rows.loc["class", "positives"] == x.sum()
    for target, scores in (("number", expected), ("class", areas)):
        for name, value in scores.items():
            assert rows.loc[target, name] == pytest.approx(value, rel=1e-5)
            assert rows.loc[target, f"{name}_low"] < value < rows.loc[target, f"{name}_high"]
    assert rows["labels"].to_dict() == {"number": "numbers", "class": "classes"}
    assert rows.loc["number", ["auroc", "positives"]].isna().all()
    assert rows.loc["class", ["pearson", "rmse"]].isna().all()


def test_a_perfect_prediction_has_no_error_and_a_shifted_one_the_shift() -> None:
    values = np.arange(40.0)
    chroms = pd.Series(["chr1"] * 40)
    row = score(values, values + 3, target="t", classes=False, chroms=chroms, n_bootstrap=20).iloc[0]
    assert row[["pearson", "spearman", "pearson_low", "spearman_high"]].tolist() == pytest.approx([1] * 4)
    assert row[["rmse", "rmse_low", "rmse_high"]].tolist() == pytest.approx([3] * 3)


def test_held_out_regions_are_scored_apart_and_every_chromosome_with_enough_regions(folder: Path) -> None:
    observed, evaluation = run(folder, sources(folder), held_out=["chr2", "chr3", "chr9"])
    assert observed["held_out"].tolist() == [0] * 50 + [1] * 40
    rows = evaluation[evaluation["target"] == "number"]
    found = list(zip(rows["split"], rows["chrom"].fillna(""), rows["n"], strict=True))
    assert found == [
        ("all", "", 90), ("held_out", "", 40), ("seen", "", 50),
        ("seen", "chr1", 50), ("held_out", "chr2", 30),
    ]  # fmt: skip
    part = observed[observed["chrom"] == "chr2"]
    expected = stats.pearsonr(part["number.observed"], part["number.predicted"]).statistic
    assert rows["pearson"].iloc[-1] == pytest.approx(expected, rel=1e-4)


def test_nothing_held_out_is_all_seen(folder: Path) -> None:
    _, evaluation = run(folder, sources(folder), held_out=[])
    assert set(evaluation["split"]) == {"all", "seen"}


def test_regions_without_a_label_are_left_out_where_the_config_says_so(folder: Path) -> None:
    labels = pd.read_csv(folder / "labels.tsv", sep="\t")
    write_table(labels[:60], folder / "labels.tsv")
    wanted = sources(folder)
    with pytest.raises(InputError, match="no label for 30 of 90 regions, first chr2:60000-60100"):
        run(folder, wanted)
    wanted["number"]["missing"] = wanted["class"]["missing"] = "drop"
    observed, evaluation = run(folder, wanted)
    assert observed["number.observed"].isna().tolist() == [False] * 60 + [True] * 30
    assert evaluation.loc[evaluation["chrom"].isna(), "n"].tolist() == [60, 60]
    expected = stats.pearsonr(observed["number.observed"][:60], observed["number.predicted"][:60]).statistic
    assert evaluation["pearson"].iloc[0] == pytest.approx(expected, rel=1e-4)


def test_a_part_with_one_class_has_no_score_and_a_whole_of_one_class_is_refused(folder: Path) -> None:
    labels = pd.read_csv(folder / "labels.tsv", sep="\t")
    labels.loc[50:79, "bound"] = 1
    write_table(labels, folder / "labels.tsv")
    wanted = {"class": sources(folder)["class"]}
    _, evaluation = run(folder, wanted)
    row = evaluation[evaluation["chrom"] == "chr2"].iloc[0]
    assert (row["n"], row["positives"]) == (30, 30)
    assert np.isnan(row["auroc"])
    write_table(labels.assign(bound=1), folder / "labels.tsv")
    with pytest.raises(InputError, match="task class: 90 of 90"):
        run(folder, wanted)
    write_table(labels.assign(signal=2.5), folder / "labels.tsv")
    with pytest.raises(InputError, match=r"task number: all 90 observations are 2\.5"):
        run(folder, {"number": sources(folder)["number"]})


def test_targets_and_regions_that_do_not_fit_are_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no target other; .* has number, class"):
        run(folder, {"other": {"table": folder / "labels.tsv", "column": "signal"}})
    table = pd.read_csv(folder / "predictions.tsv", sep="\t")
    write_table(table[:-1], folder / "predictions.tsv")
    with pytest.raises(InputError, match=r"\(89 rows\) and .* \(90 rows\) contain different regions; rerun"):
        run(folder, sources(folder))
    table.loc[4, "start"] += 1
    write_table(table, folder / "predictions.tsv")
    with pytest.raises(InputError, match="first row 4: chr1:4001-4100 and chr1:4000-4100"):
        run(folder, sources(folder))
    assert not (folder / "observed.tsv").exists()


def test_the_same_seed_gives_the_same_intervals(folder: Path) -> None:
    first, again, other = (run(folder, sources(folder), seed=seed)[1] for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["pearson_low"] != other["pearson_low"]).any()


def test_the_script_runs_as_snakemake_runs_it(folder: Path) -> None:
    program = f"""
import runpy
from types import SimpleNamespace
class Items(dict):
    __getattr__ = dict.__getitem__
labels = {{"number": {{"table": "labels.tsv", "column": "signal"}}}}
script = {str(ROOT / "scripts" / "evaluate_predictions.py")!r}
runpy.run_path(script, init_globals={{"snakemake": SimpleNamespace(
    scriptdir={str(ROOT / "scripts")!r}, log=["run.log"], threads=1,
    input=Items(predictions="predictions.tsv", regions="regions.bed"),
    output=Items(observed="observed.tsv", evaluation="evaluation.tsv"),
    params=Items(options={{"labels": labels, "held_out": None, "seed": 0}}))}})
"""
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, timeout=120)
    assert "pearson_low" in (folder / "evaluation.tsv").read_text()
