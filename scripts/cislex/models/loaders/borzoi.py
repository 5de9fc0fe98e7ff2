"""Loader ``borzoi``: Borzoi, Flashzoi and Prime of borzoi-pytorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from cislex.models.formats import Network
from cislex.models.formats.borzoi import read_borzoi


@dataclass(frozen=True)
class Loader:
    """Weights of borzoi-pytorch; see :func:`cislex.models.formats.borzoi.read_borzoi`."""

    BESIDE: ClassVar[tuple[str, ...]] = ("config.json",)

    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    organism: str = "human"

    def load(self, weights: Path) -> Network:
        """Build the network and load the weights."""
        return read_borzoi(weights, self.hyperparameters, self.organism)
