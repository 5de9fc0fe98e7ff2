"""The Makefile hands names to Snakemake as they are, whatever characters they hold."""

from __future__ import annotations

import os
import subprocess
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
