"""A full disk: every stage ends with one sentence, leaves nothing broken under a final name, and fails.

The disk is a small tmpfs, filled up to a level. A few levels of some stages run with the other tests; all
stages from no space to enough by ``make faults``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from stages import STAGES

ROOT = Path(__file__).resolve().parents[2]


def check(found: dict[str, Any], whole: dict[str, Any]) -> None:
    """Hold one result against that of a run with space."""
    level, said = found["free"], found["said"]
    assert not found["left"], f"{level}: temporary files stay: {said}"
    if found["status"] == 0:
        assert found["files"] == whole["files"], level
        return
    assert found["status"] == 1, f"{level}: ended with {found['status']}: {said}"
    assert "Traceback" not in said, f"{level}: {said}"
    full = re.compile(r"StorageError: .*(disk full|No space left|all are full).*free some space")
    assert any(full.match(line) for line in found["last"]), f"{level}: {said}"
    # Of several outputs one may be complete; whatever is there is what a run with space writes.
    assert len(found["files"]) < len(whole["files"]), f"{level}: everything is there"
    assert found["files"].items() <= whole["files"].items(), f"{level}: {found['files']}"
    if "rerun" in found:
        assert found["rerun"]["status"] == 0, found["rerun"]["said"]
        assert found["rerun"]["files"] == whole["files"], f"{level}: another result after a full disk"
        assert not found["rerun"]["partial"]


@pytest.mark.parametrize(
    ("stage", "levels"),
    [
        ("encode_sequences", (0, 8_192, 40_000)),
        ("predict_regions", (0, 16_384, 24_576, 36_864)),
        ("export_tracks", (0, 20_480, 450_000, 560_000)),
        ("call_hits", (0, 300_000)),
        ("export_browser", (0, 40_960, 1_000_000)),
        ("export_layouts", (0, 100_000)),
        ("fetch_resources", (0, 12_288, 150_000)),
    ],
)
def test_a_full_disk_ends_a_stage_with_one_sentence(
    small_disk: Any, stage: str, levels: tuple[int, ...]
) -> None:
    found = small_disk.ask(stage, "levels", levels=levels)
    assert [one["status"] for one in found] == [1] * len(levels)
    for one in found:
        check(one, {"files": {**one["files"], "another": ""}})


def test_the_small_disk_is_mounted_for_its_program_alone(small_disk: Any) -> None:
    small_disk.ask("snapshot_config", "levels", levels=[None])
    here, there = (Path(f"/proc/{who}/mounts").read_text() for who in ("self", small_disk.program.pid))
    assert str(small_disk.disk) in there
    assert str(small_disk.disk) not in here


def test_every_rule_with_a_script_is_tried_on_a_full_disk() -> None:
    rules = {
        name
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for name in re.findall(r"scripts/(\w+)\.py", path.read_text())
    }
    assert rules == set(STAGES)


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGES)
def test_at_any_level_of_the_disk(small_disk: Any, stage: str) -> None:
    whole, *found = small_disk.ask(stage, "sweep", seconds=15)
    assert whole["status"] == 0, whole["said"]
    assert whole["files"]
    for one in found:
        check(one, whole)
    assert {one["status"] for one in found} == {0, 1}, "some levels must be too low and some enough"


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGES)
def test_imports_and_caches_on_a_full_disk(small_disk: Any, stage: str) -> None:
    (whole,) = small_disk.ask(stage, "levels", levels=[None])
    for one in small_disk.ask(stage, "cold", levels=[0, 16_384]):
        check(one, whole)
