"""Whether hits find again what TF-MoDISco's seqlets said."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import StorageError
from cislex.files.tables import has_coordinates
from cislex.regions.extraction import bed_names
from cislex.regions.overlaps import overlaps

Seqlets = Mapping[str, NDArray[Any]]


def seqlet_recall(
    seqlets: Seqlets, word: Mapping[Hashable, Any], regions: pd.DataFrame, hits: pd.DataFrame | None
) -> float | None:
    """Share of a word's seqlets of one target that a hit of the word covers.

    A seqlet counts where the core of the word lies on it. It is covered by a hit that shares at least half of
    the narrower of both; strands do not matter, since a palindrome has two.

    Parameters
    ----------
    seqlets
        Arrays (n,) of ``lexicon.h5``: ``example_idx, start, end, is_revcomp`` of the target's seqlets.
    word
        Its row of ``lexicon.tsv``: ``word, trim_start, trim_end``.
    regions
        The regions of its ``attributions.h5``.
    hits
        Hits of the word (``chrom, start, end``); None: there are none.

    Returns
    -------
    float or None
        None where the target has no seqlet of the word.

    Raises
    ------
    StorageError
        When a seqlet lies in a row that the regions do not have.
    """
    rows, start, end = (seqlets[name] for name in ("example_idx", "start", "end"))
    turned = seqlets["is_revcomp"].astype(bool)
    if not len(rows):
        return None
    if rows.max() >= len(regions):
        raise StorageError(
            f"lexicon: a seqlet of {word['word']} lies in row {rows.max()} of attributions.h5, "
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
