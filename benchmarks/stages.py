"""Rates of the stages around attribution: chunk writing, aggregation, planning.

Prints ratios and rates measured in one run (this is no test: machines are noisy):

- ``attribute_chunk`` against the bare ``attribute`` call on the same regions and model (alternating, median);
- ``aggregate_chunks`` of 200 chunks: MB/s of uncompressed attributions, against copying the same bytes of the
  chunk files, and the growth of memory between a quarter of the rows and all rows;
- ``snakemake --dry-run`` of a plan with 1,000 chunks.

Run: python benchmarks/stages.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import h5py
import numpy as np
import torch
from cislex.attribution import attribute
from cislex.chunks import methods_from_config as settings
from cislex.chunks.aggregate import Gate, aggregate_chunks
from cislex.chunks.attribute import ChunkJob, attribute_chunk
from cislex.files.tables import create_array, digest_regions, rows_per_hdf5_chunk
from cislex.models.loading import load_model
from cislex.sequences.importing import import_sequences
from cislex.sequences.store import SequenceStore
from cislex.targets import targets

METHOD = {
    "name": "deep_lift_shap",
    "rule": "rescale",
    "references": {"kind": "dinucleotide_shuffle", "n": 20, "seed": 0},
    "steps": 50,
    "unknown_ops": "error",
}
TARGETS = {"t": {"kind": "output", "index": 0}}
MODEL = """
from torch import nn


def build():
    return nn.Sequential(
        nn.Conv1d(4, 64, 19), nn.ReLU(), nn.MaxPool1d(4), nn.Conv1d(64, 64, 7), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 1),
    )
"""


def make_sequences(folder: Path, n: int, length: int) -> Path:
    """Write random sequences and import them."""
    letters = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, (n, length))]
    with open(folder / "s.fa", "wb") as handle:
        for i, row in enumerate(letters):
            handle.write(b">s%d\n%s\n" % (i, row.tobytes()))
    import_sequences(
        folder / "s.fa", folder / "r.bed", folder / "d.tsv", folder / "s.h5", length=length, threads=2
    )
    return folder / "s.h5"


def make_model(folder: Path) -> str:
    """Write ``model.py`` and its weights ``w.pt``; returns the name of its factory."""
    (folder / "model.py").write_text(MODEL)
    namespace: dict[str, Any] = {}
    exec(MODEL, namespace)
    torch.save(namespace["build"]().state_dict(), folder / "w.pt")
    return f"{folder / 'model.py'}:build"


def chunk_overhead(folder: Path, *, n: int, repeats: int) -> dict[str, float]:
    """Throughput of attribute_chunk as a fraction of the bare call's."""
    sequences = make_sequences(folder, n, 1000)
    module = make_model(folder)
    loaded = load_model("factory", weights=folder / "w.pt", module=module)
    job = ChunkJob(chunk=0, chunks=1, fold="f", targets=TARGETS, method=METHOD)
    ratios = []
    with SequenceStore(sequences) as store:
        array = torch.from_numpy(store.read(0, n))
    for _ in range(repeats):
        began = time.perf_counter()
        attribute(
            loaded.model,
            array,
            settings.method_from_settings(METHOD),
            target=targets.from_config(TARGETS["t"]),
            device="cpu",
        )
        bare = time.perf_counter() - began
        began = time.perf_counter()
        attribute_chunk(
            sequences, folder / "w.pt", folder / "c.h5", job,
            model={"loader": "factory", "module": module}, device="cpu", threads=torch.get_num_threads(),
        )  # fmt: skip
        ratios.append(bare / (time.perf_counter() - began))
    return {"chunk_throughput_of_bare": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def write_fake_chunks(folder: Path, sequences: Path, length: int, chunks: int) -> list[Path]:
    """Chunk files of these sequences with random attributions, as attribute_chunk lays them out."""
    rng = np.random.default_rng(0)
    with SequenceStore(sequences) as store:
        regions, source = store.regions(), store.source_digest
    n = len(regions)
    shared = {
        "fold": "f",
        "source_digest": source,
        "n_regions": n,
        "chunks": chunks,
        "stage_digest": "x",
        "method": json.dumps(METHOD),
        "targets": json.dumps(TARGETS),
        "precision": "float32",
        "versions": "{}",
        "seed": 0,
        "notes": "[]",
        "model_digest": "m",
    }
    paths = []
    for i in range(chunks):
        start, stop = i * n // chunks, (i + 1) * n // chunks
        paths.append(folder / f"{i}.h5")
        with h5py.File(paths[-1], "w") as handle:
            create_array(handle, "computed", (stop - start,), "?")[...] = True
            group = handle.create_group("targets/t")
            rows = rows_per_hdf5_chunk(length)
            shape = (stop - start, 4, length)
            create_array(group, "hypothetical", shape, "f4", rows=rows)[...] = rng.normal(size=shape)
            create_array(group, "baseline", (stop - start, length), "f4", rows=rows)[...] = 0.5
            create_array(group, "prediction", (stop - start,), "f4")[...] = 1.0
            create_array(group, "delta", (stop - start, 20), "f4")[...] = 1e-6
            create_array(group, "reference_prediction", (stop - start, 20), "f4")[...] = 0.0
            create_array(group, "max_relative_delta", (stop - start,), "f4")[...] = 1e-6
            own = {"start": start, "stop": stop, "content_digest": str(i)}
            own["regions_digest"] = digest_regions(regions[start:stop])
            handle.attrs.update({**shared, **own})
    return paths


def aggregation(folder: Path, *, n: int) -> dict[str, float]:
    """Speed of aggregating 200 chunks, against a plain copy of their bytes."""
    length = 2114
    sequences = make_sequences(folder, n, length)
    paths = write_fake_chunks(folder, sequences, length, 200)
    size = sum(path.stat().st_size for path in paths)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, processor = time.perf_counter(), time.process_time()
    aggregate_chunks(sequences, {"f": paths}, folder / "a.h5", folder / "q.tsv", target="t", gate=Gate())
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    began = time.perf_counter()
    for path in paths:
        shutil.copyfile(path, folder / "copy")
        with open(folder / "copy", "rb+") as handle:
            handle.flush()
    copied = time.perf_counter() - began
    return {
        "aggregate_MB_per_s": n * 16 * length / 1e6 / seconds,
        "aggregate_MB_per_processor_s": n * 16 * length / 1e6 / processor,
        "file_MB_per_s": size / 1e6 / seconds,
        "plain_copy_MB_per_s": size / 1e6 / copied,
        "memory_grown_MB": grown / 1024,
        "attributions_MB": n * 16 * length / 1e6,
    }


def dry_run(folder: Path, *, chunks: int) -> dict[str, float]:
    """Seconds of a dry run."""
    make_sequences(folder, 2 * chunks, 100)
    make_model(folder)
    config = {
        "results": "results",
        "genome": {"fasta": "g.fa"},
        "regions": {"mine": {"fasta": "s.fa", "chunks": chunks}},
        "models": {
            "net": {
                "loader": "factory",
                "module": "model.py:build",
                "input_length": 100,
                "folds": {"f": "w.pt"},
            }
        },
        "analyses": {"a": {"regions": "mine", "model": "net", "targets": TARGETS}},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    program = str(Path(sys.executable).parent / "snakemake")
    command = [program, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(folder / "config.yaml"), "--dry-run", "--quiet", "--cores", "2"]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {f"dry_run_{chunks}_chunks_s": time.perf_counter() - began}


def main() -> None:
    """Measure and print one JSON record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes")
    quick = parser.parse_args().quick
    record: dict[str, float] = {}
    for measure, options in (
        (chunk_overhead, {"n": 40 if quick else 200, "repeats": 3}),
        (aggregation, {"n": 1000 if quick else 4000}),
        (dry_run, {"chunks": 1000}),
    ):
        with tempfile.TemporaryDirectory() as name:
            record |= measure(Path(name), **options)  # type: ignore[operator]
    print(json.dumps({key: round(value, 3) for key, value in record.items()}, indent=2))


if __name__ == "__main__":
    main()
