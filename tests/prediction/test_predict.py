"""Predictions: the model's own numbers, whatever the batch size, with every fold kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from cislex.errors import ConfigError, InputError, ModelError
from cislex.files.tables import FORMAT_VERSION, read_regions, write_regions
from cislex.models.architectures import build
from cislex.models.loading import load_model
from cislex.prediction import predict as predict_module
from cislex.prediction.predict import predict_regions
from cislex.training.train import save_checkpoint

ROOT = Path(__file__).resolve().parents[2]
N, LENGTH = 23, 70
TARGETS = {"first": {"kind": "output", "index": 0}, "second": {"kind": "output", "index": 1}}


def write_store(path: Path, *, n: int = N, length: int = LENGTH, seed: int = 0) -> np.ndarray:
    codes = np.random.default_rng(seed).integers(0, 5, size=(n, length))
    onehot = (codes[:, None, :] == np.arange(4)[:, None]).astype(np.uint8)
    regions = pd.DataFrame(
        {
            "chrom": ["chrI"] * n,
            "start": np.arange(n) * 100,
            "end": np.arange(n) * 100 + length,
            "name": [f"peak_{i}" for i in range(n)],
            "strand": ["+", "-"] * (n // 2) + ["."] * (n % 2),
        }
    )
    with h5py.File(path, "w") as handle:
        handle["sequences"] = onehot
        write_regions(handle, regions)
        handle.attrs.update(
            {"format_version": FORMAT_VERSION, "source_digest": "x", "source": "toy", "has_coordinates": True}
        )
    return onehot


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_store(tmp_path / "sequences.h5")
    settings = {"tasks": 2, "input_length": LENGTH, "filters": 6}
    for fold in range(2):
        torch.manual_seed(fold)
        save_checkpoint(
            build("cnn", **settings),
            tmp_path / f"{fold}.pt",
            architecture="cnn",
            hyperparameters=settings,
            tasks=["a", "b"],
        )
    return tmp_path


def predict(folder: Path, **options: object) -> tuple[pd.DataFrame, h5py.File]:
    predict_regions(
        folder / "sequences.h5",
        options.pop("weights", {f"fold_{i}": folder / f"{i}.pt" for i in range(2)}),
        folder / "predictions.h5",
        folder / "predictions.tsv",
        **{"wanted": TARGETS, "loader": "trained", "device": "cpu", **options},
    )
    return pd.read_csv(folder / "predictions.tsv", sep="\t"), h5py.File(folder / "predictions.h5")


def factory(folder: Path, forward: str) -> dict[str, object]:
    """Options of a factory model of one weight whose ``forward(x)`` is the given expression."""
    (folder / "net.py").write_text(
        "import torch\nclass N(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.w = torch.nn.Parameter(torch.ones(1))\n"
        f"    def forward(self, x):\n        return {forward}\ndef build():\n    return N()\n"
    )
    torch.save({"w": torch.ones(1)}, folder / "n.pt")
    return {
        "weights": {"only": folder / "n.pt"},
        "loader": "factory",
        "module": f"{folder / 'net.py'}:build",
        "wanted": {"t": {"kind": "output", "index": 0, "head": 0}},
    }


def test_predictions_are_the_models_and_the_table_their_mean(folder: Path) -> None:
    table, file = predict(folder)
    with file, h5py.File(folder / "sequences.h5") as store:
        sequences = torch.from_numpy(store["sequences"][:]).float()
        expected = []
        for i in range(2):
            with torch.no_grad():
                logits = load_model("trained", weights=folder / f"{i}.pt").model(sequences).numpy()
            np.testing.assert_allclose(file[f"predictions/fold_{i}/output"][:], logits, rtol=1e-5, atol=1e-6)
            expected.append(logits)
        assert file["predictions/fold_0/output"].dtype == np.float32
        pd.testing.assert_frame_equal(read_regions(file), read_regions(store))
    np.testing.assert_allclose(table[["first", "second"]], np.mean(expected, axis=0), rtol=1e-4, atol=1e-5)
    assert list(table.columns) == ["chrom", "start", "end", "name", "strand", "first", "second"]
    assert table["start"].tolist() == [100 * i for i in range(N)]


def test_targets_may_be_the_mean_of_both_strands(folder: Path) -> None:
    table, file = predict(folder, reverse_complement=True)
    with file, h5py.File(folder / "sequences.h5") as store:
        sequences = torch.from_numpy(store["sequences"][:]).float()
        expected = []
        for i in range(2):
            model = load_model("trained", weights=folder / f"{i}.pt").model
            with torch.no_grad():
                given, other = model(sequences), model(sequences.flip(1, 2))
            expected.append(((given + other) / 2).numpy())
            np.testing.assert_allclose(file[f"predictions/fold_{i}/output"][:], given, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(table[["first", "second"]], np.mean(expected, axis=0), rtol=1e-4, atol=1e-5)


def test_a_region_may_be_predicted_by_the_fold_that_held_it_out(folder: Path) -> None:
    with h5py.File(folder / "sequences.h5", "r+") as store:
        store["regions/chrom"][:] = ["chrI" if i % 3 else "chrII" for i in range(N)]
    whole = {f"fold_{i}": predict(folder, weights={f"fold_{i}": folder / f"{i}.pt"})[0] for i in range(2)}
    table, file = predict(folder, held_out={"fold_0": ["chrI"], "fold_1": ["chrII"]})
    file.close()
    for i, chrom in enumerate(table["chrom"]):
        owner = "fold_0" if chrom == "chrI" else "fold_1"
        assert table["first"][i] == pytest.approx(whole[owner]["first"][i], rel=1e-4, abs=1e-5)
    with pytest.raises(InputError, match="no fold held out: chrII"):
        predict(folder, held_out={"fold_0": ["chrI"], "fold_1": ["chrV"]})


def test_the_batch_size_does_not_matter(folder: Path) -> None:
    found = []
    for size in (1, 7, None):
        with predict(folder, batch_size=size)[1] as file:
            found.append(file["predictions/fold_1/output"][:])
    np.testing.assert_allclose(found[0], found[2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], found[2], rtol=1e-5, atol=1e-6)


def test_short_memory_halves_the_batch_and_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with predict(folder)[1] as file:
        expected = file["predictions/fold_0/output"][:]
    name = predict_module.name_outputs

    def short(output: torch.Tensor, names: object = ()) -> dict:
        if len(output) > 5:
            raise torch.OutOfMemoryError("pretended")
        return name(output, names)

    monkeypatch.setattr(predict_module, "name_outputs", short)
    with predict(folder)[1] as file:
        np.testing.assert_allclose(file["predictions/fold_0/output"][:], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("forward", "names", "shapes"),
    [
        ("(x[:, 0], x.sum((1, 2)))", [], {"output_0": (N, LENGTH), "output_1": (N,)}),
        ("(x[:, 0], x.sum((1, 2)))", ["profile", "counts"], {"profile": (N, LENGTH), "counts": (N,)}),
        ("x[:, :2]", ["tracks"], {"tracks": (N, 2, LENGTH)}),
    ],
)
def test_all_outputs_of_any_form_are_kept(folder: Path, forward: str, names: list[str], shapes: dict) -> None:
    options = factory(folder, forward)
    if "tracks" in names:
        options["wanted"] = {"t": {"kind": "output", "index": [0, 0]}}
    table, file = predict(folder, outputs=names, **options)
    with file:
        assert {key: value.shape for key, value in file["predictions/only"].items()} == shapes
        first = np.asarray(file["predictions/only"][next(iter(shapes))]).reshape(N, -1)[:, 0]
    np.testing.assert_allclose(table["t"], first)


def test_a_dict_keeps_its_keys(folder: Path) -> None:
    options = factory(folder, '{"counts": x.sum((1, 2)), "profile": x[:, 1]}')
    options["wanted"] = {"t": {"kind": "output", "index": 0, "head": "counts"}}
    table, file = predict(folder, **options)
    with file:
        assert set(file["predictions/only"]) == {"counts", "profile"}
        np.testing.assert_allclose(table["t"], file["predictions/only/counts"][:])


def test_no_regions_give_empty_outputs(folder: Path) -> None:
    write_store(folder / "sequences.h5", n=0)
    table, file = predict(folder)
    with file:
        assert file["predictions/fold_0/output"].shape == (0, 2)
    assert len(table) == 0
    assert list(table.columns)[-2:] == ["first", "second"]


def test_nan_for_one_region_names_it_and_leaves_nothing(folder: Path) -> None:
    with h5py.File(folder / "sequences.h5", "r+") as store:
        store["sequences"][17] = 0
    options = factory(folder, "x.sum((1, 2), keepdim=True)[:, 0] / x.sum((1, 2), keepdim=True)[:, 0]")
    options["wanted"] = {"t": {"kind": "output", "index": 0}}
    with pytest.raises(ModelError, match="only: output output is NaN or infinite for chrI:1700-1770"):
        predict(folder, **options)
    assert not (folder / "predictions.h5").exists()
    assert not (folder / "predictions.tsv").exists()


def test_what_cannot_be_predicted_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no fold"):
        predict(folder, weights={})
    with pytest.raises(ModelError, match=r"target 't', .*: index 7 is out of range"):
        predict(folder, wanted={"t": {"kind": "output", "index": 7}})
    write_store(folder / "sequences.h5", length=90)
    with pytest.raises(ModelError, match="takes 70 bp and the regions are 90 bp"):
        predict(folder)
    assert not (folder / "predictions.h5").exists()


def test_tensorfloat_is_off_inside_and_as_before_after() -> None:
    conv = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = conv.fp32_precision
    with predict_module._exact_float32():
        assert conv.fp32_precision == "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert conv.fp32_precision == before


def test_the_script_predicts_from_a_rules_job(folder: Path) -> None:
    code = f"""
import runpy
from types import SimpleNamespace
out = {str(folder)!r}
job = SimpleNamespace(
    scriptdir={str(ROOT / "scripts")!r}, log=[out + "/log.txt"], threads=1,
    input=SimpleNamespace(sequences=out + "/sequences.h5", weights=[out + "/0.pt", out + "/1.pt"]),
    output=SimpleNamespace(predictions=out + "/p.h5", table=out + "/p.tsv"),
    params=SimpleNamespace(folds=["fold_0", "fold_1"], options={{
        "wanted": {TARGETS!r}, "device": "auto",
        "loader": "trained", "module": None, "trust_pickle": False}}),
)
runpy.run_path({str(ROOT / "scripts" / "predict_regions.py")!r}, init_globals={{"snakemake": job}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    log = folder / "log.txt"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    assert len(pd.read_csv(folder / "p.tsv", sep="\t")) == N


def test_targets_before_an_activation_are_what_attribution_explains(folder: Path) -> None:
    """The file keeps the model's output; the table has the logit of the target."""
    options = factory(folder, "torch.sigmoid(self.w * x[:, 0].sum(1, keepdim=True) - 20)")
    options["wanted"] = {
        "logit": {"kind": "output", "pre_activation": True},
        "probability": {"kind": "output"},
    }
    table, file = predict(folder, **options)
    with file, h5py.File(folder / "sequences.h5") as store:
        logits = store["sequences"][:, 0].sum(1, dtype=np.float64) - 20
        probability = 1 / (1 + np.exp(-logits))
        np.testing.assert_allclose(file["predictions/only/output"][:, 0], probability, rtol=1e-5)
    np.testing.assert_allclose(table["logit"], logits, rtol=1e-6)
    np.testing.assert_allclose(table["probability"], probability, rtol=1e-5)


HEADS = {
    "all": ["a", "b.0", "b.1"],
    "heads": ["a", "b.1"],
    "targets": [],
    "auto": ["a", "b.0", "b.1"],
}


@pytest.mark.parametrize("keep", HEADS)
def test_outputs_are_kept_as_asked_and_targets_always(folder: Path, keep: str) -> None:
    made = factory(folder, "{'a': self.w * x.sum(2), 'b': (x[:, :2], x[:, 2:] * 2)}")
    difference = {
        "kind": "difference",
        "a": {"kind": "output", "head": "a", "index": 1},
        "b": {"kind": "output", "head": "b.1", "index": [0, 3]},
    }
    table, file = predict(folder, **{**made, "wanted": {"t": difference}}, keep=keep)
    with file, h5py.File(folder / "sequences.h5") as store:
        x = store["sequences"][:].astype(np.float32)
        expected = {"a": x.sum(2), "b.0": x[:, :2], "b.1": x[:, 2:] * 2}
        assert list(file["predictions/only"]) == HEADS[keep]
        for name in HEADS[keep]:
            np.testing.assert_array_equal(file[f"predictions/only/{name}"][:], expected[name])
        wanted = x[:, 1].sum(1) - 2 * x[:, 2, 3]  # b.1 begins at G
        np.testing.assert_array_equal(file["targets/only/t"][:], wanted)
        assert file.attrs["outputs"] == keep
    np.testing.assert_allclose(table["t"], wanted)


def test_large_outputs_are_left_out_by_default_and_this_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cislex.prediction.kept_outputs.KEPT_BYTES", 4 * N * 2 * 2 - 1)
    _, file = predict(folder)
    with file:
        assert list(file["predictions/fold_1"]) == []
        assert list(file["targets/fold_1"]) == ["first", "second"]
    assert "predictions.h5 contains only the targets" in caplog.text


def test_all_outputs_are_heads_where_a_target_is_read_before_them(folder: Path) -> None:
    before = {"t": {"kind": "output", "index": 0, "pre_activation": True}}
    made = factory(folder, "(torch.sigmoid(self.w * x.sum(2)), x)")
    before["t"]["head"] = 0
    _, file = predict(folder, **{**made, "wanted": before}, keep="heads")
    with file:
        assert list(file["predictions/only"]) == ["output_0", "output_1"]
