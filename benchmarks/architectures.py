"""Models that are measured, with random weights: what costs time does not depend on training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class BPNet(nn.Module):
    """Log counts of BPNet: 64 filters, 8 dilated residual layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 64, 21, padding=10)
        self.layers = nn.ModuleList(nn.Conv1d(64, 64, 3, padding=2**i, dilation=2**i) for i in range(1, 9))
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(9))
        self.head = nn.Linear(64, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 1)."""
        h = self.relus[0](self.first(x))
        for layer, relu in zip(self.layers, self.relus[1:], strict=True):
            h = h + relu(layer(h))
        return self.head(h[:, :, 37:-37].mean(2))


def basset(length: int) -> nn.Module:
    """Three convolutions with batch norm and max-pooling, two dense layers."""
    layers: list[nn.Module] = []
    channels, size = 4, length
    for filters, kernel, pool in ((128, 19, 3), (96, 11, 4), (96, 7, 4)):
        layers += [nn.Conv1d(channels, filters, kernel, padding=kernel // 2), nn.BatchNorm1d(filters)]
        layers += [nn.ReLU(), nn.MaxPool1d(pool)]
        channels, size = filters, size // pool
    layers += [nn.Flatten(), nn.Linear(channels * size, 256), nn.ReLU(), nn.Linear(256, 1)]
    return nn.Sequential(*layers)


def beluga() -> nn.Module:
    """The shape of DeepSEA Beluga: six wide convolutions, two max-poolings, 2,000 bp, 2,002 outputs."""
    layers: list[nn.Module] = []
    channels, size = 4, 2000
    for block, filters in enumerate((320, 480, 640)):
        for _ in range(2):
            layers += [nn.Conv1d(channels, filters, 8), nn.ReLU()]
            channels, size = filters, size - 7
        if block < 2:
            layers += [nn.MaxPool1d(4)]
            size //= 4
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(channels * size, 2003), nn.ReLU(), nn.Linear(2003, 2002)
    )


class Block(nn.Module):
    """Depthwise dilated convolution, normalisation of the whole plane, MLP with GELU; residual."""

    def __init__(self, filters: int, length: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(filters, filters, 3, padding=dilation, dilation=dilation, groups=filters)
        self.norm = nn.LayerNorm((length, filters), elementwise_affine=False, eps=1e-3)
        self.wide = nn.Linear(filters, 2 * filters, bias=False)
        self.act = nn.GELU(approximate="tanh")
        self.narrow = nn.Linear(2 * filters, filters, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        """(N, L, C) to the same."""
        y = self.depthwise(h.transpose(1, 2).contiguous()).transpose(1, 2).contiguous()
        return h + 0.15 * self.narrow(self.act(self.wide(self.norm(y))))


class Blocks(nn.Module):
    """Log counts of a stack like Cherimoya's."""

    def __init__(self, filters: int = 64, layers: int = 9, length: int = 2114) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, filters, 21, padding=10)
        self.blocks = nn.ModuleList(Block(filters, length, 2**i) for i in range(layers))
        self.head = nn.Linear(filters, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 1)."""
        h = functional.gelu(self.stem(x), approximate="tanh").transpose(1, 2).contiguous()
        for block in self.blocks:
            h = block(h)
        return self.head(h[:, 37:-37].mean(1))


def cherimoya() -> nn.Module:
    """Log counts of Cherimoya itself, 64 filters, 9 layers; only where the package is installed."""
    from cherimoya import Cherimoya

    class Counts(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            """Return (N, 1)."""
            return self.model(x)[1]

    return Counts(Cherimoya(n_filters=64, n_layers=9, compile=False))


class Transformer(nn.Module):
    """A convolution with max-pooling, two transformer layers of 64 channels, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 64, 15, padding=7)
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 2)."""
        pooled = functional.max_pool1d(self.stem(x).relu(), 4)
        return self.head(self.encoder(pooled.transpose(1, 2)).mean(1))


def transformer() -> nn.Module:
    """Make it, as a factory."""
    return Transformer()


class Recurrent(nn.Module):
    """The shape of DanQ, smaller: a convolution with max-pooling, an LSTM in both directions, two layers."""

    def __init__(self, length: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 128, 26)
        self.recurrent = nn.LSTM(128, 64, batch_first=True, bidirectional=True)
        self.dense = nn.Linear(128 * ((length - 25) // 13), 128)
        self.head = nn.Linear(128, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 1)."""
        pooled = functional.max_pool1d(self.stem(x).relu(), 13)
        states, _ = self.recurrent(pooled.transpose(1, 2))
        return self.head(self.dense(states.flatten(1)).relu())


#: Name: (how it is made, length of its sequences, title).
MODELS: dict[str, tuple[Callable[[], nn.Module], int, str]] = {
    "bpnet": (BPNet, 2114, "BPNet 64 x 8, 2,114 bp"),
    "basset": (lambda: basset(600), 600, "Basset-like with max-pooling, 600 bp"),
    "beluga": (beluga, 2000, "Beluga-like, six wide convolutions, 2,000 bp"),
    "blocks": (Blocks, 2114, "Cherimoya-like blocks 64 x 9, 2,114 bp"),
    "recurrent": (Recurrent, 1000, "DanQ-like, convolution and LSTM, 1,000 bp"),
    "transformer": (Transformer, 1000, "Convolution and two transformer layers of 64 channels, 1,000 bp"),
    "cherimoya": (cherimoya, 2114, "Cherimoya 64 x 9 itself, 2,114 bp"),
}


def make(name: str, device: str) -> nn.Module:
    """A model in evaluation mode, from a fixed seed."""
    torch.manual_seed(0)
    return MODELS[name][0]().eval().requires_grad_(False).to(device)
