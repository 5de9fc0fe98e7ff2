"""Where each word stands in its regions: along the region, and in the centre against the flanks.

The test counts each region once, by the word's hit with the largest |contribution| in it, so that clusters
of hits do not pass for independent ones. Expected are hits that may start at any base at which they fit into
the searched part of the region.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cislex.multiple_testing import adjust_p_values
from cislex.syntax.placed_hits import Ints, PlacedHits
from cislex.syntax.settings import SyntaxSettings
from cislex.syntax.statistics import odds_of, two_sided

POSITION_COLUMNS = [
    *("word", "part", "start", "end", "hits", "forward", "observed", "expected", "odds", "p", "q"),
    *("word_hits", "word_regions", "several", "hits_per_region"),
]


def find_positions(hits: PlacedHits, settings: SyntaxSettings) -> pd.DataFrame:
    """Tabulate the positions of every word with enough hits.

    Returns
    -------
    pandas.DataFrame
        Per word one row ``centre``, then one row ``bin`` for each bin. ``start`` and ``end`` are distances of
        the hits' centres from the region's centre base, in bp on the region's strand.
    """
    minus = (hits.regions["strand"] == "-").mean() if len(hits.regions) else 0.0
    searched = min(settings.searched or hits.length, hits.length)
    tables = []
    for word, own in enumerate(hits.slices()):
        if own.stop - own.start >= settings.min_hits:
            tables.append(_word_table(hits, word, own, searched, float(minus), settings))
    if not tables:
        return pd.DataFrame(columns=POSITION_COLUMNS)
    table = pd.concat(tables, ignore_index=True)
    table["q"] = 1.0
    for part in ("centre", "bin"):
        chosen = table["part"] == part
        table.loc[chosen, "q"] = adjust_p_values(table.loc[chosen, "p"].to_numpy(float))
    return table[POSITION_COLUMNS]


def _word_table(
    hits: PlacedHits, word: int, own: slice, searched: int, minus: float, settings: SyntaxSettings
) -> pd.DataFrame:
    offset, region, strand = hits.offset[own], hits.region[own], hits.strand[own]
    rows, counts = np.unique(region, return_counts=True)
    order = np.lexsort((strand, offset, -hits.weight[own], region))
    strongest = offset[order[np.diff(region[order], prepend=-1) > 0]]
    low, high = _parts(searched, settings)
    possible = _possible(int(np.median(hits.width[own])), searched, hits.length)
    share = (1 - minus) * _within(possible, low, high) + minus * _within(-possible, low, high)
    share = share / len(possible)
    observed = _within(strongest, low, high)
    expected = share * len(rows)
    return pd.DataFrame(
        {
            "word": hits.words[word],
            "part": ["centre"] + ["bin"] * (len(low) - 1),
            "start": low / 2,
            "end": high / 2,
            "hits": _within(offset, low, high),
            "forward": _within(offset[strand > 0], low, high),
            "observed": observed,
            "expected": expected,
            "odds": odds_of(observed, expected, len(rows)),
            "p": two_sided(observed, len(rows), np.minimum(share, 1)),
            "word_hits": len(offset),
            "word_regions": len(rows),
            "several": int((counts > 1).sum()),
            "hits_per_region": len(offset) / len(rows),
        }
    )


def _parts(searched: int, settings: SyntaxSettings) -> tuple[Ints, Ints]:
    """Bounds of the centre and of the bins, twice their distance from the centre in bp."""
    half = settings.bin_width  # twice half a bin
    steps = -(-(searched + half) // (2 * half))
    edges = np.arange(-steps, steps + 1) * 2 * half
    low, high = edges - half, edges + half
    return np.append(-2 * settings.centre, low), np.append(2 * settings.centre + 1, high)


def _possible(width: int, searched: int, length: int) -> Ints:
    """Offsets (twice the bp) at which a hit fits into the searched part of a region on the plus strand."""
    first = (length - searched) // 2
    starts = np.arange(first, first + max(searched - searched % 2 * (searched < length), width) - width + 1)
    return np.asarray(2 * starts + width - 2 * (length // 2) - 1)


def _within(offsets: Ints, low: Ints, high: Ints) -> Ints:
    """How many offsets lie in each of the half-open intervals."""
    ordered = np.sort(offsets)
    return np.asarray(np.searchsorted(ordered, high) - np.searchsorted(ordered, low))
