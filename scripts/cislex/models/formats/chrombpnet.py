"""ChromBPNet (Pampari et al. 2024) and its bias models, from the ``.h5`` files of chrombpnet 1.x and 2.x."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from cislex.errors import ConfigError, ModelError, offenders
from cislex.models.formats.keras_files import KerasFile, read_keras
from cislex.models.formats.network import Network
from cislex.models.weights import load_state

#: Parts of a ChromBPNet: with the enzyme's bias removed, both, the bias alone.
PARTS = ("nobias", "full", "bias")
OUTPUTS = ("profile", "counts")


class ValidBPNet(nn.Module):
    """A BPNet whose convolutions are not padded, as chrombpnet builds it.

    Parameters
    ----------
    filters, layers
        Width, and number of dilated layers; layer i has dilation 2**i.
    kernel, profile_kernel
        Widths of the first convolution and of the profile head in bp.
    crop
        Positions left out at either end of the profile.
    """

    def __init__(
        self, *, filters: int, layers: int, kernel: int = 21, profile_kernel: int = 75, crop: int = 0
    ) -> None:
        super().__init__()
        self.crop = crop
        self.first = nn.Conv1d(4, filters, kernel)
        self.dilated = nn.ModuleList(
            nn.Conv1d(filters, filters, 3, dilation=2**i) for i in range(1, layers + 1)
        )
        self.activation = nn.ReLU()
        self.profile = nn.Conv1d(filters, 1, profile_kernel)
        self.counts = nn.Linear(filters, 1)

    def forward(self, sequences: Tensor) -> tuple[Tensor, Tensor]:
        """Profile logits (N, 1, positions) and log counts (N, 1) of one-hot sequences (N, 4, L)."""
        hidden = self.activation(self.first(sequences))
        for i, conv in enumerate(self.dilated, start=1):
            hidden = self.activation(conv(hidden)) + hidden[..., 2**i : -(2**i)]
        profile = self.profile(hidden)
        if self.crop:
            profile = profile[..., self.crop : -self.crop]
        return profile, self.counts(hidden.mean(dim=-1))


class ChromBPNet(nn.Module):
    """A model of accessibility and one of the enzyme's bias: profile logits add up, and so do counts.

    Parameters
    ----------
    nobias, bias
        Models that return profile logits and log counts; the longer profile is cropped to the shorter.
    """

    def __init__(self, nobias: nn.Module, bias: nn.Module) -> None:
        super().__init__()
        self.nobias = nobias
        self.bias = bias

    def forward(self, sequences: Tensor) -> tuple[Tensor, Tensor]:
        """Profile logits (N, 1, positions) and log counts (N, 1) of one-hot sequences (N, 4, L)."""
        profile, counts = self.nobias(sequences)
        bias_profile, bias_counts = self.bias(sequences)
        width = min(profile.shape[-1], bias_profile.shape[-1])
        combined = centre(profile, width) + centre(bias_profile, width)
        return combined, torch.logsumexp(torch.cat([counts, bias_counts], dim=1), dim=1, keepdim=True)


def centre(profile: Tensor, width: int) -> Tensor:
    """The middle ``width`` positions of the last axis."""
    left = (profile.shape[-1] - width) // 2
    return profile if left == 0 else profile[..., left : left + width]


def read_chrombpnet(weights: Path, *, part: str | None = None, bias: Path | None = None) -> Network:
    """Read ``chrombpnet_nobias.h5``, ``bias.h5`` or ``chrombpnet.h5`` (both).

    Parameters
    ----------
    weights
        The file.
    part
        ``nobias``, ``full`` or ``bias``; by default all that ``weights`` and ``bias`` hold.
    bias
        File of the bias model, where ``weights`` has only the other.

    Raises
    ------
    ConfigError, ModelError
        When the part does not exist or is not in the files, or a layer is missing or of another shape.
    """
    if part not in (None, *PARTS):
        raise ConfigError(f"part is {part!r}; expected one of {', '.join(PARTS)}")
    file = read_keras(weights)
    sources = {"nobias": (file, "wo_bias_bpnet_", "wo_bias_bpnet_"), "bias": (file, "bpnet_", "")}
    if bias is not None:
        sources["bias"] = (read_keras(bias), "bpnet_", "")
    there = {name: source for name, source in sources.items() if f"{source[1]}1st_conv" in source[0].layers}
    wanted = {"nobias": ["nobias"], "bias": ["bias"], "full": ["nobias", "bias"], None: list(there)}[part]
    missing = [name for name in wanted if name not in there]
    if missing or not there or (bias is not None and "bias" not in there):
        raise ModelError(
            f"{weights}: found {' and '.join(there) or 'no part of a ChromBPNet'} in it"
            f"{f' and {bias}' if bias else ''}; expected {' and '.join(wanted or PARTS[::2])}: layers "
            "wo_bias_bpnet_1st_conv (nobias) or bpnet_1st_conv (bias); layers with weights are "
            f"{offenders(file.layers, first=8)}"
        )
    models = {name: _build(*there[name]) for name in wanted}
    lengths = {there[name][0].input_length for name in wanted}
    if len(lengths - {None}) > 1:
        raise ModelError(f"{weights} and {bias} take sequences of different lengths: {offenders(lengths)}")
    model = ChromBPNet(models["nobias"], models["bias"]) if len(models) == 2 else models[wanted[0]]
    notices: tuple[str, ...] = ()
    if part is None and len(wanted) == 2 and bias is None:
        notices = (
            f"{weights} contains both parts, so the enzyme bias is included; set part: nobias to exclude it",
        )
    return Network(model, next(iter(lengths - {None}), None), OUTPUTS, notices=notices)


def _build(file: KerasFile, prefix: str, heads: str) -> ValidBPNet:
    """The network of the layers whose names start with ``prefix`` (``heads`` for its two outputs)."""
    numbers = [int(m.group(1)) for name in file.layers if (m := re.fullmatch(rf"{prefix}(\d+)conv", name))]
    sources = {
        "first": f"{prefix}1st_conv",
        **{f"dilated.{i - 1}": f"{prefix}{i}conv" for i in range(1, max(numbers, default=0) + 1)},
        "profile": f"{heads}prof_out_precrop",
        "counts": f"{heads}logcount_predictions",
    }
    state = {}
    for ours, layer in sources.items():
        kernel, bias = (torch.from_numpy(array) for array in file.arrays(layer, "kernel", "bias"))
        state[f"{ours}.weight"] = kernel.permute(*reversed(range(kernel.ndim))).contiguous()
        state[f"{ours}.bias"] = bias
    model = ValidBPNet(
        filters=state["first.weight"].shape[0],
        layers=max(numbers, default=0),
        kernel=state["first.weight"].shape[-1],
        profile_kernel=state["profile.weight"].shape[-1],
        crop=_crop(file, prefix),
    )
    load_state(model, state, source=file.path)
    return model


def _crop(file: KerasFile, prefix: str) -> int:
    """Positions that the file crops from either end of the profile; none where it has no settings."""
    name = "logits_profile_predictions_preflatten" if prefix == "bpnet_" else f"{prefix}logitt_before_flatten"
    cropping = file.settings.get(name, {}).get("cropping", [0, 0])
    left, right = cropping if isinstance(cropping, list | tuple) else (cropping, cropping)
    if left != right:
        raise ModelError(f"{file.path}: {name} crops {left} and {right} positions; expected equal numbers")
    return int(left)
