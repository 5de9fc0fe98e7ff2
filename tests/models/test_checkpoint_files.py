"""Files of weights as people have them: half precision, wrappers, objects beside tensors, damage."""

from __future__ import annotations

import argparse
import gzip
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, Saliency, attribute
from cislex.errors import ModelError
from cislex.models.loading import check_model, load_model, name_outputs
from cislex.targets import Output
from cislex.targets.outputs import select_head
from torch import Tensor, nn

LENGTH = 40
Heads = namedtuple("Heads", "profile counts")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.dense = nn.Conv1d(4, 6, 5), nn.BatchNorm1d(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.norm(self.conv(x)).relu().mean(-1))


class Casting(Net):
    """Casts its input to its weights' half precision, as published code does."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(torch.bfloat16)).float()


class CastingHalf(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.half())


def half() -> nn.Module:
    return Net().half()


def casting() -> nn.Module:
    return Casting().bfloat16()


def casting_half() -> nn.Module:
    return CastingHalf().half()


def double() -> nn.Module:
    return Net().double()


def plain() -> nn.Module:
    return Net()


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyConv1d(6, 5), nn.LazyBatchNorm1d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))


def leaving() -> nn.Module:
    sys.exit(3)


def sequences(n: int = 3) -> Tensor:
    codes = torch.randint(4, (n, LENGTH), generator=torch.Generator().manual_seed(0))
    return nn.functional.one_hot(codes, 4).transpose(1, 2).float()


def loaded(build: Callable[[], nn.Module], weights: Path) -> Any:
    return load_model("factory", module=f"{__file__}:{build.__name__}", weights=weights)


@pytest.mark.parametrize("build", [half, casting, casting_half, double])
@pytest.mark.parametrize("method", [Saliency(), DeepLiftShap(DinucleotideShuffle(n=2))])
def test_a_model_of_another_precision_gives_what_its_weights_give_in_its_own_or_float32(
    tmp_path: Path, build: Callable[[], nn.Module], method: Any
) -> None:
    saved = build().eval()
    torch.save(saved.state_dict(), tmp_path / "w.pt")
    model = loaded(build, tmp_path / "w.pt")
    assert check_model(model, LENGTH) == {"output": (2,)}
    plain = Net().eval()
    plain.load_state_dict(saved.float().state_dict())
    x = sequences()
    found, expected = (attribute(m, x, method, target=Output(1)) for m in (model.model, plain))
    torch.testing.assert_close(
        found.hypothetical, expected.hypothetical, rtol=1e-4, atol=1e-6, check_dtype=False
    )


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_lazy_layers_take_their_shapes_from_the_file(tmp_path: Path) -> None:
    saved = lazy()
    saved(sequences())
    torch.save(saved.state_dict(), tmp_path / "w.pt")
    model = loaded(lazy, tmp_path / "w.pt").model
    torch.testing.assert_close(model(sequences()), saved.eval()(sequences()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_dynamically_quantised_layers_are_named(tmp_path: Path) -> None:
    model = torch.ao.quantization.quantize_dynamic(Net().eval(), {nn.Linear})
    torch.save(model.state_dict(), tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"quantised.*use the model from before the quantisation"):
        loaded(plain, tmp_path / "w.pt")
    torch.save(model, tmp_path / "whole.pt")
    whole = load_model("pickled", weights=tmp_path / "whole.pt", trust_pickle=True)
    with pytest.raises(ModelError, match=r"dynamically quantised layers: dense \("):
        check_model(whole, LENGTH)


def lightning(monkeypatch: pytest.MonkeyPatch) -> type[dict[str, Any]]:
    """Lightning's class of hyper-parameters, under its own name."""
    place = "lightning.fabric.utilities.data"
    kind = type("AttributeDict", (dict,), {"__module__": place})
    parts = place.split(".")
    for depth in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:depth]), ModuleType(parts[depth - 1]))
    monkeypatch.setattr(sys.modules[place], "AttributeDict", kind, raising=False)
    return kind


def test_lightning_and_grelu_checkpoints_load_without_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Net().eval()
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    parameters = {
        "lr": np.float64(1e-3), "n": np.int64(3), "args": argparse.Namespace(folder=PurePosixPath("/a")),
        "classes": np.array([1.0, 2.0]), "names": np.array(["a"]), "where": Path("/data"),
    }  # fmt: skip
    checkpoint = {
        "state_dict": {**state, "loss.pos_weight": torch.ones(2)},
        "hyper_parameters": lightning(monkeypatch)(parameters),
        "epoch": 3,
    }
    torch.save(checkpoint, tmp_path / "w.ckpt")
    monkeypatch.undo()
    torch.testing.assert_close(loaded(plain, tmp_path / "w.ckpt").model(sequences()), model(sequences()))


def test_objects_beside_tensors_never_bring_pytorchs_advice(tmp_path: Path) -> None:
    torch.save({"state_dict": Net().state_dict(), "net": Net()}, tmp_path / "w.pt")
    with pytest.raises(
        ModelError, match=r"contains \S*\.Net in addition to tensors.*trust_pickle: true"
    ) as caught:
        loaded(plain, tmp_path / "w.pt")
    assert "weights_only" not in str(caught.value)
    assert "\033" not in str(caught.value)


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as handle:
        handle["x"] = np.zeros(3)


OTHERS: dict[str, Any] = {
    "git-lfs pointer": lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00"
    ),
    "compressed by gzip": lambda path: path.write_bytes(gzip.compress(b"PK")),
    "an HDF5 file": hdf5,
    "a web page": lambda path: path.write_text("<!DOCTYPE html><title>Sign in</title>"),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("loader", ["factory", "exported", "torchscript"])
def test_another_kind_of_file_is_known_by_its_first_bytes(tmp_path: Path, name: str, loader: str) -> None:
    OTHERS[name](tmp_path / "w.pt")
    with pytest.raises(ModelError, match=f"not a file of weights but .*{name}"):
        load_model(loader, module=f"{__file__}:plain", weights=tmp_path / "w.pt")


def test_a_flipped_bit_of_a_weight_is_found(tmp_path: Path) -> None:
    state = Net().state_dict()
    torch.save(state, tmp_path / "w.pt")
    content = bytearray((tmp_path / "w.pt").read_bytes())
    place = content.find(state["conv.weight"].numpy().tobytes())
    content[place + 2] ^= 1
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged: checksum mismatch in \S*data/\d+;"):
        loaded(plain, tmp_path / "w.pt")


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_was_cut_off_says_what_to_do(tmp_path: Path, keep: float, zipped: bool) -> None:
    torch.save(Net().state_dict(), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    content = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "w.pt").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ModelError, match=r"w\.pt: .*Copy it again"):
        loaded(plain, tmp_path / "w.pt")


def test_sys_exit_in_the_users_code_is_an_error_that_says_so(tmp_path: Path) -> None:
    torch.save(Net().state_dict(), tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"leaving\(\) raised SystemExit: sys.exit\(3\) was called"):
        loaded(leaving, tmp_path / "w.pt")
    (tmp_path / "m.py").write_text("import sys\nsys.exit('no licence')\n")
    with pytest.raises(ModelError, match=r"m\.py cannot be imported: SystemExit: sys.exit\('no licence'\)"):
        load_model("factory", module=f"{tmp_path}/m.py:build", weights=tmp_path / "w.pt")


def test_heads_are_chosen_by_field_and_by_path() -> None:
    profile, counts = torch.zeros(2, 5), torch.ones(2)
    output = Heads(profile, counts)
    assert select_head(output, "counts") is counts
    assert select_head(output, 1) is counts
    assert list(name_outputs(output)) == ["profile", "counts"]
    nested = {"human": {"rna": counts, "dnase": profile}, "mouse": (profile, counts)}
    assert select_head(nested, "human.rna") is counts
    assert select_head(nested, "mouse.1") is counts
    assert list(name_outputs(nested)) == ["human.rna", "human.dnase", "mouse.0", "mouse.1"]
    with pytest.raises(ModelError, match=r"one of human\.rna, human\.dnase, mouse\.0, mouse\.1"):
        select_head(nested, "human.cage")


@pytest.mark.parametrize("turn", [1, -1])
def test_a_key_with_a_dot_goes_before_a_path(turn: int) -> None:
    exact, nested = torch.rand(3, 2), torch.rand(3, 4)
    level = dict([("rna.1bp", exact), ("rna", {"1bp": nested, "128bp": nested})][::turn])
    for output, prefix in ((level, ""), ({"human": level}, "human.")):
        assert select_head(output, f"{prefix}rna.1bp") is exact
        assert select_head(output, f"{prefix}rna.128bp") is nested
