"""Models ready to be called: loaded, in evaluation mode, on their device, with a digest of the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cislex.errors import CislexError, ConfigError, ModelError, offenders
from cislex.loaders import make_loader
from cislex.provenance import digest_file, digest_strings
from cislex.weights import split_module


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
