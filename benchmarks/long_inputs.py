"""Memory and time of long inputs: plain autograd, attribution, and attribution that keeps little.

Each figure comes from a process of its own, one pair of sequences at once, and is the growth of its largest
resident memory.

    python benchmarks/long_inputs.py [--lengths 16384 32768 65536] [--out benchmarks/results/long_inputs.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from cislex.attribution import TISM, DeepLiftShap, DinucleotideShuffle, api, attribute
from cislex.attribution.deeplift import completeness, selfcheck

MODES = ("plain", "deep_lift_shap", "deep_lift_shap, again", "tism", "tism, again")
CHANNELS, BLOCKS = 64, 12
#: Freed memory returns to the system at once, so that the largest is what was needed.
ALLOCATION = {"MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}


class Block(nn.Module):
    """A dilated residual block."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.wide = nn.Conv1d(CHANNELS, CHANNELS, 3, padding=dilation, dilation=dilation)
        self.norm, self.narrow = nn.BatchNorm1d(CHANNELS), nn.Conv1d(CHANNELS, CHANNELS, 1)

    def forward(self, h: Tensor) -> Tensor:
        """Return (N, C, L)."""
        return h + self.narrow(functional.gelu(self.norm(self.wide(torch.relu(h)))))


class Dilated(nn.Module):
    """Twelve of them between a convolution and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, CHANNELS, 15, padding=7)
        self.blocks = nn.Sequential(*(Block(2**i) for i in range(BLOCKS)))
        self.head = nn.Linear(CHANNELS, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 2)."""
        return self.head(self.blocks(self.first(x)).mean(2))


def measure(mode: str, length: int) -> dict[str, float]:
    """Megabytes and seconds of processor time of one pair, or of one row with its gradient."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Dilated().eval().requires_grad_(False)
    codes = np.random.default_rng(0).integers(0, 4, (1, length))
    x = np.eye(4, dtype=np.uint8)[codes].transpose(0, 2, 1).copy()
    again = mode.endswith("again")
    method = DeepLiftShap(DinucleotideShuffle(n=1)) if mode.startswith("deep") else TISM()
    # Checks of the first region run the plain model some more times; a run of many regions does that once.
    api.check_independence = lambda trial: None  # type: ignore[assignment]
    selfcheck.check_first = lambda case, result: False  # type: ignore[assignment]
    completeness.judge = lambda case, result, scrutiny: {}  # type: ignore[assignment]
    before, began = _resident(), time.process_time()
    if mode == "plain":
        row = torch.from_numpy(x).float().requires_grad_()
        model(row)[:, 0].sum().backward()
    else:
        result = attribute(model, x, method, target=0, device="cpu", batch_size=1, checkpoint=again)
        if result.max_relative_delta is not None:
            assert float(result.max_relative_delta.max()) < 1e-4
    return {"megabytes": round(_resident() - before), "seconds": round(time.process_time() - began, 2)}


def _resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure every mode at every length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16384, 32768, 65536])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("MODE", "LENGTH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]))))
        return
    rows = []
    for length in options.lengths:
        for mode in MODES:
            command = [sys.executable, __file__, "--one", mode, str(length)]
            done = subprocess.run(
                command, env=os.environ | ALLOCATION, capture_output=True, text=True, check=True
            )
            rows.append({"mode": mode, "length": length, **json.loads(done.stdout.splitlines()[-1])})
            print(rows[-1], flush=True)
    if options.out:
        record = {"machine": platform.machine(), "torch": torch.__version__, "rows": rows}
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
