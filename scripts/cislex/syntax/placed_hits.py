"""Hits of a target, each in one region, relative to the region's centre and on the region's strand.

Three rules decide what counts:

- **One region.** For statistics, regions count whose searched parts do not overlap
  (:mod:`cislex.syntax.counted_regions`), and a hit belongs to the part it lies in. Otherwise a hit belongs to
  the region whose middle is nearest (of equals the first by start, strand and name). No hit counts twice.
- **Overlaps.** Of two hits in a region that share more than half of the narrower one, the one with the larger
  |contribution| counts, greatest first; so also for a palindrome hit on both strands, and for words that
  resemble each other. Of equals the first by position and name counts.
- **Composites.** Words that are named to be left out (composites of other words) are gone before that, so
  that they do not hide their parts.
"""

from __future__ import annotations

import csv
import dataclasses
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.files.tables import has_coordinates, open_hdf5, read_regions, require_file
from cislex.regions.extraction import bed_names, read_regions_bed
from cislex.syntax.counted_regions import CountedRegions, count_regions, searched_starts
from cislex.syntax.vocabulary import word_column

Ints = NDArray[np.int64]
#: Rows of ``hits.bed.gz`` that are read at once.
BLOCK_ROWS = 250_000
STRANDS = {"+": 1, "-": -1}


@dataclass(frozen=True)
class PlacedHits:
    """Hits in order of word, region and position.

    Attributes
    ----------
    words
        Names of the words, sorted.
    word, region
        Number of each hit's word and the row of its region, shape (n,).
    offset
        *Twice* the distance in bp from the region's centre base to the hit's centre, on the region's strand:
        centres of hits of even width lie between two bases.
    strand
        1 or -1, relative to the region.
    width
        bp.
    weight
        |contribution|.
    regions
        The regions, as in the file that they were read from.
    length
        Length of every region, bp.
    outside, overlapped
        Hits in no region; hits that gave way to one they overlap.
    repeated, overlapping
        Regions that do not count: see :class:`cislex.syntax.counted_regions.CountedRegions`.
    set_aside
        Hits in regions, but not in the searched part of one that counts.
    """

    words: tuple[str, ...]
    word: Ints
    region: Ints
    offset: Ints
    strand: Ints
    width: Ints
    weight: NDArray[np.float64]
    regions: pd.DataFrame
    length: int
    outside: int
    overlapped: int
    repeated: int = 0
    overlapping: int = 0
    set_aside: int = 0

    @property
    def counted(self) -> int:
        """Regions that count."""
        return len(self.regions) - self.repeated - self.overlapping

    def __len__(self) -> int:
        return len(self.word)

    def slices(self) -> list[slice]:
        """The hits of each word."""
        bounds = np.searchsorted(self.word, np.arange(len(self.words) + 1))
        return [slice(int(low), int(high)) for low, high in pairwise(bounds)]


def place_hits(
    hits: str | Path,
    regions: str | Path,
    *,
    apart: bool = False,
    searched: int | None = None,
    left_out: Collection[str] = (),
    column: str | None = None,
    rows: int = BLOCK_ROWS,
) -> PlacedHits:
    """Read hits in blocks and place them in their regions.

    Parameters
    ----------
    hits
        ``hits.bed.gz`` of a target: on the genome, or on sequences given directly.
    regions
        ``regions.bed`` of the same analysis, or ``attributions.h5`` of the target, which lacks the regions
        that the quality gate dropped. All regions have one length.
    apart
        Whether regions count only where their searched parts do not overlap, as statistics need it.
    searched
        Length of the central part of each region in which hits were called, bp; None: the whole region.
    left_out
        Words that do not count, such as composites.
    column
        Column of ``hits`` that names the word; None: see
        :func:`cislex.syntax.vocabulary.word_column`.
    rows
        Rows that are read at once; changes nothing else.

    Raises
    ------
    InputError
        A file is missing, damaged or of another kind, or no hit lies in any region; or one lies in none of
        ``attributions.h5``.
    """
    column = column or word_column(hits)
    table = _read_regions(regions)
    length = _common_length(table, regions)
    counts = CountedRegions(np.arange(len(table)), 0, 0)
    finder = anywhere = _Finder(table, counts.rows, table["start"].to_numpy(), length)
    if apart:
        counts = count_regions(table, length, searched)
        finder = _Finder(table, counts.rows, *searched_starts(table, length, searched))
    codes: dict[str, int] = {}
    blocks, outside, set_aside, total = [], 0, 0, 0
    for block in _read_blocks(hits, column, rows):
        block = block[~block[column].isin(list(left_out))]
        total += len(block)
        row = finder(block)
        inside = row >= 0
        lost = int((anywhere(block[~inside]) < 0).sum())
        outside += lost
        set_aside += int((~inside).sum()) - lost
        blocks.append(_relative(block[inside], row[inside], table, length, codes, column))
    if total and outside == total:
        raise InputError(
            f"{hits}: none of its {total} hits lies in a region of {regions}; give the regions in which the "
            "hits were called"
        )
    if outside and h5py.is_hdf5(regions):  # the file in which hits are called has the regions of all of them
        raise InputError(
            f"{hits}: {outside} of its {total} hits lie in no region of {regions}: one of the files belongs "
            "to another run; call the hits again"
        )
    columns = np.concatenate(blocks, axis=1) if blocks else np.zeros((6, 0))
    return dataclasses.replace(
        _ordered(columns, codes, table, length, outside),
        repeated=counts.repeated,
        overlapping=counts.overlapping,
        set_aside=set_aside,
    )


def _read_regions(path: str | Path) -> pd.DataFrame:
    """Regions of a BED or of an HDF5 file."""
    if not h5py.is_hdf5(path):
        return read_regions_bed(path)
    with open_hdf5(path, what="attributions", datasets=("regions",)) as handle:
        return read_regions(handle)


def _common_length(table: pd.DataFrame, path: str | Path) -> int:
    lengths = np.unique((table["end"] - table["start"]).to_numpy())
    if len(lengths) > 1:
        raise InputError(
            f"{path}: all regions must have one length; found {offenders(int(item) for item in lengths)}"
        )
    return int(lengths[0]) if len(lengths) else 0


def _read_blocks(path: str | Path, column: str, rows: int) -> Iterator[pd.DataFrame]:
    """Read the columns that count, checked, a block of rows at a time."""
    require_file(path, what="hits")
    wanted = ["#chrom", "start", "end", column, "strand", "contribution"]
    texts = dict.fromkeys(("#chrom", column, "strand"), "str")
    numbers = {"start": "int64", "end": "int64", "contribution": "float64"}
    try:
        reader = pd.read_csv(
            path,
            sep="\t",
            dtype=texts | numbers,
            usecols=wanted,
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            chunksize=rows,
        )
        with reader:
            for block in reader:
                yield _checked(block, path)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"{path}: not a complete hits.bed.gz with the columns {', '.join(wanted)}: {error}"
        ) from error


def _checked(block: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    wrong = ~block["strand"].isin(list(STRANDS)) | (block["start"] >= block["end"])
    wrong |= ~np.isfinite(block["contribution"])
    if wrong.any():
        lines = offenders(int(row) + 2 for row in block.index[wrong])
        raise InputError(
            f"{path}: lines {lines}: a hit needs start below end, strand + or -, and a finite contribution"
        )
    return block


class _Finder:
    """Row of the region in whose searched part each hit of a block lies; -1 where it lies in none."""

    def __init__(self, table: pd.DataFrame, rows: Ints, starts: Ints, width: int) -> None:
        self.starts, self.width = starts, width
        self.direct = None if has_coordinates(table) or not len(table) else pd.Index(bed_names(table))
        ordered = table.iloc[rows].assign(row=rows, first=starts[rows])
        ordered = ordered.sort_values(["chrom", "first", "strand", "name"])
        ordered = ordered.drop_duplicates(["chrom", "first"])  # of equal windows the first
        self.chromosomes = {
            str(name): (part["first"].to_numpy(), part["row"].to_numpy())
            for name, part in ordered.groupby("chrom", sort=False)
        }

    def __call__(self, block: pd.DataFrame) -> Ints:
        starts, ends = block["start"].to_numpy(), block["end"].to_numpy()
        found = np.full(len(block), -1)
        if self.direct is not None:
            found = np.asarray(self.direct.get_indexer(block["#chrom"]))
            first = self.starts[found]
            return np.where((starts >= first) & (ends <= first + self.width), found, -1)
        codes, names = pd.factorize(block["#chrom"])
        for code, name in enumerate(names):
            if name not in self.chromosomes:
                continue
            own = np.flatnonzero(codes == code)
            low, rows = self.chromosomes[name]
            # Windows have one length, so that the one with the nearest middle contains a hit if any does.
            twice, middle = 2 * low + self.width, starts[own] + ends[own]
            right = np.searchsorted(twice, middle).clip(0, len(low) - 1)
            left = (right - 1).clip(0)
            is_left = np.abs(middle - twice[left]) <= np.abs(middle - twice[right])
            nearest = np.where(is_left, left, right)
            inside = (low[nearest] <= starts[own]) & (ends[own] <= low[nearest] + self.width)
            found[own] = np.where(inside, rows[nearest], -1)
        return found


def _relative(
    block: pd.DataFrame, row: Ints, table: pd.DataFrame, length: int, codes: dict[str, int], column: str
) -> NDArray[np.float64]:
    """Word, region, offset, strand, width and weight of hits, shape (6, n)."""
    local, names = pd.factorize(block[column])
    word = np.array([codes.setdefault(str(name), len(codes)) for name in names], dtype=np.int64)[local]
    turn = np.where(table["strand"].to_numpy()[row] == "-", -1, 1)
    start, end = block["start"].to_numpy(), block["end"].to_numpy()
    centre = table["start"].to_numpy()[row] + length // 2
    offset = turn * (start + end - 2 * centre - 1)
    strand = turn * np.where(block["strand"].to_numpy() == "-", -1, 1)
    weight = np.abs(block["contribution"].to_numpy())
    return np.stack([word, row, offset, strand, end - start, weight]).astype(float)


def _ordered(
    columns: NDArray[np.float64], codes: dict[str, int], table: pd.DataFrame, length: int, outside: int
) -> PlacedHits:
    """Sort the hits, and leave out those that give way to a hit they overlap."""
    words = sorted(codes)
    ranks = np.empty(len(words), dtype=np.int64)
    ranks[[codes[name] for name in words]] = np.arange(len(words))
    word, region, offset, strand, width = columns[:5].astype(np.int64)
    word = ranks[word] if len(words) else word
    weight = columns[5]
    kept = ~gives_way(region, offset - width, offset + width, weight, word, strand)
    order = np.lexsort((strand, offset, region, word))
    order = order[kept[order]]
    return PlacedHits(
        words=tuple(words),
        word=word[order],
        region=region[order],
        offset=offset[order],
        strand=strand[order],
        width=width[order],
        weight=weight[order],
        regions=table,
        length=length,
        outside=outside,
        overlapped=int((~kept).sum()),
    )


def gives_way(
    region: Ints, low: Ints, high: Ints, weight: NDArray[np.float64], word: Ints, strand: Ints
) -> NDArray[np.bool_]:
    """Say which hits share more than half of the narrower hit with one that counts more.

    Parameters
    ----------
    region, low, high
        Region and extent of each hit, shape (n,), in any order.
    weight
        |contribution|: the greater counts.
    word, strand
        Decide between equals.
    """
    gone = np.zeros(len(region), dtype=bool)
    rank = np.empty(len(region), dtype=np.int64)
    rank[np.lexsort((strand, word, high, low, region, -weight))] = np.arange(len(region))
    ones, others = _conflicts(region, low, high)
    while len(ones):
        rival = np.full(len(region), len(region))
        np.minimum.at(rival, ones, rank[others])
        np.minimum.at(rival, others, rank[ones])
        wins = rank < rival
        gone[others[wins[ones]]] = True
        gone[ones[wins[others]]] = True
        open_ = ~(gone[ones] | gone[others])
        ones, others = ones[open_], others[open_]
    return gone


def _conflicts(region: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Pairs of hits of a region that share more than half of the narrower one."""
    order = np.lexsort((high, low, region))
    region, low, high = region[order], low[order], high[order]
    ones, others = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    active, step = np.arange(len(order)), 0
    while len(active):
        step += 1
        active = active[active + step < len(order)]
        later = active + step
        touch = (region[active] == region[later]) & (low[later] < high[active])
        active, later = active[touch], later[touch]
        shared = np.minimum(high[active], high[later]) - low[later]
        narrower = np.minimum(high[active] - low[active], high[later] - low[later])
        clash = 2 * shared > narrower
        ones.append(order[active[clash]])
        others.append(order[later[clash]])
    return np.concatenate(ones), np.concatenate(others)
