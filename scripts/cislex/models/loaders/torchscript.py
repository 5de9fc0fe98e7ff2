"""Loader ``torchscript``: a TorchScript program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cislex.models.formats import Network
from cislex.models.formats.torchscript import read_torchscript


@dataclass(frozen=True)
class Loader:
    """A TorchScript program; it can predict, but shows no operations to DeepLIFT.

    Parameters
    ----------
    trust_pickle
        The user's word that the file comes from a source they trust; else one that writes files is refused.
    """

    trust_pickle: bool = False

    def load(self, weights: Path) -> Network:
        """Read the program as a module."""
        return Network(read_torchscript(weights, trust_pickle=self.trust_pickle))
