"""The wheel: what is in it, and that the README's example runs where nothing else of cislex is."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import cislex
import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources, beside which setuptools leaves its files."""
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < 77:
        pytest.skip(f"setuptools {setuptools.__version__} is older than pyproject.toml asks for")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "scripts", source / "scripts", ignore=left_out)
    build = "from setuptools import build_meta; import sys; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", build, str(out)], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    package = ROOT / "scripts" / "cislex"
    own = {
        str(path.relative_to(ROOT / "scripts"))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    records = {name for name in names if ".dist-info/" in name}
    assert names - records == own
    assert {"cislex/py.typed", "cislex/report/report.html.j2"} <= own
    assert any(name.endswith("/licenses/LICENSE") for name in records)


def test_the_wheels_metadata_are_the_projects(wheel: Path) -> None:
    assert wheel.name == f"cislex-{cislex.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        found = Parser().parsestr(archive.read(name).decode())
    assert (found["Name"], found["Version"]) == ("cislex", cislex.__version__)
    assert found["Requires-Python"] == PROJECT["requires-python"]
    assert found["License-Expression"] == PROJECT["license"]
    asked = found.get_all("Requires-Dist")
    assert asked is not None
    plain = {item.replace(" ", "") for item in asked if "extra ==" not in item}
    assert plain == set(PROJECT["dependencies"])
    assert set(found.get_all("Provides-Extra") or ()) == set(PROJECT["optional-dependencies"])


@pytest.mark.wheel
def test_the_readmes_example_runs_in_a_new_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    lock = ["--constraint", str(ROOT / "requirements.lock")]
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *lock, str(wheel)], check=True)
    text = (ROOT / "README.md").read_text().split("<!-- library: begin -->")[1]
    source = text.split("```python\n")[1].split("```")[0]
    (tmp_path / "example.py").write_text(source)
    # -I: neither this folder nor the environment's variables add to what it finds.
    done = subprocess.run(
        [str(python), "-I", "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    promised = [line.split("  # ")[1] for line in source.splitlines() if line.startswith("print(")]
    assert done.stdout.splitlines() == promised
    where = subprocess.run(
        [str(python), "-I", "-c", "import cislex; print(cislex.__file__)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(tmp_path))
