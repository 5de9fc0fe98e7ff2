"""A small model of two outputs and its inspection, for the tests of inspections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from cislex.prediction.inspect import inspect_model

FACTORY = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, strange):
        super().__init__()
        self.conv, self.head, self.strange = nn.Conv1d(4, 6, 7), nn.Linear(6, 2), strange

    def forward(self, x):
        h = torch.relu(self.conv(x)).amax(2)
        if self.strange:
            h = torch.special.i0(h)
        return torch.sigmoid(self.head(h))

def build():
    return Net(False)

def build_strange():
    return Net(True)

class Dead(Net):
    def forward(self, x):
        return super().forward(x) * torch.tensor([0.0, 1.0])

def build_dead():
    return Dead(False)
"""
METHOD: dict[str, Any] = {
    "name": "deep_lift_shap",
    "rule": "rescale",
    "references": {"kind": "dinucleotide_shuffle", "n": 4, "seed": 0},
    "unknown_ops": "error",
}
GATE = {"max_relative_delta": 1e-3, "on_fail": "error"}


def inspect(folder: Path, *, build: str = "build", folds: int = 1, **options: Any) -> Path:
    (folder / "net.py").write_text(FACTORY)
    namespace: dict[str, Any] = {}
    exec(FACTORY, namespace)
    weights = {}
    for fold in range(folds):
        weights[f"fold_{fold}"] = folder / f"fold_{fold}.pt"
        torch.save(namespace["build"]().state_dict(), weights[f"fold_{fold}"])
    inspect_model(
        weights,
        folder / "inspection.tsv",
        folder / "inspection.txt",
        folder / "passed.json",
        **{
            "length": 60,
            "wanted": {"first": {"kind": "output", "index": 0}},
            "method": METHOD,
            "model": {"loader": "factory", "module": f"{folder / 'net.py'}:{build}"},
            "device": "cpu",
            "gate": GATE,
            **options,
        },
    )
    return folder / "inspection.tsv"
