"""DeepLIFT/SHAP of Enformer and Borzoi at reduced depth and random weights, beside forward and gradient.

The networks are those of enformer-pytorch and borzoi-pytorch, in an environment of their own, with this
project's packages beside them. Time is the processor's, of one thread, after a first call; plain is forward
and input gradient of as many rows, R + 1 for each example.

    pip install --no-deps enformer-pytorch==0.8.12 borzoi-pytorch==0.5.1 …
    python benchmarks/track_models.py [--examples 12] [--out benchmarks/results/track_models.json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from cislex.attribution import ISM, DeepLiftShap, DinucleotideShuffle, attribute

REFERENCES, TURNS = 5, 3


class Enformer(nn.Module):
    """Two transformer layers of 192 channels, 2,048 bp, 8 bins."""

    length = 2048

    def __init__(self) -> None:
        super().__init__()
        from enformer_pytorch import Enformer as Network

        self.network = Network.from_hparams(
            dim=192, depth=2, heads=4, output_heads={"human": 20}, target_length=8, dim_divisible_by=16
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 20, 8)."""
        return self.network(x.transpose(1, 2))["human"].transpose(1, 2)


class Borzoi(nn.Module):
    """Two transformer layers of 192 channels, 4,096 bp, 64 bins, 9 tracks."""

    length = 4096

    def __init__(self) -> None:
        super().__init__()
        from borzoi_pytorch import Borzoi as Network
        from borzoi_pytorch.config_borzoi import BorzoiConfig

        settings = {"dim": 192, "depth": 2, "heads": 4, "bins_to_return": 64}
        self.network = Network(BorzoiConfig(return_center_bins_only=True, **settings))
        self.network.set_track_subset(list(range(9)))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 9, 64)."""
        return self.network(x)


def track(output: Tensor) -> Tensor:
    """Sum over the bins of one track."""
    return output[:, 3].sum(-1)


def seconds(run: Callable[[], Any]) -> float:
    """Least processor time of some turns."""
    times = []
    for _ in range(TURNS):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def measure(kind: type[nn.Module], examples: int) -> dict[str, Any]:
    """Ratios of one network."""
    torch.manual_seed(0)
    model = kind().eval().requires_grad_(False)
    length = int(kind.length)  # type: ignore[arg-type]
    codes = np.random.default_rng(0).integers(0, 4, (examples, length))
    x = np.eye(4, dtype=np.uint8)[codes].transpose(0, 2, 1).copy()
    method = DeepLiftShap(DinucleotideShuffle(n=REFERENCES))
    result = attribute(model, x, method, target=track, device="cpu")

    def plain() -> None:
        rows = torch.from_numpy(np.repeat(x, REFERENCES + 1, 0)).float()
        for part in rows.split(2 * (REFERENCES + 1)):
            track(model(part.requires_grad_())).sum().backward()

    def mutants() -> None:
        for _ in range(30):
            model(torch.from_numpy(x[:1].repeat(4, 0)).float())

    middle = slice(length // 2 - 20, length // 2 + 20)
    ism = ISM(start=middle.start, end=middle.stop)
    with_gradient = seconds(plain)
    with torch.no_grad():
        naive = seconds(mutants)
    return {
        "network": kind.__name__,
        "relative_delta": float(result.max_relative_delta.max()),  # type: ignore[union-attr]
        "deep_lift_shap": round(
            seconds(lambda: attribute(model, x, method, target=track, device="cpu")) / with_gradient, 2
        ),
        "ism": round(seconds(lambda: attribute(model, x[:1], ism, target=track, device="cpu")) / naive, 2),
        "notes": attribute(model, x[:1], ism, target=track, device="cpu").notes,
    }


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=12)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for kind in (Enformer, Borzoi):
        rows.append(measure(kind, options.examples))
        print(rows[-1], flush=True)
    if options.out:
        options.out.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
