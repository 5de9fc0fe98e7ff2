"""Which share of the contributions lies under hits."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from cislex.files.tables import write_regions
from cislex.report.sections.covered import Intervals, share_under_hits
from cislex.report.specs import AnalysisTarget


def write(path: Path, regions: list[tuple[str, int, str]], size: np.ndarray) -> AnalysisTarget:
    """Regions (chromosome, start, strand) whose bases have contributions ``size`` (n, length)."""
    n, length = size.shape
    sequences = np.zeros((n, 4, length), np.uint8)
    sequences[:, 0] = 1
    frame = pd.DataFrame(regions, columns=["chrom", "start", "strand"])
    frame = frame.assign(end=frame["start"] + length, name=[f"r{i}" for i in range(n)])
    with h5py.File(path, "w") as handle:
        handle["sequences"] = sequences
        handle["hypothetical"] = sequences * size[:, None].astype(np.float32)
        write_regions(handle, frame)
    return AnalysisTarget(
        analysis="a", target="t", region_set="r", model="m", attributions=path, motifs=None
    )  # fmt: skip


def intervals(*rows: tuple[str, int, int]) -> Intervals:
    found = Intervals()
    frame = pd.DataFrame(rows, columns=["chrom", "start", "end"])
    for first in range(0, len(frame), 2):  # in blocks, as they are read
        found.add(frame.iloc[first : first + 2])
    return found


def test_bases_count_once_in_each_region_and_on_both_strands(tmp_path: Path) -> None:
    size = np.array([[1, 2, 4, 8, 16.0], [-1, -2, -4, -8, -16], [1, 1, 1, 1, 1]])
    spec = write(tmp_path / "a.h5", [("chr1", 10, "+"), ("chr1", 10, "-"), ("chr2", 0, "+")], size)
    # Two that overlap, one that begins before the region and a long one elsewhere: bases 10, 12 and 13.
    hits = intervals(("chr1", 12, 14), ("chr1", 13, 14), ("chr1", 2, 11), ("chr3", 0, 9))
    found = share_under_hits(spec, hits)
    share = ((1 + 4 + 8) + (16 + 4 + 2)) / (31 + 31 + 5)
    assert found.startswith(f"Under hits lie {100 * share:.0f} % of the absolute contributions and 40 % of")
    assert "spread evenly" not in found


@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_random_map_agrees_with_a_mask_of_the_chromosome(tmp_path: Path, strand: str) -> None:
    rng = np.random.default_rng(3)
    size = rng.normal(size=(40, 30))
    starts = rng.integers(0, 300, 40)
    spec = write(tmp_path / "a.h5", [("chr1", int(start), strand) for start in starts], size)
    left = rng.integers(0, 330, 60)
    widths = rng.integers(1, 25, 60)
    rows = [("chr1", int(low), int(low + width)) for low, width in zip(left, widths, strict=True)]
    mask = np.zeros(400, bool)
    for _, low, high in rows:
        mask[low:high] = True
    turn = 1 if strand == "+" else -1
    masks = np.stack([mask[start : start + 30][::turn] for start in starts])
    under, bases = np.abs(size)[masks].sum(), masks.mean()
    said = share_under_hits(spec, intervals(*rows))
    assert f"lie {100 * under / np.abs(size).sum():.0f} % of" in said
    assert f"and {100 * bases:.0f} % of the bases" in said


def test_nothing_is_said_where_nothing_contributes(tmp_path: Path) -> None:
    spec = write(tmp_path / "a.h5", [("chr1", 0, "+")], np.zeros((1, 5)))
    assert share_under_hits(spec, intervals(("chr1", 0, 3))) == ""


def test_of_many_regions_some_are_read_from_all_over_the_file(tmp_path: Path) -> None:
    size = np.ones((2_500, 4))
    size[1::2] = 0
    spec = write(tmp_path / "a.h5", [("chr1", 10 * row, "+") for row in range(2_500)], size)
    said = share_under_hits(spec, intervals(("chr1", 0, 12_500)))
    assert "(of 2,000 regions, spread evenly)" in said
    share = int(said.split("lie ")[1].split(" %")[0])
    assert 48 <= share <= 52
