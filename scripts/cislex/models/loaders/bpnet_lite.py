"""Loader ``bpnet-lite``: models saved by bpnet-lite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cislex.models.formats import Network
from cislex.models.formats.bpnet_lite import read_bpnet_lite


@dataclass(frozen=True)
class Loader:
    """Models saved by bpnet-lite; see :func:`cislex.models.formats.bpnet_lite.read_bpnet_lite`."""

    trust_pickle: bool = False

    def load(self, weights: Path) -> Network:
        """Read a state dict, or with ``trust_pickle`` a module saved whole."""
        return read_bpnet_lite(weights, trust_pickle=self.trust_pickle)
