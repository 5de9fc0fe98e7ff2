"""The first tutorial, followed to the letter: its commands are read from the page and run as one script."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conftest import ROOT

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the project's folder, and what the terminal said."""
    folder = tmp_path_factory.mktemp("tutorial")
    # A clone whose environment is that of the tests, wherever it is.
    clone = folder / "cislex"
    clone.mkdir()
    for path in ROOT.iterdir():
        if not path.name.startswith((".", "results", "build")):
            (clone / path.name).symlink_to(path)
    (clone / ".venv").symlink_to(sys.prefix)
    script = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "site" / "tutorial.py")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert script.count("snakemake") >= 4
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "CISLEX": str(clone)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return folder / "my-project", done.stdout


def test_the_tutorial_ends_with_the_page_that_it_promises(followed: tuple[Path, str]) -> None:
    project, said = followed
    words = pd.read_csv(project / "results" / "lexicon" / "lexicon.tsv", sep="\t")
    assert {name.upper() for name in words["name"]} == {"SPI1", "CTCF"}
    page = (project / "results" / "report.html").read_text(encoding="utf-8")
    assert "What the network has learned" in page
    assert re.search(r"^  sites / signal  400 regions", said, re.M)
    assert "Report: results/report.html" in said


def test_its_last_step_plans_motifs_and_no_attribution(followed: tuple[Path, str]) -> None:
    plan = followed[1].rpartition("Job stats")[2]
    assert "find_motifs" in plan
    assert "attribute_chunk" not in plan


def test_the_notebook_on_result_files_reads_them(followed: tuple[Path, str], tmp_path: Path) -> None:
    cells = json.loads((ROOT / "docs" / "notebooks" / "results.ipynb").read_text(encoding="utf-8"))["cells"]
    program = tmp_path / "results.py"
    program.write_text("\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code"))
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True,
        env={**os.environ, "RESULTS": str(followed[0] / "results"), "MPLBACKEND": "agg"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of 400 regions have hits of both words" in done.stdout
