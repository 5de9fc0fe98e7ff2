"""Keras files can name any code; without the user's word only what computes is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cislex
import h5py
import pytest
import torch
from cislex.errors import ModelError
from cislex.models.formats.keras_config import RUNNING_CODE
from cislex.models.formats.keras_runtime import import_keras
from cislex.models.loading import check_model, load_model
from keras_models import LENGTH, make

#: Warnings of Keras's own code as it saves.
pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]
#: Layers of a user, of which one is registered under the name of a package.
LAYERS = """
import keras

class Scale(keras.layers.Layer):
    def __init__(self, by=2.0, **options):
        super().__init__(**options)
        self.by = by

    def call(self, x):
        return self.by * x

    def get_config(self):
        return {**super().get_config(), "by": self.by}

@keras.saving.register_keras_serializable("mine")
class Net(keras.Model):
    def __init__(self, filters=3, **options):
        super().__init__(**options)
        self.filters = filters
        self.conv = keras.layers.Conv1D(filters, 5, activation="relu")
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(keras.ops.max(self.conv(x), axis=1))

    def get_config(self):
        return {"filters": self.filters}

OBJECTS = {"Scale": Scale, "Net": Net}

def objects():
    return OBJECTS

def broken():
    raise ValueError("no such scale")

number = 3
"""


def plain(keras: Any, *middle: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((LENGTH, 4)),
            layers.Conv1D(4, 5, name="conv"),
            *middle,
            layers.GlobalMaxPooling1D(),
            layers.Dense(1),
        ]
    )


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the description of a model in its file."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as handle:
            config = json.loads(handle.attrs["model_config"])
            change(config)
            handle.attrs["model_config"] = json.dumps(config)
        return
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(entries["config.json"])
    change(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**entries, "config.json": json.dumps(config).encode()}.items():
            archive.writestr(name, content)


@pytest.fixture(params=[".keras", ".h5"])
def model_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"m{request.param}"
    make(plain).save(path)
    return path


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if Keras is asked to make anything of a file."""
    keras = import_keras()

    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("Keras was given the file")

    monkeypatch.setattr(keras.saving, "load_model", load)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_needs_the_users_word(suffix: str, tmp_path: Path) -> None:
    def build(keras: Any) -> Any:
        return plain(keras, keras.layers.Lambda(lambda x: x * 2, name="twice"))

    model = make(build)
    path = tmp_path / f"m{suffix}"
    model.save(path)
    with pytest.raises(ModelError, match=r"code in the file: twice \(Lambda\).*trust_pickle: true"):
        load_model("keras", weights=path)
    loaded = load_model("keras", weights=path, trust_pickle=True)
    x = torch.rand(2, 4, LENGTH)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(x), model(x.transpose(1, 2)))


#: What a file may claim that a layer is: each would import or unpickle something else.
HOLES: dict[str, dict[str, Any]] = {
    "function of another module": {
        "class_name": "function", "module": "os", "config": "system", "registered_name": "system",
    },
    "function of Keras's utilities": {
        "class_name": "function", "module": "keras.utils", "config": "get_file", "registered_name": None,
    },
    "class of another module": {
        "class_name": "Popen", "module": "subprocess", "config": {"args": ["true"]}, "registered_name": None,
    },
    "class of another package": {
        "class_name": "Net", "module": "keras_hub.models", "config": {}, "registered_name": None,
    },
    "pickled module": {
        "class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {"module": {}},
        "registered_name": None,
    },
    "lambda without a layer": {"class_name": "__lambda__", "config": {"value": "4wAAAAA="}},
    "saved program": {
        "class_name": "TFSMLayer", "module": "keras.layers", "config": {"filepath": "/tmp/x"},
        "registered_name": None,
    },
    "unknown registered name": {
        "class_name": "Net", "module": None, "config": {}, "registered_name": "theirs>Net",
    },
}  # fmt: skip


@pytest.mark.parametrize("hole", sorted(HOLES))
@pytest.mark.parametrize("key", ["activation", "kernel_initializer", "a new layer"])
@pytest.mark.usefixtures("never")
def test_a_file_that_names_other_code_is_refused(hole: str, key: str, model_file: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layers = config["config"]["layers"]
        (conv,) = (layer for layer in layers if layer["config"].get("name") == "conv")
        if key == "a new layer":
            layers.insert(2, HOLES[hole])
        else:
            conv["config"][key] = HOLES[hole]

    edit(model_file, change)
    with pytest.raises(ModelError, match=r"layers with code in the file|not part of Keras"):
        load_model("keras", weights=model_file)


@pytest.mark.usefixtures("never")
def test_code_under_a_name_of_the_users_layers_is_refused(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text(LAYERS)

    def change(config: dict[str, Any]) -> None:
        hole = {"class_name": "Lambda", "module": "keras.layers", "config": {}, "registered_name": "Scale"}
        config["config"]["layers"].insert(2, hole)

    edit(model_file, change)
    with pytest.raises(ModelError, match="layers with code in the file"):
        load_model("keras", weights=model_file, module=f"{tmp_path / 'layers.py'}:OBJECTS")


@pytest.mark.usefixtures("never")
def test_a_function_in_place_of_a_class_is_refused(tmp_path: Path) -> None:
    """Keras calls whatever it finds in its layers under a class's name in a .h5 file."""
    make(plain).save(tmp_path / "m.h5")

    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"].append({"class_name": "deserialize", "config": {"config": None}})

    edit(tmp_path / "m.h5", change)
    with pytest.raises(ModelError, match="not part of Keras: deserialize"):
        load_model("keras", weights=tmp_path / "m.h5")


def test_how_a_model_was_trained_does_not_matter(tmp_path: Path) -> None:
    model = make(plain)
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    model.save(tmp_path / "m.keras")

    def change(config: dict[str, Any]) -> None:
        config["compile_config"]["loss"] = {
            "class_name": "CosineLoss", "module": "theirs.losses", "config": {},
            "registered_name": "theirs>CosineLoss",
        }  # fmt: skip

    edit(tmp_path / "m.keras", change)
    assert check_model(load_model("keras", weights=tmp_path / "m.keras"), LENGTH) == {"output": (1,)}


@pytest.mark.parametrize("name", ["OBJECTS", "objects"])
def test_layers_of_the_user_come_from_their_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text(LAYERS)
    classes: dict[str, Any] = {"__name__": "elsewhere"}
    exec(LAYERS, classes)
    keras = import_keras()
    keras.saving.get_custom_objects().clear()  # as in the process that loads the file
    scaled = make(lambda keras: plain(keras, classes["Scale"](3.0, name="thrice")))
    subclassed = classes["Net"](name="net")
    x = torch.rand(2, 4, LENGTH)
    for model, unknown in ((scaled, r"Scale in thrice"), (subclassed, "Net in ")):
        with torch.no_grad():
            wanted = model(x.transpose(1, 2))
        model.save(tmp_path / "m.keras")
        keras.saving.get_custom_objects().clear()
        with pytest.raises(ModelError, match=rf"not part of Keras: {unknown}.*module: path/to/file\.py:NAME"):
            load_model("keras", weights=tmp_path / "m.keras")
        loaded = load_model("keras", weights=tmp_path / "m.keras", module=f"{tmp_path / 'layers.py'}:{name}")
        with torch.no_grad():
            torch.testing.assert_close(loaded.model(x), wanted)
            torch.testing.assert_close(loaded.model.double()(x.double()).float(), wanted)
    keras.saving.get_custom_objects().clear()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "has no 'nowhere'; it has"),
        ("number", "found int; expected a dict"),
        ("broken", "raised ValueError: no such scale|no such scale"),
    ],
)
def test_custom_objects_that_are_none_are_named(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text(LAYERS)
    make(plain).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=message):
        load_model("keras", weights=tmp_path / "m.keras", module=f"{tmp_path / 'layers.py'}:{name}")
    import_keras().saving.get_custom_objects().clear()


def test_every_layer_that_can_run_code_is_known() -> None:
    """Layers of Keras that take Python code, or whose program is somewhere else."""
    keras = import_keras()
    suspicious = ("Lambda", "Wrapper", "SavedModel", "TFSM", "Jax", "Flax", "Torch")
    found = {name for name in dir(keras.layers) if name.startswith(suspicious)} - {"Wrapper"}
    assert found <= RUNNING_CODE


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = str(Path(cislex.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


IMPORT = "from cislex.models.formats.keras_runtime import import_keras; keras = import_keras();"


def test_keras_takes_nothing_from_the_users_home_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "other" / ".keras").mkdir(parents=True)
    (tmp_path / "other" / ".keras" / "keras.json").write_text('{"floatx": "float16", "backend": "jax"}')
    report = "print(keras.config.backend(), keras.config.floatx())"
    for home, backend in (("none", "tensorflow"), ("other", "")):
        (tmp_path / home).mkdir(exist_ok=True)
        found = run(IMPORT + report, HOME=str(tmp_path / home), KERAS_BACKEND=backend)
        assert found.stdout.split() == ["torch", "float32"], found.stderr
    assert not (tmp_path / "none" / ".keras").exists()


def test_keras_with_another_backend_is_named() -> None:
    program = "import sys, types; keras = sys.modules['keras'] = types.ModuleType('keras');"
    other = "keras.config = types.SimpleNamespace(backend=lambda: 'jax');"
    found = run(program + other + IMPORT)
    assert "imported before with the backend jax" in found.stderr
    assert "KERAS_BACKEND=torch" in found.stderr
