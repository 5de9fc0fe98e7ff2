"""Loader ``exported``: a ``torch.export`` archive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cislex.models.fixed_batch import FixedBatch, fixed_rows
from cislex.models.formats import Network
from cislex.models.formats.exported import read_exported


@dataclass(frozen=True)
class Loader:
    """A program saved by ``torch.export.save`` (.pt2), exported in evaluation mode.

    One that was exported for a single batch size is called as often as it takes.

    Parameters
    ----------
    trust_pickle
        The user's word that the file comes from a source they trust; otherwise see
        :mod:`cislex.models.formats.exported`.
    """

    trust_pickle: bool = False

    def load(self, weights: Path) -> Network:
        """Read the program as a module."""
        model = read_exported(weights, trust_pickle=self.trust_pickle).module()
        rows = fixed_rows(model)
        if rows is None:
            return Network(model)
        notice = (
            f"{weights}: exported for batches of {rows}, so called in a loop; export it with dynamic_shapes"
        )
        return Network(FixedBatch(model, rows), notices=(notice,))
