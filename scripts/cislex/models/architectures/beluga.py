"""DeepSEA "Beluga" (Zhou et al. 2018, ExPecto): 2,000 bp to 2,002 chromatin features."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cislex.errors import ConfigError

#: Published names and the modules here that hold the same weights.
_NAMES = {"model.0.": "features.", "model.1.2.1.": "hidden.", "model.1.4.1.": "tracks."}
#: The published network reads A G C T; channel j here (A C G T) is channel _ORDER[j] there.
_ORDER = (0, 2, 1, 3)


class Beluga(nn.Module):
    """Six convolutions of width 8 in three pairs, and two dense layers.

    The published weights are of 2-D convolutions over (N, 4, 1, L) in the channel order A G C T. Both are
    folded into the weights when they are read, so this network takes (N, 4, L) in the order A C G T.

    Parameters
    ----------
    tasks
        Number of tracks.
    input_length
        Sequence length in bp; a model takes this length only.
    filters
        Filters of the first pair of convolutions; the others have 3/2 and twice as many.
    hidden
        Units of the dense layer.
    sigmoid
        Return probabilities, as published; without it logits, which attributions are usually read from.
    """

    def __init__(
        self,
        *,
        tasks: int = 2002,
        input_length: int = 2000,
        filters: int = 320,
        hidden: int = 2003,
        sigmoid: bool = True,
    ) -> None:
        super().__init__()
        positions = input_length
        for pool in (4, 4, 1):
            positions = (positions - 14) // pool
        if positions < 1:
            raise ConfigError(f"input_length is {input_length} bp: too short for the kernels and the pooling")
        widths = (filters, filters * 3 // 2, filters * 2)
        layers: list[nn.Module] = []
        before = 4
        for i, width in enumerate(widths):
            layers += [nn.Conv1d(before, width, 8), nn.ReLU(), nn.Conv1d(width, width, 8), nn.ReLU()]
            if i < 2:
                layers += [nn.Dropout(0.2), nn.MaxPool1d(4)]
            before = width
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.5)
        self.hidden = nn.Linear(widths[-1] * positions, hidden)
        self.activation = nn.ReLU()
        self.tracks = nn.Linear(hidden, tasks)
        self.sigmoid = nn.Sigmoid() if sigmoid else None

    def forward(self, sequences: Tensor) -> Tensor:
        """Probabilities or logits (N, tasks) of one-hot sequences (N, 4, L)."""
        found = self.dropout(self.features(sequences)).flatten(1)
        logits = self.tracks(self.activation(self.hidden(found)))
        return logits if self.sigmoid is None else self.sigmoid(logits)

    @staticmethod
    def translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights in the published layout under the names and shapes of this network; others as they are."""
        translated = {}
        for name, tensor in state.items():
            for published, ours in _NAMES.items():
                if name.startswith(published):
                    name = ours + name.removeprefix(published)
            if tensor.ndim == 4 and tensor.shape[2] == 1:
                tensor = tensor.squeeze(2)
                if name == "features.0.weight":
                    tensor = tensor.index_select(1, torch.tensor(_ORDER))
            translated[name] = tensor
        return translated
