"""Loaders of other packages' networks, where these are not installed: settings, names, lengths, and errors.

Equality with the packages themselves: tests/peers/test_long_context.py.
"""

from __future__ import annotations

import inspect
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as functional
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute
from cislex.errors import ConfigError, ModelError
from cislex.models.formats.borzoi import GroupedAttention
from cislex.models.formats.pretrained import Lengths
from cislex.models.full_precision import Widened
from cislex.models.loading import check_model, load_model
from torch import Tensor, nn


@pytest.mark.parametrize(
    ("loader", "package", "module"),
    [
        ("enformer", "enformer-pytorch==0.8.12", "enformer_pytorch.modeling_enformer"),
        ("borzoi", "borzoi-pytorch==0.5.1", "borzoi_pytorch.pytorch_borzoi_model"),
        ("alphagenome", "alphagenome-pytorch==0.2.8", "alphagenome_pytorch.alphagenome"),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(
    loader: str, package: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module.split(".")[0], None)
    monkeypatch.setitem(sys.modules, module, None)
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=rf"{module.split('.')[0]}.* pip install {package}; see docs"):
        load_model(loader, weights=tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("lengths", "length", "said"),
    [
        (Lengths(1024, 256), 1024, None),
        (Lengths(1024, 256), 1536, None),
        (
            Lengths(1024, 256),
            1537,
            "1024 bp or more, in steps of 256 bp; .* 1537 bp long: .* to 1536 or 1792",
        ),
        (Lengths(1024, 256), 900, "to 1024$"),
        (Lengths(196608, 0), 196608, None),
        (Lengths(196608, 0), 393216, "the model takes 196608 bp; .* to 196608$"),
    ],
)
def test_lengths_between_those_that_a_network_takes_are_refused(
    lengths: Lengths, length: int, said: str | None
) -> None:
    sequences = torch.zeros(1, 4, length)
    if said is None:
        lengths.check(sequences)
    else:
        with pytest.raises(ModelError, match=said):
            lengths.check(sequences)


def attention(dim: int = 64, heads: int = 4, rotated: int = 8) -> GroupedAttention:
    torch.manual_seed(0)
    return GroupedAttention(dim, heads, rotated=rotated, base=20_000.0).double().requires_grad_(False)


def test_grouped_attention_is_rotated_attention_with_shared_keys() -> None:
    """Against PyTorch's own attention, and rotations as complex numbers."""
    layer = attention()
    x = torch.randn(2, 12, 64, dtype=torch.float64)
    q, k, v = layer.Wqkv(x).split((64, 32, 32), dim=-1)
    q, k, v = (part.unflatten(-1, (-1, 16)).transpose(1, 2) for part in (q, k, v))
    turns = torch.polar(
        torch.ones(12, 4, dtype=torch.float64),
        torch.arange(12.0).double()[:, None] * 20_000.0 ** (-torch.arange(4.0).double() / 4),
    )

    def turned(part: Tensor) -> Tensor:
        pairs = torch.complex(part[..., :4].contiguous(), part[..., 4:8].contiguous()) * turns
        return torch.cat([pairs.real, pairs.imag, part[..., 8:]], dim=-1)

    mixed = functional.scaled_dot_product_attention(turned(q), turned(k), v, enable_gqa=True)
    expected = layer.out_proj(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x), expected)


def test_deep_lift_shap_is_complete_through_grouped_attention() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv1d(4, 64, 7)
            self.attention = attention()

        def forward(self, x: Tensor) -> Tensor:
            h = self.stem(x).relu().transpose(1, 2)
            return (h + self.attention(h)).mean(1)[:, :2].tanh()

    net = Net().double()
    codes = torch.randint(0, 4, (3, 40), generator=torch.Generator().manual_seed(0))
    x = functional.one_hot(codes, 4).transpose(1, 2).to(torch.uint8)
    result = attribute(net, x, DeepLiftShap(DinucleotideShuffle(n=3)), target=1, device="cpu")
    assert result.max_relative_delta is not None
    assert float(result.max_relative_delta.max()) <= 1e-10


def test_heads_too_narrow_to_rotate_are_refused() -> None:
    with pytest.raises(ValueError, match="128 channels or more in a head; found 64"):
        GroupedAttention(256, 4)


class Config:
    """Takes and keeps whatever it is given, as those of transformers do."""

    def __init__(
        self,
        channels: int = 3,
        num_downsamples: int = 2,
        target_length: int = 5,
        use_tf_gamma: bool = False,
        use_checkpointing: bool = False,
        **others: Any,
    ) -> None:
        frame = inspect.currentframe()
        assert frame is not None
        vars(self).update({name: value for name, value in frame.f_locals.items() if name != "self"})


class Package(nn.Module):
    """Two names for one layer, as Enformer has, and (N, L, 4) in."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        assert not config.use_checkpointing
        self.stem = nn.Conv1d(4, config.channels, 4, stride=4)
        self._trunk = nn.Sequential(self.stem)
        self.bins = config.target_length

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = self._trunk(x.transpose(1, 2)).transpose(1, 2)
        trim = (found.shape[1] - self.bins) // 2
        return {"human": found[:, trim : found.shape[1] - trim]}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of four channels, with their settings beside them."""
    module = types.ModuleType("enformer_pytorch.modeling_enformer")
    vars(module).update(EnformerConfig=Config, Enformer=Package)
    monkeypatch.setitem(sys.modules, "enformer_pytorch", types.ModuleType("enformer_pytorch"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    torch.manual_seed(0)
    torch.save(Package(Config(channels=4)).state_dict(), tmp_path / "pytorch_model.bin")
    settings = {"model_type": "enformer", "channels": 4, "use_checkpointing": True, "torch_dtype": "float32"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    return tmp_path / "pytorch_model.bin"


def test_settings_beside_the_weights_build_the_network(weights: Path) -> None:
    loaded = load_model("enformer", weights=weights)
    x = functional.one_hot(torch.randint(0, 4, (2, 28)), 4).transpose(1, 2).float()
    state = torch.load(weights, weights_only=True)
    wanted = functional.conv1d(x, state["stem.weight"], state["stem.bias"], stride=4)[:, :, 1:-1]
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(x)["human"], wanted.transpose(1, 2))
    assert check_model(loaded, 28) == {"human": (5, 4)}
    with pytest.raises(ModelError, match=r"in steps of 8 bp; the sequences are 24 bp long: .* to 20 or 28"):
        check_model(loaded, 24)


def test_hyperparameters_go_before_the_settings_and_into_the_digest(weights: Path) -> None:
    loaded = load_model("enformer", weights=weights, hyperparameters={"target_length": 7})
    assert check_model(loaded, 28) == {"human": (7, 4)}
    assert loaded.digest != load_model("enformer", weights=weights).digest
    with pytest.raises(ModelError, match=r"wrong shape: .*stem.weight \(4, 4, 4\) in the file, \(5, 4, 4\)"):
        load_model("enformer", weights=weights, hyperparameters={"channels": 5})
    with pytest.raises(ConfigError, match="unknown depth; expected some of channels, num_downsamples"):
        load_model("enformer", weights=weights, hyperparameters={"depth": 5})


def test_an_edit_of_the_settings_changes_the_digest(weights: Path) -> None:
    before = load_model("enformer", weights=weights).digest
    settings = weights.with_name("config.json")
    settings.write_text(settings.read_text() + " ")
    assert load_model("enformer", weights=weights).digest != before


def test_a_weight_of_two_names_may_be_stored_under_one(weights: Path) -> None:
    state = torch.load(weights, weights_only=True)
    full = load_model("enformer", weights=weights)
    torch.save({name: value for name, value in state.items() if name.startswith("stem")}, weights)
    one = load_model("enformer", weights=weights)
    x = functional.one_hot(torch.randint(0, 4, (2, 28)), 4).transpose(1, 2).float()
    with torch.no_grad():
        torch.testing.assert_close(one.model(x)["human"], full.model(x)["human"])
    torch.save({"stem.weight": state["stem.weight"], "other": state["stem.bias"]}, weights)
    with pytest.raises(ModelError, match=r"missing _trunk.0.bias, stem.bias; unexpected other"):
        load_model("enformer", weights=weights)


def test_the_weights_from_tensorflow_are_pointed_out_until_the_config_says_which_they_are(
    weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load_model("enformer", weights=weights)
    assert "need hyperparameters: {use_tf_gamma: true}" in caplog.text
    caplog.clear()
    load_model("enformer", weights=weights, hyperparameters={"use_tf_gamma": False})
    assert not caplog.text
    loaded = load_model("enformer", weights=weights, hyperparameters={"use_tf_gamma": True})
    assert loaded.input_length == 4 * 1536
    with pytest.raises(ModelError, match="the model takes 6144 bp and the regions are 28 bp long"):
        check_model(loaded, 28)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "expected the settings of a network, found list"),
        ('{"model_type": "borzoi"}', "model_type is 'borzoi'; this loader reads enformer: name the loader"),
        ('{"channels": "four"}', "Package cannot be built from its config.json and hyperparameters"),
    ],
)
def test_settings_of_something_else_are_refused(text: str, said: str, weights: Path) -> None:
    weights.with_name("config.json").write_text(text)
    with pytest.raises(ModelError, match=said):
        load_model("enformer", weights=weights)


def test_an_unknown_organism_is_refused(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="organism is 'yeast'; expected human or mouse"):
        load_model("alphagenome", weights=tmp_path / "w.pt", organism="yeast")


def test_an_operation_without_a_rule_is_placed_in_the_network_s_own_file() -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with Widened(x.dtype):
                return torch.special.i0(x.cumsum(2)).sum((1, 2)).unsqueeze(1)

    x = functional.one_hot(torch.randint(0, 4, (1, 28)), 4).transpose(1, 2).to(torch.uint8)
    with pytest.raises(ModelError, match=r"special_i0.*test_pretrained\.py:\d+"):
        attribute(Net(), x, DeepLiftShap(DinucleotideShuffle(n=2)), target=0, device="cpu")
