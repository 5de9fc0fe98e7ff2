"""Loader ``enformer``: Enformer of enformer-pytorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from cislex.models.formats import Network
from cislex.models.formats.enformer import read_enformer


@dataclass(frozen=True)
class Loader:
    """Weights of enformer-pytorch; see :func:`cislex.models.formats.enformer.read_enformer`."""

    BESIDE: ClassVar[tuple[str, ...]] = ("config.json",)

    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def load(self, weights: Path) -> Network:
        """Build the network and load the weights."""
        return read_enformer(weights, self.hyperparameters)
