"""What goes wrong around a stage: it names it in one sentence, or makes what it makes elsewhere."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest
from damage import READS
from stages import STAGES

#: Moments or limits that are tried of each stage.
CASES = int(os.environ.get("CISLEX_CASES", "3"))
ERROR = re.compile(r"(Cislex|Storage|Input|Model|Config|Memory)Error: ")
#: Few stages that write in different ways, for the tests that always run.
FEW = ("extract_regions", "attribute_chunk", "export_tracks")
fast_or_all = [pytest.param(stage, marks=() if stage in FEW else pytest.mark.faults) for stage in STAGES]


def check(found: dict[str, Any], *, says: str = "", ends: tuple[int, ...] = (0, 1)) -> list[str]:
    """Each trial names what happened or makes the whole, as the next run does. Returns the sentences."""
    whole, sentences = found["whole"], []
    assert whole["status"] == 0, whole["said"]
    assert whole["files"]
    for trial in found["trials"]:
        assert trial["status"] in ends, trial
        assert trial["files"].items() <= whole["files"].items(), trial
        if trial["status"] == 0:
            assert not trial["left"], trial
            assert trial["files"] == whole["files"], trial
            continue
        assert not re.search("^Traceback", trial["said"], re.MULTILINE), trial
        told = [line for line in trial["last"] if ERROR.match(line)]
        assert told, trial
        assert re.search(says, told[0]), trial
        sentences.append(told[0])
        if "rerun" in trial:
            assert trial["rerun"]["status"] == 0, trial
            assert trial["rerun"]["files"] == whole["files"], trial
            assert not [*trial["rerun"]["left"], *trial["rerun"]["partial"]], trial
    return sentences


@pytest.mark.parametrize("stage", fast_or_all)
def test_a_limit_of_file_sizes(small_disk: Any, stage: str) -> None:
    found = small_disk.ask(stage, "adversities.file_sizes", most=CASES)
    check(found, says="(too large|File too large).*run again")


@pytest.mark.parametrize("stage", fast_or_all)
def test_writing_that_fails_from_a_moment_on(small_disk: Any, stage: str) -> None:
    found = small_disk.ask(stage, "adversities.input_output_errors", most=CASES)
    assert check(found, says="Input/output error.*run again")


@pytest.mark.parametrize("stage", fast_or_all)
def test_results_that_are_read_only(small_disk: Any, stage: str) -> None:
    found = small_disk.ask(stage, "adversities.read_only")
    assert check(found, says="[Rr]ead-only.*choose another")


@pytest.mark.parametrize("stage", fast_or_all)
def test_64_files_are_enough_for_all(small_disk: Any, stage: str) -> None:
    assert not check(small_disk.ask(stage, "adversities.meeting", name="handles", cases=[{"number": 64}]))


@pytest.mark.parametrize("stage", fast_or_all)
def test_a_file_system_without_locks(small_disk: Any, stage: str) -> None:
    assert not check(small_disk.ask(stage, "adversities.meeting", name="no_locks", cases=[{}]))


@pytest.mark.parametrize("stage", fast_or_all)
def test_a_clock_that_is_an_hour_off(small_disk: Any, stage: str) -> None:
    cases = [{"seconds": 3600}, {"seconds": -3600}]
    assert not check(small_disk.ask(stage, "adversities.meeting", name="clock", cases=cases))


@pytest.mark.faults
@pytest.mark.parametrize("stage", READS)
def test_a_disk_that_cannot_be_read(small_disk: Any, stage: str) -> None:
    """HDF5 meets it; a stage that reads no such file is not disturbed."""
    found = small_disk.ask(stage, "adversities.meeting", name="unreadable", cases=[{}])
    check(found, says="Input/output error|status 1")


@pytest.mark.parametrize(
    "stage",
    [
        "predict_regions",
        *(
            pytest.param(stage, marks=pytest.mark.faults)
            for stage in (
                "attribute_chunk", "score_variants", "insert_chunk", "measure_faithfulness",
                "attribute_variants", "evolve_sequences", "inspect_model",
            )
        ),
    ],
)  # fmt: skip
def test_a_device_with_little_memory(small_disk: Any, stage: str) -> None:
    """Three rows fit, or none; smaller batches differ by rounding, of which other tests know."""
    cases = [{"rows": 3}, {"rows": 0}]
    found = small_disk.ask(stage, "adversities.meeting", name="out_of_memory", cases=cases)
    few, none = found["trials"]
    if few["status"]:
        check({**found, "trials": [few]}, says="memory")
    assert few["status"] or few["files"].keys() == found["whole"]["files"].keys()
    check({**found, "trials": [none]}, says="memory.*device: cpu", ends=(1,))


@pytest.mark.parametrize("stage", ["predict_regions", "attribute_chunk"])
def test_a_model_that_fails_for_the_300th_region(small_disk: Any, stage: str) -> None:
    """It raises, or gives NaN; mended, it goes on from there."""
    found = small_disk.ask(stage, "adversities.failing_models", row=299)
    assert len(check(found, says=r"chr\d:[\d,]+-[\d,]+", ends=(1,))) == 2


#: Folders that are not there or cannot be written; below a device or /proc nobody can make one.
PLACES = ({"HOME": None}, {"HOME": "/dev/null/home"}, {"TMPDIR_OF_JOB": "/nowhere/tmp"})


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=() if stage == FEW[0] else pytest.mark.faults) for stage in STAGES]
)
def test_no_home_and_no_temporary_folder(small_disk: Any, stage: str) -> None:
    found = small_disk.ask(stage, "adversities.surroundings", changes=PLACES)
    assert not check(found)


@pytest.mark.faults
@pytest.mark.parametrize("stage", ["annotate_motifs", "attribute_chunk", "find_motifs"])
def test_a_cache_of_compiled_code_that_cannot_be_written(small_disk: Any, stage: str) -> None:
    changes = [{"NUMBA_CACHE_DIR": "/proc/nowhere"}]
    found = small_disk.ask(stage, "adversities.surroundings", changes=changes)
    check(found, says="NUMBA_CACHE_DIR is /proc/nowhere, which cannot be written .*: unset it")


@pytest.mark.parametrize("stage", fast_or_all)
def test_a_limit_of_memory(small_disk: Any, stage: str) -> None:
    """It may grow by 4 or 32 MB. Compiled code may end it by a crash; oneDNN does not speak of memory."""
    short = "memory|could not create a primitive|cannot map|failed to map"
    cases = [{"more": 4_000_000}, {"more": 32_000_000}]
    found = small_disk.ask(stage, "adversities.meeting", name="memory", cases=cases)
    told = [trial for trial in found["trials"] if trial["status"] != -signal.SIGSEGV]
    check({**found, "trials": told}, says=short)
