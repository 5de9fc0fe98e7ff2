"""Which loader reads a weights file, from what is in the file; nothing in it is run."""

from __future__ import annotations

import inspect
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import torch

from cislex.errors import CislexError, ModelError
from cislex.files.sealed import open_file
from cislex.files.tables import require_file
from cislex.models import architectures
from cislex.models.formats.keras_files import read_keras
from cislex.models.formats.pretrained import read_settings
from cislex.models.loading import load_model
from cislex.models.weights import (
    find_state,
    holds_plain_data,
    is_torch_file,
    keys_of,
    read_checkpoint,
    strip_prefixes,
)

#: ``model_type`` of ``config.json`` beside the weights, and the loader.
SNAPSHOTS = {"enformer": "enformer", "borzoi": "borzoi", "flashzoi": "borzoi"}
#: Share by which the weights of a published network may differ in number from those of the zoo's.
_NEAR = 0.05


@dataclass(frozen=True)
class WeightsKind:
    """How a weights file is read.

    Attributes
    ----------
    loader
        Name of the loader, see :func:`cislex.models.loaders.loader_names`.
    options
        What else :func:`cislex.models.loading.load_model` needs, by name.
    missing
        Options that the loader needs and that no file tells, by name, with the reason: ``module``,
        ``trust_pickle``.
    """

    loader: str
    options: Mapping[str, Any] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


def recognise_weights(weights: str | Path, *, module: str | None = None) -> WeightsKind:
    """Find the loader of a weights file.

    Parameters
    ----------
    weights
        The file.
    module
        ``path/to/model.py:function`` that builds the model, where the user gives it: a state dict is then
        read by ``factory``, a module saved whole by ``pickled``, a Keras file with these layers of its own.
        None: what the file alone tells.

    Returns
    -------
    WeightsKind
        The loader, what it needs besides, and what only the user knows.

    Raises
    ------
    InputError, ModelError
        When the file is missing, damaged or of no known kind.

    Examples
    --------
    >>> recognise_weights("chrombpnet_nobias.h5").loader  # doctest: +SKIP
    'chrombpnet'
    """
    path = require_file(weights, what="model")
    if h5py.is_hdf5(path):
        return _of_hdf5(path, module)
    if zipfile.is_zipfile(path) and (kind := _of_archive(path)):
        return kind if kind.loader != "keras" else _keras(module)
    settings = read_settings(path) or {}
    if settings.get("model_type") in SNAPSHOTS:
        return WeightsKind(SNAPSHOTS[settings["model_type"]])
    if is_torch_file(path) and not holds_plain_data(path):
        return _of_objects(path, module)
    return _of_checkpoint(path, module)


def _keras(module: str | None) -> WeightsKind:
    return WeightsKind("keras", {"module": module} if module else {})


def _of_hdf5(path: Path, module: str | None) -> WeightsKind:
    layers = read_keras(path).layers
    parts = [name for name in ("wo_bias_bpnet_1st_conv", "bpnet_1st_conv") if name in layers]
    if parts:
        return WeightsKind("chrombpnet", {"part": "nobias"} if len(parts) == 2 else {})
    with open_file(path) as handle:
        whole = "model_config" in handle.attrs
    if whole:
        return _keras(module)
    if _loads(path, "architecture", architecture="deepstarr"):
        return WeightsKind("architecture", {"architecture": "deepstarr"})
    raise ModelError(
        f"{path}: an HDF5 file of weights alone, neither ChromBPNet nor DeepSTARR; save the whole model "
        "(model.save of Keras), whose file describes the layers"
    )


def _of_archive(path: Path) -> WeightsKind | None:
    """Keras, TorchScript and exported programs are zip archives, as files of ``torch.save`` are."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    inside = {name.partition("/")[2] for name in names}
    if {"config.json", "metadata.json", "model.weights.h5"} <= set(names):
        return WeightsKind("keras")
    if "serialized_exported_program.json" in {*names, *inside} or any(
        name.startswith("models/") and name.endswith(".json") for name in {*names, *inside}
    ):
        return WeightsKind("exported")
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return WeightsKind("torchscript")
    return None


def _of_objects(path: Path, module: str | None) -> WeightsKind:
    """A module saved whole, which is a program."""
    why = "the file is a whole module saved by torch.save, and reading it runs the code in it"
    loader, options = "pickled", {"module": module} if module else {}
    if zipfile.is_zipfile(path):
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        if any(name.split(".")[0] in ("bpnetlite", "bpnet_lite") for name in named):
            loader, options = "bpnet-lite", {}
    return WeightsKind(loader, options, {"trust_pickle": why})


def _of_checkpoint(path: Path, module: str | None) -> WeightsKind:
    checkpoint = read_checkpoint(path)
    keys = set(keys_of(checkpoint))
    if {"architecture", "hyperparameters", "state_dict"} <= keys:
        return WeightsKind("trained")
    state = strip_prefixes(find_state(checkpoint, path))
    if "config" in keys and isinstance(checkpoint["config"], Mapping) and "blocks.0.linear1.weight" in state:
        return WeightsKind("cherimoya")
    if module:
        return WeightsKind("factory", {"module": module})
    last = {name.rpartition("accessibility.")[2] for name in state}
    if {"iconv.weight", "fconv.weight", "linear.weight"} <= last:
        return WeightsKind("bpnet-lite")
    total = sum(tensor.numel() for tensor in state.values())
    for name in architectures.PUBLISHED:
        if _parameters(name) and abs(_parameters(name) - total) <= _NEAR * total:
            takes = inspect.signature(architectures.PUBLISHED[name]).parameters
            options = {"hyperparameters": {"sigmoid": False}} if "sigmoid" in takes else {}
            if _loads(path, "architecture", architecture=name, **options):
                return WeightsKind("architecture", {"architecture": name, **options})
    return WeightsKind("factory", {}, {"module": _describe_state(state)})


def _parameters(architecture: str) -> int:
    """Parameters of a published network, which is not built in memory."""
    with torch.device("meta"):
        network = architectures.build(architecture)
    return sum(tensor.numel() for tensor in network.parameters())


def _loads(path: Path, loader: str, **options: Any) -> bool:
    """Whether the weights fit a network of the zoo exactly."""
    try:
        load_model(loader, weights=path, **options)
    except CislexError:
        return False
    return True


def _describe_state(state: Mapping[str, Any]) -> str:
    names = json.dumps(list(state)[:2])
    return f"the file holds weights alone ({len(state)}, first {names}), and not the network"
