"""Enformer (Avsec et al. 2021) of enformer-pytorch: heads of (N, bins, tracks) by organism."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cislex.models.formats.network import Network
from cislex.models.formats.pretrained import (
    Lengths,
    check_kind,
    check_names,
    installed,
    make,
    read_settings,
    with_every_name,
)
from cislex.models.full_precision import Widened
from cislex.models.weights import find_state, load_state, read_checkpoint, strip_prefixes

REQUIREMENT = "enformer-pytorch==0.8.12"
#: Bins at the attention layers for which the package has TensorFlow's gamma densities.
_GAMMA_BINS = 1536


class Enformer(nn.Module):
    """The package's network behind one-hot sequences (N, 4, L); it takes (N, L, 4)."""

    def __init__(self, network: nn.Module, lengths: Lengths) -> None:
        super().__init__()
        self.network = network
        self.lengths = lengths

    def forward(self, sequences: Tensor) -> Any:
        """Return ``{head: (N, bins, tracks)}``, computed in the sequences' floating point."""
        self.lengths.check(sequences)
        with Widened(sequences.dtype):
            return self.network(sequences.transpose(1, 2))


def read_enformer(weights: Path, hyperparameters: Mapping[str, Any]) -> Network:
    """Build the network that ``config.json`` and the hyperparameters describe, and load its weights.

    Parameters
    ----------
    weights
        State dict, ``model.safetensors`` or ``pytorch_model.bin``.
    hyperparameters
        Arguments of the package's ``EnformerConfig``; they go before ``config.json``.

    Raises
    ------
    ModelError
        When the package is not installed, or settings or weights do not fit.
    ConfigError
        When the network does not have a hyperparameter.
    """
    with installed(REQUIREMENT):
        package: Any = import_module("enformer_pytorch.modeling_enformer")
    check_names(hyperparameters, package.EnformerConfig)
    found = read_settings(weights)
    check_kind(found, ("enformer",), weights)
    given = {**(found or {}), **hyperparameters}
    # Recomputing layers in the backward pass saves memory in training and changes no prediction.
    settings = make(package.EnformerConfig, source=weights, **{**given, "use_checkpointing": False})
    network = make(package.Enformer, settings, source=weights)
    state = strip_prefixes(find_state(read_checkpoint(weights), weights))
    load_state(network, with_every_name(state, network), source=weights)
    width, bins = 2**settings.num_downsamples, settings.target_length
    lengths = Lengths(width, width) if bins == -1 else Lengths(width * bins, 2 * width)
    notices = []
    if settings.use_tf_gamma:
        lengths = Lengths(width * _GAMMA_BINS, 0)
    elif "use_tf_gamma" not in given:
        notices.append(
            f"{weights}: nothing says whether positions are encoded as by TensorFlow (use_tf_gamma): they "
            "are not. The weights converted from TensorFlow, enformer-official-rough, need "
            "hyperparameters: {use_tf_gamma: true}"
        )
    length = lengths.least if settings.use_tf_gamma else None
    return Network(Enformer(network, lengths), length, notices=tuple(notices))
