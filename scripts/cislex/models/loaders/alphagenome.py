"""Loader ``alphagenome``: AlphaGenome of alphagenome-pytorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cislex.errors import ConfigError
from cislex.models.formats import Network
from cislex.models.formats.alphagenome import ORGANISMS, read_alphagenome


@dataclass(frozen=True)
class Loader:
    """Weights of alphagenome-pytorch; see :func:`cislex.models.formats.alphagenome.read_alphagenome`."""

    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    organism: str = "human"
    heads: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.organism not in ORGANISMS:
            raise ConfigError(f"organism is {self.organism!r}; expected {' or '.join(ORGANISMS)}")

    def load(self, weights: Path) -> Network:
        """Build the network and load the weights."""
        return read_alphagenome(weights, self.hyperparameters, self.organism, self.heads)
