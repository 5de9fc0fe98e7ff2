"""The workflow with labels: predictions are compared with them, and without labels nothing is added."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyBigWig
import pytest
import yaml
from scipy import stats
from small_project import configuration, write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import ROOT, Run, planned

pytestmark = pytest.mark.workflow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The small project, a table that says which sequences hold a site, and an array of numbers."""
    write_project(tmp_path)
    sites = pd.DataFrame({"name": [f"s{i}" for i in range(300)], "site": [1] * 280 + [0] * 20})
    sites.sample(frac=1, random_state=0).to_csv(tmp_path / "sites.csv", index=False)
    with h5py.File(tmp_path / "numbers.h5", "w") as handle:
        handle["y"] = np.random.default_rng(0).normal(size=(300, 2))
    return tmp_path


def write_config(folder: Path, labels: dict[str, Any] | None) -> None:
    config = configuration()
    del config["analyses"]["gradient"]
    config["analyses"]["shap"]["labels"] = labels
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


LABELS = {
    "a": {"table": "sites.csv", "column": "site"},
    "b": {"hdf5": "numbers.h5", "dataset": "y", "index": 1},
}


def test_predictions_are_compared_with_labels_of_a_table_and_of_an_array(
    project: Path, snakemake: Run
) -> None:
    write_config(project, LABELS)
    plan = planned(snakemake("--configfile", "config.yaml", "--dry-run", folder=project).stdout)
    assert plan["evaluate_predictions"] == 1
    snakemake("results/shap/evaluation.tsv", "--configfile", "config.yaml", folder=project)
    folder = project / "results" / "shap"
    predicted = pd.read_csv(folder / "predictions.tsv", sep="\t", keep_default_na=False)
    observed = pd.read_csv(folder / "observed.tsv", sep="\t", keep_default_na=False)
    assert observed["a.observed"].tolist() == [1] * 280 + [0] * 20
    scores = pd.read_csv(folder / "evaluation.tsv", sep="\t").set_index("target")
    assert scores["labels"].to_dict() == {"a": "classes", "b": "numbers"}
    ranks = stats.mannwhitneyu(predicted["a"][:280], predicted["a"][280:])
    assert scores.loc["a", "auroc"] == pytest.approx(ranks.statistic / (280 * 20), rel=1e-5)
    with h5py.File(project / "numbers.h5") as handle:
        numbers = handle["y"][:, 1]
    assert scores.loc["b", "pearson"] == pytest.approx(np.corrcoef(numbers, predicted["b"])[0, 1], rel=1e-4)

    (project / "sites.csv").write_text((project / "sites.csv").read_text().replace("s7,1", "s7,0"))
    plan = planned(snakemake("--configfile", "config.yaml", "--dry-run", folder=project).stdout)
    assert plan["evaluate_predictions"] == 1, "a changed label is compared again"
    assert "predict_regions" not in plan


def test_without_labels_nothing_is_added_and_a_missing_file_is_named(project: Path, snakemake: Run) -> None:
    write_config(project, None)
    plan = planned(snakemake("--configfile", "config.yaml", "--dry-run", folder=project).stdout)
    assert "evaluate_predictions" not in plan
    write_config(project, {**LABELS, "a": {"table": "gone.tsv", "column": "site"}})
    done = snakemake("--configfile", "config.yaml", "--dry-run", folder=project, check=False)
    assert done.returncode
    assert "analyses.shap.labels.a.table: no such file: gone.tsv" in done.stdout


def test_peaks_take_labels_of_their_own_file_and_of_signal(tmp_path: Path, snakemake: Run) -> None:
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config["analyses"]["enhancer"]["labels"] = {"enhancer": {"column": "signal_value"}}
    config["analyses"]["insulator"]["labels"] = {"insulator": {"bigwig": "signal.bw", "window": 100}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pyBigWig.open(str(tmp_path / "signal.bw"), "w") as signal:
        signal.addHeader([("chrS1", 1000)])
        signal.addEntries(["chrS1"], [0], ends=[10], values=[1.0])
    plan = planned(snakemake("--configfile", "config.yaml", "--dry-run", folder=tmp_path).stdout)
    assert plan["evaluate_predictions"] == 2
