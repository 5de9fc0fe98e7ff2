"""Published file formats, written here from their layout: what comes out of them, and named errors."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute_targets
from cislex.errors import ConfigError, ModelError
from cislex.models.formats.chrombpnet import read_chrombpnet
from cislex.models.loading import check_model, load_model
from cislex.targets import LogCounts, Profile
from torch import Tensor, nn

LENGTH, OUT = 200, 40
Weights = dict[str, tuple[np.ndarray, np.ndarray]]


def onehot(n: int, length: int = LENGTH, seed: int = 0) -> Tensor:
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(seed))
    return functional.one_hot(codes, 4).transpose(1, 2).float()


def keras_bpnet(prefix: str, heads: str, filters: int, layers: int, seed: int) -> Weights:
    """Random kernels (width, in, out) and biases by layer."""
    generator = np.random.default_rng(seed)

    def layer(*shape: int) -> tuple[np.ndarray, np.ndarray]:
        scale = (2 / np.prod(shape[:-1])) ** 0.5
        kernel, bias = scale * generator.normal(size=shape), 0.1 * generator.normal(size=shape[-1])
        return kernel.astype("float32"), bias.astype("float32")

    return {
        f"{prefix}1st_conv": layer(21, 4, filters),
        **{f"{prefix}{i}conv": layer(3, filters, filters) for i in range(1, layers + 1)},
        f"{heads}prof_out_precrop": layer(75, filters, 1),
        f"{heads}logcount_predictions": layer(filters, 1),
    }


BIAS = keras_bpnet("bpnet_", "", 6, 2, seed=1)
MAIN = keras_bpnet("wo_bias_bpnet_", "wo_bias_bpnet_", 5, 3, seed=2)


def settings_of(name: str, layers: int) -> dict[str, Any]:
    """The part of Keras's description of a model that says how long its input and output are."""
    crop = (LENGTH - 20 - 2 * sum(2**i for i in range(1, layers + 1)) - 74 - OUT) // 2
    return {
        "class_name": "Functional",
        "config": {
            "name": "model",
            "layers": [
                {
                    "class_name": "InputLayer",
                    "config": {"batch_input_shape": [None, LENGTH, 4], "name": "sequence"},
                },
                {"class_name": "Cropping1D", "config": {"cropping": [crop, crop], "name": name}},
            ],
        },
    }


SETTINGS = {
    "bias": settings_of("logits_profile_predictions_preflatten", 2),
    "main": settings_of("wo_bias_bpnet_logitt_before_flatten", 3),
}


def write_keras(path: Path, parts: dict[str, Weights], *, keras: int = 2, described: bool = True) -> Path:
    """A file as Keras 2 or 3 writes it; several parts are models inside a model."""
    groups = {"bias": "model", "main": "model_wo_bias"}
    ending = ":0" if keras == 2 else ""
    with h5py.File(path, "w") as handle:
        for part, weights in parts.items():
            for layer, (kernel, bias) in weights.items():
                group = f"model_weights/{groups[part] if len(parts) > 1 else layer}/{layer}"
                handle[f"{group}/kernel{ending}"], handle[f"{group}/bias{ending}"] = kernel, bias
        handle["optimizer_weights/Adam/iteration:0"] = 3
        if described:
            inner = [SETTINGS[part] for part in parts]
            handle.attrs["model_config"] = json.dumps(
                inner[0] if len(inner) == 1 else {"class_name": "Functional", "config": {"layers": inner}}
            )
    return path


def definition(weights: Weights, prefix: str, heads: str, sequences: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Profile logits (N, positions) and log counts (N, 1), as chrombpnet defines them."""

    def conv(h: np.ndarray, layer: str, dilation: int = 1) -> np.ndarray:
        kernel, bias = weights[layer]
        n = h.shape[1] - dilation * (len(kernel) - 1)
        return sum(h[:, i * dilation : i * dilation + n] @ kernel[i] for i in range(len(kernel))) + bias

    h = np.maximum(conv(sequences.transpose(1, 2).double().numpy(), f"{prefix}1st_conv"), 0)
    for i in range(1, len(weights) - 2):
        h = np.maximum(conv(h, f"{prefix}{i}conv", 2**i), 0) + h[:, 2**i : -(2**i)]
    profile = conv(h, f"{heads}prof_out_precrop")[..., 0]
    crop = (profile.shape[1] - OUT) // 2
    kernel, bias = weights[f"{heads}logcount_predictions"]
    return profile[:, crop : crop + OUT], h.mean(1) @ kernel + bias


def expected(part: str, sequences: Tensor) -> tuple[np.ndarray, np.ndarray]:
    main = definition(MAIN, "wo_bias_bpnet_", "wo_bias_bpnet_", sequences)
    bias = definition(BIAS, "bpnet_", "", sequences)
    if part == "full":
        return main[0] + bias[0], np.log(np.exp(main[1]) + np.exp(bias[1]))
    return {"nobias": main, "bias": bias}[part]


@pytest.mark.parametrize("keras", [2, 3])
@pytest.mark.parametrize("part", ["nobias", "bias", "full"])
def test_a_part_of_a_chrombpnet_is_what_its_definition_says(part: str, keras: int, tmp_path: Path) -> None:
    write_keras(tmp_path / "chrombpnet.h5", {"bias": BIAS, "main": MAIN}, keras=keras)
    loaded = load_model("chrombpnet", weights=tmp_path / "chrombpnet.h5", part=part)
    rows = onehot(3)
    with torch.no_grad():
        profile, counts = loaded.model(rows)
    for found, wanted in zip((profile[:, 0], counts), expected(part, rows), strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5, rtol=1e-5)
    assert loaded.input_length == LENGTH
    assert check_model(loaded, LENGTH) == {"profile": (1, OUT), "counts": (1,)}


def test_two_files_make_a_full_model_and_one_file_what_it_holds(tmp_path: Path) -> None:
    main = write_keras(tmp_path / "chrombpnet_nobias.h5", {"main": MAIN})
    bias = write_keras(tmp_path / "bias.h5", {"bias": BIAS}, keras=3)
    rows = onehot(2)
    for options, part in (
        ({"weights": main}, "nobias"),
        ({"weights": bias}, "bias"),
        ({"weights": main, "bias": bias}, "full"),
        ({"weights": main, "bias": {str(main): bias}}, "full"),
        ({"weights": main, "bias": bias, "part": "nobias"}, "nobias"),
    ):
        with torch.no_grad():
            counts = load_model("chrombpnet", **options).model(rows)[1]
        np.testing.assert_allclose(counts, expected(part, rows)[1], atol=2e-5)
    digests = {load_model("chrombpnet", weights=main, bias=b).digest for b in (None, bias)}
    assert len(digests) == 2


def test_a_file_of_weights_alone_gives_the_whole_profile(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "weights.h5", {"main": MAIN, "bias": BIAS}, described=False)
    loaded = load_model("chrombpnet", weights=path, part="nobias")
    width = LENGTH - 20 - 2 * 14 - 74
    assert loaded.input_length is None
    assert check_model(loaded, LENGTH) == {"profile": (1, width), "counts": (1,)}
    full = load_model("chrombpnet", weights=path)
    assert check_model(full, LENGTH)["profile"] == (1, width)


def test_files_that_are_no_chrombpnet_are_named(tmp_path: Path) -> None:
    main = write_keras(tmp_path / "main.h5", {"main": MAIN})
    with pytest.raises(ModelError, match=r"found nobias in it; expected nobias and bias"):
        read_chrombpnet(main, part="full")
    with pytest.raises(ModelError, match=r"found nobias in it and .*main\.h5"):
        read_chrombpnet(main, bias=main)
    with pytest.raises(ConfigError, match="part is 'corrected'; expected one of nobias, full, bias"):
        read_chrombpnet(main, part="corrected")
    other = write_keras(tmp_path / "other.h5", {"main": {"dense": BIAS["bpnet_1st_conv"]}})
    with pytest.raises(ModelError, match=r"no part of a ChromBPNet.*layers with weights are dense"):
        read_chrombpnet(other)
    with h5py.File(main, "a") as handle:
        del handle["model_weights/wo_bias_bpnet_2conv"]
    with pytest.raises(ModelError, match=r"layer wo_bias_bpnet_2conv has no kernel and bias"):
        read_chrombpnet(main)
    twice = write_keras(tmp_path / "twice.h5", {"main": MAIN})
    with h5py.File(twice, "a") as handle:
        handle["model_weights/copy/wo_bias_bpnet_1conv/kernel:0"] = np.zeros((3, 5, 5))
    with pytest.raises(ModelError, match=r"layer names occur twice: wo_bias_bpnet_1conv/kernel"):
        read_chrombpnet(twice)
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(ModelError, match=r"text\.h5: not an HDF5 file"):
        read_chrombpnet(tmp_path / "text.h5")
    with pytest.raises(ModelError, match=r"no such file: .*absent\.h5"):
        load_model("chrombpnet", weights=main, bias=tmp_path / "absent.h5")
    wide = dict(MAIN)
    wide["wo_bias_bpnet_1conv"] = (np.zeros((3, 5, 7), "float32"), np.zeros(7, "float32"))
    with pytest.raises(ModelError, match=r"dilated\.0\.bias \(7,\) in the file, \(5,\) in the model"):
        read_chrombpnet(write_keras(tmp_path / "wide.h5", {"main": wide}))


CONFIG = {
    "n_filters": 6,
    "n_layers": 3,
    "signal_groups": [1, 2],
    "n_control_tracks": 0,
    "expansion": 2,
    "residual_scale": 0.15,
    "name": "k562",
    "trimming": None,
    "verbose": False,
}


def cherimoya_state(config: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """Random weights of a checkpoint of cherimoya."""
    generator = torch.Generator().manual_seed(seed)
    filters, groups = config["n_filters"], config["signal_groups"]
    controls, hidden = config["n_control_tracks"], config["n_filters"] * config["expansion"]
    shapes: dict[str, tuple[int, ...]] = {"iconv.weight": (filters, 4, 21), "iconv.bias": (filters,)}
    for i in range(config["n_layers"]):
        shapes[f"blocks.{i}.conv_weight"] = (3, filters)
        shapes[f"blocks.{i}.linear1.weight"] = (hidden, filters)
        shapes[f"blocks.{i}.linear2.weight"] = (filters, hidden)
    shapes |= {"fconv.weight": (sum(groups), filters + controls, 75), "fconv.bias": (sum(groups),)}
    shapes["linear.weight"] = (len(groups), filters + min(1, controls))
    shapes |= {"linear.bias": (len(groups),), "lw0": (len(groups),), "lw1": (len(groups),)}
    return {name: 0.4 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def cherimoya_definition(
    state: dict[str, Tensor], config: dict[str, Any], x: Tensor
) -> tuple[Tensor, Tensor]:
    """The forward pass in float64, written over (N, L, channels)."""
    w = {name: tensor.double() for name, tensor in state.items()}
    trim = (
        46 + sum(2**i for i in range(config["n_layers"]))
        if config["trimming"] is None
        else config["trimming"]
    )
    h = functional.conv1d(x.double(), w["iconv.weight"], w["iconv.bias"], padding=10)
    h = functional.gelu(h, approximate="tanh").transpose(1, 2)
    for i in range(config["n_layers"]):
        d = 2**i
        padded = functional.pad(h, (0, 0, d, d))
        taps = w[f"blocks.{i}.conv_weight"]
        y = sum(taps[j] * padded[:, j * d : j * d + h.shape[1]] for j in range(3))
        mean, var = y.mean((1, 2), keepdim=True), y.var((1, 2), keepdim=True, unbiased=False)
        y = (y - mean) / (var + 1e-3).sqrt() @ w[f"blocks.{i}.linear1.weight"].T
        y = functional.gelu(y, approximate="tanh") @ w[f"blocks.{i}.linear2.weight"].T
        h = h + config["residual_scale"] * y
    h = h.transpose(1, 2)
    features, tracks = h[..., trim : x.shape[2] - trim].mean(2), h
    if config["n_control_tracks"]:
        zeros = torch.zeros(len(h), config["n_control_tracks"], h.shape[2], dtype=h.dtype)
        tracks, features = torch.cat([h, zeros], 1), torch.cat([features, zeros[:, :1, 0]], 1)
    profile = functional.conv1d(tracks, w["fconv.weight"], w["fconv.bias"], padding=37)
    return profile[..., trim : x.shape[2] - trim], features @ w["linear.weight"].T + w["linear.bias"]


@pytest.mark.parametrize(
    "changes", [{}, {"n_control_tracks": 2}, {"trimming": 60, "expansion": 3, "signal_groups": [1]}]
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_cherimoya_checkpoint_is_what_its_definition_says(
    changes: dict[str, Any], nested: bool, tmp_path: Path
) -> None:
    config = {**CONFIG, **changes}
    state = cherimoya_state(config)
    saved = {n.replace(".conv_weight", ".conv.conv_weight") if nested else n: v for n, v in state.items()}
    torch.save({"config": config, "state_dict": saved}, tmp_path / "w.torch")
    loaded = load_model("cherimoya", weights=tmp_path / "w.torch")
    rows = onehot(3)
    with torch.no_grad():
        for found, wanted in zip(loaded.model(rows), cherimoya_definition(state, config, rows), strict=True):
            torch.testing.assert_close(found, wanted.float(), atol=1e-5, rtol=1e-5)
    assert loaded.extra_inputs == (((2, "L"),) if config["n_control_tracks"] else ())
    assert list(check_model(loaded, LENGTH)) == ["profile", "counts"]
    with pytest.raises(ModelError, match="bp are too short; give it more than"):
        check_model(loaded, 90)


def test_configs_of_other_versions_of_cherimoya(tmp_path: Path) -> None:
    older = {key: value for key, value in CONFIG.items() if key != "signal_groups"} | {"n_outputs": 2}
    for groups in ([2], [1, 1]):
        state = cherimoya_state({**CONFIG, "signal_groups": groups})
        torch.save({"config": older, "state_dict": state}, tmp_path / "w.torch")
        shapes = check_model(load_model("cherimoya", weights=tmp_path / "w.torch"), LENGTH)
        assert (shapes["profile"][0], shapes["counts"]) == (2, (len(groups),))
    torch.save({"config": {**CONFIG, "n_heads": 2}, "state_dict": state}, tmp_path / "w.torch")
    with pytest.raises(ModelError, match="unknown keys, n_heads; known are expansion"):
        load_model("cherimoya", weights=tmp_path / "w.torch")
    torch.save(state, tmp_path / "w.torch")
    with pytest.raises(ModelError, match=r"expected config and state_dict, found .*iconv\.weight"):
        load_model("cherimoya", weights=tmp_path / "w.torch")
    torch.save({"config": {**CONFIG, "n_layers": 4}, "state_dict": state}, tmp_path / "w.torch")
    with pytest.raises(ModelError, match=r"missing blocks\.3\.conv_weight"):
        load_model("cherimoya", weights=tmp_path / "w.torch")


@pytest.fixture
def bpnetlite() -> Iterator[types.ModuleType]:
    """A package of the name and the class names of bpnet-lite, there only while a model is saved."""
    source = """
import torch
class Logger:
    def __init__(self):
        self.names = ["Epoch"]
class BPNet(torch.nn.Module):
    def __init__(self, n_filters=6, n_layers=3, n_outputs=2, n_control_tracks=0, trimming=None, bias=True):
        super().__init__()
        self.n_layers, self.n_control_tracks = n_layers, n_control_tracks
        self.trimming = trimming or 47 + sum(2**i for i in range(1, n_layers + 1))
        self.iconv = torch.nn.Conv1d(4, n_filters, 21, padding=10)
        self.irelu = torch.nn.ReLU()
        self.rconvs = torch.nn.ModuleList([
            torch.nn.Conv1d(n_filters, n_filters, 3, padding=2**i, dilation=2**i)
            for i in range(1, n_layers + 1)
        ])
        self.fconv = torch.nn.Conv1d(n_filters + n_control_tracks, n_outputs, 75, padding=37, bias=bias)
        self.linear = torch.nn.Linear(n_filters + min(1, n_control_tracks), 1, bias=bias)
        self.logger = Logger()
    def forward(self, x, control=None):
        start, end = self.trimming, x.shape[2] - self.trimming
        h = self.iconv(x).relu()
        for conv in self.rconvs:
            h = h + conv(h).relu()
        f = h[:, :, start - 37 : end + 37].mean(2)
        if control is not None:
            total = control[:, :, start - 37 : end + 37].sum((1, 2))
            f, h = torch.cat([f, (total + 1).log()[:, None]], 1), torch.cat([h, control], 1)
        return self.fconv(h)[:, :, start:end], self.linear(f)
class ChromBPNet(torch.nn.Module):
    def __init__(self, bias, accessibility):
        super().__init__()
        self.bias, self.accessibility, self.logger = bias, accessibility, None
class BasePairNet(BPNet):
    pass
"""
    package, module = types.ModuleType("bpnetlite"), types.ModuleType("bpnetlite.bpnet")
    sys.modules["bpnetlite"], sys.modules["bpnetlite.bpnet"] = package, module
    exec(source, module.__dict__)
    for name in ("BPNet", "ChromBPNet", "BasePairNet", "Logger"):
        getattr(module, name).__module__ = "bpnetlite.bpnet"
    yield module
    del sys.modules["bpnetlite"], sys.modules["bpnetlite.bpnet"]


def save_and_forget(model: nn.Module, path: Path) -> None:
    """Save a model whole, as bpnet-lite does, and take the package away."""
    torch.save(model, path)
    for name in ("bpnetlite", "bpnetlite.bpnet"):
        sys.modules[name].__dict__.pop("BPNet", None)


@pytest.mark.parametrize("controls", [0, 2])
@pytest.mark.parametrize("whole", [True, False])
def test_a_bpnet_of_bpnet_lite(bpnetlite: Any, controls: int, whole: bool, tmp_path: Path) -> None:
    model = bpnetlite.BPNet(n_control_tracks=controls).eval()
    rows = onehot(3, 250)
    with torch.no_grad():
        wanted = model(rows, torch.zeros(3, controls, 250) if controls else None)
    if whole:
        save_and_forget(model, tmp_path / "w.torch")
        with pytest.raises(ModelError, match=r"saved this model whole.*trust_pickle: true"):
            load_model("bpnet-lite", weights=tmp_path / "w.torch")
    else:
        torch.save({f"module.{name}": v for name, v in model.state_dict().items()}, tmp_path / "w.torch")
    loaded = load_model("bpnet-lite", weights=tmp_path / "w.torch", trust_pickle=whole)
    with torch.no_grad():
        for found, value in zip(loaded.model(rows), wanted, strict=True):
            torch.testing.assert_close(found, value)
    assert loaded.extra_inputs == (((2, "L"),) if controls else ())
    assert loaded.output_names == ("profile", "counts")


@pytest.mark.parametrize("whole", [True, False])
def test_a_chrombpnet_of_bpnet_lite(bpnetlite: Any, whole: bool, tmp_path: Path) -> None:
    bias = bpnetlite.BPNet(n_filters=4, n_layers=2, n_outputs=1).eval()
    main = bpnetlite.BPNet(n_outputs=1, bias=False).eval()
    model = bpnetlite.ChromBPNet(bias, main)
    rows = onehot(3, 250)
    with torch.no_grad():
        (p, c), (q, d) = main(rows), bias(rows)
    cut = (q.shape[2] - p.shape[2]) // 2
    if whole:
        save_and_forget(model, tmp_path / "w.torch")
    else:
        torch.save(model.state_dict(), tmp_path / "w.torch")
    loaded = load_model("bpnet-lite", weights=tmp_path / "w.torch", trust_pickle=whole)
    with torch.no_grad():
        profile, counts = loaded.model(rows)
    torch.testing.assert_close(profile, p + q[:, :, cut : cut + p.shape[2]])
    torch.testing.assert_close(counts, torch.log(c.exp() + d.exp()))


def test_other_files_than_bpnet_lites_are_named(bpnetlite: Any, tmp_path: Path) -> None:
    for model, message in (
        (bpnetlite.BasePairNet(), r"holds a bpnetlite\.bpnet\.BasePairNet; expected a BPNet"),
        (nn.Linear(2, 2), r"holds a torch\.nn\.modules\.linear\.Linear"),
    ):
        torch.save(model, tmp_path / "w.torch")
        with pytest.raises(ModelError, match=message):
            load_model("bpnet-lite", weights=tmp_path / "w.torch", trust_pickle=True)
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.torch")
    with pytest.raises(ModelError, match=r"not a BPNet of bpnet-lite: missing iconv\.weight.*it has weight"):
        load_model("bpnet-lite", weights=tmp_path / "w.torch")
    (tmp_path / "w.torch").write_bytes(b"not a model")
    for trust in (True, False):
        with pytest.raises(ModelError, match=r"w\.torch: cannot be read"):
            load_model("bpnet-lite", weights=tmp_path / "w.torch", trust_pickle=trust)


def test_published_formats_are_attributed_exactly(bpnetlite: Any, tmp_path: Path) -> None:
    write_keras(tmp_path / "chrombpnet.h5", {"bias": BIAS, "main": MAIN})
    config = {**CONFIG, "signal_groups": [1]}
    torch.save({"config": config, "state_dict": cherimoya_state(config)}, tmp_path / "cherimoya.torch")
    torch.save(bpnetlite.BPNet(n_control_tracks=2).state_dict(), tmp_path / "bpnet.torch")
    method = DeepLiftShap(references=DinucleotideShuffle(n=3))
    for loader, name in (
        ("chrombpnet", "chrombpnet.h5"),
        ("cherimoya", "cherimoya.torch"),
        ("bpnet-lite", "bpnet.torch"),
    ):
        model = load_model(loader, weights=tmp_path / name).model
        results = attribute_targets(model, onehot(2).to(torch.uint8), method, [LogCounts(), Profile()])
        for result in results:
            assert result.max_relative_delta.max() <= 1e-4, loader
            assert result.hypothetical.abs().max() > 1e-6
