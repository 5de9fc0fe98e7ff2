"""Damaged or foreign inputs: a stage names the file, or makes what it makes of the whole one."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from damage import READS
from stages import STAGES

#: Random places of each file at which a bit is flipped, for each stage that reads it.
FLIPS = int(os.environ.get("CISLEX_FLIPS", "16"))
ERROR = re.compile(r"(Storage|Input|Model)Error: ")
#: Stages that read no file of another stage but texts, weights that are no input, or whole results.
OF_TEXTS = {
    "index_genome", "extract_regions", "encode_sequences", "import_sequences", "simulate_genome",
    "plant_model", "compare_grammar", "prepare_variants", "evaluate_variants", "fetch_motif_database",
    "fetch_resources",
    "snapshot_config", "estimate_cost", "train_model", "score_baseline", "evaluate_predictions",
    "render_report", "verify_results",
}  # fmt: skip
#: Inputs that must come from one run, each with another input of the stage.
TOGETHER = {
    "aggregate_chunks": ("sequences.h5", "chunk.h5"),
    "combine_variants": ("scores.h5",),
    "insert_motifs": ("plan.h5", "inserted.h5"),
    "measure_faithfulness": ("sequences.h5", "attributions.h5", "weights.pt"),
    "contrast_hits": ("attributions.h5", "hits.bed.gz"),
    # The regions of another run may by chance hold all hits of this one, so attributions.h5 is not tried.
    "analyse_syntax": ("hits.bed.gz",),
    "export_layouts": ("hits.bed.gz",),
}


def check(found: dict[str, Any], name: str) -> None:
    """Every damage is named or harmless, and one at least is named."""
    whole = found["whole"]
    assert whole["status"] == 0, whole["said"]
    assert whole["files"]
    for trial in found["trials"]:
        assert not trial["left"], trial
        assert trial["files"].items() <= whole["files"].items(), trial
        if trial["status"] == 0:
            assert trial["files"] == whole["files"], trial
            continue
        assert trial["status"] == 1, trial
        assert "Traceback" not in trial["said"], trial
        assert any(ERROR.match(line) and name in line for line in trial["last"]), trial
    assert {trial["status"] for trial in found["trials"]} != {0}, "no damage was noticed"


def every(reads: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(stage, name) for stage, names in reads.items() for name in names]


def test_every_stage_is_tried_or_reads_no_such_file() -> None:
    assert set(READS) | OF_TEXTS == set(STAGES)
    assert not set(READS) & OF_TEXTS


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("aggregate_chunks", "chunk.h5"),
        ("aggregate_chunks", "sequences.h5"),
        ("export_tracks", "attributions.h5"),
        ("annotate_motifs", "modisco.h5"),
        ("predict_regions", "weights.pt"),
    ],
)
def test_some_damage_is_named_or_harmless(small_disk: Any, stage: str, name: str) -> None:
    check(small_disk.ask(stage, "damage.damaged", name=name, flips=6, seed=0), name)


@pytest.mark.faults
@pytest.mark.parametrize(("stage", "name"), every(READS))
def test_damage_is_named_or_harmless(small_disk: Any, stage: str, name: str) -> None:
    check(small_disk.ask(stage, "damage.damaged", name=name, flips=FLIPS, seed=1), name)


@pytest.mark.faults
@pytest.mark.parametrize(("stage", "name"), every(TOGETHER))
def test_a_file_of_another_run_is_not_combined_with_the_others(
    small_disk: Any, stage: str, name: str
) -> None:
    check(small_disk.ask(stage, "damage.swapped", name=name, seed=1), "/")
