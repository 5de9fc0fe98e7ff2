"""Sources: labelled FASTA files and HDF5 arrays give the windows and splits that they promise."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from cislex.errors import ConfigError, InputError
from cislex.models.loading import load_model
from cislex.training.heads import LossSettings
from cislex.training.sources import Hdf5Source, LabelSource, make_source, truth_of
from cislex.training.train import Optimisation, train_model

OUTPUTS = ("w.pt", "t.tsv", "e.tsv", "h.tsv.gz")


def letters(rng: np.random.Generator, length: int, p: tuple[float, ...] = (0.25,) * 4) -> str:
    return "".join(rng.choice(list("ACGT"), length, p=p))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two labels: a folder of two files (one gzipped) with five sequences each, and one file of ten."""
    rng = np.random.default_rng(0)
    (tmp_path / "one").mkdir()
    text = ["".join(f">s{k}_{i}\n{letters(rng, 100 + 10 * i)}\n" for i in range(5)) for k in range(2)]
    (tmp_path / "one" / "b.fa").write_text(text[0])
    with gzip.open(tmp_path / "one" / "a.fasta.gz", "wt") as handle:
        handle.write(text[1])
    (tmp_path / "one" / "notes.txt").write_text("not sequences")
    (tmp_path / "two.fa").write_text(
        "".join(f">t{i}\n{letters(rng, 95)}\n" for i in range(10)) + ">short\nACGT\n"
    )
    return tmp_path


def labels_of(folder: Path, **options: object) -> LabelSource:
    labels = {"one": folder / "one", "two": folder / "two.fa"}
    return LabelSource(labels=labels, input_length=30, **options)


def test_sequences_are_cut_into_windows_and_held_out_whole(folders: Path) -> None:
    source = labels_of(folders, stride=20, validation_fraction=0.2, test_fraction=0.2)
    splits = source.draw(3)
    names = {split: set(windows.chrom) for split, windows in splits.items()}
    assert [len(names["validation"]), len(names["test"]), len(names["train"])] == [4, 4, 12]
    assert not names["train"] & names["test"]
    assert not names["train"] & names["validation"]
    records = (folders / "two.fa").read_text().split(">")[1:]
    sequences = dict(record.split("\n")[:2] for record in records)
    seen = 0
    for windows in splits.values():
        places = windows.places(np.zeros(len(windows), dtype=np.int64))
        codes, truth = windows.crop(*(np.arange(len(windows)), np.zeros((2, len(windows)), dtype=np.int64)[0],
                                      np.zeros(len(windows), dtype=bool)))  # fmt: skip
        for place, row, label in zip(places.itertuples(), codes, truth, strict=True):
            assert place.start % 20 == 0
            assert label.tolist() == ([1, 0] if place.chrom.startswith("s") else [0, 1])
            if place.chrom in sequences:
                assert "".join("ACGT"[c] for c in row) == sequences[place.chrom][place.start : place.end]
                seen += 1
    assert seen == 10 * 4, "windows at 0, 20, 40, 60 of 95 bp"
    again = source.draw(3)
    assert all(np.array_equal(again[s].codes, splits[s].codes) for s in splits)
    assert {*source.draw(4)["test"].chrom} != names["test"]


def test_blocks_of_one_sequence_do_not_overlap(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in "xy":
        (tmp_path / f"{label}.fa").write_text(f">{label}\n{letters(rng, 1000)}\n")
    source = LabelSource(labels={x: tmp_path / f"{x}.fa" for x in "xy"}, input_length=50, stride=10,
                         hold_out="blocks", validation_fraction=0.2, test_fraction=0.2)  # fmt: skip
    spans = {}
    for split, windows in source.draw(0).items():
        places = windows.places(np.zeros(len(windows), dtype=np.int64)).query("chrom == 'x'")
        spans[split] = (places["start"].min(), places["end"].max(), len(places))
    assert spans["train"][1] <= spans["validation"][0]
    assert spans["validation"][1] <= spans["test"][0]
    assert spans["test"][1] == 1000
    assert min(n for *_, n in spans.values()) >= 15


def test_labels_that_cannot_be_used_are_named(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "lonely.fa").write_text(">a\n" + "ACGT" * 50 + "\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "all_short.fa").write_text(">a\nACGT\n")
    cases = {
        "lonely.fa": "1 sequences with windows are too few",
        "empty": "holds no FASTA file",
        "all_short.fa": r"no window of 30 bp in 1 sequences \(1 are shorter\)",
    }
    for name, message in cases.items():
        source = LabelSource(labels={"one": folders / "one", "x": tmp_path / name}, input_length=30)
        with pytest.raises(InputError, match=message):
            source.draw(0)
    with pytest.raises(ConfigError, match="at least 2 classes"):
        LabelSource(labels={"one": "x.fa"}, input_length=30)
    with pytest.raises(ConfigError, match="sum to less than 1"):
        labels_of(folders, validation_fraction=0.5, test_fraction=0.5)


def write_arrays(path: Path, *, last: bool, **datasets: np.ndarray) -> Path:
    """HDF5 of codes as one-hot, channels in the last axis or the middle one, and of labels as they are."""
    with h5py.File(path, "w") as handle:
        for name, values in datasets.items():
            is_sequence = name.startswith("x")
            onehot = np.eye(4, dtype=np.int8)[values] if is_sequence else values
            handle[name] = onehot if last or not is_sequence else onehot.swapaxes(1, 2)
    return path


@pytest.mark.parametrize("last", [False, True])
def test_both_axis_orders_give_the_same_sequences(tmp_path: Path, last: bool) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, (40, 25)), rng.integers(0, 2, (40, 3))
    path = write_arrays(tmp_path / "d.h5", last=last, x_train=x, y_train=y)
    splits = Hdf5Source(path=path, input_length=25, validation_fraction=0.25, test_fraction=0.1).draw(0)
    assert {split: len(windows) for split, windows in splits.items()} == {
        "train": 26,
        "validation": 10,
        "test": 4,
    }
    rows = []
    for windows in splits.values():
        for name, codes, truth in zip(windows.chrom, windows.codes, truth_of(windows), strict=True):
            row = int(name.removeprefix("x_train[").removesuffix("]"))
            rows.append(row)
            assert np.array_equal(codes, x[row])
            assert np.array_equal(truth, y[row])
    assert sorted(rows) == list(range(40)), "every example is in one split"


def test_named_datasets_are_held_out_as_given(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {f"x_{s}": rng.integers(0, 4, (n, 25)) for s, n in (("train", 20), ("valid", 6), ("test", 5))}
    arrays |= {f"y_{s}": rng.random(len(arrays[f"x_{s}"])) for s in ("train", "valid", "test")}
    path = write_arrays(tmp_path / "d.h5", last=True, **arrays)
    named = (("validation", "valid"), ("test", "test"))
    held_out = {f"{axis}_{split}": f"{axis}_{name}" for axis in "xy" for split, name in named}
    source = Hdf5Source(path=path, input_length=25, kind="numbers", names=["activity"], **held_out)
    splits = source.draw(0)
    assert source.outputs == ("activity",)
    for split, dataset in (("train", "train"), ("validation", "valid"), ("test", "test")):
        assert np.array_equal(splits[split].codes, arrays[f"x_{dataset}"])
        np.testing.assert_allclose(truth_of(splits[split])[:, 0], arrays[f"y_{dataset}"], rtol=1e-6)


def test_class_numbers_and_one_hot_classes_are_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, (30, 25)), rng.integers(0, 3, 30)
    path = write_arrays(tmp_path / "d.h5", last=False, x_train=x, y_train=y, onehot=np.eye(3)[y])
    numbers, onehot = (
        Hdf5Source(path=path, input_length=25, kind="classes", y=name).draw(0)["train"]
        for name in ("y_train", "onehot")
    )
    assert np.array_equal(truth_of(numbers), truth_of(onehot))
    assert numbers.tasks == ("output_0", "output_1", "output_2")


def test_arrays_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, (12, 25))
    labels = {"y_train": rng.random(12), "y_short": np.ones(5, int)}
    labels |= {"y_nan": np.full(12, np.nan), "y_flat": np.ones((12, 2), int)}
    path = write_arrays(tmp_path / "d.h5", last=True, x_train=x, **labels)
    cases = [
        ({}, InputError, "expected 0 or 1; for numbers use head: regression"),
        ({"y": "y_missing"}, InputError, "no dataset 'y_missing'; it has x_train"),
        ({"y": "y_short"}, InputError, "12 sequences in x_train, but 5 labels in y_short"),
        ({"y": "y_nan", "kind": "numbers"}, InputError, "expected finite numbers"),
        ({"y": "y_flat", "kind": "classes"}, InputError, "expected one 1 and else 0"),
        ({"input_length": 30}, InputError, "sequences of 25 bp; expected 30"),
        ({"names": ["a", "b"]}, ConfigError, "y_train has 1 outputs, but names are a, b"),
        ({"x_test": "x_train"}, ConfigError, "give both x_test and y_test"),
    ]
    for options, error, message in cases:
        with pytest.raises(error, match=message):
            Hdf5Source(**{"path": path, "input_length": 25, **options}).draw(0)
    with pytest.raises(ConfigError, match="expected one of peaks, signal, labels, hdf5"):
        make_source("bam", {})
    with pytest.raises(ConfigError, match="unexpected keyword argument 'lable'"):
        make_source("labels", {"lable": {}})


def test_an_lstm_tells_two_compositions_apart(tmp_path: Path) -> None:
    """Two classes of 20 kb, P(A, C, G, T) = (.1, .4, .4, .1) and uniform; windows of 50 bp every 50."""
    rng = np.random.default_rng(0)
    for label, p in (("skewed", (0.1, 0.4, 0.4, 0.1)), ("uniform", (0.25,) * 4)):
        (tmp_path / label).mkdir()
        (tmp_path / label / "sequence.fasta").write_text(f">{label}\n{letters(rng, 20000, p)}\n")
    source = LabelSource(
        labels={x: tmp_path / x for x in ("skewed", "uniform")}, input_length=50, hold_out="blocks"
    )
    paths = [tmp_path / name for name in OUTPUTS]
    train_model(
        source,
        *paths,
        loss=LossSettings("softmax"),
        optimisation=Optimisation(epochs=15, learning_rate=0.02),
        architecture="cnn_lstm",
        hyperparameters={
            "filters": 8, "second_filters": 16, "kernel": 8, "pool": 3, "hidden": 8, "dense": 4,
            "dropout": 0.0,
        },
        n_bootstrap=20,
    )  # fmt: skip
    table = pd.read_csv(paths[2], sep="\t")
    test = table[table["split"] == "test"]
    assert test["task"].tolist() == ["skewed", "uniform"]
    assert test["n"].tolist() == [120, 120]
    assert (test["accuracy"] > 0.93).all()
    assert (test["auroc"] > 0.97).all()
    model = load_model("trained", weights=paths[0]).model
    convolutions = [tuple(m.weight.shape) for m in model.modules() if type(m).__name__ == "Conv1d"]
    assert convolutions == [(8, 4, 8), (16, 8, 8)]
    dense = [tuple(m.weight.shape) for m in model.modules() if type(m).__name__ == "Linear"]
    assert dense == [(4, 16), (2, 4)]
