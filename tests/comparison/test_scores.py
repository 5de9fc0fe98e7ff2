"""Attributions of other windows of the same regions are not compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cislex.comparison.scores import Source, open_scores
from cislex.errors import InputError
from stored_project import N, Project, contributions


def test_windows_are_compared_where_they_are_the_same(tmp_path: Path) -> None:
    project = Project(tmp_path)
    runs = {name: project.run(tmp_path / name, window=(low, low + 20)) for name, low in
            (("a", 5), ("b", 5), ("c", 6))}  # fmt: skip
    sources = {name: Source(tmp_path / name / "a.h5") for name in runs}
    with open_scores({name: sources[name] for name in ("a", "b")}) as (found, rows):
        assert rows.tolist() == list(range(N))
        hypothetical, sequences = found["b"].read(rows)
        np.testing.assert_allclose((hypothetical * sequences).sum(1), contributions(runs["a"]), atol=1e-6)
    both = open_scores({name: sources[name] for name in ("a", "c")})
    with pytest.raises(InputError, match="its windows are not those of c; set the same attributions"), both:
        pass
