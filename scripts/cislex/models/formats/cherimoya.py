"""Cherimoya (Schreiber 2026): checkpoints of a config and a state dict, with a plain float32 forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from cislex.errors import ModelError, offenders
from cislex.models.formats.network import Network
from cislex.models.weights import find_state, keys_of, load_state, read_checkpoint, strip_prefixes

#: Added to the variance before the square root.
_EPSILON = 1e-3
#: Keys of a config that say nothing about the network.
_IGNORED = {"name", "verbose", "compile", "compile_mode", "random_state"}
_KNOWN = {
    "n_filters",
    "n_layers",
    "signal_groups",
    "n_control_tracks",
    "expansion",
    "residual_scale",
    "trimming",
    "n_outputs",
}


class CheriBlock(nn.Module):
    """Depthwise dilated convolution, normalisation over positions and channels, two pointwise layers.

    Parameters
    ----------
    filters
        Channels.
    dilation
        Distance of the three taps of the convolution.
    expansion
        The inner layer has this many times more channels.
    scale
        Factor of what is added to the input.
    """

    def __init__(self, filters: int, dilation: int, *, expansion: int, scale: float) -> None:
        super().__init__()
        self.dilation = dilation
        self.scale = scale
        self.conv_weight = nn.Parameter(torch.empty(3, filters))
        self.linear1 = nn.Linear(filters, expansion * filters, bias=False)
        self.linear2 = nn.Linear(expansion * filters, filters, bias=False)
        self.activation = nn.GELU(approximate="tanh")

    def forward(self, hidden: Tensor) -> Tensor:
        """(N, channels, L) to the same shape."""
        taps = self.conv_weight.t().unsqueeze(1)
        mixed = functional.conv1d(
            hidden, taps, padding=self.dilation, dilation=self.dilation, groups=hidden.shape[1]
        )
        normal = functional.layer_norm(mixed, mixed.shape[1:], eps=_EPSILON)
        inner = self.activation(functional.conv1d(normal, self.linear1.weight.unsqueeze(-1)))
        return hidden + functional.conv1d(inner, self.linear2.weight.unsqueeze(-1)) * self.scale


class Cherimoya(nn.Module):
    """A convolution, blocks of doubling dilation, a profile head and a counts head.

    Parameters
    ----------
    n_filters, n_layers, expansion, residual_scale
        Width and number of the blocks, see :class:`CheriBlock`.
    signal_groups
        Number of profile tracks of each group; counts are predicted for each group.
    n_control_tracks
        Tracks of the control input, zeros where it is not given.
    trimming
        Positions left out at either end of the profile.
    """

    def __init__(
        self,
        *,
        n_filters: int = 128,
        n_layers: int = 9,
        signal_groups: tuple[int, ...] = (1,),
        n_control_tracks: int = 0,
        expansion: int = 2,
        residual_scale: float = 0.15,
        trimming: int | None = None,
    ) -> None:
        super().__init__()
        groups = len(signal_groups)
        self.n_control_tracks = n_control_tracks
        self.trimming = 45 + 2**n_layers if trimming is None else trimming
        self.iconv = nn.Conv1d(4, n_filters, 21, padding=10)
        self.activation = nn.GELU(approximate="tanh")
        self.blocks = nn.ModuleList(
            CheriBlock(n_filters, 2**i, expansion=expansion, scale=residual_scale) for i in range(n_layers)
        )
        self.fconv = nn.Conv1d(n_filters + n_control_tracks, sum(signal_groups), 75, padding=37)
        self.linear = nn.Linear(n_filters + (1 if n_control_tracks else 0), groups)
        # Weights of the losses in training: in every checkpoint, in no prediction.
        self.lw0, self.lw1 = nn.Parameter(torch.ones(groups)), nn.Parameter(torch.ones(groups))

    def forward(self, sequences: Tensor, control: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Profile logits (N, tracks, positions) and log counts (N, groups) of one-hot sequences (N, 4, L)."""
        start, end = self.trimming, sequences.shape[2] - self.trimming
        if end <= start:
            raise ModelError(
                f"the model trims {self.trimming} bp at either end: {sequences.shape[2]} bp are too "
                f"short; give it more than {2 * self.trimming}"
            )
        hidden = self.activation(self.iconv(sequences))
        for block in self.blocks:
            hidden = block(hidden)
        features = hidden[..., start:end].mean(dim=-1)
        if self.n_control_tracks:
            if control is None:
                control = hidden.new_zeros(len(hidden), self.n_control_tracks, hidden.shape[-1])
            hidden = torch.cat([hidden, control], dim=1)
            total = control[..., start:end].sum(dim=(1, 2)).unsqueeze(-1)
            features = torch.cat([features, torch.log(total + 1)], dim=-1)
        return self.fconv(hidden)[..., start:end], self.linear(features)


def read_cherimoya(weights: Path) -> Network:
    """Read a checkpoint of cherimoya: ``{"config": …, "state_dict": …}``.

    Raises
    ------
    ModelError
        When the file has another content, its config keys that are not known, or weights do not fit.
    """
    checkpoint = read_checkpoint(weights)
    if not {"config", "state_dict"} <= set(keys_of(checkpoint)):
        raise ModelError(
            f"{weights}: not a checkpoint of cherimoya: expected config and state_dict, found "
            f"{offenders(keys_of(checkpoint)) or type(checkpoint).__name__}"
        )
    state = {
        name.replace(".conv.conv_weight", ".conv_weight"): tensor
        for name, tensor in strip_prefixes(find_state(checkpoint, weights)).items()
    }
    model = Cherimoya(**_arguments(checkpoint["config"], state, weights))
    load_state(model, state, source=weights)
    tracks = model.n_control_tracks
    return Network(model, None, ("profile", "counts"), extra_inputs=((tracks, "L"),) if tracks else ())


def _arguments(config: Mapping[str, Any], state: Mapping[str, Tensor], source: Path) -> dict[str, Any]:
    """Arguments of the network; configs without signal groups name the number of outputs."""
    unknown = sorted(set(config) - _KNOWN - _IGNORED)
    if unknown:
        raise ModelError(
            f"{source}: config has unknown keys, {', '.join(unknown)}; known are "
            f"{', '.join(sorted(_KNOWN))}: was it written by a newer cherimoya?"
        )
    arguments = {key: value for key, value in config.items() if key in _KNOWN and value is not None}
    outputs = arguments.pop("n_outputs", None)
    if "signal_groups" not in arguments and outputs is not None:
        groups = state["linear.weight"].shape[0] if "linear.weight" in state else 0
        if groups not in (1, outputs):
            raise ModelError(f"{source}: {groups} counts for {outputs} tracks: their grouping is ambiguous")
        arguments["signal_groups"] = [outputs] if groups == 1 else [1] * outputs
    return arguments
