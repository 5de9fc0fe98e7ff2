"""bigBed files hold what was written, for a reader of another project, with the meaning of their columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from cislex.errors import InputError
from cislex.files.bigbed import Column, write_bigbed

SIZES = {"chr2": 50_000, "chr10": 900_000, "chrX": 10}
EXTRA = (Column("word", "string", 'The "word"'), Column("contribution", "float", "Sum"))


def rows(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    chrom = rng.choice(["chr2", "chr10"], n)
    start = rng.integers(0, 49_000, n)
    return pd.DataFrame(
        {
            "chrom": chrom, "start": start, "end": start + rng.integers(1, 30, n),
            "name": [f"hit {i}" for i in range(n)], "score": rng.integers(0, 1001, n),
            "strand": rng.choice(["+", "-", "."], n), "thick_start": start, "thick_end": start,
            "color": "1,2,3", "word": "pos_1", "contribution": rng.normal(size=n),
        }
    )  # fmt: skip


@pytest.mark.parametrize("n", [1, 513, 3000])
def test_every_interval_is_read_back_with_its_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    monkeypatch.setattr("cislex.files.bigbed.BLOCK_ROWS", 1000)
    frame = rows(n)
    write_bigbed(frame, tmp_path / "a.bb", SIZES, table="hits", comment="Hits", extra=EXTRA)
    with pyBigWig.open(str(tmp_path / "a.bb")) as found:
        text = found.SQL().decode()
        assert found.isBigBed()
        read = [
            (chrom, start, end, *rest.split("\t"))
            for chrom in found.chroms()
            for start, end, rest in found.entries(chrom, 0, found.chroms(chrom))
        ]
        if n > 500:
            few = found.entries("chr10", 10_000, 10_100) or []
    frame = frame.sort_values(["chrom", "start", "end"], kind="stable")
    assert [one[:3] for one in read] == list(zip(frame["chrom"], frame["start"], frame["end"], strict=True))
    assert [one[3] for one in read] == list(frame["name"])
    assert [one[5] for one in read] == list(frame["strand"])
    np.testing.assert_allclose([float(one[10]) for one in read], frame["contribution"], rtol=1e-5)
    for piece in ("table hits", "string word;", "\"The 'word'\"", "float", "char[1] strand;"):
        assert piece in " ".join(text.split()), text
    if n > 500:
        inside = frame[(frame["chrom"] == "chr10") & (frame["start"] < 10_100) & (frame["end"] > 10_000)]
        assert [one[0] for one in few] == list(inside["start"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.bb"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end": [20, 11]}, "1 of 2 intervals are empty or not inside .*: chrX:0-11"),
        ({"chrom": ["chrX", "chr3"]}, "chr3:0-1"),
        ({"end": [0, 1]}, "chr2:0-0"),
    ],
)
def test_intervals_outside_the_genome_are_named(
    tmp_path: Path, change: dict[str, list[object]], message: str
) -> None:
    base = {"chrom": ["chr2", "chrX"], "start": [0, 0], "end": [20, 1]}
    frame = rows(2).assign(**{**base, **change})
    with pytest.raises(InputError, match=message):
        write_bigbed(frame, tmp_path / "a.bb", SIZES, table="hits", comment="Hits", extra=EXTRA)
    with pytest.raises(InputError, match="at least one interval"):
        write_bigbed(frame[:0], tmp_path / "a.bb", SIZES, table="hits", comment="Hits", extra=EXTRA)
    assert not list(tmp_path.iterdir())
