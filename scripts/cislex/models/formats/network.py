"""The content of a model file: the network on the CPU, and its inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Network:
    """A network as a loader returns it.

    Attributes
    ----------
    model
        On the CPU.
    input_length
        Sequence length in bp that the file names; None where it names none.
    output_names
        Names of the tensors that the model returns; empty where it names them itself.
    extra_inputs
        Shapes of further inputs without the batch axis, ``L`` for the sequence length; the model fills them
        with zeros where they are not given.
    axes
        Order of the axes that the network takes, ``NCL`` or ``NLC``; see
        :class:`cislex.models.adapters.InputLayout`.
    notices
        What the user should know about how the file was read.
    """

    model: nn.Module
    input_length: int | None = None
    output_names: tuple[str, ...] = ()
    extra_inputs: tuple[tuple[int | str, ...], ...] = ()
    axes: str = "NCL"
    notices: tuple[str, ...] = ()
