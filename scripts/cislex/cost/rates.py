"""Rates of a GPU that is not available: measured on it with other models, scaled to this one's operations."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cislex.errors import ConfigError, StorageError
from cislex.files.text_tables import read_text

#: Floating-point operations of one forward pass of the models that benchmarks/attribution.py measures, as
#: ``cislex.runtime.measurement.count_flops`` counts them.
BENCHMARKED = {"bpnet": 438_359_168, "basset": 72_782_336, "beluga": 7_803_176_492, "blocks": 653_479_808}
#: Methods that compare each region with references.
WITH_REFERENCES = ("deep_lift_shap", "expected_gradients", "integrated_gradients")


@dataclass(frozen=True)
class Rate:
    """How fast one fold is attributed, and where that was measured."""

    seconds_per_region: float
    startup_seconds: float
    memory_mb: float
    flops: float
    device: str


@dataclass(frozen=True)
class Measurement:
    """Seconds of one example-reference pair of a benchmarked model on a GPU."""

    gpu: str
    model: str
    seconds_per_pair: float


def passes(method: Mapping[str, Any], length: int) -> float:
    """Example-reference pairs of DeepLIFT that cost as much as one region of a method, about.

    A pair is a forward and a backward pass of a row; a mutant is a forward pass, a third of that.
    """
    name = str(method["name"])
    if name in WITH_REFERENCES:
        steps = int(method["steps"]) if name == "integrated_gradients" else 1
        return steps * int(method["references"]["n"])
    if name == "ism":
        end = length if method.get("end") is None else int(method["end"])
        return end - int(method.get("start", 0))  # three mutants a position
    return 1


def with_number(method: Mapping[str, Any], inspection: str | Path) -> Mapping[str, Any]:
    """Settings of a method, with the number of references that the inspection chose in place of ``auto``."""
    if method["name"] not in WITH_REFERENCES or method["references"]["n"] != "auto":
        return method
    rows = read_text(inspection)
    chosen = rows.loc[(rows["section"] == "references") & (rows["name"] == "number"), "value"]
    if chosen.empty:
        raise StorageError(
            f"{inspection}: says of no number of references, expected the one that n: auto gave; delete the "
            "file to recreate it"
        )
    return {**method, "references": {**method["references"], "n": int(chosen.iloc[0])}}


def read_measurements(folder: str | Path) -> list[Measurement]:
    """What the records of a folder say of GPUs (those that benchmarks/attribution.py writes)."""
    found = []
    for path in sorted(Path(folder).glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or "gpu" not in record:
            continue
        for model in BENCHMARKED:
            section = record.get(model)
            if not isinstance(section, dict) or "cislex" not in section.get("seconds", {}):
                continue
            pairs = re.match(r"(\d+) example-reference pairs", section["unit"])
            if pairs:
                seconds = statistics.median(section["seconds"]["cislex"]) / int(pairs.group(1))
                found.append(Measurement(str(record["gpu"]), model, seconds))
    return found


def scale_rate(rate: Rate, gpu: str, records: str | Path | None, *, passes: float) -> Rate:
    """The rate of a model on a GPU, from the benchmarked model whose number of operations is nearest.

    Never faster per pair than the fastest model that was measured there: below some size a GPU waits.

    Raises
    ------
    ConfigError
        When there is no record of the GPU, or the operations of the model could not be counted.
    """
    everything = [] if records is None else read_measurements(records)
    there = [m for m in everything if gpu.lower() in m.gpu.lower()]
    if not there:
        names = sorted({m.gpu for m in everything})
        raise ConfigError(
            f"estimate.gpu: no measured record of {gpu!r} in {records}; available: "
            f"{', '.join(names) or 'none'}. Measure it there with `python benchmarks/attribution.py "
            "--device cuda --out benchmarks/results/<name>.json`, or remove the key"
        )
    if rate.flops <= 0:
        raise ConfigError(
            "estimate.gpu: the operations of the model could not be counted, so that rates of another device "
            "cannot be scaled; run the inspection on a GPU instead"
        )
    nearest = min(there, key=lambda m: abs(math.log(rate.flops / BENCHMARKED[m.model])))
    scaled = nearest.seconds_per_pair * rate.flops / BENCHMARKED[nearest.model]
    fastest = min(m.seconds_per_pair for m in there)
    return replace(
        rate,
        seconds_per_region=passes * max(scaled, fastest),
        device=f"{nearest.gpu}, scaled from {nearest.model}",
    )
