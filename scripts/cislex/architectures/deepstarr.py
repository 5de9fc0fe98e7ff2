"""DeepSTARR (de Almeida et al. 2022): 249 bp to developmental and housekeeping enhancer activity."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cislex.errors import ConfigError, ModelError, offenders

#: Keras's batch normalisation adds this to the variance (PyTorch's default is 1e-5).
_KERAS_EPSILON = 1e-3
#: Weights of a Keras batch normalisation, and PyTorch's names for them.
_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
#: Keras layers with a kernel and a bias, and the modules here.
_KERNELS = {
    "Conv1D_1st": "conv1",
    "Conv1D_2": "conv2",
    "Conv1D_3": "conv3",
    "Conv1D_4": "conv4",
    "Dense_1": "fc1",
    "Dense_2": "fc2",
    "Dense_Dev": "fc_dev",
    "Dense_Hk": "fc_hk",
}
_NORMS = ("bn1", "bn2", "bn3", "bn4", "bn_fc1", "bn_fc2")


class DeepSTARR(nn.Module):
    """Four convolutions with batch normalisation and pooling, two dense layers, and a head for each activity.

    Names of modules are those of the usual PyTorch version; the published file is of Keras, see
    :meth:`from_keras`.

    Parameters
    ----------
    input_length
        Sequence length in bp; a model takes this length only.
    dropout
        Share of the units dropped in training.
    """

    def __init__(self, *, input_length: int = 249, dropout: float = 0.4) -> None:
        super().__init__()
        positions = input_length // 16
        if positions < 1:
            raise ConfigError(f"input_length is {input_length} bp: too short for the pooling")
        self.conv1, self.bn1 = nn.Conv1d(4, 256, 7, padding=3), nn.BatchNorm1d(256, eps=_KERAS_EPSILON)
        self.conv2, self.bn2 = nn.Conv1d(256, 60, 3, padding=1), nn.BatchNorm1d(60, eps=_KERAS_EPSILON)
        self.conv3, self.bn3 = nn.Conv1d(60, 60, 5, padding=2), nn.BatchNorm1d(60, eps=_KERAS_EPSILON)
        self.conv4, self.bn4 = nn.Conv1d(60, 120, 3, padding=1), nn.BatchNorm1d(120, eps=_KERAS_EPSILON)
        self.activation, self.pool = nn.ReLU(), nn.MaxPool1d(2)
        self.fc1, self.bn_fc1 = nn.Linear(120 * positions, 256), nn.BatchNorm1d(256, eps=_KERAS_EPSILON)
        self.fc2, self.bn_fc2 = nn.Linear(256, 256), nn.BatchNorm1d(256, eps=_KERAS_EPSILON)
        self.dropout = nn.Dropout(dropout)
        self.fc_dev, self.fc_hk = nn.Linear(256, 1), nn.Linear(256, 1)

    def forward(self, sequences: Tensor) -> Tensor:
        """Log2 activities (N, 2), developmental and housekeeping, of one-hot sequences (N, 4, L)."""
        hidden = sequences
        for conv, norm in (
            (self.conv1, self.bn1),
            (self.conv2, self.bn2),
            (self.conv3, self.bn3),
            (self.conv4, self.bn4),
        ):
            hidden = self.pool(self.activation(norm(conv(hidden))))
        hidden = hidden.flatten(1)
        for dense, norm in ((self.fc1, self.bn_fc1), (self.fc2, self.bn_fc2)):
            hidden = self.dropout(self.activation(norm(dense(hidden))))
        return torch.cat([self.fc_dev(hidden), self.fc_hk(hidden)], dim=1)

    @staticmethod
    def from_keras(layers: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> dict[str, Tensor]:
        """State dict of the layers of the published Keras file.

        Parameters
        ----------
        layers
            Arrays of each layer by name: kernels (width, in, out) of convolutions, (in, out) of dense layers.

        Raises
        ------
        ModelError
            When layers are missing.
        """
        norms = sorted((name for name in layers if name.startswith("batch_normalization")), key=_number)
        missing = [name for name in _KERNELS if name not in layers]
        if missing or len(norms) != len(_NORMS):
            raise ModelError(
                f"not a DeepSTARR model: missing {offenders(missing) or 'none'}; {len(norms)} layers of "
                f"batch normalisation, expected {len(_NORMS)}; the file has {offenders(layers, first=8)}"
            )
        state = {}
        for source, ours in _KERNELS.items():
            kernel = torch.from_numpy(layers[source]["kernel"])
            if source == "Dense_1":  # Keras flattens position by position, PyTorch channel by channel
                kernel = kernel.unflatten(0, (-1, 120)).transpose(0, 1).flatten(0, 1)
            state[f"{ours}.weight"] = kernel.permute(*reversed(range(kernel.ndim))).contiguous()
            state[f"{ours}.bias"] = torch.from_numpy(layers[source]["bias"])
        for source, ours in zip(norms, _NORMS, strict=True):
            for theirs, name in _NORM.items():
                state[f"{ours}.{name}"] = torch.from_numpy(layers[source][theirs])
        return state


def _number(layer: str) -> int:
    found = re.search(r"_(\d+)$", layer)
    return int(found.group(1)) if found else 0
