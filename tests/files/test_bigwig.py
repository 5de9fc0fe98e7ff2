"""bigWig files hold what was added, or are an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyBigWig
import pytest
from cislex.errors import StorageError
from cislex.files import bigwig


def test_values_come_back_as_they_were_added(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=5000)
    with bigwig.writing_bigwig(tmp_path / "a.bw", {"chr2": 9000, "chr10": 400}) as add:
        add("chr2", 10, values)
        add("chr10", 0, values[:3])
    with pyBigWig.open(str(tmp_path / "a.bw")) as track:
        np.testing.assert_array_equal(track.values("chr2", 10, 5010, numpy=True), values.astype(np.float32))
        assert track.chroms() == {"chr2": 9000, "chr10": 400}


def test_intervals_come_back_as_they_were_added(tmp_path: Path) -> None:
    starts = np.arange(0, 8000, 8)
    ends, values = starts + 5, np.random.default_rng(0).normal(size=1000)
    with bigwig.writing_bigwig(tmp_path / "a.bw", {"chr2": 9000, "chr10": 400}) as add:
        add("chr2", starts, values, ends)
        add("chr10", starts[:0], values[:0], ends[:0])
        add("chr10", starts[:2], values[:2], ends[:2])
    with pyBigWig.open(str(tmp_path / "a.bw")) as track:
        found = np.array(track.intervals("chr2"))
        np.testing.assert_array_equal(found, np.column_stack([starts, ends, values.astype(np.float32)]))
        assert len(track.intervals("chr10")) == 2


@pytest.mark.parametrize("start", [-1, 8000])
def test_what_the_library_refuses_is_an_error(tmp_path: Path, start: int) -> None:
    with (
        pytest.raises(StorageError, match="could not be written"),
        bigwig.writing_bigwig(tmp_path / "a.bw", {"chr2": 9000}) as add,
    ):
        add("nowhere" if start < 0 else "chr2", start, np.zeros(2000))


def test_an_error_of_the_caller_is_its_own(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        bigwig.writing_bigwig(tmp_path / "a.bw", {"chr2": 9000}) as add,
    ):
        add("chr2", 0, np.zeros(20) / (1 // 0))
