"""Rate of variant scoring beside bare forward passes of the same windows, and its memory.

Goals: at least 90 % of the rate of bare batched forward passes (two windows for each substitution), and
memory that does not grow but by the table itself. Rounds alternate in one process; a ratio is the median over
rounds.

    python benchmarks/variants.py [--number 1500] [--rounds 5] [--memory 10000 100000] [--out file.json]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from workers import each_size

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from cislex.attribution.kernels import keep_freed_memory
from cislex.models.architectures import build
from cislex.prediction.batches import batch_rows
from cislex.regions.genome import Genome
from cislex.sequences.store import to_one_hot
from cislex.targets import LogCounts
from cislex.training.train import save_checkpoint
from cislex.variants.checked import prepare_variants, read_alleles
from cislex.variants.chunk import NullOptions, VariantJob, score_chunk
from cislex.variants.context import Context
from cislex.variants.effects import prepare_comparison, variant_effects
from cislex.variants.windows import WindowOptions, cut_windows, read_stretches

#: The models that are timed: window in bp and hyperparameters of a BPNet.
MODELS = {"bpnet": (2114, {"filters": 64, "layers": 8}), "bpnet_small": (1000, {"filters": 16, "layers": 4})}
GENOME = 2_000_000


def write_inputs(folder: Path, number: int, length: int) -> None:
    """A random chromosome and substitutions at random places of it."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, GENOME)
    bases = np.frombuffer(b"ACGT", dtype="S1")
    (folder / "genome.fa").write_bytes(b">chr1\n" + bases[codes].tobytes() + b"\n")
    places = np.sort(rng.integers(length, GENOME - length, number))
    others = (codes[places] + rng.integers(1, 4, number)) % 4
    rows = zip(places, bases[codes[places]].astype(str), bases[others].astype(str), strict=True)
    lines = "".join(f"chr1\t{place + 1}\t{ref}\t{alt}\n" for place, ref, alt in rows)
    (folder / "variants.tsv").write_text("chrom\tpos\tref\talt\n" + lines)
    prepare_variants(
        folder / "variants.tsv", folder / "genome.fa", folder / "alleles.tsv", folder / "dropped.tsv",
        windows=WindowOptions(length=length),
    )  # fmt: skip


def compare(name: str, number: int, rounds: int, device: str) -> dict[str, Any]:
    """Variants and windows a second of both, and the median ratio of a round."""
    length, settings = MODELS[name]
    options = WindowOptions(length=length)
    model = build("bpnet", tasks=1, input_length=length, **settings).eval().to(device)
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder), number, length)
        table = read_alleles(Path(folder) / "alleles.tsv")
        with Genome(Path(folder) / "genome.fa") as genome:
            context = Context(genome)
            comparison = prepare_comparison(model, {"counts": LogCounts()}, device=device)
            pairs = cut_windows(read_stretches(table, context, options), options)
            windows = to_one_hot(pairs.rows)
            seconds: dict[str, list[float]] = {"score": [], "bare": []}
            for _ in range(rounds + 1):
                for what, times in seconds.items():
                    began = time.perf_counter()
                    if what == "score":
                        variant_effects(comparison, table, context, options)
                    else:
                        bare(model, windows, batch_rows(length), device)
                    if device == "cuda":
                        torch.cuda.synchronize()
                    times.append(time.perf_counter() - began)
    score, plain = (times[1:] for times in seconds.values())  # the first round warms up
    return {
        "model": name,
        "variants": number,
        "windows": len(windows),
        "variants_per_second": number / statistics.median(score),
        "share_of_bare_forward": statistics.median(b / a for a, b in zip(score, plain, strict=True)),
        "rounds": rounds,
    }


def bare(model: torch.nn.Module, windows: np.ndarray, size: int, device: str) -> None:
    """Forward passes of windows that are encoded already."""
    with torch.no_grad():
        for start in range(0, len(windows), size):
            batch = torch.from_numpy(windows[start : start + size]).to(device).float()
            [output.cpu() for output in model(batch)]


def peak(number: int) -> dict[str, Any]:
    """Seconds and peak memory of one chunk that holds so many variants, of this process."""
    length = 200
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder)
        write_inputs(own, number, length)
        settings = {"tasks": 1, "input_length": length, "filters": 4}
        save_checkpoint(
            build("cnn", **settings),
            own / "model.pt",
            architecture="cnn",
            hyperparameters=settings,
            tasks=["t"],
        )
        job = VariantJob(
            fold="fold_0", targets={"t": {"kind": "output", "index": 0}}, null=NullOptions(size=1000),
            windows=WindowOptions(length=length),
        )  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = time.perf_counter()
        score_chunk(
            own / "alleles.tsv", own / "genome.fa", own / "model.pt", own / "chunk.h5", job,
            model={"loader": "trained"},
        )  # fmt: skip
        seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"variants": number, "seconds": seconds, "mb": after, "mb_before": before}


def main() -> None:
    """Compare the rates, then measure memory in a process for each number of variants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--number", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--one", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(peak(options.one)))
        return
    with tempfile.TemporaryDirectory() as folder:
        # First: a process begins with the peak of the one that starts it.
        each_size(__file__, list(map(str, options.memory)), [], Path(folder) / "memory.json")
        memory = json.loads((Path(folder) / "memory.json").read_text())
    keep_freed_memory()
    rates = [compare(name, options.number, options.rounds, options.device) for name in MODELS]
    for rate in rates:
        print(rate, flush=True)
    if options.out:
        record = {"device": options.device, "rates": rates, "memory": memory}
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
