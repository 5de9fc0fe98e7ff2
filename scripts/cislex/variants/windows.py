"""The windows of both alleles of variants, all of the model's length.

A window of length L is centred on the variant: of the w bases that it takes out, base w // 2 is at column
L // 2 (if it takes none out, the inserted bases begin there). Both alleles' windows have the same bases on
one side of the variant, by which they are anchored. With ``anchor="left"`` the left side stays; on the
right an insertion pushes bases out of the window and a deletion lets bases of the genome in (what
tangermeme's ``insertion_effect`` and ``deletion_effect`` do by default). ``right`` is the mirror image, and
``both`` takes both: effects are then averaged. For substitutions the three are the same.

With ``shifts`` the windows are also moved by so many bases, and effects are averaged over them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError
from cislex.regions.genome import UNKNOWN, encode_letters
from cislex.regions.row_ledger import RowLedger
from cislex.variants.context import Context

ANCHORS = {"left": ("left",), "right": ("right",), "both": ("left", "right")}


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """How windows are made; see the module.

    Parameters
    ----------
    length
        L in bp.
    anchor
        ``left``, ``right`` or ``both``: the side of an indel that stays where it is.
    shifts
        By how many bases windows are moved along the genome; positive: to the right.
    """

    length: int
    anchor: str = "left"
    shifts: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ConfigError(f"length: found {self.length}, expected at least 1 bp")
        if self.anchor not in ANCHORS:
            raise ConfigError(f"anchor: found {self.anchor!r}, expected one of {', '.join(ANCHORS)}")
        if not self.shifts or len(set(self.shifts)) < len(self.shifts):
            raise ConfigError(
                f"shifts: found {self.shifts}, expected different numbers of bases, at least one"
            )
        if max(map(abs, self.shifts)) >= self.length // 2 + 1:
            raise ConfigError(
                f"shifts: found {self.shifts}; expected at most half of the length, {self.length // 2} bp"
            )

    @property
    def anchors(self) -> tuple[str, ...]:
        """The sides by which the alleles of an indel are anchored."""
        return ANCHORS[self.anchor]


@dataclass(frozen=True)
class Stretches:
    """What the windows of n variants are cut from.

    Attributes
    ----------
    codes
        (n, S) uint8: 0 to 3 A C G T, 4 unknown; the window at shift 0 begins at column ``pad``. Columns that
        no window of the variant reaches are unknown.
    pad
        Columns before it.
    place
        (n,) int64: column of the window at shift 0 where the variant is.
    before, after
        (n,) int64: bases that the variants take out and put in.
    inserts
        (n, ≥ 1) uint8: the bases that are put in, filled up with 4.
    loci
        (n,) int64: what tells windows apart: those with the same number are the same.
    """

    codes: NDArray[np.uint8]
    pad: int
    place: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    inserts: NDArray[np.uint8]
    loci: NDArray[np.int64]


@dataclass(frozen=True)
class WindowPairs:
    """Windows, and which of them are compared.

    Attributes
    ----------
    rows
        (R, L) uint8 codes. Windows of the reference that several alleles share are there once.
    reference, alternative
        (M,) int64: the rows of each pair, by increasing reference.
    variant
        (M,) int64: the variant of each pair.
    """

    rows: NDArray[np.uint8]
    reference: NDArray[np.int64]
    alternative: NDArray[np.int64]
    variant: NDArray[np.int64]


def drop_unfit(ledger: RowLedger, lengths: Mapping[str, int], options: WindowOptions) -> None:
    """Drop variants whose windows leave the chromosome, or that do not fit into their windows.

    Reasons: ``longer_than_window``, ``chromosome_edge``.
    """
    rows = ledger.rows
    table = ledger.peaks.iloc[rows]
    w, b = _widths(table)
    L, shifts = options.length, np.array(options.shifts, dtype=np.int64)
    place = L // 2 - w // 2
    first, last = place - shifts.max(), place - shifts.min()  # columns where the variant is, over the shifts
    fits = (first >= 0) & (last + w <= L)
    if "left" in options.anchors:
        fits &= last + b <= L
    if "right" in options.anchors:
        fits &= first + w - b >= 0
    size = [f"{x} and {y} bp differ, windows have {L}" for x, y in zip(w[~fits], b[~fits], strict=True)]
    ledger.drop(rows[~fits], "longer_than_window", np.array(size, dtype=object))
    start, end = extents(table, options)
    limit = table["chrom"].map(dict(lengths)).to_numpy(np.int64)
    out = (start < 0) | (end > limit)
    reach = zip(start[out], end[out], limit[out], strict=True)
    where = [f"windows reach {first}-{last} of 0-{end}" for first, last, end in reach]
    ledger.drop(rows[out], "chromosome_edge", np.array(where, dtype=object))


def extents(table: pd.DataFrame, options: WindowOptions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and end of what the windows of each variant reach of the genome, 0-based half-open."""
    w, b = _widths(table)
    lost = np.maximum(w - b, 0)
    start = _window_starts(table, options)
    end = start + options.length + max(options.shifts) + lost * ("left" in options.anchors)
    return start + min(options.shifts) - lost * ("right" in options.anchors), end


def _widths(table: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bases that variants take out and put in."""
    w, b = (table[name].str.len().to_numpy().astype(np.int64) for name in ("before", "after"))
    return w, b


def _window_starts(table: pd.DataFrame, options: WindowOptions) -> NDArray[np.int64]:
    """Where the windows at shift 0 begin."""
    return table["at"].to_numpy(np.int64) - (options.length // 2 - _widths(table)[0] // 2)


def read_stretches(table: pd.DataFrame, context: Context, options: WindowOptions) -> Stretches:
    """Read what the windows of some variants are cut from.

    Parameters
    ----------
    table
        Rows of the ledger of ``check_variants`` that ``drop_unfit`` left.
    """
    starts = _window_starts(table, options)
    first, last = extents(table, options)
    pad = int((starts - first).max(initial=0))
    width = pad + int((last - starts).max(initial=options.length))
    codes = context.stretches(table["chrom"].tolist(), starts - pad, width)
    beyond = ((first - starts + pad, codes), (starts - pad + width - last, codes[:, ::-1]))
    for columns, side in beyond:  # of codes, from either end, that no window reaches
        few = int(columns.max(initial=0))
        side[:, :few][np.arange(few)[None] < columns[:, None]] = UNKNOWN
    numbers = pd.factorize(table["chrom"])[0].astype(np.int64)
    texts = table["after"].tolist()
    inserts = np.full((len(texts), max([1, *map(len, texts)])), UNKNOWN, dtype=np.uint8)
    before, after = _widths(table)
    inserts[np.arange(inserts.shape[1]) < after[:, None]] = encode_letters(
        "".join(texts).encode(), where="ALT"
    )
    return Stretches(
        codes,
        pad,
        options.length // 2 - before // 2,
        before,
        after,
        inserts,
        (numbers << 42) + starts,
    )


def cut_windows(stretches: Stretches, options: WindowOptions) -> WindowPairs:
    """Cut the windows of both alleles, at every shift and anchor."""
    indels = np.flatnonzero(stretches.before != stretches.after)
    every = np.arange(len(stretches.codes))
    _, first, same = np.unique(stretches.loci, return_index=True, return_inverse=True)
    rows, reference, alternative, variant, count = [], [], [], [], 0
    for shift in options.shifts:
        rows.append(_reference_windows(stretches, first, shift, options.length))
        base, count = count, count + len(first)
        for number, anchor in enumerate(options.anchors):
            chosen = indels if number else every  # of a substitution all anchors are alike
            rows.append(_alternative_windows(stretches, chosen, shift, anchor, options.length))
            reference.append(base + same[chosen])
            alternative.append(count + np.arange(len(chosen)))
            variant.append(chosen)
            count += len(chosen)
    owners = np.concatenate(reference)
    order = np.argsort(owners, kind="stable")
    return WindowPairs(
        np.concatenate(rows),
        owners[order],
        np.concatenate(alternative)[order],
        np.concatenate(variant)[order],
    )


def _reference_windows(
    stretches: Stretches, chosen: NDArray[np.int64], shift: int, length: int
) -> NDArray[np.uint8]:
    begin = stretches.pad + shift
    return stretches.codes[chosen, begin : begin + length]


def _alternative_windows(
    stretches: Stretches, chosen: NDArray[np.int64], shift: int, anchor: str, length: int
) -> NDArray[np.uint8]:
    w, b = stretches.before[chosen], stretches.after[chosen]
    place = stretches.place[chosen] - shift  # column of the variant
    result = _reference_windows(stretches, chosen, shift, length)
    result = result if result.base is None else result.copy()
    indels = np.flatnonzero(w != b)
    if len(indels):
        first, lost = place[indels, None], (w - b)[indels, None]
        # Column j is of the left side, of the allele, or of the right side, where the genome goes on later.
        j = np.arange(length)[None] - (lost if anchor == "right" else 0)
        source = np.where(j < first, j, j + lost) + shift + stretches.pad
        source = source.clip(0, stretches.codes.shape[1] - 1)  # what the allele covers
        result[indels] = np.take_along_axis(stretches.codes[chosen[indels]], source, axis=1)
    put = place + ((w - b) if anchor == "right" else 0)
    for k in range(int(b.max(initial=0))):
        rows = np.flatnonzero(k < b)
        result[rows, put[rows] + k] = stretches.inserts[chosen[rows], k]
    return result
