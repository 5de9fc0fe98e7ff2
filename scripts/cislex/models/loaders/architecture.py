"""Loader ``architecture``: published weights of a network of the zoo."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from cislex.errors import ConfigError, ModelError
from cislex.models import architectures
from cislex.models.formats import Network
from cislex.models.formats.keras_files import read_keras
from cislex.models.weights import find_state, load_state, read_checkpoint, strip_prefixes


@dataclass(frozen=True)
class Loader:
    """A network of the zoo by name, and weights in this project's or in the published layout.

    Parameters
    ----------
    architecture
        See :func:`cislex.models.architectures.build`.
    hyperparameters
        Its arguments.
    """

    architecture: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.architecture:
            names = ", ".join((*architectures.ARCHITECTURES, *architectures.PUBLISHED))
            raise ConfigError(f"loader: architecture needs architecture: one of {names}")

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
