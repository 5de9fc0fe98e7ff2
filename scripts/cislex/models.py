"""Loaders: from a weights file to a model in evaluation mode, with a digest of what was loaded.

Each loader is one small frozen dataclass with the same method, ``load(weights) -> torch.nn.Module``.
Weights are read with ``weights_only=True``; arbitrary pickles only with ``trust_pickle``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cislex import architectures
from cislex.errors import CislexError, ConfigError, ModelError, offenders
from cislex.provenance import digest_file, digest_strings
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


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to be called, and what identifies it.

    Attributes
    ----------
    model
        In evaluation mode, on its device.
    digest
        BLAKE2b-128 hex digest of the weights file and, where there is one, of the module's source.
    input_length
        Sequence length in bp that the checkpoint names; None where it names none.
    """

    model: nn.Module
    digest: str
    input_length: int | None = None


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


def load_model(
    loader: str,
    *,
    weights: str | Path,
    module: str | None = None,
    trust_pickle: bool = False,
    device: str | torch.device = "cpu",
) -> LoadedModel:
    """Load a model, in evaluation mode, on a device.

    Parameters
    ----------
    loader
        ``trained``, ``factory``, ``exported``, ``torchscript`` or ``pickled``.
    weights
        The weights file, in the form that the loader reads.
    module
        ``path/to/model.py:build`` (factory), or the file that defines the class (pickled).
    trust_pickle
        Allow ``pickled`` to run the code that the file holds.
    device
        ``cpu``, ``cuda``, ``cuda:1`` or ``auto``.

    Raises
    ------
    ConfigError
        When the loader or the device does not exist.
    ModelError
        When a file is missing or cannot be read, the factory fails, or the weights do not fit.
    """
    path = Path(weights)
    if not path.is_file():
        raise ModelError(f"weights: no such file: {path}")
    model, length = make_loader(loader, module=module, trust_pickle=trust_pickle).load(path)
    if loader != "exported":  # an exported program has one mode only, and says so by raising
        model.eval()
    digests = [digest_file(path)]
    if module:
        digests.append(digest_file(split_module(module)[0]))
    digest = digests[0] if len(digests) == 1 else digest_strings(digests)
    return LoadedModel(_to_device(model, resolve_device(device)), digest, length)


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device; ``auto`` is CUDA where there is one, else the CPU."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device is {device!r}; expected auto, cpu, cuda or cuda:0, cuda:1, …") from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device is {device!r}, but torch sees no CUDA device here; use device: auto or cpu"
        )
    return found


def name_outputs(output: Any, names: Sequence[str] = ()) -> dict[str, Tensor]:
    """Name the tensors that a model returned.

    Parameters
    ----------
    output
        A tensor, a tuple or list of tensors, or a mapping of tensors.
    names
        Names for the tensors of a tensor or tuple; by default ``output``, or ``output_0``, ``output_1``, …

    Returns
    -------
    dict
        Each tensor (N, …) by name, in the model's order.

    Raises
    ------
    ModelError
        When an output is not a tensor, or the number of names is another.
    """
    if isinstance(output, Mapping):
        named = {str(key): value for key, value in output.items()}
    elif isinstance(output, tuple | list):
        if names and len(names) != len(output):
            raise ModelError(
                f"outputs names {len(names)} tensors ({', '.join(names)}); the model returns {len(output)}"
            )
        named = dict(zip(names or [f"output_{i}" for i in range(len(output))], output, strict=True))
    else:
        named = {names[0] if len(names) == 1 else "output": output}
    wrong = [
        f"{key}: {type(value).__name__}" for key, value in named.items() if not isinstance(value, Tensor)
    ]
    if wrong or not named:
        raise ModelError(f"the model must return tensors; found {offenders(wrong) or 'no output'}")
    return named


def check_model(loaded: LoadedModel, length: int, *, names: Sequence[str] = ()) -> dict[str, tuple[int, ...]]:
    """Try the model on two fixed sequences of the regions' length, before the expensive work.

    Parameters
    ----------
    loaded
        The model.
    length
        Length of the regions in bp.
    names
        Names of the outputs, see ``name_outputs``.

    Returns
    -------
    dict
        Shape of each output without the batch axis.

    Raises
    ------
    ModelError
        When the model takes another length, fails, or returns a wrong first axis or NaN.
    """
    if loaded.input_length is not None and loaded.input_length != length:
        raise ModelError(
            f"the model takes {loaded.input_length} bp and the regions are {length} bp long; set the "
            "regions' length or the model's input_length"
        )
    device = next((tensor.device for tensor in loaded.model.parameters()), torch.device("cpu"))
    codes = (torch.arange(length) * 7 // 3 + torch.arange(2)[:, None]) % 4
    onehot = nn.functional.one_hot(codes, 4).transpose(1, 2).to(device, torch.float32).contiguous()
    try:
        with torch.inference_mode():
            outputs = name_outputs(loaded.model(onehot), names)
    except CislexError:
        raise
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        raise ModelError(
            f"the model failed on two sequences of {length} bp, float32 {tuple(onehot.shape)}: "
            f"{type(error).__name__}: {first}. Does the regions' length match the model's?"
        ) from error
    for name, tensor in outputs.items():
        if tensor.ndim == 0 or tensor.shape[0] != 2:
            raise ModelError(
                f"output {name} of the model has shape {tuple(tensor.shape)} for 2 sequences; expected (2, …)"
            )
        if not torch.isfinite(tensor).all():
            raise ModelError(
                f"output {name} of the model is NaN or infinite on plain sequences: are the weights damaged?"
            )
    return {name: tuple(tensor.shape[1:]) for name, tensor in outputs.items()}


def _to_device(model: nn.Module, device: torch.device) -> nn.Module:
    try:
        return model.to(device)
    except (RuntimeError, NotImplementedError) as error:
        raise ModelError(f"the model cannot be moved to {device}: {error}") from error
