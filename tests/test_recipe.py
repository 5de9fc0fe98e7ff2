"""The conda recipe says what pyproject.toml says."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import cislex
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RECIPE = yaml.safe_load((ROOT / "recipe" / "meta.yaml").read_text())
#: Names that conda-forge gives otherwise than PyPI.
NAMES = {"torch": "pytorch", "isal": "python-isal"}


def as_conda(requirement: str) -> str:
    """``torch>=2.9`` as conda writes it: ``pytorch >=2.9``."""
    found = re.fullmatch(r"([A-Za-z0-9_.-]+)(.*)", requirement)
    assert found
    return f"{NAMES.get(found[1], found[1].lower())} {found[2]}"


def test_the_recipe_needs_what_the_project_needs() -> None:
    python = f"python {PROJECT['project']['requires-python']}"
    needed = {as_conda(item) for item in PROJECT["project"]["dependencies"]}
    assert set(RECIPE["requirements"]["run"]) == needed | {python}
    build = {as_conda(item) for item in PROJECT["build-system"]["requires"]}
    assert set(RECIPE["requirements"]["host"]) == build | {python, "pip"}


def test_the_recipe_has_the_projects_name_version_and_licence() -> None:
    assert RECIPE["package"] == {"name": PROJECT["project"]["name"], "version": cislex.__version__}
    assert RECIPE["about"]["license"] == PROJECT["project"]["license"]
    assert RECIPE["about"]["summary"] == PROJECT["project"]["description"]
    assert (ROOT / RECIPE["about"]["license_file"]).is_file()
    assert (ROOT / "recipe" / RECIPE["source"]["path"] / "pyproject.toml").is_file()


def test_what_the_recipe_imports_is_there() -> None:
    for name in RECIPE["test"]["imports"]:
        importlib.import_module(name)
