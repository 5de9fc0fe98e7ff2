"""The stage: tables are those of the model, whatever stopped the job; starts are what was asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from cislex.design import evolve as stage
from cislex.design.evolve import EvolutionJob, evolve_sequences
from cislex.design.records import EvolutionFiles
from cislex.design.starts import Starts, StartSettings, kept_in_bed, make_starts
from cislex.design.walk import Objective
from cislex.errors import ConfigError, DeadlineError, InputError
from cislex.models.loading import load_model
from cislex.sequences.store import to_one_hot
from cislex.targets import targets
from insertion_fixtures import LENGTH, WANTED, codes_of, random_codes, save_folds, write_store

NAMES = ["sequence", "round", "position_0based", "from", "to", "objective", "prediction_a", "prediction_b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds, five regions of which the second has an unknown base, and their predictions."""
    folder = tmp_path_factory.mktemp("design")
    save_folds(folder)
    codes = random_codes(5, seed=1)
    codes[1, 3] = 4
    table = {"chrom": "chr1", "start": np.arange(5) * 100, "name": "r", "strand": ["+", "+", "-", "+", "+"]}
    regions = pd.DataFrame(table).assign(end=np.arange(5) * 100 + LENGTH)
    write_store(folder / "sequences.h5", codes, regions)
    predicted = regions.assign(a=[1.0, 9.0, 5.0, 2.0, 3.0], b=[0.0, 0.0, 9.0, 0.0, 0.0])
    predicted.to_csv(folder / "predictions.tsv", sep="\t", index=False)
    return folder


def job_of(**changes: Any) -> EvolutionJob:
    start = {"kind": "random", "n": 3}
    fields = {"length": LENGTH, "targets": WANTED, "guide": {"name": "tism"}, "start": start, "rounds": 4}
    return EvolutionJob(**fields | changes)


def run(folder: Path, out: Path, job: EvolutionJob, **options: Any) -> tuple[pd.DataFrame, EvolutionFiles]:
    out.mkdir(exist_ok=True)
    files = EvolutionFiles(out / "trajectories.tsv", out / "evolved.fa", out / "evolution.h5")
    weights = {"fold_0": folder / "0.pt", "fold_1": folder / "1.pt"}
    evolve_sequences(weights, files, job, model={"loader": "trained"}, device="cpu", **options)
    return pd.read_csv(files.table, sep="\t", keep_default_na=False, na_values=[""]), files


def test_tables_and_records_are_what_the_folds_predict(folder: Path, tmp_path: Path) -> None:
    job = job_of(target="b", against="a", reverse_complement=True, guide={"name": "greedy"})
    table, files = run(folder, tmp_path, job)
    assert list(table.columns[:8]) == NAMES
    lines = Path(files.fasta).read_text().split("\n")
    assert [line.split()[0] for line in lines[:-1:2]] == [">random_1", ">random_2", ">random_3"]
    x = torch.from_numpy(to_one_hot(np.stack([codes_of(line) for line in lines[1::2]]))).float()
    wanted, values = targets.all_from_config(WANTED), []
    for fold in range(2):
        model = load_model("trained", weights=folder / f"{fold}.pt").model.eval()
        with torch.no_grad():
            for strand in (x, x.flip(1, 2)):
                output = model(strand)
                values.append([target(output).double().numpy() for target in wanted.values()])
    a, b = np.mean(values, axis=0)
    last = table.groupby("sequence").tail(1)
    assert last["prediction_a"].to_numpy() == pytest.approx(a, rel=1e-5)
    assert last["objective"].to_numpy() == pytest.approx(b - a, rel=1e-4)
    assert (last["stop"] == "rounds").all()
    assert (table["stop"].notna() == (table["round"] == 4)).all()
    with h5py.File(files.arrays) as handle:
        assert (handle["rounds"][...] == [0, 2, 4]).all()
        assert (handle["sequences"][:, 2] == x.numpy()).all()
        first = handle["sequences"][0, 0].argmax(axis=0)
        assert handle["contributions"].shape == (3, 3, LENGTH)
    edits = table[(table["sequence"] == "random_1") & (table["round"] > 0)]
    for _, edit in edits.iterrows():
        assert "ACGT"[first[int(edit["position_0based"])]] == edit["from"]
        first[int(edit["position_0based"])] = "ACGT".index(edit["to"])
    assert "".join("ACGT"[code] for code in first) == lines[1]
    assert (np.diff(table["objective"].to_numpy().reshape(3, 5)) > 0).all()


def test_a_job_that_was_stopped_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(beam=2, guide={"name": "integrated_gradients", "steps": 4})
    whole, files = run(folder, tmp_path / "whole", job)
    monkeypatch.setattr(stage, "BLOCK_VALUES", 1)
    with pytest.raises(DeadlineError, match="1 of 3 sequences"):
        run(folder, tmp_path / "parts", job, deadline=1.0)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["evolution.h5.partial"]
    parts, own = run(folder, tmp_path / "parts", job)
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-4)
    assert [line for line in Path(files.fasta).read_text().split("\n") if line[:1] != ">"] == [
        line for line in Path(own.fasta).read_text().split("\n") if line[:1] != ">"
    ]


def starts_of(folder: Path, **settings: Any) -> Starts:
    return make_starts(
        StartSettings(**settings),
        LENGTH,
        sequences=folder / "sequences.h5",
        predictions=folder / "predictions.tsv",
        objective=(["a", "b"], Objective(0)),
    )


def test_starts_are_the_best_regions_or_rows_or_shuffles_of_them(folder: Path) -> None:
    best = starts_of(folder, n=2)  # not the second region, which has an unknown base
    assert best.names == ["r_0", "r_1"]
    assert list(best.regions["start"]) == [200, 400]
    rows = starts_of(folder, rows=[4, 0])
    assert list(rows.regions["start"]) == [400, 0]
    assert (rows.codes[0] == best.codes[1]).all()
    shuffled = starts_of(folder, n=2, shuffle="shuffle")
    assert (np.sort(shuffled.codes) == np.sort(best.codes)).all()
    assert (shuffled.codes != best.codes).any(axis=1).all()
    assert shuffled.names == ["r_0_shuffled", "r_1_shuffled"]
    assert len(starts_of(folder, n=None).names) == 4
    counts = {"A": 30, "C": 10, "G": 20, "T": 20}
    drawn = starts_of(folder, kind="random", n=3, composition=counts)
    assert [list(np.bincount(one)) for one in drawn.codes] == [[30, 10, 20, 20]] * 3
    assert len({one.tobytes() for one in drawn.codes}) == 3
    assert (drawn.codes == starts_of(folder, kind="random", n=3, composition=counts).codes).all()


def test_kept_intervals_name_sequences_or_lie_on_the_genome(folder: Path, tmp_path: Path) -> None:
    starts, bed = starts_of(folder, n=2), tmp_path / "keep.bed"
    bed.write_text("chr1\t190\t210\nr_1\t5\t8\nchr2\t0\t900\n")
    kept = kept_in_bed(bed, starts)
    assert list(np.flatnonzero(kept[0])) == list(range(LENGTH - 10, LENGTH))  # on the minus strand
    assert list(np.flatnonzero(kept[1])) == [5, 6, 7]
    bed.write_text(f"r_1\t5\t{LENGTH + 1}\n")
    with pytest.raises(InputError, match="intervals pass the end of sequences of 80 bp: r_1:5-81"):
        kept_in_bed(bed, starts)
    bed.write_text("r1\t5\t8\n")
    with pytest.raises(InputError, match="none of 1 intervals lies in a sequence"):
        kept_in_bed(bed, starts)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"rows": [1]}, InputError, "regions 1 have unknown bases"),
        ({"rows": [5]}, InputError, "there are regions 0 to 4"),
        ({"kind": "random", "composition": {"A": 8}}, ConfigError, "counts of A, C, G, T that make 80 bp"),
        ({"kind": "random", "n": None}, ConfigError, "start.n"),
        ({"kind": "fasta"}, ConfigError, "set start.fasta"),
        ({"kind": "genome"}, ConfigError, "start.kind: found 'genome'"),
    ],
)
def test_starts_that_do_not_exist_are_named(folder: Path, settings: Any, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        starts_of(folder, **settings)


@pytest.mark.parametrize(("letters", "said"), [("A" * 79, "79 bp"), ("A" * 79 + "N", "unknown bases")])
def test_records_of_another_length_or_with_unknown_bases_are_named(
    letters: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "own.fa").write_text(f">a\n{letters}\n")
    with pytest.raises(InputError, match=said):
        make_starts(StartSettings(kind="fasta", n=None), LENGTH, fasta=tmp_path / "own.fa")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"guide": {"name": "saliency_map"}}, "gives bases that are not there no score"),
        ({"guide": {"name": "expected_gradients"}}, "gives bases that are not there no score"),
        ({"target": "c"}, "target: found 'c', expected one of a, b"),
        ({"against": "a"}, "against: a is the target itself"),
        ({"direction": "sideways"}, "expected up or down"),
    ],
)
def test_jobs_that_make_no_sense_are_refused(changes: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        job_of(**changes)
    assert dataclasses.asdict(job_of())["rounds"] == 4
