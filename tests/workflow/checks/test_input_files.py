"""A file that is not there is named with its key, before anything runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex_workflow.checks import input_files
from cislex_workflow.config import configuration

ROOT = Path(__file__).resolve().parents[3]

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


def resolved(name: str) -> dict[str, Any]:
    config = configuration.resolve(yaml.safe_load((ROOT / "config" / name).read_text()), SCHEMA)
    return configuration.replace(config, "{project}", str(ROOT))


@pytest.mark.parametrize("name", ["config.yaml", "yeast.yaml"])
def test_what_rules_make_is_not_missing(name: str, tmp_path: Path) -> None:
    assert input_files.missing_files(resolved(name), tmp_path) == []


def test_every_missing_file_is_named_with_its_key(tmp_path: Path) -> None:
    config = resolved("yeast.yaml")
    config["regions"]["reb1"]["peaks"] = "my/peaks.bed"
    config["models"]["yeast"]["folds"]["fold_0"] = "my/weights.pt"
    config["analyses"]["abf1"]["motifs"]["database"] = "known.meme"
    config["genome"]["aliases"] = None
    missing = input_files.missing_files(config, tmp_path)
    assert missing == [
        "regions.reb1.peaks: no such file: my/peaks.bed",
        "models.yeast.folds.fold_0: no such file: my/weights.pt",
        "analyses.abf1.motifs, database: no such file: known.meme",
    ]
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "peaks.bed").touch()
    (tmp_path / "my" / "weights.pt").touch()
    assert len(input_files.missing_files(config, tmp_path)) == 1
    assert f"Relative paths are relative to {tmp_path}." in input_files.message(missing, tmp_path)


def test_a_folder_of_weights_is_answered_with_the_file_in_it(tmp_path: Path) -> None:
    config = resolved("yeast.yaml")
    config["models"]["yeast"]["folds"]["fold_0"] = "snapshot/"
    (tmp_path / "snapshot").mkdir()
    key = "models.yeast.folds.fold_0: snapshot/ is a folder; expected a file"
    assert input_files.missing_files(config, tmp_path) == [key]
    for name in ("pytorch_model.bin", "model.safetensors"):
        (tmp_path / "snapshot" / name).touch()
        named = f"{key}: name the weights in it, snapshot/{name}"
        assert input_files.missing_files(config, tmp_path) == [named]


def test_files_of_training_are_looked_at_where_a_fold_is_trained(tmp_path: Path) -> None:
    config = resolved("yeast.yaml")
    config["models"]["yeast"]["training"]["tasks"]["reb1"] = "gone.bed"
    assert input_files.missing_files(config, tmp_path) == [
        "models.yeast.training.tasks.reb1: no such file: gone.bed"
    ]


def test_a_long_list_is_counted() -> None:
    text = input_files.message([f"key{i}: no such file: x" for i in range(20)], Path("/somewhere"))
    assert "… and 12 more" in text


def test_a_results_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").touch()
    assert input_files.results_problem("results/new", tmp_path) is None
    problem = input_files.results_problem("taken/below", tmp_path)
    assert problem == (
        f"results: taken/below cannot be created: {tmp_path / 'taken'} is a file; name another folder"
    )
    monkeypatch.setattr(input_files.os, "access", lambda path, mode: False)  # root may write everywhere
    assert "no permission in" in str(input_files.results_problem("results", tmp_path))


@pytest.mark.workflow
def test_a_config_without_analyses_is_not_filled_from_the_demo(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("results: out\nregions: {mine: {fasta: x.fa}}\n")
    snakemake = str(Path(sys.executable).parent / "snakemake")
    command = [snakemake, "-s", str(ROOT / "Snakefile"), "--configfile", "my.yaml", "--dry-run", "--nocolor"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "the key 'analyses' is missing" in done.stdout + done.stderr


@pytest.mark.parametrize("target", ["run", "inspect", "estimate", "resources", "cluster"])
def test_make_refuses_a_config_that_is_not_there(target: str) -> None:
    # The tests may run under a make, which hands its options down.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", target, "CONFIG=no/such.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=own)
    assert done.returncode
    assert done.stdout.startswith("no config no/such.yaml: correct the name")
    assert len(done.stdout.splitlines()) == 1
