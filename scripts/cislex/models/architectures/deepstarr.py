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
#: Shapes of the kernels in Keras's order of axes; 0 stands for the flattened positions.
_SHAPES = {
    "conv1": (7, 4, 256),
    "conv2": (3, 256, 60),
    "conv3": (5, 60, 60),
    "conv4": (3, 60, 120),
    "fc1": (0, 256),
    "fc2": (256, 256),
    "fc_dev": (256, 1),
    "fc_hk": (256, 1),
}
_NORM_WIDTHS = {"bn1": 256, "bn2": 60, "bn3": 60, "bn4": 120, "bn_fc1": 256, "bn_fc2": 256}
_Layers = Mapping[str, Mapping[str, NDArray[np.float32]]]


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
        """State dict of the layers of a Keras file.

        Layers of the published names are taken by them; those of Keras's own names (``conv1d_3``)
        by the shapes of their arrays and, of equal shapes, the order of their numbers. The two activities may
        come from one dense layer of two units.

        Parameters
        ----------
        layers
            Arrays of each layer by name: kernels (width, in, out) of convolutions, (in, out) of dense layers.

        Raises
        ------
        ModelError
            When layers are missing.
        """
        kernels, norms = _kernels(layers), _norms(layers)
        state = {}
        for ours, (kernel, bias) in kernels.items():
            tensor = torch.from_numpy(kernel)
            if ours == "fc1":  # Keras flattens position by position, PyTorch channel by channel
                tensor = tensor.unflatten(0, (-1, 120)).transpose(0, 1).flatten(0, 1)
            state[f"{ours}.weight"] = tensor.permute(*reversed(range(tensor.ndim))).contiguous()
            state[f"{ours}.bias"] = torch.from_numpy(bias)
        for ours, source in norms.items():
            for theirs, name in _NORM.items():
                state[f"{ours}.{name}"] = torch.from_numpy(layers[source][theirs])
        return state


def _kernels(layers: _Layers) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernel and bias of each module, from the published names or by shapes."""
    if all(name in layers for name in _KERNELS):
        return {ours: (layers[name]["kernel"], layers[name]["bias"]) for name, ours in _KERNELS.items()}
    left = sorted((name for name in layers if {"kernel", "bias"} <= set(layers[name])), key=_number)
    found, missing = {}, []
    for ours, shape in _SHAPES.items():
        name = next((name for name in left if _fits(layers[name]["kernel"].shape, shape)), None)
        if name is None:
            missing.append(f"{ours} of shape {' × '.join(str(n or 'positions · 120') for n in shape)}")
            continue
        left.remove(name)
        found[ours] = (layers[name]["kernel"], layers[name]["bias"])
    joint = next((name for name in left if layers[name]["kernel"].shape == (256, 2)), None)
    if joint is not None and "fc_dev" not in found:
        kernel, bias = layers[joint]["kernel"], layers[joint]["bias"]
        heads = {ours: (kernel[:, i : i + 1], bias[i : i + 1]) for i, ours in enumerate(("fc_dev", "fc_hk"))}
        found, missing = found | heads, [name for name in missing if not name.startswith(tuple(heads))]
        left.remove(joint)
    if missing or left:
        raise ModelError(
            f"not a DeepSTARR model: no layer for {offenders(missing) or 'none'}; left over "
            f"{offenders(left) or 'none'}; the file has {offenders(layers, first=8)}"
        )
    return found


def _fits(found: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether a shape is the expected one, in which 0 stands for 120 channels at each of some positions."""
    return len(found) == len(expected) and all(
        a == b if b else a % 120 == 0 for a, b in zip(found, expected, strict=True)
    )


def _norms(layers: _Layers) -> dict[str, str]:
    """Name of the layer for each batch normalisation, in their order, of fitting widths."""
    norms = sorted((name for name in layers if set(_NORM) <= set(layers[name])), key=_number)
    widths = [len(layers[name]["gamma"]) for name in norms]
    if widths != list(_NORM_WIDTHS.values()):
        raise ModelError(
            f"not a DeepSTARR model: batch normalisations {', '.join(norms) or 'none'} of widths {widths}; "
            f"expected widths {list(_NORM_WIDTHS.values())}"
        )
    return dict(zip(_NORM_WIDTHS, norms, strict=True))


def _number(layer: str) -> int:
    found = re.search(r"_(\d+)$", layer)
    return int(found.group(1)) if found else 0
