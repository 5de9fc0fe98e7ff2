"""Blocks of HDF5 files: what is written or copied as whole blocks reads like what h5py writes row by row."""

from __future__ import annotations

import itertools
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from cislex.errors import InputError, StorageError
from cislex.files.hdf5_blocks import RowWriter, dataset_in, opened, pack, read_all, read_attributes
from cislex.files.tables import create_array
from hypothesis import given, settings
from hypothesis import strategies as st


def values_of(n: int, *tail: int) -> np.ndarray:
    values = np.random.default_rng(n).normal(size=(n, *tail)).astype(np.float32)
    values[n // 2 :: 3] = 0  # runs
    return values


def test_every_reader_reads_packed_blocks(tmp_path: Path) -> None:
    values = values_of(23, 4, 11)
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        for name, array in {"floats": values, "bytes": (values > 0).astype(np.uint8)}.items():
            shuffled = array.dtype.itemsize > 1
            sink = handle.create_dataset(
                name, array.shape, array.dtype, chunks=(5, 4, 11),
                compression="gzip", shuffle=shuffled, fletcher32=True,
            )  # fmt: skip
            writer = RowWriter(sink)
            writer.append(array)
            writer.finish()
    with h5py.File(tmp_path / "a.h5") as handle:
        np.testing.assert_array_equal(handle["floats"][:], values)
        np.testing.assert_array_equal(handle["bytes"][:], values > 0)
        np.testing.assert_array_equal(handle["floats"][3:22:4], values[3:22:4])


@settings(max_examples=60, deadline=None)
@given(n=st.integers(0, 3000), share=st.sampled_from([0.0, 0.25, 0.9, 1.0]), top=st.sampled_from([1, 2, 255]))
def test_any_bytes_are_inflated_as_they_were(n: int, share: float, top: int) -> None:
    values = (np.random.default_rng(n).random((n, 1)) < share).astype(np.uint8)
    values[n // 3 : n // 2] *= np.uint8(top)
    assert zlib.decompress(pack(values)) == values.tobytes()
    assert zlib.decompress(pack(values, n + 5)) == values.tobytes() + bytes(5)


def test_one_hot_takes_less_than_a_byte_a_base() -> None:
    values = np.eye(4, dtype=np.uint8)[np.random.default_rng(0).integers(0, 4, 10_000)]
    assert len(pack(values)) < 10_000


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 13), min_size=1, max_size=6),
    rows=st.integers(1, 6),
    threads=st.sampled_from([1, 3]),
)
def test_copied_blocks_equal_written_rows(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], rows: int, threads: int
) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    values = values_of(sum(sizes), 3, 7)
    edges = np.cumsum([0, *sizes])
    for i, (low, high) in enumerate(itertools.pairwise(edges)):
        with h5py.File(folder / f"{i}.h5", "w") as handle:
            create_array(handle, "a", (high - low, 3, 7), "f4", rows=rows)[...] = values[low:high]
    with h5py.File(folder / "whole.h5", "w") as handle, ThreadPoolExecutor(threads) as pool:
        writer = RowWriter(create_array(handle, "a", values.shape, "f4", rows=rows), pool)
        for i, size in enumerate(sizes):
            with opened(folder / f"{i}.h5", what="chunk") as source:
                writer.copy(dataset_in(source, "a"), 0, size)
        writer.finish()
    with h5py.File(folder / "whole.h5") as handle:
        np.testing.assert_array_equal(handle["a"][:], values)


def test_blocks_with_one_layout_are_copied_without_being_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = values_of(25, 6)
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        create_array(handle, "a", values.shape, "f4", rows=4)[...] = values

    def refuse(*_: object) -> bytes:
        raise AssertionError("packed again")

    monkeypatch.setattr("cislex.files.hdf5_blocks.pack", refuse)
    with h5py.File(tmp_path / "b.h5", "w") as handle, opened(tmp_path / "a.h5", what="chunk") as source:
        writer = RowWriter(create_array(handle, "a", values.shape, "f4", rows=4))
        writer.copy(dataset_in(source, "a"), 0, 12)
        writer.copy(dataset_in(source, "a"), 12, 25)
        writer.finish()
        np.testing.assert_array_equal(handle["a"][:], values)


@pytest.mark.parametrize(
    ("dtype", "filters"),
    [("f8", {"shuffle": True}), ("f4", {}), ("f4", {"shuffle": True})],
)
def test_another_layout_is_converted(tmp_path: Path, dtype: str, filters: dict[str, bool]) -> None:
    values = values_of(25, 6)
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle.create_dataset("a", data=values.astype(dtype), chunks=(4, 6), compression="gzip", **filters)
    with h5py.File(tmp_path / "b.h5", "w") as handle, opened(tmp_path / "a.h5", what="chunk") as source:
        writer = RowWriter(create_array(handle, "a", values.shape, "f4", rows=4))
        writer.copy(dataset_in(source, "a"), 0, 25)
        writer.finish()
    with h5py.File(tmp_path / "b.h5") as handle:
        np.testing.assert_array_equal(handle["a"][:], values)


def test_missing_and_surplus_rows_are_errors(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        writer = RowWriter(create_array(handle, "a", (7, 2), "f4", rows=3))
        writer.append(values_of(5, 2))
        with pytest.raises(StorageError, match="expected 7 rows, received 8"):
            writer.append(values_of(3, 2))
        with pytest.raises(StorageError, match="expected 7 rows, received 5"):
            writer.finish()


def test_other_filters_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        plain = handle.create_dataset("a", (7, 2), "f4", chunks=(3, 2), compression="lzf")
        with pytest.raises(StorageError, match="filters"):
            RowWriter(plain)


def test_small_things_are_read_as_h5py_reads_them(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle.attrs.update({"text": "Größe", "whole": 7, "real": 0.25})
        handle["flags"] = np.array([True, False, True])
        handle["empty"] = np.zeros((0, 3), np.float32)
    with opened(tmp_path / "a.h5", what="chunk") as source:
        assert read_attributes(source, ["text", "whole", "real"]) == {
            "text": "Größe",
            "whole": 7,
            "real": 0.25,
        }
        assert read_all(source, "flags", "?").tolist() == [True, False, True]
        assert read_all(source, "empty", "f4").shape == (0, 3)
        with pytest.raises(KeyError):
            read_attributes(source, ["none"])


def test_a_missing_and_a_broken_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.h5").write_bytes(b"no HDF5")
    with (
        pytest.raises(StorageError, match=r"broken\.h5 is not a complete"),
        opened(tmp_path / "broken.h5", what="chunk"),
    ):
        pass
    with pytest.raises(InputError, match="no such file"), opened(tmp_path / "none.h5", what="chunk"):
        pass
