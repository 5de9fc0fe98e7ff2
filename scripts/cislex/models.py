"""Loaders: from a weights file to a model in evaluation mode, with a digest of what was loaded.

Each loader is one small frozen dataclass with the same method, ``load(weights) -> torch.nn.Module``.
Weights are read with ``weights_only=True``; arbitrary pickles only with ``trust_pickle``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cislex import architectures
from cislex.errors import CislexError, ConfigError, ModelError, offenders
from cislex.provenance import digest_file, digest_strings

#: Wrappers that other tools put around a state dict in a checkpoint.
STATE_KEYS = ("state_dict", "model_state_dict", "model")


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
        checkpoint = _torch_load(weights)
        missing = {"architecture", "hyperparameters", "state_dict"} - set(_keys(checkpoint))
        if missing:
            raise ModelError(
                f"{weights}: not a checkpoint of train_model: it lacks {', '.join(sorted(missing))}; it has "
                f"{offenders(_keys(checkpoint)) or 'no keys'}. For weights of another program use loader: factory"
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
        state = _state_dict(_torch_load(weights), weights)
        path, name = split_module(self.module)
        with _importable(path):
            factory = _function(_import(path), name, path)
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
                f"{weights}: loading a pickled model runs whatever code the file holds; set trust_pickle: true "
                "if you trust its origin, or save its state dict and use loader: factory"
            )
        with _importable(split_module(self.module)[0] if self.module else None):
            model = _torch_load(weights, weights_only=False)
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
        with _reading(weights):
            program = torch.export.load(weights)
        return program.module(), None


@dataclass(frozen=True)
class TorchscriptLoader:
    """A TorchScript program; it can predict, but shows no operations to DeepLIFT."""

    def load(self, weights: Path) -> tuple[nn.Module, int | None]:
        """Read the program as a module."""
        with _reading(weights), warnings.catch_warnings():
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
        raise ConfigError(f"loader is {loader!r}; expected one of {', '.join(sorted([*plain, *OTHER]))}")
    return plain[loader]()


#: Loaders that take settings.
OTHER = ("factory", "pickled")


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
        raise ConfigError(f"device is {device!r}, but torch sees no CUDA device here; use device: auto or cpu")
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
            raise ModelError(f"outputs names {len(names)} tensors ({', '.join(names)}); the model returns {len(output)}")
        named = dict(zip(names or [f"output_{i}" for i in range(len(output))], output, strict=True))
    else:
        named = {names[0] if len(names) == 1 else "output": output}
    wrong = [f"{key}: {type(value).__name__}" for key, value in named.items() if not isinstance(value, Tensor)]
    if wrong or not named:
        raise ModelError(f"the model must return tensors; found {offenders(wrong) or 'no output'}")
    return named


def check_model(loaded: LoadedModel, length: int) -> dict[str, tuple[int, ...]]:
    """Try the model on two fixed sequences of the regions' length, before the expensive work.

    Parameters
    ----------
    loaded
        The model.
    length
        Length of the regions in bp.

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
            f"the model takes {loaded.input_length} bp and the regions are {length} bp long; set the regions' "
            "length or the model's input_length"
        )
    device = next((tensor.device for tensor in loaded.model.parameters()), torch.device("cpu"))
    codes = (torch.arange(length) * 7 // 3 + torch.arange(2)[:, None]) % 4
    onehot = nn.functional.one_hot(codes, 4).transpose(1, 2).to(device, torch.float32).contiguous()
    try:
        with torch.inference_mode():
            outputs = name_outputs(loaded.model(onehot))
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
            raise ModelError(f"output {name} of the model has shape {tuple(tensor.shape)} for 2 sequences; expected (2, …)")
        if not torch.isfinite(tensor).all():
            raise ModelError(f"output {name} of the model is NaN or infinite on plain sequences: are the weights damaged?")
    return {name: tuple(tensor.shape[1:]) for name, tensor in outputs.items()}


def load_state(model: nn.Module, state: Mapping[str, Tensor], *, source: str | Path) -> None:
    """Load weights into a model; names must match exactly, but for wrappers' prefixes.

    ``module.`` (DataParallel) and ``_orig_mod.`` (torch.compile) are stripped where the names do not match
    as they are.

    Raises
    ------
    ModelError
        Listing missing and unexpected names, and weights of another shape.
    """
    expected = model.state_dict()
    if set(state) != set(expected):
        state = {_strip(name): tensor for name, tensor in state.items()}
    missing = sorted(set(expected) - set(state))
    unexpected = sorted(set(state) - set(expected))
    if missing or unexpected:
        raise ModelError(
            f"{source}: the weights do not fit the model: missing {offenders(missing) or 'none'}; "
            f"unexpected {offenders(unexpected) or 'none'}"
        )
    wrong = [
        f"{name} {tuple(state[name].shape)} in the file, {tuple(tensor.shape)} in the model"
        for name, tensor in expected.items()
        if tuple(state[name].shape) != tuple(tensor.shape)
    ]
    if wrong:
        raise ModelError(f"{source}: weights of another shape: {offenders(wrong)}")
    model.load_state_dict(state)


def split_module(module: str) -> tuple[Path, str]:
    """Split ``path/to/model.py:build`` into the file, which must exist, and the name (``""`` if none)."""
    path, _, name = module.rpartition(":") if ":" in module else (module, "", "")
    if not Path(path).is_file():
        raise ModelError(f"module: no such file: {path} (from {module!r}; expected path/to/model.py:function)")
    return Path(path), name


def _strip(name: str) -> str:
    return name.replace("_orig_mod.", "").removeprefix("module.")


def _keys(checkpoint: Any) -> list[str]:
    return [str(key) for key in checkpoint] if isinstance(checkpoint, Mapping) else []


def _state_dict(checkpoint: Any, source: Path) -> Mapping[str, Tensor]:
    """Find the state dict in what a file held: the dict itself or one of the usual wrappers."""
    for key in STATE_KEYS:
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(key), Mapping):
            checkpoint = checkpoint[key]
            break
    if not isinstance(checkpoint, Mapping) or not all(isinstance(v, Tensor) for v in checkpoint.values()):
        raise ModelError(f"{source}: expected a state dict (names → tensors), found {type(checkpoint).__name__}")
    return checkpoint


@contextmanager
def _reading(weights: Path) -> Iterator[None]:
    """Turn whatever a reader raises into an error that names the file."""
    try:
        yield
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        raise ModelError(
            f"{weights}: cannot be read as this loader's format: {type(error).__name__}: {first}"
        ) from error


def _torch_load(weights: Path, *, weights_only: bool = True) -> Any:
    with _reading(weights):
        return torch.load(weights, map_location="cpu", weights_only=weights_only)


@contextmanager
def _importable(path: Path | None) -> Iterator[None]:
    """Let the user's file import its neighbours while it is loaded."""
    before = list(sys.path)
    try:
        if path is not None:
            sys.path.insert(0, str(path.resolve().parent))
        yield
    finally:
        sys.path[:] = before


def _import(path: Path) -> ModuleType:
    """Run a Python file as a module of its own, under a name that clashes with nothing."""
    name = "cislex_user_" + hashlib.blake2b(str(path.resolve()).encode(), digest_size=8).hexdigest()
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"module: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ModelError(f"module: {path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _function(module: ModuleType, name: str, path: Path) -> Callable[[], nn.Module]:
    found = getattr(module, name, None) if name else None
    if not callable(found):
        there = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ModelError(f"module: {path} has no function {name!r}; it has {offenders(there, first=8) or 'none'}")
    return found


def _to_device(model: nn.Module, device: torch.device) -> nn.Module:
    try:
        return model.to(device)
    except (RuntimeError, NotImplementedError) as error:
        raise ModelError(f"the model cannot be moved to {device}: {error}") from error
