"""Killed jobs: nothing half-written under a final name, and the next run is as if nothing had happened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from stages import STAGES

#: Trials of each stage, of which each is killed once to thrice, and what draws their moments.
KILLS, SEED = int(os.environ.get("CISLEX_KILLS", "12")), int(os.environ.get("CISLEX_SEED", "1"))


def check(found: dict[str, Any]) -> None:
    """Hold what kills left, and what the run after them made, against an undisturbed run."""
    whole = found["whole"]
    assert whole["status"] == 0, whole["said"]
    assert whole["files"]
    assert found["events"]
    for trial in found["trials"]:
        for kill in trial["kills"]:
            assert kill["ended"] in (0, -9, -15), kill
            wrong = {name for name, digest in kill["files"].items() if whole["files"].get(name) != digest}
            assert not wrong, kill
            for folder in {Path(name).parent for name in kill["files"] if "/" in name}:
                there, all_of_it = (
                    {name for name in state["files"] if Path(name).parent == folder}
                    for state in (kill, whole)
                )
                assert there == all_of_it, f"a part of {folder}: {kill}"
            if kill["ended"] == 0:
                assert kill["files"] == whole["files"], kill
        rerun = trial["rerun"]
        assert rerun["status"] == 0, trial
        assert rerun["files"] == whole["files"], trial
        assert not [*rerun["left"], *rerun["partial"]], trial
    ended = [kill["ended"] for trial in found["trials"] for kill in trial["kills"]]
    assert {-9, -15} & set(ended), "no kill came in time"


@pytest.mark.parametrize("stage", ["extract_regions", "encode_sequences", "export_tracks"])
def test_a_killed_stage_leaves_nothing_half_written_and_runs_again(small_disk: Any, stage: str) -> None:
    check(small_disk.ask(stage, "kills", count=4, seed=0))


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGES)
def test_kills_at_random_moments(small_disk: Any, stage: str) -> None:
    check(small_disk.ask(stage, "kills", count=KILLS, seed=SEED, seconds=1.25 * KILLS))
