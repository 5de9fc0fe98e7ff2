"""Loaders: from a weights file to a network on the CPU, one small frozen dataclass for each kind of file.

Weights are read with ``weights_only=True``; arbitrary pickles, and programs that could do more than compute,
only with ``trust_pickle``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import h5py
from torch import nn

from cislex.errors import ConfigError, ModelError, message_of, offenders
from cislex.models import architectures
from cislex.models.fixed_batch import FixedBatch, fixed_rows
from cislex.models.formats import Network
from cislex.models.formats.bpnet_lite import read_bpnet_lite
from cislex.models.formats.cherimoya import read_cherimoya
from cislex.models.formats.chrombpnet import read_chrombpnet
from cislex.models.formats.exported import read_exported
from cislex.models.formats.keras_files import read_keras
from cislex.models.formats.torchscript import read_torchscript
from cislex.models.weights import (
    find_state,
    function_of,
    import_file,
    importable,
    keys_of,
    load_state,
    read_checkpoint,
    split_module,
    strip_prefixes,
)


class Loader(Protocol):
    """What every loader has: ``load`` gives the network on the CPU and what its file says about it."""

    def load(self, weights: Path) -> Network:
        """Return the network that the file holds."""
        ...


@dataclass(frozen=True)
class TrainedLoader:
    """A checkpoint of ``train_model``: the architecture's name, its hyperparameters and the weights."""

    def load(self, weights: Path) -> Network:
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
        return Network(model, None if length is None else int(length))


@dataclass(frozen=True)
class ArchitectureLoader:
    """A network of the zoo by name, and weights in this project's or in the published layout.

    Parameters
    ----------
    architecture
        See :func:`cislex.models.architectures.build`.
    hyperparameters
        Its arguments.
    """

    architecture: str
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def load(self, weights: Path) -> Network:
        """Build the network and load the weights, translated where they are in the published layout."""
        model = architectures.build(self.architecture, **self.hyperparameters)
        if h5py.is_hdf5(weights):
            if not isinstance(model, architectures.DeepSTARR):
                raise ModelError(f"{weights}: a Keras file; of the zoo only deepstarr is published as one")
            state = model.from_keras(read_keras(weights).layers)
        else:
            state = strip_prefixes(find_state(read_checkpoint(weights), weights))
            if isinstance(model, architectures.Beluga | architectures.Basset):
                state = model.translate(state)
        load_state(model, state, source=weights)
        known = inspect.signature(type(model)).parameters["input_length"].default
        return Network(model, self.hyperparameters.get("input_length", known))


@dataclass(frozen=True)
class FactoryLoader:
    """A Python function without arguments that builds the model, and a state dict for it.

    Parameters
    ----------
    module
        ``path/to/model.py:build``.
    """

    module: str

    def load(self, weights: Path) -> Network:
        """Call the factory and load the weights into what it returns."""
        state = find_state(read_checkpoint(weights), weights)
        path, name = split_module(self.module)
        with importable(path):
            factory = function_of(import_file(path), name, path)
            try:
                model = factory()
            except (Exception, SystemExit) as error:
                raise ModelError(f"{self.module}() raised {message_of(error)}") from error
        if not isinstance(model, nn.Module):
            raise ModelError(f"{self.module}() returned {type(model).__name__}; expected a torch.nn.Module")
        load_state(model, state, source=weights)
        return Network(model)


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

    def load(self, weights: Path) -> Network:
        """Unpickle the model."""
        if not self.trust_pickle:
            raise ModelError(
                f"{weights}: loading a pickled model runs any code in the file; set trust_pickle: "
                "true if you trust its origin, or save its state dict and use loader: factory"
            )
        with importable(split_module(self.module)[0] if self.module else None):
            model = read_checkpoint(weights, weights_only=False)
        if not isinstance(model, nn.Module):
            raise ModelError(
                f"{weights}: holds {type(model).__name__}, expected a torch.nn.Module; "
                "for a state dict use loader: factory"
            )
        return Network(model)


@dataclass(frozen=True)
class ExportedLoader:
    """A program saved by ``torch.export.save`` (.pt2), exported in evaluation mode.

    One that was exported for a single batch size is called as often as it takes.

    Parameters
    ----------
    trust_pickle
        The user's word that the file comes from a source they trust; otherwise see
        :mod:`cislex.models.formats.exported`.
    """

    trust_pickle: bool = False

    def load(self, weights: Path) -> Network:
        """Read the program as a module."""
        model = read_exported(weights, trust_pickle=self.trust_pickle).module()
        rows = fixed_rows(model)
        if rows is None:
            return Network(model)
        notice = (
            f"{weights}: exported for batches of {rows}, so called in a loop; export it with dynamic_shapes"
        )
        return Network(FixedBatch(model, rows), notices=(notice,))


@dataclass(frozen=True)
class TorchscriptLoader:
    """A TorchScript program; it can predict, but shows no operations to DeepLIFT.

    Parameters
    ----------
    trust_pickle
        The user's word that the file comes from a source they trust; else one that writes files is refused.
    """

    trust_pickle: bool = False

    def load(self, weights: Path) -> Network:
        """Read the program as a module."""
        return Network(read_torchscript(weights, trust_pickle=self.trust_pickle))


@dataclass(frozen=True)
class ChromBPNetLoader:
    """Keras ``.h5`` files of chrombpnet; see :func:`cislex.models.formats.chrombpnet.read_chrombpnet`."""

    part: str | None = None
    bias: Path | None = None

    def load(self, weights: Path) -> Network:
        """Read the parts that are asked for."""
        return read_chrombpnet(weights, part=self.part, bias=self.bias)


@dataclass(frozen=True)
class CherimoyaLoader:
    """Checkpoints of cherimoya; see :func:`cislex.models.formats.cherimoya.read_cherimoya`."""

    def load(self, weights: Path) -> Network:
        """Read the checkpoint."""
        return read_cherimoya(weights)


@dataclass(frozen=True)
class BPNetLiteLoader:
    """Models saved by bpnet-lite; see :func:`cislex.models.formats.bpnet_lite.read_bpnet_lite`."""

    trust_pickle: bool = False

    def load(self, weights: Path) -> Network:
        """Read a state dict, or with ``trust_pickle`` a module saved whole."""
        return read_bpnet_lite(weights, trust_pickle=self.trust_pickle)


LOADERS = (
    "trained",
    "factory",
    "architecture",
    "exported",
    "torchscript",
    "pickled",
    "chrombpnet",
    "cherimoya",
    "bpnet-lite",
)


def make_loader(
    loader: str,
    *,
    module: str | None = None,
    trust_pickle: bool = False,
    architecture: str | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    part: str | None = None,
    bias: Path | None = None,
) -> Loader:
    """Return the loader of that name; options that it does not have are left aside.

    Raises
    ------
    ConfigError
        When there is no such loader, a factory is named without its ``module`` or an architecture without its
        name.
    """
    match loader:
        case "trained":
            return TrainedLoader()
        case "factory":
            if not module:
                raise ConfigError("loader: factory needs module: path/to/model.py:function")
            return FactoryLoader(module)
        case "architecture":
            if not architecture:
                names = ", ".join((*architectures.ARCHITECTURES, *architectures.PUBLISHED))
                raise ConfigError(f"loader: architecture needs architecture: one of {names}")
            return ArchitectureLoader(architecture, hyperparameters or {})
        case "exported":
            return ExportedLoader(trust_pickle)
        case "torchscript":
            return TorchscriptLoader(trust_pickle)
        case "pickled":
            return PickledLoader(module, trust_pickle)
        case "chrombpnet":
            return ChromBPNetLoader(part, bias)
        case "cherimoya":
            return CherimoyaLoader()
        case "bpnet-lite":
            return BPNetLiteLoader(trust_pickle)
    raise ConfigError(f"loader is {loader!r}; expected one of {', '.join(LOADERS)}")
