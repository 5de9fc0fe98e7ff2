"""Regions of a random genome on both strands, and two folds of a small model: for tests of what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
from cislex.chunks.aggregate import aggregate_chunks
from cislex.chunks.attribute import ChunkJob, attribute_chunk
from cislex.chunks.gate import Gate
from cislex.regions.extraction import write_regions_bed
from cislex.sequences.store import encode_sequences
from torch import nn

N, LENGTH = 11, 60
TARGETS = {"t": {"kind": "output", "index": 0}, "u": {"kind": "output", "index": 1}}
SHAP = {"name": "deep_lift_shap", "references": {"kind": "dinucleotide_shuffle", "n": 3}}
MODEL = """
from torch import nn


def build():
    return nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(168, 2))
"""


class Project:
    """Files of a folder: genome, ``regions.bed``, ``sequences.h5``, a model and weights of two folds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(5)
        letters = "".join("ACGT"[i] for i in rng.integers(0, 4, 4000))
        self.fasta = folder / "genome.fa"
        self.fasta.write_text(f">chr1\n{letters}\n")
        starts = 40 + 200 * np.arange(N)
        starts[3] = starts[2] + 15  # a pair that overlaps
        regions = pd.DataFrame({"chrom": "chr1", "start": starts, "end": starts + LENGTH})
        regions["name"] = [f"r{i}" for i in range(N)]
        regions["score"], regions["strand"] = 0, ["+", "-", "-", "+", "."][:5] * 2 + ["-"]
        regions[["peak_start", "peak_end"]] = regions[["start", "end"]]
        regions["source_line"] = np.arange(1, N + 1)
        self.regions = regions
        write_regions_bed(regions, folder / "regions.bed")
        self.sequences = folder / "sequences.h5"
        encode_sequences(folder / "regions.bed", self.fasta, self.sequences)
        (folder / "model.py").write_text(MODEL)
        self.weights: dict[str, Path] = {}
        for fold in range(2):
            torch.manual_seed(fold)
            model = nn.Sequential(
                nn.Conv1d(4, 6, 5), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(168, 2)
            )
            self.weights[f"fold_{fold}"] = folder / f"{fold}.pt"
            torch.save(model.state_dict(), self.weights[f"fold_{fold}"])

    def run(
        self,
        out: Path,
        *,
        chunks: int = 2,
        folds: int = 1,
        windows: Path | None = None,
        target: str = "t",
        **job: Any,
    ) -> dict[str, Any]:
        """Attribute and aggregate; everything of ``out/a.h5``, and its attributes."""
        stored = {key: job[key] for key in ("window", "storage") if key in job}
        if folds > 1 and job.get("held_out") is None:
            job.pop("storage", None)  # of the means alone
        made: dict[str, list[Path]] = {}
        own = {} if windows is None else {"windows": windows}
        for fold in list(self.weights)[:folds]:
            made[fold] = []
            for chunk in range(chunks):
                settings = {"targets": TARGETS, "method": SHAP, **job}
                made[fold].append(out / fold / f"{chunk}.h5")
                attribute_chunk(
                    self.sequences, self.weights[fold], made[fold][-1],
                    ChunkJob(chunk=chunk, chunks=chunks, fold=fold, **settings),
                    model={"loader": "factory", "module": f"{self.folder / 'model.py'}:build"},
                    device="cpu", **own,
                )  # fmt: skip
        gate = Gate(on_fail="keep")
        aggregate_chunks(
            self.sequences, made, out / "a.h5", out / "qc.tsv", target=target, gate=gate, **stored, **own
        )
        with h5py.File(out / "a.h5") as handle:
            found = {name: handle[name][:] for name in handle if name != "regions"}
            regions = {name: handle[f"regions/{name}"][:] for name in handle["regions"]}
            return found | {"regions": regions, "attrs": dict(handle.attrs)}


def contributions(found: dict[str, Any]) -> np.ndarray:
    """Scores of the bases that are there, (n, L)."""
    return np.asarray((found["hypothetical"] * found["sequences"]).sum(axis=1))
