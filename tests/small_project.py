"""A small project whose motif is known: sequences given directly, a model that looks for it, a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

MODEL = """
from torch import nn


def build():
    return nn.Sequential(
        nn.Conv1d(4, 8, 9, padding=4), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(8, 2)
    )
"""


def configuration() -> dict[str, Any]:
    """Two folds, two targets, two methods, four chunks."""
    analysis: dict[str, Any] = {
        "regions": "mine",
        "model": "net",
        "targets": {"a": {"kind": "output", "index": 0}, "b": {"kind": "output", "index": 1}},
        "method": {"references": {"n": 4}},
        "qc": {"max_relative_delta": 0.01},
        "motifs": {"max_seqlets": 500, "min_metacluster_size": 20, "database": "known.meme"},
    }
    return {
        "results": "results",
        "genome": {"fasta": "unused.fa"},
        "regions": {"mine": {"fasta": "sequences.fa", "chunks": 4}},
        "models": {
            "net": {
                "loader": "factory",
                "module": "model.py:build",
                "input_length": 140,
                "folds": {"fold_0": "fold_0.pt", "fold_1": "fold_1.pt"},
            }
        },
        "analyses": {
            "shap": analysis,
            "gradient": {
                **analysis,
                "targets": {"a": {"kind": "output", "index": 0}},
                "method": {"name": "saliency"},
                "seqlets": {"databases": ["known.meme"]},
            },
        },
    }


def write_project(folder: Path) -> Path:
    """Write sequences, weights of two folds, motif database and config into a folder, and return it."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (300, 140))
    motifs = np.array([[2, 0, 1, 3, 3, 1, 0, 2], [0, 0, 2, 3, 2, 0, 0, 2]])
    for i, row in enumerate(codes[:280]):
        at = rng.integers(45, 85)
        site = np.where(rng.random(8) < 0.92, motifs[i % 2], rng.integers(0, 4, 8))
        row[at : at + 8] = site
    text = "".join(f">s{i}\n{''.join('ACGT'[c] for c in row)}\n" for i, row in enumerate(codes))
    (folder / "sequences.fa").write_text(text)
    (folder / "model.py").write_text(MODEL)
    for fold in range(2):
        torch.manual_seed(fold)
        weight = 0.1 * torch.randn(8, 4, 9)
        for i in range(8):
            weight[:4, motifs[0, i], i] += 1.0
            weight[4:, motifs[1, i], i] += 1.0
        state = {"0.weight": weight, "0.bias": torch.full((8,), -4.0), "4.weight": torch.randn(2, 8).abs(),
                 "4.bias": torch.zeros(2)}  # fmt: skip
        torch.save(state, folder / f"fold_{fold}.pt")
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration()))
    rows = "".join(" ".join("0.97" if b == m else "0.01" for b in range(4)) + "\n" for m in motifs[0])
    (folder / "known.meme").write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\n"
        "A 0.25 C 0.25 G 0.25 T 0.25\n\nMOTIF M1 PLANTED\n"
        f"letter-probability matrix: alength= 4 w= 8 nsites= 20 E= 0\n{rows}\n"
    )
    return folder
