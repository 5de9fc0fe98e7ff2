"""Floating-point operations, counted as PyTorch counts them, without the seconds of its own counter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from cislex.runtime.measurement import count_flops
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


class Mixed(nn.Module):
    """A convolution, attention and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 16, 5, padding=2)
        self.attention = nn.TransformerEncoderLayer(16, 4, batch_first=True)
        self.last = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.attention(self.first(x).transpose(1, 2))
        return self.last(hidden.mean(1))


def test_operations_are_those_of_torchs_own_counter() -> None:
    model, x = Mixed().eval(), torch.rand(3, 4, 50)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(x)
    assert count_flops(model, x) == counter.get_total_flops() // 3 > 0


def test_counting_does_not_import_torchs_compiler() -> None:
    code = (
        "import sys, torch; from torch import nn; from cislex.runtime.measurement import count_flops; "
        "assert count_flops(nn.Conv1d(4, 2, 3), torch.rand(1, 4, 9)) == 2 * 2 * 4 * 3 * 7; "
        "assert 'torch._dynamo' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
