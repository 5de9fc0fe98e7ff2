"""Loaders: each gives the same model back, and says what is wrong with a file that is not its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute
from cislex.errors import ConfigError, ModelError
from cislex.models import loading
from cislex.models.adapters import InputLayout
from cislex.models.architectures import build
from cislex.models.loading import (
    LoadedModel,
    check_model,
    load_model,
    name_outputs,
    resolve_device,
)
from cislex.training.train import save_checkpoint
from torch import nn

FACTORY = """
import torch
from neighbour import WIDTH

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, WIDTH, 5)
        self.dense = torch.nn.Linear(WIDTH, 2)

    def forward(self, x):
        return self.dense(self.conv(x).relu().mean(-1))

def build():
    return Net()

def broken():
    raise ValueError("no such file: vocabulary.txt")

def number():
    return 3
"""
LENGTH = 60


@pytest.fixture
def factory(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("WIDTH = 3\n")
    (tmp_path / "net.py").write_text(FACTORY)
    return tmp_path / "net.py"


def small() -> nn.Module:
    return nn.Sequential(nn.Conv1d(4, 3, 5), nn.Flatten(), nn.Linear(3 * (LENGTH - 4), 2)).eval()


def sequences() -> torch.Tensor:
    codes = torch.randint(0, 4, (3, LENGTH), generator=torch.Generator().manual_seed(1))
    return nn.functional.one_hot(codes, 4).transpose(1, 2).float()


def factory_state(prefix: str = "") -> dict[str, torch.Tensor]:
    shapes = {"conv.weight": (3, 4, 5), "conv.bias": (3,), "dense.weight": (2, 3), "dense.bias": (2,)}
    generator = torch.Generator().manual_seed(2)
    return {prefix + name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def test_a_trained_checkpoint_comes_back(tmp_path: Path) -> None:
    settings = {"tasks": 2, "input_length": LENGTH, "filters": 4}
    model = build("cnn", **settings).eval()
    save_checkpoint(model, tmp_path / "w.pt", architecture="cnn", hyperparameters=settings, tasks=["a", "b"])
    loaded = load_model("trained", weights=tmp_path / "w.pt")
    assert loaded.input_length == LENGTH
    assert not loaded.model.training
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(sequences()), model(sequences()), rtol=0, atol=0)


def test_the_same_weights_give_the_same_bytes_under_any_name(tmp_path: Path) -> None:
    settings = {"tasks": 1, "input_length": LENGTH}
    model = build("cnn", **settings)
    for name in ("a.pt", "other.pt"):
        save_checkpoint(model, tmp_path / name, architecture="cnn", hyperparameters=settings, tasks=["a"])
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "other.pt").read_bytes()


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("wrapper", [None, "state_dict"])
def test_a_factory_takes_weights_with_wrappers_prefixes(
    factory: Path, tmp_path: Path, prefix: str, wrapper: str | None
) -> None:
    state = factory_state(prefix)
    torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, tmp_path / "w.pt")
    loaded = load_model("factory", module=f"{factory}:build", weights=tmp_path / "w.pt")
    for name, tensor in factory_state().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], tensor)


def test_a_submodule_called_module_is_no_prefix(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\nclass N(torch.nn.Module):\n    def __init__(s):\n        super().__init__()\n"
        "        s.module = torch.nn.Linear(1, 1)\ndef build():\n    return N()\n"
    )
    torch.save({"module.weight": torch.ones(1, 1), "module.bias": torch.ones(1)}, tmp_path / "w.pt")
    loaded = load_model("factory", module=f"{tmp_path / 'net.py'}:build", weights=tmp_path / "w.pt")
    assert loaded.model.state_dict()["module.weight"].item() == 1


def test_missing_and_unexpected_weights_are_listed(factory: Path, tmp_path: Path) -> None:
    state = factory_state()
    state["densse.bias"] = state.pop("dense.bias")
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"missing dense\.bias; unexpected densse\.bias"):
        load_model("factory", module=f"{factory}:build", weights=tmp_path / "w.pt")


def test_weights_of_another_shape_are_listed(factory: Path, tmp_path: Path) -> None:
    torch.save({**factory_state(), "dense.bias": torch.zeros(5)}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"dense\.bias \(5,\) in the file, \(2,\) in the model"):
        load_model("factory", module=f"{factory}:build", weights=tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "raised ValueError: no such file: vocabulary"),
        ("number", "returned int"),
        ("missing", "no function 'missing'; it has .*build"),
    ],
)
def test_a_factory_that_fails_is_named(factory: Path, tmp_path: Path, name: str, message: str) -> None:
    torch.save(factory_state(), tmp_path / "w.pt")
    with pytest.raises(ModelError, match=message):
        load_model("factory", module=f"{factory}:{name}", weights=tmp_path / "w.pt")


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import no_such_package_at_all\n")
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="cannot be imported: ModuleNotFoundError"):
        load_model("factory", module=f"{tmp_path / 'net.py'}:build", weights=tmp_path / "w.pt")


def test_a_pickle_needs_the_users_word(tmp_path: Path) -> None:
    model = small()
    torch.save(model, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="trust_pickle"):
        load_model("pickled", weights=tmp_path / "w.pt")
    loaded = load_model("pickled", weights=tmp_path / "w.pt", trust_pickle=True)
    torch.testing.assert_close(loaded.model(sequences()), model(sequences()))
    for loader, module in (("trained", None), ("factory", __file__ + ":small")):
        with pytest.raises(ModelError, match=r"contains torch\.nn\S* in addition to tensors"):
            load_model(loader, weights=tmp_path / "w.pt", module=module, trust_pickle=True)


def test_an_exported_program_comes_back(tmp_path: Path) -> None:
    model = small()
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(model, (sequences(),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "w.pt2")
    loaded = load_model("exported", weights=tmp_path / "w.pt2")
    torch.testing.assert_close(loaded.model(sequences()), model(sequences()))
    assert check_model(loaded, LENGTH) == {"output": (2,)}
    with pytest.raises(ModelError, match="regions' length"):
        check_model(loaded, LENGTH + 1)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_program_of_one_batch_size_takes_any(rows: int, tmp_path: Path) -> None:
    model = small()
    example = sequences()[:1].expand(rows, -1, -1).contiguous()
    torch.export.save(torch.export.export(model, (example,)), tmp_path / "w.pt2")
    loaded = load_model("exported", weights=tmp_path / "w.pt2")
    torch.testing.assert_close(loaded.model(sequences()), model(sequences()))
    assert check_model(loaded, LENGTH) == {"output": (2,)}
    reverse = {"channel_order": "TGCA"}
    adapted = load_model("exported", weights=tmp_path / "w.pt2", layout=reverse).model
    method = DeepLiftShap(references=DinucleotideShuffle(n=3))
    found = attribute(adapted, sequences().to(torch.uint8), method, target=1)
    wanted = attribute(InputLayout(**reverse).wrap(model), sequences().to(torch.uint8), method, target=1)
    torch.testing.assert_close(found.hypothetical, wanted.hypothetical, atol=1e-5, rtol=1e-4)


def test_safetensors_are_read(factory: Path, tmp_path: Path) -> None:
    safetensors.torch.save_file(factory_state("module."), tmp_path / "w.safetensors")
    loaded = load_model("factory", module=f"{factory}:build", weights=tmp_path / "w.safetensors")
    for name, tensor in factory_state().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], tensor)
    (tmp_path / "w.safetensors").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"w\.safetensors: cannot be read"):
        load_model("factory", module=f"{factory}:build", weights=tmp_path / "w.safetensors")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_program_comes_back(tmp_path: Path) -> None:
    model = small()
    torch.jit.trace(model, sequences()).save(str(tmp_path / "w.pt"))
    loaded = load_model("torchscript", weights=tmp_path / "w.pt")
    torch.testing.assert_close(loaded.model(sequences()), model(sequences()))


def test_the_digest_follows_weights_and_source(factory: Path, tmp_path: Path) -> None:
    torch.save(factory_state(), tmp_path / "w.pt")

    def digest() -> str:
        return load_model("factory", module=f"{factory}:build", weights=tmp_path / "w.pt").digest

    before = digest()
    assert before == digest()
    factory.write_text(FACTORY + "\n# a comment\n")
    edited = digest()
    torch.save({name: tensor + 1 for name, tensor in factory_state().items()}, tmp_path / "w.pt")
    assert len({before, edited, digest()}) == 3


@pytest.mark.parametrize("loader", ["trained", "factory", "pickled", "exported", "torchscript"])
def test_missing_and_damaged_files_are_named(loader: str, factory: Path, tmp_path: Path) -> None:
    options = {"module": f"{factory}:build" if loader == "factory" else None, "trust_pickle": True}
    with pytest.raises(ModelError, match="no such file"):
        load_model(loader, weights=tmp_path / "absent.pt", **options)
    (tmp_path / "w.pt").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"w\.pt"):
        load_model(loader, weights=tmp_path / "w.pt", **options)


def test_a_job_imports_the_loader_of_its_model_and_no_other(tmp_path: Path) -> None:
    settings = {"tasks": 1, "input_length": LENGTH}
    save_checkpoint(
        build("cnn", **settings), tmp_path / "w.pt", architecture="cnn", hyperparameters=settings, tasks=["a"]
    )
    program = (
        "import sys; from cislex.models.loading import load_model;"
        "load_model('trained', weights=sys.argv[1]);"
        "print(*sorted(n for n in sys.modules if n.startswith('cislex.models.loaders.')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "w.pt")],
        env={**os.environ, "PYTHONPATH": str(Path(loading.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["cislex.models.loaders.trained"]


def test_unknown_loaders_and_devices_are_named(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="expected one of alphagenome, architecture, borzoi"):
        load_model("theano", weights=tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="needs module"):
        load_model("factory", weights=tmp_path / "w.pt")
    with pytest.raises(ModelError, match="no such file: nowhere"):
        load_model("factory", module="nowhere.py:build", weights=tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="expected auto, cpu, cuda"):
        resolve_device("gpu7")


def test_a_trained_model_without_its_keys_is_named(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="lacks architecture, hyperparameters, state_dict; it has weights"):
        load_model("trained", weights=tmp_path / "w.pt")


def test_check_model_finds_nan_wrong_axes_and_wrong_lengths() -> None:
    damaged = small()
    with torch.no_grad():
        damaged[2].bias.fill_(torch.nan)
    with pytest.raises(ModelError, match="NaN"):
        check_model(LoadedModel(damaged, ""), LENGTH)
    with pytest.raises(ModelError, match="takes 200 bp and the regions are 60 bp"):
        check_model(LoadedModel(small(), "", 200), LENGTH)
    with pytest.raises(ModelError, match="Does the regions' length match"):
        check_model(LoadedModel(small(), ""), LENGTH + 4)
    with pytest.raises(ModelError, match=r"expected \(2, …\)"):
        check_model(LoadedModel(nn.Flatten(0), ""), LENGTH)


def test_outputs_are_named_in_the_models_order() -> None:
    a, b = torch.zeros(2), torch.ones(2)
    assert list(name_outputs(a)) == ["output"]
    assert list(name_outputs(a, ["counts"])) == ["counts"]
    assert list(name_outputs((a, b))) == ["output_0", "output_1"]
    assert list(name_outputs((a, b), ["profile", "counts"])) == ["profile", "counts"]
    assert list(name_outputs({"z": a, "y": b})) == ["z", "y"]
    with pytest.raises(ModelError, match="names 1 tensors"):
        name_outputs((a, b), ["profile"])
    with pytest.raises(ModelError, match="must return tensors; found a: int"):
        name_outputs({"a": 3})


def test_loading_leaves_the_import_path_alone(factory: Path, tmp_path: Path) -> None:
    import sys

    before = list(sys.path)
    torch.save(factory_state(), tmp_path / "w.pt")
    load_model("factory", module=f"{factory}:build", weights=tmp_path / "w.pt")
    assert sys.path == before
    assert loading.__name__ == "cislex.models.loading"
