"""A full disk: every stage ends with one sentence, leaves nothing broken under a final name, and fails.

The disk is a small tmpfs, filled up to a level. A few levels of some stages run with the other tests; all
stages at many levels by ``make test-faults``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cislex.runtime.jobs import local_caches

STAGES = Path(__file__).with_name("stages.py")
SIZE = 32 << 20
ALL = (
    *("index_genome", "extract_regions", "encode_sequences", "import_sequences", "predict_regions"),
    *("attribute_chunk", "aggregate_chunks", "export_tracks", "annotate_motifs", "simulate_genome"),
)
TABLES = (
    *("fetch_motif_database", "fetch_resources", "snapshot_config", "inspect_model", "estimate_cost"),
    *("train_model", "score_baseline", "evaluate_predictions", "gate_attributions", "render_report"),
)
LONG = ("find_motifs", "call_hits")
#: Rules that no test fills the disk for, with the reason.
EXEMPT = {"compare_with_truth": "one table by write_table, as score_baseline's; needs planted motifs"}


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk."""
    folder = tmp_path_factory.mktemp("disk")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the inputs of the stages are, made by the first that runs."""
    return tmp_path_factory.mktemp("inputs")


def run(stage: str, disk: Path, work: Path, *levels: int | str) -> list[dict[str, Any]]:
    """What became of a stage at each level."""
    environment = {**os.environ, **local_caches(1)}
    done = subprocess.run(
        [sys.executable, STAGES, disk, work, stage, *map(str, levels)], env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(found: dict[str, Any], whole: dict[str, Any]) -> None:
    """Hold one result against that of a run with space."""
    level, said = found["free"], found["said"]
    assert not found["left"], f"{level}: temporary files stay"
    hidden = [name for name in found["files"] if Path(name).name.startswith(".")]
    assert not hidden, f"{level}: {hidden} stay"
    final = {name: digest for name, digest in found["files"].items() if not name.endswith(".partial")}
    if found["status"] == 0:
        assert set(final) == set(whole["files"]), level
        return
    assert found["status"] == 1, f"{level}: ended with {found['status']}: {said}"
    assert "Traceback" not in said, f"{level}: {said}"
    last = said.strip().splitlines()[-1]
    assert re.match(r"StorageError: .*(disk full|No space left|all are full)", last), f"{level}: {said}"
    assert re.search(r"free some space", last)
    # Of several outputs one may be complete; whatever is there is what a run with space writes.
    assert len(final) < len(whole["files"]), f"{level}: everything is there"
    assert all(whole["files"].get(name) == digest for name, digest in final.items()), f"{level}: {final}"


@pytest.mark.parametrize(
    ("stage", "levels"),
    [
        ("encode_sequences", (0, 8_192, 120_000)),
        ("predict_regions", (0, 16_384, 24_576, 36_864)),
        ("export_tracks", (0, 20_480, 200_000, 450_000)),
        ("call_hits", (0, 300_000)),
        ("fetch_resources", (0, 12_288, 150_000)),
    ],
)
def test_a_full_disk_ends_a_stage_with_one_sentence(
    disk: Path, work: Path, stage: str, levels: tuple[int, ...]
) -> None:
    found = run(stage, disk, work, *levels)
    assert [one["status"] for one in found] == [1] * len(levels)
    for one in found:
        check(one, {"files": {"one": "", "two": ""}})


def test_every_rule_with_a_script_is_tried_on_a_full_disk() -> None:
    rules = {
        name
        for path in (STAGES.parents[2] / "workflow" / "rules").glob("*.smk")
        for name in re.findall(r"scripts/(\w+)\.py", path.read_text())
    }
    tried = {*ALL, *TABLES, *LONG}
    assert not tried & set(EXEMPT)
    assert rules == tried | set(EXEMPT)


@pytest.mark.faults
@pytest.mark.parametrize("stage", [*ALL, *TABLES])
def test_at_any_level_of_the_disk(disk: Path, work: Path, stage: str) -> None:
    (whole,) = run(stage, disk, work, "all")
    assert whole["status"] == 0, whole["said"]
    pages = -(-whole["size"] // 4096) + 40
    step = max(1, pages // 48)
    levels = [4096 * page for page in sorted({*range(6), *range(0, 4 * pages, step), 1200})]
    found = run(stage, disk, work, *levels)
    for one in found:
        check(one, whole)
    assert {one["status"] for one in found} == {0, 1}, "some levels must be too low and some enough"


@pytest.mark.faults
@pytest.mark.parametrize("stage", LONG)
def test_at_some_levels_of_stages_that_take_long(disk: Path, work: Path, stage: str) -> None:
    (whole,) = run(stage, disk, work, "all")
    assert whole["status"] == 0, whole["said"]
    levels = [0, 4096, 65_536, 300_000, 600_000, 1_200_000, 1_700_000, 2_400_000]
    for one in run(stage, disk, work, *levels):
        check(one, whole)
