"""Loaders of Enformer, Borzoi, Flashzoi and AlphaGenome, and models of gReLU, beside the packages themselves.

Random weights at reduced size, in files that the packages write (benchmarks/long_context.py). The packages
must be importable beside this project's own; what is not is skipped:

    make environment VENV=peers
    peers/bin/pip install --constraint requirements.lock borzoi-pytorch==0.5.1
    peers/bin/pip install --constraint requirements.lock alphagenome-pytorch==0.2.8
    peers/bin/pip install --no-deps enformer-pytorch==0.8.12 grelu==1.1.0
    peers/bin/python -m pytest -rP tests/peers/test_long_context.py

gReLU pins captum 0.5; its networks need none of its requirements but enformer-pytorch.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from cislex.attribution import ISM, TISM, DeepLiftShap, DinucleotideShuffle, attribute
from cislex.errors import ConfigError, ModelError
from cislex.models.loading import check_model, load_model
from cislex.targets import Tracks
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from long_context import SNAPSHOTS, Snapshot, randomise

PACKAGES = {
    "enformer": "enformer_pytorch",
    "borzoi": "borzoi_pytorch",
    "flashzoi": "borzoi_pytorch",
    "alphagenome": "alphagenome_pytorch",
}
#: gReLU's networks: class and arguments, and the length of their sequences.
GRELU: dict[str, tuple[str, dict[str, Any], int]] = {
    "conv": ("ConvModel", {"n_tasks": 3, "n_conv": 3, "pool_func": "max", "pool_size": 2, "norm": True}, 300),
    "dilated": ("DilatedConvModel", {"n_tasks": 3, "channels": 16, "n_conv": 4, "crop_len": 20}, 300),
    "gru": ("ConvGRUModel", {"n_tasks": 3, "n_conv": 3, "pool_func": "max", "pool_size": 2}, 300),
    "transformer": (
        "ConvTransformerModel",
        {"n_tasks": 3, "n_conv": 3, "pool_func": "attn", "pool_size": 2, "n_transformers": 2, "n_heads": 2},
        320,
    ),
    "enformer": (
        "EnformerModel",
        {"n_tasks": 3, "n_conv": 3, "channels": 384, "n_transformers": 2, "n_heads": 4, "key_len": 8},
        512,
    ),
    "borzoi": (
        "BorzoiModel",
        {
            "n_tasks": 3, "stem_channels": 16, "init_channels": 32, "channels": 64, "n_conv": 7,
            "n_transformers": 2, "n_heads": 4, "key_len": 8, "value_len": 12, "n_pos_features": 8,
            "crop_len": 0,
        },
        1024,
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with torch.random.fork_rng():
        yield


def sequences(n: int, length: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Codes and one-hot sequences."""
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(seed))
    return codes, nn.functional.one_hot(codes, 4).transpose(1, 2).contiguous()


@pytest.fixture(params=PACKAGES)
def snapshot(request: pytest.FixtureRequest, tmp_path: Path) -> Snapshot:
    pytest.importorskip(PACKAGES[request.param])
    return SNAPSHOTS[request.param](tmp_path)


def own_outputs(snapshot: Snapshot, n: int = 2) -> dict[tuple[str, ...], Tensor]:
    """What the package's own network returns, by the organism that is asked for and the output's name."""
    codes, x = sequences(n, snapshot.length)
    with torch.no_grad():
        if snapshot.loader == "enformer":
            found = snapshot.network(x.float().transpose(1, 2))
            return {("", head): found[head] for head in ("human", "mouse")}
        if snapshot.loader == "borzoi":
            return {
                (organism, "output"): snapshot.network(x.float(), is_human=organism == "human")
                for organism in ("human", "mouse")
            }
        return {
            (organism, f"{organism}.{head}{part}"): tensor
            for index, organism in enumerate(("human", "mouse"))
            for head, given in snapshot.network(codes, index)[organism].items()
            if given is not None
            for part, tensor in (
                [(f".{name}", value) for name, value in given.items()]
                if isinstance(given, dict)
                else [("", given)]
            )
        }


def load(snapshot: Snapshot, **options: Any) -> Any:
    return load_model(snapshot.loader, weights=snapshot.weights, **{**snapshot.options, **options})


def test_the_loader_equals_the_package_s_own_forward(snapshot: Snapshot) -> None:
    from cislex.models.loading import name_outputs

    expected = own_outputs(snapshot)
    found: dict[tuple[str, ...], Tensor] = {}
    for organism in sorted({organism for organism, _ in expected}):
        loaded = load(snapshot, **({"organism": organism} if organism else {}))
        check_model(loaded, snapshot.length)
        with torch.no_grad():
            outputs = name_outputs(loaded.model(sequences(2, snapshot.length)[1].float()))
        found |= {(organism, name): tensor for name, tensor in outputs.items()}
    assert set(found) == set(expected)
    for key, wanted in expected.items():
        assert wanted.std() > 1e-4 * wanted.abs().max()
        difference = float((found[key] - wanted).abs().max() / wanted.abs().max())
        print(f"{key}: largest difference {difference:.1e} of the largest value")
        assert difference <= 1e-6


def check_attributions(model: nn.Module, length: int, target: Callable[[Any], Tensor]) -> None:
    """DeepLIFT/SHAP is complete, TISM is the gradient's, ISM the loop's."""
    model.requires_grad_(False)
    _, x = sequences(2, length)
    bytes_ = x.to(torch.uint8)
    method = DeepLiftShap(DinucleotideShuffle(n=3))
    result = attribute(model, bytes_, method, target=target, device="cpu")
    delta = float(result.max_relative_delta.max())  # type: ignore[union-attr]
    print(f"relative delta {delta:.1e}")
    assert delta <= 1e-4
    leaf = x.float().requires_grad_()
    (gradient,) = torch.autograd.grad(target(model(leaf)).sum(), leaf)
    wanted = gradient - (gradient * x).sum(1, keepdim=True)
    tism = attribute(model, bytes_, TISM(), target=target, device="cpu").tism
    assert gradient.abs().max() > 0
    assert (tism - wanted).abs().max() <= 1e-4 * wanted.abs().max()
    start = length // 2
    ism = ISM(start=start, end=start + 3)
    found = attribute(model, bytes_[:1], ism, target=target, device="cpu", precision="float64").local
    loop = torch.zeros(4, 3, dtype=torch.float64)
    exact = copy.deepcopy(model).double()
    with torch.no_grad():
        before = target(exact(x[:1].double()))
        for position in range(3):
            mutants = x[:1].repeat(4, 1, 1).double()
            mutants[:, :, start + position] = torch.eye(4, dtype=torch.float64)
            loop[:, position] = target(exact(mutants)) - before
    assert loop.abs().max() > 0
    assert (found[0, :, start : start + 3] - loop).abs().max() <= 1e-6 * loop.abs().max()


def test_attributions_of_a_loaded_model(snapshot: Snapshot) -> None:
    check_attributions(load(snapshot).model, snapshot.length, Tracks(**snapshot.target))


def test_a_length_between_those_that_the_pooling_divides_is_named(snapshot: Snapshot) -> None:
    with pytest.raises(ModelError, match=rf"set input_length to {snapshot.length} or \d+"):
        check_model(load(snapshot), snapshot.length + 100)


def test_weights_of_another_version_are_listed(snapshot: Snapshot, tmp_path: Path) -> None:
    state = torch.load(snapshot.weights, weights_only=True)
    name = next(name for name in reversed(state) if name.endswith("bias") and "trunk" not in name)
    state["of_another_version"] = state.pop(name)
    state.pop(f"_trunk.6.{name.partition('.')[2]}", None)  # the other name of a weight of Enformer
    torch.save(state, snapshot.weights)
    with pytest.raises(ModelError, match=f"missing .*{name}.*; unexpected of_another_version"):
        load(snapshot)


def test_a_hyperparameter_that_the_network_does_not_have_is_refused(snapshot: Snapshot) -> None:
    with pytest.raises(ConfigError, match="unknown dept; expected some of dim"):
        load(snapshot, hyperparameters={**snapshot.options.get("hyperparameters", {}), "dept": 2})


@pytest.mark.parametrize("name", ["enformer", "borzoi"])
def test_settings_come_from_the_file_beside_the_weights_and_change_the_digest(
    name: str, tmp_path: Path
) -> None:
    pytest.importorskip(PACKAGES[name])
    snapshot = SNAPSHOTS[name](tmp_path)
    digest = load(snapshot).digest
    settings = snapshot.weights.with_name("config.json")
    settings.write_text(settings.read_text() + "\n")
    assert load(snapshot).digest != digest
    settings.write_text(settings.read_text().replace(f'"model_type": "{name}"', '"model_type": "bert"'))
    with pytest.raises(ModelError, match="model_type is 'bert'"):
        load(snapshot)
    settings.unlink()
    with pytest.raises(ModelError, match=r"missing \S+"):  # those of the published size
        load(snapshot)


def test_safetensors_hold_a_weight_of_enformer_under_one_of_its_names(tmp_path: Path) -> None:
    pytest.importorskip("enformer_pytorch")
    snapshot = SNAPSHOTS["enformer"](tmp_path)
    state = {
        name: value for name, value in snapshot.network.state_dict().items() if not name.startswith("_trunk.")
    }
    assert len(state) < len(snapshot.network.state_dict())
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    x = sequences(1, snapshot.length)[1].float()
    with torch.no_grad():
        wanted = snapshot.network(x.transpose(1, 2))["human"]
        found = load_model("enformer", weights=tmp_path / "model.safetensors").model(x)["human"]
    torch.testing.assert_close(found, wanted)


def test_heads_of_alphagenome_that_are_computed(tmp_path: Path) -> None:
    pytest.importorskip("alphagenome_pytorch")
    snapshot = SNAPSHOTS["alphagenome"](tmp_path)
    shapes = check_model(load(snapshot, heads=["chip_tf"]), snapshot.length)
    assert shapes == {"human.chip_tf.scaled_predictions_128bp": (32, 6)}
    with pytest.raises(ConfigError, match="heads: unknown dnase; the weights have rna_seq, chip_tf"):
        load(snapshot, heads=["dnase"])
    with pytest.raises(ConfigError, match="splice_sites_junction, which needs positions"):
        load(snapshot, heads=["splice_sites_junction"])
    state = torch.load(snapshot.weights, weights_only=True)
    torch.save({name: value for name, value in state.items() if ".mouse." not in name}, snapshot.weights)
    with pytest.raises(ModelError, match="no heads of organism mouse; it has human"):
        load(snapshot, organism="mouse")


def test_heads_of_alphagenome_by_resolution(tmp_path: Path) -> None:
    """``add_heads``, the package's other set of heads, and weights without what follows from the settings."""
    package = pytest.importorskip("alphagenome_pytorch")
    snapshot = SNAPSHOTS["alphagenome"](tmp_path)
    network = package.AlphaGenome(**snapshot.options["hyperparameters"])
    network.add_heads("mouse", 3, 4, 5, 6, 16)
    package.set_update_running_var(randomise(network), False)
    state = {name: value for name, value in network.state_dict().items() if not name.endswith("inv_freq")}
    torch.save(state, snapshot.weights)
    codes, x = sequences(1, snapshot.length)
    sites = torch.tensor([[5]])
    with torch.no_grad():
        wanted = network(codes, 1, splice_donor_idx=sites, splice_acceptor_idx=sites)["mouse"]
        found = load(snapshot, organism="mouse").model(x.float())["mouse"]
    assert set(found) == set(wanted) - {"splice_juncs"}
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, wanted[name])


@pytest.mark.parametrize("name", GRELU)
def test_models_of_grelu(name: str, tmp_path: Path) -> None:
    """Saved as gReLU's Lightning checkpoints name weights, and built by a factory."""
    pytest.importorskip("enformer_pytorch")
    models = pytest.importorskip("grelu.model.models")
    kind, settings, length = GRELU[name]
    torch.manual_seed(0)
    network = randomise(getattr(models, kind)(**settings))
    torch.save(
        {"state_dict": {f"model.{key}": value for key, value in network.state_dict().items()}},
        tmp_path / "w.ckpt",
    )
    (tmp_path / "net.py").write_text(
        f"from grelu.model.models import {kind}\n\n\ndef build():\n    return {kind}(**{settings!r})\n"
    )
    loaded = load_model("factory", weights=tmp_path / "w.ckpt", module=f"{tmp_path / 'net.py'}:build")
    x = sequences(2, length)[1].float()
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(x), network(x))
    check_attributions(loaded.model, length, lambda output: output[:, 1].flatten(1).sum(1))


def test_prime_is_a_borzoi_of_narrower_bins(tmp_path: Path) -> None:
    package = pytest.importorskip("borzoi_pytorch")
    from borzoi_pytorch.config_borzoi import PrimeConfig

    torch.manual_seed(0)
    settings = PrimeConfig(dim=96, depth=1, heads=2, bins_to_return=64)
    network = randomise(package.Prime(settings))
    network.save_pretrained(tmp_path)
    loaded = load_model("borzoi", weights=tmp_path / "model.safetensors")
    assert check_model(loaded, 1280) == {"output": (5431, 64)}
    x = sequences(2, 1280)[1].float()
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(x), network(x))
    with pytest.raises(ModelError, match="takes 1024 bp or more, in steps of 128 bp"):
        check_model(loaded, 1000)
    with pytest.raises(ModelError, match="no head of organism mouse; it has human"):
        load_model("borzoi", weights=tmp_path / "model.safetensors", organism="mouse")


def test_one_loaded_borzoi_takes_several_lengths_and_precisions(tmp_path: Path) -> None:
    """The package's own keeps the positions of its first call."""
    pytest.importorskip("borzoi_pytorch")
    snapshot = SNAPSHOTS["borzoi"](tmp_path)
    model = load(snapshot).model
    x = sequences(1, snapshot.length)[1].float()
    with torch.no_grad():
        model(x[..., :2048])
        found, exact = model(x), model.double()(x.double())
    assert exact.dtype == torch.float64
    assert (found - exact).abs().max() <= 1e-5 * exact.abs().max()
