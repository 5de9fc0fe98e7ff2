"""Values reach the workflow in the types that the schema wants, whatever they were written as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex_workflow.config import configuration
from cislex_workflow.config import types as config_types

ROOT = Path(__file__).resolve().parents[3]

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
MINIMAL = """
genome: {fasta: g.fa}
regions: {r: {peaks: p.bed, chunks: 2.0, max_unknown: 1e-1}}
models:
  net:
    loader: trained
    input_length: 1e2
    folds: {f: null}
    training:
      tasks: {a: a.bed}
      validation_chromosomes: [c1]
      test_chromosomes: [c2]
      learning_rate: 1e-3
      positive_weight: 1e1
      hyperparameters: {filters: 8.0, dropout: 1e-1}
analyses:
  a:
    regions: r
    model: net
    targets: {t: {kind: difference, a: {kind: output, index: 1.0}, b: {kind: slice, index: [2.0]}}}
    qc: {max_relative_delta: 1e-4}
"""


def test_numbers_are_numbers_however_they_are_written() -> None:
    config = configuration.resolve(yaml.safe_load("seed: 0.0\n" + MINIMAL), SCHEMA)
    training = config["models"]["net"]["training"]
    found = [
        config["seed"], config["regions"]["r"]["chunks"], config["regions"]["r"]["max_unknown"],
        config["models"]["net"]["input_length"], training["learning_rate"], training["positive_weight"],
        training["hyperparameters"]["dropout"], config["analyses"]["a"]["qc"]["max_relative_delta"],
        config["analyses"]["a"]["targets"]["t"]["a"]["index"],
        config["analyses"]["a"]["targets"]["t"]["b"]["index"],
    ]  # fmt: skip
    assert repr(found) == "[0, 2, 0.1, 100, 0.001, 10.0, 0.1, 0.0001, 1, [2]]"


@pytest.mark.parametrize(
    ("given", "keys", "value"),
    [
        ({"budget": {"gpu_hours": "900", "confirmed": "true"}}, ("budget", "gpu_hours"), 900),
        ({"budget": {"gpu_hours": "null"}}, ("budget", "gpu_hours"), None),
        ({"estimate": {"gpu": "null"}}, ("estimate", "gpu"), None),
        ({"estimate": {"gpu": "100"}}, ("estimate", "gpu"), "100"),
        ({"simulate": "null"}, ("simulate",), None),
        ({"analyses": {"a": {"batch_size": "8"}}}, ("analyses", "a", "batch_size"), 8),
        ({"analyses": {"a": {"targets": {"t": {"kind": "output", "index": "1"}}}}},
         ("analyses", "a", "targets", "t", "index"), 1),
        ({"analyses": {"a": {"targets": {"t": {"kind": "slice", "index": ["1", "2"]}}}}},
         ("analyses", "a", "targets", "t", "index"), [1, 2]),
        ({"title": "1e-3"}, ("title",), "1e-3"),
    ],
)  # fmt: skip
def test_a_value_of_the_command_line_has_its_type_inside_of_a_mapping(
    given: dict[str, Any], keys: tuple[str, ...], value: Any
) -> None:
    def merge(into: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:  # as Snakemake does
        for key, entry in new.items():
            both = isinstance(entry, dict) and isinstance(into.get(key), dict) and key != "targets"
            into[key] = merge(into[key], entry) if both else entry
        return into

    found: Any = configuration.resolve(merge(yaml.safe_load(MINIMAL), given), SCHEMA, given=given)
    for key in keys:
        found = found[key]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1.5\n", "seed: found 1.5, expected a whole number from 0"),
        ("seed: 1e-3\n", "seed: found '1e-3', expected a whole number"),
        ("seed: true\n", "seed: found true, expected a whole number"),
        ("title: 2024\n", "title: found 2024, expected text; write text in quotes"),
        ("fetch: {no: {url: 'https://x'}}\n", "fetch: YAML does not read the key False as text"),
        ("budget: {gpu_hours: .nan}\n", "budget.gpu_hours: nan is not a number"),
    ],
)
def test_what_has_no_fitting_type_is_refused_with_its_key(text: str, message: str) -> None:
    with pytest.raises(configuration.ConfigurationError) as raised:
        configuration.resolve(yaml.safe_load(text + MINIMAL), SCHEMA)
    assert message in str(raised.value)


def test_only_text_that_spells_a_value_is_one() -> None:
    texts = ["1", "-2", "1e-3", ".5", "5.", "1_0", "0x1f", "nan", ".inf", "1:30", "True", "~", "no", "1e"]
    expected = [1, -2, 0.001, 0.5, 5.0, "1_0", "0x1f", "nan", ".inf", "1:30", True, None, "no", "1e"]
    assert [config_types.scalar(text) for text in texts] == expected
