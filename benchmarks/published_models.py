"""Time, memory and completeness of published models' shapes, random weights, through ``attribute_chunk``.

    python benchmarks/published_models.py [--device cuda] [--regions 2] [--references 4] [--out FILE]

Each model runs in a process of its own, so that its peak memory is its own: a full ChromBPNet (512 filters
and 8 dilated layers for accessibility, 128 and 4 for the bias; log counts and profile) and DeepSEA Beluga
(logits). The load average says how busy the machine was with other work.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from cislex.chunks.attribute import ChunkJob, attribute_chunk
from cislex.models.architectures import build
from cislex.provenance import versions
from cislex.sequences.importing import import_sequences

MODELS = ("chrombpnet", "deepsea_beluga")
TARGETS: dict[str, dict[str, dict[str, Any]]] = {
    "chrombpnet": {"counts": {"kind": "log_counts"}, "profile": {"kind": "profile"}},
    "deepsea_beluga": {"track": {"kind": "output", "index": 0}},
}
LENGTHS = {"chrombpnet": 2114, "deepsea_beluga": 2000}


def write_chrombpnet(path: Path) -> dict[str, Any]:
    """Random weights in the layout of ``chrombpnet.h5``."""
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as handle:
        for group, prefix, heads, filters, layers in (
            ("model_wo_bias", "wo_bias_bpnet_", "wo_bias_bpnet_", 512, 8),
            ("model", "bpnet_", "", 128, 4),
        ):
            shapes = {f"{prefix}1st_conv": (21, 4, filters), f"{heads}prof_out_precrop": (75, filters, 1)}
            shapes |= {f"{prefix}{i}conv": (3, filters, filters) for i in range(1, layers + 1)}
            shapes |= {f"{heads}logcount_predictions": (filters, 1)}
            for layer, shape in shapes.items():
                kernel = generator.normal(size=shape) / np.prod(shape[:-1]) ** 0.5
                handle[f"model_weights/{group}/{layer}/kernel:0"] = kernel.astype("float32")
                handle[f"model_weights/{group}/{layer}/bias:0"] = np.zeros(shape[-1], "float32")
    return {"loader": "chrombpnet", "part": "full"}


def write_beluga(path: Path) -> dict[str, Any]:
    """Random weights of Beluga, of one scale through the layers."""
    torch.manual_seed(0)
    model = build("deepsea_beluga")
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5) if tensor.ndim > 1 else tensor.zero_()
    torch.save(model.state_dict(), path)
    return {"loader": "architecture", "architecture": "deepsea_beluga", "hyperparameters": {"sigmoid": False}}


def measure(name: str, folder: Path, regions: int, references: int, device: str) -> dict[str, Any]:
    """Run one chunk of one model; seconds include reading the model."""
    weights = folder / "weights"
    options = write_chrombpnet(weights) if name == "chrombpnet" else write_beluga(weights)
    letters = np.random.default_rng(1).choice(list("ACGT"), (regions, LENGTHS[name]))
    fasta = folder / "s.fa"
    fasta.write_text("".join(f">s{i}\n{''.join(row)}\n" for i, row in enumerate(letters)))
    import_sequences(fasta, folder / "r.bed", folder / "d.tsv", folder / "s.h5", length=LENGTHS[name])
    shuffles = {"kind": "dinucleotide_shuffle", "n": references, "seed": 0}
    method = {"name": "deep_lift_shap", "rule": "rescale", "references": shuffles, "unknown_ops": "error"}
    job = ChunkJob(chunk=0, chunks=1, fold="fold_0", targets=TARGETS[name], method=method)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    attribute_chunk(folder / "s.h5", weights, folder / "c.h5", job, model=options, device=device)
    seconds = time.perf_counter() - began
    with h5py.File(folder / "c.h5") as handle:
        deltas = {t: float(np.max(handle[f"targets/{t}/max_relative_delta"])) for t in TARGETS[name]}
    cuda = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    return {
        "seconds": round(seconds, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "memory_before_mb": before // 1024,
        "peak_cuda_mb": None if cuda is None else round(cuda),
        "max_relative_delta": deltas,
    }


def main() -> None:
    """Measure each model in its own process and write one record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, help="one model, in this process; prints JSON")
    parser.add_argument("--regions", type=int, default=2)
    parser.add_argument("--references", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "published_models.json"
    )
    options = parser.parse_args()
    if options.model:
        with tempfile.TemporaryDirectory() as folder:
            numbers = (options.regions, options.references, options.device)
            print(json.dumps(measure(options.model, Path(folder), *numbers)))
        return
    record: dict[str, Any] = {
        "command": "python benchmarks/published_models.py "
        f"--regions {options.regions} --references {options.references} --device {options.device}",
        "machine": f"{platform.machine()}, one thread"
        if options.device == "cpu"
        else torch.cuda.get_device_name(),
        "load_average": os.getloadavg()[0],
        "versions": versions(),
        "models": {},
    }
    for name in MODELS:
        command = [sys.executable, __file__, "--model", name, "--device", options.device]
        command += ["--regions", str(options.regions), "--references", str(options.references)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        record["models"][name] = json.loads(run.stdout.splitlines()[-1])
        print(name, record["models"][name])
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
