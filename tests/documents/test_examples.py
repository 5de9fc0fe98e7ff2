"""Every public name has an example, and the examples run."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["cislex.attribution", "cislex.targets", "cislex.report"]
#: Names in a package that lead nowhere: what a signature calls a function.
ALIASES = {"Bound"}


def public() -> list[tuple[str, str, Any]]:
    """Package, name and object of everything that is public."""
    return [
        (package, name, getattr(importlib.import_module(package), name))
        for package in PACKAGES
        for name in importlib.import_module(package).__all__
    ]


def examples_of(text: str | None) -> str:
    """The part of a docstring below ``Examples``."""
    return (text or "").partition("Examples\n--------\n")[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page of the API begins with."""
    text = (ROOT / "docs" / "reference" / "attribution.md").read_text(encoding="utf-8")
    setup = text.split("<!-- examples: begin -->\n```python\n")[1].split("```\n<!-- examples: end -->")[0]
    folder = tmp_path_factory.mktemp("examples")
    found: dict[str, Any] = {}
    exec(
        compile(setup.replace('Path("examples")', f"Path({str(folder)!r})"), "attribution.md", "exec"), found
    )
    letters = np.random.default_rng(0).choice(list("ACGT"), 3000)
    (folder / "genome.fa").write_text(f">chr1\n{''.join(letters)}\n")
    return found


@pytest.mark.parametrize(("package", "name", "item"), public(), ids=lambda value: str(value)[:40])
def test_every_public_name_has_an_example_and_it_runs(
    package: str, name: str, item: Any, names: dict[str, Any]
) -> None:
    text = "" if name in ALIASES else examples_of(inspect.getdoc(item))
    if not text:
        text = examples_of(inspect.getdoc(importlib.import_module(package)))
        assert name in text, f"{package}.{name}: give it, or its package, an example"
    run(text, name, {**names, **vars(importlib.import_module(package))})


def run(text: str, name: str, names: dict[str, Any]) -> None:
    """Run an example, which must show what it says."""
    test = doctest.DocTestParser().get_doctest(text, dict(names), name, None, None)
    assert test.examples
    said: list[str] = []
    failed, _ = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not failed, "".join(said)


def test_an_example_that_shows_something_else_fails(names: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="Expected"):
        run(">>> sequences.shape\ntorch.Size([4, 4, 61])\n", "wrong", names)
