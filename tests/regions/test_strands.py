"""Stretches on the genome and in sequences of either strand."""

from __future__ import annotations

import numpy as np
import pandas as pd
from cislex.regions.strands import in_sequence, on_genome

REGIONS = pd.DataFrame({"start": [100, 100, 0], "end": [140, 140, 40], "strand": ["+", "-", "."]})


def test_a_minus_strand_sequence_begins_at_the_end_of_its_region() -> None:
    start, end = in_sequence(REGIONS, [103, 103, 3], [110, 110, 10])
    assert start.tolist() == [3, 30, 3]
    assert end.tolist() == [10, 37, 10]


def test_the_way_back_is_the_inverse() -> None:
    rng = np.random.default_rng(0)
    start = rng.integers(0, 30, 3)
    end = start + rng.integers(1, 10, 3)
    for there, back in ((on_genome, in_sequence), (in_sequence, on_genome)):
        found = back(REGIONS, *there(REGIONS, start, end))
        np.testing.assert_array_equal(found, [start, end])
