"""Models ready to be called: loaded, in evaluation mode, on their device, with a digest of the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cislex.errors import CislexError, ModelError, message_of, offenders
from cislex.logs import get_logger
from cislex.models.adapters import InputLayout
from cislex.models.formats import Network
from cislex.models.full_precision import in_full_precision, own_dtype
from cislex.models.loaders import make_loader
from cislex.models.weights import UNQUANTISED, quantised_layers, split_module
from cislex.provenance import digest_file, digest_json, digest_strings
from cislex.runtime.devices import resolve_device
from cislex.targets.outputs import flat_outputs


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to be called, and what identifies it.

    Attributes
    ----------
    model
        In evaluation mode, on its device.
    digest
        BLAKE2b-128 hex digest of the weights file and, where there are any, of the module's source, of
        further files and of settings that change what the model computes.
    input_length
        Sequence length in bp that the checkpoint names; None where it names none.
    output_names
        Names of the tensors that the model returns; empty where it names them itself.
    extra_inputs
        Shapes of further inputs without the batch axis, ``L`` for the sequence length; filled with zeros.
    """

    model: nn.Module
    digest: str
    input_length: int | None = None
    output_names: tuple[str, ...] = ()
    extra_inputs: tuple[tuple[int | str, ...], ...] = ()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        tensors = (*self.model.parameters(), *self.model.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))


def load_model(
    loader: str,
    *,
    weights: str | Path,
    module: str | None = None,
    trust_pickle: bool = False,
    architecture: str | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    part: str | None = None,
    bias: str | Path | Mapping[str, str | Path] | None = None,
    organism: str | None = None,
    heads: Sequence[str] | None = None,
    layout: Mapping[str, Any] | None = None,
    device: str | torch.device = "cpu",
) -> LoadedModel:
    """Load a model, in evaluation mode, on a device.

    Parameters
    ----------
    loader
        One of :func:`cislex.models.loaders.loader_names`.
    weights
        The weights file, in the form that the loader reads.
    module
        ``path/to/model.py:build`` (factory), the file that defines the class (pickled), or
        ``path/to/file.py:NAME`` of custom objects (keras).
    trust_pickle
        Allow ``pickled``, ``bpnet-lite``, ``exported``, ``torchscript`` and ``keras`` to run code that the
        file holds.
    architecture
        Network of the zoo (architecture).
    hyperparameters
        Arguments of the network (architecture, enformer, borzoi, alphagenome).
    part, bias
        ``nobias``, ``full`` or ``bias``, and the file of the bias model where it is another one, or such a
        file for each weights file (chrombpnet).
    organism
        ``human`` or ``mouse``, by default human (borzoi, alphagenome).
    heads
        Names of the heads that are computed, by default all (alphagenome).
    layout
        Settings of :class:`cislex.models.adapters.InputLayout`, for a model that takes its input in
        another layout; ``axes`` is by default what the loader knows, ``NLC`` for keras, else ``NCL``.
    device
        ``cpu``, ``cuda``, ``cuda:1`` or ``auto``.

    Raises
    ------
    ConfigError
        When the loader or the device does not exist, or a setting is out of range.
    ModelError
        When a file is missing or cannot be read, the factory fails, or the weights do not fit.
    """
    path = Path(weights)
    companion = bias.get(str(weights)) if isinstance(bias, Mapping) else bias
    files = [path, *([Path(companion)] if companion else [])]
    for file in files:
        if not file.is_file():
            raise ModelError(f"weights: no such file: {file}")
    given = InputLayout(**(layout or {}))
    made = make_loader(
        loader,
        module=module,
        trust_pickle=trust_pickle,
        architecture=architecture,
        hyperparameters=hyperparameters,
        part=part,
        bias=Path(companion) if companion else None,
        organism=organism,
        heads=heads,
    )
    network = made.load(path)
    files += [file for name in getattr(made, "BESIDE", ()) if (file := path.with_name(name)).is_file()]
    if loader != "exported":  # an exported program has one mode only, and says so by raising
        network.model.eval()
    full, remarks = in_full_precision(network.model)
    for notice in (*network.notices, *(f"{path}: {remark}" for remark in remarks)):
        get_logger(__name__).warning(notice)
    digests = [digest_file(file) for file in files]
    if module:
        digests.append(digest_file(split_module(module)[0]))
    choices = {"organism": organism, "heads": heads}
    chosen: dict[str, Any] = {name: value for name, value in choices.items() if value}
    changes = {"hyperparameters": dict(hyperparameters or {}), "part": part, "layout": dict(layout or {})}
    if hyperparameters or loader == "architecture" or part is not None or chosen or not given.is_plain:
        digests.append(digest_json(changes | chosen))
    digest = digests[0] if len(digests) == 1 else digest_strings(digests)
    wanted = InputLayout(**{"axes": network.axes, **(layout or {})})
    model = _to_device(wanted.wrap(full), resolve_device(device))
    controls = tuple(tuple(shape) for shape in wanted.controls)
    return LoadedModel(
        model, digest, _region_length(network, wanted), network.output_names, controls or network.extra_inputs
    )


def _region_length(network: Network, layout: InputLayout) -> int | None:
    """Length in bp that regions must have: that of the model, unless they are padded to it."""
    if layout.pad_to is None:
        return network.input_length
    if network.input_length not in (None, layout.pad_to):
        raise ModelError(f"pad_to is {layout.pad_to} bp, and the model takes {network.input_length} bp")
    return None


def name_outputs(output: Any, names: Sequence[str] = ()) -> dict[str, Tensor]:
    """Name the tensors that a model returned.

    Parameters
    ----------
    output
        A tensor, a tuple, named tuple or list of tensors, or a mapping of tensors or of such containers.
    names
        Names for the tensors of a tensor or tuple; by default ``output``, or the fields, or ``output_0``,
        ``output_1``, … Keys of containers in containers are joined by dots.

    Returns
    -------
    dict
        Each tensor (N, …) by name, in the model's order.

    Raises
    ------
    ModelError
        When an output is not a tensor, or the number of names is another.
    """
    if isinstance(output, tuple | list) and not hasattr(output, "_fields"):
        if names and len(names) != len(output):
            raise ModelError(
                f"outputs names {len(names)} tensors ({', '.join(names)}); the model returns {len(output)}"
            )
        output = dict(zip(names or [f"output_{i}" for i in range(len(output))], output, strict=True))
    elif not isinstance(output, Mapping | tuple):
        output = {names[0] if len(names) == 1 else "output": output}
    named = flat_outputs(output)
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
        Names of the outputs, see ``name_outputs``; by default those that the loader knows.

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
    if dynamic := [layer for layer in quantised_layers(loaded.model) if ".dynamic." in layer]:
        raise ModelError(f"the model has dynamically quantised layers: {offenders(dynamic)}; {UNQUANTISED}")
    device = loaded.device
    codes = (torch.arange(length) * 7 // 3 + torch.arange(2)[:, None]) % 4
    onehot = nn.functional.one_hot(codes, 4).transpose(1, 2).to(device, own_dtype(loaded.model)).contiguous()
    try:
        with torch.inference_mode():
            outputs = name_outputs(loaded.model(onehot), names or loaded.output_names)
    except CislexError:
        raise
    except (Exception, SystemExit) as error:
        first = next(iter(message_of(error).strip().splitlines()), "no message")
        raise ModelError(
            f"the model failed on two sequences of {length} bp, {onehot.dtype} {tuple(onehot.shape)}: "
            f"{first}. {_advice(error)}"
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


def _advice(error: BaseException) -> str:
    """What an error of a forward pass that failed on plain sequences points to."""
    text = str(error).lower()
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return "They do not fit into memory: take a device with more, or device: cpu, or shorter regions"
    if "dtype" in text or "should be the same" in text:
        return "Does the model cast its input or a part of its weights? All of it should be float32"
    return "Does the regions' length match the model's?"


def _to_device(model: nn.Module, device: torch.device) -> nn.Module:
    try:
        return model.to(device)
    except (RuntimeError, NotImplementedError) as error:
        raise ModelError(f"the model cannot be moved to {device}: {error}") from error
