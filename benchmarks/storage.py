"""What attributions of long inputs take on disk and in memory, for each way to store them.

    python benchmarks/storage.py [--regions 200] [--length 524288] [--out FILE]

A small convolutional model whose gradient is dense attributes a few random sequences (saliency), and their
results stand for those of all regions; four jobs write the chunks, which are aggregated and gated. Each step
is a process of its own, whose peak memory is told. Bytes are extrapolated to 10,000 regions.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "benchmarks")]

CHUNKS, DRAWN, TOLD = 4, 8, 10_000
MODEL = """
from torch import nn


def build():
    return nn.Sequential(
        nn.Conv1d(4, 16, 15, padding=7), nn.ELU(), nn.MaxPool1d(8), nn.Conv1d(16, 16, 9, padding=4), nn.ELU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 1)
    )
"""
#: Settings of a job, by what they are called.
OPTIONS: dict[str, dict[str, Any]] = {
    "whole regions": {},
    "round_to: float16": {"storage": {"round_to": "float16"}},
    "round_to: bfloat16": {"storage": {"round_to": "bfloat16"}},
    "keep: 5000": {"storage": {"keep": 5000}},
    "window: 2000": {"window": 2000},
    "two folds": {},
    "two folds, float16": {"storage": {"round_to": "float16"}},
}


def prepare(folder: Path, regions: int, length: int) -> None:
    """Random sequences, and weights of two folds."""
    import numpy as np
    import pandas as pd
    import torch
    from cislex.attribution import Saliency, attribute
    from cislex.sequences.store import rows_per_chunk, to_one_hot, write_sequences

    rng, rows = np.random.default_rng(0), rows_per_chunk(length)
    drawn = rng.integers(0, 4, (DRAWN, length), dtype=np.uint8)
    sizes = [(first, min(rows, regions - first)) for first in range(0, regions, rows)]
    blocks = (drawn[(first + np.arange(size)) % DRAWN] for first, size in sizes)
    names = [f"s{i}" for i in range(regions)]
    table = pd.DataFrame({"chrom": "", "start": 0, "end": length, "name": names, "strand": "."})
    about = {"source_digest": "random", "has_coordinates": False}
    write_sequences(folder / "s.h5", blocks, table, length, attributes=about)
    (folder / "model.py").write_text(MODEL)
    namespace: dict[str, Any] = {}
    exec(MODEL, namespace)
    for fold in range(2):
        torch.manual_seed(fold)
        model = namespace["build"]()
        torch.save(model.state_dict(), folder / f"{fold}.pt")
        found = [attribute(model, to_one_hot(one[None]), Saliency(), device="cpu") for one in drawn]
        torch.save(found, folder / f"{fold}.found")


def settings_of(folder: Path, name: str) -> dict[str, Any]:
    """Settings of an option; a window is central."""
    import h5py

    own = dict(OPTIONS[name])
    if "window" in own:
        with h5py.File(folder / "s.h5") as handle:
            low = (handle["sequences"].shape[2] - own["window"]) // 2
        own["window"] = (low, low + own["window"])
    return own


def attribute_one(folder: Path, name: str, fold: int, chunk: int) -> None:
    """One job."""
    import torch
    from cislex.chunks import attribute as module
    from cislex.chunks.attribute import ChunkJob, attribute_chunk

    found = torch.load(folder / f"{fold}.found", weights_only=False, mmap=True)
    setattr(module, "attribute_rows", lambda *a, **_: ([found[int(row) % DRAWN]] for row in a[3]))  # noqa: B010
    own = settings_of(folder, name)
    if name.startswith("two"):
        own.pop("storage", None)
    job = ChunkJob(chunk, CHUNKS, f"f{fold}", {"t": {"kind": "output"}}, {"name": "saliency"}, **own)
    model = {"loader": "factory", "module": f"{folder / 'model.py'}:build"}
    out = folder / "chunks" / str(fold) / f"{chunk}.h5"
    attribute_chunk(folder / "s.h5", folder / f"{fold}.pt", out, job, model=model, batch_size=1, device="cpu")


def aggregate(folder: Path, name: str) -> None:
    """The chunks of all folds of one target."""
    from cislex.chunks.aggregate import aggregate_chunks
    from cislex.chunks.gate import Gate

    folds = 2 if name.startswith("two") else 1
    made = {f"f{i}": [folder / "chunks" / str(i) / f"{n}.h5" for n in range(CHUNKS)] for i in range(folds)}
    files = folder / "s.h5", made, folder / "all.h5", None
    aggregate_chunks(*files, target="t", gate=Gate(), **settings_of(folder, name))


def gate(folder: Path, name: str) -> None:
    """The gate, which finds nothing to change."""
    from cislex.chunks.gate import Gate, gate_attributions

    gate_attributions(folder / "all.h5", folder / "a.h5", folder / "qc.tsv", gate=Gate())


def measured(*arguments: object) -> dict[str, float]:
    """Run a step in a new process: seconds of the clock, and peak memory in MB."""
    command = [sys.executable, __file__, "--step", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(regions: int, length: int) -> dict[str, Any]:
    """Every option on the same sequences."""
    found: dict[str, Any] = {}
    print(f"{'':20s} {'chunks':>9s} {'file':>9s} {'write':>8s} {'join':>8s} {'gate':>8s} {'join':>7s}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        measured("prepare", folder, regions, length)
        for name in OPTIONS:
            shutil.rmtree(folder / "chunks", ignore_errors=True)
            folds = 2 if name.startswith("two") else 1
            jobs = [
                measured("attribute", folder, name, fold, chunk)
                for fold in range(folds)
                for chunk in range(CHUNKS)
            ]
            joined, gated = measured("aggregate", folder, name), measured("gate", folder, name)
            chunks = sum(path.stat().st_size for path in (folder / "chunks").rglob("*.h5"))
            size = (folder / "a.h5").stat().st_size
            row = {
                "chunk_gb": chunks / 1e9 * TOLD / regions, "file_gb": size / 1e9 * TOLD / regions,
                "write_mb": max(job["mb"] for job in jobs), "join_mb": joined["mb"], "gate_mb": gated["mb"],
                "join_seconds": joined["seconds"], "bytes_per_base": size / regions / length,
            }  # fmt: skip
            found[name] = row
            print(
                f"{name:20s} {row['chunk_gb']:6.1f} GB {row['file_gb']:6.1f} GB {row['write_mb']:5.0f} MB "
                f"{row['join_mb']:5.0f} MB {row['gate_mb']:5.0f} MB {row['join_seconds']:5.1f} s",
                flush=True,
            )
    return found


def main() -> None:
    """Measure, print, and write a record where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--regions", type=int, default=200)
    parser.add_argument("--length", type=int, default=524_288)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        name, folder, *rest = options.step
        began = time.perf_counter()
        steps: dict[str, Any] = {
            "prepare": prepare, "attribute": attribute_one, "aggregate": aggregate, "gate": gate
        }  # fmt: skip
        steps[name](Path(folder), *(int(value) if value.isdigit() else value for value in rest))
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({"seconds": time.perf_counter() - began, "mb": used.ru_maxrss / 1024}))
        return
    found = compare(options.regions, options.length)
    if options.out is not None:
        from attribution import hardware
        from cislex.provenance import versions

        about = {**hardware("cpu"), "regions": options.regions, "length": options.length}
        record = {**about, "versions": versions(), "options": found}
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
