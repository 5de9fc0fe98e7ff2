"""Where each word stands in its regions: along the region, and in the centre against the flanks.

The test counts each region once, by the word's hit with the largest |contribution| in it, so that clusters
of hits do not pass for independent ones. Expected are hits that may start at any base at which what was
searched for fits into the searched part of the region: the word's core, and with Fi-NeMo the columns on
either side of it, too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cislex.multiple_testing import adjust_p_values
from cislex.syntax.counted_regions import searched_part
from cislex.syntax.placed_hits import Ints, PlacedHits
from cislex.syntax.settings import SyntaxSettings
from cislex.syntax.statistics import odds_of, two_sided

POSITION_COLUMNS = [
    *("word", "part", "start", "end", "hits", "forward", "observed", "expected", "odds", "p", "q"),
    *("word_hits", "word_regions", "several", "hits_per_region"),
]


#: Columns on the left and on the right of a word's core, as it reads, that must fit into what is searched.
Margins = tuple[int, int]


def find_positions(
    hits: PlacedHits, settings: SyntaxSettings, *, margins: Mapping[str, Margins] | None = None
) -> pd.DataFrame:
    """Tabulate the positions of every word with enough hits.

    Parameters
    ----------
    hits, settings
        The placed hits; least hits, bins, centre.
    margins
        Of each word: see :func:`cislex.motifs.finemo_runs.core_margins`. None: only the core must fit.

    Returns
    -------
    pandas.DataFrame
        Per word one row ``centre``, then one row ``bin`` for each bin. ``start`` and ``end`` are distances of
        the hits' centres from the region's centre base, in bp on the region's strand.
    """
    tables = []
    for word, own in enumerate(hits.slices()):
        if own.stop - own.start >= settings.min_hits:
            margin = (0, 0) if margins is None else margins[hits.words[word]]
            tables.append(_word_table(hits, word, own, margin, settings))
    if not tables:
        return pd.DataFrame(columns=POSITION_COLUMNS)
    table = pd.concat(tables, ignore_index=True)
    table["q"] = 1.0
    for part in ("centre", "bin"):
        chosen = table["part"] == part
        table.loc[chosen, "q"] = adjust_p_values(table.loc[chosen, "p"].to_numpy(float))
    return table[POSITION_COLUMNS]


def _word_table(
    hits: PlacedHits, word: int, own: slice, margin: Margins, settings: SyntaxSettings
) -> pd.DataFrame:
    offset, region, strand = hits.offset[own], hits.region[own], hits.strand[own]
    rows, counts = np.unique(region, return_counts=True)
    low, high = _parts(min(settings.searched or hits.length, hits.length), settings)
    # A region and a hit have a strand each, and with each two the hit has its own possible places.
    is_minus = (hits.regions["strand"] == "-").to_numpy()[region]
    kind = 2 * is_minus + (strand < 0)
    places = [possible_offsets(hits, own, margin, settings, kind=number) for number in range(4)]
    fits = np.zeros(len(offset), dtype=bool)
    for number, possible in enumerate(places):
        if len(possible):
            fits |= (kind == number) & (offset >= possible[0]) & (offset <= possible[-1])
    order = np.lexsort((strand, offset, -hits.weight[own], region))
    order = order[fits[order]]
    order = order[np.diff(region[order], prepend=-1) > 0]
    strongest = offset[order]
    expected = np.zeros(len(low))
    for number, possible in enumerate(places):
        expected += (kind[order] == number).sum() * _within(possible, low, high) / max(len(possible), 1)
    observed, trials = _within(strongest, low, high), len(strongest)
    share = np.minimum(expected / max(trials, 1), 1)
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
            "odds": odds_of(observed, expected, trials),
            "p": two_sided(observed, trials, share),
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


def possible_offsets(
    hits: PlacedHits, own: slice, margin: Margins, settings: SyntaxSettings, *, kind: int
) -> Ints:
    """Offsets (twice the bp) of a word's hits that fit into the searched part of a region.

    ``kind``: 2 for a region on the minus strand, and 1 for a hit on the region's other strand.
    """
    part, width = searched_part(hits.length, settings.searched), int(np.median(hits.width[own]))
    before, after = margin[::-1] if kind % 2 else margin
    starts = np.arange(part.start + before, part.stop - after - width + 1)
    middle = hits.length // 2
    # The centre base of a region on the minus strand, counted from where it begins.
    middle = hits.length - 1 - middle if kind >= 2 else middle
    return np.asarray(2 * starts + width - 2 * middle - 1)


def _within(offsets: Ints, low: Ints, high: Ints) -> Ints:
    """How many offsets lie in each of the half-open intervals."""
    ordered = np.sort(offsets)
    return np.asarray(np.searchsorted(ordered, high) - np.searchsorted(ordered, low))
