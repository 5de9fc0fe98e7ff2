"""Best sites of motifs over both alleles of variants, by log-odds against equal base frequencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.logs import progress
from cislex.motifs.baseline import log_odds, scan
from cislex.motifs.files import MemeMotif
from cislex.regions.genome import encode_letters
from cislex.variants.context import Context

#: Alleles that are scanned at once, by all motifs.
PART = 4096
_BACKGROUND = np.full(4, 0.25)

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class SiteChanges:
    """Of each variant the motif whose best site changes most.

    Parameters
    ----------
    motif
        Its number, int64 (n,); -1 where no motif has a site on either allele.
    before, after
        Bits of its best site over the reference and over the alternative, float32 (n,); 0: no site.
    """

    motif: NDArray[np.int64]
    before: Scores
    after: Scores

    @property
    def change(self) -> NDArray[np.float64]:
        """After minus before."""
        return self.after.astype(np.float64) - self.before


def score_sites(table: pd.DataFrame, context: Context, motifs: Sequence[MemeMotif]) -> tuple[Scores, Scores]:
    """Log-odds in bits of the best site of each motif that overlaps a variant.

    A site overlaps where one of its bases is of the allele, or it spans the place of bases that are lost.

    Parameters
    ----------
    table
        Rows of ``alleles.tsv``: ``chrom``, ``at``, ``before``, ``after``.
    context
        The genome; unknown bases and those beyond a chromosome's ends score 0.
    motifs
        Frequencies; pseudocounts as in :func:`cislex.motifs.baseline.log_odds`.

    Returns
    -------
    before, after
        float32 (n, motifs), of the reference and of the alternative. Below 0 a place is less like the motif
        than a random one, so 0, no site, is the smallest score.
    """
    matrices = [log_odds(motif, _BACKGROUND) for motif in motifs]
    widths = np.array([matrix.shape[1] for matrix in matrices], dtype=np.int64)
    rows = list(zip(table["chrom"], table["at"], table["before"], table["after"], strict=True))
    both = tuple(np.zeros((len(rows), len(motifs)), dtype=np.float32) for _ in range(2))
    flank = int(widths.max(initial=1)) - 1
    for out, alternative in zip(both, (False, True), strict=True):
        cut = [_around(context, row, flank, alternative=alternative) for row in rows]
        sizes = np.array([len(codes) for codes in cut], dtype=np.int64)
        for width in np.unique(widths):
            same, spare = np.flatnonzero(widths == width), flank - (int(width) - 1)
            for size in np.unique(sizes[sizes - 2 * spare >= width]):
                here = np.flatnonzero(sizes == size)
                codes = np.stack([cut[row][spare : size - spare] for row in here])
                found = scan(codes, [matrices[number] for number in same])
                out[np.ix_(here, same)] = np.maximum(found, 0)
    return both[0], both[1]


def _around(
    context: Context, row: tuple[str, int, str, str], flank: int, *, alternative: bool
) -> NDArray[np.uint8]:
    """One allele with so many bases on both sides."""
    chrom, at, before, after = row
    end = at + len(before)
    allele = encode_letters((after if alternative else before).encode(), where="allele")
    parts = context.codes(chrom, at - flank, at), allele, context.codes(chrom, end, end + flank)
    return np.concatenate(parts)


def largest_changes(table: pd.DataFrame, context: Context, motifs: Sequence[MemeMotif]) -> SiteChanges:
    """Find the motif of each variant whose best site gains or loses most; see :func:`score_sites`."""
    parts = list(_largest(table, context, motifs))
    return SiteChanges(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _largest(
    table: pd.DataFrame, context: Context, motifs: Sequence[MemeMotif]
) -> Iterator[tuple[NDArray[np.int64], Scores, Scores]]:
    starts = range(0, len(table), PART)
    for start in progress(starts, total=len(table), label="motifs", unit="alleles", weight=PART):
        before, after = score_sites(table.iloc[start : start + PART], context, motifs)
        best = np.abs(after - before).argmax(axis=1)
        rows = np.arange(len(best))
        none = (before.max(axis=1) == 0) & (after.max(axis=1) == 0)
        yield np.where(none, -1, best), before[rows, best], after[rows, best]
