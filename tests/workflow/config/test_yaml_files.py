"""What YAML loses or misreads in a config is told with its lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cislex_workflow.config import yaml_files as config_yaml

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("analyses:\n  a: {}\n  b: {}\n  a: {}\n", "'a' is given twice in analyses (lines 2 and 4)"),
        ("seed: 1\nseed: 2\nseed: 3\n", "'seed' is given 3 times in the top level (lines 1, 2 and 3)"),
        ("a:\n- b: {c: 1, c: 2}\n", "'c' is given twice in a.b (line 2)"),
        ('{\n\t"a": 1,\n\t"a": 2\n}', "'a' is given twice in the top level (lines 2 and 3)"),
        ("x: &x {a: 1, a: 2}\ny: *x\n", "'a' is given twice in x (line 1)"),
        ("n: 010\n", ':1: YAML reads 010 as 8 (base 8): write 10, or "010" if it is text'),
        ("n: 1:30\n", ":1: YAML reads 1:30 as 90 (base 60): write 90"),
        ("a: 1\n\tb: 2\n", ":2: not YAML"),
        ("- a\n", "expected keys at the top level"),
        ("", "expected keys at the top level"),
        (b"a: 1\ntitle: caf\xe9\n", ":2: not UTF-8 text (byte 0xe9"),
    ],
)
def test_what_a_config_loses_is_told_with_its_lines(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "my.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (found,) = config_yaml.problems(path)
    assert found.startswith(str(path))
    assert message in found


@pytest.mark.parametrize(
    "text",
    [
        "a: {x: 1}\nb: {x: 1}\n",
        "base: &b {n: 1}\na: {<<: *b, n: 2}\n",
        "\ufeffa: '010'\n",
        '{\n\t"a": "1:30"\n}',
        'a: 1e-3\nb: 0\nc: 0.5\n"1": x\n1: y\n',
    ],
)
def test_what_is_plain_passes(tmp_path: Path, text: str) -> None:
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    assert config_yaml.problems_of([tmp_path / "my.yaml"]) == []


def test_the_configs_of_the_project_lose_nothing() -> None:
    assert config_yaml.problems_of((ROOT / "config").glob("*.yaml")) == []


def test_a_long_list_is_counted(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("".join(f"k{i}: 1\nk{i}: 2\n" for i in range(20)))
    found = config_yaml.problems_of([tmp_path / "my.yaml"] * 2)
    assert len(found) == config_yaml.MOST_TOLD + 1
    assert found[-1] == "… and 12 more"


def test_a_missing_config_is_a_sentence_before_snakemake_starts(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "cislex_workflow.config.yaml_files", "no such.yaml"]
    done = subprocess.run(
        run, cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("no config no such.yaml: correct the name")
    assert len(done.stderr.splitlines()) == 1
