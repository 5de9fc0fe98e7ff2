"""The gate as a step of its own: the same files as with aggregation, from the file of all rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute
from cislex.chunks.gate import Gate, gate_attributions, reproducible
from cislex.errors import CompletenessError
from cislex.files import sealed
from cislex.files.tables import create_array, write_regions
from cislex.sequences.store import create_sequences
from torch import nn

N, LENGTH = 300, 40


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    """All rows of a target, every tenth of them over 1e-3, as an aggregation judged them with 1e-2."""
    generator = np.random.default_rng(0)
    path = tmp_path / "attributions.all.h5"
    errors = np.full(N, 1e-5, np.float32)
    errors[::10] = 2e-3
    with h5py.File(path, "w") as handle:
        shapes: dict[str, tuple[int, ...]] = {
            "hypothetical": (N, 4, LENGTH), "baseline": (N, LENGTH), "prediction": (N,), "delta": (N, 2, 3)
        }  # fmt: skip
        for name, shape in shapes.items():
            create_array(handle, name, shape, "f4", rows=7)[...] = generator.normal(size=shape)
        codes = generator.integers(0, 4, (N, LENGTH))
        create_sequences(handle, N, LENGTH)[...] = np.eye(4, dtype=np.uint8)[codes].swapaxes(1, 2)
        create_array(handle, "max_relative_delta", (N,), "f4")[...] = errors
        create_array(handle, "rows", (N,), "i8")[...] = np.arange(N)
        names = [f"r{row}" for row in range(N)]
        starts = np.arange(N) * 100
        write_regions(
            handle,
            pd.DataFrame(
                {"chrom": "chr1", "start": starts, "end": starts + LENGTH, "name": names, "strand": "+"}
            ),
        )
        handle.attrs.update(
            target="a", max_relative_delta_limit=1e-2, on_fail="error", n_over_limit=0, seed=7
        )
    return path


def test_the_gate_that_was_recorded_costs_no_disk(complete: Path, tmp_path: Path) -> None:
    gate_attributions(complete, tmp_path / "a.h5", tmp_path / "qc.tsv", gate=Gate(1e-2, "error"))
    assert (tmp_path / "a.h5").samefile(complete)
    table = pd.read_csv(tmp_path / "qc.tsv", sep="\t")
    assert list(table["status"]) == ["pass"] * N


@pytest.mark.parametrize(
    ("on_fail", "kept", "status"), [("drop", 270, "dropped"), ("keep", 300, "fail")]
)  # fmt: skip
def test_another_gate_keeps_the_rows_and_writes_the_attributes_that_it_asks_for(
    complete: Path, tmp_path: Path, on_fail: str, kept: int, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cislex.chunks.gate.BLOCK_BYTES", 4000)
    before = complete.read_bytes()
    gate_attributions(complete, tmp_path / "a.h5", tmp_path / "qc.tsv", gate=Gate(1e-3, on_fail))
    assert complete.read_bytes() == before
    with h5py.File(complete) as whole, h5py.File(tmp_path / "a.h5") as made:
        rows = made["rows"][:]
        assert len(rows) == kept
        assert set(made) == set(whole)
        for name in set(whole) - {"regions"}:
            np.testing.assert_array_equal(made[name][:], whole[name][:][rows], err_msg=name)
            assert made[name].dtype == whole[name].dtype
        assert list(made["regions/name"].asstr()[:]) == [f"r{row}" for row in rows]
        expected: dict[str, Any] = {"max_relative_delta_limit": 1e-3, "on_fail": on_fail, "n_over_limit": 30}
        found = {key: value for key, value in made.attrs.items() if key != sealed.COPY}
        assert found == {**whole.attrs, **expected} == sealed.sealed_attributes(made.id)
        predictions = whole["prediction"][:]
    table = pd.read_csv(tmp_path / "qc.tsv", sep="\t")
    assert set(table.loc[::10, "status"]) == {status}
    assert (table["status"] == "pass").sum() == 270
    there = np.isin(np.arange(N), rows)
    np.testing.assert_allclose(table["prediction"][there], predictions[there], rtol=1e-5)
    assert table["prediction"][~there].isna().all()


def test_a_gate_that_is_an_error_names_the_worst_rows_and_leaves_all_of_them(
    complete: Path, tmp_path: Path
) -> None:
    gate = Gate(1e-3, "error")
    with pytest.raises(CompletenessError, match=r"target a: 30 of 300 regions .* over 0\.001; .*r\d+ chr1"):
        gate_attributions(complete, tmp_path / "a.h5", tmp_path / "qc.tsv", gate=gate)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attributions.all.h5"]
    with h5py.File(complete) as handle:
        assert len(handle["rows"]) == N


def test_a_method_without_completeness_passes_every_gate(complete: Path, tmp_path: Path) -> None:
    with h5py.File(complete, "r+") as handle:
        del handle["max_relative_delta"]
    gate_attributions(complete, tmp_path / "a.h5", tmp_path / "qc.tsv", gate=Gate(1e-9, "error"))
    with h5py.File(tmp_path / "a.h5") as made:
        assert len(made["rows"]) == N


def test_the_table_shows_the_same_deltas_whatever_the_batch_size() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(4, 16, 9), nn.GELU(), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(16 * 23, 8), nn.ELU(),
        nn.Linear(8, 1),
    ).eval()  # fmt: skip
    x = np.eye(4, dtype=np.uint8)[np.random.default_rng(0).integers(0, 4, (60, 100))].swapaxes(1, 2)
    method = DeepLiftShap(references=DinucleotideShuffle(n=3))
    exact, shown = [], []
    for batch_size in (3, 7, 180):
        found = attribute(model, x, method, batch_size=batch_size).max_relative_delta.numpy()
        exact.append(found)
        shown.append(reproducible(found, Gate()).tolist())
    assert (exact[0] != exact[1]).any(), "the rounding does not depend on the batch size here"
    assert shown[0] == shown[1] == shown[2] == [1e-4] * 60
    errors = np.array([3e-8, 1.234e-3, 0.5, np.nan, np.inf], np.float32)
    np.testing.assert_array_equal(reproducible(errors, Gate()), [1e-4, 1.2e-3, 0.5, np.nan, np.inf])
    np.testing.assert_array_equal(reproducible(errors[:1], Gate(1e-7)), [3e-8])
