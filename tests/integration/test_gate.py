"""Another quality gate, through Snakemake: all rows are judged again, and nothing else is done."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_project import configuration, write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run, planned

pytestmark = pytest.mark.workflow
TARGET = "results/shap/a/attributions.h5"


def write_config(folder: Path, **gate: Any) -> None:
    config = configuration()
    del config["analyses"]["gradient"], config["models"]["net"]["folds"]["fold_1"]
    config["regions"]["mine"]["chunks"] = 2
    analysis = config["analyses"]["shap"]
    del analysis["targets"]["b"]
    analysis |= {"qc": {**analysis["qc"], **gate}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def test_another_gate_judges_all_rows_again_and_a_stricter_one_stops_before_new_ones(
    tmp_path: Path, snakemake: Run
) -> None:
    write_project(tmp_path)
    write_config(tmp_path, max_relative_delta=1e-12)
    failed = snakemake("--configfile", "config.yaml", "--", TARGET, folder=tmp_path, check=False)
    assert failed.returncode != 0
    assert "over the limit of 1e-12" in failed.stdout, "the inspection compares with the gate of the config"

    write_config(tmp_path)
    snakemake("--configfile", "config.yaml", "--", TARGET, folder=tmp_path)
    again = snakemake("--configfile", "config.yaml", "--dry-run", "--", TARGET, folder=tmp_path).stdout
    assert "Nothing to be done" in again
    for gate in ({"max_relative_delta": 0.02}, {"on_fail": "drop"}, {"max_relative_delta": 1e-12}):
        write_config(tmp_path, **gate)
        plan = planned(
            snakemake("--configfile", "config.yaml", "--dry-run", "--", TARGET, folder=tmp_path).stdout
        )
        assert plan == {"gate_attributions": 1}

    (tmp_path / "results" / "shap" / "a" / "attributions.all.h5").unlink()
    refused = snakemake("--configfile", "config.yaml", "--", TARGET, folder=tmp_path, check=False)
    assert refused.returncode != 0
    assert "this run would fail its quality gate" in refused.stdout
    assert "analyses.shap.qc.max_relative_delta is 1e-12" in refused.stdout
    assert not (tmp_path / "results" / "shap" / "chunks" / "fold_0" / "1.h5").exists(), "nothing was started"
