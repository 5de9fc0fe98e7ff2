"""Whole models saved by Keras 2 or 3, run by Keras 3 on PyTorch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cislex.errors import CislexError, ModelError, message_of
from cislex.models.formats.keras_config import (
    KerasDescription,
    read_description,
    refuse_code,
    refuse_inputs,
    refuse_quantised,
)
from cislex.models.formats.keras_runtime import import_keras
from cislex.models.formats.network import Network
from cislex.models.full_precision import Widened

#: Parts of Keras in which a ``.h5`` file finds classes by name.
_NAMESPACES = (
    "activations", "constraints", "dtype_policies", "initializers", "layers", "models", "regularizers",
)  # fmt: skip


class KerasNetwork(nn.Module):
    """A Keras model as a module of PyTorch, in inference mode and in the floating point of its input.

    Parameters
    ----------
    network
        The built model.
    custom
        Classes and functions of the user, by the names that the model's description uses.
    trusted
        Whether copies may be made of layers that hold code.
    narrow
        Whether the model itself computes in half precision, and here in float32.

    Notes
    -----
    Keras's layers are kept in Python lists, which PyTorch does not see, so they are listed again in
    ``layers``, by name. ``train()`` changes nothing: dropout and batch norm always run in inference mode.
    """

    def __init__(
        self, network: Any, custom: Mapping[str, Any], *, trusted: bool = False, narrow: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.custom, self.trusted, self.narrow = dict(custom), trusted, narrow
        self.layers = nn.ModuleDict()
        network._track_variables()  # as parameters of PyTorch, those too that were made late
        for layer in network._flatten_layers(include_self=False):
            name = layer.name.replace(".", "_")
            while name in self.layers or hasattr(self.layers, name):
                name += "_"
            layer._track_variables()
            self.layers[name] = layer

    @property
    def inputs(self) -> list[tuple[str, tuple[int | None, ...]]]:
        """Name and shape (with the batch axis) of each input; None for a size that is not fixed."""
        tensors = getattr(self.network, "inputs", None)
        if tensors:
            return [(tensor.name, tuple(tensor.shape)) for tensor in tensors]
        shape = (self.network.get_build_config() or {}).get("input_shape")
        return [("input", tuple(shape))] if shape and not isinstance(shape, Mapping) else []

    def forward(self, sequences: Tensor, *extra: Tensor) -> Any:
        """Outputs for sequences in the layout of the model: a tensor, or a dict of tensors by name."""
        given = self._in_order((sequences, *extra))
        with ExitStack() as stack:
            # Keras moves every tensor to its own device, and casts it to what the layers were saved with.
            stack.enter_context(import_keras().device(str(sequences.device)))
            if self.narrow or sequences.dtype == torch.float64:
                stack.enter_context(Widened(sequences.dtype))
            output = self.network(given[0] if len(given) == 1 else given, training=False)
        if isinstance(output, Mapping):
            return dict(output)
        if not isinstance(output, tuple | list):
            return output
        if len(output) == 1:
            return output[0]
        names = list(getattr(self.network, "output_names", None) or ())
        is_named = len(set(names)) == len(output)
        return dict(zip(names, output, strict=True)) if is_named else tuple(output)

    def _in_order(self, given: Sequence[Tensor]) -> list[Tensor]:
        """The sequences and the further inputs, in the order of the model's inputs; checks their shapes."""
        inputs = self.inputs
        if not inputs:
            return list(given)
        main = sequence_input(inputs)
        others = [pair for i, pair in enumerate(inputs) if i != main]
        if len(given) != len(inputs):
            shapes = ", ".join(f"{name} {_shape(shape)}" for name, shape in others)
            raise ModelError(
                f"the model has {len(inputs)} inputs and was given {len(given)}: the sequences go into "
                f"{inputs[main][0]}; give the shapes of the others, {shapes}, which are filled with zeros: "
                f"controls: {[list(shape[1:]) for _, shape in others]}"
            )
        for (name, shape), tensor in zip([inputs[main], *others], given, strict=True):
            found = tuple(tensor.shape)
            if len(found) != len(shape) or any(
                wanted not in (None, size) for wanted, size in zip(shape[1:], found[1:], strict=True)
            ):
                raise ModelError(
                    f"input {name} of the model takes {_shape(shape)} and was given {_shape(found)}: set "
                    "input_length, axes, dummy_axis or controls of the model accordingly"
                )
        ordered = list(given[1:])
        ordered.insert(main, given[0])
        return ordered

    def __deepcopy__(self, memo: dict[int, Any]) -> KerasNetwork:
        """A model with weights of its own; Keras itself copies a layer by saving and loading it."""
        keras = import_keras()
        with keras.device("cpu"):
            network = keras.saving.deserialize_keras_object(
                keras.saving.serialize_keras_object(self.network),
                custom_objects=self.custom,
                safe_mode=not self.trusted,
            )
        for new, old in zip(network.variables, self.network.variables, strict=True):
            new.value.data = old.value.data.clone()
        copied = KerasNetwork(network, self.custom, trusted=self.trusted, narrow=self.narrow)
        for new_module, module in zip(copied.modules(), self.modules(), strict=True):
            new_module.training = module.training
        memo[id(self)] = copied
        return copied


def _shape(shape: Sequence[int | None]) -> str:
    return f"({', '.join(['N', *('any' if size is None else str(size) for size in shape[1:])])})"


def sequence_input(inputs: Sequence[tuple[str, tuple[int | None, ...]]]) -> int:
    """Number of the input that takes the sequences: the first with an axis of four channels, or the first."""
    return next((i for i, (_, shape) in enumerate(inputs) if 4 in shape[1:]), 0)


def sequence_length(shape: Sequence[int | None]) -> int | None:
    """Length in bp of an input of shape (N, L, 4), (N, 4, L) or with an axis of size one; None if any."""
    sizes = list(shape[1:])
    for axis in (4, 1) if len(sizes) > 2 else (4,):
        if axis in sizes:
            sizes.pop(len(sizes) - 1 - sizes[::-1].index(axis))
    return sizes[0] if len(sizes) == 1 else None


def read_keras_model(weights: Path, *, custom: Any = None, trust: bool = False) -> Network:
    """Read a whole model that Keras saved.

    Parameters
    ----------
    weights
        ``.keras``, or ``.h5`` of Keras 2 or 3.
    custom
        Classes and functions that are not part of Keras, by name: a dict, or a function that returns one.
    trust
        Load a file that can run code.

    Raises
    ------
    ModelError
        When the file is no whole model, could run code without ``trust``, names a class that is not known,
        takes no one-hot sequences, or cannot be read by this version of Keras.
    """
    description = read_description(weights)
    refuse_inputs(description)
    refuse_quantised(description)
    keras = import_keras()
    objects = {**keras.saving.get_custom_objects(), **_custom_objects(custom)}
    if not trust:
        refuse_code(description, _builtin(keras), objects)
    try:
        with keras.device("cpu"):
            model = keras.saving.load_model(
                str(weights), custom_objects=objects, compile=False, safe_mode=not trust
            )
    except (Exception, SystemExit) as error:
        first = next(iter(message_of(error).strip().splitlines()), "no message")
        raise ModelError(
            f"{weights}: Keras {keras.__version__} cannot read it: {first}. Save it as .keras with "
            "the version of Keras that wrote it"
        ) from error
    half = _half_policies(description)
    notice = f"{weights}: the model computes in {' and '.join(half)}; here it computes in float32"
    network = KerasNetwork(model, objects, trusted=trust, narrow=bool(half))
    shape = network.inputs[sequence_input(network.inputs)][1] if network.inputs else ()
    if shape and None not in shape[1:] and 4 not in shape[1:]:
        raise ModelError(
            f"{weights}: the model takes {_shape(shape)}; expected an axis of four channels, A C G T"
        )
    return Network(network, sequence_length(shape), notices=(notice,) if half else (), axes="NLC")


def _custom_objects(given: Any) -> dict[str, Any]:
    """The user's classes and functions by name."""
    if callable(given) and not inspect.isclass(given):
        try:
            given = given()
        except CislexError:
            raise
        except (Exception, SystemExit) as error:
            raise ModelError(f"module: {message_of(error)}") from error
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ModelError(
            f"module: found {type(given).__name__}; expected a dict of names and classes or functions, or a "
            "function that returns one"
        )
    return dict(given)


def _builtin(keras: Any) -> set[str]:
    """Names of Keras's own classes."""
    spaces = [getattr(keras, name) for name in _NAMESPACES]
    found = {name for space in spaces for name, item in vars(space).items() if inspect.isclass(item)}
    return found | {"Functional"}


def _half_policies(description: KerasDescription) -> list[str]:
    """Names of the policies by which layers compute in half precision."""
    found: set[str] = set()
    for _, item in description.objects():
        policy = item["config"].get("dtype") if isinstance(item.get("config"), Mapping) else None
        name = policy.get("config", {}).get("name") if isinstance(policy, Mapping) else policy
        if isinstance(name, str) and "float16" in name:
            found.add(name)
    return sorted(found)
