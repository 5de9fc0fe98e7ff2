"""The price of a run: counted regions, hours, wall time, chunks of a stated length, other GPUs' rates."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from cislex.cost.disk import StoredPart
from cislex.cost.estimate import (
    JOB_SECONDS,
    AnalysisPlan,
    Estimate,
    RegionSource,
    count_regions,
    estimate_cost,
    suggest_chunks,
    wall_hours,
)
from cislex.cost.forwards import ForwardPlan, forward_hours
from cislex.cost.rates import BENCHMARKED, Rate, passes, scale_rate
from cislex.errors import ConfigError, InputError, StorageError
from cislex.runtime.measurement import count_flops
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
METHOD: dict[str, Any] = {
    "name": "deep_lift_shap", "references": {"n": 20}, "steps": 50, "start": 0, "end": None
}  # fmt: skip


def source(folder: Path, kind: str, name: str, **changes: Any) -> RegionSource:
    settings: dict[str, Any] = {
        "extracted": str(folder / "regions.bed"), "source": str(folder / name), "kind": kind,
        "dataset": "x", "limit": None, "length": 1000, "chunks": 4,
    }  # fmt: skip
    return RegionSource(**{**settings, **changes})


def rate(seconds: float = 0.5, startup: float = 10.0) -> Rate:
    return Rate(seconds, startup, 500.0, 1e8, "CPU")


def estimate(**changes: Any) -> Estimate:
    settings: dict[str, Any] = {
        "name": "a", "regions": 1000, "exact": True, "folds": 2, "references": 20, "chunks": 4,
        "rates": (rate(0.5), rate(0.25)), "held_out": False, "kept_bytes": 1.0, "temporary_bytes": 1.0,
        "files": 1,
    }  # fmt: skip
    return Estimate(**{**settings, **changes})


def test_regions_are_counted_where_they_are(tmp_path: Path) -> None:
    lines = "track name=x\n#comment\n\n" + "chr1\t1\t2\n" * 5
    (tmp_path / "p.bed").write_text(lines)
    with gzip.open(tmp_path / "p.bed.gz", "wt") as packed:
        packed.write(lines)
    (tmp_path / "s.fa").write_text(">a\nAC\nGT\n>b\nAC\nGT\n")
    with h5py.File(tmp_path / "s.h5", "w") as handle:
        handle["x"] = np.zeros((7, 4, 3))
    assert count_regions(source(tmp_path, "peaks", "p.bed")) == (5, False)
    assert count_regions(source(tmp_path, "peaks", "p.bed.gz", limit=3)) == (3, False)
    assert count_regions(source(tmp_path, "fasta", "s.fa")) == (2, True)
    assert count_regions(source(tmp_path, "hdf5", "s.h5")) == (7, True)
    (tmp_path / "regions.bed").write_text("#chrom\tstart\nchr1\t2\n")
    assert count_regions(source(tmp_path, "peaks", "p.bed")) == (1, True)


def test_regions_that_cannot_be_counted_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.bed"):
        count_regions(source(tmp_path, "peaks", "none.bed"))
    with h5py.File(tmp_path / "s.h5", "w") as handle:
        handle["y"] = 1
    with pytest.raises(InputError, match="no dataset 'x'"):
        count_regions(source(tmp_path, "hdf5", "s.h5"))


def test_hours_are_the_work_and_the_start_of_every_job() -> None:
    start = 4 * 2 * (10 + JOB_SECONDS)
    assert estimate().hours == pytest.approx((1000 * (0.5 + 0.25) + start) / 3600)
    assert estimate().pairs == 1000 * 2 * 20
    assert estimate().startup_share == pytest.approx(start / (750 + start))


def test_held_out_regions_go_to_one_fold_each() -> None:
    found = estimate(held_out=True)
    assert found.pairs == 1000 * 20
    assert found.hours == pytest.approx((500 * 0.75 + 4 * 2 * (10 + JOB_SECONDS)) / 3600)


@given(
    seconds=st.lists(st.floats(0.01, 5), min_size=1, max_size=4),
    chunks=st.integers(1, 30),
    parallel=st.integers(1, 50),
)
def test_wall_time_lies_between_its_bounds(seconds: list[float], chunks: int, parallel: int) -> None:
    found = [estimate(rates=(rate(s),), folds=1, chunks=chunks) for s in seconds]
    total = sum(e.hours for e in found)
    longest = max(duration for e in found for _, duration in e.jobs) / 3600
    wall = wall_hours(found, parallel)
    assert max(longest, total / parallel) <= wall * (1 + 1e-9)
    assert wall <= (total / parallel + longest) * (1 + 1e-9)
    assert wall_hours(found, 1) == pytest.approx(total)


@given(
    regions=st.integers(100, 10**7),
    seconds=st.floats(1e-3, 3),
    startup=st.floats(1, 60),
    minutes=st.floats(5, 90),
)
def test_suggested_chunks_last_as_long_as_was_asked(
    regions: int, seconds: float, startup: float, minutes: float
) -> None:
    found = estimate(regions=regions, folds=1, rates=(rate(seconds, startup),))
    chunks = suggest_chunks([found], minutes)

    def lasts(number: int) -> float:
        return estimate(regions=regions, folds=1, rates=found.rates, chunks=number).jobs[0][1] / 60

    if chunks < min(regions, 100_000):
        assert lasts(chunks) <= minutes * (1 + 1e-9)
    if chunks > 1:
        assert lasts(chunks - 1) > minutes * (1 - 1e-9)


def test_the_dearest_analysis_decides_on_the_chunks() -> None:
    cheap, dear = estimate(rates=(rate(0.1),)), estimate(rates=(rate(0.1), rate(9.0)))
    assert suggest_chunks([cheap, dear], 10) == suggest_chunks([dear], 10) > suggest_chunks([cheap], 10)


def write_inspection(path: Path, seconds: float, *, leave_out: str = "", flops: float = 1e8) -> Path:
    cost = {"seconds_per_region": seconds, "startup_seconds": 10.0, "peak_memory_mb": 700.0,
            "flops_per_sequence": flops}  # fmt: skip
    rows = [("f0", "output", "profile", "N × 2 × 1000", "")]
    rows += [
        ("f0", "cost", name, str(value), "CPU, 1 threads")
        for name, value in cost.items()
        if name != leave_out
    ]
    frame = pd.DataFrame(rows, columns=["fold", "section", "name", "value", "detail"])
    frame.to_csv(path, sep="\t", index=False)
    return path


def run(folder: Path, **options: Any) -> tuple[pd.DataFrame, str]:
    (folder / "p.bed").write_text("chr1\t1\t2\n" * 10_000)
    plans = {
        "dear": AnalysisPlan("set", METHOD, targets=2, seqlets=2000),
        "cheap": AnalysisPlan("set", {"name": "saliency"}, targets=1, seqlets=2000),
    }
    inspections = {
        "dear": write_inspection(folder / "i.tsv", 2.0), "cheap": write_inspection(folder / "j.tsv", 0.01)
    }  # fmt: skip
    estimate_cost(
        plans, {"set": source(folder, "peaks", "p.bed", chunks=100)}, inspections,
        folder / "cost.tsv", folder / "cost.txt", **{"job_minutes": 30, **options},
    )  # fmt: skip
    return pd.read_csv(folder / "cost.tsv", sep="\t").set_index("analysis"), (folder / "cost.txt").read_text()


def test_the_whole_estimate(tmp_path: Path) -> None:
    table, text = run(tmp_path)
    assert "GPU" not in text, "timed on a CPU"
    assert table.loc["dear", "pairs"] == 10_000 * 20
    assert table.loc["cheap", "pairs"] == 10_000
    assert table.loc["dear", "gpu_hours"] == pytest.approx((20_000 + 100 * 13) / 3600, rel=1e-4)
    assert table.loc["dear", "wall_hours_100"] == pytest.approx((200 + 13) / 3600, rel=1e-4)
    assert table.loc["dear", "counted"] == "at most"
    # 30 minutes are 1,787 s of work and 13 s of start.
    assert set(table["suggested_chunks"]) == {12}
    # Profiles of two strands of every region: the predictions are no small part of the disk.
    assert table.loc["cheap", "kept_gb"] > 10_000 * 2000 * 4 / 1e9
    assert "most expensive: dear" in text
    assert "regions.set.chunks: 12   (now 100)" in text


def test_disk_space_is_of_what_is_stored(tmp_path: Path) -> None:
    """524,288 bp: a window of 2,000 bp is next to nothing, rounded values take half, few of them a tenth."""
    (tmp_path / "p.bed").write_text("chr1\t1\t2\n" * 10_000)
    length = 524_288
    parts = {
        "all": None, "window": StoredPart(2000), "float16": StoredPart(length, "float16"),
        "keep": StoredPart(length, keep=5000), "most": StoredPart(length, keep=length - 1),
    }  # fmt: skip
    plans = {name: AnalysisPlan("set", {"name": "tism"}, 1, 0, stored=part) for name, part in parts.items()}
    inspections = {name: write_inspection(tmp_path / "i.tsv", 0.01) for name in plans}
    sources = {"set": source(tmp_path, "peaks", "p.bed", length=length)}
    estimate_cost(plans, sources, inspections, tmp_path / "c.tsv", tmp_path / "c.txt", job_minutes=30)
    table = pd.read_csv(tmp_path / "c.tsv", sep="\t").set_index("analysis")
    chunks, whole = table["temporary_gb"], table.loc["all", "temporary_gb"]
    assert whole == pytest.approx(10_000 * length * 18.5 / 1e9, rel=1e-3)
    assert chunks["window"] == pytest.approx(whole * 2000 / length, rel=0.01)
    assert chunks["float16"] == pytest.approx(0.56 * whole, rel=1e-3)
    assert chunks["keep"] < 0.1 * whole
    assert chunks["most"] == whole
    assert table.loc["float16", "kept_gb"] == pytest.approx(table.loc["all", "kept_gb"] - 0.44 * whole, 1e-3)
    assert StoredPart(500, top=2, regions=30).rows(100) == 60
    # Several folds are averaged first: their chunks hold everything.
    mean, both = parts["keep"].scores(10, averaged=True)
    assert both == 10 * length * 18.5
    assert mean == parts["keep"].scores(10, averaged=False)[0]


def test_an_automatic_number_of_references_is_the_chosen_one(tmp_path: Path) -> None:
    (tmp_path / "p.bed").write_text("chr1\t1\t2\n" * 10)
    path = write_inspection(tmp_path / "i.tsv", 1)
    arguments: Any = (
        {"a": AnalysisPlan("set", {**METHOD, "references": {"n": "auto"}}, 1, 1)},
        {"set": source(tmp_path, "peaks", "p.bed")}, {"a": path}, tmp_path / "c.tsv", tmp_path / "c.txt",
    )  # fmt: skip
    with pytest.raises(StorageError, match=r"i\.tsv: says of no number of references"):
        estimate_cost(*arguments, job_minutes=30)
    with path.open("a") as handle:
        handle.write("f0\treferences\tnumber\t7\tthe fewest\n")
    estimate_cost(*arguments, job_minutes=30)
    table = pd.read_csv(tmp_path / "c.tsv", sep="\t").iloc[0]
    assert (table["references"], table["pairs"]) == (7, 70)


def test_jobs_that_are_too_short_are_told(tmp_path: Path) -> None:
    _, text = run(tmp_path, job_minutes=1)
    assert "set budget" not in text
    assert "set estimate.job_minutes to 5" in text


def test_an_inspection_of_an_earlier_version_is_named(tmp_path: Path) -> None:
    path = write_inspection(tmp_path / "i.tsv", 1, leave_out="startup_seconds")
    (tmp_path / "p.bed").write_text("chr1\t1\t2\n")
    with pytest.raises(StorageError, match=r"i\.tsv: fold f0 lacks startup_seconds"):
        estimate_cost(
            {"a": AnalysisPlan("set", METHOD, 1, 1)}, {"set": source(tmp_path, "peaks", "p.bed")},
            {"a": path}, tmp_path / "c.tsv", tmp_path / "c.txt", job_minutes=30,
        )  # fmt: skip
    assert not (tmp_path / "c.tsv").exists()


def write_record(folder: Path) -> None:
    """As benchmarks/attribution.py writes it: 10 ms a pair for BPNet, 1 ms for Basset."""
    unit = "160 example-reference pairs"
    record = {
        "gpu": "NVIDIA Test 9000",
        "bpnet": {"seconds": {"cislex": [1.6, 1.5, 9.9]}, "unit": unit},
        "basset": {"seconds": {"cislex": [0.16]}, "unit": unit},
        "ism": {"seconds": {"cislex": [1.0]}, "unit": "40 mutants"},
    }
    (folder / "gpu.json").write_text(json.dumps(record))
    (folder / "accuracy.json").write_text(json.dumps({"device": "cpu"}))


def test_rates_of_a_named_gpu_scale_with_the_operations(tmp_path: Path) -> None:
    write_record(tmp_path)
    like_bpnet = Rate(9.0, 10.0, 1.0, 2.0 * BENCHMARKED["bpnet"], "CPU")
    found = scale_rate(like_bpnet, "test 9000", tmp_path, passes=20)
    assert found.seconds_per_region == pytest.approx(20 * 2 * 0.01)
    assert found.device == "NVIDIA Test 9000, scaled from bpnet"
    tiny = Rate(9.0, 10.0, 1.0, 1000.0, "CPU")
    assert scale_rate(tiny, "Test", tmp_path, passes=20).seconds_per_region == pytest.approx(20 * 0.001)


def test_a_gpu_without_a_record_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    write_record(tmp_path)
    with pytest.raises(ConfigError, match=r"estimate\.gpu: no measured record of 'A100'.*NVIDIA Test 9000"):
        scale_rate(rate(), "A100", tmp_path, passes=1)
    with pytest.raises(ConfigError, match="could not be counted"):
        scale_rate(Rate(1, 1, 1, 0, "CPU"), "Test", tmp_path, passes=1)
    with pytest.raises(ConfigError, match="available: none"):
        run(tmp_path, gpu="Test", records=None)


def test_a_whole_estimate_at_the_rates_of_another_gpu(tmp_path: Path) -> None:
    write_record(tmp_path)
    table, text = run(tmp_path, gpu="Test", records=tmp_path)
    per_pair = max(0.001, 0.001 * 1e8 / BENCHMARKED["basset"])
    assert table.loc["dear", "seconds_per_region"] == pytest.approx(20 * per_pair, rel=1e-4)
    assert "NVIDIA Test 9000, scaled from basset" in text


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (METHOD, 20),
        ({**METHOD, "name": "integrated_gradients"}, 1000),
        ({**METHOD, "name": "saliency"}, 1),
        ({**METHOD, "name": "ism"}, 300),
        ({**METHOD, "name": "ism", "start": 100, "end": 150}, 50),
    ],
)
def test_passes_of_a_region(method: dict[str, Any], expected: int) -> None:
    assert passes(method, 300) == expected


def test_operations_of_the_benchmarked_models_are_those_that_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = importlib.util.spec_from_file_location("architectures", ROOT / "benchmarks" / "architectures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "architectures", module)
    spec.loader.exec_module(module)
    for name, flops in BENCHMARKED.items():
        build, length, _ = module.MODELS[name]
        assert count_flops(build().eval(), torch.zeros(1, 4, length)) == flops, name


def test_experiments_cost_forward_passes_of_every_fold(tmp_path: Path) -> None:
    plan = ForwardPlan("dear", sequences=36_000, chunks=2, both_strands=True)
    # Two folds of 3 s a region of 20 pairs, 60 forward passes; start-up of two jobs each.
    rates = (rate(3.0, 10), rate(3.0, 10))
    assert forward_hours(plan, rates, 20) == pytest.approx(2 * (36_000 * 2 * 0.05 + 20) / 3600)
    text = run(tmp_path, insertions={"pairs": plan})[1]
    assert "in-silico experiments, about:\n  pairs: 36,000 sequences for each fold" in text
    assert "in-silico" not in run(tmp_path)[1]
    text = run(tmp_path, variants={"calls": plan})[1]
    assert "variants, about:\n  calls: 36,000 sequences for each fold" in text
