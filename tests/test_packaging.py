"""What `pip install .` brings: every file of the package, and every module that it imports in some extra."""

from __future__ import annotations

import ast
import fnmatch
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from cislex.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SCRIPTS = ROOT / "scripts"


def declared(*extras: str) -> set[str]:
    """Names of the distributions that the package and some extras ask for."""
    wanted = list(PROJECT["project"]["dependencies"])
    for extra in extras:
        wanted += PROJECT["project"]["optional-dependencies"][extra]
    return {re.match(r"[A-Za-z0-9_.-]+", item)[0].lower().replace("_", "-") for item in wanted}  # type: ignore[index]


def test_every_file_of_the_package_is_in_the_wheel() -> None:
    setuptools = pytest.importorskip("setuptools")
    find = PROJECT["tool"]["setuptools"]["packages"]["find"]
    packages = set(setuptools.find_packages(str(ROOT / find["where"][0]), include=find["include"]))
    data = PROJECT["tool"]["setuptools"]["package-data"]
    files = [f for f in (SCRIPTS / "cislex").rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    left_out = []
    for file in files:
        package = ".".join(file.parent.relative_to(SCRIPTS).parts)
        patterns = ["*.py", *data.get(package, ())]
        if package not in packages or not any(fnmatch.fnmatch(file.name, p) for p in patterns):
            left_out.append(str(file.relative_to(ROOT)))
    assert left_out == []
    assert any(file.suffix == ".j2" for file in files)


def test_every_import_is_declared_in_the_dependencies_or_an_extra() -> None:
    owners = metadata.packages_distributions()
    extras = PROJECT["project"]["optional-dependencies"]
    known = declared(*extras)
    missing = set()
    for path in (SCRIPTS / "cislex").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for top in {name.split(".")[0] for name in names} - {"cislex"} - sys.stdlib_module_names:
                if not known & {d.lower().replace("_", "-") for d in owners.get(top, [top])}:
                    missing.add(f"{path.relative_to(ROOT)}: {top}")
    assert missing == set()
    assert "matplotlib" in declared("plots") & declared("workflow")


def test_a_figure_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from cislex.attribution import reference_convergence

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'cislex\[plots\]'"):
        reference_convergence._matplotlib()
