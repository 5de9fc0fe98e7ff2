"""Section about folds: how their attributions were combined, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from markupsafe import Markup

from cislex.files.tables import open_hdf5
from cislex.report.facts import percent
from cislex.report.figures.histograms import histogram
from cislex.report.specs import AnalysisTarget

#: Regions whose spread is read; spread evenly over the file.
MOST_REGIONS = 2000
#: A larger spread, as a share of the contributions, is told at the head of the page.
POOR_AGREEMENT = 0.6
#: Methods that have references, and the kinds of them that are drawn at random.
REFERENCED = {"deep_lift_shap", "integrated_gradients", "expected_gradients"}
RANDOM = {"dinucleotide_shuffle", "shuffle", "genomic"}


@dataclass(frozen=True)
class FoldsView:
    """What the page says; ``disagreement`` is the median spread as a share of the contributions, if known.

    ``figure`` shows that share of each region.
    """

    text: str
    disagreement: float | None = None
    figure: Markup | None = None


def describe_folds(spec: AnalysisTarget, attributes: Mapping[str, Any]) -> FoldsView | None:
    """Say what becomes of several folds; ``None`` for one fold.

    Parameters
    ----------
    spec
        The target.
    attributes
        What its attribution file records: ``folds`` in the order of the config, and ``method``.
    """
    names = [str(name) for name in attributes.get("folds") or []]
    if len(names) < 2:
        return None
    with open_hdf5(spec.attributions, what="report: attributions", datasets=["hypothetical"]) as handle:
        if "fold" in handle:
            counts = np.bincount(handle["fold"][:], minlength=len(names))
            shares = ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True))
            return FoldsView(
                f"Each region was attributed by the fold that held out its chromosome: {shares} regions."
            )
        if "fold_spread" not in handle or not len(handle["fold_spread"]):
            return None
        ratios = _disagreement(handle)
    low, middle, high = map(float, np.quantile(ratios, [0.1, 0.5, 0.9]))
    return FoldsView(
        f"Contributions are the mean of {len(names)} folds ({', '.join(names)}). Their standard deviation, "
        f"summed over the bases of a region, is {percent(middle)} of the size of its contributions (median; "
        f"{percent(low)} to {percent(high)} in 80 % of the regions). {_meaning(spec, attributes)} For scale: "
        f"28–37 % in the yeast example (two folds, each with its own references). Above "
        f"{percent(POOR_AGREEMENT)} the folds have learned different things, or too little: a signal that "
        "only one of them has learned is weakened in the mean, not removed.",
        middle,
        histogram(
            100 * ratios, x_label="spread, % of the contributions",
            label="Regions by the spread of the folds",
            limits=(0.0, float(max(100, 100 * ratios.max()))), marked=100 * POOR_AGREEMENT,
        ),
    )  # fmt: skip


def _meaning(spec: AnalysisTarget, attributes: Mapping[str, Any]) -> str:
    """What the spread of the folds includes besides what they have learned."""
    method = attributes.get("method")
    references = method.get("references") if isinstance(method, Mapping) else None
    drawn = (
        isinstance(method, Mapping)
        and method.get("name") in REFERENCED
        and isinstance(references, Mapping)
        and references.get("kind") in RANDOM
    )
    if not drawn:
        return "This measures how differently the folds explain the same sequence; 0 % is perfect agreement."
    if spec.settings.get("same_references"):
        return (
            "This measures how differently the folds explain the same sequence; 0 % is perfect agreement. "
            "All folds used the same references, so it contains no reference noise."
        )
    return (
        "This combines how differently the folds explain the same sequence with reference noise, since each "
        "fold has its own references; 0 % is perfect agreement. Set same_references: true to remove that "
        "noise."
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
