"""Settings of the config become methods and references; what is not given keeps the library's default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex.attribution import (
    ISM,
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    ExpectedGradients,
    GenomicWindows,
    IntegratedGradients,
    Saliency,
    Shuffle,
    Uniform,
    Zeros,
)
from cislex.chunks.methods_from_config import method_from_settings, references_from_settings
from cislex.errors import ConfigError

SCHEMA = Path(__file__).resolve().parents[2] / "workflow" / "schemas" / "config.schema.yaml"


def defaults(definition: str) -> dict[str, Any]:
    """Every default of one definition of the config schema."""
    entries = yaml.safe_load(SCHEMA.read_text())["$defs"][definition]["properties"]
    return {key: entry["default"] for key, entry in entries.items() if "default" in entry}


def method(**given: Any) -> Any:
    references = {**defaults("references"), **given.pop("references", {})}
    return method_from_settings({**defaults("method"), "references": references, **given})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, DeepLiftShap()),
        ({"rule": "reveal_cancel"}, DeepLiftShap(rule="reveal_cancel")),
        (
            {"rules": {"special_i0": "integrate"}, "unknown_ops": "integrate"},
            DeepLiftShap(rules={"special_i0": "integrate"}, unknown_ops="integrate"),
        ),
        ({"name": "saliency"}, Saliency()),
        ({"name": "tism"}, TISM()),
        ({"name": "ism"}, ISM()),
        ({"name": "ism", "start": 5, "end": 9}, ISM(start=5, end=9)),
        (
            {"name": "integrated_gradients", "references": {"kind": "zeros"}},
            IntegratedGradients(references=Zeros()),
        ),
        (
            {"name": "integrated_gradients", "quadrature": "adaptive", "tolerance": 0.1, "steps": 7},
            IntegratedGradients(
                references=DinucleotideShuffle(), rule="adaptive", tolerance=0.1, steps=7
            ),
        ),
        (
            {"name": "expected_gradients", "references": {"seed": 4, "n": 3}},
            ExpectedGradients(references=DinucleotideShuffle(n=3, seed=4), seed=4),
        ),
    ],
)  # fmt: skip
def test_methods(given: dict[str, Any], expected: Any) -> None:
    assert method(**given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, DinucleotideShuffle()),
        ({"start": 3, "end": 50, "n": 2}, DinucleotideShuffle(n=2, start=3, end=50)),
        ({"kind": "shuffle", "seed": 9}, Shuffle(seed=9)),
        ({"kind": "zeros"}, Zeros()),
        ({"kind": "uniform"}, Uniform()),
        ({"kind": "uniform", "frequencies": [0.5, 0.5, 0.5, 0.5]}, Uniform((0.5, 0.5, 0.5, 0.5))),
        (
            {"kind": "genomic", "fasta": "g.fa", "exclude": "r.bed", "gc_tolerance": 0.1},
            GenomicWindows("g.fa", exclude="r.bed", tolerance=0.1),
        ),
    ],
)
def test_references(given: dict[str, Any], expected: Any) -> None:
    made = references_from_settings({**defaults("references"), **given})
    assert made == expected or repr(made) == repr(expected)


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"references\.kind is 'kmer'; expected one of dinucleotide_shuffle"
    ):
        references_from_settings({"kind": "kmer"})
    with pytest.raises(ConfigError, match=r"method\.name is 'lrp'; expected deep_lift_shap"):
        method_from_settings({"name": "lrp"})
    with pytest.raises(ConfigError, match=r"Uniform\.frequencies"):
        references_from_settings({"kind": "uniform", "frequencies": [1, -1, 0, 0]})
