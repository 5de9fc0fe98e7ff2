"""Loader keras: the model that Keras saved, attributed exactly, and named errors for any other file."""

from __future__ import annotations

import copy
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute
from cislex.errors import ModelError
from cislex.models.formats.keras_runtime import import_keras
from cislex.models.loading import LoadedModel, check_model, load_model
from cislex.prediction.inspect import _describe
from cislex.targets import Output, PreActivation
from keras_models import LENGTH, MODELS, make
from torch import Tensor, nn

#: Warnings of Keras's own code as it saves.
pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]
METHOD = DeepLiftShap(references=DinucleotideShuffle(n=5))


def onehot(n: int = 3, length: int = LENGTH) -> Tensor:
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(1))
    return nn.functional.one_hot(codes, 4).transpose(1, 2).to(torch.uint8)


def predicted(model: Any, x: Tensor) -> Any:
    """What Keras itself predicts."""
    with torch.no_grad():
        return model(x.float().transpose(1, 2), training=False)


def saved(model: Any, path: Path) -> LoadedModel:
    model.save(path)
    return load_model("keras", weights=path)


#: Models with operations outside of layers, which Keras itself cannot read from .h5.
OUTSIDE = ("nested, both strands", "operations", "transformer")


@pytest.mark.parametrize(
    ("name", "suffix"),
    [(name, ".keras") for name in sorted(MODELS)]
    + [(name, ".h5") for name in sorted(MODELS) if name not in OUTSIDE],
)
def test_a_model_comes_back(name: str, suffix: str, tmp_path: Path) -> None:
    model = make(MODELS[name])
    loaded = saved(model, tmp_path / f"m{suffix}")
    assert check_model(loaded, LENGTH) == {"output": (2,)}
    assert loaded.input_length == (None if name == "dilated" else LENGTH)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(onehot().float()), predicted(model, onehot()))
        copied = copy.deepcopy(loaded.model).double()
        torch.testing.assert_close(copied(onehot().double()).float(), predicted(model, onehot()))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_deep_lift_shap_is_exact(name: str, tmp_path: Path) -> None:
    loaded = saved(make(MODELS[name]), tmp_path / "m.keras")
    found = attribute(loaded.model, onehot(), METHOD, target=Output(1))
    exact = attribute(loaded.model, onehot(), METHOD, target=Output(1), precision="float64")
    assert found.max_relative_delta is not None
    assert exact.max_relative_delta is not None
    assert float(found.max_relative_delta.max()) <= 1e-4
    assert float(exact.max_relative_delta.max()) <= 1e-6
    scale = float(exact.hypothetical.abs().max())
    assert scale > 1e-4
    assert float((found.hypothetical - exact.hypothetical).abs().max()) <= 1e-4 * scale


def small(keras: Any, length: int | None = LENGTH, channels: int = 4, **options: Any) -> Any:
    layers = keras.layers
    x = keras.Input((length, channels))
    h = layers.Conv1D(4, 5, activation="relu", **options)(x)
    return keras.Model(x, layers.Dense(1)(layers.GlobalMaxPooling1D()(h)))


def test_several_outputs_are_named(tmp_path: Path) -> None:
    def build(keras: Any) -> Any:
        layers = keras.layers
        x = keras.Input((LENGTH, 4))
        h = layers.Flatten()(layers.Conv1D(4, 5, activation="relu")(x))
        heads = [layers.Dense(1, name="dev"), layers.Dense(3, name="hk", activation="sigmoid")]
        return keras.Model(x, [head(h) for head in heads])

    model = make(build)
    loaded = saved(model, tmp_path / "m.keras")
    assert check_model(loaded, LENGTH) == {"dev": (1,), "hk": (3,)}
    found = attribute(loaded.model, onehot(), METHOD, target=Output(2, head="hk"))
    torch.testing.assert_close(found.prediction, predicted(model, onehot())[1][:, 2])
    logit = attribute(loaded.model, onehot(), METHOD, target=PreActivation(Output(2, head="hk")))
    torch.testing.assert_close(logit.prediction.sigmoid(), found.prediction)
    before = attribute(
        loaded.model, onehot(), METHOD, target=PreActivation(Output(5), module="model.layers.dev")
    )
    hidden = import_keras().Model(model.input, model.get_layer("dev").input)
    torch.testing.assert_close(before.prediction, predicted(hidden, onehot())[:, 5])


def test_further_inputs_are_controls(tmp_path: Path) -> None:
    def build(keras: Any) -> Any:
        layers = keras.layers
        bias, x = keras.Input((3,), name="bias"), keras.Input((LENGTH, 4), name="dna")
        h = layers.Concatenate()([layers.GlobalMaxPooling1D()(layers.Conv1D(4, 5)(x)), bias])
        return keras.Model([bias, x], layers.Dense(1)(h))

    model = make(build)
    loaded = saved(model, tmp_path / "m.keras")
    with pytest.raises(
        ModelError, match=r"2 inputs and was given 1.*into dna.*bias \(N, 3\).*controls: \[\[3\]\]"
    ):
        check_model(loaded, LENGTH)
    loaded = load_model("keras", weights=tmp_path / "m.keras", layout={"controls": [[3]]})
    assert check_model(loaded, LENGTH) == {"output": (1,)}
    with torch.no_grad():
        wanted = model([torch.zeros(3, 3), onehot().float().transpose(1, 2)])
        torch.testing.assert_close(loaded.model(onehot().float()), wanted)


def test_the_layout_can_be_another(tmp_path: Path) -> None:
    def build(keras: Any) -> Any:
        x = keras.Input((4, LENGTH))
        return keras.Model(x, keras.layers.Dense(1)(keras.layers.Flatten()(x)))

    model = make(build)
    model.save(tmp_path / "m.keras")
    loaded = load_model("keras", weights=tmp_path / "m.keras", layout={"axes": "NCL"})
    assert loaded.input_length == LENGTH
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(onehot().float()), model(onehot().float()))
    with pytest.raises(ModelError, match=r"takes \(N, 4, 60\) and was given \(N, 60, 4\): set .*axes"):
        check_model(load_model("keras", weights=tmp_path / "m.keras"), LENGTH)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_half_precision_is_computed_in_float32(
    policy: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wide = make(small)

    def build(keras: Any) -> Any:
        return small(keras, dtype=policy)

    narrow = make(build)
    narrow.set_weights(wide.get_weights())
    loaded = saved(narrow, tmp_path / "m.keras")
    assert "computes in float32" in caplog.text
    wide.set_weights(narrow.get_weights())
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(onehot().float()), predicted(wide, onehot()))


def test_calls_and_copies_leave_the_model_as_it_was(tmp_path: Path) -> None:
    model = make(MODELS["convolutions"])
    loaded = saved(model, tmp_path / "m.keras").model
    loaded.train()
    flags = [parameter.requires_grad for parameter in loaded.parameters()]
    assert any(flags)
    before = {name: tensor.clone() for name, tensor in loaded.state_dict().items()}
    plain = attribute(loaded, onehot(), METHOD, target=Output(0))
    attribute(loaded, onehot(), METHOD, target=Output(0), precision="float64")
    copied = copy.deepcopy(loaded).double()
    assert loaded.training
    assert [parameter.requires_grad for parameter in loaded.parameters()] == flags
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    with torch.no_grad():  # dropout and batch norm run in inference mode whatever train() says
        torch.testing.assert_close(loaded(onehot().float()), predicted(model, onehot()))
        torch.testing.assert_close(copied(onehot().double()).float(), predicted(model, onehot()))
        for parameter in copied.parameters():
            parameter.zero_()
        torch.testing.assert_close(loaded(onehot().float())[:, 0], plain.prediction)


def test_threads_get_what_one_call_gets(tmp_path: Path) -> None:
    model = saved(make(MODELS["recurrent"]), tmp_path / "m.keras").model
    alone = model(onehot().float()).detach()

    def call(i: int) -> Tensor:
        with torch.no_grad():
            output: Tensor = model(onehot().float())
        return output

    with ThreadPoolExecutor(4) as pool:
        for output in pool.map(call, range(8)):
            torch.testing.assert_close(output, alone)


def test_the_digest_follows_the_file(tmp_path: Path) -> None:
    digests = []
    for seed in (0, 1):
        model = make(small, seed)
        digests.append(saved(model, tmp_path / "m.keras").digest)
    assert digests[0] != digests[1]
    assert load_model("keras", weights=tmp_path / "m.keras").digest == digests[1]


def test_files_that_are_no_whole_model_are_named(tmp_path: Path) -> None:
    make(small).save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ModelError, match=r"weights alone.*save it whole"):
        load_model("keras", weights=tmp_path / "m.weights.h5")
    for name, content in (("m.keras", b"text"), ("m.h5", b"text"), ("m.pt", b"text")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=r"not a whole Keras model; expected \.keras or \.h5"):
            load_model("keras", weights=tmp_path / name)
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("data.pkl", b"")
    with pytest.raises(ModelError, match="not a whole Keras model"):
        load_model("keras", weights=tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", b"{")
    with pytest.raises(ModelError, match="damaged"):
        load_model("keras", weights=tmp_path / "m.keras")


def test_inputs_that_are_no_onehot_sequences_are_named(tmp_path: Path) -> None:
    def codes(keras: Any) -> Any:
        x = keras.Input((LENGTH,), dtype="int32", name="tokens")
        return keras.Model(x, keras.layers.Dense(1)(keras.layers.Flatten()(keras.layers.Embedding(5, 3)(x))))

    make(codes).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="input tokens takes int32"):
        load_model("keras", weights=tmp_path / "m.keras")
    make(lambda keras: small(keras, channels=5)).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=r"takes \(N, 60, 5\); expected an axis of four channels"):
        load_model("keras", weights=tmp_path / "m.keras")
    loaded = saved(make(small), tmp_path / "m.keras")
    with pytest.raises(ModelError, match="takes 60 bp and the regions are 80 bp"):
        check_model(loaded, 80)
    with pytest.raises(ModelError, match=r"takes \(N, 60, 4\) and was given \(N, 80, 4\): set input_length"):
        loaded.model(onehot(length=80).float())
    make(small).save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as handle:
        config = json.loads(handle.attrs["model_config"])
        config["config"]["layers"][0]["config"]["ragged"] = True
        handle.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ModelError, match="takes ragged values"):
        load_model("keras", weights=tmp_path / "m.h5")


def test_what_keras_2_wrote_is_read(tmp_path: Path) -> None:
    """Settings of a file of Keras 2.0: batch_input_shape, layers without dtype, names of weights with :0."""
    model = make(MODELS["dilated"])
    model.save(tmp_path / "new.h5")
    layers = []
    for layer in json.loads(h5py.File(tmp_path / "new.h5").attrs["model_config"])["config"]["layers"]:
        settings = {key: value for key, value in layer["config"].items() if key not in ("dtype", "groups")}
        settings = {
            key: {"class_name": value["class_name"], "config": value["config"]}
            if isinstance(value, dict) and "class_name" in value
            else value
            for key, value in settings.items()
        }
        if layer["class_name"] == "InputLayer":
            settings = {
                "batch_input_shape": [None, None, 4], "dtype": "float32", "sparse": False,
                "name": settings["name"],
            }  # fmt: skip
        nodes = [
            [[*entry["config"]["keras_history"], {}] for entry in arguments]
            for node in layer["inbound_nodes"]
            for arguments in [node["args"][0] if isinstance(node["args"][0], list) else node["args"]]
        ]
        layers.append({"class_name": layer["class_name"], "config": settings, "name": layer["name"],
                       "inbound_nodes": nodes})  # fmt: skip
    ends = {"input_layers": [[layers[0]["name"], 0, 0]], "output_layers": [[layers[-1]["name"], 0, 0]]}
    config = {"class_name": "Model", "config": {"name": "model_1", "layers": layers, **ends}}
    with h5py.File(tmp_path / "new.h5") as new, h5py.File(tmp_path / "m.h5", "w") as old:
        old.attrs["model_config"] = json.dumps(config)
        old.attrs["keras_version"] = "2.0.5"
        group = old.create_group("model_weights")
        group.attrs["layer_names"] = new["model_weights"].attrs["layer_names"]
        for name in new["model_weights"]:
            names = [str(item) for item in new["model_weights"][name].attrs["weight_names"]]
            part = group.create_group(name)
            part.attrs["weight_names"] = np.array([f"{item}:0".encode() for item in names], dtype="S64")
            for item in names:
                part[f"{item}:0"] = new["model_weights"][name][item][...]
    loaded = load_model("keras", weights=tmp_path / "m.h5")
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(onehot().float()), predicted(model, onehot()))


def test_the_inspection_lists_the_layers_of_keras(tmp_path: Path) -> None:
    loaded = saved(make(MODELS["convolutions"]), tmp_path / "m.keras")
    rows = _describe(loaded.model, check_model(loaded, LENGTH), LENGTH)
    layers = {row.name: row.value for row in rows if row.section == "layer"}
    assert layers["Conv1D"] == "2×"
    assert layers["BatchNormalization"] == "1×"
    assert "ParameterDict" not in layers


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_gpu_computes_what_the_cpu_computes(name: str, tmp_path: Path) -> None:
    make(MODELS[name]).save(tmp_path / "m.keras")
    found = [
        attribute(
            load_model("keras", weights=tmp_path / "m.keras", device=device).model,
            onehot(),
            METHOD,
            target=Output(1),
            precision="float64",
        ).hypothetical
        for device in ("cpu", "cuda")
    ]
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-6 * float(found[0].abs().max()))
