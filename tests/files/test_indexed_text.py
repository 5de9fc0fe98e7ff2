"""Indexed BED: any part is read by its index, which fits its data or is not there."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pandas as pd
import pysam
import pytest
from cislex.errors import StorageError
from cislex.files.indexed_text import TBI_END, csi_path, index_path, write_indexed_bed

COLUMNS = ["#chrom", "start", "end", "name"]


def table(*rows: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame([(*row, f"n{number}") for number, row in enumerate(rows)], columns=COLUMNS)


def fetch(path: Path, *region: object, index: Path | None = None) -> list[str]:
    with pysam.TabixFile(str(path), index=None if index is None else str(index)) as indexed:
        return [line.split("\t")[3] for line in indexed.fetch(*region)]


ROWS = [("chr1", start, start + 12) for start in range(0, 60_000, 10)] + [("chr2", 4, 9)]


def test_any_part_is_read_through_the_index_and_equal_tables_make_equal_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cislex.files.indexed_text.BLOCK_ROWS", 1000)
    frame = table(*ROWS)
    for name in ("a.bed.gz", "b.bed.gz"):
        write_indexed_bed(frame, tmp_path / name)
    path, other = tmp_path / "a.bed.gz", tmp_path / "b.bed.gz"
    inside = frame[(frame["#chrom"] == "chr1") & (frame["end"] > 30_000) & (frame["start"] < 30_100)]
    assert fetch(path, "chr1", 30_000, 30_100) == inside["name"].tolist()
    assert fetch(path, "chr2") == ["n6000"]
    assert gzip.decompress(path.read_bytes()).decode() == frame.to_csv(sep="\t", index=False)
    assert path.read_bytes() == other.read_bytes()
    assert index_path(path).read_bytes() == index_path(other).read_bytes()
    assert index_path(path).stat().st_mtime_ns >= path.stat().st_mtime_ns


def test_a_table_without_rows_has_a_header_and_an_index(tmp_path: Path) -> None:
    write_indexed_bed(table(), tmp_path / "a.bed.gz")
    with pysam.TabixFile(str(tmp_path / "a.bed.gz")) as indexed:
        assert (list(indexed.header), indexed.contigs) == (["\t".join(COLUMNS)], [])


@pytest.mark.parametrize("end", [TBI_END, TBI_END + 1, 5_600_000_000])
def test_positions_beyond_the_reach_of_tbi_are_indexed_as_csi(tmp_path: Path, end: int) -> None:
    path = tmp_path / "a.bed.gz"
    write_indexed_bed(table(("chr1", 5, 9), ("chr1", end - 10, end)), path)
    for index in (None, index_path(path)):
        assert fetch(path, "chr1", end - 5, end, index=index) == ["n1"]
    assert csi_path(path).exists() == (end > TBI_END)
    write_indexed_bed(table(("chr1", 5, 9)), path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bed.gz", "a.bed.gz.tbi"]


def test_a_table_out_of_order_is_refused_and_leaves_the_former_files(tmp_path: Path) -> None:
    path = tmp_path / "a.bed.gz"
    write_indexed_bed(table(("chr1", 5, 9)), path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(StorageError, match=r"a\.bed\.gz: not written or not indexed"):
        write_indexed_bed(table(("chr1", 50, 90), ("chr1", 5, 9)), path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_no_index_is_left_beside_data_that_it_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace = tmp_path / "a.bed.gz", os.replace

    def stop_at_the_index(old: object, new: object) -> None:
        if str(new).endswith(".tbi"):
            raise KeyboardInterrupt
        replace(old, new)  # type: ignore[arg-type]

    write_indexed_bed(table(("chr1", 5, 9)), path)
    monkeypatch.setattr(os, "replace", stop_at_the_index)
    with pytest.raises(KeyboardInterrupt):
        write_indexed_bed(table(("chr1", 5, 9), ("chr1", 7, 9)), path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.bed.gz"]
    assert gzip.decompress(path.read_bytes()).count(b"chr1") == 2
