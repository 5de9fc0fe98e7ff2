"""Chunks and their aggregation: the same numbers whatever the number of chunks, and no silent gap."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from cislex.chunks.aggregate import aggregate_chunks
from cislex.chunks.attribute import ChunkJob, attribute_chunk, region_seeds
from cislex.chunks.gate import Gate
from cislex.chunks.spans import span_errors
from cislex.errors import CompletenessError, ConfigError, DeadlineError, InputError, ModelError, StorageError
from cislex.files import tables as storage_module
from cislex.files.sealed import seal
from cislex.models.loading import load_model
from cislex.sequences.importing import import_sequences
from cislex.sequences.store import SequenceStore

SCHEMA = Path(__file__).resolve().parents[2] / "workflow" / "schemas" / "config.schema.yaml"

MODEL = '''
import torch
from torch import nn


def build():
    """Two outputs; a pooling layer and a product make it truly nonlinear."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.LazyLinear(2))
'''
METHOD = {
    "name": "deep_lift_shap",
    "rule": "rescale",
    "references": {"kind": "dinucleotide_shuffle", "n": 4, "seed": 0},
    "steps": 50,
    "unknown_ops": "error",
}
TARGETS = {"first": {"kind": "output", "index": 0}, "second": {"kind": "output", "index": 1}}
N, LENGTH = 23, 40


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    import torch
    from torch import nn

    folder = tmp_path_factory.mktemp("chunks")
    (folder / "model.py").write_text(MODEL.replace("nn.LazyLinear(2)", "nn.Linear(108, 2)"))
    weights = {}
    for fold in range(2):
        torch.manual_seed(fold)
        model = nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(108, 2))
        weights[f"fold_{fold}"] = folder / f"{fold}.pt"
        torch.save(model.state_dict(), weights[f"fold_{fold}"])
    letters = np.random.default_rng(0).integers(0, 4, (N, LENGTH))
    fasta = "".join(f">s{i}\n{''.join('ACGT'[c] for c in row)}\n" for i, row in enumerate(letters))
    (folder / "sequences.fa").write_text(fasta)
    import_sequences(
        folder / "sequences.fa",
        folder / "regions.bed",
        folder / "dropped.tsv",
        folder / "sequences.h5",
        length=LENGTH,
    )
    return {"folder": folder, "weights": weights, "sequences": folder / "sequences.h5"}


def model_of(workspace: dict[str, Any]) -> dict[str, Any]:
    return {"loader": "factory", "module": f"{workspace['folder'] / 'model.py'}:build"}


def run(
    workspace: dict[str, Any], out: Path, *, chunks: int, folds: int = 1, **changes: Any
) -> dict[str, list[Path]]:
    made: dict[str, list[Path]] = {}
    for fold in list(workspace["weights"])[:folds]:
        made[fold] = []
        for chunk in range(chunks):
            settings = {"targets": TARGETS, "method": METHOD, **changes}
            job = ChunkJob(chunk=chunk, chunks=chunks, fold=fold, **settings)
            made[fold].append(out / fold / f"{chunk}.h5")
            attribute_chunk(
                workspace["sequences"],
                workspace["weights"][fold],
                made[fold][-1],
                job,
                model=model_of(workspace),
                device="cpu",
            )
    return made


def aggregate(
    workspace: dict[str, Any], made: dict[str, list[Path]], out: Path, target: str = "first", **gate: Any
) -> dict[str, Any]:
    aggregate_chunks(
        workspace["sequences"], made, out / "a.h5", out / "qc.tsv", target=target, gate=Gate(**gate)
    )
    with h5py.File(out / "a.h5") as handle:
        return {name: handle[name][:] for name in handle if name != "regions"} | {"attrs": dict(handle.attrs)}


def test_results_do_not_depend_on_the_number_of_chunks(workspace: dict[str, Any], tmp_path: Path) -> None:
    one = aggregate(workspace, run(workspace, tmp_path / "1", chunks=1), tmp_path / "1")
    for chunks in (4, 30):  # 30 chunks of 23 regions: some are empty
        many = aggregate(
            workspace, run(workspace, tmp_path / f"{chunks}", chunks=chunks), tmp_path / f"{chunks}"
        )
        for name in ("hypothetical", "baseline", "prediction", "reference_prediction", "sequences"):
            np.testing.assert_allclose(many[name], one[name], rtol=0, atol=1e-6)
        assert many["hypothetical"].shape == (N, 4, LENGTH)


def test_contributions_sum_to_the_difference_of_predictions(
    workspace: dict[str, Any], tmp_path: Path
) -> None:
    result = aggregate(workspace, run(workspace, tmp_path, chunks=2), tmp_path, target="second")
    contributions = (result["sequences"] * result["hypothetical"]).sum((1, 2))
    np.testing.assert_allclose(
        contributions, result["prediction"] - result["reference_prediction"], rtol=1e-4, atol=1e-5
    )
    assert result["delta"].shape == (N, 1, 4)
    assert np.abs(result["hypothetical"]).max() > 1e-3


def test_folds_are_averaged_and_have_other_references(workspace: dict[str, Any], tmp_path: Path) -> None:
    made = run(workspace, tmp_path, chunks=3, folds=2)
    both = aggregate(workspace, made, tmp_path)
    alone = [aggregate(workspace, {name: made[name]}, tmp_path / name) for name in made]
    np.testing.assert_allclose(
        both["hypothetical"], (alone[0]["hypothetical"] + alone[1]["hypothetical"]) / 2, atol=1e-6
    )
    contributions = np.stack([(a["hypothetical"] * a["sequences"]).sum(1) for a in alone])
    np.testing.assert_allclose(both["fold_spread"], contributions.std(0), atol=1e-6)
    assert both["delta"].shape == (N, 2, 4)
    assert json.loads(both["attrs"]["folds"]) == ["fold_0", "fold_1"]


def test_one_model_in_two_folds_differs_unless_the_references_are_the_same(
    workspace: dict[str, Any], tmp_path: Path
) -> None:
    twin = {**workspace, "weights": {f"fold_{i}": workspace["weights"]["fold_0"] for i in range(2)}}
    other = aggregate(twin, run(twin, tmp_path / "o", chunks=1, folds=2), tmp_path / "o")
    same = aggregate(twin, run(twin, tmp_path / "s", chunks=1, folds=2, same_references=True), tmp_path / "s")
    assert other["fold_spread"].max() > 1e-4
    assert same["fold_spread"].max() == pytest.approx(0, abs=1e-7)


#: For each key of ``method`` and of ``references`` that enters a number: settings, and a change of them.
EFFECTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "name": ({}, {"name": "saliency"}),
    "rule": ({}, {"rule": "reveal_cancel"}),
    "rules": ({}, {"rules": {"relu": "linear"}}),
    "references": ({}, {"references": {"kind": "zeros"}}),
    "quadrature": ({"name": "integrated_gradients", "steps": 3}, {"quadrature": "trapezoid"}),
    "steps": ({"name": "integrated_gradients", "steps": 3}, {"steps": 5}),
    "tolerance": (
        {"name": "integrated_gradients", "quadrature": "adaptive", "steps": 2, "tolerance": 0.9},
        {"tolerance": 1e-3},
    ),
    "start": ({"name": "ism"}, {"start": 9}),
    "end": ({"name": "ism"}, {"end": 9}),
    "references.kind": ({}, {"references": {"kind": "shuffle", "n": 4}}),
    "references.n": ({}, {"references": {"kind": "dinucleotide_shuffle", "n": 5}}),
    "references.seed": ({}, {"references": {**METHOD["references"], "seed": 1}}),
    "references.start": ({}, {"references": {**METHOD["references"], "start": 20}}),
    "references.end": ({}, {"references": {**METHOD["references"], "end": 20}}),
    "references.sampling": ({}, {"references": {**METHOD["references"], "sampling": "uniform"}}),
    "references.frequencies": (
        {"references": {"kind": "uniform"}},
        {"references": {"kind": "uniform", "frequencies": [0.3, 0.2, 0.2, 0.3]}},
    ),
}
#: Keys whose effect is tested beside what they are for: errors, files, genomes, the choice of a number.
ELSEWHERE = {
    "unknown_ops", "references.path", "references.gc_tolerance", "references.sufficiency", "references.most",
}  # fmt: skip


def test_every_key_of_a_method_has_a_case() -> None:
    schema = yaml.safe_load(SCHEMA.read_text())["$defs"]
    keys = set(schema["method"]["properties"])
    keys |= {f"references.{key}" for key in schema["references"]["properties"]}
    assert set(EFFECTS) | ELSEWHERE == keys


@pytest.mark.parametrize("key", EFFECTS)
def test_a_key_of_the_method_has_an_effect(workspace: dict[str, Any], tmp_path: Path, key: str) -> None:
    before, change = EFFECTS[key]
    found = []
    options: dict[str, Any] = {"chunks": 1, "allow_incomplete": key == "rules"}  # a rule that is wrong
    for number, method in enumerate(({**METHOD, **before}, {**METHOD, **before, **change})):
        made = run(workspace, tmp_path / str(number), method=method, **options)
        found.append(content(made["fold_0"][0])["hypothetical"])
    assert np.abs(found[0] - found[1]).max() > 1e-4 * np.abs(found[0]).max()


def test_seeds_of_references_add_to_the_seed_of_the_run_and_share_no_reference(
    workspace: dict[str, Any],
) -> None:
    def seeds(run_seed: int, seed: int | None) -> list[int]:
        references = {"kind": "shuffle"} | ({} if seed is None else {"seed": seed})
        job = ChunkJob(0, 1, "fold_0", TARGETS, {**METHOD, "references": references}, seed=run_seed)
        with SequenceStore(workspace["sequences"]) as store:
            return region_seeds(store, job, 0, N).tolist()

    assert seeds(3, None) == seeds(3, 0) == seeds(1, 2)
    drawn = [{seed + k for seed in seeds(0, s) for k in range(20)} for s in (0, 1)]
    assert not drawn[0] & drawn[1]


def test_references_of_a_sequence_depend_on_no_other_sequence_and_on_no_order(
    tmp_path: Path,
) -> None:
    """On a genome they follow the locus, without one the name."""
    letters = ["".join(row) for row in np.random.default_rng(0).choice(list("ACGT"), (6, 30))]
    job = ChunkJob(0, 1, "fold_0", TARGETS, METHOD)

    def seeds(chosen: list[int]) -> dict[int, int]:
        fasta, (regions, dropped, out) = tmp_path / "s.fa", (tmp_path / name for name in "rdo")
        fasta.write_text("".join(f">s{i}\n{letters[i]}\n" for i in chosen))
        import_sequences(fasta, regions, dropped, out)
        with SequenceStore(out) as store:
            return dict(zip(chosen, region_seeds(store, job, 0, len(chosen)).tolist(), strict=True))

    every = seeds([0, 1, 2, 3, 4, 5])
    assert len(set(every.values())) == 6
    assert seeds([5, 3, 1]) == {i: every[i] for i in (5, 3, 1)}


#: Methods by what they share over the targets of a job.
SHARING: dict[str, dict[str, Any]] = {
    "rescale": {},
    "reveal_cancel": {"rule": "reveal_cancel"},
    "gradients": {"name": "saliency"},
    "lines": {"name": "integrated_gradients", "steps": 5},
    "steps by error": {
        "name": "integrated_gradients", "quadrature": "adaptive", "steps": 2, "tolerance": 0.5
    },
    "points": {"name": "expected_gradients"},
    "mutants": {"name": "ism"},
}  # fmt: skip


@pytest.mark.parametrize("method", SHARING)
def test_a_target_alone_has_the_very_values_that_it_has_among_others(
    workspace: dict[str, Any], tmp_path: Path, method: str
) -> None:
    """With equal digests, so that a target that is added later has the file that all at once would give."""
    options: dict[str, Any] = {"chunks": 1, "folds": 2, "method": {**METHOD, **SHARING[method]}}
    together = run(workspace, tmp_path / "together", **options)
    alone = run(workspace, tmp_path / "alone", **options, targets={"second": TARGETS["second"]})
    expected = aggregate(workspace, together, tmp_path / "together", "second", on_fail="keep")
    found = aggregate(workspace, alone, tmp_path / "alone", "second", on_fail="keep")
    if method == "steps by error":  # other pairs are refined at once, and with them rounding differs
        np.testing.assert_allclose(found["hypothetical"], expected["hypothetical"], atol=1e-6)
        return
    facts, wanted = (
        {key: np.asarray(value).tolist() for key, value in result.pop("attrs").items()}
        for result in (found, expected)
    )
    assert facts == wanted
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, strict=True)


def test_files_of_different_targets_are_joined_for_those_that_all_of_them_hold(
    workspace: dict[str, Any], tmp_path: Path
) -> None:
    together = run(workspace, tmp_path / "together", chunks=2)["fold_0"]
    alone = run(workspace, tmp_path / "alone", chunks=2, targets={"second": TARGETS["second"]})["fold_0"]
    changed = run(workspace, tmp_path / "other", chunks=2, targets={"second": TARGETS["first"]})["fold_0"]
    expected = aggregate(workspace, {"fold_0": together}, tmp_path / "together", "second")
    mixed = aggregate(workspace, {"fold_0": [together[0], alone[1]]}, tmp_path, "second")
    np.testing.assert_array_equal(mixed["hypothetical"], expected["hypothetical"])
    with pytest.raises(StorageError, match=r"alone/fold_0/1\.h5 is not a chunk file of target first"):
        aggregate(workspace, {"fold_0": [together[0], alone[1]]}, tmp_path)
    with pytest.raises(StorageError, match=r"1\.h5: holds results of stage_digest .* target_settings"):
        aggregate(workspace, {"fold_0": [together[0], changed[1]]}, tmp_path, "second")


def test_files_of_a_version_without_digests_by_target_are_read(
    workspace: dict[str, Any], tmp_path: Path
) -> None:
    made = run(workspace, tmp_path, chunks=2)
    expected = aggregate(workspace, made, tmp_path)
    for path in made["fold_0"]:
        with h5py.File(path, "r+") as handle:
            for key in ("stage_digests", "content_digests"):
                del handle.attrs[key]
            seal(handle)
    found = aggregate(workspace, made, tmp_path)
    np.testing.assert_array_equal(found["hypothetical"], expected["hypothetical"])


def test_direct_copies_equal_recompressed_rows(
    workspace: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = aggregate(workspace, run(workspace, tmp_path / "p", chunks=3), tmp_path / "p")
    monkeypatch.setattr(storage_module, "HDF5_CHUNK_BYTES", 1)  # one row an HDF5 chunk: every border aligns
    direct = aggregate(workspace, run(workspace, tmp_path / "d", chunks=3), tmp_path / "d")
    np.testing.assert_array_equal(direct["hypothetical"], plain["hypothetical"])


@pytest.mark.parametrize("on_fail", ["drop", "keep"])
def test_the_gate_marks_or_drops(workspace: dict[str, Any], tmp_path: Path, on_fail: str) -> None:
    made = run(workspace, tmp_path, chunks=2)
    errors = aggregate(workspace, made, tmp_path)["max_relative_delta"]
    limit = float(np.median(errors))
    result = aggregate(workspace, made, tmp_path, max_relative_delta=limit, on_fail=on_fail)
    over = int((errors > limit).sum())
    table = pd.read_csv(tmp_path / "qc.tsv", sep="\t")
    assert over > 0
    assert len(table) == N
    assert (table["status"] != "pass").sum() == over
    assert len(result["hypothetical"]) == (N - over if on_fail == "drop" else N)
    assert result["rows"].tolist() == [i for i in range(N) if on_fail == "keep" or errors[i] <= limit]


def test_the_gate_stops_with_the_worst_regions_and_leaves_nothing(
    workspace: dict[str, Any], tmp_path: Path
) -> None:
    made = run(workspace, tmp_path, chunks=1)
    with pytest.raises(CompletenessError, match=r"of 23 regions .* largest first: s\d+"):
        aggregate(workspace, made, tmp_path, max_relative_delta=1e-30)
    assert not (tmp_path / "a.h5").exists()
    assert not (tmp_path / "qc.tsv").exists()


def test_a_job_stops_at_its_first_region_over_a_gate_that_is_an_error(
    workspace: dict[str, Any], tmp_path: Path
) -> None:
    job = ChunkJob(chunk=0, chunks=1, fold="fold_0", targets=TARGETS, method=METHOD)
    sequences, weights = workspace["sequences"], workspace["weights"]["fold_0"]
    options: dict[str, Any] = {"model": model_of(workspace), "device": "cpu", "batch_size": 8}
    strict = {"max_relative_delta": 1e-12, "on_fail": "error"}
    for attempt in range(2):  # a retry fails alike
        with pytest.raises(
            CompletenessError, match=r"target first: \d of 2 regions of a batch are over"
        ) as raised:
            attribute_chunk(sequences, weights, tmp_path / "c.h5", job, gate=strict, **options)
        assert re.search(r"the worst s[01] ", str(raised.value)), attempt
    assert not (tmp_path / "c.h5").exists()
    for number, gate in enumerate(
        ({"max_relative_delta": 1e-12, "on_fail": "drop"}, {"max_relative_delta": 0.5, "on_fail": "error"})
    ):
        attribute_chunk(sequences, weights, tmp_path / f"{number}.h5", job, gate=gate, **options)


def test_recomputed_chunks_change_the_aggregate(workspace: dict[str, Any], tmp_path: Path) -> None:
    one = aggregate(workspace, run(workspace, tmp_path / "1", chunks=2), tmp_path / "1")
    other = aggregate(workspace, run(workspace, tmp_path / "2", chunks=2, seed=1), tmp_path / "2")
    again = aggregate(workspace, run(workspace, tmp_path / "3", chunks=2), tmp_path / "3")
    assert one["attrs"]["chunks_digest"] != other["attrs"]["chunks_digest"]
    assert one["attrs"]["chunks_digest"] == again["attrs"]["chunks_digest"]


def test_a_missing_a_foreign_and_a_cut_chunk_are_refused(workspace: dict[str, Any], tmp_path: Path) -> None:
    made = run(workspace, tmp_path, chunks=3)["fold_0"]
    with pytest.raises(StorageError, match="a chunk is missing"):
        aggregate(workspace, {"fold_0": made[:2]}, tmp_path)
    with pytest.raises(StorageError, match="belongs to another run"):
        aggregate(workspace, {"fold_0": [made[0], made[2]]}, tmp_path)
    foreign = run(workspace, tmp_path / "f", chunks=3, seed=5)["fold_0"]
    with pytest.raises(StorageError, match="stage_digest"):
        aggregate(workspace, {"fold_0": [made[0], foreign[1], made[2]]}, tmp_path)
    made[1].write_bytes(made[1].read_bytes()[:2000])
    with pytest.raises(StorageError, match="not a complete HDF5 file"):
        aggregate(workspace, {"fold_0": made}, tmp_path)
    assert not (tmp_path / "a.h5").exists()


def test_a_failing_job_leaves_no_chunk(workspace: dict[str, Any], tmp_path: Path) -> None:
    job = ChunkJob(chunk=0, chunks=1, fold="f", targets={"t": {"kind": "output", "index": 7}}, method=METHOD)
    with pytest.raises(ModelError, match="7"):
        attribute_chunk(
            workspace["sequences"], workspace["weights"]["fold_0"], tmp_path / "c.h5", job,
            model=model_of(workspace), device="cpu",
        )  # fmt: skip
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="chunk is 4; expected 0 to 1"):
        ChunkJob(chunk=4, chunks=2, fold="f", targets=TARGETS, method=METHOD).bounds(10)
    with pytest.raises(InputError, match="no such file"):
        attribute_chunk(
            tmp_path / "no.h5", workspace["weights"]["fold_0"], tmp_path / "c.h5", job,
            model=model_of(workspace),
        )  # fmt: skip


def content(path: Path) -> dict[str, Any]:
    with h5py.File(path) as handle:
        found = {name: handle[f"targets/first/{name}"][:] for name in handle["targets/first"]}
        return found | {"attrs": dict(handle.attrs)}


def test_a_job_stopped_at_its_deadline_goes_on_where_it_ended(
    workspace: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ChunkJob(chunk=0, chunks=1, fold="fold_0", targets=TARGETS, method=METHOD)
    sequences, weights, out = workspace["sequences"], workspace["weights"]["fold_0"], tmp_path / "c.h5"
    options: dict[str, Any] = {"model": model_of(workspace), "device": "cpu", "batch_size": 8}
    attribute_chunk(sequences, weights, tmp_path / "whole.h5", job, **options)
    for attempt in range(1, N // 2 + 1):  # a deadline in the past: each stops after one batch of two regions
        with pytest.raises(DeadlineError, match=f"{2 * attempt} of {N} regions are finished"):
            attribute_chunk(sequences, weights, out, job, deadline=1.0, **options)
        assert not out.exists()
        assert (tmp_path / "c.h5.partial").exists()
    attribute_chunk(sequences, weights, out, job, deadline=1.0, **options)
    assert not (tmp_path / "c.h5.partial").exists()
    whole, pieced = content(tmp_path / "whole.h5"), content(out)
    for name in ("hypothetical", "baseline", "prediction", "reference_prediction", "delta"):
        np.testing.assert_array_equal(pieced[name], whole[name])
    assert pieced["attrs"]["content_digest"] == whole["attrs"]["content_digest"]
    assert pieced["attrs"]["resumed_at"] == N - 1


@pytest.mark.parametrize("regions", [False, True])
def test_results_of_other_settings_or_regions_are_not_continued(
    workspace: dict[str, Any], tmp_path: Path, regions: bool
) -> None:
    sequences, weights, out = workspace["sequences"], workspace["weights"]["fold_0"], tmp_path / "c.h5"
    options: dict[str, Any] = {"model": model_of(workspace), "device": "cpu", "batch_size": 8}
    first = ChunkJob(chunk=0, chunks=1, fold="fold_0", targets=TARGETS, method=METHOD)
    with pytest.raises(DeadlineError):
        attribute_chunk(sequences, weights, out, first, deadline=1.0, **options)
    other = first if regions else dataclasses.replace(first, seed=1)
    if regions:  # as many, of the same genome
        sequences = with_chromosomes(workspace, tmp_path / "s.h5", ["chr1", "chr2"])
    attribute_chunk(sequences, weights, out, other, **options)
    attribute_chunk(sequences, weights, tmp_path / "whole.h5", other, **options)
    assert content(out)["attrs"]["resumed_at"] == 0
    np.testing.assert_array_equal(
        content(out)["hypothetical"], content(tmp_path / "whole.h5")["hypothetical"]
    )


def with_chromosomes(workspace: dict[str, Any], path: Path, names: list[str]) -> Path:
    """The same sequences, on chromosomes in turn."""
    path.write_bytes(Path(workspace["sequences"]).read_bytes())
    with h5py.File(path, "r+") as handle:
        handle["regions/chrom"][:] = [names[i % len(names)] for i in range(N)]
    return path


def test_each_region_by_the_fold_that_held_it_out(workspace: dict[str, Any], tmp_path: Path) -> None:
    there = {
        **workspace,
        "sequences": with_chromosomes(workspace, tmp_path / "s.h5", ["chr1", "chr2", "chr3"]),
    }
    both = run(there, tmp_path / "all", chunks=3, folds=2)
    every = {fold: aggregate(there, {fold: both[fold]}, tmp_path / "all" / fold) for fold in both}
    held_out = {"fold_0": ["chr1", "chr3"], "fold_1": ["chr2"]}
    own = run(there, tmp_path / "own", chunks=3, folds=2, held_out=held_out)
    found = aggregate(there, own, tmp_path / "own")
    owner = np.array([1 if i % 3 == 1 else 0 for i in range(N)])
    np.testing.assert_array_equal(found["fold"], owner)
    assert "fold_spread" not in found
    assert found["delta"].shape == (N, 1, 4)
    for name in ("hypothetical", "baseline", "prediction", "reference_prediction"):
        expected = np.stack([every["fold_0"][name], every["fold_1"][name]])[owner, np.arange(N)]
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-6, err_msg=name)


def test_a_fold_may_have_no_region_of_a_chunk(workspace: dict[str, Any], tmp_path: Path) -> None:
    by_chromosome = ["chr1"] * 12 + ["chr2"] * (N - 12)
    there = {**workspace, "sequences": with_chromosomes(workspace, tmp_path / "s.h5", by_chromosome)}
    made = run(there, tmp_path, chunks=4, folds=2, held_out={"fold_0": ["chr1"], "fold_1": ["chr2"]})
    with h5py.File(made["fold_1"][0]) as handle:
        assert not handle["computed"][:].any()
    found = aggregate(there, made, tmp_path)
    assert found["fold"].tolist() == [0] * 12 + [1] * (N - 12)
    assert (np.abs(found["hypothetical"]).max(axis=(1, 2)) > 0).all()
    assert found["delta"].shape == (N, 1, 4)


@pytest.mark.parametrize("owned", [(["chr1"], ["chr2"]), (["chr1", "chr2"], ["chr9"])])
def test_the_gate_sees_every_region_although_a_fold_has_none_in_some_chunks(
    workspace: dict[str, Any], tmp_path: Path, owned: tuple[list[str], list[str]]
) -> None:
    by_chromosome = ["chr1"] * 12 + ["chr2"] * (N - 12)  # sorted, as peak files are
    there = {**workspace, "sequences": with_chromosomes(workspace, tmp_path / "s.h5", by_chromosome)}
    held_out = dict(zip(("fold_0", "fold_1"), owned, strict=True))
    made = run(there, tmp_path, chunks=4, folds=2, held_out=held_out)
    assert (aggregate(there, made, tmp_path)["max_relative_delta"] > 0).all()
    with pytest.raises(CompletenessError, match=f"{N} of {N} regions"):
        aggregate(there, made, tmp_path, max_relative_delta=-1.0)


@pytest.mark.parametrize("folds", [1, 2])
def test_a_chunk_file_is_opened_once_to_check_and_once_to_read(
    workspace: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folds: int
) -> None:
    made = run(workspace, tmp_path, chunks=5, folds=folds)
    opened: list[Path] = []
    original = h5py.h5f.open

    def count(path: bytes, *args: Any, **options: Any) -> Any:
        opened.append(Path(os.fsdecode(path)))
        return original(path, *args, **options)

    monkeypatch.setattr(h5py.h5f, "open", count)
    aggregate_chunks(
        workspace["sequences"], made, tmp_path / "a.h5", tmp_path / "q.tsv", target="first", gate=Gate()
    )
    for path in (path for paths in made.values() for path in paths):
        assert opened.count(path) == 2


def test_a_chromosome_that_no_fold_held_out_stops_the_job(workspace: dict[str, Any], tmp_path: Path) -> None:
    there = {**workspace, "sequences": with_chromosomes(workspace, tmp_path / "s.h5", ["chr1", "chrM"])}
    with pytest.raises(InputError, match=r"11 regions are on chromosomes that no fold held out: chrM"):
        run(there, tmp_path, chunks=1, held_out={"fold_0": ["chr1"], "fold_1": ["chr2"]})
    assert not (tmp_path / "fold_0" / "0.h5").exists()


def test_folds_that_overlap_or_leave_gaps_are_not_joined(workspace: dict[str, Any], tmp_path: Path) -> None:
    there = {**workspace, "sequences": with_chromosomes(workspace, tmp_path / "s.h5", ["chr1", "chr2"])}
    one = run(there, tmp_path, chunks=1, held_out={"fold_0": ["chr1"], "fold_1": ["chr2"]})
    with pytest.raises(StorageError, match="11 regions were attributed by no fold or several"):
        aggregate(there, one, tmp_path)


def test_both_strands_are_averaged_where_asked(workspace: dict[str, Any], tmp_path: Path) -> None:
    both = aggregate(workspace, run(workspace, tmp_path, chunks=3, reverse_complement=True), tmp_path)
    x = torch.from_numpy(both["sequences"]).float()
    loaded = load_model(weights=workspace["weights"]["fold_0"], **model_of(workspace))
    with torch.no_grad():
        expected = (loaded.model(x)[:, 0] + loaded.model(x.flip(1, 2))[:, 0]) / 2
    np.testing.assert_allclose(both["prediction"], expected, rtol=1e-5, atol=1e-6)
    contributions = (both["sequences"] * both["hypothetical"]).sum((1, 2))
    np.testing.assert_allclose(
        contributions, both["prediction"] - both["reference_prediction"], rtol=1e-4, atol=1e-5
    )
    assert "strands: average of both" in str(both["attrs"]["notes"])
    one = aggregate(workspace, run(workspace, tmp_path / "one", chunks=1), tmp_path / "one")
    assert one["attrs"]["stage_digest"] != both["attrs"]["stage_digest"]


def test_a_chunk_of_other_weights_another_fold_genome_or_regions_is_not_joined(
    workspace: dict[str, Any], tmp_path: Path
) -> None:
    """One chunk of two is replaced by one that differs in this alone; the message names file and key."""
    shuffled = with_chromosomes(workspace, tmp_path / "s.h5", ["chr1", "chr2"])
    elsewhere = tmp_path / "genome.h5"
    elsewhere.write_bytes(Path(workspace["sequences"]).read_bytes())
    with h5py.File(elsewhere, "r+") as handle:
        handle.attrs["source_digest"] = "another genome"
        seal(handle)
    weights = workspace["weights"]
    others: dict[str, dict[str, Any]] = {
        "model_digest": {"weights": {"fold_0": weights["fold_1"]}},
        "fold": {"weights": {"fold_1": weights["fold_0"]}},
        "source_digest": {"sequences": elsewhere},
        "different regions": {"sequences": shuffled},
    }
    made = run(workspace, tmp_path / "made", chunks=2)["fold_0"]
    for number, (key, change) in enumerate(others.items()):
        (other,) = run({**workspace, **change}, tmp_path / str(number), chunks=2).values()
        for mixed in ([made[0], other[1]], [other[0], made[1]]):
            with pytest.raises(StorageError, match=rf"(?s){tmp_path}/.*\.h5: .*{key}.* run"):
                aggregate(workspace, {"fold_0": mixed}, tmp_path)
    with pytest.raises(StorageError, match=r"0\.h5: was computed from source_digest another genome"):
        aggregate(workspace, run({**workspace, "sequences": elsewhere}, tmp_path / "w", chunks=1), tmp_path)


def test_weights_that_were_replaced_since_the_inspection_are_not_attributed_and_not_joined(
    workspace: dict[str, Any], tmp_path: Path
) -> None:
    passed, out = tmp_path / "inspected.json", tmp_path / "c.h5"
    passed.write_text(json.dumps({"fold_0": "0123"}))
    job = ChunkJob(chunk=0, chunks=1, fold="fold_0", targets=TARGETS, method=METHOD)
    options: dict[str, Any] = {"model": model_of(workspace), "device": "cpu"}
    inputs = workspace["sequences"], workspace["weights"]["fold_0"], out, job
    with pytest.raises(ModelError, match=r"0\.pt \(fold_0\): this model differs from the inspected one"):
        attribute_chunk(*inputs, inspected=passed, **options)
    assert not out.exists()
    digest = load_model(weights=inputs[1], **model_of(workspace)).digest
    passed.write_text(json.dumps({"fold_0": digest}))
    attribute_chunk(*inputs, inspected=passed, **options)
    arguments: dict[str, Any] = {"target": "first", "gate": Gate()}
    results = tmp_path / "a.h5", tmp_path / "q.tsv"
    aggregate_chunks(inputs[0], {"fold_0": [out]}, *results, **arguments, inspected={"fold_0": digest})
    with pytest.raises(StorageError, match=f"model_digest {digest}; expected 0123"):
        aggregate_chunks(inputs[0], {"fold_0": [out]}, *results, **arguments, inspected={"fold_0": "0123"})


#: Rows, starts and ends of stretches of bases.
STRETCHES = tuple(np.array(values) for values in ([0, 5, 5, N - 1], [3, 0, 30, 10], [9, LENGTH, 31, 12]))


@pytest.mark.parametrize("folds", [1, 2])
def test_errors_of_stretches_come_from_folds_or_from_references(
    workspace: dict[str, Any],
    tmp_path: Path,
    folds: int,
) -> None:
    made = run(workspace, tmp_path, chunks=2, folds=folds, uncertainty=True)
    found = aggregate(workspace, made, tmp_path, max_relative_delta=1e-9, on_fail="keep")
    single = [aggregate(workspace, {name: made[name]}, tmp_path / name) for name in made]
    squares = np.mean([one["reference_spread"] ** 2 for one in single], axis=0)
    np.testing.assert_allclose(found["reference_spread"], np.sqrt(squares), rtol=1e-6)
    assert found["reference_spread"].max() > 1e-3
    if folds == 1:
        bases = found["reference_spread"] / np.sqrt(4)  # references
    else:
        bases = np.stack([(one["hypothetical"] * one["sequences"]).sum(1) for one in single]).std(0, ddof=1)
        bases /= np.sqrt(2)
    expected = [bases[row, low:high].sum() for row, low, high in zip(*STRETCHES, strict=True)]
    with h5py.File(tmp_path / "a.h5") as handle:
        np.testing.assert_allclose(span_errors(handle, *STRETCHES), expected, rtol=1e-4)


def test_without_uncertainty_files_are_as_before(workspace: dict[str, Any], tmp_path: Path) -> None:
    plain, kept = (
        aggregate(workspace, run(workspace, tmp_path / name, chunks=1, **more), tmp_path / name)
        for name, more in (("plain", {}), ("kept", {"uncertainty": True}))
    )
    assert set(kept) - set(plain) == {"reference_spread"}
    for name in set(plain) - {"attrs"}:
        np.testing.assert_allclose(kept[name], plain[name], rtol=1e-6, atol=1e-8, err_msg=name)
    assert kept["attrs"]["stage_digest"] != plain["attrs"]["stage_digest"]
    with h5py.File(tmp_path / "plain" / "a.h5") as handle:
        assert span_errors(handle, *STRETCHES) is None
