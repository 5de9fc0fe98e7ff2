"""Running the real workflow in a folder of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]


def command(*arguments: str, folder: Path, cores: int = 2) -> list[str]:
    snakemake = Path(sys.executable).parent / "snakemake"
    return [
        str(snakemake), "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder),
        "--cores", str(cores), "--nocolor", *arguments,
    ]  # fmt: skip


@pytest.fixture(scope="session")
def snakemake() -> Run:
    """Run Snakemake in a folder and return the finished process; fails with its output on an error."""

    def run(*arguments: str, folder: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(*arguments, folder=folder),
            cwd=folder,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if check and done.returncode:
            pytest.fail(f"snakemake {' '.join(arguments)} failed:\n{done.stdout[-6000:]}")
        return done

    return run


def planned(output: str) -> dict[str, int]:
    """Rules and their numbers of jobs, from Snakemake's job table."""
    table = re.search(r"job +count\n[- ]+\n(.*?)\ntotal", output, re.S)
    rows = [line.split() for line in table.group(1).splitlines()] if table else []
    return {row[0]: int(row[1]) for row in rows}
