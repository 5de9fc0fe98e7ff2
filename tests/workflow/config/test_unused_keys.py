"""A key that the chosen method, kind or source does not use is refused, and so is nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from cislex.attribution import methods
from cislex.chunks import methods_from_config
from cislex.errors import ConfigError
from cislex.training.heads import LossSettings
from cislex_workflow.config import configuration, unused_keys

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
TARGETS = {"t": {"kind": "output"}}
GENOMIC = {"tasks": {"a": "a.bed"}, "validation_chromosomes": ["c1"], "test_chromosomes": ["c2"]}
SIGNAL = {"signal": {"peaks": "p.bed", "tracks": {"t": {"bigwig": "t.bw"}}}, "validation_chromosomes": ["c1"],
          "test_chromosomes": ["c2"]}  # fmt: skip
LABELS = {"labels": {"x": "x.fa", "y": "y.fa"}}
ARRAYS = {"hdf5": {"path": "d.h5"}}


def said(training: dict[str, Any] | None = None, **analysis: Any) -> str:
    """What is said of an analysis, or of a training."""
    model = {"loader": "factory", "module": "m.py:f", "folds": {"a": "a.pt"}}
    if training is not None:
        model = {"loader": "trained", "folds": {"a": None}, "training": training}
    config = {
        "genome": {"fasta": "g.fa"},
        "regions": {"mine": {"peaks": "p.bed"}},
        "models": {"net": {"input_length": 100, **model}},
        "analyses": {"a": {"regions": "mine", "model": "net", "targets": TARGETS, **analysis}},
    }
    try:
        resolved = configuration.resolve(yaml.safe_load(yaml.safe_dump(config)), SCHEMA)
    except configuration.ConfigurationError as error:
        return str(error).removeprefix("invalid config:\n  ")
    assert configuration.resolve(yaml.safe_load(yaml.safe_dump(resolved)), SCHEMA) == resolved
    return ""


FUNGI = {"databases": ["jaspar-fungi"]}
IG = "integrated_gradients"
ANALYSES: list[tuple[dict[str, Any], str]] = [
    ({"hits": {"method": "scan", "alpha": 0.8}}, "hits.alpha: 0.8 is only used with method: finemo, not"),
    ({"hits": {"method": "scan", "batch_size": 9}}, "hits.batch_size: 9 is only used with method: finemo"),
    ({"hits": {"max_p": 0.001}}, "hits.max_p: 0.001 is only used with method: scan, not finemo"),
    ({"hits": {"release": "JASPAR2024"}}, "hits.release: JASPAR2024 is only used with method: scan"),
    ({"hits": {"method": "scan", "release": "JASPAR2024"}}, "is of JASPAR, but found database null"),
    ({"motifs": {"database": "m.meme", "release": "JASPAR2024"}}, "is of JASPAR, but found database m.meme"),
    ({"motifs": {"database": "m.meme", "release": "JASPAR2024"}, "seqlets": FUNGI}, ""),
    ({"method": {"name": "tism", "references": {"n": 5}}}, "references: {.*} is only used with name: d"),
    ({"method": {"name": "ism", "steps": 9}}, "method.steps: 9 is only used with name: integrated_gr"),
    ({"method": {"end": 9}}, "a.method.end: 9 is only used with name: ism, not deep_lift_shap"),
    ({"method": {"name": "ism", "end": 9}}, ""),
    ({"method": {"name": IG, "rule": "reveal_cancel"}}, "rule: reveal_cancel is only"),
    ({"method": {"name": IG, "tolerance": 0.1}}, "with quadrature: adaptive, not gauss"),
    ({"method": {"name": IG, "quadrature": "adaptive", "tolerance": 0.1}}, ""),
    ({"method": {"references": {"kind": "zeros", "n": 5}}}, "references.n: 5 is only used with kind: dinuc"),
    ({"method": {"references": {"kind": "shuffle", "start": 5}}}, "references.start: 5 is only used with"),
    ({"method": {"references": {"gc_tolerance": 0.1}}}, "gc_tolerance: 0.1 is only used with kind: genomic"),
    ({"method": {"references": {"kind": "genomic", "n": 3, "seed": 1, "gc_tolerance": 0.1}}}, ""),
]  # fmt: skip
TRAININGS: list[tuple[dict[str, Any], str]] = [
    ({**LABELS, "jitter": 5}, "net.training.jitter: 5 is only used with tasks or signal, not labels"),
    ({**ARRAYS, "negatives": {"kind": "shuffle"}}, "negatives: {kind: shuffle, path: null} is only"),
    ({**ARRAYS, "stride": 5}, "training.stride: 5 is only used with labels, not hdf5"),
    ({**GENOMIC, "test_fraction": 0.3}, "test_fraction: 0.3 is only used with labels or hdf5"),
    ({**GENOMIC, "class_weights": "balanced"}, "class_weights: balanced is only used with head: softmax"),
    ({**GENOMIC, "background": "none"}, "background: none is only used with head: softmax, not sigmoid"),
    ({**LABELS, "positive_weight": 2}, "positive_weight: 2 is only used with head: sigmoid, not softmax"),
    ({**LABELS, "positive_weight": 1, "class_weights": "balanced", "stride": 5}, ""),
    ({**SIGNAL, "focal_gamma": 2}, "focal_gamma: 2 is only used with head: sigmoid or softmax, not counts"),
    ({**SIGNAL, "counts_weight": 2}, "counts_weight: 2 is only used with head: profile, not counts"),
    ({**GENOMIC, "head": "softmax", "background": "none", "focal_gamma": 1, "jitter": 5}, ""),
    ({**GENOMIC, "jitter": 140}, "min_negative_distance: 220 bp; expected more than positive_distance"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), ANALYSES, ids=str)
def test_keys_of_another_method_are_refused(change: dict[str, Any], message: str) -> None:
    found = said(**change)
    head, _, tail = message.partition("{.*}")
    assert head in found
    assert tail in found
    assert bool(found) == bool(message), found
    assert "\n" not in found


@pytest.mark.parametrize(("training", "message"), TRAININGS, ids=str)
def test_keys_of_another_training_are_refused(training: dict[str, Any], message: str) -> None:
    found = said(training)
    assert message in found
    assert bool(found) == bool(message), found


def test_keys_of_references_are_those_of_the_package() -> None:
    own = {kind: set(names.values()) for kind, (_, names) in methods_from_config._REFERENCES.items()}
    for key, kinds in unused_keys.REFERENCES.items():
        assert set(kinds) == {kind for kind, names in own.items() if key in names}, key


def test_keys_of_methods_are_those_of_the_package() -> None:
    classes = {
        "deep_lift_shap": methods.DeepLiftShap, "integrated_gradients": methods.IntegratedGradients,
        "expected_gradients": methods.ExpectedGradients, "ism": methods.ISM, "tism": methods.TISM,
        "saliency": methods.Saliency,
    }  # fmt: skip
    fields = {name: {field.name for field in dataclasses.fields(made)} for name, made in classes.items()}
    fields["integrated_gradients"] |= {"quadrature"}  # in the library its rule
    fields["integrated_gradients"] -= {"rule"}
    for key, names in unused_keys.METHOD.items():
        if key == "references":  # in the library of every method; the config gives them to these
            continue
        assert set(names) == {name for name, own in fields.items() if key in own}, key


@pytest.mark.parametrize("key", ["positive_weight", "class_weights", "focal_gamma"])
def test_keys_of_losses_are_those_of_the_package(key: str) -> None:
    value: Any = {"class_weights": "balanced"}.get(key, 2.0)
    for head in ("sigmoid", "softmax", "counts", "profile", "regression"):
        if head in unused_keys.LOSSES[key]:
            LossSettings(head=head, **{key: value})
        else:
            with pytest.raises(ConfigError, match="is only valid with head"):
                LossSettings(head=head, **{key: value})
