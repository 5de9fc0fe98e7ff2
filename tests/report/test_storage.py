"""The report says what of the attributions is stored, and how much of them that is."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from cislex.report.sections.storage import describe_storage
from cislex.report.specs import AnalysisTarget


@pytest.fixture
def spec(tmp_path: Path) -> AnalysisTarget:
    path = tmp_path / "attributions.h5"
    with h5py.File(path, "w") as handle:
        handle["hypothetical"] = np.zeros((3, 4, 2000), np.float32)
    return AnalysisTarget(
        analysis="a", target="t", region_set="r", model="m", attributions=path,
        motifs=tmp_path / "motifs.tsv", logos=tmp_path / "logos",
    )  # fmt: skip


def test_whole_regions_need_no_words(spec: AnalysisTarget) -> None:
    assert describe_storage(spec) == ""


def test_the_largest_contributions_are_named_with_what_they_hold(spec: AnalysisTarget) -> None:
    with h5py.File(spec.attributions, "r+") as handle:
        handle["kept_share"] = np.array([0.9, 0.9, 0.9], np.float32)
        handle.attrs["keep"] = 5000
    assert describe_storage(spec) == (
        "Only the 5,000 largest contributions of each are kept, the others are drawn as zero; they hold 90 % "
        "(median; 90 % to 90 % in 80 % of the regions) of the absolute contributions there."
    )


def test_a_window_is_named_with_what_it_holds(spec: AnalysisTarget) -> None:
    with h5py.File(spec.attributions, "r+") as handle:
        handle["window_start"] = np.full(3, 97_304)
        handle.attrs["input_length"] = 196_608
    assert describe_storage(spec) == (
        "Stored are 2,000 of the 196,608 bp of each region (97,304 to 99,304); the report shows only these. "
        "Nothing is known of the rest."
    )
    with h5py.File(spec.attributions, "r+") as handle:
        handle["window_share"] = np.array([0.5, 0.7, 0.6], np.float32)
        handle["window_start"][0] = 5
    assert describe_storage(spec) == (
        "Stored are 2,000 of the 196,608 bp of each region; the report shows only these. They hold 60 % "
        "(median; 52 % to 68 % in 80 % of the regions) of a region's absolute contributions."
    )
