"""Settings of variants that cannot work are refused when the plan is made, with what to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex_workflow.config import configuration

ROOT = Path(__file__).resolve().parents[3]
SAVED = {"references": {"kind": "saved", "path": "r.h5"}}


def problems(config: dict[str, Any]) -> str:
    schema = ROOT / "workflow" / "schemas" / "config.schema.yaml"
    try:
        configuration.resolve(yaml.safe_load(yaml.safe_dump(config)), schema)
    except configuration.ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("settings", "method", "message"),
    [
        ({"table": "t.tsv", "observed": "x", "observed_threshold": 1.5}, {}, ""),
        ({"vcf": "c.vcf", "top": {"n": 3}}, {}, ""),
        ({"vcf": "c.vcf", "top": None}, SAVED, ""),
        ({"vcf": "c.vcf"}, SAVED, "variants.x.top: analysis first has saved references"),
        ({"vcf": "c.vcf", "observed": "x"}, {}, "variants.x.observed: found 'x'; a VCF has no such column"),
        ({"table": "t.tsv", "observed_threshold": 1}, {}, "observed_threshold: needs observed"),
        ({"table": "t.tsv", "observed": "x", "observed_threshold": 0}, {}, "variants.x.observed_threshold"),
        ({"table": "t.tsv", "top": {"n": 0}}, {}, "variants.x.top"),
        ({"table": "t.tsv", "analysis": "firts"}, {}, "did you mean 'first'"),
        ({"table": "t.tsv", "shifts": [51]}, {}, "shifts: found 51"),
    ],
)
def test_settings_that_do_not_fit_are_told(
    settings: dict[str, Any], method: dict[str, Any], message: str
) -> None:
    config = {
        "genome": {"fasta": "g.fa"},
        "regions": {"own": {"fasta": "x.fa"}},
        "models": {"net": {"loader": "factory", "module": "m.py:f", "folds": {"a": "a.pt"},
                           "input_length": 100}},
        "analyses": {"first": {"regions": "own", "model": "net", "targets": {"t": {"kind": "output"}},
                               "method": method}},
        "variants": {"x": {"analysis": "first", **settings}},
    }  # fmt: skip
    said = problems(config)
    assert message in said
    assert bool(message) == bool(said)
