"""Arrays of users: what is missing is named instead of read as fill values; links and NumPy are read."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from cislex.errors import ConfigError, InputError
from cislex.files.tables import open_hdf5
from cislex.files.user_arrays import named_dataset, open_arrays, shapes
from cislex.prediction.labels import LabelSource, Origin, read_labels
from cislex.sequences.importing import import_sequences, read_codes
from cislex.sequences.store import SequenceStore, to_one_hot
from cislex.training.hdf5 import Hdf5Source

CODES = np.random.default_rng(0).integers(0, 4, (6, 20)).astype(np.uint8)


def virtual(folder: Path, *, rows: int = 6) -> Path:
    """A virtual dataset of two files with three rows each."""
    layout = h5py.VirtualLayout((rows, 4, 20), "u1")
    for part in range(2):
        with h5py.File(folder / f"part{part}.h5", "w") as handle:
            handle["x"] = to_one_hot(CODES[3 * part : 3 * part + 3])
        layout[3 * part : 3 * part + 3] = h5py.VirtualSource(f"part{part}.h5", "x", (3, 4, 20))
    path = folder / "virtual.h5"
    with h5py.File(path, "w") as handle:
        handle.create_virtual_dataset("x", layout)
        handle["y"] = np.arange(6) % 2
        handle["soft"], handle["dead"] = h5py.SoftLink("/x"), h5py.SoftLink("/gone")
        handle["outer"], handle["lost"] = h5py.ExternalLink("part0.h5", "x"), h5py.ExternalLink("no.h5", "x")
        handle.create_group("group")["hard"] = handle["x"]
        handle["group/up"] = h5py.SoftLink("/")
    return path


def run(source: Path, **options: object) -> np.ndarray:
    folder = source.parent / "out"
    paths = [folder / name for name in ("regions.bed", "dropped.tsv", "sequences.h5")]
    import_sequences(source, *paths, is_hdf5=True, **options)  # type: ignore[arg-type]
    with SequenceStore(paths[2]) as store:
        return store.read()


@pytest.mark.parametrize("name", ["x", "soft", "group/hard", "group/up/soft"])
def test_links_and_whole_virtual_datasets_are_read(tmp_path: Path, name: str) -> None:
    np.testing.assert_array_equal(read_codes(virtual(tmp_path), name), CODES)
    np.testing.assert_array_equal(read_codes(tmp_path / "virtual.h5", "outer"), CODES[:3])
    with open_arrays(tmp_path / "virtual.h5", what="x") as handle:
        assert set(shapes(handle)) == {"x", "y", "soft", "outer", "group/hard"}


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / "part1.h5").unlink(), r"no file part1\.h5"),
        (lambda folder: (folder / "part1.h5").write_text("no"), r"part1\.h5 cannot be read"),
        (lambda folder: h5py.File(folder / "part1.h5", "w").close(), r"part1\.h5 has no dataset x"),
    ],
)
def test_a_virtual_dataset_with_a_missing_source_is_named_wherever_it_is_read(
    tmp_path: Path, harm: object, message: str
) -> None:
    path = virtual(tmp_path)
    harm(tmp_path)  # type: ignore[operator]
    training = Hdf5Source(path=path, input_length=20, x="x", y="y")
    for read in (
        lambda: run(path, dataset="x"),
        lambda: run(path, dataset="soft"),
        lambda: training.draw(0),
        lambda: open_hdf5(path, what="saved references", datasets=["x"]).__enter__(),
    ):
        with pytest.raises(InputError, match=message):
            read()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dead", "soft link to /gone"),
        ("lost", r"external link to x of no\.h5"),
        ("nil", r"has group/hard \(6, 4, 20"),
    ],
)
def test_a_link_to_nothing_is_named(tmp_path: Path, name: str, message: str) -> None:
    with open_arrays(virtual(tmp_path), what="x") as handle, pytest.raises(InputError, match=message):
        named_dataset(handle, name, "virtual.h5")


def test_external_raw_data_are_all_there_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File("a.h5", "w") as handle:
        handle.create_dataset("x", CODES.shape, "u1", external=[("raw.bin", 0, CODES.nbytes)])[:] = CODES
    for size in (CODES.nbytes, CODES.nbytes - 5):
        with open("raw.bin", "rb+") as raw:
            raw.truncate(size)
        with open_arrays("a.h5", what="x") as handle:
            if size == CODES.nbytes:
                np.testing.assert_array_equal(named_dataset(handle, "x", "a.h5")[()], CODES)
            else:
                with pytest.raises(InputError, match=r"raw\.bin, which has 115 bytes, expected 120"):
                    named_dataset(handle, "x", "a.h5")


def test_what_was_never_written_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle.create_dataset("x", (6, 4, 20), "u1", chunks=(2, 4, 20))[:2] = to_one_hot(CODES[:2])
    with caplog.at_level(logging.WARNING, "cislex"):
        run(tmp_path / "a.h5", dataset="x")
    assert "2 of 3 chunks were never written" in caplog.text
    assert "4 of 6 sequences have no known base: sequence_2 (row 3)" in caplog.text


@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_numpy_files_are_read(tmp_path: Path, kind: str, last: bool, dtype: str) -> None:
    values = to_one_hot(CODES).astype(dtype)
    values = values.transpose(0, 2, 1) if last else values
    path = tmp_path / ("a.npy" if kind == "npy" else "a.npz")
    labels = np.arange(6) % 2
    if kind == "npy":
        np.save(path, values)
    else:
        (np.savez_compressed if kind == "compressed" else np.savez)(path, x=values, y=labels)
        found = Hdf5Source(path=path, input_length=20, x="x", y="y").draw(0)
        assert sum(len(examples) for examples in found.values()) == 6
        source = LabelSource(dataset="y", hdf5=path)
        regions = pd.DataFrame({"chrom": [""] * 6, "source_line": range(1, 7)})
        assert read_labels(source, regions, Origin(), target="t").tolist() == labels.tolist()
    np.testing.assert_array_equal(run(path, dataset=None if kind == "npy" else "x"), to_one_hot(CODES))


def test_wrong_numpy_files_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", x=np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "flat.npy", CODES)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "objects.npz").read_bytes()[:60])
    (tmp_path / "cut.npy").write_bytes((tmp_path / "flat.npy").read_bytes()[:-7])
    for name, dataset, error, message in (
        ("objects.npy", None, InputError, "without dtype=object"),
        ("objects.npz", "x", InputError, "without dtype=object"),
        ("flat.npy", "array", InputError, r"found uint8 \(6, 20\)"),
        ("flat.npy", "x", ConfigError, "remove 'x'"),
        ("cut.npz", "x", InputError, "not a complete NumPy file"),
        ("cut.npy", None, InputError, "not a complete NumPy file"),
    ):
        with pytest.raises(error, match=message):
            run(tmp_path / name, dataset=dataset)
