"""Records of what results were made from: digests, differences, and a Snakemake that is not as expected."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from cislex_workflow.reruns import freshness, watch
from cislex_workflow.reruns.freshness import Digests, Names, Record, Records

ROOT = Path(__file__).resolve().parents[3]

NAMES = Names("/here/results", "/there")


def record(**changed: Any) -> Record:
    fields = {"params": {"n": 4}, "inputs": {"w.pt": "1"}, "outputs": {"{results}/a.h5": "2"}}
    return Record(**{**fields, **changed})


def test_a_digest_follows_the_content_and_not_the_date(tmp_path: Path) -> None:
    path, kept = tmp_path / "w.pt", tmp_path / "digests.json"
    path.write_bytes(b"one")
    digests = Digests(kept, NAMES)
    first = digests.of(str(path))
    digests.save()
    os.utime(path)
    assert Digests(kept, NAMES).of(str(path)) == first
    path.write_bytes(b"two")
    os.utime(path, (1e9, 1e9))
    assert Digests(kept, NAMES).of(str(path)) not in (None, first)
    assert digests.of(str(tmp_path)) is None
    assert digests.of(str(tmp_path / "none")) is None


def test_a_known_digest_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(b"ACGT")
    digests = Digests(tmp_path / "digests.json", NAMES)
    first = digests.of(str(path))
    monkeypatch.setattr(freshness, "digest_file", lambda path: pytest.fail("read again"))
    assert digests.of(str(path)) == first


def test_names_are_the_same_wherever_the_results_lie() -> None:
    moved = Names("results", "/elsewhere")
    name = NAMES.portable("/here/results/a/b.h5")
    assert moved.local(name) == "results/a/b.h5"
    assert NAMES.portable("/here/results-2/b.h5") == "/here/results-2/b.h5"
    assert NAMES.settings({"path": ("/there/x", 1.5)}) == {"path": ["{project}/x", 1.5]}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (record(), []),
        (record(params={"n": 8}), ["n was 4, is 8"]),
        (record(inputs={"w.pt": "9"}), ["the content of w.pt changed"]),
        (record(inputs={}), ["w.pt is no longer an input"]),
        (record(inputs={"w.pt": None}), []),
        (
            record(outputs={"{results}/a.h5": "9"}),
            ["its content differs from what its job wrote (/here/results/a.h5)"],
        ),
    ],
)
def test_a_difference_names_file_or_key(now: Record, said: list[str]) -> None:
    assert freshness.differences(record(), now, names=NAMES) == said


def test_records_survive_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    Records(path).add(record())
    with path.open("a") as handle:
        handle.write('{"params": "12')
    after = Records(path)
    after.add(record(outputs={"{results}/b.h5": "3"}))
    assert [found.name for found in Records(path)] == ["{results}/a.h5", "{results}/b.h5"]


def test_a_file_of_records_does_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    for i in range(200):
        Records(path).add(record(inputs={"w.pt": str(i)}))
    assert len(path.read_text().splitlines()) < 60
    found = Records(path).get("{results}/a.h5")
    assert found is not None
    assert found.inputs == {"w.pt": "199"}
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_snakemake_that_is_not_as_expected_is_said_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    monkeypatch.setattr(watch.logger, "warning", said.append)
    workflow = SimpleNamespace(
        is_main_process=True,
        rerun_triggers={"mtime", "params", "input"},
        dag=SimpleNamespace(),
        persistence=SimpleNamespace(),
        iocache=SimpleNamespace(mtime={}),
        _prepare_dag=lambda: None,
    )
    watch.install(workflow, str(tmp_path), ROOT, [])
    workflow._prepare_dag()
    assert len(said) == 1
    assert "dag.update_needrun" in said[0]
    assert "reruns follow dates" in said[0]
    assert not vars(workflow.dag)


def test_inputs_pass_on_only_within_the_results() -> None:
    assert watch.passes_on("{results}/shap/chunks/fold_0/0.h5")
    assert not watch.passes_on("/data/chunks/weights.pt")


class Output(str):
    """An output as Snakemake gives it."""

    flags: ClassVar[dict[str, bool]] = {}


def test_kept_chunks_are_not_read_and_other_outputs_are(tmp_path: Path) -> None:
    folder = tmp_path / "shap" / "chunks"
    folder.mkdir(parents=True)
    for path in (folder / "0.h5", tmp_path / "shap" / "a.h5"):
        path.write_bytes(b"x")
    outputs = [Output(folder / "0.h5"), Output(tmp_path / "shap" / "a.h5")]
    job = SimpleNamespace(output=outputs, input=[], params={})
    found = watch.Watch(str(tmp_path), ROOT, [])._now(job).outputs
    assert found["{results}/shap/chunks/0.h5"] is None
    assert found["{results}/shap/a.h5"] is not None


def test_results_of_another_config_are_named_before_the_regions_that_they_rest_on_are_made_again(
    tmp_path: Path,
) -> None:
    """Peaks are extracted again at once, and only then encoded: the plan knows of both."""
    chain = ["peaks.bed", "regions/r/regions.bed", "regions/r/sequences.h5", "first/t/attributions.all.h5"]
    names = ["peaks.bed", *(f"{{results}}/{name}" for name in chain[1:])]
    watching = watch.Watch(str(tmp_path), ROOT, ["second"])
    for i in range(3):
        (tmp_path / chain[i + 1]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / chain[i + 1]).write_bytes(b"x")
        watching.records.add(Record({}, {names[i]: "1"}, {names[i + 1]: "1"}))
    digest = watching.digests.of(str(tmp_path / chain[2]))
    watching.records.add(Record({}, {names[2]: digest}, {names[3]: "1"}))
    assert list(watching._others()) == []
    job = type("Job", (), {"output": [str(tmp_path / chain[1])]})()
    watching.stale = {job: ["length was 9, is 8"]}
    assert list(watching._others()) == [
        f"{tmp_path / chain[3]} was made from a different {tmp_path / chain[2]}: rows do not match"
    ]
