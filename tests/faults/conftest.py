"""The program that runs stages on a small disk, started once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cislex.runtime.jobs import local_caches

sys.path.insert(0, str(Path(__file__).parent))  # for the list of stages
PROGRAM = Path(__file__).with_name("small_disk.py")
#: Mounts of its own for a program: as root, or where the kernel lets anyone.
WAYS = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])
#: One thread each, so that processes can be forked.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_THREADING_LAYER": "workqueue"}


class SmallDisk:
    """Runs stages on a disk of its own."""

    def __init__(self, way: list[str], disk: Path, work: Path) -> None:
        self._log = open(work.with_suffix(".log"), "w+b")  # noqa: SIM115  (lives as long as the program)
        self.disk = disk
        self.program = subprocess.Popen(
            [*way, sys.executable, PROGRAM, disk, work], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log, text=True, env={**os.environ, **local_caches(1), **THREADS},
        )  # fmt: skip
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self._questions, self._answers = self.program.stdin, self.program.stdout

    def ask(self, stage: str, what: str, **arguments: object) -> Any:
        """Have trials of a stage made: a method of ``small_disk.Trials``."""
        self._questions.write(json.dumps([stage, what, arguments]) + "\n")
        self._questions.flush()
        line = self._answers.readline()
        answer = json.loads(line) if line else {"error": "the program ended"}
        if isinstance(answer, dict) and "error" in answer:
            self._log.seek(0)
            raise AssertionError(f"{answer['error']}\n{self._log.read().decode()[-3000:]}")
        return answer

    def close(self) -> None:
        self._questions.close()
        self.program.wait(60)
        self._answers.close()
        self._log.close()


@pytest.fixture(scope="session")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    """Stages on a small disk; skipped where none can be mounted."""
    disk = tmp_path_factory.mktemp("disk")
    said = ""
    for way in WAYS:
        if shutil.which("unshare") is None:
            pytest.skip("no small disk can be mounted here: there is no unshare (util-linux)")
        trial = subprocess.run(
            [*way, "mount", "-t", "tmpfs", "tmpfs", disk], capture_output=True, text=True, check=False
        )
        if trial.returncode == 0:
            program = SmallDisk(way, disk, tmp_path_factory.mktemp("inputs"))
            yield program
            program.close()
            return
        said = trial.stderr.strip()
    pytest.skip(f"no small disk can be mounted here: {said}")
