"""Expected use of the jobs from regions to attributions and tracks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from cislex_workflow.expected_use.work import (
    CUDA_MB,
    JOB_SECONDS,
    MB,
    STARTUP_SECONDS,
    TORCH_MB,
    UNKNOWN_REGIONS,
    Measured,
    Use,
    Work,
    count_lines,
    size,
)


def index_genome(work: Work, wildcards: Mapping[str, str]) -> Use:
    return Use(120, 5 + work.genome_mb() / 20)


def extract_regions(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows = work.rows(wildcards["regions"])
    return Use(120 + 1.5e-3 * rows, 5 + rows / 15_000 + work.genome_mb() / 20)


def encode_sequences(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = work.regions(wildcards["regions"]), work.length(wildcards["regions"])
    return Use(120 + 0.6e-3 * rows, 5 + rows * length / 4e6 + work.genome_mb() / 20)


def import_sequences(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = work.rows(wildcards["regions"]), work.length(wildcards["regions"])
    return Use(150 + 1e-3 * rows, 5 + rows * length / 4e6)


#: Time of an epoch over that of the smallest architecture, about.
_ARCHITECTURES = {"cnn": 1.0, "cnn_lstm": 6.0, "bpnet": 20.0}


def train_model(work: Work, wildcards: Mapping[str, str]) -> Use:
    model = work.config["models"][wildcards["model"]]
    training, length = model["training"], model["input_length"]
    peaks = (training["tasks"] or {}).values() or [(training["signal"] or {}).get("peaks")]
    rows = [count_lines(path) if path else None for path in peaks]
    windows = 3 * sum(UNKNOWN_REGIONS if row is None else row for row in rows)
    bases = windows * length * _ARCHITECTURES.get(training["architecture"], 6.0)
    return Use(600 + 12e-6 * windows * length, 30 + bases * training["epochs"] / 1.5e6)


def inspect_model(work: Work, wildcards: Mapping[str, str]) -> Use:
    analysis = work.config["analyses"][wildcards["analysis"]]
    folds = work.config["models"][analysis["model"]]["folds"]
    weights = max(size(path) for path in folds.values()) / MB
    length = work.length(analysis["regions"])
    found = work.measured(wildcards["analysis"])
    memory = model_mb(analysis, weights, length) if found is None else found.host_mb
    seconds = 60 + 2 * weights + length / 50
    if analysis["method"]["references"]["n"] == "auto":
        # 32 regions against each reference alone, which costs twice as much as against all at once.
        _, model, _ = attribution(work, wildcards["analysis"])
        seconds += 64 * len(analysis["targets"]) * model.seconds_per_region
    return Use(memory, 60 + work.folds(analysis) * seconds)


def model_mb(analysis: Mapping[str, Any], weights_mb: float, length: int) -> float:
    """Memory of a model that attributes, before anything is measured."""
    cuda = 0.0 if analysis["device"] == "cpu" else CUDA_MB
    return TORCH_MB + cuda + 8 * weights_mb + 0.2 * length


def attribution(work: Work, name: str) -> tuple[Mapping[str, Any], Measured, bool]:
    """An analysis, and what is measured of its model, or guessed."""
    analysis = with_number(work, name)
    found = work.measured(name)
    if found is not None:
        return analysis, found, True
    length = work.length(analysis["regions"])
    folds = work.config["models"][analysis["model"]]["folds"]
    weights = max(size(path) for path in folds.values()) / MB
    seconds = (analysis["method"]["references"]["n"] + 1) * length * 4e-6
    return analysis, Measured(seconds, STARTUP_SECONDS, model_mb(analysis, weights, length)), False


def with_number(work: Work, name: str) -> dict[str, Any]:
    """An analysis, its number of references as chosen, or the largest that may be."""
    analysis: dict[str, Any] = work.config["analyses"][name]
    method, references = analysis["method"], analysis["method"]["references"]
    if references["n"] != "auto":
        return analysis
    try:
        n = json.loads((work.results / name / "references.json").read_text(encoding="utf-8"))["n"]
    except (OSError, ValueError, KeyError):
        n = None
    number = references["most"] if n is None else int(n)
    return {**analysis, "method": {**method, "references": {**references, "n": number}}}


def forward_seconds(analysis: Mapping[str, Any], model: Measured) -> float:
    """Time of the model's prediction of one region: a part of what one pair of attribution costs."""
    return model.seconds_per_region / max(1, analysis["method"]["references"]["n"])


def attribute_chunk(work: Work, wildcards: Mapping[str, str]) -> Use:
    analysis, model, measured = attribution(work, wildcards["analysis"])
    regions = work.config["regions"][analysis["regions"]]
    # A region with several windows may count once for each.
    rows = math.ceil(work.stored(analysis)[0] / regions["chunks"])
    # The sequences of a block of regions wait in memory, with results of every target.
    block = min(min(rows, 4096) * work.length(analysis["regions"]) * 4e-6, 256)
    seconds = JOB_SECONDS + model.startup_seconds + rows * model.seconds_per_region
    return Use(model.host_mb + 2 * block, seconds, measured)


def predict_regions(work: Work, wildcards: Mapping[str, str]) -> Use:
    analysis, model, measured = attribution(work, wildcards["analysis"])
    rows = work.regions(analysis["regions"])
    folds = work.folds(analysis)
    seconds = folds * (model.startup_seconds + rows * forward_seconds(analysis, model))
    return Use(model.host_mb + 0.5e-3 * rows, 10 + seconds, measured)


def evaluate_predictions(work: Work, wildcards: Mapping[str, str]) -> Use:
    analysis = work.config["analyses"][wildcards["analysis"]]
    rows = work.regions(analysis["regions"])
    # 200 resamples are ranked, over all regions and again in parts; signal is read window by window.
    seconds = 20 + len(analysis["targets"]) * rows * (3e-4 + 1e-7 * work.length(analysis["regions"]))
    return Use(350 + 1.5e-3 * rows, seconds)


def aggregate_chunks(work: Work, wildcards: Mapping[str, str]) -> Use:
    analysis = work.config["analyses"][wildcards["analysis"]]
    rows, length = work.stored(analysis)
    folds = work.folds(analysis)
    files = folds * work.config["regions"][analysis["regions"]]["chunks"]
    # Blocks of 128 MB are averaged; of the longest rows several blocks of a dataset wait to be written.
    block = min(folds * 512 * 20e-6 * length, 400) + folds * 60e-6 * length
    memory = 200 + 0.3e-3 * rows + block
    return Use(memory, 10 + 0.02 * files + folds * rows * length * 20 / 15e6)


def gate_attributions(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = rows_of(work, wildcards)
    return Use(250 + 0.3e-3 * rows + 20e-6 * length, 10 + rows * length * 20 / 15e6)


def choose_windows(work: Work, wildcards: Mapping[str, str]) -> Use:
    screen = work.config["analyses"][wildcards["analysis"]].get("screen") or {
        "analysis": wildcards["analysis"]
    }
    rows, length = work.stored(work.config["analyses"][screen["analysis"]])
    return Use(400 + 1e-3 * rows + 60e-6 * length, 10 + rows * length * 20 / 50e6)


def export_tracks(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = rows_of(work, wildcards)
    # libBigWig keeps all that it sums up for zooming, of each base that some region covers.
    covered = min(rows * length, work.genome_mb() * 1e6 or rows * length)
    return Use(250 + 0.5e-3 * rows + 6e-6 * covered, 10 + rows * length / 2e6 + work.genome_mb() / 20)


def export_layouts(work: Work, wildcards: Mapping[str, str]) -> Use:
    rows, length = rows_of(work, wildcards)
    return Use(500 + 3e-3 * rows, 15 + rows * length / 0.7e6)


def export_browser(work: Work, wildcards: Mapping[str, str]) -> Use:
    # About five hits a region; a chromosome is in memory while its 2bit is made.
    analyses = list(work.config["analyses"].values())
    rows = [work.stored(analysis)[0] * len(analysis["targets"]) for analysis in analyses]
    memory = 400 + 5e-3 * max(rows) + min(5 * work.genome_mb(), 2500)
    return Use(memory, 15 + 5e-4 * sum(rows) + work.genome_mb() / 10)


def rows_of(work: Work, wildcards: Mapping[str, str]) -> tuple[int, int]:
    """Rows of the attributions of a job's analysis, and bp of each."""
    return work.stored(work.config["analyses"][wildcards["analysis"]])
