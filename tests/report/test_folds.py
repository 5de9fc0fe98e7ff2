"""The report says what became of several folds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
from cislex.report.sections.concerns import target_concerns
from cislex.report.sections.folds import describe_folds
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


def made(*folds: str, name: str = "deep_lift_shap", kind: str = "dinucleotide_shuffle") -> dict[str, object]:
    """What an attribution file records."""
    return {"folds": list(folds), "method": {"name": name, "references": {"kind": kind, "n": 20}}}


@pytest.fixture
def spread(spec: AnalysisTarget) -> AnalysisTarget:
    with h5py.File(spec.attributions, "r+") as handle:
        handle["fold_spread"] = np.full((20, 10), 0.1, np.float32)  # 1 in all, of contributions of 5
    return spec


def test_one_fold_needs_no_words(spec: AnalysisTarget) -> None:
    assert describe_folds(spec, made("fold_0")) is None


def test_the_spread_is_a_share_of_the_contributions(spread: AnalysisTarget) -> None:
    view = describe_folds(spread, made("fold_0", "fold_1"))
    assert view is not None
    assert "mean of 2 folds (fold_0, fold_1)" in view.text
    assert "is 20 % of the size of its contributions (median; 20 % to 20 %" in view.text
    assert view.disagreement == pytest.approx(0.2)
    assert "28–37 % in the yeast example" in view.text
    assert target_concerns("a / t", "a.t", folds=view, agreement=None) == []


def test_the_noise_of_references_is_told_where_there_is_any(spread: AnalysisTarget) -> None:
    def told(spec: AnalysisTarget, **method: str) -> str:
        view = describe_folds(spec, made("fold_0", "fold_1", **method))
        assert view is not None
        return view.text

    assert "with reference noise, since each fold has its own" in told(spread)
    same = dataclasses.replace(spread, settings={"same_references": True})
    assert "so it contains no reference noise" in told(same)
    for method in ({"name": "ism"}, {"kind": "uniform"}):
        assert "noise" not in told(spread, **method)


def test_folds_that_disagree_are_a_concern(spread: AnalysisTarget) -> None:
    with h5py.File(spread.attributions, "r+") as handle:
        handle["fold_spread"][:] = 0.4
    view = describe_folds(spread, made("fold_0", "fold_1"))
    (concern,) = target_concerns("a / t", "a.t", folds=view, agreement=None)
    assert concern.text == (
        "a / t: the folds disagree: their contributions differ by 80 % of their size (median)."
    )
    assert concern.anchor == "a.t-folds"


def test_held_out_folds_are_counted(spec: AnalysisTarget) -> None:
    with h5py.File(spec.attributions, "r+") as handle:
        handle["fold"] = np.array([0] * 13 + [1] * 7)
    view = describe_folds(spec, made("a", "b", "c"))
    assert view is not None
    assert view.text.endswith("held out its chromosome: a 13, b 7, c 0 regions.")
    assert view.disagreement is None
