"""Blocks of long-context DNA models, written from their papers' equations: (N, L, D) → (N, L, D)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

D = 8


class Network(nn.Module):
    """A convolution, a block and a mean over positions."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.stem, self.block, self.head = nn.Conv1d(4, D, 7, padding=3), block, nn.Linear(D, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.stem(x).transpose(1, 2)).mean(1))


class Mamba(nn.Module):
    """Selective state spaces (Gu & Dao 2023), their scan in plain PyTorch."""

    def __init__(self, scan: Callable[..., Tensor], states: int = 4) -> None:
        super().__init__()
        inner = 2 * D
        self.scan, self.states = scan, states
        self.enter, self.leave = nn.Linear(D, 2 * inner, bias=False), nn.Linear(inner, D, bias=False)
        self.conv = nn.Conv1d(inner, inner, 4, groups=inner, padding=3)
        self.select, self.step = nn.Linear(inner, 2 + 2 * states, bias=False), nn.Linear(2, inner)
        self.log_rate = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))

    def forward(self, h: Tensor) -> Tensor:
        u, gate = self.enter(h).chunk(2, -1)
        u = functional.silu(self.conv(u.mT)[..., : h.shape[1]].mT)
        step, b, c = self.select(u).split([2, self.states, self.states], -1)
        step = functional.softplus(self.step(step))
        y = self.scan(u, step, -torch.exp(self.log_rate), b, c)
        return h + self.leave((y + u * self.skip) * functional.silu(gate))


def loop(u: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Position by position."""
    decay = torch.exp(torch.einsum("nld,ds->nlds", step, a))
    enters = torch.einsum("nld,nls,nld->nlds", step, b, u)
    state, found = torch.zeros_like(enters[:, 0]), []
    for i in range(u.shape[1]):
        state = decay[:, i] * state + enters[:, i]
        found.append(torch.einsum("nds,ns->nd", state, c[:, i]))
    return torch.stack(found, 1)


def written_in_place(u: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The same, into a tensor that is there."""
    decay, enters = torch.exp(step.unsqueeze(-1) * a), (step * u).unsqueeze(-1) * b.unsqueeze(2)
    state, found = u.new_zeros(enters[:, 0].shape), torch.empty_like(u)
    for i in range(u.shape[1]):
        state = decay[:, i] * state + enters[:, i]
        found[:, i] = (state @ c[:, i].unsqueeze(-1)).squeeze(-1)
    return found


def by_sums(u: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """By cumulative sums of the decays' logarithms."""
    logs = torch.einsum("nld,ds->nlds", step, a)
    rest = functional.pad(logs[:, 1:], (0, 0, 0, 0, 0, 1)).flip(1).cumsum(1).exp().flip(1)
    state = (torch.einsum("nld,nls->nlds", step * u, b) * rest).cumsum(1) / (rest + 1e-12)
    return torch.einsum("nlds,nls->nld", state, c)


def as_attention(u: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Mamba-2 (Dao & Gu 2024): one decay per channel, as a masked matrix."""
    total = (step * a[:, 0]).cumsum(1).mT
    causal = torch.ones(u.shape[1], u.shape[1]).tril().bool()
    decay = torch.exp((total[..., :, None] - total[..., None, :]).masked_fill(~causal, -torch.inf))
    return torch.einsum("nis,njs,ndij,njd->nid", c, b, decay, u * step)


class BothWays(nn.Module):
    """Forward and backward."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, h: Tensor) -> Tensor:
        return self.inner(h) + self.inner(h.flip(1)).flip(1)


class Hyena(nn.Module):
    """Long convolutions by FFT between gates (Poli et al. 2023)."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.short = nn.Conv1d(3 * D, 3 * D, 3, padding=2, groups=3 * D)
        self.filters, self.bias = nn.Parameter(torch.randn(D, length) / 8), nn.Parameter(torch.randn(D))

    def forward(self, h: Tensor) -> Tensor:
        length = h.shape[1]
        first, second, v = self.short(self.enter(h).mT)[..., :length].split(D, 1)
        v = v * first
        spectrum = torch.fft.rfft(v, n=2 * length) * torch.fft.rfft(self.filters, n=2 * length)
        y = torch.fft.irfft(spectrum, n=2 * length)[..., :length] + v * self.bias.unsqueeze(-1)
        return h + self.leave((y * second).mT)


class S4D(nn.Module):
    """Diagonal state spaces (Gu et al. 2022), their kernel of complex exponentials."""

    def __init__(self, states: int = 4) -> None:
        super().__init__()
        self.step, self.skip = nn.Parameter(torch.rand(D) - 4), nn.Parameter(torch.randn(D))
        self.weights = nn.Parameter(torch.randn(D, states, 2))
        self.rate, self.mix = nn.Parameter(torch.zeros(D, states)), nn.Conv1d(D, 2 * D, 1)

    def forward(self, h: Tensor) -> Tensor:
        u, length = h.mT, h.shape[1]
        rate = torch.complex(
            -self.rate.exp(), math.pi * torch.arange(self.rate.shape[1]).to(self.rate).expand_as(self.rate)
        )
        exponent = rate * self.step.exp().unsqueeze(-1)
        weights = torch.view_as_complex(self.weights) * (exponent.exp() - 1) / rate
        powers = torch.exp(exponent.unsqueeze(-1) * torch.arange(length).to(h))
        kernel = 2 * torch.einsum("ds,dsl->dl", weights, powers).real
        spectrum = torch.fft.rfft(u, n=2 * length) * torch.fft.rfft(kernel, n=2 * length)
        y = torch.fft.irfft(spectrum, n=2 * length)[..., :length] + u * self.skip.unsqueeze(-1)
        return h + functional.glu(self.mix(functional.gelu(y)), dim=1).mT


class RootMeanSquare(nn.Module):
    """RMSNorm, spelled out."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(size) + 0.5)

    def forward(self, h: Tensor) -> Tensor:
        return h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def halves(t: Tensor, angles: Tensor) -> Tensor:
    """Rotary position: entry i with entry i + d / 2."""
    a, b = t.chunk(2, -1)
    both = torch.cat([angles, angles], -1)
    return t * both.cos() + torch.cat([-b, a], -1) * both.sin()


def neighbours(t: Tensor, angles: Tensor) -> Tensor:
    """Rotary position: entry 2i with entry 2i + 1."""
    a, b = t[..., ::2], t[..., 1::2]
    both = angles.repeat_interleave(2, -1)
    return t * both.cos() + torch.stack([-b, a], -1).flatten(-2) * both.sin()


def complex_numbers(t: Tensor, angles: Tensor) -> Tensor:
    """Rotary position: a product of complex numbers."""
    pairs = torch.view_as_complex(t.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


class Rotary(nn.Module):
    """Attention with rotary positions, queries and keys normalised, logits capped or biased by distance."""

    def __init__(
        self, rotate: Callable[[Tensor, Tensor], Tensor], *, cap: float = 0, bias: float = 0
    ) -> None:
        super().__init__()
        self.rotate, self.cap, self.bias = rotate, cap, bias
        self.norm, self.enter, self.leave = RootMeanSquare(D), nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.queries, self.keys = RootMeanSquare(D // 2), RootMeanSquare(D // 2)

    def forward(self, h: Tensor) -> Tensor:
        n, length, _ = h.shape
        q, k, v = (t.reshape(n, length, 2, -1).transpose(1, 2) for t in self.enter(self.norm(h)).chunk(3, -1))
        at = torch.arange(length).to(h)
        angles = at[:, None] * 10_000 ** (-torch.arange(0, D // 2, 2).to(h) / (D // 2))
        q, k = self.rotate(self.queries(q), angles), self.rotate(self.keys(k), angles)
        if not self.cap:
            y = functional.scaled_dot_product_attention(q, k, v)
        else:
            logits = q @ k.mT / 2 - self.bias * (at[:, None] - at).abs()
            y = (self.cap * torch.tanh(logits / self.cap)).softmax(-1) @ v
        return h + self.leave(y.transpose(1, 2).reshape(n, length, D))


class LinearAttention(nn.Module):
    """Attention without a softmax (Katharopoulos et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(D, 3 * D)

    def forward(self, h: Tensor) -> Tensor:
        q, k, v = self.enter(h).chunk(3, -1)
        q, k = functional.elu(q) + 1, functional.elu(k) + 1
        weight = 1 / (torch.einsum("nld,nd->nl", q, k.sum(1)) + 1e-6)
        return h + torch.einsum("nld,nde,nl->nle", q, torch.einsum("nld,nle->nde", k, v), weight)


class LogMemory(nn.Module):
    """A matrix memory with exponential gates, stabilised by their maximum (xLSTM, Beck et al. 2024)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.gates = nn.Linear(D, 3 * D), nn.Linear(D, 2)

    def forward(self, h: Tensor) -> Tensor:
        length = h.shape[1]
        q, k, v = self.enter(h).chunk(3, -1)
        enters, keeps = self.gates(h).unbind(-1)
        total = functional.logsigmoid(keeps).cumsum(1)
        causal = torch.ones(length, length).tril().bool()
        logs = (total[:, :, None] - total[:, None] + enters[:, None]).masked_fill(~causal, -torch.inf)
        most = logs.amax(-1, keepdim=True)
        weights = (q @ k.mT / math.sqrt(D)) * torch.exp(logs - most)
        return h + weights / torch.maximum(weights.sum(-1, keepdim=True).abs(), torch.exp(-most)) @ v


class Gated(nn.Module):
    """A gated unit behind an RMSNorm by ``normalize``."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.enter, self.leave, self.activation = nn.Linear(D, 4 * D), nn.Linear(2 * D, D), activation

    def forward(self, h: Tensor) -> Tensor:
        a, b = self.enter(functional.normalize(h, dim=-1) * math.sqrt(D)).chunk(2, -1)
        return h + self.leave(self.activation(a) * b)


class AttentionPooling(nn.Module):
    """Enformer's pooling: a softmax over neighbours."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.weights = size, nn.Conv2d(D, D, 1, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        groups = h.mT.unflatten(-1, (-1, self.size))
        return (groups * self.weights(groups).softmax(-1)).sum(-1).mT


class Pairs(nn.Module):
    """Pairs of positions, as in models of contacts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(D, D, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        pairs = torch.relu(self.conv(h.mT[..., None] + h.mT[..., None, :]))
        return h + ((pairs + pairs.mT) / 2).mean(3).mT


class Caduceus(nn.Module):
    """Equivariant to the reverse complement: channels and positions turned for half of the channels.

    After Schiff et al. 2024.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.embed, self.inner, self.head = nn.Linear(4, D, bias=False), inner, nn.Linear(D, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mT
        here, there = self.embed(x), self.embed(x.flip(1, 2)).flip(1, 2)
        here, there = self.inner(here), self.inner(there.flip(1, 2)).flip(1, 2)
        return self.head((here + there.flip(2)).mean(1) / 2)


class SharedStrands(nn.Module):
    """Convolutions whose second half of filters are the turned first, and the maximum over strands."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(D, 4, 7) / 5)
        self.second = nn.Parameter(torch.randn(D, 2 * D, 5) / 9)
        self.head = nn.Linear(D, 2)

    def forward(self, x: Tensor) -> Tensor:
        for weight in (self.first, self.second):
            x = functional.relu(
                functional.conv1d(x, torch.cat([weight, weight.flip(0, 1, 2)]), padding="same")
            )
        there, back = x.chunk(2, 1)
        return self.head(torch.maximum(there, back.flip(1)).mean(-1))


class BestStrand(nn.Module):
    """The larger of a model's values on both strands."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return torch.max(self.model(x), self.model(x.flip(1, 2)))


def quick_gelu(h: Tensor) -> Tensor:
    return h * torch.sigmoid(1.702 * h)


def tanh_gelu(h: Tensor) -> Tensor:
    return functional.gelu(h, approximate="tanh")


#: Length of the sequences.
LENGTH = 64
EQUIVARIANT: dict[str, Callable[[], nn.Module]] = {
    "caduceus, mamba": lambda: Caduceus(BothWays(Mamba(loop))),
    "caduceus, hyena": lambda: Caduceus(Hyena(LENGTH)),
    "shared strands": SharedStrands,
    "best strand": lambda: BestStrand(Network(Gated(functional.silu))),
}
BLOCKS: dict[str, Callable[[], Any]] = {
    "mamba, loop": lambda: Mamba(loop),
    "mamba, in place": lambda: Mamba(written_in_place),
    "mamba, sums": lambda: Mamba(by_sums),
    "mamba 2": lambda: Mamba(as_attention),
    "mamba, both ways": lambda: BothWays(Mamba(loop)),
    "mamba, four blocks": lambda: nn.Sequential(*(Mamba(loop) for _ in range(4))),
    "hyena": lambda: Hyena(LENGTH),
    "s4d": S4D,
    "rotary halves": lambda: Rotary(halves),
    "rotary neighbours, capped": lambda: Rotary(neighbours, cap=5),
    "rotary complex, biased": lambda: Rotary(complex_numbers, cap=5, bias=0.1),
    "six transformer blocks": lambda: nn.Sequential(
        *(layer for _ in range(6) for layer in (Rotary(halves), Gated(functional.silu)))
    ),
    "linear attention": LinearAttention,
    "matrix memory": LogMemory,
    "attention pooling of 2": lambda: AttentionPooling(2),
    "attention pooling of 4": lambda: AttentionPooling(4),
    "swiglu": lambda: Gated(functional.silu),
    "geglu": lambda: Gated(functional.gelu),
    "geglu by tanh": lambda: Gated(tanh_gelu),
    "quick gelu": lambda: Gated(quick_gelu),
    "pairs": Pairs,
}
