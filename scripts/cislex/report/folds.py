"""Section about folds: how their attributions were combined, and how far they agree."""

from __future__ import annotations

import h5py
import numpy as np

from cislex.report.facts import percent
from cislex.report.specs import AnalysisTarget
from cislex.storage import open_hdf5

#: Regions whose spread is read; spread evenly over the file.
MOST_REGIONS = 2000


def describe_folds(spec: AnalysisTarget, names: list[str]) -> str:
    """Say what becomes of several folds, in a sentence or two; empty for one fold.

    Parameters
    ----------
    spec
        The target.
    names
        Names of the folds, in the order of the config.
    """
    if len(names) < 2:
        return ""
    with open_hdf5(spec.attributions, what="report: attributions", datasets=["hypothetical"]) as handle:
        if "fold" in handle:
            counts = np.bincount(handle["fold"][:], minlength=len(names))
            told = ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True))
            return f"Each region was attributed by the fold that held out its chromosome: {told} regions."
        if "fold_spread" not in handle or not len(handle["fold_spread"]):
            return ""
        ratios = _disagreement(handle)
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    return (
        f"Contributions are the mean of {len(names)} folds ({', '.join(names)}). Their standard deviation, "
        f"summed over the bases of a region, is {percent(middle)} of the size of its contributions (median; "
        f"{percent(low)} to {percent(high)} in 80 % of the regions)."
    )


def _disagreement(handle: h5py.File) -> np.ndarray:
    """Σ spread / Σ |contribution| of up to MOST_REGIONS regions."""
    n = len(handle["fold_spread"])
    ratios = []
    for row in np.unique(np.linspace(0, n - 1, min(n, MOST_REGIONS)).astype(int)):
        contributions = (handle["hypothetical"][row] * handle["sequences"][row]).sum(axis=0)
        size = float(np.abs(contributions).sum())
        ratios.append(float(handle["fold_spread"][row].sum()) / max(size, 1e-12))
    return np.array(ratios)
