"""What a run was, and with what, is kept beside its results."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from cislex_workflow import run_record

ROOT = Path(__file__).resolve().parents[2]


def test_a_record_has_command_config_versions_and_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.pt").write_bytes(b"abc")
    os.utime("weights.pt", (0, 0))
    files = [("models.a.folds.f", "weights.pt"), ("genome.fasta", "later.fa"), ("genome.aliases", None)]
    command = ["snakemake", "--configfile", "my config.yaml"]
    path = run_record.write(tmp_path / "runs", command, config={"seed": 3}, files=files, root=ROOT)
    found = yaml.safe_load(path.read_text())
    assert found["command"] == "snakemake --configfile 'my config.yaml'"
    assert found["config"] == {"seed": 3}
    assert found["folder"] == str(tmp_path)
    assert found["versions"]["numpy"] == np.__version__
    assert "not installed" not in found["versions"].values()
    assert found["inputs"] == {
        "models.a.folds.f": {
            "path": "weights.pt", "bytes": 3, "changed": "1970-01-01T00:00:00+00:00",
            "blake2b": "cf4ab791c62b8d2b2109c90275287816",
        },
        "genome.fasta": {"path": "later.fa"},
    }  # fmt: skip
    assert found["code"] == run_record.digest_code(ROOT)


def test_a_record_that_cannot_be_written_whole_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_record.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run_record.write(tmp_path / "runs", ["snakemake"], config={}, files=[], root=ROOT)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_record, "MOST_DIGESTED", 2)
    (tmp_path / "genome.fa").write_bytes(b"abc")
    found = run_record.describe(tmp_path / "genome.fa")
    assert found["bytes"] == 3
    assert "blake2b" not in found


def test_the_digest_of_the_code_follows_a_name_and_a_byte(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    digests = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("b.py", "2")):
        for old in (tmp_path / "scripts").iterdir():
            old.unlink()
        (tmp_path / "scripts" / name).write_text(text)
        digests.add(run_record.digest_code(tmp_path))
    assert len(digests) == 3
