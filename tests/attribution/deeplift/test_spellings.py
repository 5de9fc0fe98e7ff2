"""RevealCancel does not depend on how a line is written: every spelling against the plain one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import attribution_models as models
import pytest
import torch
import torch.nn.functional as functional
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute, make_references
from cislex.attribution.deeplift.deeplift import batch_multipliers
from cislex.targets import Output
from torch import Tensor, nn

CHANNELS, LENGTH = 6, 16
X = models.one_hot(2, LENGTH, seed=3).double()
REFERENCES = make_references(DinucleotideShuffle(n=2), X).double()
METHOD = DeepLiftShap(rule="reveal_cancel")
POSITION = torch.arange(LENGTH)
CHANNEL = torch.arange(CHANNELS)
TWO, HALF, ONE, ZERO = (torch.tensor(v, dtype=torch.float64) for v in (2.0, 0.5, 1.0, 0.0))
SIGNED = torch.linspace(-1, 1, CHANNELS, dtype=torch.float64).reshape(-1, 1)
MEAN, VARIANCE = torch.linspace(-1, 1, CHANNELS).double(), torch.linspace(0.5, 2, CHANNELS).double()
WEIGHT = torch.linspace(2, -1, CHANNELS).double()


class Model(nn.Module):
    """A convolution, the lines under test, ReLU, and a head; the first convolution makes the parts."""

    def __init__(self, lines: Callable[..., Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, CHANNELS, 5, padding=2)
        self.side = nn.Conv1d(4, CHANNELS, 1)
        self.lines = lines
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        h, g = self.conv(x) * 3, torch.relu(self.side(x) * 3)
        y = torch.relu(self.lines(h, g) - 0.1)
        return (y * torch.linspace(-1, 2, y[0].numel()).reshape(y[0].shape)).flatten(1).sum(1, keepdim=True)


@cache
def scores(lines: Callable[..., Tensor]) -> Tensor:
    """Multipliers of every pair, by the engine itself: tests of the call around it are elsewhere."""
    found = batch_multipliers(Model(lines).requires_grad_(False), X, REFERENCES, [Output(0)], METHOD)
    assert found.delta is not None
    assert found.delta.abs().max() < 1e-9
    return found.multipliers


def written(change: Callable[[Tensor, Tensor], object]) -> Callable[[Tensor, Tensor], Tensor]:
    """A line that writes into a copy of h."""

    def lines(h: Tensor, g: Tensor) -> Tensor:
        y = h.clone()
        change(y, g)
        return y

    return lines


def halves(y: Tensor, g: Tensor) -> None:
    y[:, :3] *= 2
    y[:, 3:].mul_(2)


def pieces(y: Tensor, g: Tensor) -> None:
    for k in range(LENGTH):
        y[:, :, k].div_(0.5)


def into_zeros(h: Tensor, g: Tensor) -> Tensor:
    y = torch.zeros_like(h)
    y[:, :2] = h[:, :2]
    y[:, 2:] = h[:, 2:]
    y[:, :, :3] += g[:, :, :3]
    y[:, :, 3:].add_(g[:, :, 3:])
    return y


def between(h: Tensor, share: float) -> Tensor:
    """So far from each position to the next."""
    return (1 - share) * h[:, :, :-1] + share * h[:, :, 1:]


def by_hand(h: Tensor, g: Tensor) -> Tensor:
    wide = [item.reshape(1, -1, 1) for item in (MEAN, VARIANCE, WEIGHT)]
    return (h - wide[0]) / torch.sqrt(wide[1] + 1e-5) * wide[2]


def dense(equation: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A dense layer over the channels of g, whose parts are its own."""
    weights = torch.sin(torch.arange(CHANNELS * 4).double()).reshape(4, CHANNELS)
    return lambda h, g: equation(g.transpose(1, 2), weights)


SPELLINGS: dict[str, tuple[Callable[..., Tensor], dict[str, Callable[..., Tensor]]]] = {
    "scaling": (
        lambda h, g: h * 2,
        {
            "h / 0.5": lambda h, g: h / 0.5,
            "2 * h": lambda h, g: 2 * h,
            "tensor * h": lambda h, g: TWO * h,
            "h / tensor": lambda h, g: h / HALF,
            "torch.mul": lambda h, g: torch.mul(input=h, other=2),
            "multiply": lambda h, g: h.multiply(TWO),
            "true_divide": lambda h, g: torch.true_divide(h, 0.5),
            "divide": lambda h, g: h.divide(HALF),
            "mul_": written(lambda y, g: y.mul_(2)),
            "div_": written(lambda y, g: y.div_(HALF)),
            "*=": written(lambda y, g: y.__imul__(2)),
            "/=": written(lambda y, g: y.__itruediv__(0.5)),
            "h + h": lambda h, g: h + h,
            "add, alpha": lambda h, g: torch.add(h, h, alpha=1),
            "sub, alpha": lambda h, g: torch.sub(h, h, alpha=-1),
            "sub by names": lambda h, g: torch.sub(other=-h, input=h),
            "rsub": lambda h, g: torch.rsub(-h, h),
            "neg": lambda h, g: torch.neg(h * -2),
            "neg_": written(lambda y, g: y.mul_(-2).neg_()),
            "0 - h": lambda h, g: 0 - (-2 * h),
            "addcmul": lambda h, g: torch.addcmul(ZERO, h, HALF, value=4),
            "addcmul, second": lambda h, g: torch.addcmul(ZERO, HALF, h, value=4),
            "addcdiv": lambda h, g: torch.addcdiv(ZERO, h, HALF),
            "lerp": lambda h, g: torch.lerp(ZERO, h, 2.0),
            "lerp of both": lambda h, g: torch.lerp(h, 3 * h, HALF),
            "einsum": lambda h, g: h.unflatten(0, (1, -1))[0] * torch.full((CHANNELS, 1), 2),
            "slices in place": written(halves),
            "columns in place": written(pieces),
            "copy_": written(lambda y, g: y.copy_(y * 2)),
        },
    ),
    "signed scaling": (
        lambda h, g: h * SIGNED,
        {
            "tensor * h": lambda h, g: SIGNED * h,
            "mul_": written(lambda y, g: y.mul_(SIGNED)),
            "h / tensor": lambda h, g: h / SIGNED.reciprocal(),
            "channel by channel": lambda h, g: torch.stack(
                [h[:, c] * SIGNED[c, 0] for c in range(CHANNELS)], 1
            ),
        },
    ),
    "moving": (
        lambda h, g: h,
        {
            "chunk, cat": lambda h, g: torch.cat(h.chunk(2, 1), 1),
            "split, concat": lambda h, g: torch.concat(h.split([1, 5], 1), 1),
            "tensor_split, hstack": lambda h, g: torch.hstack(h.tensor_split(3, 1)),
            "unbind, stack": lambda h, g: torch.stack(h.unbind(2), -1),
            "rows, stack": lambda h, g: torch.stack([h[:, c] for c in CHANNEL.tolist()], dim=1),
            "flip": lambda h, g: h.flip(2).flip(2),
            "roll": lambda h, g: h.roll(3, -1).roll(-3, -1),
            "permute": lambda h, g: h.permute(0, 2, 1).contiguous().permute(0, 2, 1),
            "mT": lambda h, g: h.mT.clone().mT,
            "view": lambda h, g: h.view(len(h), 2, 3, -1).flatten(1, 2),
            "pad": lambda h, g: functional.pad(h, (2, 3), value=7.0)[:, :, 2:-3],
            "index by tensor": lambda h, g: h[:, CHANNEL.flip(0)][:, CHANNEL.flip(0)],
            "index_select": lambda h, g: h.index_select(1, CHANNEL.flip(0)).index_select(1, CHANNEL.flip(0)),
            "gather": lambda h, g: h.gather(2, POSITION.expand(h.shape)),
            "take_along_dim": lambda h, g: h.take_along_dim(POSITION.reshape(1, 1, -1), 2),
            "masked_fill": lambda h, g: h.masked_fill(POSITION < 0, -torch.inf),
            "where": lambda h, g: torch.where(POSITION >= 0, h, 3.0),
            "repeat, mean": lambda h, g: h.repeat(1, 1, 2).unflatten(2, (2, -1)).mean(2),
            "double": lambda h, g: h.to(torch.float64).double(),
            "pixel_shuffle": lambda h, g: h.unfold(2, 1, 1).squeeze(-1),
            "index_copy": lambda h, g: torch.zeros_like(h).index_copy(2, POSITION, h),
            "index_put_": written(lambda y, g: y.index_put_((torch.tensor([0]),), y[:1].clone())),
            "batch first": lambda h, g: h.movedim(0, 1).swapaxes(0, 1),
        },
    ),
    "adding": (
        lambda h, g: h + g,
        {
            "+=": written(lambda y, g: y.__iadd__(g)),
            "g += h": lambda h, g: g.clone().__iadd__(h),
            "add_": written(lambda y, g: y.add_(g)),
            "g + h": lambda h, g: torch.add(g, h),
            "h - -g": lambda h, g: h - (-g),
            "sub_": written(lambda y, g: y.sub_(-g)),
            "stack, sum": lambda h, g: torch.stack([h, g]).sum(0),
            "cat, mean": lambda h, g: torch.cat([h, g], 1).unflatten(1, (2, -1)).mean(1) * 2,
            "into zeros": into_zeros,
            "index_add": lambda h, g: h.index_add(2, POSITION, g),
            "scatter_add": lambda h, g: h.scatter_add(2, POSITION.expand(h.shape), g),
            "setitem": written(lambda y, g: y.__setitem__((slice(None), slice(None)), y + g)),
            "lerp": lambda h, g: torch.lerp(h, g, 0.5) / 0.5,
            "addcmul": lambda h, g: torch.addcmul(h, g, ONE),
            "baddbmm": lambda h, g: torch.baddbmm(h, torch.eye(CHANNELS).double().expand(len(h), -1, -1), g),
        },
    ),
    "summing": (
        lambda h, g: sum(g[:, :, k] for k in range(1, LENGTH)) + g[:, :, 0],  # type: ignore[return-value]
        {
            "sum": lambda h, g: g.sum(-1),
            "mean": lambda h, g: g.mean(dim=2) * LENGTH,
            "cumsum": lambda h, g: g.cumsum(2)[:, :, -1],
            "avg_pool1d": lambda h, g: functional.avg_pool1d(g, LENGTH)[:, :, 0] * LENGTH,
            "adaptive_avg_pool1d": lambda h, g: functional.adaptive_avg_pool1d(g, 1)[:, :, 0] * LENGTH,
            "einsum": lambda h, g: torch.einsum("bcl->bc", g),
            "matmul with ones": lambda h, g: g @ torch.ones(LENGTH).double(),
        },
    ),
    "interpolating": (
        lambda h, g: torch.stack([between(h, 0.25), between(h, 0.75)], -1).flatten(2),
        {"linear": lambda h, g: functional.interpolate(h, scale_factor=2, mode="linear")[:, :, 1:-1]},
    ),
    "repeating": (
        lambda h, g: torch.stack([h, h], -1).flatten(2),
        {
            "nearest": lambda h, g: functional.interpolate(h, scale_factor=2),
            "upsample": lambda h, g: nn.Upsample(scale_factor=2)(h),
            "repeat_interleave": lambda h, g: h.repeat_interleave(2, -1),
        },
    ),
    "differences": (
        lambda h, g: h[:, :, 1:] - h[:, :, :-1],
        {"diff": lambda h, g: h.diff(dim=-1)},
    ),
    "batch norm": (
        lambda h, g: functional.batch_norm(h, MEAN, VARIANCE, WEIGHT),
        {
            "by hand": by_hand,
            "torch.batch_norm": lambda h, g: torch.batch_norm(
                h, WEIGHT, None, MEAN, VARIANCE, False, 0.1, 1e-5, False
            ),
        },
    ),
    "relu": (
        lambda h, g: torch.relu(h),
        {
            "maximum": lambda h, g: torch.maximum(h, ZERO),
            "maximum, reversed": lambda h, g: torch.maximum(ZERO, h),
            "max of two": lambda h, g: torch.max(h, torch.zeros(CHANNELS, 1).double()),
            "fmax": lambda h, g: torch.fmax(h, ZERO),
            "minimum": lambda h, g: -torch.minimum(-h, ZERO),
            "clamp": lambda h, g: h.clamp(0),
            "clip": lambda h, g: torch.clip(h, min=0.0),
            "clamp_min": lambda h, g: h.clamp_min(0),
            "clamp, tensor": lambda h, g: torch.clamp(h, min=ZERO),
            "relu_": written(lambda y, g: y.relu_()),
            "inplace=True": written(lambda y, g: functional.relu(y, inplace=True)),
            "threshold": lambda h, g: functional.threshold(h, 0.0, 0.0),
            "leaky_relu": lambda h, g: functional.leaky_relu(h, 0.0),
        },
    ),
    "square": (
        lambda h, g: torch.square(h),
        {
            "h * h": lambda h, g: h * h,
            "h ** 2": lambda h, g: h**2,
            "pow": lambda h, g: torch.pow(h, 2.0),
            "pow, tensor": lambda h, g: torch.pow(h, TWO),
        },
    ),
    "reciprocal": (
        lambda h, g: torch.reciprocal(h + 20) * 20,
        {
            "1 / h": lambda h, g: 20 / (h + 20),
            "tensor / h": lambda h, g: 20 * ONE / (h + 20),
            "div": lambda h, g: torch.div(ONE, h + 20) * 20,
            "power": lambda h, g: (h + 20) ** -1 * 20,
        },
    ),
    "softplus": (
        lambda h, g: functional.softplus(h),
        {
            "logaddexp": lambda h, g: torch.logaddexp(h, ZERO),
            "logaddexp, reversed": lambda h, g: torch.logaddexp(torch.zeros(CHANNELS, 1).double(), h),
        },
    ),
    "softsign": (
        lambda h, g: torch.where(POSITION >= 0, functional.softsign(h), 0.0),
        {"method": lambda h, g: nn.Softsign()(h)},
    ),
    "dense layer": (
        dense(lambda h, w: functional.linear(h, w)),
        {
            "einsum": dense(lambda h, w: torch.einsum("blc,oc->blo", h, w)),
            "einsum, weights first": dense(lambda h, w: torch.einsum("oc,blc->blo", w, h)),
            "@": dense(lambda h, w: h @ w.T),
            "w @ h": dense(lambda h, w: (w @ h.transpose(1, 2)).transpose(1, 2)),
            "matmul": dense(lambda h, w: torch.matmul(h, w.t())),
            "tensordot": dense(lambda h, w: torch.tensordot(h, w, dims=([2], [1]))),
            "addmm": dense(lambda h, w: torch.addmm(ZERO, h.flatten(0, 1), w.T).unflatten(0, (len(h), -1))),
            "addmm, negative": dense(
                lambda h, w: torch.addmm(ZERO, h.flatten(0, 1), -w.T, alpha=-1).unflatten(0, (len(h), -1))
            ),
            "conv1d": dense(lambda h, w: functional.conv1d(h.mT, w.unsqueeze(-1)).mT),
            "products, summed": dense(lambda h, w: (h.unsqueeze(2) * w).sum(-1)),
            "bilinear": dense(
                lambda h, w: functional.bilinear(h, torch.ones(*h.shape[:2], 1).double(), w.unsqueeze(-1))
            ),
        },
    ),
}  # fmt: skip

CASES = [(kind, spelling) for kind, (_, others) in SPELLINGS.items() for spelling in others]


@pytest.mark.parametrize(("kind", "spelling"), CASES)
def test_a_spelling_gives_what_the_plain_one_gives(kind: str, spelling: str) -> None:
    plain, others = SPELLINGS[kind]
    wanted = scores(plain)
    torch.testing.assert_close(
        scores(others[spelling]), wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max())
    )


def rectified_in_place(h: Tensor) -> Tensor:
    h = h + 0
    h.relu_()
    return h.clamp(max=0.6)


def clamped_in_place(h: Tensor) -> Tensor:
    h = torch.relu(h)
    return h.clamp_(max=0.6)


def squared(h: Tensor) -> Tensor:
    return h * h


def masked(h: Tensor) -> Tensor:
    return torch.where(torch.arange(h.shape[-1]) % 3 > 0, h, 0.2)


def clamp(h: Tensor) -> Tensor:
    return h.clamp(0, 0.6)


#: One function, and the same as several, one after another.
CHAINS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "relu6": (functional.relu6, lambda h: torch.relu(h).clamp(max=6)),
    "in place first": (clamp, rectified_in_place),
    "in place second": (clamp, clamped_in_place),
    "scaled between": (lambda h: 2 * clamp(h), lambda h: (torch.relu(h) * 2).clamp(max=1.2)),
    "moved between": (clamp, lambda h: torch.relu(h).flatten(1).clamp(max=0.6).view_as(h)),
    "masked between": (lambda h: masked(clamp(h)), lambda h: masked(torch.relu(h)).clamp(max=0.6)),
    "part of it": (
        lambda h: functional.pad(clamp(h)[..., 3:], (3, 0)),
        lambda h: functional.pad(torch.relu(h)[..., 3:], (3, 0)).clamp(max=0.6),
    ),
    "hardsigmoid": (functional.hardsigmoid, lambda h: torch.relu(h + 3).clamp(max=6) / 6),
    "logsigmoid": (functional.logsigmoid, lambda h: torch.log(torch.sigmoid(h))),
    "softplus": (functional.softplus, lambda h: torch.log1p(torch.exp(h))),
    "sigmoid": (torch.sigmoid, lambda h: 1 / (1 + torch.exp(-h))),
    "square": (lambda h: torch.relu(h) ** 2, lambda h: squared(torch.relu(h))),
    "size": (torch.abs, lambda h: squared(h).sqrt()),
}


class TwoLayers(nn.Module):
    """A convolution and a dense layer, with a function after each."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.dense = nn.Conv1d(4, 8, 5), nn.Linear(8 * (LENGTH - 4), 16)
        self.head, self.function = nn.Linear(16, 1), function
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        h = self.function(3 * self.conv(x))
        return self.head(self.function(self.dense(h.flatten(1))))


@pytest.mark.parametrize("rule", ["reveal_cancel", "genomics_default"])
@pytest.mark.parametrize("name", CHAINS)
def test_functions_one_after_another_are_one_function(name: str, rule: str) -> None:
    method = DeepLiftShap(DinucleotideShuffle(n=3), rule=rule)
    one, several = (attribute(TwoLayers(function), X, method) for function in CHAINS[name])
    limit = 1e-12 * float(one.hypothetical.abs().max())
    torch.testing.assert_close(several.hypothetical, one.hypothetical, rtol=0, atol=limit)
    if rule == "reveal_cancel":
        assert several.notes["reveal_cancel"].startswith("0 of ")


class Pooled(nn.Module):
    """Two calls that can be split and two that cannot: a maximum, and a function of its result."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv1d(4, 8, 5), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.conv(x)).amax(-1)
        return torch.sigmoid(self.head(torch.tanh(h)))


def test_the_notes_count_the_calls_that_took_the_whole_difference() -> None:
    found = attribute(Pooled(), models.one_hot(5, 20), DeepLiftShap(rule="reveal_cancel"), batch_size=40)
    assert found.notes["reveal_cancel"] == "2 of 4 nonlinear calls took the whole difference: amax 1, tanh 1"
    found = attribute(Pooled(), models.one_hot(5, 20), DeepLiftShap())
    assert "reveal_cancel" not in found.notes
