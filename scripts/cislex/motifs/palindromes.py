"""Hits of palindromes, which have one on each strand at every site: one of the two is left."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: A motif is a palindrome if the cosine with its own reverse complement is at least this.
LEAST_COSINE = 0.8

Matrix = NDArray[np.floating]


def own_shift(matrix: Matrix) -> int | None:
    """Where the reverse complement of a motif lies on the motif itself.

    Parameters
    ----------
    matrix
        (4, width): frequencies less 0.25, or contributions, of what hits are as wide as.

    Returns
    -------
    int or None
        Start of the reverse complement less that of the motif, in bp: 0 for a palindrome of all its columns,
        1 if the first column has no counterpart. At most half of the motif has none. None: no palindrome.
    """
    turned, width = matrix[::-1, ::-1], matrix.shape[1]
    norm = float((matrix**2).sum())
    best, found = LEAST_COSINE * norm, None
    for shift in sorted(range(-(width // 2), width // 2 + 1), key=abs):
        low, high = max(shift, 0), width + min(shift, 0)
        product = float((matrix[:, low:high] * turned[:, low - shift : high - shift]).sum())
        if product > best * (1 + 1e-9) or (found is None and product >= best > 0):
            best, found = product, shift
    return found


def merge_strands(hits: pd.DataFrame, shifts: Mapping[str, int | None]) -> pd.DataFrame:
    """Leave one of the two hits that a palindrome gets at one site: that of higher rank, else that on ``+``.

    Parameters
    ----------
    hits
        ``#chrom start strand word rank``; each place, word and strand once.
    shifts
        :func:`own_shift` of each word.

    Returns
    -------
    DataFrame
        The rows that stay, in their order.
    """
    own = hits["word"].map(lambda word: shifts.get(word))
    is_palindrome = own.notna().to_numpy()
    turned = (hits["strand"] == "-").to_numpy()
    shift = own.fillna(0).to_numpy(np.int64)
    keys = pd.DataFrame(
        {
            "chrom": hits["#chrom"].to_numpy(),
            "word": hits["word"].to_numpy(),
            "site": hits["start"].to_numpy() - np.where(turned, shift, 0),
            "strand": np.where(is_palindrome, "", hits["strand"]),
        }
    )
    order = np.lexsort((turned, -hits["rank"].to_numpy(np.float64)))
    second = keys.iloc[order].duplicated().to_numpy()
    stays = np.ones(len(hits), dtype=bool)
    stays[order[second]] = False
    return hits[stays].reset_index(drop=True)
