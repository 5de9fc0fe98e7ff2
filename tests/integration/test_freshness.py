"""Finished results are compared by content with what they were made from, wherever they lie."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from small_project import configuration, write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run, planned

pytestmark = pytest.mark.workflow

WANTED = "results/shap/a/attributions.h5"
NOTHING = "Nothing to be done"
OLD = (1e9, 1e9)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, snakemake: Run) -> Path:
    """A finished project of one analysis, one target and one fold, without motifs."""
    folder = write_project(tmp_path_factory.mktemp("made"))
    lines = (folder / "sequences.fa").read_text().splitlines()
    (folder / "sequences.fa").write_text("\n".join(lines[:40]) + "\n")
    (folder / "other.fa").write_text("\n".join(lines[:30]) + "\n")
    config = configuration()
    del config["genome"]
    config["regions"]["mine"]["chunks"] = 1
    config["models"]["net"]["folds"] = {"fold_0": "fold_0.pt"}
    analysis = config["analyses"]["shap"]
    analysis |= {"motifs": None, "targets": {"a": analysis["targets"]["a"]}}
    config["analyses"] = {"shap": analysis}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    snakemake(WANTED, "--configfile", "config.yaml", folder=folder)
    return folder


@pytest.fixture
def moved(made: Path, tmp_path: Path) -> Path:
    """A copy of the project elsewhere, results and all, without what Snakemake remembers."""
    folder = tmp_path / "moved"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns(".snakemake"))
    return folder


def dry_run(snakemake: Run, folder: Path, *, config: str = "config.yaml", wanted: str = WANTED) -> str:
    return snakemake(wanted, "--configfile", config, "--dry-run", folder=folder).stdout


def test_a_second_run_does_nothing_also_where_inputs_were_touched(made: Path, snakemake: Run) -> None:
    for name in ("fold_0.pt", "sequences.fa"):
        os.utime(made / name)
    assert NOTHING in dry_run(snakemake, made)


def test_moved_results_without_snakemakes_memory_are_up_to_date_whatever_the_dates(
    moved: Path, snakemake: Run
) -> None:
    for name in ("fold_0.pt", "sequences.fa", "model.py"):
        os.utime(moved / name)
    assert NOTHING in dry_run(snakemake, moved)


def test_another_number_of_chunks_attributes_nothing_again(made: Path, moved: Path, snakemake: Run) -> None:
    config = yaml.safe_load((moved / "config.yaml").read_text())
    config["regions"]["mine"]["chunks"] = 3
    for folder in (moved, made):
        (folder / "chunks.yaml").write_text(yaml.safe_dump(config))
        assert NOTHING in dry_run(snakemake, folder, config="chunks.yaml")


def another_number_of_references(folder: Path) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["analyses"]["shap"]["method"]["references"]["n"] = 8
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def older_weights(folder: Path) -> None:
    state = torch.load(folder / "fold_0.pt")
    state["4.bias"] += 1
    torch.save(state, folder / "fold_0.pt")
    os.utime(folder / "fold_0.pt", OLD)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (another_number_of_references, "references.n was 4, is 8"),
        (older_weights, "the content of fold_0.pt changed"),
    ],
)
def test_a_changed_setting_or_an_input_of_an_older_date_attributes_again_and_is_named(
    moved: Path, snakemake: Run, change: Callable[[Path], None], said: str
) -> None:
    change(moved)
    output = dry_run(snakemake, moved)
    assert planned(output)["attribute_chunk"] == 1
    assert any("results/shap/a/attributions" in line and said in line for line in output.splitlines())


def test_attributions_with_a_flipped_byte_are_made_again(moved: Path, snakemake: Run) -> None:
    path = moved / WANTED
    whole, status = path.read_bytes(), path.stat()
    path.write_bytes(whole[:-200] + bytes([whole[-200] ^ 1]) + whole[-199:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    output = snakemake(WANTED, "--configfile", "config.yaml", folder=moved).stdout
    assert f"its content differs from what its job wrote ({WANTED})" in output
    assert NOTHING in dry_run(snakemake, moved)


def test_a_config_that_redefines_the_regions_of_another_in_the_same_folder_names_its_results(
    moved: Path, snakemake: Run
) -> None:
    config = yaml.safe_load((moved / "config.yaml").read_text())
    config["regions"]["mine"]["fasta"] = "other.fa"
    config["analyses"] = {"second": config["analyses"]["shap"]}
    (moved / "second.yaml").write_text(yaml.safe_dump(config))
    output = dry_run(snakemake, moved, config="second.yaml", wanted=WANTED.replace("/shap/", "/second/"))
    assert "was made from a different results/regions/mine/sequences.h5: rows do not match" in output
