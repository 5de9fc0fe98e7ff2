"""Weights files and the user's Python files: read safely, checked against the model, never guessed."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from cislex.errors import ModelError, message_of, offenders
from cislex.models.checkpoint_files import holds_plain_data, is_torch_file, read_checkpoint, reading

#: Wrappers that other tools put around a state dict in a checkpoint.
STATE_KEYS = ("state_dict", "model_state_dict", "model")
#: What to do about quantised layers.
UNQUANTISED = (
    "quantised layers are step functions, scaled by the whole batch, which no attribution can follow; use "
    "the model from before the quantisation"
)

__all__ = ["holds_plain_data", "is_torch_file", "read_checkpoint", "reading"]


def keys_of(checkpoint: Any) -> list[str]:
    """Keys of a checkpoint that is a mapping, else none."""
    return [str(key) for key in checkpoint] if isinstance(checkpoint, Mapping) else []


def find_state(checkpoint: Any, source: Path) -> Mapping[str, Any]:
    """Find the state dict in what a file held: the dict itself or one of the usual wrappers."""
    for key in STATE_KEYS:
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(key), Mapping):
            checkpoint = checkpoint[key]
            break
    if isinstance(checkpoint, Mapping) and any("_packed_params" in str(name) for name in checkpoint):
        raise ModelError(f"{source}: the weights are quantised; {UNQUANTISED}")
    if not isinstance(checkpoint, Mapping):
        raise ModelError(
            f"{source}: expected a state dict (names → tensors), found {type(checkpoint).__name__}"
        )
    other = [f"{name}: {type(v).__name__}" for name, v in checkpoint.items() if not isinstance(v, Tensor)]
    if other:
        raise ModelError(
            f"{source}: expected a state dict (names → tensors); not tensors: {offenders(other)}; state "
            f"dicts are also searched in {', '.join(STATE_KEYS)}"
        )
    return checkpoint


def load_state(model: nn.Module, state: Mapping[str, Tensor], *, source: str | Path) -> None:
    """Load weights into a model; names must match exactly, but for wrappers' prefixes.

    ``module.`` (DataParallel), ``_orig_mod.`` (torch.compile) and the name under which a wrapper holds the
    network (``model.`` in Lightning and gReLU) are stripped where the names do not match as they are.

    Raises
    ------
    ModelError
        Listing missing and unexpected names, and weights of another shape.
    """
    expected = model.state_dict()
    if set(state) != set(expected):
        state = strip_prefixes(state)
    # Files from before PyTorch 0.4.1 do not count batches; no prediction depends on the number.
    uncounted = {name for name in expected if name.endswith(".num_batches_tracked")}
    if not uncounted <= set(state) or set(state) != set(expected):
        state = _unwrapped(state, set(expected) - uncounted)
    state = {**{name: expected[name] for name in uncounted}, **state}
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
        if not is_lazy(tensor) and tuple(state[name].shape) != tuple(tensor.shape)
    ]
    if wrong:
        raise ModelError(f"{source}: weights have the wrong shape: {offenders(wrong)}")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:  # parts of one module that do not fit each other, such as lazy ones
        raise ModelError(f"{source}: the weights do not fit the model: {error}") from error


def _unwrapped(state: Mapping[str, Tensor], wanted: set[str]) -> Mapping[str, Tensor]:
    """The weights below the one prefix under which all that are wanted are found, or all as they are.

    What a wrapper keeps beside the network, such as the weights of a loss or a metric, is left aside.
    """
    first = min(wanted, default="")
    prefixes = {name.removesuffix(first) for name in state if name.endswith(f".{first}") or name == first}
    fitting = [prefix for prefix in prefixes if all(prefix + name in state for name in wanted)]
    if "" in fitting or len(fitting) != 1:
        return state
    prefix = fitting[0]
    return {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}


def is_lazy(tensor: Tensor) -> bool:
    """Whether a weight takes its shape from what is loaded into it, or from the first input."""
    return isinstance(tensor, UninitializedParameter | UninitializedBuffer)


def quantised_layers(model: nn.Module) -> list[str]:
    """Names of the layers that are quantised by PyTorch, with their classes."""
    kinds = (".quantized.", ".quantizable.")
    return [
        f"{name or '(the model itself)'} ({type(module).__module__}.{type(module).__name__})"
        for name, module in model.named_modules()
        if any(kind in f"{type(module).__module__}." for kind in kinds)
    ]


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
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ModelError(f"module: {path} cannot be imported: {message_of(error)}") from error
    return module


def function_of(module: ModuleType, name: str, path: Path) -> Callable[[], nn.Module]:
    """Return the function of that name in the user's file, or say which there are."""
    found: Callable[[], nn.Module] = object_of(module, name, path, callable, kind="function ")
    return found


#: No object of the user's.
_MISSING = object()


def object_of(
    module: ModuleType,
    name: str,
    path: Path,
    fits: Callable[[Any], bool] = lambda found: found is not _MISSING,
    *,
    kind: str = "",
) -> Any:
    """Return what has that name in the user's file and fits, or say what there is of this kind."""
    found = getattr(module, name, _MISSING) if name else _MISSING
    if not fits(found):
        there = [key for key, value in vars(module).items() if fits(value) and not key.startswith("_")]
        raise ModelError(
            f"module: {path} has no {kind}{name!r}; it has {offenders(there, first=8) or 'none'}"
        )
    return found
