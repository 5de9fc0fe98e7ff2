"""A design that cannot work is refused when the plan is made, with what to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex.design.guides import GUIDES
from cislex_workflow.config import configuration

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


def problems(settings: dict[str, Any], loader: str = "factory") -> str:
    """What is said of a design of two targets and sequences of 50 bp."""
    targets = {name: {"kind": "output", "index": index} for index, name in enumerate(("a", "b"))}
    module = {"module": "m.py:f"} if loader == "factory" else {}
    config = {
        "regions": {"own": {"fasta": "x.fa"}},
        "models": {"net": {"loader": loader, "folds": {"a": "a.pt"}, "input_length": 50, **module}},
        "analyses": {
            "first": {"regions": "own", "model": "net", "targets": targets, "motifs": None, "hits": None}
        },
        "evolution": {"x": {"analysis": "first", **settings}},
    }
    try:
        configuration.resolve(yaml.safe_load(yaml.safe_dump(config)), SCHEMA)
    except configuration.ConfigurationError as error:
        return str(error)
    return ""


COUNTS = {"A": 8, "C": 17, "G": 17, "T": 8}
CASES: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"target": "b", "against": "a", "start": {"kind": "random", "composition": COUNTS}}, ""),
    ({"start": {"kind": "fasta", "fasta": "b.fa", "n": None}}, ""),
    ({"constraints": {"keep": [[0, 20], [30, 50]], "forbidden": ["GGTCTC", "gcNNgc"], "gc": [0.4, 0.6]}}, ""),
    ({"analysis": "frist"}, "no 'frist' in analyses: first; did you mean 'first'?"),
    ({"target": "c"}, "target: no 'c' in the targets: a, b"),
    ({"against": "a"}, "against: a is the target itself"),
    ({"guide": {"name": "saliency"}}, "guide.name"),
    ({"start": {"kind": "fasta"}}, "start.fasta: required with kind: fasta"),
    ({"start": {"kind": "random", "rows": [1]}}, "start.rows: only valid with kind: regions"),
    ({"start": {"kind": "random", "n": None}}, "start.n: null is not valid with kind: random"),
    ({"start": {"composition": COUNTS}}, "start.composition: only valid with kind: random"),
    ({"start": {"kind": "random", "composition": {"A": 8}}}, "counts make 8 bp, and the model takes 50 bp"),
    ({"constraints": {"gc": [0.6, 0.4]}}, "constraints.gc: found [0.6, 0.4]"),
    ({"constraints": {"forbidden": ["NN"]}}, "constraints.forbidden: found NN"),
    ({"constraints": {"forbidden": ["GAX"]}}, "constraints.forbidden: found X"),
    ({"constraints": {"keep": [[40, 51]]}}, "constraints.keep: found [40, 51]"),
    ({"constraints": {"keep": [[0, 30], [20, 50]]}}, "all 50 positions are kept, so no edit is allowed"),
]


@pytest.mark.parametrize(("settings", "message"), CASES)
def test_designs_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    found = problems(settings)
    assert message in found
    assert bool(found) == bool(message), found


def test_a_guide_that_cannot_see_the_model_is_refused() -> None:
    settings = {"guide": {"name": "deep_lift_shap"}}
    assert "deep_lift_shap cannot see the operations of TorchScript" in problems(settings, "torchscript")


def test_the_schema_knows_every_guide() -> None:
    schema = yaml.safe_load(SCHEMA.read_text())
    names = schema["$defs"]["evolution"]["properties"]["guide"]["properties"]["name"]["enum"]
    assert tuple(names) == GUIDES
