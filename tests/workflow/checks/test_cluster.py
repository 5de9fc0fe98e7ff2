"""The cluster profile fits the rules, and a plan that SLURM cannot run is refused with advice."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from cislex_workflow.checks import cluster
from rule_texts import rule_texts

ROOT = Path(__file__).resolve().parents[3]
PROFILE = ROOT / "profiles" / "slurm" / "config.v9+.yaml"


def profile() -> dict[str, Any]:
    return yaml.safe_load(PROFILE.read_text(encoding="utf-8"))


def test_the_rules_whose_device_is_a_setting_get_one_gpu_each_and_no_others() -> None:
    with_device = {name for name, text in rule_texts().items() if re.search(r'device=|"device":', text)}
    assert "attribute_chunk" in with_device
    assert set(profile()["set-resources"]) == with_device
    assert all(entry["gpu"] == 1 for entry in profile()["set-resources"].values())


def test_no_fixed_number_replaces_what_grows_with_the_attempt() -> None:
    settings = profile()
    for name, entry in settings["set-resources"].items():
        assert set(entry) <= {"slurm_partition", "gpu", "slurm_account", "qos"}, name
    assert settings["retries"] >= 1
    assert not [name for name, text in rule_texts().items() if re.search(r"^\s+retries:", text, re.M)]


def test_the_profile_is_complete_by_itself() -> None:
    local = yaml.safe_load((ROOT / "profiles/default/config.v9+.yaml").read_text(encoding="utf-8"))
    assert set(local) <= set(profile())
    assert {"executor", "jobs", "default-resources", "latency-wait", "slurm-status-command"} <= set(profile())


def test_every_setting_of_the_profile_is_explained() -> None:
    lines = PROFILE.read_text(encoding="utf-8").splitlines()
    settings = [i for i, line in enumerate(lines) if re.match(r"[\w-]+:", line)]
    assert len(settings) == len(profile())
    assert not [
        lines[i] for i in settings if not lines[i - 1].startswith("#") and "printshellcmds" not in lines[i]
    ]


def job(rule: str, *, local: bool = False, **resources: Any) -> SimpleNamespace:
    return SimpleNamespace(rule=SimpleNamespace(name=rule), is_local=local, resources=resources)


def test_what_each_rule_asks_for_is_read_from_the_jobs() -> None:
    jobs = [
        job("attribute_chunk", slurm_partition="gpu", gpu=1, runtime=120),
        job("attribute_chunk", slurm_partition="gpu", gpu=1, runtime=120),
        job("fetch_resources", local=True, slurm_partition="cpu"),
        job("find_motifs", slurm_partition="far", slurm_cluster="other", runtime="<TBD>"),
    ]
    found = cluster.requests(jobs)
    assert [(r.rule, r.partition, r.gpus, r.minutes) for r in found] == [
        ("attribute_chunk", "gpu", 1, 120),
        ("find_motifs", None, 0, None),
    ]


def test_partitions_are_joined_over_their_kinds_of_nodes() -> None:
    text = "cpu|(null)|2-12:00:00\nmixed|gpu:a100:4(S:0-1)|30:00\nmixed|(null)|30:00\nlong|(null)|infinite\n"
    assert cluster.read_partitions(text) == {
        "cpu": cluster.Partition(gpus=False, minutes=60 * 60),
        "mixed": cluster.Partition(gpus=True, minutes=30),
        "long": cluster.Partition(gpus=False, minutes=None),
    }


@pytest.mark.parametrize(
    ("partition", "gpus", "minutes", "message"),
    [
        ("cpu", 0, 100, None),
        ("mixed", 1, 60, None),
        ("mixed", 1, None, None),
        ("cpu,mixed", 0, 60, None),
        (None, 1, 9999, None),
        ("gpu", 1, 1, "no partition 'gpu' here (requested by find); available: cpu, mixed"),
        ("cpu", 1, 1, "partition 'cpu' has no GPU (requested by find); with GPUs: mixed"),
        ("mixed", 0, 61, "partition 'mixed' allows 60 minutes"),
    ],
)
def test_a_partition_that_cannot_run_a_rule_is_refused(
    partition: str | None, gpus: int, minutes: int | None, message: str | None
) -> None:
    partitions = {"cpu": cluster.Partition(False, None), "mixed": cluster.Partition(True, 60)}
    problems = cluster.partition_problems([cluster.Request("find", partition, gpus, minutes)], partitions)
    assert len(problems) == (message is not None)
    assert message is None or problems[0].startswith(message)


def test_the_first_rules_are_named_and_all_counted() -> None:
    wanted = [cluster.Request(f"r{i}", "nowhere", 0) for i in range(5)]
    (problem,) = cluster.partition_problems(wanted, {"cpu": cluster.Partition(False, None)})
    assert "requested by r0, r1, r2 and 2 more" in problem


def test_a_status_command_that_cannot_see_finished_jobs_is_refused() -> None:
    assert cluster.status_problems("squeue", 300, accounting=True) == []
    assert cluster.status_problems("sacct", 2, accounting=True) == []
    assert "slurm-status-command: sacct" in cluster.status_problems("squeue", 60, accounting=True)[0]
    assert "slurm-status-command: squeue" in cluster.status_problems("sacct", 300, accounting=False)[0]
    assert cluster.read_job_memory("Licenses = (null)\nMinJobAge               = 300 sec\n") == 300


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["snakemake", "--cores", "2"], False),
        (["snakemake", "--workflow-profile", "profiles/mysite", "--dry-run"], False),
        (["snakemake", "--workflow-profile=mysite"], False),
        (["snakemake", "--workflow-profile", "slurm"], False),
        (["snakemake", "--workflow-profile", "none"], False),
        (["snakemake", "--workflow-profile", "profiles/other", "--cores", "8"], True),
        (["snakemake", "--dry-run", "--workflow-profile=other"], True),
        (["snakemake", "--directory", "elsewhere", "--workflow-profile", "other"], False),
        (["snakemake", "--directory", "elsewhere", "--workflow-profile", "/no/other"], True),
    ],
)
def test_a_profile_that_does_not_exist_says_what_to_do(
    tmp_path: Path, arguments: list[str], missing: bool
) -> None:
    (tmp_path / "profiles" / "mysite").mkdir(parents=True)
    problem = cluster.missing_profile(arguments, tmp_path, ROOT / "Snakefile")
    assert (problem is not None) == missing
    if problem is not None:
        assert "other: no such folder" in problem
        assert "cp -r profiles/slurm profiles/mysite" in problem


def test_a_machine_without_slurm_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (problem,) = cluster.check([], "squeue")
    assert problem.startswith("not on PATH: sbatch")
    assert "login node" in problem


def test_a_controller_that_does_not_answer_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("sbatch", "squeue", "sinfo", "scancel", "scontrol"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (problem,) = cluster.check([], "squeue")
    assert "Unable to contact slurm controller" in problem
