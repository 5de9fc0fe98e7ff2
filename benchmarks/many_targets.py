"""Time of many outputs of a linear layer, in that of one: with a backward each, and with those they share.

BPNet's trunk (64 channels, eight dilated layers), averaged over 1,000 bp, and a linear layer. Processor time
of one thread, the checks of a first region included.

    python benchmarks/many_targets.py [--out benchmarks/results/many_targets.json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from cislex.attribution import TISM, DeepLiftShap, DinucleotideShuffle, attribute_targets
from cislex.attribution.execution import shared_backward
from cislex.targets import Output

LENGTH, CHANNELS, EXAMPLES, TURNS = 1000, 64, 4, 3
NUMBERS = (1, 100, 500)


class Network(nn.Module):
    """Residual dilated convolutions, the mean over positions, and a linear layer."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, CHANNELS, 21, padding=10)
        self.layers = nn.ModuleList(
            nn.Conv1d(CHANNELS, CHANNELS, 3, padding=2**i, dilation=2**i) for i in range(1, 9)
        )
        self.head = nn.Linear(CHANNELS, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs)."""
        h = torch.relu(self.stem(x))
        for layer in self.layers:
            h = h + torch.relu(layer(h))
        return self.head(h.mean(-1))


def seconds(model: nn.Module, x: Tensor, method: Any, number: int, *, shared: bool) -> float:
    """Least processor time of some turns."""
    shared_backward.FEWEST = 8 if shared else number + 1
    targets = [Output(t) for t in range(number)]
    times = []
    for _ in range(TURNS):
        began = time.process_time()
        attribute_targets(model, x, method, targets, device="cpu")
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Network(max(NUMBERS)).eval()
    codes = torch.randint(0, 4, (EXAMPLES, 1, LENGTH))
    x = torch.zeros(EXAMPLES, 4, LENGTH).scatter_(1, codes, 1)
    rows = []
    for method in (TISM(), DeepLiftShap(DinucleotideShuffle(n=5))):
        one = seconds(model, x, method, 1, shared=False)
        for number in NUMBERS[1:]:
            rows.append(
                {
                    "method": type(method).__name__,
                    "targets": number,
                    "a backward each": round(seconds(model, x, method, number, shared=False) / one, 1),
                    "shared": round(seconds(model, x, method, number, shared=True) / one, 1),
                }
            )
            print(rows[-1], flush=True)
    if options.out:
        options.out.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
