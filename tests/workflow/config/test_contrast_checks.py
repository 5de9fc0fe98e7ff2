"""A contrast that cannot be made is refused when the plan is made, with what to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex_workflow.config import configuration

ROOT = Path(__file__).resolve().parents[3]


def problems(settings: dict[str, Any]) -> str:
    """What is said of a contrast of analyses with two targets."""
    targets = {name: {"kind": "output", "index": index} for index, name in enumerate(("reb1", "abf1"))}
    analysis = {"regions": "own", "model": "net", "targets": targets, "hits": {}}
    net = {"loader": "factory", "module": "m.py:f", "folds": {"a": "a.pt"}, "input_length": 100}
    config = {
        "regions": {"own": {"fasta": "x.fa"}, "others": {"fasta": "y.fa"}},
        "models": {"net": net},
        "analyses": {
            "yeast": analysis,
            "bare": {**analysis, "hits": None},
            "elsewhere": {**analysis, "regions": "others"},
        },
        "contrasts": {"x": {"scale": "none", **settings}},
    }
    schema = ROOT / "workflow" / "schemas" / "config.schema.yaml"
    try:
        configuration.resolve(yaml.safe_load(yaml.safe_dump(config, sort_keys=False)), schema)
    except configuration.ConfigurationError as error:
        return str(error)
    return ""


FIRST = {"analysis": "yeast", "target": "reb1"}
SECOND = {"analysis": "yeast", "target": "abf1"}
BARE = {"analysis": "bare"}
CASES: list[tuple[dict[str, Any], str]] = [
    ({"first": FIRST, "second": SECOND}, ""),
    ({"first": FIRST, "second": BARE, "scale": "hits"}, ""),
    ({"first": BARE, "second": FIRST, "hits": "second"}, ""),
    (
        {"first": FIRST, "second": {"analysis": "yaest"}},
        "second.analysis: no 'yaest' in analyses: yeast, bare",
    ),
    ({"first": FIRST, "second": {"analysis": "yaest"}}, "did you mean 'yeast'"),
    (
        {"first": {"analysis": "yeast", "target": "reb"}, "second": SECOND},
        "x.first.target: no 'reb' in the targets of yeast: reb1, abf1; did you mean 'reb1'",
    ),
    ({"first": FIRST, "second": {"analysis": "yeast"}}, "second: found yeast, target reb1, as in first"),
    (
        {"first": FIRST, "second": {"analysis": "elsewhere"}},
        "second: yeast is of regions own, elsewhere of others",
    ),
    ({"first": BARE, "second": FIRST}, "hits: analysis bare has no hits; set hits: {} there"),
    ({"first": FIRST}, "second"),
    ({"first": FIRST, "second": SECOND, "scale": "mean"}, "scale"),
    ({"first": FIRST, "second": {**SECOND, "fold": "a"}}, "fold"),
]


@pytest.mark.parametrize(("settings", "message"), CASES, ids=[text or "valid" for _, text in CASES])
def test_what_cannot_be_contrasted_is_said_with_the_plan(settings: dict[str, Any], message: str) -> None:
    found = problems(settings)
    assert message in found
    assert bool(found) == bool(message)


def test_the_unit_must_be_said() -> None:
    found = problems({"first": FIRST, "second": SECOND, "scale": None})
    assert "contrasts.x.scale" in found
    assert "none" in found
