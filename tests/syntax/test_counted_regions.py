"""Regions that overlap or repeat are not evidence twice: independent hits give no call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cislex.regions.extraction import REGION_COLUMNS, write_regions_bed
from cislex.syntax.analysis import Syntax, analyse_syntax
from cislex.syntax.counted_regions import count_regions
from cislex.syntax.placed_hits import place_hits
from cislex.syntax.settings import SyntaxSettings
from syntax_fixtures import HIT_COLUMNS

LENGTH, WIDTH = 1000, 10


def regions_of(starts: np.ndarray, strands: str | np.ndarray = "+", length: int = LENGTH) -> pd.DataFrame:
    table = pd.DataFrame({"chrom": "chr1", "start": starts, "end": np.asarray(starts) + length})
    table = table.assign(strand=strands, score=".", source_line=np.arange(len(table)) + 1)
    table = table.assign(name=[f"r{row}" for row in range(len(table))])
    return table.assign(peak_start=table["start"], peak_end=table["end"])[REGION_COLUMNS]


def write_all(folder: Path, regions: pd.DataFrame, starts: dict[str, np.ndarray]) -> tuple[Path, Path]:
    """Hits of each word at these places of the chromosome, on either strand."""
    random = np.random.default_rng(1)
    parts = [pd.DataFrame({"motif": word, "start": places}) for word, places in starts.items()]
    hits = pd.concat(parts).sort_values(["start", "motif"], ignore_index=True)
    hits = hits.assign(end=hits["start"] + WIDTH, strand=random.choice(["+", "-"], len(hits)))
    hits = hits.assign(contribution=1 + random.random(len(hits)), **{"#chrom": "chr1"})
    hits.reindex(columns=HIT_COLUMNS, fill_value=1).to_csv(folder / "hits.bed.gz", sep="\t", index=False)
    write_regions_bed(regions, folder / "regions.bed")
    return folder / "hits.bed.gz", folder / "regions.bed"


def analysed(folder: Path, regions: pd.DataFrame, starts: dict[str, np.ndarray]) -> Syntax:
    files = write_all(folder, regions, starts)
    return analyse_syntax(*files, folder, settings=SyntaxSettings(permutations=99))


def test_as_many_regions_as_possible_count_and_none_overlap() -> None:
    starts = np.array([0, 60, 100, 150, 199, 200, 60, 500])
    table = regions_of(starts, np.array(list("+++++--+")), length=100)
    found = count_regions(table, 100, None)
    assert found.rows.tolist() == [0, 2, 5, 7]
    assert (found.repeated, found.overlapping) == (1, 3)
    # Of 41 searched bases, 40 are: those that begin at 30 (+) or 30 (-, as the 60 bases left are even).
    narrow = count_regions(table, 100, 41)
    assert narrow.rows.tolist() == [0, 1, 2, 3, 4, 7]
    direct = table.assign(chrom="", start=0, end=100)
    assert len(count_regions(direct, 100, None).rows) == len(table)


@pytest.mark.parametrize(("strand", "offsets"), [("+", [-41, -11, -29]), ("-", [-41, 11, 29])])
def test_hits_count_only_in_the_searched_part_of_a_region_that_counts(
    tmp_path: Path, strand: str, offsets: list[int]
) -> None:
    regions = regions_of(np.array([0, 30, 60, 400]), strand, length=101)
    # Of 101 bases, 25 … 74 on the plus strand are searched; 26 … 75 on the minus strand.
    files = write_all(tmp_path, regions, {"a": np.array([25, 40, 66, 91, 600])})
    placed = place_hits(*files, apart=True, searched=51)
    assert placed.region.tolist() == [0, 0, 2]
    assert placed.offset.tolist() == offsets
    assert (placed.counted, placed.overlapping) == (3, 1)
    assert (placed.set_aside, placed.outside) == (1, 1)


def test_windows_on_both_strands_are_the_same_evidence_as_on_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    starts = 2000 * np.arange(1, 401)
    hits = {
        word: np.concatenate([s + random.integers(0, LENGTH - WIDTH, random.poisson(0.7)) for s in starts])
        for word in ("alpha", "beta")
    }
    tables = []
    for name, strands in (("one", "+"), ("both", np.repeat(["+", "-"], 400))):
        (tmp_path / name).mkdir()
        regions = regions_of(np.tile(starts, 1 if name == "one" else 2), strands)
        tables.append(analysed(tmp_path / name, regions, hits))
    pd.testing.assert_frame_equal(tables[0].syntax, tables[1].syntax)
    pd.testing.assert_frame_equal(tables[0].positions, tables[1].positions)


def test_independent_hits_of_overlapping_regions_give_no_call(tmp_path: Path) -> None:
    """As in regions of 1,000 bp around peaks of yeast, of which many lie close to each other."""
    random = np.random.default_rng(2)
    starts = 5000 + np.cumsum(random.choice([150, 300, 700, 1500, 4000], size=1200))
    covered = np.unique((starts[:, None] + np.arange(LENGTH - WIDTH)).ravel())
    hits = {word: random.choice(covered, len(covered) // 700) for word in ("alpha", "beta")}
    found = analysed(tmp_path, regions_of(starts), hits)
    assert len(found.positions)
    assert len(found.syntax) > 300
    assert found.positions["q"].min() > 0.01
    assert found.syntax["q"].min() > 0.01
