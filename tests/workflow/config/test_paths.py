"""One rule for every path of a config: expanded, plain, or refused with its key."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex_workflow.checks import input_files
from cislex_workflow.config import configuration
from cislex_workflow.config import paths as config_paths

ROOT = Path(__file__).resolve().parents[3]

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("DATA", "/data/lab 7")
    monkeypatch.delenv("NOWHERE", raising=False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("~/out", "/home/ann/out"),
        ("$HOME/out", "/home/ann/out"),
        ("${DATA}/x.fa", "/data/lab 7/x.fa"),
        ("./res", "res"),
        ("res//x/./y/", "res/x/y"),
        ("../a/../b", "../a/../b"),
        ("{results}/a", "{results}/a"),
        ("a b.fa", "a b.fa"),
        ("price$.fa", "price$.fa"),
        ("./", "."),
        ("/", "/"),
    ],
)
def test_a_path_is_expanded_and_plain(path: str, expected: str) -> None:
    assert config_paths.expand(path) == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a{x}b", "braces are only allowed in {results} and {project}"),
        ("a}b", "braces are only"),
        ("$NOWHERE/a", "environment variable NOWHERE is not set"),
        ("~nobody-here/a", "no home folder for ~nobody-here"),
        (" a", "starts or ends with a blank"),
        ("a\nb", "line break"),
    ],
)
def test_a_wrong_path_says_why(path: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        config_paths.expand(path)


CONFIG = """
results: ~/out
fetch: {x.fa: {url: "https://a.org/x.fa", sequence_md5: ./m.tsv, mirror: ./m.fa}}
genome: {fasta: ./g.fa, aliases: $HOME/a.tsv, blacklist: b//c.bed}
regions: {r: {peaks: ./p.bed}, h: {hdf5: ./h.h5, dataset: ./x, length: 100}}
models:
  net:
    {loader: factory, module: "~/m.py:build", input_length: 100, folds: {f: ./w.pt}}
  deep:
    loader: trained
    input_length: 100
    folds: {f: ./v.pt}
    training: {hdf5: {path: ./d.h5, x_test: ./x}}
analyses:
  a:
    regions: r
    model: net
    targets: {t: {kind: output}}
    labels: {t: {bigwig: ./s.bw}}
    motifs: {database: ./m.meme}
"""


def test_every_path_of_a_config_follows_the_rule_and_nothing_else_does() -> None:
    config = configuration.resolve(yaml.safe_load(CONFIG), SCHEMA)
    assert config["results"] == "/home/ann/out"
    assert config["genome"] == {"fasta": "g.fa", "aliases": "/home/ann/a.tsv", "blacklist": "b/c.bed"}
    assert (config["regions"]["r"]["peaks"], config["regions"]["h"]["hdf5"]) == ("p.bed", "h.h5")
    assert config["fetch"]["x.fa"]["sequence_md5"] == "m.tsv"
    net, deep, analysis = config["models"]["net"], config["models"]["deep"], config["analyses"]["a"]
    assert (net["module"], net["folds"]) == ("/home/ann/m.py:build", {"f": "w.pt"})
    assert (deep["folds"], deep["training"]["hdf5"]["path"]) == ({"f": "v.pt"}, "d.h5")
    assert (analysis["labels"]["t"]["bigwig"], analysis["motifs"]["database"]) == ("s.bw", "m.meme")
    several = yaml.safe_load(CONFIG.replace("{database: ./m.meme}", "{databases: [./m.meme, jaspar-fungi]}"))
    motifs = configuration.resolve(several, SCHEMA)["analyses"]["a"]["motifs"]
    assert motifs["databases"] == ["m.meme", "jaspar-fungi"]
    # Names of datasets and of files elsewhere are no paths here.
    assert config["regions"]["h"]["dataset"] == deep["training"]["hdf5"]["x_test"] == "./x"
    named = [path for _, path in input_files.named_files(config) if path]
    assert not [path for path in named if path.startswith(("./", "~", "$"))]


def test_every_wrong_path_is_told_with_its_key() -> None:
    config = yaml.safe_load(CONFIG)
    config["results"], config["models"]["net"]["folds"]["f"] = "a{x}", "$NOWHERE/w.pt"
    with pytest.raises(configuration.ConfigurationError) as raised:
        configuration.resolve(config, SCHEMA)
    assert "results: a{x}: braces" in str(raised.value)
    assert "models.net.folds.f: $NOWHERE/w.pt: environment variable" in str(raised.value)


def test_a_python_that_snakemake_cannot_start_is_told_at_the_start() -> None:
    assert config_paths.folder_problem(Path("/a b/cislex"), "/usr/bin/python") is None
    assert "has no blanks" in str(config_paths.folder_problem(Path("/a"), "/a b/.venv/bin/python"))
    assert "braces" in str(config_paths.folder_problem(Path("/a{x}"), "/usr/bin/python"))


def test_make_refuses_an_environment_below_a_folder_with_blanks(tmp_path: Path) -> None:
    clone = tmp_path / "my clone"
    clone.mkdir()
    (clone / "Makefile").write_text((ROOT / "Makefile").read_text())
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "environment", "PYTHON=false"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, env=own)
    assert done.returncode
    assert "has blanks, and Snakemake" in done.stdout
    elsewhere = [*command, f"VENV={tmp_path}/v", "--dry-run"]
    (clone / "requirements.lock").touch()
    done = subprocess.run(elsewhere, cwd=clone, capture_output=True, text=True, env=own)
    assert f"false -m venv {tmp_path}/v" in done.stdout


def test_a_folder_is_no_file_and_another_place_of_the_config_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config: dict[str, Any] = configuration.resolve(yaml.safe_load(CONFIG), SCHEMA)
    config["regions"]["r"]["peaks"] = "."
    missing = input_files.missing_files(config, tmp_path)
    assert "regions.r.peaks: . is a folder; expected a file" in missing
    said = input_files.message(missing, tmp_path, [tmp_path / "lab x" / "lab.yaml"])
    assert (
        f"are relative to {tmp_path}, not in the folder of the config: for that, run with --directory "
        f"'{tmp_path}/lab x'." in said
    )
