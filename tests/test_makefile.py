"""The Makefile: a short list of targets, names that reach Snakemake as they are, refusals in a sentence."""

from __future__ import annotations

import os
import re
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


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make in the project; the tests may run under a make, which hands its options down."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "-s", "-C", str(ROOT), *arguments], capture_output=True, text=True, env=own | environment
    )


def test_make_alone_shows_the_same_short_list_as_make_help() -> None:
    alone, asked = make(), make("help")
    assert alone.returncode == 0
    assert alone.stdout == asked.stdout
    lines = alone.stdout.splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 120
    text = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z-]+)", alone.stdout)) | set(
        re.findall(r"[a-z-]+", " ".join(line.split(":")[1].split("(")[0] for line in lines[-2:]))
    )
    assert {"demo", "new", "inspect", "estimate", "run", "cluster", "yeast", "test", "wheel"} <= named
    assert not [name for name in named - {"make"} if not re.search(rf"^{name}:", text, re.MULTILINE)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new"], "no name: make new NAME=mine"),
        (["run", "CONFIG=absent.yaml"], "no config absent.yaml: correct the name, or write one: make new"),
        (["run", "CONFIG="], "no config (CONFIG is empty)"),
        (["inspect", "CONFIG=config"], "no config config"),
        (["estimate", "CONFIG=absent.yaml"], "no config absent.yaml"),
        (["resources", "CONFIG=absent.yaml"], "no config absent.yaml"),
        (["cluster", "PROFILE=absent"], "no profile absent: correct the name, or make your site's copy"),
        (["demo", "CORES=0"], "CORES is '0': expected a whole number of at least 1, or all"),
        (["run", "CORES=many"], "CORES is 'many'"),
        (["demo", "VENV=/tmp/two words"], "/tmp/two words has blanks"),
        (["demo", "VENV=/tmp/absent", "PYTHON=nopython"], "no Python at nopython"),
    ],
)
def test_a_target_that_cannot_start_says_why_in_a_sentence(
    arguments: list[str], said: str, stubs: Path
) -> None:
    given = ["-o", "bedtools", f"BIN={stubs}", *arguments]
    if not any(argument.startswith("PYTHON") for argument in arguments):
        given = ["-o", ".venv/.installed", *given]
    done = make(*given)
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_new_takes_its_variables_from_the_command_line_alone_and_as_they_are(stubs: Path) -> None:
    shown = '#!/bin/sh\nprintf "<%s>\\n" "$NAME" "$GENOME" "$PEAKS" "$MODEL" "$LENGTH" "$PYTHONPATH" "$@"\n'
    (stubs / "python").write_text(shown)
    peaks = 'my lab\'s "best" $HOME.bed'
    done = make(
        "-o", "environment", f"BIN={stubs}", "new", "NAME=mine", f"PEAKS={peaks.replace('$', '$$')}",
        "MODEL=a b.pt,c.pt", GENOME="of another program", LENGTH="5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "<mine>", "<>", f"<{peaks}>", "<a b.pt,c.pt>", "<>", "<scripts:workflow>", "<-m>",
        "<cislex_workflow.new_config.main>",
    ]  # fmt: skip
    assert make("-o", "environment", f"BIN={stubs}", "new", NAME="host").returncode != 0


@pytest.mark.parametrize("target", ["run", "inspect", "estimate", "resources", "cluster"])
def test_a_config_and_a_profile_may_hold_blanks_and_quotes(target: str, stubs: Path) -> None:
    config, profile = stubs.parent / NAME, stubs.parent / "my site"
    config.touch()
    profile.mkdir()
    # In make, a dollar is written twice.
    given = [f"CONFIG={str(config).replace('$', '$$')}", f"PROFILE={profile}", "GPU=H100 80GB"]
    done = make("-o", "environment", f"BIN={stubs}", *given, target)
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
    venv = tmp_path / "venv"
    done = make(f"PYTHON={python}", f"VENV={venv}", f"{venv}/.installed")
    assert done.returncode != 0
    assert ("an environment would be made" in done.stderr) == accepted
    refusal = f"{python} is Python {version}, and the pinned packages exist for Python 3.11, 3.12 and 3.13"
    assert (refusal in done.stdout) != accepted
