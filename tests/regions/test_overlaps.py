"""Overlaps: the fast search agrees with the definition."""

from __future__ import annotations

import pandas as pd
from cislex.regions.overlaps import overlaps
from hypothesis import given
from hypothesis import strategies as st

intervals = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 60), st.integers(1, 15)), max_size=25
)


@given(intervals, intervals)
def test_overlaps_agree_with_the_definition(these: list, those: list) -> None:
    def frame(rows: list) -> pd.DataFrame:
        table = pd.DataFrame(rows, columns=["chrom", "start", "width"])
        return table.assign(end=table["start"] + table["width"])

    expected = [
        any(
            c == d and min(s + w, t + v) - max(s, t) >= 0.5 * min(w, v) and min(s + w, t + v) > max(s, t)
            for d, t, v in those
        )
        for c, s, w in these
    ]
    assert overlaps(frame(these), frame(those)).tolist() == expected
