"""Published architectures: size, shapes, weights in the published layout, exact attribution."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute
from cislex.errors import ConfigError, ModelError
from cislex.models.architectures import ARCHITECTURES, PUBLISHED, build
from cislex.models.loading import load_model
from torch import Tensor, nn

#: Small versions of the networks, with the weights' layout unchanged.
SMALL = {
    "deepsea_beluga": {"tasks": 5, "input_length": 400, "filters": 8, "hidden": 7},
    "basset": {"tasks": 5, "filters": 12, "hidden": 10},
    "deepstarr": {},
}


def onehot(n: int, length: int, seed: int = 0) -> Tensor:
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(seed))
    return functional.one_hot(codes, 4).transpose(1, 2).float()


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and running statistics that tell every module from every other."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        values = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim > 1:
            tensor.copy_(values * (2 / tensor[0].numel()) ** 0.5)
        elif tensor.is_floating_point():
            tensor.copy_(0.1 * values + (0 if name.endswith(("bias", "mean")) else 1))
    return model.eval()


@pytest.mark.parametrize(
    ("architecture", "length", "outputs", "parameters"),
    [
        # Convolutions of width 8, 4-320-320-480-480-640-640 channels; 53 × 2 × 640 = 67,840 features.
        (
            "deepsea_beluga",
            2000,
            2002,
            8 * (4 * 320 + 320 * 320 + 320 * 480 + 480 * 480 + 480 * 640 + 640 * 640)
            + 2 * (320 + 480 + 640)
            + 67840 * 2003
            + 2003
            + 2003 * 2002
            + 2002,
        ),
        # 300 filters of 19, 200 of 11, 200 of 7, ten positions left; 1,000 and 1,000 units.
        (
            "basset",
            600,
            164,
            4 * 300 * 19
            + 300 * 200 * 11
            + 200 * 200 * 7
            + 3 * (300 + 200 + 200)
            + 2000 * 1000
            + 1000 * 1000
            + 2 * 3 * 1000
            + 1000 * 164
            + 164,
        ),
        # 256 filters of 7, 60 of 3, 60 of 5, 120 of 3, fifteen positions left; 256 and 256 units, two heads.
        (
            "deepstarr",
            249,
            2,
            4 * 256 * 7
            + 256 * 60 * 3
            + 60 * 60 * 5
            + 60 * 120 * 3
            + 3 * (256 + 60 + 60 + 120)
            + 1800 * 256
            + 256 * 256
            + 2 * 3 * 256
            + 2 * 257,
        ),
    ],
)
def test_a_published_network_has_its_size_and_shape(
    architecture: str, length: int, outputs: int, parameters: int
) -> None:
    with torch.device("meta"):
        model = build(architecture).eval()
        assert model(torch.empty(3, 4, length)).shape == (3, outputs)
    assert sum(tensor.numel() for tensor in model.parameters()) == parameters


@pytest.mark.parametrize("architecture", ["deepsea_beluga", "basset"])
def test_without_the_sigmoid_the_logits_are_returned(architecture: str) -> None:
    settings = SMALL[architecture]
    with_sigmoid = randomise(build(architecture, **settings))
    logits = build(architecture, **settings, sigmoid=False).eval()
    logits.load_state_dict(with_sigmoid.state_dict())
    rows = onehot(3, settings.get("input_length", 600))
    with torch.no_grad():
        torch.testing.assert_close(torch.sigmoid(logits(rows)), with_sigmoid(rows))
    with pytest.raises(ConfigError, match=r"sigmoid of .* is 1; expected true or false"):
        build(architecture, sigmoid=1)


def published_beluga(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Callable[[Tensor], Tensor]]:
    """The weights as they were published, and the network's definition over (N, 4, 1, L) in A G C T."""
    names = {"features.": "model.0.", "hidden.": "model.1.2.1.", "tracks.": "model.1.4.1."}
    layout = {}
    for name, tensor in state.items():
        prefix = next(prefix for prefix in names if name.startswith(prefix))
        tensor = tensor.unsqueeze(2) if tensor.ndim == 3 else tensor
        if name == "features.0.weight":
            tensor = tensor[:, [0, 2, 1, 3]]
        layout[names[prefix] + name.removeprefix(prefix)] = tensor

    def forward(sequences: Tensor) -> Tensor:
        h = sequences[:, [0, 2, 1, 3]].unsqueeze(2)
        for place, pool in ((0, 0), (2, 4), (6, 0), (8, 4), (12, 0), (14, 0)):
            h = functional.conv2d(
                h, layout[f"model.0.{place}.weight"], layout[f"model.0.{place}.bias"]
            ).relu()
            h = functional.max_pool2d(h, (1, 4)) if pool else h
        h = h.reshape(len(h), -1)
        h = functional.linear(h, layout["model.1.2.1.weight"], layout["model.1.2.1.bias"]).relu()
        return functional.linear(h, layout["model.1.4.1.weight"], layout["model.1.4.1.bias"]).sigmoid()

    return layout, forward


def published_basset(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Callable[[Tensor], Tensor]]:
    """The weights as Kipoi publishes them (batches not counted), and its definition over (N, 4, L, 1)."""
    head = {"0": "13.1", "1": "14", "4": "17.1", "5": "18", "8": "21.1"}
    layout = {}
    for name, tensor in state.items():
        part, place, rest = name.split(".")
        if rest != "num_batches_tracked":
            tensor = tensor.unsqueeze(3) if tensor.ndim == 3 else tensor
            layout[f"{place if part == 'features' else head[place]}.{rest}"] = tensor

    def norm(h: Tensor, place: str) -> Tensor:
        w = {key.removeprefix(f"{place}."): v for key, v in layout.items() if key.startswith(f"{place}.")}
        return functional.batch_norm(h, w["running_mean"], w["running_var"], w["weight"], w["bias"])

    def forward(sequences: Tensor) -> Tensor:
        h = sequences.unsqueeze(3)
        for place, pool in ((0, 3), (4, 4), (8, 4)):
            h = functional.conv2d(h, layout[f"{place}.weight"], layout[f"{place}.bias"])
            h = functional.max_pool2d(norm(h, str(place + 1)).relu(), (pool, 1))
        h = h.reshape(len(h), -1)
        for dense, after in (("13.1", "14"), ("17.1", "18")):
            h = norm(functional.linear(h, layout[f"{dense}.weight"], layout[f"{dense}.bias"]), after).relu()
        return functional.linear(h, layout["21.1.weight"], layout["21.1.bias"]).sigmoid()

    return layout, forward


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(
    ("architecture", "publish"), [("deepsea_beluga", published_beluga), ("basset", published_basset)]
)
def test_weights_in_the_published_layout_give_the_published_network(
    architecture: str, publish: Callable[..., tuple], prefix: str, tmp_path: Path
) -> None:
    layout, forward = publish(randomise(build(architecture, **SMALL[architecture])).state_dict())
    torch.save({prefix + name: tensor for name, tensor in layout.items()}, tmp_path / "w.pth")
    loaded = load_model(
        "architecture",
        weights=tmp_path / "w.pth",
        architecture=architecture,
        hyperparameters=SMALL[architecture],
    )
    assert loaded.input_length == SMALL[architecture].get("input_length", 600)
    rows = onehot(4, loaded.input_length)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(rows), forward(rows), atol=1e-6, rtol=1e-5)
        assert loaded.model(rows).std() > 1e-3


def keras_deepstarr(path: Path, *, wrapped: bool, first_norm: int) -> Callable[[Tensor], Tensor]:
    """Write random weights as Keras does, and return the network's definition over (N, L, 4)."""
    generator = np.random.default_rng(0)
    sizes = [(4, 256, 7), (256, 60, 3), (60, 60, 5), (60, 120, 3)]
    layers: dict[str, dict[str, np.ndarray]] = {}

    def add(name: str, **arrays: np.ndarray) -> None:
        layers[name] = {key: value.astype("float32") for key, value in arrays.items()}

    def add_norm(width: int) -> None:
        number = first_norm + sum(name.startswith("batch") for name in layers)
        names = ("gamma", "beta", "moving_mean")
        add(
            f"batch_normalization_{number}" if number else "batch_normalization",
            **{key: generator.normal(size=width) for key in names},
            moving_variance=generator.uniform(0.5, 2, size=width),
        )

    for name, (inner, width, kernel) in zip(
        ("Conv1D_1st", "Conv1D_2", "Conv1D_3", "Conv1D_4"), sizes, strict=True
    ):
        scale = (inner * kernel) ** -0.5
        add(
            name,
            kernel=scale * generator.normal(size=(kernel, inner, width)),
            bias=generator.normal(size=width),
        )
        add_norm(width)
    for name, inner, width in (("Dense_1", 1800, 256), ("Dense_2", 256, 256)):
        add(
            name,
            kernel=inner**-0.5 * generator.normal(size=(inner, width)),
            bias=generator.normal(size=width),
        )
        add_norm(width)
    for name in ("Dense_Dev", "Dense_Hk"):
        add(name, kernel=generator.normal(size=(256, 1)) / 16, bias=generator.normal(size=1))
    with h5py.File(path, "w") as handle:
        group = handle.create_group("model_weights") if wrapped else handle
        for name, arrays in layers.items():
            for key, value in arrays.items():
                group[f"{name}/{name}/{key}:0"] = value

    def forward(sequences: Tensor) -> Tensor:
        norms = iter([layers[name] for name in layers if name.startswith("batch")])
        h = sequences.numpy()
        for name in ("Conv1D_1st", "Conv1D_2", "Conv1D_3", "Conv1D_4"):
            kernel, bias = layers[name]["kernel"], layers[name]["bias"]
            reach = len(kernel) // 2
            padded = np.pad(h, ((0, 0), (reach, reach), (0, 0)))
            h = sum(padded[:, i : i + h.shape[1]] @ kernel[i] for i in range(len(kernel))) + bias
            h = np.maximum(normalise(h, next(norms)), 0)
            h = h[:, : h.shape[1] // 2 * 2].reshape(len(h), -1, 2, h.shape[2]).max(2)
        h = h.reshape(len(h), -1)
        for name in ("Dense_1", "Dense_2"):
            h = np.maximum(normalise(h @ layers[name]["kernel"] + layers[name]["bias"], next(norms)), 0)
        heads = [h @ layers[name]["kernel"] + layers[name]["bias"] for name in ("Dense_Dev", "Dense_Hk")]
        return torch.from_numpy(np.concatenate(heads, 1).astype("float32"))

    return forward


#: Keras's own names of the layers, in the order in which a session made them after other models.
DEFAULT_NAMES = {
    "Conv1D_1st": "conv1d_8", "Conv1D_2": "conv1d_9", "Conv1D_3": "conv1d_10", "Conv1D_4": "conv1d_11",
    "Dense_1": "dense_9", "Dense_2": "dense_10", "Dense_Dev": "dense_11", "Dense_Hk": "dense_12",
}  # fmt: skip


@pytest.mark.parametrize("joint", [True, False])
def test_deepstarr_is_read_from_a_keras_file_of_default_names(joint: bool, tmp_path: Path) -> None:
    forward = keras_deepstarr(tmp_path / "w.h5", wrapped=True, first_norm=8)
    with h5py.File(tmp_path / "w.h5", "a") as handle:
        group = handle["model_weights"]
        for ours, name in DEFAULT_NAMES.items():
            group.move(f"{ours}/{ours}", f"{name}/{name}")
            del group[ours]
        if joint:
            both = [group[f"{name}/{name}"] for name in ("dense_11", "dense_12")]
            kernel = np.concatenate([head["kernel:0"][()] for head in both], 1)
            bias = np.concatenate([head["bias:0"][()] for head in both])
            del group["dense_11"], group["dense_12"]
            group["dense_11/dense_11/kernel:0"], group["dense_11/dense_11/bias:0"] = kernel, bias
    loaded = load_model("architecture", weights=tmp_path / "w.h5", architecture="deepstarr")
    rows = onehot(3, 249)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(rows), forward(rows.transpose(1, 2)), atol=1e-4, rtol=1e-4)


def normalise(h: np.ndarray, layer: dict[str, np.ndarray]) -> np.ndarray:
    return (h - layer["moving_mean"]) / np.sqrt(layer["moving_variance"] + 1e-3) * layer["gamma"] + layer[
        "beta"
    ]


@pytest.mark.parametrize(("wrapped", "first_norm"), [(True, 0), (False, 1), (False, 9)])
def test_deepstarr_is_read_from_its_keras_file(wrapped: bool, first_norm: int, tmp_path: Path) -> None:
    forward = keras_deepstarr(tmp_path / "w.h5", wrapped=wrapped, first_norm=first_norm)
    loaded = load_model("architecture", weights=tmp_path / "w.h5", architecture="deepstarr")
    rows = onehot(3, 249)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(rows), forward(rows.transpose(1, 2)), atol=1e-4, rtol=1e-4)


def test_weights_of_another_architecture_are_named(tmp_path: Path) -> None:
    torch.save(build("deepstarr").state_dict(), tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"missing features\.0\.bias.*unexpected bn1\.bias"):
        load_model("architecture", weights=tmp_path / "w.pt", architecture="basset")
    keras_deepstarr(tmp_path / "w.h5", wrapped=True, first_norm=0)
    with pytest.raises(ModelError, match="of the zoo only deepstarr"):
        load_model("architecture", weights=tmp_path / "w.h5", architecture="basset")
    with h5py.File(tmp_path / "w.h5", "a") as handle:
        del handle["model_weights/Dense_Hk"]
    with pytest.raises(ModelError, match="not a DeepSTARR model: no layer for fc_hk"):
        load_model("architecture", weights=tmp_path / "w.h5", architecture="deepstarr")
    with pytest.raises(ConfigError, match=r"needs architecture: one of cnn, .*deepsea_beluga"):
        load_model("architecture", weights=tmp_path / "w.pt")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_trained_network_can_be_named_as_well(architecture: str, tmp_path: Path) -> None:
    settings = {"tasks": 2, "input_length": 120}
    model = build(architecture, **settings).eval()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "w.pt")
    loaded = load_model(
        "architecture", weights=tmp_path / "w.pt", architecture=architecture, hyperparameters=settings
    )
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(onehot(3, 120)), model(onehot(3, 120)))


@pytest.mark.parametrize("architecture", PUBLISHED)
def test_published_networks_are_attributed_exactly(architecture: str) -> None:
    settings = SMALL[architecture]
    model = randomise(build(architecture, **settings))
    length = settings.get("input_length", 249 if architecture == "deepstarr" else 600)
    method = DeepLiftShap(references=DinucleotideShuffle(n=3))
    result = attribute(model, onehot(2, length).to(torch.uint8), method, target=1)
    assert result.max_relative_delta.max() <= 1e-4
