"""Weights files and the user's Python files: read safely, checked against the model, never guessed."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from cislex.errors import ModelError, offenders

#: Wrappers that other tools put around a state dict in a checkpoint.
STATE_KEYS = ("state_dict", "model_state_dict", "model")


@contextmanager
def reading(weights: Path) -> Iterator[None]:
    """Turn whatever a reader raises into an error that names the file."""
    try:
        yield
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        raise ModelError(
            f"{weights}: cannot be read as this loader's format: {type(error).__name__}: {first}"
        ) from error


def read_checkpoint(weights: Path, *, weights_only: bool = True) -> Any:
    """Read a file of ``torch.save`` or safetensors onto the CPU; with ``weights_only`` it cannot run code."""
    with reading(weights):
        if weights.suffix == ".safetensors":
            return safetensors.torch.load_file(weights)
        return torch.load(weights, map_location="cpu", weights_only=weights_only)


def is_torch_file(weights: Path) -> bool:
    """Whether a file begins as ``torch.save`` writes it: a zip archive, or a pickle (before PyTorch 1.6)."""
    with weights.open("rb") as handle:
        return handle.read(2) in (b"PK", b"\x80\x02")


def holds_plain_data(weights: Path) -> bool:
    """Whether a file of ``torch.save`` can be read without running code that it brings."""
    try:
        torch.load(weights, map_location="meta", weights_only=True)
    except pickle.UnpicklingError:
        return False
    return True


def keys_of(checkpoint: Any) -> list[str]:
    """Keys of a checkpoint that is a mapping, else none."""
    return [str(key) for key in checkpoint] if isinstance(checkpoint, Mapping) else []


def find_state(checkpoint: Any, source: Path) -> Mapping[str, Tensor]:
    """Find the state dict in what a file held: the dict itself or one of the usual wrappers."""
    for key in STATE_KEYS:
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(key), Mapping):
            checkpoint = checkpoint[key]
            break
    if not isinstance(checkpoint, Mapping) or not all(isinstance(v, Tensor) for v in checkpoint.values()):
        raise ModelError(
            f"{source}: expected a state dict (names → tensors), found {type(checkpoint).__name__}"
        )
    return checkpoint


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
        state = strip_prefixes(state)
    # Files from before PyTorch 0.4.1 do not count batches; no prediction depends on the number.
    uncounted = {name for name in expected if name.endswith(".num_batches_tracked") and name not in state}
    state = {**state, **{name: expected[name] for name in uncounted}}
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


def strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop what ``torch.compile`` and DataParallel put before the names of weights."""
    return {name.replace("_orig_mod.", "").removeprefix("module."): v for name, v in state.items()}


def split_module(module: str) -> tuple[Path, str]:
    """Split ``path/to/model.py:build`` into the file, which must exist, and the name (``""`` if none)."""
    path, _, name = module.rpartition(":") if ":" in module else (module, "", "")
    if not Path(path).is_file():
        raise ModelError(
            f"module: no such file: {path} (from {module!r}; expected path/to/model.py:function)"
        )
    return Path(path), name


@contextmanager
def importable(path: Path | None) -> Iterator[None]:
    """Let the user's file import its neighbours while it is loaded."""
    before = list(sys.path)
    try:
        if path is not None:
            sys.path.insert(0, str(path.resolve().parent))
        yield
    finally:
        sys.path[:] = before


def import_file(path: Path) -> ModuleType:
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


def function_of(module: ModuleType, name: str, path: Path) -> Callable[[], nn.Module]:
    """Return the function of that name in the user's file, or say which there are."""
    found = getattr(module, name, None) if name else None
    if not callable(found):
        there = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ModelError(
            f"module: {path} has no function {name!r}; it has {offenders(there, first=8) or 'none'}"
        )
    return found
