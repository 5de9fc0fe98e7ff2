"""Loader ``pickled``: a whole module saved by ``torch.save``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from cislex.errors import ModelError
from cislex.models.formats import Network
from cislex.models.weights import importable, read_checkpoint, split_module


@dataclass(frozen=True)
class Loader:
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

    def load(self, weights: Path) -> Network:
        """Unpickle the model."""
        if not self.trust_pickle:
            raise ModelError(
                f"{weights}: loading a pickled model runs any code in the file; set trust_pickle: "
                "true if you trust its origin, or save its state dict and use loader: factory"
            )
        with importable(split_module(self.module)[0] if self.module else None):
            model = read_checkpoint(weights, weights_only=False)
        if not isinstance(model, nn.Module):
            raise ModelError(
                f"{weights}: holds {type(model).__name__}, expected a torch.nn.Module; "
                "for a state dict use loader: factory"
            )
        return Network(model)
