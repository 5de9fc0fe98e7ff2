"""Loader ``cherimoya``: checkpoints of cherimoya."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cislex.models.formats import Network
from cislex.models.formats.cherimoya import read_cherimoya


@dataclass(frozen=True)
class Loader:
    """Checkpoints of cherimoya; see :func:`cislex.models.formats.cherimoya.read_cherimoya`."""

    def load(self, weights: Path) -> Network:
        """Read the checkpoint."""
        return read_cherimoya(weights)
