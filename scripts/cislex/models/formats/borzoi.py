"""Borzoi (Linder et al. 2025), Flashzoi (Hingerl et al. 2025) and Prime of borzoi-pytorch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cislex.errors import ModelError
from cislex.models.formats.network import Network
from cislex.models.formats.pretrained import (
    Lengths,
    check_kind,
    check_names,
    installed,
    make,
    read_settings,
)
from cislex.models.full_precision import Widened
from cislex.models.weights import find_state, load_state, read_checkpoint, strip_prefixes

REQUIREMENT = "borzoi-pytorch==0.5.1"
#: bp of a bin, by the network's name in ``config.json``.
_WIDTHS = {"borzoi": 32, "prime": 16}
#: bp of a position of the attention layers.
_POOLED = 128
#: Settings that the package reads but does not name in its signature.
_UNNAMED = ("flashed", "enable_human_head")


class GroupedAttention(nn.Module):
    """Flashzoi's attention in PyTorch's own operations, with the names of flash-attn's ``MHA``.

    Two query heads share a key and value head, and rotary embeddings (Su et al. 2021) turn the first 128
    channels of queries and keys. flash-attn itself needs a GPU and half precision.

    Parameters
    ----------
    dim
        Channels.
    heads
        Query heads; an even number.
    rotated, base
        Channels of a head that rotate, and the base of their frequencies.
    """

    def __init__(self, dim: int, heads: int, *, rotated: int = 128, base: float = 20_000.0) -> None:
        super().__init__()
        self.heads, self.groups, self.width = heads, heads // 2, dim // heads
        if self.width < rotated:
            raise ValueError(f"flashed needs {rotated} channels or more in a head; found {self.width}")
        self.rotated, self.base = rotated, base
        self.Wqkv = nn.Linear(dim, dim + 2 * self.groups * self.width)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, dim) to the same shape."""
        n, length, dim = x.shape
        shared = self.groups * self.width
        q, k, v = (
            part.reshape(n, length, -1, self.width).transpose(1, 2)
            for part in self.Wqkv(x).split((dim, shared, shared), dim=-1)
        )
        cosine, sine = self._angles(x)
        q, k = self._turn(q, cosine, sine), self._turn(k, cosine, sine)
        k, v = (
            part.unsqueeze(2).expand(-1, -1, self.heads // self.groups, -1, -1).flatten(1, 2)
            for part in (k, v)
        )
        weights = (q @ k.transpose(-1, -2) * self.width**-0.5).softmax(dim=-1)
        mixed: Tensor = self.out_proj((weights @ v).transpose(1, 2).reshape(n, length, dim))
        return mixed

    def _angles(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine, (L, rotated / 2), of position times frequency."""
        exponents = torch.arange(0, self.rotated, 2, device=x.device, dtype=x.dtype) / self.rotated
        positions = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)
        angles = torch.outer(positions, self.base**-exponents)
        return angles.cos(), angles.sin()

    def _turn(self, heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Rotate channel i with channel i + rotated / 2 of (N, heads, L, width)."""
        half = self.rotated // 2
        a, b, rest = heads[..., :half], heads[..., half : self.rotated], heads[..., self.rotated :]
        return torch.cat([a * cosine - b * sine, b * cosine + a * sine, rest], dim=-1)


class FlashAttention(nn.Module):
    """The level of names that the package has around it."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.mha = GroupedAttention(dim, heads)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, dim) to the same shape."""
        mixed: Tensor = self.mha(x)
        return mixed


class Borzoi(nn.Module):
    """The package's network with the head of one organism, for one-hot sequences (N, 4, L)."""

    def __init__(self, network: nn.Module, lengths: Lengths, *, is_human: bool) -> None:
        super().__init__()
        self.network = network
        self.lengths = lengths
        self.is_human = is_human

    def forward(self, sequences: Tensor) -> Tensor:
        """Return (N, tracks, bins), computed in the sequences' floating point."""
        self.lengths.check(sequences)
        for module in self.network.modules():
            if hasattr(module, "positions"):  # of the first call, whatever its length, device and dtype
                setattr(module, "positions", None)  # noqa: B010 (a tensor to mypy)
        with Widened(sequences.dtype):
            tracks: Tensor = self.network(sequences, is_human=self.is_human)
        return tracks


def read_borzoi(weights: Path, hyperparameters: Mapping[str, Any], organism: str) -> Network:
    """Build the network that ``config.json`` and the hyperparameters describe, and load its weights.

    Parameters
    ----------
    weights
        State dict, ``model.safetensors`` or ``pytorch_model.bin``. It says which heads there are, and how
        many tracks they have.
    hyperparameters
        Arguments of the package's ``BorzoiConfig``, or ``flashed``; they go before ``config.json``.
    organism
        ``human`` or ``mouse``, whose head is used.

    Raises
    ------
    ModelError
        When the package is not installed, settings or weights do not fit, or there is no such head.
    ConfigError
        When the network does not have a hyperparameter.
    """
    with installed(REQUIREMENT):
        package: Any = import_module("borzoi_pytorch.pytorch_borzoi_model")
    check_names(hyperparameters, package.BorzoiConfig, *_UNNAMED)
    found = read_settings(weights)
    kind = check_kind(found, tuple(_WIDTHS), weights) or "borzoi"
    state = strip_prefixes(find_state(read_checkpoint(weights), weights))
    heads = [name for name in ("human", "mouse") if f"{name}_head.weight" in state]
    if organism not in heads:
        raise ModelError(
            f"{weights}: has no head of organism {organism}; it has {' and '.join(heads) or 'no head at all'}"
        )
    given = {**(found or {}), **hyperparameters}
    flashed = given.pop("flashed", False)
    given |= {f"enable_{name}_head": name in heads for name in ("human", "mouse")}
    network_kind, settings_kind = (
        (package.Prime, package.PrimeConfig) if kind == "prime" else (package.Borzoi, package.BorzoiConfig)
    )
    settings = make(settings_kind, source=weights, **given)
    network = make(network_kind, settings, source=weights)
    if flashed:
        for block in network.transformer:
            block[0].fn[1] = make(FlashAttention, settings.dim, settings.heads, source=weights)
    for name in heads:
        head = getattr(network, f"{name}_head")
        setattr(network, f"{name}_head", nn.Conv1d(head.in_channels, len(state[f"{name}_head.weight"]), 1))
    load_state(network, state, source=weights)
    least = _WIDTHS[kind] * max(network.crop.target_length, 1)
    lengths = Lengths(-(-least // _POOLED) * _POOLED, _POOLED)
    return Network(Borzoi(network, lengths, is_human=organism == "human"))
