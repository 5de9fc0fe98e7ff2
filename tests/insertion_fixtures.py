"""A model that knows two motifs and how they work together, and the files of a small experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from cislex.insertions.backgrounds import BackgroundSettings
from cislex.insertions.chunk import InsertionJob, insert_chunk
from cislex.insertions.constructs import GridSettings
from cislex.insertions.insert import insert_motifs
from cislex.insertions.prepare import prepare_insertions
from cislex.models.architectures import build
from cislex.sequences.store import write_sequences
from cislex.training.train import save_checkpoint
from torch import Tensor, nn

LENGTH = 80
#: Motifs that the model below knows, as strings.
A, B = "TGACTCA", "CCGGAAGT"
WANTED = {
    "a": {"kind": "output", "index": 0},
    "b": {"kind": "log", "of": {"kind": "output", "index": 1}, "pseudocount": 50},
}


class Grammar(nn.Module):
    """Outputs [A] + [B], and the same plus 2 for each A with a B that starts ``distance`` bp after it."""

    def __init__(self, distance: int = 20) -> None:
        super().__init__()
        self.distance = distance
        self.detectors = nn.ModuleList(nn.Conv1d(4, 1, len(motif)) for motif in (A, B))
        for conv, motif in zip(self.detectors, (A, B), strict=True):
            conv.weight.data = one_hot_of([motif]).float()
            conv.bias.data = torch.tensor([-(len(motif) - 1.0)])

    def forward(self, x: Tensor) -> Tensor:
        a, b = (torch.relu(conv(x))[:, 0] for conv in self.detectors)
        n = min(a.shape[1], b.shape[1] - self.distance)
        both = (a[:, :n] * b[:, self.distance : self.distance + n]).sum(1)
        alone = a.sum(1) + b.sum(1)
        return torch.stack([alone, alone + 2 * both], 1)


def codes_of(letters: str) -> np.ndarray:
    return np.array(["ACGTN".index(letter) for letter in letters], np.uint8)


def one_hot_of(texts: list[str]) -> Tensor:
    codes = np.stack([codes_of(text) for text in texts])
    return torch.from_numpy(np.eye(5, 4, dtype=np.int8)[codes].transpose(0, 2, 1).copy())


def random_codes(n: int, length: int = LENGTH, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (n, length)).astype(np.uint8)


def write_store(path: Path, codes: np.ndarray, regions: pd.DataFrame | None = None) -> Path:
    """``sequences.h5`` of codes, by default given directly."""
    n, length = codes.shape
    table = regions
    if table is None:
        names = [f"r{row}" for row in range(n)]
        table = pd.DataFrame({"chrom": "", "start": 0, "end": length, "name": names, "strand": "."})
    attributes = {"source_digest": "x", "source": "test", "has_coordinates": regions is not None}
    write_sequences(path, iter([codes]), table, length, attributes=attributes)
    return path


def save_folds(folder: Path, n: int = 2) -> list[Path]:
    """Small models of two outputs."""
    settings = {"tasks": 2, "input_length": LENGTH, "filters": 6}
    paths = []
    for fold in range(n):
        torch.manual_seed(fold)
        paths.append(folder / f"{fold}.pt")
        model = build("cnn", **settings)
        list(model.parameters())[-2].data *= 10  # so that motifs have effects
        save_checkpoint(
            model,
            paths[-1],
            architecture="cnn",
            hyperparameters=settings,
            tasks=["a", "b"],
        )
    return paths


def run(
    folder: Path,
    sequences: Path,
    weights: list[Path],
    *,
    chunks: int = 1,
    grid: GridSettings | None = None,
    n: int = 12,
    **options: Any,
) -> dict[str, pd.DataFrame]:
    """All three stages; the tables by name."""
    folder.mkdir(exist_ok=True)
    options = {"strings": {"A": A, "B": B}, "backgrounds": BackgroundSettings(n=n), **options}
    prepare_insertions(sequences, folder / "plan.h5", folder / "inserts.tsv", grid=grid, **options)
    return predict(folder, weights, chunks=chunks)


def predict(folder: Path, weights: list[Path], *, chunks: int = 1) -> dict[str, pd.DataFrame]:
    """The stages after the first; the tables by name."""
    made = {}
    for fold, path in enumerate(weights):
        made[f"fold_{fold}"] = [folder / f"{fold}.{chunk}.h5" for chunk in range(chunks)]
        for chunk, out in enumerate(made[f"fold_{fold}"]):
            job = InsertionJob(chunk, chunks, f"fold_{fold}", WANTED)
            insert_chunk(folder / "plan.h5", path, out, job, model={"loader": "trained"}, device="cpu")
    paths = [folder / f"{name}.tsv" for name in ("insertions", "contexts", "sites")]
    insert_motifs(folder / "plan.h5", made, *paths, wanted=WANTED)
    names = ["inserts", "insertions", "contexts", "sites"]
    return {name: pd.read_csv(folder / f"{name}.tsv", sep="\t") for name in names}
