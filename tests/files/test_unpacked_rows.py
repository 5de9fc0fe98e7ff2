"""Rows that are unpacked here are those that HDF5 gives, whoever wrote them and however they are packed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cislex.errors import StorageError
from cislex.files.hdf5 import new_hdf5
from cislex.files.hdf5_blocks import RowWriter, digest_blocks
from cislex.files.tables import create_array
from cislex.files.unpacked_rows import unpack_rows

RANDOM = np.random.default_rng(0)
VALUES = {
    "floats": RANDOM.standard_normal((23, 4, 50)).astype(np.float32),
    "one-hot": np.eye(4, dtype=np.uint8)[RANDOM.integers(0, 4, (23, 50))].transpose(0, 2, 1).copy(),
    "noise": RANDOM.integers(0, 256, (23, 4, 50)).astype(np.uint8),
    "numbers": np.arange(23),
    "big-endian": RANDOM.standard_normal((23, 6)).astype(">f4"),
    "none": np.zeros((0, 4, 50), np.float32),
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "ours": {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True},
    "without shuffle": {"compression": "gzip", "fletcher32": True},
    "no checksum": {"compression": "gzip"},
    "lzf": {"compression": "lzf"},
    "plain": {},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", VALUES)
def test_rows_are_those_of_hdf5(tmp_path: Path, name: str, layout: str) -> None:
    values = VALUES[name]
    blocks = {"chunks": (5, *values.shape[1:])} if LAYOUTS[layout] and len(values) else {}
    options = LAYOUTS[layout] if len(values) else {}
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        dataset = handle.create_dataset("x", data=values, **options, **blocks)
        for low, high in ((0, len(values)), (0, 3), (3, 12), (5, 10), (21, 23), (22, 99), (7, 7)):
            found = unpack_rows(dataset, low, high)
            np.testing.assert_array_equal(found, dataset[low:high])
            assert found.dtype == dataset.dtype


def test_a_damaged_block_is_named_with_its_rows(tmp_path: Path) -> None:
    with new_hdf5(tmp_path / "a.h5") as handle:
        writer = RowWriter(create_array(handle, "x", (23, 4, 50), "f4", rows=5))
        writer.append(VALUES["floats"])
        writer.finish()
        place = handle["x"].id.get_chunk_info(2)
    with (tmp_path / "a.h5").open("r+b") as file:
        file.seek(place.byte_offset + place.size // 2)
        old = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([old[0] ^ 1]))
    with h5py.File(tmp_path / "a.h5") as handle:
        np.testing.assert_array_equal(unpack_rows(handle["x"], 0, 10), VALUES["floats"][:10])
        with pytest.raises(StorageError, match=r"a\.h5.*x.*rows 10 to 15"):
            unpack_rows(handle["x"], 0, 23)


def test_the_digest_of_blocks_is_the_one_that_was_told_when_they_were_written(tmp_path: Path) -> None:
    digests = []
    for number, parts in enumerate(([23], [5, 5, 13], [1] * 23)):
        with new_hdf5(tmp_path / f"{number}.h5") as handle:
            writer = RowWriter(create_array(handle, "x", (23, 4, 50), "f4", rows=5), digest=True)
            for part in np.split(VALUES["floats"], np.cumsum(parts)[:-1]):
                writer.append(part)
            digests.append(writer.finish())
        with h5py.File(tmp_path / f"{number}.h5") as handle:
            assert digest_blocks(handle["x"].id) == digests[-1]
    assert len(set(digests)) == 1, "however rows come"
    changed = VALUES["floats"][[1, 0, *range(2, 23)]]
    with new_hdf5(tmp_path / "other.h5") as handle:
        writer = RowWriter(create_array(handle, "x", (23, 4, 50), "f4", rows=5), digest=True)
        writer.append(changed)
        assert writer.finish() != digests[0]
