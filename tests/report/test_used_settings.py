"""The page shows the settings that a method uses, and no other key of the config."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from cislex.report.sections.used_settings import OF_METHOD, OF_REFERENCES, used

SCHEMA = Path(__file__).resolve().parents[2] / "workflow/schemas/config.schema.yaml"


def complete(kind: str, name: str) -> dict:
    """Every key of a part of the config, with something in it."""
    properties = yaml.safe_load(SCHEMA.read_text())["$defs"][kind]["properties"]
    return {key: entry.get("default", "given") for key, entry in properties.items()} | name  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("deep_lift_shap", {"name", "rule", "references", "unknown_ops"}),
        ("integrated_gradients", {"name", "quadrature", "steps", "references"}),
        ("ism", {"name", "start", "end"}),
        ("saliency", {"name"}),
    ],
)
def test_a_method_shows_its_own_keys(name: str, expected: set[str]) -> None:
    settings = {"method": complete("method", {"name": name, "rules": {}}), "qc": {"x": 1}}  # type: ignore[arg-type]
    found = used(settings)
    assert set(found["method"]) == expected
    assert found["qc"] == {"x": 1}
    assert "tolerance" in used({"method": {**settings["method"], "quadrature": "adaptive"}})["method"] or (
        name != "integrated_gradients"
    )


def test_references_show_their_own_keys() -> None:
    for kind, keys in OF_REFERENCES.items():
        references = complete("references", {"kind": kind, "n": "auto"})  # type: ignore[arg-type]
        found = used({"method": {"name": "deep_lift_shap", "references": references}})
        assert set(found["method"]["references"]) == {"kind", *keys}
        references["n"] = 20
        found = used({"method": {"name": "deep_lift_shap", "references": references}})
        assert set(found["method"]["references"]) == {"kind", *keys} - {"sufficiency", "most"}


def test_every_method_and_key_of_the_config_is_known() -> None:
    definitions = yaml.safe_load(SCHEMA.read_text())["$defs"]
    method = definitions["method"]["properties"]
    assert set(method["name"]["enum"]) == set(OF_METHOD)
    assert {key for keys in OF_METHOD.values() for key in keys} == set(method) - {"name"}
    references = definitions["references"]["properties"]
    assert set(references["kind"]["enum"]) == set(OF_REFERENCES)
    assert {key for keys in OF_REFERENCES.values() for key in keys} == set(references) - {"kind"}
