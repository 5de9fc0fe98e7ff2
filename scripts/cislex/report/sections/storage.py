"""What is stored of a target's attributions, where that is not all of them."""

from __future__ import annotations

import h5py
import numpy as np

from cislex.chunks.files import KEPT_SHARE, WINDOW_SHARE
from cislex.files.tables import open_hdf5
from cislex.report.facts import percent
from cislex.report.specs import AnalysisTarget


def describe_storage(spec: AnalysisTarget) -> str:
    """Say which part of the regions is stored, and how much of their contributions that is; often nothing."""
    with open_hdf5(spec.attributions, what="report: attributions", datasets=["hypothetical"]) as handle:
        window = _window(handle) if "window_start" in handle and len(handle["window_start"]) else ""
        kept = _kept(handle) if KEPT_SHARE in handle and len(handle[KEPT_SHARE]) else ""
    return " ".join(filter(None, [window, kept]))


def _window(handle: h5py.File) -> str:
    starts, width = handle["window_start"][:], handle["hypothetical"].shape[2]
    length = int(handle.attrs["input_length"])
    first, last = int(starts.min()), int(starts.max())
    where = f" ({first:,} to {first + width:,})" if first == last else ""
    text = f"Stored are {width:,} of the {length:,} bp of each region{where}; the report shows only these"
    if WINDOW_SHARE not in handle:
        return f"{text}. Nothing is known of the rest."
    return f"{text}. They hold {_range(handle[WINDOW_SHARE][:])} of a region's absolute contributions."


def _kept(handle: h5py.File) -> str:
    return (
        f"Only the {int(handle.attrs['keep']):,} largest contributions of each are kept, the others are "
        f"drawn as zero; they hold {_range(handle[KEPT_SHARE][:])} of the absolute contributions there."
    )


def _range(shares: np.ndarray) -> str:
    low, middle, high = map(float, np.quantile(shares, [0.1, 0.5, 0.9]))
    return f"{percent(middle)} (median; {percent(low)} to {percent(high)} in 80 % of the regions)"
