"""Whether hits find again what TF-MoDISco's seqlets said."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import h5py
import numpy as np
import pandas as pd

from cislex.errors import StorageError
from cislex.files.tables import has_coordinates
from cislex.regions.extraction import bed_names
from cislex.regions.overlaps import overlaps


def seqlet_recall(
    lexicon: h5py.File,
    word: Mapping[Hashable, Any],
    number: int,
    regions: pd.DataFrame,
    hits: pd.DataFrame | None,
) -> float | None:
    """Share of a word's seqlets of one target that a hit of the word covers.

    A seqlet counts where the core of the word lies on it. It is covered by a hit that shares at least half of
    the narrower of both; strands do not matter, since a palindrome has two.

    Parameters
    ----------
    lexicon
        ``lexicon.h5``.
    word
        Its row of ``lexicon.tsv``: ``pattern, trim_start, trim_end``.
    number
        The target's number in ``seqlets/source``.
    regions
        The regions of its ``attributions.h5``.
    hits
        Hits of the word (``chrom, start, end``); None: there are none.

    Returns
    -------
    float or None
        None where the target has no seqlet of the word, or it is not known where they lie.
    """
    seqlets = lexicon[f"{word['pattern']}/seqlets"]
    if "source" not in seqlets:
        return None
    own = seqlets["source"][()] == number
    rows, start, end = (seqlets[name][()][own] for name in ("example_idx", "start", "end"))
    turned = seqlets["is_revcomp"][()][own].astype(bool)
    if not len(rows):
        return None
    if rows.max() >= len(regions):
        raise StorageError(
            f"{lexicon.filename}: a seqlet of {word['word']} lies in row {rows.max()} of attributions.h5, "
            f"which has {len(regions)} rows; run find_motifs and combine_lexicon again"
        )
    if hits is None:
        return 0.0
    low = np.where(turned, end - word["trim_end"], start + word["trim_start"])
    return float(
        overlaps(_placed(low, low + word["trim_end"] - word["trim_start"], rows, regions), hits).mean()
    )


def _placed(low: np.ndarray, high: np.ndarray, rows: np.ndarray, regions: pd.DataFrame) -> pd.DataFrame:
    """Intervals in regions as intervals on the genome, or in sequences given directly."""
    is_minus = (regions["strand"] == "-").to_numpy()[rows]
    begin, finish = (regions[name].to_numpy()[rows] for name in ("start", "end"))
    names = regions["chrom"] if has_coordinates(regions) else bed_names(regions)
    return pd.DataFrame(
        {
            "chrom": names.to_numpy()[rows],
            "start": np.where(is_minus, finish - high, begin + low),
            "end": np.where(is_minus, finish - low, begin + high),
        }
    )
