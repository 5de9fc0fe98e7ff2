"""The chunk file is written in whole blocks, however small the batches of its log are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cislex.chunks.writing import write_chunk
from cislex.files.checkpoint import Checkpoint
from cislex.files.hdf5_blocks import RowWriter

N, LENGTH = 300, 100


def test_every_block_of_a_dataset_is_written_once_whatever_the_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of one region, and rows between them that this fold does not compute."""
    submitted: list[str] = []
    submit = RowWriter._submit

    def counted(self: RowWriter, block: np.ndarray[Any, Any]) -> None:
        submitted.append(self._name)
        submit(self, block)

    monkeypatch.setattr(RowWriter, "_submit", counted)
    places = np.delete(np.arange(N), [3, 4, 5, 100])
    values = np.random.default_rng(0).normal(size=(N, 4, LENGTH)).astype(np.float32)
    with Checkpoint(tmp_path / "log", {}) as log:
        for done, row in enumerate(places, 1):
            arrays = {"0/hypothetical": values[row : row + 1], "0/baseline": values[row : row + 1, 0]}
            log.append(done, {**arrays, "0/prediction": values[row : row + 1, 0, 0]}, {})
        write_chunk(tmp_path / "0.h5", log, ["a"], places, (N, LENGTH), lambda: {})
    with h5py.File(tmp_path / "0.h5") as handle:
        group = handle["targets/a"]
        blocks = sum(-(-N // dataset.chunks[0]) for dataset in group.values() if dataset.chunks)
        found = group["hypothetical"][()]
    np.testing.assert_array_equal(found[places], values[places])
    assert not np.delete(found, places, axis=0).any()
    assert len(submitted) == blocks < N / 2
