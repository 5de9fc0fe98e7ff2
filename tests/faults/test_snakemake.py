"""Two runs in one folder, and inputs of the future: what Snakemake and its user see."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_project import write_project

ROOT = Path(__file__).resolve().parents[2]
WANTED = "results/regions/mine/sequences.h5"


def snakemake(folder: Path, *options: str) -> list[str]:
    program = Path(sys.executable).parent / "snakemake"
    known = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "1", "--nocolor"]
    return [str(program), *known, "--configfile", str(folder / "config.yaml"), *options, "--", WANTED]


@pytest.mark.workflow
def test_a_second_run_in_a_folder_says_what_to_do_and_harms_nothing(tmp_path: Path) -> None:
    folder = write_project(tmp_path)
    with open(folder / "first.txt", "wb") as said:
        first = subprocess.Popen(snakemake(folder), stdout=said, stderr=said, cwd=folder)
        try:
            while not list(folder.glob(".snakemake/locks/*.output.lock")):
                assert first.poll() is None, (folder / "first.txt").read_text()
                time.sleep(0.01)
            time.sleep(0.3)  # all locks are there, and no result is
            first.send_signal(signal.SIGSTOP)
            second = subprocess.run(
                snakemake(folder), capture_output=True, text=True, cwd=folder, check=False
            )
        finally:
            first.send_signal(signal.SIGCONT)
    assert second.returncode != 0
    assert "no other Snakemake process" in second.stderr
    assert "--unlock" in second.stderr
    assert "Traceback" not in second.stderr
    assert first.wait(120) == 0, (folder / "first.txt").read_text()
    assert (folder / WANTED).is_file()

    ahead = time.time() + 86_400
    for path in folder.iterdir():
        if path.is_file():
            os.utime(path, (ahead, ahead))
    third = subprocess.run(snakemake(folder, "-n"), capture_output=True, text=True, cwd=folder, check=True)
    assert "Nothing to be done" in third.stdout + third.stderr
