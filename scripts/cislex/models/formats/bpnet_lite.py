"""BPNet and ChromBPNet as bpnet-lite (Schreiber) saves them: state dicts, and whole pickled modules.

bpnet-lite itself is not needed: classes of a pickle that are its own are replaced by empty ones, from which
the weights are taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cislex.errors import ModelError, offenders
from cislex.models.formats import foreign_pickles
from cislex.models.formats.chrombpnet import OUTPUTS, ChromBPNet
from cislex.models.formats.network import Network
from cislex.models.weights import (
    find_state,
    holds_plain_data,
    is_torch_file,
    load_state,
    read_checkpoint,
    reading,
    strip_prefixes,
)

#: The counts are averaged over the profile's positions and this many more at either end.
_MARGIN = 37
#: Prefixes of the two models of a ChromBPNet.
_ACCESSIBILITY, _BIAS = "accessibility.", "bias."


class PaddedBPNet(nn.Module):
    """A BPNet whose convolutions are padded, as bpnet-lite builds it; names of weights are bpnet-lite's.

    Parameters
    ----------
    state
        Weights, from which the sizes follow.
    trimming
        Positions left out at either end of the profile; by default those that the padding reaches.
    """

    def __init__(self, state: Mapping[str, Tensor], *, trimming: int | None = None) -> None:
        super().__init__()
        layers = sum(1 for name in state if re.fullmatch(r"rconvs\.\d+\.weight", name))
        filters, _, kernel = state["iconv.weight"].shape
        outputs, wide, profile_kernel = state["fconv.weight"].shape
        self.controls = wide - filters
        self.trimming = 47 + sum(2**i for i in range(1, layers + 1)) if trimming is None else trimming
        self.iconv = nn.Conv1d(4, filters, kernel, padding=kernel // 2)
        self.activation = nn.ReLU()
        self.rconvs = nn.ModuleList(
            nn.Conv1d(filters, filters, 3, padding=2**i, dilation=2**i) for i in range(1, layers + 1)
        )
        self.fconv = nn.Conv1d(
            wide, outputs, profile_kernel, padding=profile_kernel // 2, bias="fconv.bias" in state
        )
        counts, wide_counts = state["linear.weight"].shape
        self.linear = nn.Linear(wide_counts, counts, bias="linear.bias" in state)

    def forward(self, sequences: Tensor, control: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Profile logits (N, tracks, positions) and log counts (N, 1) of one-hot sequences (N, 4, L)."""
        start, end = self.trimming, sequences.shape[2] - self.trimming
        if end <= start:
            raise ModelError(
                f"the model trims {self.trimming} bp at either end: {sequences.shape[2]} bp are too "
                f"short; give it more than {2 * self.trimming}"
            )
        hidden = self.activation(self.iconv(sequences))
        for conv in self.rconvs:
            hidden = hidden + self.activation(conv(hidden))
        inner = slice(max(start - _MARGIN, 0), end + _MARGIN)
        features = hidden[..., inner].mean(dim=-1)
        if self.controls:
            if control is None:
                control = hidden.new_zeros(len(hidden), self.controls, hidden.shape[-1])
            hidden = torch.cat([hidden, control], dim=1)
            total = control[..., inner].sum(dim=(1, 2)).unsqueeze(-1)
            features = torch.cat([features, torch.log(total + 1)], dim=-1)
        return self.fconv(hidden)[..., start:end], self.linear(features)


def read_bpnet_lite(weights: Path, *, trust_pickle: bool = False) -> Network:
    """Read a BPNet or ChromBPNet of bpnet-lite.

    Parameters
    ----------
    weights
        A state dict, or a module saved whole (``*.torch``), which is a pickle.
    trust_pickle
        The user's word that the pickle comes from a source they trust.

    Raises
    ------
    ModelError
        When the file is a pickle without permission, or not of this form.
    """
    if is_torch_file(weights) and not holds_plain_data(weights):
        return _read_pickle(weights, trust_pickle)
    state = strip_prefixes(find_state(read_checkpoint(weights), weights))
    if {name.split(".")[0] for name in state} == {"accessibility", "bias"}:
        parts = [_build(_inside(state, prefix), None, weights) for prefix in (_ACCESSIBILITY, _BIAS)]
        return Network(ChromBPNet(*parts), None, OUTPUTS)
    return _network(_build(state, None, weights))


def _read_pickle(weights: Path, trust_pickle: bool) -> Network:
    if not trust_pickle:
        raise ModelError(
            f"{weights}: bpnet-lite saved this model whole, and loading it runs whatever code the file "
            "holds; set trust_pickle: true if you trust its origin, or save model.state_dict() instead"
        )
    with reading(weights):
        found = torch.load(
            weights,
            map_location="cpu",
            weights_only=False,
            pickle_module=foreign_pickles,
        )
    kind = getattr(type(found), "foreign", f"{type(found).__module__}.{type(found).__qualname__}")
    name = kind.rpartition(".")[2]
    if name == "BPNet":
        return _network(_from_module(found, weights))
    if name == "ChromBPNet":
        return Network(
            ChromBPNet(_from_module(found.accessibility, weights), _from_module(found.bias, weights)),
            None,
            OUTPUTS,
        )
    raise ModelError(f"{weights}: holds a {kind}; expected a BPNet or ChromBPNet of bpnet-lite")


def _from_module(module: Any, source: Path) -> PaddedBPNet:
    return _build(module.state_dict(), int(module.trimming), source)


def _build(state: Mapping[str, Tensor], trimming: int | None, source: Path) -> PaddedBPNet:
    missing = [name for name in ("iconv.weight", "fconv.weight", "linear.weight") if name not in state]
    if missing:
        raise ModelError(
            f"{source}: not a BPNet of bpnet-lite: missing {', '.join(missing)}; "
            f"it has {offenders(state) or 'no weights'}"
        )
    model = PaddedBPNet(state, trimming=trimming)
    load_state(model, state, source=source)
    return model


def _inside(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _network(model: PaddedBPNet) -> Network:
    return Network(model, None, OUTPUTS, extra_inputs=((model.controls, "L"),) if model.controls else ())
