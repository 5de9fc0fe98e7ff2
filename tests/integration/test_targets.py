"""Targets that are added to a finished analysis are attributed alone, and removed ones attribute nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_project import configuration, write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run, command, planned

pytestmark = pytest.mark.workflow

TARGETS: dict[str, dict[str, Any]] = {
    "a": {"kind": "output", "index": 0},
    "b": {"kind": "output", "index": 1},
    "c": {"kind": "difference", "a": {"kind": "output", "index": 0}, "b": {"kind": "output", "index": 1}},
}
#: Folds, of one chunk each.
FOLDS = 2


def options(folder: Path, names: str, **changes: Any) -> list[str]:
    """Write a config with some targets, and ask for their attributions."""
    config = configuration()
    del config["genome"]
    config["regions"]["mine"]["chunks"] = 1
    targets = {name: TARGETS[name] for name in names}
    config["analyses"] = {
        "shap": {**config["analyses"]["shap"], "motifs": None, "targets": targets, **changes}
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    wanted = [f"results/shap/{name}/attributions.all.h5" for name in names]
    return ["results/shap/inspection.txt", *wanted, "--configfile", "config.yaml"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, snakemake: Run) -> Path:
    """Two targets were attributed at once."""
    folder = write_project(tmp_path_factory.mktemp("targets"))
    lines = (folder / "sequences.fa").read_text().splitlines()
    (folder / "sequences.fa").write_text("\n".join(lines[:40]) + "\n")
    snakemake(*options(folder, "ab"), folder=folder)
    return folder


def plan_of(snakemake: Run, folder: Path, names: str, **changes: Any) -> dict[str, int]:
    return planned(snakemake(*options(folder, names, **changes), "--dry-run", folder=folder).stdout)


def states(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Content, date and inode of every file of a target."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def kill_after_one_chunk(folder: Path, arguments: list[str]) -> None:
    process = subprocess.Popen(
        command(*arguments, folder=folder, cores=1), cwd=folder, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    records = folder / "results" / "runs" / "records.jsonl"
    deadline = time.monotonic() + 240
    while len(attributed(records)) <= FOLDS and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def attributed(records: Path) -> list[list[str]]:
    """Targets of each chunk that was finished, in order."""
    lines = [json.loads(line) for line in records.read_text().splitlines() if line.endswith("}")]
    params = {line["params"]: line["value"] for line in lines if "value" in line}
    made = [line for line in lines if "outputs" in line and "/chunks/" in next(iter(line["outputs"]))]
    return [list(params[line["params"]]["job"]["targets"]) for line in made]


def test_a_removed_target_attributes_nothing(finished: Path, snakemake: Run) -> None:
    assert plan_of(snakemake, finished, "a") == {"inspect_model": 1}


def test_an_added_target_is_attributed_alone_also_where_the_run_is_killed_and_the_config_changes_again(
    finished: Path, tmp_path: Path, snakemake: Run
) -> None:
    folder = tmp_path / "added"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns(".snakemake"))
    results = folder / "results" / "shap"
    together, untouched = states(results / "b"), states(results / "a")
    shutil.rmtree(results / "b")
    kill_after_one_chunk(folder, options(folder, "ab"))
    assert len(list(results.rglob("chunks/*/*.h5"))) == 1, "the run was killed after one chunk"

    more, other = plan_of(snakemake, folder, "abc"), plan_of(snakemake, folder, "ab", reverse_complement=True)
    assert more == {"inspect_model": 1, "attribute_chunk": FOLDS, "aggregate_chunks": 2}, (
        "not with this chunk"
    )
    assert other == {"inspect_model": 1, "attribute_chunk": FOLDS, "aggregate_chunks": 2}, "of all targets"
    done = snakemake(*options(folder, "ab"), "--nolock", "--rerun-incomplete", folder=folder)
    assert planned(done.stdout) == {"attribute_chunk": 1, "aggregate_chunks": 1}

    assert attributed(results.parent / "runs" / "records.jsonl") == [["a", "b"]] * FOLDS + [["b"]] * FOLDS
    assert states(results / "a") == untouched
    assert {name: content for name, (content, *_) in states(results / "b").items()} == {
        name: content for name, (content, *_) in together.items()
    }, "byte by byte what all targets at once gave"
    assert not list(results.rglob("chunks/*/*.h5"))
