"""A comparison in the workflow: methods agree as they must, reruns repeat what they must."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from small_project import configuration, write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run, planned

pytestmark = pytest.mark.workflow

FOLDER = "results/comparisons/methods"
TABLE = f"{FOLDER}/comparison.tsv"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, snakemake: Run) -> Path:
    """Saliency, TISM and DeepLIFT/SHAP of both targets of the small project, one fold, 60 regions."""
    folder = write_project(tmp_path_factory.mktemp("comparison"))
    lines = (folder / "sequences.fa").read_text().splitlines()
    (folder / "sequences.fa").write_text("\n".join(lines[:120]) + "\n")
    config = configuration()
    del config["models"]["net"]["folds"]["fold_1"]
    config["regions"]["mine"]["chunks"] = 1
    own = {key: config["analyses"]["shap"][key] for key in ("regions", "model", "targets", "qc")}
    config["analyses"] = {
        "shap": {**own, "method": {"references": {"n": 4}}},
        "saliency": {**own, "method": {"name": "saliency"}},
        "tism": {**own, "method": {"name": "tism"}},
    }
    config["comparisons"] = {
        "methods": {
            "analyses": ["shap", "saliency", "tism"], "uncorrected": ["saliency"], "yardstick": "shap",
            "top": [8], "logos": 1, "faithfulness": {"n": 12, "steps": 5, "draws": 2},
        }
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    snakemake("--configfile", "config.yaml", "--", TABLE, folder=folder)
    return folder


def test_methods_agree_as_they_must(compared: Path) -> None:
    table = pd.read_csv(compared / TABLE, sep="\t").set_index(["target", "analysis_a", "analysis_b"])
    assert len(table) == 2 * 6
    for target in ("a", "b"):
        same = table.loc[(target, "saliency", "tism")]
        assert same["hypothetical.pearson"] == same["contributions.top_8"] == 1
        assert table.loc[(target, "saliency", "saliency.uncorrected"), "hypothetical.pearson"] < 0.999
    methods = pd.read_csv(compared / FOLDER / "methods.tsv", sep="\t").set_index(["target", "analysis"])
    shap, plain = methods.loc[("a", "shap")], methods.loc[("a", "saliency.uncorrected")]
    assert shap["deletion"] > shap["deletion_random"]
    assert shap["max_delta"] < 0.01
    assert methods["seconds_per_region"].gt(0).all()
    assert abs(shap["randomised"]) < 0.6 < shap["stability"]
    assert pd.isna(plain["stability"])
    assert (shap["method"], shap["rule"], plain["method"]) == ("deep_lift_shap", "rescale", "saliency")
    curves = pd.read_csv(compared / FOLDER / "curves.tsv", sep="\t")
    assert set(curves["analysis"]) == {"shap", "saliency", "tism", "saliency.uncorrected"}
    assert len(pd.read_csv(compared / FOLDER / "regions.tsv.gz", sep="\t")) == 60 * 2 * 6


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"top": [9]}, {"compare_methods": 1}),
        ({"faithfulness": {"n": 13}}, {"measure_faithfulness": 4, "compare_methods": 1}),
    ],
    ids=["nothing", "top", "faithfulness"],
)
def test_a_changed_setting_repeats_what_depends_on_it(
    compared: Path, snakemake: Run, change: dict[str, object], expected: dict[str, int]
) -> None:
    config = yaml.safe_load((compared / "config.yaml").read_text())
    config["comparisons"]["methods"].update(change)
    (compared / "changed.yaml").write_text(yaml.safe_dump(config))
    plan = planned(
        snakemake("--configfile", "changed.yaml", "--dry-run", "--", TABLE, folder=compared).stdout
    )
    plan.pop("total", None)
    assert dict(plan) == expected
