"""Regions that are too few for TF-MoDISco are told before the first job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cislex_workflow.checks.few_regions import notices
from cislex_workflow.expected_use.work import Work


def config(folder: Path, regions: int, **motifs: Any) -> dict[str, Any]:
    (folder / "peaks.bed").write_text("chr1\t0\t500\n" * regions)
    source = {"peaks": str(folder / "peaks.bed"), "length": 500, "top": None, "sample": None, "fasta": None}
    settings = {"window": None, "min_metacluster_size": 100, **motifs}
    return {
        "results": str(folder / "results"), "regions": {"mine": source}, "models": {},
        "analyses": {"a": {"regions": "mine", "model": "m", "motifs": settings, "syntax": None},
                     "b": {"regions": "mine", "model": "m", "motifs": None, "syntax": None}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("regions", "motifs", "told"),
    [
        (1, {}, True),
        (2, {}, True),
        (4, {}, False),
        (4, {"window": 100}, True),
        (1, {"min_metacluster_size": 20}, False),
    ],
)
def test_too_few_regions_are_told(tmp_path: Path, regions: int, motifs: dict[str, Any], told: bool) -> None:
    found = list(notices(Work(config(tmp_path, regions, **motifs))))
    assert len(found) == told
    if told:
        assert found[0].startswith(f"analyses.a: {regions} regions of ")
        assert "motifs: null" in found[0]


def test_regions_that_are_not_there_yet_are_many(tmp_path: Path) -> None:
    made = config(tmp_path, 1)
    (tmp_path / "peaks.bed").unlink()
    assert list(notices(Work(made))) == []
