"""What the Containerfile copies is enough to plan runs; no container engine is needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conftest import ROOT, command, planned

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder /opt/cislex as the COPY lines fill it, without what .containerignore leaves out."""
    folder = tmp_path_factory.mktemp("opt") / "cislex"
    folder.mkdir()
    ignored = (ROOT / ".containerignore").read_text().split()
    left_out = shutil.ignore_patterns("__pycache__", *(Path(entry).name for entry in ignored))
    for line in (ROOT / "Containerfile").read_text().splitlines():
        if line.startswith("COPY "):
            *sources, target = line.split()[1:]
            for source in sources:
                assert not any(source == entry or source.startswith(f"{entry}/") for entry in ignored)
                inside = folder / target.removeprefix("/opt/cislex").strip("/")
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, inside, symlinks=True, ignore=left_out)
                else:
                    shutil.copy(ROOT / source, inside)
    return folder


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_the_copied_files_plan_the_demo_and_the_estimate(image: Path, snakefile: str, tmp_path: Path) -> None:
    for targets in ((), ("estimate",)):
        arguments = command("--dry-run", *targets, folder=tmp_path)
        arguments[arguments.index("--snakefile") + 1] = str(image / snakefile)
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert planned(done.stdout + done.stderr)["inspect_model"] == 2
    assert list((image / "benchmarks" / "results").glob("*.json"))
