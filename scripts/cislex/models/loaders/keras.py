"""Loader ``keras``: whole models saved by Keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cislex.models.formats import Network
from cislex.models.formats.keras_network import read_keras_model
from cislex.models.formats.keras_runtime import import_keras
from cislex.models.weights import import_file, importable, object_of, split_module


@dataclass(frozen=True)
class Loader:
    """A whole model as ``model.save`` of Keras 2 or 3 writes it, ``.keras`` or ``.h5``.

    Parameters
    ----------
    module
        ``path/to/file.py:NAME``: a dict of the classes and functions that are not part of Keras, or a
        function without arguments that returns it; not needed for models of Keras's own layers.
    trust_pickle
        The user's word that the file comes from a source they trust; else one that holds code is refused.
    """

    module: str | None = None
    trust_pickle: bool = False

    def load(self, weights: Path) -> Network:
        """Read the model; it takes (N, L, 4)."""
        if not self.module:
            return read_keras_model(weights, trust=self.trust_pickle)
        import_keras()  # before the user's file does, with another backend
        path, name = split_module(self.module)
        with importable(path):
            custom = object_of(import_file(path), name, path)
            return read_keras_model(weights, custom=custom, trust=self.trust_pickle)
