"""Loader ``chrombpnet``: Keras files of chrombpnet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cislex.models.formats import Network
from cislex.models.formats.chrombpnet import read_chrombpnet


@dataclass(frozen=True)
class Loader:
    """Keras ``.h5`` files of chrombpnet; see :func:`cislex.models.formats.chrombpnet.read_chrombpnet`."""

    part: str | None = None
    bias: Path | None = None

    def load(self, weights: Path) -> Network:
        """Read the parts that are asked for."""
        return read_chrombpnet(weights, part=self.part, bias=self.bias)
