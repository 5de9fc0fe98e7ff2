"""References that were saved are replayed bit for bit, found by sequence, never whole in memory."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import attribution_models as models
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from cislex.attribution import (
    DeepLiftShap,
    DinucleotideShuffle,
    ExpectedGradients,
    FixedReferences,
    IntegratedGradients,
    Saliency,
    Shuffle,
    Uniform,
    attribute,
    load_references,
    make_references,
    save_references,
)
from cislex.attribution.methods import Method
from cislex.attribution.references import number_of
from cislex.errors import InputError, StorageError
from cislex.files.sealed import seal
from cislex.files.tables import read_regions
from torch import Tensor

X = models.one_hot(5, 60, unknown=True)
SEEDS = np.array([7, 1, 2**31 - 1, 0, 12])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "references.h5"


@pytest.mark.parametrize(
    "kind", [DinucleotideShuffle(n=3), Shuffle(n=2, seed=4), Uniform((0.1, 0.2, 0.3, 0.4))]
)
@pytest.mark.parametrize("block", [1, 2, None])
def test_what_was_saved_comes_back(path: Path, kind: Any, block: int | None) -> None:
    save_references(path, kind, X, seeds=SEEDS, block=block)
    saved = load_references(path)
    expected = make_references(kind, X, SEEDS)
    assert number_of(saved) == len(expected[0])
    assert len(saved) == 5
    made = make_references(saved, X, SEEDS)
    assert made.dtype == expected.dtype
    assert torch.equal(made, expected)
    assert torch.equal(make_references(saved, X), expected), "seeds are not needed to replay"
    chosen = [4, 0, 2, 0]
    assert torch.equal(make_references(saved, X[chosen]), expected[chosen])
    assert torch.equal(make_references(pickle.loads(pickle.dumps(saved)), X[1:]), expected[1:])


@pytest.mark.parametrize(
    "method",
    [
        DeepLiftShap(DinucleotideShuffle(n=3)),
        IntegratedGradients(4, references=DinucleotideShuffle(n=2)),
        ExpectedGradients(DinucleotideShuffle(n=4)),
        Saliency(Shuffle(n=2)),
    ],
)
@pytest.mark.parametrize("batch_size", [None, 1])
def test_replayed_attributions_are_equal_bit_for_bit(
    path: Path, method: Method, batch_size: int | None
) -> None:
    model = models.trap("dropout")
    save_references(path, method.references, X, seeds=SEEDS)
    replay = type(method)(**{**vars(method), "references": load_references(path)})
    first = attribute(model, X, method, seeds=SEEDS, batch_size=batch_size)
    again = attribute(model, X, replay, seeds=SEEDS, batch_size=batch_size)
    for name in ("multipliers", "baseline", "prediction", "delta", "reference_prediction", "products"):
        one, other = getattr(first, name), getattr(again, name)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.numpy().tobytes() == other.numpy().tobytes(), name


def test_only_the_rows_asked_for_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_references(path, DinucleotideShuffle(n=3), X)
    read = []
    plain = h5py.Dataset.__getitem__

    def counted(dataset: h5py.Dataset, key: Any, *rest: Any) -> Any:
        found = plain(dataset, key, *rest)
        if dataset.name == "/references":
            read.append(len(found))
        return found

    saved = load_references(path)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    saved(X[[0, 1, 4]])
    assert read == [2, 1]


def test_the_file_is_what_the_documentation_says(path: Path) -> None:
    regions = pd.DataFrame(
        {"chrom": "chrI", "start": range(5), "end": range(60, 65), "name": list("abcde"), "strand": "+"}
    )
    save_references(path, DinucleotideShuffle(n=2), X, seeds=SEEDS, regions=regions)
    with h5py.File(path) as handle:
        assert handle["references"].shape == (5, 2, 4, 60)
        assert handle["references"].dtype == np.uint8
        assert handle["references"].chunks == (1, 2, 4, 60)
        assert handle["seeds"][:].tolist() == SEEDS.tolist()
        assert len(set(handle["sequence_digests"][:].tolist())) == 5
        assert (
            handle.attrs["made_from"] == "DinucleotideShuffle(n=2, seed=0, start=0, end=-1, sampling='auto')"
        )
        pd.testing.assert_frame_equal(read_regions(handle), regions, check_dtype=False)


@pytest.mark.parametrize("shared", [True, False])
def test_a_tensor_is_saved(path: Path, shared: bool) -> None:
    given = models.one_hot(10, 60, seed=3).reshape(5, 2, 4, 60)
    tensor = given[0] if shared else given
    save_references(path, tensor, X, block=2)
    expected = make_references(FixedReferences(tensor), X)
    assert torch.equal(load_references(path)(X), expected)


def test_one_sequence_with_several_seeds_is_told_apart_by_them(path: Path) -> None:
    x, seeds = X[[0, 0, 2, 0]], [3, 8, 3, 3]
    save_references(path, DinucleotideShuffle(n=2), x, seeds=seeds)
    saved = load_references(path)
    expected = make_references(DinucleotideShuffle(n=2), x, seeds)
    assert torch.equal(saved(x, seeds), expected)
    assert torch.equal(saved(x[[1, 0]], [8, 3]), expected[[1, 0]])
    assert torch.equal(saved(x[2:3]), expected[2:3])
    with pytest.raises(InputError, match=r"example 0 several times.*give the seeds"):
        saved(x)
    with pytest.raises(InputError, match="several times"):
        saved(x[:1], [4])


def test_twins_that_cannot_be_told_apart_are_not_saved(path: Path) -> None:
    given = models.one_hot(10, 60, seed=3).reshape(5, 2, 4, 60)
    with pytest.raises(InputError, match="different references at 0 and 3: a replay"):
        save_references(path, given, X[[0, 1, 2, 0, 4]])
    assert not path.exists()
    save_references(path, given[[0, 1, 2, 0, 4]], X[[0, 1, 2, 0, 4]])
    assert torch.equal(load_references(path)(X[[0, 0]]), given[[0, 0]])


def test_other_sequences_are_refused(path: Path) -> None:
    save_references(path, DinucleotideShuffle(n=2), X)
    saved = load_references(path)
    changed = X.clone()
    changed[[1, 3]] = changed[[1, 3]].roll(1, dims=1)  # every base replaced
    with pytest.raises(InputError, match=r"other sequences: it has none for examples 1, 3 of 5"):
        make_references(saved, changed)
    with pytest.raises(InputError, match="found sequences of 59 bp, expected 60 bp"):
        attribute(models.trap("dropout"), X[:, :, 1:], DeepLiftShap(saved))
    with pytest.raises(InputError, match="other sequences"):
        attribute(models.trap("dropout"), changed[1:], DeepLiftShap(saved))


@pytest.mark.parametrize(
    ("references", "options", "text"),
    [
        (torch.zeros(4, 2, 4, 60), {}, "found 4 rows, expected 5"),
        (torch.zeros(2, 4, 50), {}, "references: found shape"),
        (DinucleotideShuffle(), {"seeds": [1]}, r"expected \(5,\)"),
        (DinucleotideShuffle(), {"regions": pd.DataFrame({"chrom": ["a"]})}, "found 1 rows, expected 5"),
    ],
)
def test_what_does_not_fit_is_not_saved(
    path: Path, references: Any, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(InputError, match=text):
        save_references(path, references, X, **options)
    with pytest.raises(InputError, match="no sequences"):
        save_references(path, DinucleotideShuffle(), X[:0])
    assert not path.exists()


def test_values_that_come_late_are_not_rounded(path: Path) -> None:
    def late(sequences: Tensor) -> Tensor:
        is_last = (sequences == X[4]).all((1, 2))[:, None, None]
        return torch.where(is_last, sequences * 0.5, sequences.float())[:, None]

    with pytest.raises(InputError, match=r"0 and 1 from sequence 4 on.*block=5"):
        save_references(path, late, X, block=2)
    save_references(path, late, X, block=5)
    assert torch.equal(load_references(path)(X), make_references(late, X))


def test_broken_files_are_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_references(path)
    save_references(path, DinucleotideShuffle(n=2), X)
    saved = load_references(path)
    with h5py.File(path) as handle:
        place = handle["references"].id.get_chunk_info(2).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 3] ^= 0xFF
    path.write_bytes(content)
    assert len(saved(X[:1])) == 1
    with pytest.raises(StorageError, match="damaged"):
        saved(X)
    save_references(path, DinucleotideShuffle(n=2, seed=1), X)
    with pytest.raises(StorageError, match="has changed since it was loaded"):
        saved(X)
    with h5py.File(path, "a") as handle:
        handle.attrs["format_version"] = 99
        seal(handle)
    with pytest.raises(StorageError, match="format 99"):
        load_references(path)
    with h5py.File(path, "a") as handle:
        del handle["sequence_digests"]
    with pytest.raises(StorageError, match="lacks sequence_digests"):
        load_references(path)


def test_any_sequence_without_references_is_named_before_the_model_runs(tmp_path: Path) -> None:
    x = torch.eye(4, dtype=torch.uint8)[torch.randint(4, (5, 30))].transpose(1, 2).contiguous()
    save_references(tmp_path / "r.h5", DinucleotideShuffle(n=2), x[:4])
    calls = []

    def never(module: torch.nn.Module, inputs: object) -> None:
        calls.append(inputs)

    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(120, 1))
    model.register_forward_pre_hook(never)
    with pytest.raises(InputError, match="saved references"):
        attribute(model, x, DeepLiftShap(load_references(tmp_path / "r.h5")), batch_size=2)
    assert not calls
