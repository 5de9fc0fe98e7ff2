"""The conda environments and the lock agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().split()
    return {normal(name): version for name, version in (line.split("==") for line in lines)}


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_environment_has_the_versions_of_the_lock(path: Path) -> None:
    environment = yaml.safe_load(path.read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    pins = dict(line.split("==") for line in pip)
    assert {normal(n): v for n, v in pins.items()} == {normal(n): locked()[normal(n)] for n in pins}


def test_every_rule_names_an_environment_that_exists() -> None:
    for path in (ROOT / "workflow" / "rules").rglob("*.smk"):
        for line in path.read_text().splitlines():
            if "../../envs/" in line:
                assert (path.parent / line.strip().strip('",')).is_file(), f"{path.name}: {line.strip()}"


def test_the_lock_has_no_rival_of_modisco_lite_and_the_cpu_wheel_can_be_found() -> None:
    assert "modisco" not in locked()
    assert locked()["torch"] == "2.13.0"


def test_every_package_of_the_lock_but_torch_has_digests() -> None:
    entries = (ROOT / "requirements.hashes.lock").read_text().replace("\\\n", " ").splitlines()
    digests = {line.split()[0]: re.findall(r"--hash=sha256:([0-9a-f]{64})\b", line) for line in entries}
    pins = dict(re.fullmatch(r"([^=]+)==(.+)", pin).groups() for pin in digests)  # type: ignore[union-attr]
    given = {normal(name): version for name, version in pins.items()}
    assert given == {name: version for name, version in locked().items() if name != "torch"}, (
        "run make hashes"
    )
    assert all(digests.values())


def test_the_container_installs_the_lock_and_carries_all_that_the_workflow_reads() -> None:
    lines = (ROOT / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    (base,) = [line for line in lines if line.startswith("FROM ")]
    python = yaml.safe_load((ROOT / "envs" / "data.yaml").read_text())["dependencies"][0]
    assert f"/{python.replace('=', ':')}-" in base
    (pip,) = [line for line in lines if "pip install" in line]
    assert pip.split("--requirement")[1].split() == ["/opt/cislex/requirements.lock"]
    assert "==" not in " ".join(lines), "versions belong to requirements.lock"
    copied = {source for line in lines if line.startswith("COPY ") for source in line.split()[1:-1]}
    assert all((ROOT / source).exists() for source in copied)
    assert {"benchmarks/results", "resources"} <= copied  # rates of GPUs, digests of genomes
    assert {"Snakefile", "config", "envs", "profiles", "requirements.lock", "scripts", "workflow"} <= copied
    assert any("apt-get install" in line and "bedtools" in line for line in lines)
