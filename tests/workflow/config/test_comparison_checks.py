"""A comparison that cannot be made is refused when the plan is made, with what to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex_workflow.config import configuration

ROOT = Path(__file__).resolve().parents[3]
TARGET = {"t": {"kind": "output"}}


def problems(settings: dict[str, Any]) -> str:
    """What is said of a comparison of analyses of 100 bp."""
    analysis = {"regions": "own", "model": "net", "targets": TARGET}
    net = {"loader": "factory", "module": "m.py:f", "folds": {"a": "a.pt"}, "input_length": 100}
    config = {
        "regions": {"own": {"fasta": "x.fa"}, "others": {"fasta": "y.fa"}},
        "models": {"net": net},
        "analyses": {
            "ism": {**analysis, "method": {"name": "ism"}},
            "shap": analysis,
            "elsewhere": {**analysis, "regions": "others"},
            "renamed": {**analysis, "targets": {"u": TARGET["t"]}},
            "shap.uncorrected": analysis,
        },
        "comparisons": {"x": settings},
    }
    schema = ROOT / "workflow" / "schemas" / "config.schema.yaml"
    try:
        configuration.resolve(yaml.safe_load(yaml.safe_dump(config)), schema)
    except configuration.ConfigurationError as error:
        return str(error)
    return ""


CASES: list[tuple[dict[str, Any], str]] = [
    ({"analyses": ["ism", "shap"], "yardstick": "ism", "top": [100]}, ""),
    ({"analyses": ["ism"], "uncorrected": ["ism"], "faithfulness": None}, ""),
    ({"analyses": ["ism"]}, "comparisons.x.analyses: found only ism; name at least two"),
    ({"analyses": ["ism", "shpa"]}, "did you mean 'shap'"),
    (
        {"analyses": ["ism", "shap"], "yardstick": "sim"},
        "no 'sim' in ism, shap; did you mean 'ism'",
    ),
    (
        {"analyses": ["ism", "elsewhere"]},
        "ism is of regions own, elsewhere of others; compare",
    ),
    (
        {"analyses": ["ism", "renamed"]},
        "ism has targets t, renamed u; give the targets",
    ),
    ({"analyses": ["ism"], "uncorrected": ["shap"]}, "uncorrected: 'shap' is not among the analyses"),
    (
        {"analyses": ["shap", "shap.uncorrected"], "uncorrected": ["shap"]},
        "'shap.uncorrected' is there",
    ),
    ({"analyses": ["ism", "shap"], "top": [10, 101]}, "top: found 101; the sequences have 100 bp"),
    ({"analyses": ["ism", "shap"], "faithfulness": {"n": 0}}, "faithfulness"),
]


@pytest.mark.parametrize(("settings", "message"), CASES, ids=[text or "valid" for _, text in CASES])
def test_what_cannot_be_compared_is_said_with_the_plan(settings: dict[str, Any], message: str) -> None:
    found = problems(settings)
    assert message in found
    assert bool(found) == bool(message)
