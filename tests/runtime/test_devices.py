"""Jobs of one machine share its GPUs by claims that end with the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from cislex.errors import ConfigError
from cislex.runtime import devices
from cislex.runtime.devices import claim

ROOT = Path(__file__).resolve().parents[2]


class Fake:
    """GPUs that this machine does not have."""

    def __init__(self, *free: float) -> None:
        self.free = list(free)

    def names(self) -> list[str]:
        return [f"GPU-{index}" for index in range(len(self.free))]

    def free_share(self, index: int) -> float:
        return self.free[index]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "LOOK_SECONDS", 0.02)


def test_cpu_needs_no_claim(tmp_path: Path) -> None:
    for device in ("cpu", "auto"):
        with claim(device, gpus=Fake(), folder=tmp_path, environment={}) as found:
            assert found == "cpu"
    assert not list(tmp_path.iterdir())


def test_cuda_without_a_gpu_says_what_to_do(tmp_path: Path) -> None:
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    with (
        pytest.raises(ConfigError, match=r"no GPU is visible here .*''.*device: auto or cpu"),
        claim("cuda", gpus=Fake(), folder=tmp_path, environment=environment),
    ):
        pass


def test_a_gpu_that_was_assigned_and_cannot_be_used_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for environment, told in (
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "1"}, True),
        ({"SLURM_JOB_ID": "7"}, False),
        ({"CUDA_VISIBLE_DEVICES": "1"}, False),
    ):
        caplog.clear()
        with claim("auto", gpus=Fake(), folder=tmp_path, environment=environment) as found:
            assert found == "cpu"
        assert ("SLURM assigned GPU 1, but torch sees none" in caplog.text) == told


def test_each_job_gets_another_gpu(tmp_path: Path) -> None:
    gpus = Fake(1.0, 1.0, 1.0)
    with ExitStack() as stack:
        found = [
            stack.enter_context(claim("auto", gpus=gpus, folder=tmp_path, environment={})) for _ in range(3)
        ]
        assert found == ["cuda:0", "cuda:1", "cuda:2"]
    with claim("cuda", gpus=gpus, folder=tmp_path, environment={}) as again:
        assert again == "cuda:0"


def test_a_gpu_that_others_fill_is_left_to_them(tmp_path: Path) -> None:
    with claim("cuda", gpus=Fake(0.2, 0.9), folder=tmp_path, environment={}) as found:
        assert found == "cuda:1"


def test_a_job_waits_until_a_gpu_is_free(tmp_path: Path) -> None:
    gpus, found, held = Fake(1.0), [], threading.Event()

    def second() -> None:
        held.wait(10)
        with claim("cuda", gpus=gpus, folder=tmp_path, environment={}) as device:
            found.append(device)

    thread = threading.Thread(target=second)
    thread.start()
    with claim("cuda", gpus=gpus, folder=tmp_path, environment={}):
        held.set()
        thread.join(0.3)
        assert thread.is_alive()
        assert not found
    thread.join(10)
    assert found == ["cuda:0"]


def test_slurm_has_assigned_one_already(tmp_path: Path) -> None:
    environment = {"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "3"}
    with (
        claim("cuda", gpus=Fake(1.0), folder=tmp_path, environment=environment) as one,
        claim("auto", gpus=Fake(1.0), folder=tmp_path, environment=environment) as other,
    ):
        assert one == other == "cuda:0"


def test_a_gpu_by_number(tmp_path: Path) -> None:
    with claim("cuda:1", gpus=Fake(1.0, 1.0), folder=tmp_path, environment={}) as found:
        assert found == "cuda:1"


def test_a_killed_job_leaves_no_stale_lock(tmp_path: Path) -> None:
    text = f"""
import sys, time
from cislex.runtime.devices import claim
class One:
    def names(self): return ["GPU-0"]
    def free_share(self, index): return 1.0
with claim("cuda", gpus=One(), folder={str(tmp_path)!r}, environment={{}}):
    print("held", flush=True)
    time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    with subprocess.Popen(
        [sys.executable, "-c", text], env=environment, stdout=subprocess.PIPE, text=True
    ) as job:
        assert job.stdout is not None
        assert job.stdout.readline().strip() == "held"
        job.send_signal(signal.SIGKILL)
    assert (tmp_path / "GPU-0.lock").exists()
    with claim("cuda", gpus=Fake(1.0), folder=tmp_path, environment={}) as found:
        assert found == "cuda:0"
