"""Keras ``.h5`` files, read with h5py alone: arrays by layer, and the layers' settings.

Keras 2 and 3 write ``model_weights/{layer}/{layer}/{weight}`` or, for models inside models,
``model_weights/{model}/{layer}/{weight}``; the weight is ``kernel:0`` in Keras 2 and ``kernel`` in Keras 3.
Files of weights alone lack ``model_weights`` and the settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cislex.errors import ModelError, offenders
from cislex.files.hdf5_sources import all_datasets, require_data
from cislex.files.sealed import open_file

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class KerasFile:
    """Content of a Keras file.

    Attributes
    ----------
    path
        The file.
    layers
        Arrays of each layer, float32, by name without ``:0``.
    settings
        Settings of each layer that the file describes, models inside models included; of layers of the same
        name (all inputs are called ``sequence``) the first.
    """

    path: Path
    layers: dict[str, Arrays]
    settings: dict[str, dict[str, Any]]

    def arrays(self, layer: str, *names: str) -> list[NDArray[np.float32]]:
        """Arrays of a layer; ModelError where the file lacks it."""
        missing = [name for name in names if name not in self.layers.get(layer, {})]
        if missing:
            raise ModelError(
                f"{self.path}: layer {layer} has no {' and '.join(missing)}; layers with weights are "
                f"{offenders(self.layers, first=12) or 'none'}"
            )
        return [self.layers[layer][name] for name in names]

    @property
    def input_length(self) -> int | None:
        """Length of the sequence that the model takes, if the file says so."""
        for settings in self.settings.values():
            shape = settings.get("batch_shape") or settings.get("batch_input_shape")
            if shape and len(shape) == 3 and shape[1]:
                return int(shape[1])
        return None


def read_keras(path: Path) -> KerasFile:
    """Read a Keras file.

    Raises
    ------
    ModelError
        When the file is not HDF5, holds no weights, or two layers of one name.
    """
    if not h5py.is_hdf5(path):
        raise ModelError(f"{path}: not an HDF5 file; expected a Keras .h5 model")
    layers: dict[str, Arrays] = {}
    twice: list[str] = []
    with open_file(path) as handle:
        group = handle.get("model_weights", handle)

        for name, item in all_datasets(group).items():
            parts = name.split("/")
            if len(parts) < 2 or parts[0] == "optimizer_weights":
                continue
            require_data(item, f"{path}, {name}")
            layer, weight = parts[-2], parts[-1].split(":")[0]
            if weight in layers.setdefault(layer, {}):
                twice.append(f"{layer}/{weight}")
            layers[layer][weight] = np.asarray(item, dtype=np.float32)
        text = handle.attrs.get("model_config")
    if twice:
        raise ModelError(f"{path}: layer names occur twice: {offenders(twice)}; the choice is ambiguous")
    if not layers:
        raise ModelError(f"{path}: no weights in it; expected a model saved by Keras as .h5")
    return KerasFile(path, layers, _settings(text))


def _settings(text: str | bytes | None) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if text is not None:
        for layer in _walk(json.loads(text)):
            found.setdefault(layer["config"].get("name") or layer.get("name", ""), layer["config"])
    return found


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every layer of a model's description, also of models inside it."""
    if isinstance(value, dict):
        if "class_name" in value and isinstance(value.get("config"), dict):
            yield value
        for item in value.values():
            yield from _walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)
