"""The report says what became of several folds."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from cislex.report.folds import describe_folds
from cislex.report.specs import AnalysisTarget


@pytest.fixture
def spec(tmp_path: Path) -> AnalysisTarget:
    path = tmp_path / "attributions.h5"
    with h5py.File(path, "w") as handle:
        sequences = np.zeros((20, 4, 10), np.uint8)
        sequences[:, 2] = 1
        handle["sequences"] = sequences
        handle["hypothetical"] = np.where(sequences, -0.5, 3.0).astype(np.float32)
    return AnalysisTarget(
        analysis="a", target="t", region_set="r", model="m", attributions=path,
        motifs=tmp_path / "motifs.tsv", logos=tmp_path / "logos",
    )  # fmt: skip


def test_one_fold_needs_no_words(spec: AnalysisTarget) -> None:
    assert describe_folds(spec, ["fold_0"]) == ""


def test_the_spread_is_a_share_of_the_contributions(spec: AnalysisTarget) -> None:
    with h5py.File(spec.attributions, "r+") as handle:
        handle["fold_spread"] = np.full((20, 10), 0.1, np.float32)  # 1 in all, of contributions of 5
    told = describe_folds(spec, ["fold_0", "fold_1"])
    assert "mean of 2 folds (fold_0, fold_1)" in told
    assert "is 20 % of the size of its contributions (median; 20 % to 20 %" in told


def test_held_out_folds_are_counted(spec: AnalysisTarget) -> None:
    with h5py.File(spec.attributions, "r+") as handle:
        handle["fold"] = np.array([0] * 13 + [1] * 7)
    assert describe_folds(spec, ["a", "b", "c"]).endswith("held out its chromosome: a 13, b 7, c 0 regions.")
