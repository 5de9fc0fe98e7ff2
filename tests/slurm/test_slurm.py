"""The workflow through profiles/slurm on a real SLURM: the same results, and what happens when jobs die."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import pytest
import yaml
from slurm.cluster import Cluster, missing
from small_project import configuration, write_project

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / "profiles" / "slurm"
ATTRIBUTIONS = "results/shap/a/attributions.h5"
#: Seconds that any one step may take on a busy machine; nothing is asserted about times.
PATIENCE = 480

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


class Head:
    """One Snakemake process that hands its jobs to the cluster."""

    #: All of them, so that none outlives the tests.
    begun: ClassVar[list[Head]] = []

    def __init__(
        self, cluster: Cluster, folder: Path, *goals: str, snakefile: Path = ROOT / "Snakefile",
        profile: Path = PROFILE, path: str | None = None,
    ) -> None:  # fmt: skip
        environment = {**cluster.environment(), "OMP_NUM_THREADS": "1"}
        if path is not None:
            environment["PATH"] = path
        self.cluster = cluster
        self.log = folder / f"head_{len(list(folder.glob('head_*')))}.log"
        # The profile as it is, but the test does not want to wait between two looks at the jobs.
        command = [
            str(Path(sys.executable).parent / "snakemake"), *goals, "--snakefile", str(snakefile),
            "--directory", str(folder), "--workflow-profile", str(profile), "--nocolor",
            "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10",
        ]  # fmt: skip
        if snakefile == ROOT / "Snakefile":
            command += ["--configfile", str(folder / "config.yaml")]
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True
            )
        Head.begun.append(self)

    def text(self) -> str:
        return self.log.read_text()

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def succeed(self) -> Head:
        assert self.wait() == 0, self.text()[-6000:]
        return self

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def run_id(self) -> str:
        until(lambda: "SLURM run ID" in self.text(), "a run id in the log", self)
        return re.findall(r"SLURM run ID: (\S+)", self.text())[0]

    def jobs(self, rule: str = "", *, state: str = "") -> list[dict[str, str]]:
        """Jobs of this run: of a rule, in a state."""
        return [
            job
            for job in self.cluster.jobs(self.run_id())
            if job["comment"].startswith(f"rule_{rule}") and job["state"].startswith(state)
        ]


def until(condition: Callable[[], object], what: str, head: Head) -> None:
    """Wait for something to become true while the head process lives."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert head.process.poll() is None, f"the run ended before {what}:\n{head.text()[-6000:]}"
        assert time.monotonic() < deadline, f"no {what}:\n{head.text()[-6000:]}"
        time.sleep(0.2)


def until_quiet(cluster: Cluster, run: str) -> None:
    """Wait for the last job of a run."""
    deadline = time.monotonic() + PATIENCE
    while any(job["state"] in ("PENDING", "RUNNING", "COMPLETING") for job in cluster.jobs(run)):
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with Cluster() as running:
        yield running
        for head in Head.begun:
            if head.process.poll() is None:
                head.kill()


@pytest.fixture(scope="session")
def trials(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Head:
    """Started first and looked at last: its jobs sleep while the others compute."""
    return Head(cluster, tmp_path_factory.mktemp("trials"), snakefile=Path(__file__).parent / "trials.smk")


@pytest.fixture(scope="session")
def project(trials: Head, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project: one analysis, two folds of two chunks; the pretended GPUs cannot compute."""
    folder = write_project(tmp_path_factory.mktemp("project"))
    config = configuration()
    config["regions"]["mine"]["chunks"] = 2
    analysis = {**config["analyses"]["shap"], "device": "cpu", "keep_chunks": True, "hits": {}}
    analysis["targets"] = {"a": analysis["targets"]["a"]}
    config["analyses"] = {"shap": analysis}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="session")
def started(project: Path, cluster: Cluster) -> Head:
    return Head(cluster, project)


@pytest.fixture(scope="session")
def local(started: Head, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same project run without a cluster, while the cluster computes: started first, looked at last."""
    folder = tmp_path_factory.mktemp("local") / "run"
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns("results", ".snakemake", "head_*"))
    snakemake = Path(sys.executable).parent / "snakemake"
    done = subprocess.run(
        [snakemake, "--snakefile", ROOT / "Snakefile", "--directory", folder, "--cores", "2",
         "--configfile", folder / "config.yaml", "--nocolor"],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return folder


@pytest.fixture(scope="session")
def finished(started: Head) -> Head:
    return started.succeed()


@pytest.fixture
def unattributed(local: Path, tmp_path: Path) -> Path:
    """A copy of the local run that lacks the attributions and their chunks."""
    folder = tmp_path / "run"
    shutil.copytree(local, folder)
    shutil.rmtree(folder / "results" / "shap" / "chunks")
    for name in ("attributions.all.h5", "attributions.h5", "qc.tsv"):
        (folder / "results" / "shap" / "a" / name).unlink()
    return folder


def chunks(folder: Path) -> list[Path]:
    return sorted((folder / "results" / "shap" / "chunks").rglob("[0-9]*.h5"))


def assert_same_attributions(folder: Path, expected: Path) -> None:
    with h5py.File(folder / ATTRIBUTIONS) as found, h5py.File(expected / ATTRIBUTIONS) as wanted:
        assert found["hypothetical"].shape[0] == 300
        for name in ("hypothetical", "baseline", "prediction", "delta"):
            np.testing.assert_allclose(found[name][:], wanted[name][:], rtol=0, atol=5e-6, err_msg=name)


def assert_whole(folder: Path) -> None:
    """Every chunk once, none unfinished; HDF5 opens only what was closed."""
    assert [path.relative_to(folder / "results/shap/chunks").as_posix() for path in chunks(folder)] == [
        "fold_0/0.h5", "fold_0/1.h5", "fold_1/0.h5", "fold_1/1.h5",
    ]  # fmt: skip
    for path in chunks(folder):
        with h5py.File(path) as handle:
            assert handle.attrs["stop"] - handle.attrs["start"] == 150
    assert not list((folder / "results").rglob("*.partial"))


def test_a_cancelled_chunk_is_noticed_and_repeated(unattributed: Path, cluster: Cluster, local: Path) -> None:
    head = Head(cluster, unattributed, ATTRIBUTIONS)
    until(lambda: head.jobs("attribute_chunk", state="RUNNING"), "a running chunk", head)
    victim = head.jobs("attribute_chunk", state="RUNNING")[0]
    cluster.call("scancel", victim["id"])
    head.succeed()
    states = [job["state"] for job in head.jobs("attribute_chunk") if job["comment"] == victim["comment"]]
    assert sorted(states) == ["CANCELLED", "COMPLETED"]
    assert "Trying to restart job" in head.text()
    assert_same_attributions(unattributed, local)
    assert_whole(unattributed)


def test_a_killed_head_process_resumes_beside_its_orphans(
    unattributed: Path, cluster: Cluster, local: Path
) -> None:
    first = Head(cluster, unattributed, ATTRIBUTIONS)
    done = re.compile(r"\d of \d+  Attribution: ")
    until(lambda: done.search(first.text()), "a finished chunk", first)
    first.kill()
    noticed = len(done.findall(first.text()))
    complete = {path: path.stat().st_mtime_ns for path in chunks(unattributed)}
    assert not (unattributed / ATTRIBUTIONS).exists()

    # The orphans are left alone on purpose: two jobs may write the same chunk at the same time, and a chunk
    # that an orphan finishes before the second run begins is complete.
    Head(cluster, unattributed, ATTRIBUTIONS, "--unlock").succeed()
    second = Head(cluster, unattributed, ATTRIBUTIONS).succeed()
    until_quiet(cluster, first.run_id())
    assert len(second.jobs("attribute_chunk")) <= 4 - noticed
    assert sum(path.stat().st_mtime_ns == written for path, written in complete.items()) >= noticed
    assert_same_attributions(unattributed, local)
    assert_whole(unattributed)


def test_jobs_wait_for_a_drained_node_and_orphans_are_cancelled_by_the_name_of_the_run(
    unattributed: Path, cluster: Cluster, local: Path
) -> None:
    cluster.call("scontrol", "update", f"NodeName={cluster.host}", "State=DRAIN", "Reason=test")
    try:
        first = Head(cluster, unattributed, ATTRIBUTIONS)
        until(lambda: len(first.jobs("attribute_chunk", state="PENDING")) == 4, "waiting jobs", first)
        first.kill()
        cluster.call("scancel", "--name", first.run_id())
        until_quiet(cluster, first.run_id())
        assert {job["state"] for job in first.jobs()} == {"CANCELLED"}
        locked = Head(cluster, unattributed, ATTRIBUTIONS)
        assert locked.wait() != 0
        assert "--unlock" in locked.text()
        Head(cluster, unattributed, ATTRIBUTIONS, "--unlock").succeed()
        second = Head(cluster, unattributed, ATTRIBUTIONS)
        until(lambda: second.jobs("attribute_chunk", state="PENDING"), "waiting jobs", second)
    finally:
        cluster.call("scontrol", "update", f"NodeName={cluster.host}", "State=RESUME")
    second.succeed()
    assert {job["state"] for job in second.jobs("attribute_chunk")} == {"COMPLETED"}
    assert_same_attributions(unattributed, local)
    assert_whole(unattributed)


#: The small model, which takes its time over a whole batch and not over the few sequences of an inspection.
SLOW = """
import time

from torch import nn


class Slow(nn.Sequential):
    def forward(self, x):
        if len(x) > 60:
            time.sleep(5)
        return super().forward(x)


def build():
    return Slow(
        nn.Conv1d(4, 8, 9, padding=4), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(8, 2)
    )
"""


def test_a_job_stops_before_its_time_limit_and_the_next_attempt_goes_on_from_there(
    unattributed: Path, cluster: Cluster, local: Path, tmp_path: Path
) -> None:
    (unattributed / "model.py").write_text(SLOW)
    config = yaml.safe_load((unattributed / "config.yaml").read_text())
    config["analyses"]["shap"]["batch_size"] = 100  # six batches a chunk
    (unattributed / "config.yaml").write_text(yaml.safe_dump(config))
    # One minute, then two, then three; a job stops 45 s before its end.
    gpu = "attribute_chunk: &gpu\n    slurm_partition: gpu\n    gpu: 1\n"
    own = "attribute_chunk:\n    slurm_partition: gpu\n    gpu: 1\n    runtime: attempt\n"
    rest = "  inspect_model: &gpu\n    slurm_partition: gpu\n    gpu: 1\n"
    profile = site(tmp_path, gpu + "  inspect_model: *gpu\n", own + rest)
    goal = "results/shap/chunks/fold_0/0.h5"
    head = Head(cluster, unattributed, goal, profile=profile).succeed()
    states = [job["state"] for job in head.jobs("attribute_chunk")]
    assert states[0] == "FAILED", "by itself, and not by the time limit"
    assert states[-1] == "COMPLETED"
    assert "stopped before the job's time limit" in head.text()
    with h5py.File(unattributed / goal) as found, h5py.File(local / goal) as wanted:
        assert 0 < found.attrs["resumed_at"] < 150
        for name in ("hypothetical", "baseline", "prediction", "delta"):
            values, expected = found["targets/a"][name][:], wanted["targets/a"][name][:]
            # Other batches after the stop: a unit in the last place of float32 at these sizes is 1e-6.
            np.testing.assert_allclose(values, expected, rtol=0, atol=5e-6, err_msg=name)
    assert not list(unattributed.rglob("*.partial"))


def site(folder: Path, old: str, new: str) -> Path:
    """A copy of the profile with one line changed, as a site would have it."""
    copy = folder / "mysite"
    shutil.copytree(PROFILE, copy)
    path = copy / "config.v9+.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return copy


def advice(head: Head) -> str:
    """What a refused run says; it must not have submitted anything."""
    assert head.wait() != 0
    assert "has been submitted" not in head.text()
    assert "Traceback" not in head.text()
    return head.text()


def test_an_unknown_partition_is_refused_with_the_ones_that_exist(
    project: Path, cluster: Cluster, tmp_path: Path
) -> None:
    shutil.copytree(
        project, tmp_path / "run", ignore=shutil.ignore_patterns("results", ".snakemake", "head_*")
    )
    profile = site(tmp_path, "slurm_partition: gpu", "slurm_partition: a100")
    text = advice(Head(cluster, tmp_path / "run", profile=profile))
    assert "no partition 'a100' here (requested by" in text
    assert "available: cpu, gpu" in text


def test_a_site_without_accounts_is_told_to_use_squeue(
    project: Path, cluster: Cluster, tmp_path: Path
) -> None:
    shutil.copytree(
        project, tmp_path / "run", ignore=shutil.ignore_patterns("results", ".snakemake", "head_*")
    )
    profile = site(tmp_path, "slurm-status-command: squeue", "slurm-status-command: sacct")
    assert "set slurm-status-command: squeue" in advice(Head(cluster, tmp_path / "run", profile=profile))


def test_a_machine_without_slurm_is_told_where_to_start(
    project: Path, cluster: Cluster, tmp_path: Path
) -> None:
    shutil.copytree(
        project, tmp_path / "run", ignore=shutil.ignore_patterns("results", ".snakemake", "head_*")
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    slurm = ("sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol", "sacct", "sacctmgr")
    for path in Path("/usr/bin").iterdir():
        if path.name not in slurm:
            (programs / path.name).symlink_to(path)
    text = advice(Head(cluster, tmp_path / "run", path=str(programs)))
    assert "not on PATH: sbatch" in text
    assert "login node" in text


def test_a_profile_that_does_not_exist_runs_nothing(project: Path, cluster: Cluster, tmp_path: Path) -> None:
    shutil.copytree(
        project, tmp_path / "run", ignore=shutil.ignore_patterns("results", ".snakemake", "head_*")
    )
    for more in ([], ["--dry-run"], ["--cores=1"]):
        text = advice(Head(cluster, tmp_path / "run", *more, profile=tmp_path / "nowhere"))
        assert "correct the name, or make your site's copy first" in text


def test_the_cluster_gives_what_one_machine_gives(finished: Head, project: Path, local: Path) -> None:
    assert_same_attributions(project, local)
    names = ("predictions.tsv", "a/qc.tsv", "a/motifs.tsv", "a/motifs.meme")
    for name in names:
        assert (project / "results/shap" / name).read_text() == (local / "results/shap" / name).read_text(), (
            name
        )
    assert (project / "results" / "report.html").is_file()


def test_every_job_went_to_its_partition_and_local_rules_to_none(finished: Head) -> None:
    jobs = finished.jobs()
    gpu = {re.sub("_wildcards.*", "", job["comment"]) for job in jobs if job["partition"] == "gpu"}
    assert gpu == {"rule_attribute_chunk", "rule_inspect_model", "rule_predict_regions"}
    assert {job["partition"] for job in jobs} == {"cpu", "gpu"}
    assert len(finished.jobs("attribute_chunk", state="COMPLETED")) == 4
    assert not [job for job in jobs if job["comment"] == "rule_all"]


def test_two_jobs_on_gpus_see_different_devices(trials: Head) -> None:
    trials.succeed()
    folder = trials.log.parent
    assert {(folder / f"gpu_{number}.txt").read_text().strip() for number in (0, 1)} == {"0", "1"}


@pytest.mark.parametrize(
    ("rule", "killed", "granted"),
    [("needs_memory", ("FAILED", "OUT_OF_MEMORY"), "1400"), ("needs_time", ("TIMEOUT",), "2")],
)
def test_what_was_too_little_is_doubled_at_the_second_attempt(
    trials: Head, rule: str, killed: tuple[str, ...], granted: str
) -> None:
    trials.succeed()
    first, second = [job["state"] for job in trials.jobs(rule)]
    assert first in killed
    assert second == "COMPLETED"
    assert (trials.log.parent / f"{rule.removeprefix('needs_')}.txt").read_text().strip() == granted
