"""What a whole-model Keras file says about its layers, and whether loading it could run code.

Keras makes objects of every entry of this description that names a class. ``safe_mode`` of Keras refuses
pickled lambdas in ``.keras`` files; here the description is examined first, for both formats, and an entry is
accepted only if it names a class or function of Keras that computes, or one that the user gave.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from cislex.errors import ModelError, offenders
from cislex.files.sealed import open_file

#: Modules of Keras whose classes and functions compute; a description may name what is in them.
_COMPUTING = (
    "activations", "constraints", "dtype_policies", "initializers", "layers", "losses", "metrics", "models",
    "ops", "optimizers", "quantizers", "random", "regularizers",
)  # fmt: skip
#: What may be named in ``keras`` itself, by whose names Keras saves some classes.
_TOP = {"DTypePolicy", "FloatDTypePolicy", "Function", "Functional", "Model", "Sequential", "Variable"}
#: Layers that hold Python code, a pickle, or a program in another file.
RUNNING_CODE = {"Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"}
#: Values that JSON cannot hold.
_VALUES = {
    "__keras_tensor__",
    "__tensor__",
    "__numpy__",
    "__bytes__",
    "__ellipsis__",
    "__slice__",
    "__tuple__",
}


@dataclass(frozen=True)
class KerasDescription:
    """Description of a Keras model.

    Attributes
    ----------
    path
        The file.
    config
        The model as nested objects with ``class_name`` and ``config``, without how it was trained.
    legacy
        Whether the file is ``.h5``, where Keras looks for classes by their names alone.
    """

    path: Path
    config: dict[str, Any]
    legacy: bool

    def objects(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every object of the description, and the name of the layer that it is in."""
        yield from _walk(self.config, "the model")

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Settings of the input layers."""
        settings = self.config["config"]
        layers = settings.get("layers", []) if isinstance(settings, Mapping) else settings
        return [layer["config"] for layer in layers if layer.get("class_name") == "InputLayer"]


def read_description(path: Path) -> KerasDescription:
    """Read the description of a model from a ``.keras`` or ``.h5`` file, without Keras.

    Raises
    ------
    ModelError
        When the file is neither, or holds weights alone.
    """
    if zipfile.is_zipfile(path) and path.suffix == ".keras":
        text = _from_archive(path)
    elif h5py.is_hdf5(path) and path.suffix in (".h5", ".hdf5"):
        with open_file(path) as handle:
            text = handle.attrs.get("model_config")
        if text is None:
            raise ModelError(
                f"{path}: weights alone, without a description of the model: build the model in Keras, load "
                "these weights and save it whole by model.save('model.keras'); for chrombpnet and DeepSTARR "
                "use their own loaders (chrombpnet; architecture)"
            )
    else:
        raise ModelError(f"{path}: not a whole Keras model; expected .keras or .h5 as model.save writes them")
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{path}: damaged: its description of the model is not JSON: {error}") from error
    if not isinstance(config, dict) or not {"class_name", "config"} <= set(config):
        raise ModelError(f"{path}: damaged: its description names no model")
    config.pop("compile_config", None)
    return KerasDescription(path, config, legacy=path.suffix != ".keras")


def _from_archive(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read("config.json")
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"{path}: not a whole Keras model, or damaged: {error}") from error


def _walk(value: Any, layer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        if "class_name" in value:
            settings = value.get("config")
            name = settings.get("name") if isinstance(settings, dict) else None
            # Layers have a dtype or nodes, and models have layers; initialisers and policies have none.
            is_layer = isinstance(settings, dict) and {"dtype", "layers"} & set(settings)
            if isinstance(name, str) and (is_layer or "inbound_nodes" in value):
                layer = name
            yield layer, value
        for item in value.values():
            yield from _walk(item, layer)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, layer)


def refuse_code(description: KerasDescription, builtin: Collection[str], custom: Collection[str]) -> None:
    """Refuse a description that could run code, or names what is neither in Keras nor given.

    Parameters
    ----------
    description
        The model.
    builtin
        Names of the classes of Keras that a ``.h5`` file may name.
    custom
        Names of the classes and functions that the user gave.

    Raises
    ------
    ModelError
        Naming the layers, and what to do.
    """
    code, unknown = [], []
    for layer, item in description.objects():
        name, module = str(item["class_name"]), item.get("module")
        if name in RUNNING_CODE:  # also under a name that the user gave: Keras may make its own
            code.append(f"{layer} ({name})")
        elif name in custom or item.get("registered_name") in custom or name in _VALUES:
            continue
        elif name == "function":
            wanted = item.get("config")
            if wanted not in custom and not (module == "builtins" or _computes(module, str(wanted))):
                unknown.append(f"{wanted} in {layer} (function of {module})")
        elif not (_computes(module, name) if module else name in builtin and description.legacy):
            unknown.append(f"{name} in {layer}" + (f" (of {module})" if module else ""))
        elif description.legacy and name not in builtin:
            unknown.append(f"{name} in {layer}")
    where = description.path
    if code:
        raise ModelError(
            f"{where}: layers with code in the file: {offenders(dict.fromkeys(code))}; loading them can run "
            "anything: set trust_pickle: true if you trust the file's origin, or save the model without them"
        )
    if unknown:
        raise ModelError(
            f"{where}: not part of Keras: {offenders(dict.fromkeys(unknown))}; give their code by module: "
            "path/to/file.py:NAME, a dict of names and classes or functions, or a function that returns one"
        )


def _computes(module: Any, name: str) -> bool:
    parts = str(module).split(".")
    if parts[0] != "keras" or name.startswith("_"):
        return False
    inner = parts[2:] if parts[1:2] == ["src"] else parts[1:]
    return inner[0] in _COMPUTING if inner else name in _TOP


def refuse_inputs(description: KerasDescription) -> None:
    """Refuse a model that takes something else than one-hot sequences.

    Raises
    ------
    ModelError
        Naming the input and what it takes.
    """
    for item in description.inputs:
        name = item.get("name", "input")
        dtype = item.get("dtype", "float32")
        dtype = dtype["config"].get("name", "") if isinstance(dtype, Mapping) else str(dtype)
        kinds = [kind for kind in ("ragged", "sparse") if item.get(kind)]
        if "float" not in dtype:
            kinds.append(f"{dtype} (codes or text)")
        if kinds:
            raise ModelError(
                f"{description.path}: input {name} takes {' '.join(kinds)} values; expected one-hot "
                "sequences in floating point: save the part of the model that comes after its encoding"
            )


def refuse_quantised(description: KerasDescription) -> None:
    """Refuse a model with quantised layers, which are step functions.

    Raises
    ------
    ModelError
        Naming the layers.
    """
    found = [
        layer
        for layer, item in description.objects()
        if str(item["class_name"]).startswith(("Quantized", "GPTQ"))
    ]
    if found:
        raise ModelError(
            f"{description.path}: quantised layers: {offenders(dict.fromkeys(found))}; quantised layers are "
            "step functions, which no attribution can follow; use the model from before the quantisation"
        )
