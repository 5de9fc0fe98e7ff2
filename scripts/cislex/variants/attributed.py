"""How strongly a model attributes the surroundings of variants, from the tracks of an analysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.files.bigwig import reading_bigwig


def attribution_around(rows: pd.DataFrame, track: str | Path, flank: int) -> NDArray[np.float64]:
    """Mean absolute contribution of the bases around each variant.

    Parameters
    ----------
    rows
        N alleles with ``chrom``, ``at`` and ``before`` (:func:`cislex.variants.checked.read_alleles`).
    track
        ``contributions.bw`` of a target.
    flank
        Bases on both sides of what the variant takes out, F: 2 F + 1 bases for a substitution.

    Returns
    -------
    ndarray
        float64 (N,): over the bases that the analysis's regions cover; NaN where they cover none.

    Raises
    ------
    InputError
        When the track lacks a chromosome of the variants: it is of another genome.
    """
    found = np.full(len(rows), np.nan)
    with reading_bigwig(track, what="track of contributions") as handle:
        sizes = handle.chroms()
        missing = [name for name in dict.fromkeys(rows["chrom"]) if name not in sizes]
        if missing:
            raise InputError(
                f"{track}: lacks {offenders(missing)}, where variants are; is it of this genome?"
            )
        places = zip(rows["chrom"], rows["at"], rows["before"].str.len(), strict=True)
        for number, (chrom, at, width) in enumerate(places):
            low, high = max(at - flank, 0), min(at + width + flank, sizes[chrom])
            values = np.abs(handle.values(chrom, low, high, numpy=True)) if low < high else np.empty(0)
            if np.isfinite(values).any():
                found[number] = np.nanmean(values)
    return found
