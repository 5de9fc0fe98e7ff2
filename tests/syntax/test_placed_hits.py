"""Hits are placed in one region each, and overlapping ones count by one rule."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cislex.errors import InputError
from cislex.motifs.hits import COLUMNS
from cislex.regions.extraction import REGION_COLUMNS, write_regions_bed
from cislex.syntax.placed_hits import gives_way, place_hits


def write_regions(folder: Path, rows: list[tuple[str, int, int, str]]) -> Path:
    """Regions by chromosome, start, end, strand."""
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "strand"])
    table = table.assign(name=[f"r{row}" for row in range(len(rows))], score=".", source_line=1)
    table = table.assign(peak_start=table["start"], peak_end=table["end"])
    write_regions_bed(table[REGION_COLUMNS], folder / "regions.bed")
    return folder / "regions.bed"


def write_hits(folder: Path, rows: list[tuple[object, ...]]) -> Path:
    """Hits by chromosome, start, end, word, strand, contribution."""
    lines = ["\t".join(COLUMNS)]
    for chrom, start, end, word, strand, contribution in rows:
        cells = {"#chrom": chrom, "start": start, "end": end, "word": word, "strand": strand}
        cells["contribution"] = contribution
        lines.append("\t".join(str(cells.get(column, 1)) for column in COLUMNS))
    path = folder / "hits.bed.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


@pytest.mark.parametrize(
    ("strand", "length", "expected"), [("+", 101, -20), ("-", 101, 20), (".", 101, -20), ("+", 100, -20)]
)
def test_an_offset_is_counted_from_the_centre_base_on_the_strand_of_the_region(
    tmp_path: Path, strand: str, length: int, expected: int
) -> None:
    regions = write_regions(tmp_path, [("chr1", 1000, 1000 + length, strand)])
    # The centre base is 1050; the hit of width 3 is centred on base 1040.
    placed = place_hits(write_hits(tmp_path, [("chr1", 1039, 1042, "a", "+", 1.0)]), regions)
    assert placed.offset.tolist() == [expected]
    assert placed.strand.tolist() == [-1 if strand == "-" else 1]


def test_a_hit_in_overlapping_regions_belongs_to_the_nearest(tmp_path: Path) -> None:
    regions = write_regions(
        tmp_path,
        [("chr1", 50, 150, "+"), ("chr1", 0, 100, "-"), ("chr1", 0, 100, "+"), ("chr2", 0, 100, "+")],
    )
    hits = [("chr1", 60, 70, "a", "+", 1), ("chr1", 80, 90, "a", "+", 1), ("chr2", 60, 70, "a", "+", 1)]
    outside = [("chr1", 145, 155, "a", "+", 1), ("chr3", 60, 70, "a", "+", 1)]
    placed = place_hits(write_hits(tmp_path, hits + outside), regions)
    assert placed.region.tolist() == [0, 2, 3]
    assert placed.outside == 2


def test_sequences_given_directly_are_found_by_name(tmp_path: Path) -> None:
    regions = write_regions(tmp_path, [("", 0, 100, "."), ("", 0, 100, ".")])
    hits = [("r1", 0, 10, "a", "+", 1), ("r0", 90, 100, "a", "-", 1), ("r0", 95, 105, "a", "-", 1)]
    placed = place_hits(write_hits(tmp_path, hits), regions)
    assert placed.region.tolist() == [0, 1]
    assert placed.offset.tolist() == [2 * 95 - 101, 2 * 5 - 101]
    assert placed.outside == 1


def test_of_hits_that_share_more_than_half_of_the_narrower_the_stronger_counts(tmp_path: Path) -> None:
    regions = write_regions(tmp_path, [("chr1", 0, 200, "+")])
    hits = [
        ("chr1", 10, 20, "half", "+", 1.0),
        ("chr1", 15, 25, "half", "+", 2.0),  # shares just half: both count
        ("chr1", 50, 60, "palindrome", "+", 1.0),
        ("chr1", 50, 60, "palindrome", "-", 1.0),
        ("chr1", 100, 130, "wide", "+", -3.0),
        ("chr1", 104, 112, "inside", "+", 2.0),
        ("chr1", 126, 136, "beside", "+", 1.0),
    ]
    placed = place_hits(write_hits(tmp_path, hits), regions)
    names = [placed.words[word] for word in placed.word]
    assert names == ["beside", "half", "half", "palindrome", "wide"]
    assert placed.overlapped == 2
    without = place_hits(tmp_path / "hits.bed.gz", regions, left_out=["wide"])
    assert "inside" in without.words


def test_hits_give_way_as_they_would_one_after_the_other() -> None:
    random = np.random.default_rng(1)
    n = 400
    low = random.integers(0, 500, n)
    high, region = low + random.integers(4, 30, n), random.integers(0, 4, n)
    weight, word = random.integers(1, 5, n).astype(float), random.integers(0, 3, n)
    strand = random.choice([-1, 1], n)
    found = gives_way(region, low, high, weight, word, strand)
    kept: list[int] = []
    for this in np.lexsort((strand, word, high, low, region, -weight)):
        shares = [
            2 * (min(high[this], high[other]) - max(low[this], low[other]))
            > min(high[this] - low[this], high[other] - low[other])
            for other in kept
            if region[other] == region[this]
        ]
        if not any(shares):
            kept.append(int(this))
    assert sorted(np.flatnonzero(~found)) == sorted(kept)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("chr1", 20, 10, "a", "+", 1.0), "lines 3: a hit needs start below end"),
        (("chr1", 10, 20, "a", ".", 1.0), "lines 3: a hit needs"),
        (("chr1", 10, 20, "a", "+", "inf"), "finite contribution"),
        (("chr1", "ten", 20, "a", "+", 1.0), "not a complete hits.bed.gz"),
    ],
)
def test_a_broken_row_is_a_named_error(tmp_path: Path, row: tuple[object, ...], message: str) -> None:
    regions = write_regions(tmp_path, [("chr1", 0, 100, "+")])
    hits = write_hits(tmp_path, [("chr1", 10, 20, "a", "+", 1.0), row])
    with pytest.raises(InputError, match=message):
        place_hits(hits, regions)


def test_a_cut_file_or_one_of_another_kind_is_a_named_error(tmp_path: Path) -> None:
    regions = write_regions(tmp_path, [("chr1", 0, 100, "+")])
    hits = write_hits(tmp_path, [("chr1", start, start + 10, "a", "+", start) for start in range(80)])
    hits.write_bytes(hits.read_bytes()[:-30])
    with pytest.raises(InputError, match="not a complete"):
        place_hits(hits, regions)
    hits.write_bytes(gzip.compress(b"#chrom\tstart\tend\n"))
    with pytest.raises(InputError, match="with the columns"):
        place_hits(hits, regions)
    with pytest.raises(InputError, match="one length; found 100, 101"):
        place_hits(hits, write_regions(tmp_path, [("chr1", 0, 100, "+"), ("chr1", 0, 101, "+")]))
