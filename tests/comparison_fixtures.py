"""Files of attributions by hand, and a linear model with its exact contributions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from cislex.files.hdf5 import new_hdf5
from cislex.files.tables import atomic_path, write_regions
from cislex.sequences.store import write_sequences

LENGTH = 24


def make_codes(n: int = 6, *, seed: int = 0, length: int = LENGTH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (n, length)).astype(np.uint8)


def one_hot(codes: np.ndarray) -> np.ndarray:
    return np.eye(5, 4, dtype=np.uint8)[codes].swapaxes(-1, -2).copy()


def regions_of(n: int, *, length: int = LENGTH, strand: str = "+") -> pd.DataFrame:
    start = 100 * np.arange(n)
    names = [f"r{i}" for i in range(n)]
    return pd.DataFrame(
        {"chrom": "chr1", "start": start, "end": start + length, "name": names, "strand": strand}
    )


def write_store(path: Path, codes: np.ndarray, *, strand: str = "+") -> Path:
    regions = regions_of(*codes.shape[:1], length=codes.shape[1], strand=strand)
    attributes = {"source_digest": "genome", "source": "x", "has_coordinates": True}
    write_sequences(path, iter([codes]), regions, codes.shape[1], attributes=attributes)
    return path


def write_attributions(
    path: Path,
    codes: np.ndarray,
    hypothetical: np.ndarray,
    *,
    rows: Sequence[int] | None = None,
    baseline: np.ndarray | None = None,
    delta: np.ndarray | None = None,
    source: str = "genome",
    strand: str = "+",
    regions: pd.DataFrame | None = None,
) -> Path:
    """``attributions.h5`` of some rows; the arrays are of these; ``hypothetical`` (n, 4, L), or of folds."""
    n, length = codes.shape
    own = np.arange(n) if rows is None else np.asarray(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, new_hdf5(temporary) as handle:
        if hypothetical.ndim == 4:
            handle["fold_spread"] = (hypothetical * one_hot(codes)).sum(axis=2).std(axis=0).astype("f4")
            handle.attrs["folds"] = json.dumps([f"fold_{fold}" for fold in range(len(hypothetical))])
            hypothetical = hypothetical.mean(axis=0)
        handle["hypothetical"] = hypothetical.astype("f4")
        handle["baseline"] = (np.zeros((n, length)) if baseline is None else baseline).astype("f4")
        handle["sequences"] = one_hot(codes)
        handle["rows"] = own
        if delta is not None:
            handle["max_relative_delta"] = delta.astype("f4")
        made = regions_of(int(own.max(initial=0)) + 1, length=length, strand=strand)
        write_regions(handle, (made if regions is None else regions).iloc[own])
        handle.attrs["source_digest"] = source
    return path


class Linear(torch.nn.Module):
    """f(x) = Σ w·x for one output, and twice that for the other."""

    def __init__(self, length: int = LENGTH, seed: int = 3) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(
            torch.randn(4, length, generator=torch.Generator().manual_seed(seed))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = (x * self.weight).sum((1, 2))
        return torch.stack([value, 2 * value], 1)


def build_linear() -> Linear:
    return Linear()


#: How the linear model is loaded.
LINEAR = {"loader": "factory", "module": f"{__file__}:build_linear"}
