"""Training in the config: one source, a head that fits it, and named errors for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cislex_workflow.config import configuration

ROOT = Path(__file__).resolve().parents[3]

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"

CHROMOSOMES = {"validation_chromosomes": ["c1"], "test_chromosomes": ["c2"]}
PEAKS = {"tasks": {"a": "a.bed"}, **CHROMOSOMES}
SIGNAL = {"signal": {"peaks": "p.bed", "tracks": {"t": {"bigwig": "t.bw"}}}, **CHROMOSOMES}
LABELS = {"labels": {"x": "x.fa", "y": "y.fa"}}
ARRAYS = {"hdf5": {"path": "d.h5"}}


def resolve(training: dict[str, Any]) -> dict[str, Any]:
    config = {
        "genome": {"fasta": "genome.fa"},
        "regions": {"mine": {"peaks": "peaks.bed"}},
        "models": {
            "net": {"loader": "trained", "input_length": 100, "folds": {"f": None}, "training": training}
        },
        "analyses": {"first": {"regions": "mine", "model": "net", "targets": {"t": {"kind": "output"}}}},
    }
    training = configuration.resolve(config, SCHEMA)["models"]["net"]["training"]
    assert isinstance(training, dict)
    return training


@pytest.mark.parametrize(
    ("training", "source", "head"),
    [
        (PEAKS, "tasks", "sigmoid"),
        ({**PEAKS, "head": "softmax"}, "tasks", "softmax"),
        (SIGNAL, "signal", "counts"),
        ({**SIGNAL, "architecture": "bpnet", "hyperparameters": {"profile": True}}, "signal", "profile"),
        (LABELS, "labels", "softmax"),
        (ARRAYS, "hdf5", "sigmoid"),
        ({**ARRAYS, "head": "regression"}, "hdf5", "regression"),
    ],
)
def test_the_head_follows_the_source(training: dict[str, Any], source: str, head: str) -> None:
    resolved = resolve(training)
    assert configuration.training_source(resolved) == source
    assert configuration.training_head(resolved) == head


def test_a_config_of_before_means_what_it_meant() -> None:
    resolved = resolve(PEAKS)
    assert resolved["negatives"] == {"kind": "gc_matched", "path": None}
    assert resolved["positive_weight"] == "auto"
    assert (resolved["class_weights"], resolved["focal_gamma"]) == (None, 0)
    assert resolve({**PEAKS, "positive_weight": "balanced"})["positive_weight"] == "balanced"
    assert resolve({**LABELS, "class_weights": {"x": 2, "y": 1}})["class_weights"] == {"x": 2, "y": 1}


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (CHROMOSOMES, "give exactly one of tasks, signal, labels, hdf5; found none"),
        ({**PEAKS, **LABELS}, "found tasks, labels"),
        ({"tasks": {"a": "a.bed"}}, "validation_chromosomes is empty"),
        ({**LABELS, **CHROMOSOMES}, "test_chromosomes is only valid with tasks and signal"),
        (
            {**PEAKS, "head": "counts"},
            "head counts is not valid with tasks: expected one of sigmoid, softmax",
        ),
        ({**LABELS, "head": "sigmoid"}, "head sigmoid is not valid with labels"),
        (
            {**SIGNAL, "keep_epoch": "auprc"},
            "keep_epoch: auprc is only valid with head sigmoid or softmax, not counts",
        ),
        ({**PEAKS, "negatives": {"kind": "bed"}}, "negatives.path is required with kind: bed"),
        ({**PEAKS, "negatives": {"kind": "none"}}, "negatives.kind: none is not valid with tasks"),
        ({**SIGNAL, "negatives": {"kind": "shuffle"}}, "negatives.kind: shuffle is not valid with signal"),
        (
            {**SIGNAL, "signal": {"peaks": "p", "tracks": {"t": {"plus": "x.bw"}}}},
            "signal.tracks.t: give bigwig, or",
        ),
        ({**LABELS, "validation_fraction": 0.6, "test_fraction": 0.4}, "must sum to less than 1"),
        ({**PEAKS, "positive_weight": "equal"}, "positive_weight"),
        ({**PEAKS, "negatives": {"knd": "bed"}}, "did you mean 'kind'"),
        ({**ARRAYS, "hdf5": {"path": "d.h5", "x_tests": "x"}}, "did you mean 'x_test'"),
    ],
)
def test_training_that_cannot_be_meant_is_refused(training: dict[str, Any], message: str) -> None:
    with pytest.raises(configuration.ConfigurationError) as raised:
        resolve(training)
    assert message in str(raised.value)
