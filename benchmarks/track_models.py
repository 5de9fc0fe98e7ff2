"""DeepLIFT/SHAP and ISM of Enformer, Borzoi, Flashzoi and AlphaGenome, beside forward and gradient.

Random weights at reduced size (``long_context.py``), read by their loaders; docs/models.md says how the
packages are installed. Time is the processor's, of one thread, after a first call; plain is forward and input
gradient of as many rows, R + 1 for each example. A network whose package is missing is skipped with the
reason.

    OMP_NUM_THREADS=1 python benchmarks/track_models.py --out benchmarks/results/track_models.json
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from cislex.attribution import ISM, DeepLiftShap, DinucleotideShuffle, attribute
from cislex.models.loading import load_model
from cislex.targets import Tracks
from cislex.targets.base import Target
from long_context import SNAPSHOTS

REFERENCES, TURNS = 5, 3


def seconds(run: Callable[[], Any], turns: int = TURNS) -> float:
    """Least processor time of some turns."""
    times = []
    for _ in range(turns):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def sequences(examples: int, length: int) -> NDArray[np.uint8]:
    """Random one-hot sequences (N, 4, L)."""
    codes = np.random.default_rng(0).integers(0, 4, (examples, length))
    return np.eye(4, dtype=np.uint8)[codes].transpose(0, 2, 1).copy()


def deep_lift_shap(
    model: nn.Module, x: NDArray[np.uint8], target: Target, turns: int = TURNS
) -> dict[str, Any]:
    """Largest relative delta, processor time over plain forward and gradient, the process's peak memory."""
    method = DeepLiftShap(DinucleotideShuffle(n=REFERENCES))
    result = attribute(model, x, method, target=target, device="cpu")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    def plain() -> None:
        rows = torch.from_numpy(np.repeat(x, REFERENCES + 1, 0)).float()
        for part in rows.split(2 * (REFERENCES + 1)):
            target(model(part.requires_grad_())).sum().backward()

    plain()
    ours = seconds(lambda: attribute(model, x, method, target=target, device="cpu"), turns)
    return {
        "relative_delta": float(result.max_relative_delta.max()),  # type: ignore[union-attr]
        "deep_lift_shap": round(ours / seconds(plain, turns), 2),
        "peak_memory_mb": peak,
        "notes": result.notes,
    }


def ism(model: nn.Module, x: NDArray[np.uint8], target: Target) -> dict[str, Any]:
    """Processor time of ISM of 40 bp over whole mutants in batches of four."""

    def mutants() -> None:
        for _ in range(30):
            model(torch.from_numpy(x[:1].repeat(4, 0)).float())

    middle = x.shape[2] // 2
    method = ISM(start=middle - 20, end=middle + 20)
    with torch.no_grad():
        naive = seconds(mutants)
    found = attribute(model, x[:1], method, target=target, device="cpu")
    ours = seconds(lambda: attribute(model, x[:1], method, target=target, device="cpu"))
    return {"ism": round(ours / naive, 2), "ism_notes": found.notes}


def main() -> None:
    """Measure each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=8)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, write in SNAPSHOTS.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                snapshot = write(Path(folder))
            except ImportError as error:
                print(f"{name}: skipped, {error}", flush=True)
                continue
            model = load_model(snapshot.loader, weights=snapshot.weights, **snapshot.options).model
        model.requires_grad_(False)
        x, target = sequences(options.examples, snapshot.length), Tracks(**snapshot.target)
        rows.append({"network": name, **deep_lift_shap(model, x, target), **ism(model, x, target)})
        print(rows[-1], flush=True)
    if options.out:
        options.out.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
