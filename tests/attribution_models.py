"""Small models whose only difficulty is one operation, and sequences to try them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as functional
from cislex.attribution import (
    ISM,
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    ExpectedGradients,
    IntegratedGradients,
    Saliency,
)
from torch import Tensor, nn

WIDTH = 8


def methods(references: DinucleotideShuffle, *, steps: int, window: tuple[int, int]) -> dict[str, Any]:
    """Every method by name: integrated gradients of so many steps, mutagenesis of ``window`` only."""
    return {
        "saliency": Saliency(),
        "tism": TISM(),
        "integrated_gradients": IntegratedGradients(steps=steps, references=references),
        "expected_gradients": ExpectedGradients(references),
        "ism": ISM(start=window[0], end=window[1]),
        "deep_lift_shap": DeepLiftShap(references),
        "reveal_cancel": DeepLiftShap(references, rule="reveal_cancel"),
    }


def one_hot(n: int, length: int, *, seed: int = 0, unknown: bool = False) -> Tensor:
    """Random sequences (n, 4, L), uint8; with ``unknown`` the second has three unknown bases."""
    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(0, 4, (n, 1, length), generator=generator)
    x = torch.zeros(n, 4, length, dtype=torch.uint8).scatter_(1, index, 1)
    if unknown and n > 1:
        x[1, :, 10:13] = 0
    return x


class OneOperation(nn.Module):
    """A convolution, the operation under test, and a head of two outputs."""

    def __init__(self, operation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, WIDTH, 7, padding=3)
        self.operation = operation
        weights = torch.linspace(0.2, 1.4, 60)
        self.register_buffer("weights", weights)
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.operation(self.conv(x) * 2)
        if h.dim() == 3:
            h = (h * self.weights[: h.shape[-1]]).mean(-1)
        return self.head(h)


class Wrapped(nn.Module):
    """A module between a convolution and a head."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, WIDTH, 7, padding=3)
        self.module = module
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Any:
        h = self.module(self.conv(x) * 2)
        return self.head(h.flatten(2).mean(-1))


class SubclassReLU(nn.ReLU):
    pass


class ReusedReLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.conv = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return self.act(self.conv(self.act(h)) - 0.1)


class CreatedInForward(nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        return nn.ReLU()(h)


class Transposed(nn.Module):
    """Runs a module on (B, L, C)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, h: Tensor) -> Tensor:
        out = self.module(h.transpose(1, 2))
        return (out[0] if isinstance(out, tuple) else out).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention by ``nn.MultiheadAttention``."""

    def __init__(self, *, batch_first: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=batch_first)
        self.batch_first = batch_first

    def forward(self, h: Tensor) -> Tensor:
        tokens = h.transpose(1, 2) if self.batch_first else h.permute(2, 0, 1)
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return mixed.transpose(1, 2) if self.batch_first else mixed.permute(1, 2, 0)


class Residual(nn.Module):
    """Dilated residual convolutions, as in BPNet."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3, padding=2**i, dilation=2**i) for i in range(3))

    def forward(self, h: Tensor) -> Tensor:
        for layer in self.layers:
            h = h + functional.relu(layer(h))
        return h


def in_place_sum(h: Tensor) -> Tensor:
    y = functional.relu(h)
    y += h
    h = h.clone()
    h[:, :, :3] = 0
    y *= torch.sigmoid(h)
    return y


def merged_rows(h: Tensor) -> Tensor:
    """Positions and rows in one axis, positions first: rows cannot be told from the shape."""
    b, c, length = h.shape
    flat = torch.relu(h.permute(2, 0, 1).reshape(length * b, c) - 0.1)
    return flat.reshape(length, b, c).permute(1, 2, 0)


def plain_attention(h: Tensor) -> Tensor:
    tokens = h.transpose(1, 2)
    weights = torch.softmax(tokens @ tokens.transpose(1, 2) / 3, -1)
    return (weights @ tokens).transpose(1, 2)


def masked(h: Tensor, value: float) -> Tensor:
    """The last positions hidden, the same of every sequence."""
    return h.masked_fill(torch.arange(h.shape[-1]) > 40, value)


def masked_softmax(h: Tensor) -> Tensor:
    """Minus infinity where positions are masked: the same for example and reference."""
    return masked(h, -torch.inf).softmax(-1) * h


#: The trap table: models that break hooks on modules, by the name of their trap.
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "functional_relu": functional.relu,
    "functional_gelu": functional.gelu,
    "functional_gelu_tanh": lambda h: functional.gelu(h, approximate="tanh"),
    "exp": torch.exp,
    "in_place_relu": lambda h: functional.relu(h, inplace=True),
    "in_place_relu_method": lambda h: h.relu_() + h,
    "in_place_sum": in_place_sum,
    "square_product": lambda h: h * h,
    "gate": lambda h: torch.sigmoid(h) * torch.tanh(h),
    "log_sum_exp": lambda h: torch.logsumexp(h, -1),
    "log_softmax": lambda h: torch.log_softmax(h, 1),
    "standard_deviation": lambda h: h.std(-1),
    "variance": lambda h: torch.var(h, dim=2, unbiased=False),
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
    "quick_gelu": lambda h: h * torch.sigmoid(1.702 * h),
    "layer_norm": lambda h: functional.layer_norm(h, (h.shape[-1],)),
    "group_norm": lambda h: functional.group_norm(h, 2),
    "instance_norm": lambda h: functional.instance_norm(h).square(),
    "rms_norm": lambda h: functional.rms_norm(h, (h.shape[-1],)),
    "softmax_times_logits": lambda h: h.softmax(-1) * h,
    "softmax_attention": plain_attention,
    "scaled_dot_product_attention": lambda h: functional.scaled_dot_product_attention(
        *([h.transpose(1, 2)] * 3)
    ).transpose(1, 2),
    "causal_attention": lambda h: functional.scaled_dot_product_attention(
        *([h.transpose(1, 2)] * 3), is_causal=True
    ).transpose(1, 2),
    "masked_softmax": masked_softmax,
    "masked_log_sum_exp": lambda h: torch.logsumexp(
        h + torch.zeros(h.shape[-1], dtype=h.dtype).index_fill(0, torch.arange(9), -torch.inf), -1
    ),
    "max_pool": lambda h: functional.max_pool1d(h, 4),
    "max_pool_overlapping": lambda h: functional.max_pool1d(h, 5, 2, 1),
    "adaptive_max_pool": lambda h: functional.adaptive_max_pool1d(h, 7),
    "max_pool_2d": lambda h: functional.max_pool2d(h.unsqueeze(1), (2, 4)).flatten(1)[:, :WIDTH],
    "adaptive_max_pool_2d": lambda h: functional.adaptive_max_pool2d(h.unsqueeze(1), (WIDTH, 5)).squeeze(1),
    "masked_max": lambda h: masked(h, -torch.inf).amax(-1),
    "masked_max_by_a_large_number": lambda h: masked(h, -1e9).max(-1).values,
    "masked_max_pool": lambda h: functional.max_pool1d(masked(h, -torch.inf), 20)[:, :, :2],
    "masked_max_pool_by_a_large_number": lambda h: functional.max_pool1d(masked(h, -1e9), 4)[:, :, :10],
    "masked_overlapping_max_pool": lambda h: functional.max_pool1d(masked(h, -1e9), 5, 2, ceil_mode=True)[
        :, :, :10
    ],
    "masked_softmax_by_hand": lambda h: (
        torch.exp(masked(h, -torch.inf) - masked(h, -torch.inf).amax(-1, keepdim=True)) * h
    ),
    "max_over_axis": lambda h: h.max(-1).values,
    "global_max": lambda h: h.amax(-1),
    "global_min": lambda h: h.amin(dim=2),
    "average_pool": lambda h: functional.avg_pool1d(functional.relu(h), 4),
    "adaptive_average_pool": lambda h: functional.adaptive_avg_pool1d(functional.relu(h), 3),
    "maximum_of_two": lambda h: torch.maximum(h, h.flip(1)),
    "minimum_with_constant": lambda h: torch.minimum(h, torch.tensor(0.3, dtype=h.dtype)),
    "clamp": lambda h: h.clamp(-0.3, 0.5),
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "elu_alpha": lambda h: functional.elu(h, 0.5),
    "selu": functional.selu,
    "celu": lambda h: functional.celu(h, 0.7),
    "silu": functional.silu,
    "mish": functional.mish,
    "softplus": functional.softplus,
    "softplus_beta": lambda h: functional.softplus(h, 5.0),
    "softsign": functional.softsign,
    "abs": torch.abs,
    "sine": torch.sin,
    "division": lambda h: h / (1 + h.abs()),
    "reciprocal": lambda h: 1.0 / (2 + h * h),
    "normalize": lambda h: functional.normalize(h, dim=1),
    "cube": lambda h: h**3,
    "fractional_power": lambda h: (h.abs() + 0.1) ** 1.7,
    "logarithm": lambda h: torch.log(h.exp() + 1),
    "glu": lambda h: torch.cat([functional.glu(h, 1)] * 2, 1),
    "concatenation": lambda h: torch.cat([torch.relu(h[:, :4]), torch.tanh(h[:, 4:])], 1),
    "einsum": lambda h: torch.einsum("bcl,bdl->bcd", h, h).mean(-1),
    "product_over_axis": lambda h: (1 + h[:, :, :5] * 0.1).prod(-1),
    "merged_rows": merged_rows,
}

MODULES: dict[str, Callable[[], nn.Module]] = {
    "module_relu": nn.ReLU,
    "module_relu_max_pool": lambda: nn.Sequential(nn.ReLU(), nn.MaxPool1d(4)),
    "relu_subclass": SubclassReLU,
    "relu_in_place": lambda: nn.ReLU(inplace=True),
    "relu_reused": ReusedReLU,
    "relu_created_in_forward": CreatedInForward,
    "prelu": lambda: nn.PReLU(WIDTH),
    "hardswish": nn.Hardswish,
    "layer_norm_module": lambda: Transposed(nn.LayerNorm(WIDTH)),
    "batch_norm": lambda: nn.Sequential(nn.BatchNorm1d(WIDTH), nn.ReLU()),
    "dropout": lambda: nn.Sequential(nn.ReLU(), nn.Dropout(0.5)),
    "residual_dilated": Residual,
    "multi_head_attention": lambda: Attention(batch_first=True),
    "multi_head_attention_sequence_first": lambda: Attention(batch_first=False),
    "lstm": lambda: Transposed(nn.LSTM(WIDTH, WIDTH // 2, batch_first=True, bidirectional=True)),
    "gru": lambda: Transposed(nn.GRU(WIDTH, WIDTH, batch_first=True)),
    "transformer_layer": lambda: Transposed(
        nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=True, activation="gelu")
    ),
    "convolution_2d": lambda: nn.Sequential(
        nn.Unflatten(1, (1, WIDTH)),
        nn.Conv2d(1, 2, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(1, 2),
    ),
}


def trap(name: str) -> nn.Module:
    """Build a model of the trap table, in evaluation mode, float32."""
    torch.manual_seed(1)
    model: nn.Module
    if name in OPERATIONS:
        model = OneOperation(OPERATIONS[name])
    else:
        model = Wrapped(MODULES[name]())
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2.0)
    return model.eval()


TRAPS = [*OPERATIONS, *(name for name in MODULES)]
