"""Loaders: from a weights file to a network on the CPU, one small frozen dataclass for each kind of file.

Weights are read with ``weights_only=True``; arbitrary pickles only with ``trust_pickle``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from cislex import architectures
from cislex.errors import ConfigError, ModelError, offenders
from cislex.weights import (
    find_state,
    function_of,
    import_file,
    importable,
    keys_of,
    load_state,
    read_checkpoint,
    reading,
    split_module,
)


class Loader(Protocol):
    """What every loader has: ``load`` gives the model on the CPU and the input length it names."""

    def load(self, weights: Path) -> tuple[nn.Module, int | None]:
        """Return the model and the sequence length in bp that its file names, if it names one."""
        ...


@dataclass(frozen=True)
class TrainedLoader:
    """A checkpoint of ``train_model``: the architecture's name, its hyperparameters and the weights."""

    def load(self, weights: Path) -> tuple[nn.Module, int | None]:
        """Build the architecture that the checkpoint names and load its weights."""
        checkpoint = read_checkpoint(weights)
        missing = {"architecture", "hyperparameters", "state_dict"} - set(keys_of(checkpoint))
        if missing:
            raise ModelError(
                f"{weights}: not a checkpoint of train_model: it lacks {', '.join(sorted(missing))}; it has "
                f"{offenders(keys_of(checkpoint)) or 'no keys'}. For other weights use loader: factory"
            )
        model = architectures.build(checkpoint["architecture"], **checkpoint["hyperparameters"])
        load_state(model, checkpoint["state_dict"], source=weights)
        length = checkpoint.get("input_length")
        return model, None if length is None else int(length)


@dataclass(frozen=True)
class FactoryLoader:
    """A Python function without arguments that builds the model, and a state dict for it.

    Parameters
    ----------
    module
        ``path/to/model.py:build``.
    """

    module: str

    def load(self, weights: Path) -> tuple[nn.Module, int | None]:
        """Call the factory and load the weights into what it returns."""
        state = find_state(read_checkpoint(weights), weights)
        path, name = split_module(self.module)
        with importable(path):
            factory = function_of(import_file(path), name, path)
            try:
                model = factory()
            except Exception as error:
                raise ModelError(f"{self.module}() raised {type(error).__name__}: {error}") from error
        if not isinstance(model, nn.Module):
            raise ModelError(f"{self.module}() returned {type(model).__name__}; expected a torch.nn.Module")
        load_state(model, state, source=weights)
        return model, None


@dataclass(frozen=True)
class PickledLoader:
    """A whole model saved by ``torch.save(model)``; unpickling can run any code, so trust is explicit.

    Parameters
    ----------
    module
        Python file that defines the model's class, where it is not importable otherwise.
    trust_pickle
        The user's word that the file comes from a source they trust.
    """

    module: str | None = None
    trust_pickle: bool = False

    def load(self, weights: Path) -> tuple[nn.Module, int | None]:
        """Unpickle the model."""
        if not self.trust_pickle:
            raise ModelError(
                f"{weights}: loading a pickled model runs whatever code the file holds; set trust_pickle: "
                "true if you trust its origin, or save its state dict and use loader: factory"
            )
        with importable(split_module(self.module)[0] if self.module else None):
            model = read_checkpoint(weights, weights_only=False)
        if not isinstance(model, nn.Module):
            raise ModelError(
                f"{weights}: holds {type(model).__name__}, expected a torch.nn.Module; "
                "for a state dict use loader: factory"
            )
        return model, None


@dataclass(frozen=True)
class ExportedLoader:
    """A program saved by ``torch.export.save`` (.pt2), exported in evaluation mode."""

    def load(self, weights: Path) -> tuple[nn.Module, int | None]:
        """Read the program as a module."""
        with reading(weights):
            program = torch.export.load(weights)
        return program.module(), None


@dataclass(frozen=True)
class TorchscriptLoader:
    """A TorchScript program; it can predict, but shows no operations to DeepLIFT."""

    def load(self, weights: Path) -> tuple[nn.Module, int | None]:
        """Read the program as a module."""
        with reading(weights), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit itself, for torch.export
            return torch.jit.load(str(weights), map_location="cpu"), None


def make_loader(loader: str, *, module: str | None = None, trust_pickle: bool = False) -> Loader:
    """Return the loader of that name.

    Raises
    ------
    ConfigError
        When there is no such loader, or a factory is named without its ``module``.
    """
    if loader == "factory":
        if not module:
            raise ConfigError("loader: factory needs module: path/to/model.py:function")
        return FactoryLoader(module)
    if loader == "pickled":
        return PickledLoader(module, trust_pickle)
    plain: dict[str, Callable[[], Loader]] = {
        "trained": TrainedLoader,
        "exported": ExportedLoader,
        "torchscript": TorchscriptLoader,
    }
    if loader not in plain:
        raise ConfigError(
            f"loader is {loader!r}; expected one of {', '.join(['factory', 'pickled', *plain])}"
        )
    return plain[loader]()
