"""The price before the run, the budget that refuses it, and what jobs asked for, through Snakemake."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from small_project import configuration, write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run, planned

pytestmark = pytest.mark.workflow


def write_config(folder: Path, **changes: Any) -> None:
    config = configuration()
    del config["analyses"]["shap"], config["models"]["net"]["folds"]["fold_1"]
    config["regions"]["mine"]["chunks"] = 2
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, **changes}))


def test_estimate_budget_and_resources(tmp_path: Path, snakemake: Run) -> None:
    write_project(tmp_path)
    own = ("--configfile", "config.yaml")
    write_config(tmp_path, budget={"gpu_hours": 1e-4})
    first = snakemake(*own, folder=tmp_path, check=False)
    assert first.returncode != 0
    assert "has not been measured yet for gradient: run `make estimate" in first.stdout
    assert not (tmp_path / "results" / "regions").exists(), "nothing was started"

    page = snakemake(*own, "--forcerun", "estimate_cost", "--", "estimate", folder=tmp_path).stdout
    assert "regions.mine.chunks: 1   (now 2)" in page
    table = pd.read_csv(tmp_path / "results" / "cost.tsv", sep="\t")
    assert table.loc[0, ["analysis", "regions", "folds", "pairs", "jobs"]].tolist() == [
        "gradient", 300, 1, 300, 2,
    ]  # fmt: skip

    refused = snakemake(*own, folder=tmp_path, check=False)
    assert refused.returncode != 0
    assert "this run is over its budget" in refused.stdout
    assert "budget.confirmed: true" in refused.stdout
    assert not (tmp_path / "results" / "regions").exists(), "nothing was started"

    target = "results/gradient/a/attributions.h5"
    write_config(tmp_path, budget={"gpu_hours": 1e-4, "confirmed": True})
    snakemake(*own, "--", target, folder=tmp_path)
    write_config(tmp_path, budget={"gpu_hours": 9.0})
    plan = planned(snakemake(*own, "--dry-run", "--", target, folder=tmp_path).stdout)
    assert not plan, "another budget makes nothing out of date"

    shown = snakemake(*own, "--", "compare_resources", folder=tmp_path).stdout
    assert re.search(r"^attribute_chunk +2 ", shown, re.M)
    assert "!!" not in shown, "a job used more than the rules ask for"
