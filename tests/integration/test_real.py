"""The two runs that the README shows: the demo, whose truth is known, and real yeast data."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import hub_rules
import numpy as np
import pandas as pd
import pyBigWig
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conftest import ROOT, Run, planned

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, snakemake: Run) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    snakemake(folder=folder)
    return folder / "results" / "demo"


def test_the_demo_recovers_every_planted_motif(demo: Path) -> None:
    tables = [pd.read_csv(path, sep="\t") for path in sorted(demo.glob("*/*/truth.tsv"))]
    truth = pd.concat(tables)
    driving = truth[truth["functional"].astype(bool)]
    assert len(driving) >= 3
    assert driving["recovered_as"].notna().all(), driving.to_string()
    assert (driving["hits_recall"] > 0.5).all(), driving.to_string()


def test_the_demo_lexicon_has_each_word_once_and_composites_by_both_names(demo: Path) -> None:
    lexicon = pd.read_csv(demo / "lexicon" / "lexicon.tsv", sep="\t", keep_default_na=False)
    words = lexicon[lexicon["composite_of"] == ""]
    assert words["match"].is_unique, words.to_string()
    composites = lexicon.loc[lexicon["composite_of"] != "", "name"]
    assert composites.str.contains(" bp– ").all(), composites.to_string()
    usage = pd.read_csv(demo / "lexicon" / "usage.tsv", sep="\t")
    assert usage.groupby("target")["n_seqlets"].max().gt(0).all()


def test_the_words_of_the_demo_raise_the_enhancer_where_they_are_inserted(demo: Path) -> None:
    table = pd.read_csv(demo / "insertions" / "enhancer" / "insertions.tsv", sep="\t")
    single = table[table["kind"] == "single"].groupby("name_a")[["effect", "q"]].max()
    assert ((single["effect"] > 0.5) & (single["q"] < 1e-3)).sum() >= 2, single.to_string()
    contexts = pd.read_csv(demo / "insertions" / "enhancer" / "contexts.tsv", sep="\t")
    assert (contexts["own_q"] < 1e-3).sum() >= 2, contexts.to_string()


def test_shuffled_regions_of_the_demo_become_enhancers_edit_by_edit(demo: Path) -> None:
    table = pd.read_csv(demo / "evolution" / "enhancer" / "trajectories.tsv", sep="\t")
    walks = table.pivot(index="sequence", columns="round", values="objective").ffill(axis=1)
    assert (walks.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None), walks.to_string()
    assert (walks[20] > walks[0] + 5).all(), walks.to_string()


def test_the_demo_model_is_good_on_held_out_chromosomes(demo: Path) -> None:
    for path in demo.glob("models/*/*.evaluation.tsv"):
        table = pd.read_csv(path, sep="\t")
        assert (table.loc[table["split"] == "test", "auroc"] > 0.9).all(), table.to_string()


def test_the_demo_opens_in_genome_browsers_and_other_tools(demo: Path, snakemake: Run) -> None:
    """A hub by the rules, hits in it as in the table; layouts on request; captions in Snakemake's report."""
    assert hub_rules.problems(demo / "browser") == []
    hits = pd.read_csv(demo / "enhancer/enhancer/hits.bed.gz", sep="\t")
    with pyBigWig.open(str(demo / "browser/data/enhancer.enhancer.hits.bb")) as track:
        found = [len(track.entries(chrom, 0, size)) for chrom, size in track.chroms().items()]
    assert sum(found) == len(hits) > 0
    wanted, run = "results/demo/exports/enhancer/enhancer", ("--config", "exports=[modisco,bedgraph,anndata]")
    snakemake(wanted, *run, folder=demo.parents[1])
    with np.load(demo / "exports/enhancer/enhancer/shap.npz") as arrays:
        assert arrays["arr_0"].shape[1:] == (4, 200)
    snakemake("--report", "run.zip", folder=demo.parents[1])
    names = {Path(name).name for name in zipfile.ZipFile(demo.parents[1] / "run.zip").namelist()}
    assert {"report.html", "igv.html", "motifs.tsv", "qc.tsv", "lexicon.tsv", "usage.tsv"} <= names


def test_a_second_demo_does_nothing_and_new_motif_settings_rerun_only_motifs(
    demo: Path, snakemake: Run
) -> None:
    folder = demo.parents[1]
    assert "Nothing to be done" in snakemake(folder=folder).stdout


def test_yeast_factors_motifs_come_out_on_top(
    tmp_path_factory: pytest.TempPathFactory,
    snakemake: Run,
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CISLEX_MIRROR", str(shared_data))
    folder = tmp_path_factory.mktemp("yeast")
    snakemake("--configfile", str(ROOT / "config" / "yeast.yaml"), folder=folder)
    expected = {"reb1": "REB1", "abf1": "ABF1", "rap1": "RAP1"}
    for factor, name in expected.items():
        motifs = pd.read_csv(folder / "results" / "yeast" / factor / factor / "motifs.tsv", sep="\t")
        best = motifs[motifs["sign"] == "+"].sort_values("n_seqlets").iloc[-1]
        assert best["match_1_name"].upper() == name, motifs.to_string()
        assert best["match_1_q"] < 1e-6
    usage = pd.read_csv(folder / "results/yeast/lexicon/usage.tsv", sep="\t")
    most = usage.loc[usage.groupby("name")["n_seqlets"].idxmax()].set_index("name")["target"]
    assert {factor: most[name] for factor, name in expected.items()} == {f: f for f in expected}
    evaluation = pd.read_csv(folder / "results/yeast/models/yeast/fold_0.evaluation.tsv", sep="\t")
    held_out = evaluation[evaluation["split"] == "test"]
    assert (held_out["auroc"] > 0.85).all(), held_out.to_string()
    baseline = pd.read_csv(folder / "results/yeast/models/yeast/fold_0.baseline.tsv", sep="\t")
    both = held_out.merge(baseline, on=["task", "split"])
    assert len(both) == len(expected)
    assert (both["auprc"] > both["pwm_auprc"] - 0.03).all(), "as good as the best known motif, within noise"
    plan = planned(
        snakemake("--configfile", str(ROOT / "config" / "yeast.yaml"), "--dry-run", folder=folder).stdout
    )
    assert plan == {}
