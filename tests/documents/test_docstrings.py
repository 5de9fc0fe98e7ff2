"""Docstrings of public names describe parameters that exist."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_examples import public


def parameters(item: Any) -> set[str]:
    """Names of what can be given, with the keywords of ``Unpack[Options]``."""
    found = set(inspect.signature(item).parameters)
    function = item.__init__ if inspect.isclass(item) else item
    for hint in typing.get_type_hints(function, include_extras=True).values():
        if typing.get_origin(hint) is typing.Unpack:
            found |= set(typing.get_type_hints(typing.get_args(hint)[0]))
    return found


def described(text: str) -> list[str]:
    """Lines of the section on parameters that name one, split at commas."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n---|\Z)", text, re.M | re.S)
    heads = [line for line in (section[1] if section else "").splitlines() if line and line[0] != " "]
    return [name for head in heads for name in head.split(", ")]


@pytest.mark.parametrize(
    ("package", "name", "item"),
    [found for found in public() if found[1] != "Bound"],
    ids=lambda value: str(value)[:40],
)
def test_every_parameter_that_is_described_exists(package: str, name: str, item: Any) -> None:
    names = described(inspect.getdoc(item) or "")
    assert not names or not set(names) - parameters(item), f"{package}.{name}"


def test_a_parameter_that_does_not_exist_and_a_sentence_are_found() -> None:
    text = "Do.\n\nParameters\n----------\na, b\n    Two.\n\nThe others.\n\nReturns\n-------\nint\n"
    assert described(text) == ["a", "b", "The others."]
