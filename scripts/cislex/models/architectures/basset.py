"""Basset (Kelley, Snoek and Rinn 2016): 600 bp to the accessibility in 164 cell types."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from cislex.errors import ConfigError

#: Dense layers and their normalisation in the published sequence of modules, and here.
_HEAD = {"13.1": "head.0", "14": "head.1", "17.1": "head.4", "18": "head.5", "21.1": "head.8"}
#: Modules before the dense layers; they have the same numbers here.
_FEATURES = 12


class Basset(nn.Module):
    """Three convolutions with batch normalisation and pooling, and two dense layers of 1,000 units.

    The weights published for PyTorch (Kipoi) are of 2-D convolutions over (N, 4, L, 1); the axis of size one
    is dropped when they are read.

    Parameters
    ----------
    tasks
        Number of cell types.
    input_length
        Sequence length in bp; a model takes this length only.
    filters
        Filters of the first convolution; the other two have 2/3 as many.
    hidden
        Units of each dense layer.
    sigmoid
        Return probabilities, as published; without it logits, which attributions are usually read from.
    """

    def __init__(
        self,
        *,
        tasks: int = 164,
        input_length: int = 600,
        filters: int = 300,
        hidden: int = 1000,
        sigmoid: bool = True,
    ) -> None:
        super().__init__()
        positions = input_length
        layers: list[nn.Module] = []
        before, narrow = 4, max(1, filters * 2 // 3)
        for width, kernel, pool in ((filters, 19, 3), (narrow, 11, 4), (narrow, 7, 4)):
            layers += [nn.Conv1d(before, width, kernel), nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(pool)]
            positions = (positions - kernel + 1) // pool
            before = width
        if positions < 1:
            raise ConfigError(f"input_length is {input_length} bp: too short for the kernels and the pooling")
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(narrow * positions, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, tasks),
        )
        self.sigmoid = nn.Sigmoid() if sigmoid else None

    def forward(self, sequences: Tensor) -> Tensor:
        """Probabilities or logits (N, tasks) of one-hot sequences (N, 4, L)."""
        logits = self.head(self.features(sequences).flatten(1))
        return logits if self.sigmoid is None else self.sigmoid(logits)

    @staticmethod
    def translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights in the published layout under the names and shapes of this network; others as they are."""
        translated = {}
        for name, tensor in state.items():
            found = re.fullmatch(r"(\d+(?:\.1)?)\.(\w+)", name)
            if found and (place := found.group(1)) in _HEAD:
                name = f"{_HEAD[place]}.{found.group(2)}"
            elif found and place.isdigit() and int(place) < _FEATURES:
                name = f"features.{place}.{found.group(2)}"
            translated[name] = tensor.squeeze(3) if tensor.ndim == 4 and tensor.shape[3] == 1 else tensor
        return translated
