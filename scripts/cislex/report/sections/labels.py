"""Describe the labels of a target: their source and transformation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Longest label of an axis that fits beside it, in letters.
MOST_LETTERS = 72


def observed_words(labels: Mapping[str, Any], regions: str | None) -> tuple[str, str]:
    """Say what was observed, in words and as the label of an axis; both without a source where none is given.

    Parameters
    ----------
    labels
        The target's entry of ``labels`` in the config: fields of `cislex.prediction.labels.LabelSource`.
    regions
        Peak file of the regions, where a ``column`` without a table is.
    """
    name, place = _source(labels, regions)
    if not name:
        return "", "observed"
    # The rule of LabelSource.takes_log: summed signal is compared on the scale of log counts.
    is_signal = any(labels.get(key) for key in ("bigwig", "plus", "minus"))
    transform = labels.get("transform") or "auto"
    takes_log = transform == "log1p" or (transform == "auto" and is_signal)
    plain = "" if labels.get("peaks") else ", untransformed"
    words = f"{name} {place}" + (", as log(1 + value)" if takes_log else plain)
    axis = f"observed: log(1 + {name})" if takes_log else f"observed: {name}"
    return words, axis if len(f"{axis} {place}") > MOST_LETTERS else f"{axis} {place}"


def _source(labels: Mapping[str, Any], regions: str | None) -> tuple[str, str]:
    """What was read, and of which file."""
    files = [_name(labels[key]) for key in ("bigwig", "plus", "minus") if labels.get(key)]
    if labels.get("column") is not None:
        column = labels["column"]
        name = f"column {column}" if isinstance(column, int) else str(column)
        return name, f"of {_name(labels.get('table') or regions)}"
    if labels.get("peaks"):
        return "a peak", f"of {_name(labels['peaks'])} within {labels.get('distance', 80)} bp of the middle"
    if files:
        window, strand = labels.get("window"), labels.get("strand") or "both"
        where = f" over the middle {window:,} bp" if window else ""
        which = "" if strand == "both" or len(files) < 2 else f", {strand} strand"
        return f"signal{where}{which}", f"of {' and '.join(files)}"
    if labels.get("dataset"):
        index = f", output {labels['index']}" if labels.get("index") else ""
        return f"dataset {labels['dataset']}{index}", f"of {_name(labels.get('hdf5'))}"
    return "", ""


def _name(path: Any) -> str:
    return Path(str(path)).name if path else "the regions’ own file"
