"""The Makefile: names reach Snakemake as they are, and another version of Python is refused in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAME = "my lab's $HOME config.yaml"


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """Programs that print their arguments, one a line."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("snakemake", "python"):
        (folder / name).write_text('#!/bin/sh\nprintf "<%s>\\n" "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("target", ["run", "inspect", "estimate", "resources", "cluster"])
def test_a_config_and_a_profile_may_hold_blanks_and_quotes(target: str, stubs: Path) -> None:
    config, profile = stubs.parent / NAME, stubs.parent / "my site"
    config.touch()
    profile.mkdir()
    # In make, a dollar is written twice.
    given = [f"CONFIG={str(config).replace('$', '$$')}", f"PROFILE={profile}", "GPU=H100 80GB"]
    # The tests may run under a make, which hands its options down.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "-s", "-C", str(ROOT), "-o", "environment", f"BIN={stubs}", *given, target],
        capture_output=True, text=True, env=own,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(f"<{config}>") == 2  # to be checked, then to be run
    if target == "cluster":
        assert f"<{profile}>" in done.stdout
    if target == "estimate":
        assert '<estimate={gpu: "H100 80GB"}>' in done.stdout


@pytest.mark.parametrize(
    ("version", "accepted"), [("3.10.1", False), ("3.11.2", True), ("3.13.0", True), ("3.14.0", False)]
)
def test_a_python_that_the_pinned_packages_do_not_know_is_refused(
    version: str, accepted: bool, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    major, minor, micro = version.split(".")
    # Decides as that version would, and makes no environment.
    python.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"if sys.argv[1] == '--version': print('Python {version}')\n"
        f"if sys.argv[1] == '-c': sys.version_info = ({major}, {minor}, {micro}); exec(sys.argv[2])\n"
        "if sys.argv[1] == '-m': sys.exit('an environment would be made')\n"
    )
    python.chmod(0o755)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    venv = tmp_path / "venv"
    done = subprocess.run(
        ["make", "-s", "-C", str(ROOT), f"PYTHON={python}", f"VENV={venv}", f"{venv}/.installed"],
        capture_output=True, text=True, env=own,
    )  # fmt: skip
    assert done.returncode != 0
    assert ("an environment would be made" in done.stderr) == accepted
    refusal = f"{python} is Python {version}, and the pinned packages exist for Python 3.11, 3.12 and 3.13"
    assert (refusal in done.stdout) != accepted
