"""Loader ``trained``: a checkpoint of ``train_model``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cislex.errors import ModelError, offenders
from cislex.models import architectures
from cislex.models.formats import Network
from cislex.models.weights import keys_of, load_state, read_checkpoint


@dataclass(frozen=True)
class Loader:
    """A checkpoint of ``train_model``: the architecture's name, its hyperparameters and the weights."""

    def load(self, weights: Path) -> Network:
        """Build the architecture that the checkpoint names and load its weights."""
        checkpoint = read_checkpoint(weights)
        missing = {"architecture", "hyperparameters", "state_dict"} - set(keys_of(checkpoint))
        if missing:
            raise ModelError(
                f"{weights}: not a checkpoint of train_model: it lacks {', '.join(sorted(missing))}; it has "
                f"{offenders(keys_of(checkpoint)) or 'no keys'}. For other weights use loader: factory"
            )
        model = architectures.build(checkpoint["architecture"], **checkpoint["hyperparameters"])
        load_state(model, checkpoint["state_dict"], source=weights)
        length = checkpoint.get("input_length")
        return Network(model, None if length is None else int(length))
