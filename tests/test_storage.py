"""Files are written whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import h5py
import pandas as pd
import pytest
from cislex import storage
from cislex.errors import InputError, StorageError, offenders


def test_a_finished_write_appears_under_its_name(tmp_path: Path) -> None:
    storage.write_text("text", tmp_path / "deep" / "file.txt")
    assert (tmp_path / "deep" / "file.txt").read_text() == "text"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["file.txt"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    path = tmp_path / "file.txt"
    storage.write_text("old", path)

    def fail() -> None:
        with storage.atomic_path(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        fail()
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_unwritable_folder_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="cannot write"), storage.atomic_path(tmp_path / "file" / "x.txt"):
        pass


def test_a_full_disk_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="disk full"), storage.atomic_path(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_regions_come_back_as_written(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"chrom": ["a", "b"], "start": [1, 2], "end": [5, 6], "name": ["x", "é"], "strand": ["+", "."]}
    )
    with h5py.File(tmp_path / "r.h5", "w") as handle:
        storage.write_regions(handle, frame)
    with storage.open_hdf5(tmp_path / "r.h5", what="regions") as handle:
        pd.testing.assert_frame_equal(storage.read_regions(handle), frame, check_dtype=False)
        assert storage.read_regions(handle, 1, 2)["name"].tolist() == ["é"]


def test_a_missing_a_broken_and_an_incomplete_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"), storage.open_hdf5(tmp_path / "no.h5", what="chunk"):
        pass
    (tmp_path / "bad.h5").write_bytes(b"not hdf5")
    with pytest.raises(StorageError, match="complete HDF5"), storage.open_hdf5(tmp_path / "bad.h5", what="c"):
        pass
    h5py.File(tmp_path / "empty.h5", "w").close()
    with (
        pytest.raises(StorageError, match="lacks x"),
        storage.open_hdf5(tmp_path / "empty.h5", what="c", datasets=["x"]),
    ):
        pass


def test_offenders_are_counted_and_the_first_named() -> None:
    assert offenders([1, 2]) == "1, 2"
    assert offenders(range(10)) == "0, 1, 2 (10 in all)"
