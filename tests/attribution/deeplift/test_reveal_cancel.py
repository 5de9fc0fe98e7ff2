"""RevealCancel: the textbook cases, completeness, and what genomics_default is."""

from __future__ import annotations

from collections.abc import Callable

import attribution_models as models
import pytest
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, Shuffle, Zeros, attribute
from torch import Tensor, nn

X = models.one_hot(3, 60)


class AndGate(nn.Module):
    """o = i₁ − relu(i₁ − i₂) = min(i₁, i₂), with i = (10, 6) where both bases are present."""

    def forward(self, x: Tensor) -> Tensor:
        first, second = 10 * x[:, 0, 0], 6 * x[:, 1, 1]
        return first - torch.relu(first - second)


class Saturation(nn.Module):
    """o = min(1, i₁ + i₂) = 1 − relu(1 − i₁ − i₂)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1 - torch.relu(1 - x[:, 0, 0] - x[:, 1, 1])


def both_bases() -> Tensor:
    x = torch.zeros(1, 4, 2, dtype=torch.uint8)
    x[0, 0, 0] = x[0, 1, 1] = 1
    return x


@pytest.mark.parametrize(("rule", "expected"), [("rescale", [0.0, 6.0]), ("reveal_cancel", [3.0, 3.0])])
def test_and_gate(rule: str, expected: list[float]) -> None:
    found = attribute(AndGate(), both_bases(), DeepLiftShap(Zeros(), rule=rule))
    torch.testing.assert_close(found.contributions.sum(1)[0], torch.tensor(expected))


class DenseAndGate(nn.Module):
    """The AND gate in a dense layer, where its weights make the parts."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 2, bias=False)
        self.head = nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.weight[0, 0], self.layer.weight[0, 3] = 10, -6  # i₁ − i₂
            self.layer.weight[1, 0] = 10  # i₁, which is never negative
            self.head.weight.copy_(torch.tensor([[-1.0, 1.0]]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.layer(x.flatten(1))))


@pytest.mark.parametrize("rule", ["reveal_cancel", "genomics_default"])
def test_and_gate_of_dense_layers(rule: str) -> None:
    found = attribute(DenseAndGate(), both_bases(), DeepLiftShap(Zeros(), rule=rule))
    torch.testing.assert_close(found.contributions.sum(1)[0], torch.tensor([3.0, 3.0]))


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_saturation(rule: str) -> None:
    found = attribute(Saturation(), both_bases(), DeepLiftShap(Zeros(), rule=rule))
    torch.testing.assert_close(found.contributions.sum(1)[0], torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize("rule", ["reveal_cancel", "genomics_default"])
@pytest.mark.parametrize("name", models.TRAPS)
def test_complete_on_the_trap_table(name: str, rule: str) -> None:
    method = DeepLiftShap(DinucleotideShuffle(n=3), rule=rule)
    found = attribute(models.trap(name), X, method, precision="float64").max_relative_delta
    assert found is not None
    assert found.max() <= 1e-8


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 8, 7)
        self.norm = nn.BatchNorm1d(8)
        self.dense = nn.Linear(8 * 18, 12)
        self.head = nn.Linear(12, 1)
        self.dense_first = True

    def forward(self, x: Tensor) -> Tensor:
        h = nn.functional.max_pool1d(torch.relu(self.norm(self.conv(x))), 3)
        return self.head(torch.relu(self.dense(h.flatten(1))))


def test_rules_differ_where_they_should() -> None:
    found = {
        rule: attribute(
            Network(), X, DeepLiftShap(DinucleotideShuffle(n=3), rule=rule), precision="float64"
        ).hypothetical
        for rule in ("rescale", "reveal_cancel", "genomics_default")
    }
    scale = found["rescale"].abs().max()
    assert (found["rescale"] - found["genomics_default"]).abs().max() > 1e-3 * scale
    assert (found["reveal_cancel"] - found["genomics_default"]).abs().max() > 1e-3 * scale


def test_genomics_default_is_rescale_without_dense_activations() -> None:
    model = nn.Sequential(nn.Conv1d(4, 8, 7), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 54, 1))
    a, b = (
        attribute(model, X, DeepLiftShap(DinucleotideShuffle(n=3), rule=rule), precision="float64")
        for rule in ("rescale", "genomics_default")
    )
    torch.testing.assert_close(a.hypothetical, b.hypothetical)


def test_a_dense_layer_equals_the_definition() -> None:
    torch.manual_seed(0)
    layer, head = nn.Linear(4 * 6, 3).double(), nn.Linear(3, 1).double()
    model = nn.Sequential(nn.Flatten(), layer, nn.Sigmoid(), head)
    x, r = models.one_hot(1, 6, seed=1), models.one_hot(1, 6, seed=2)
    method = DeepLiftShap(lambda s: r.unsqueeze(1), rule="reveal_cancel")
    found = attribute(model, x, method, precision="float64")
    delta = (x - r.double()).flatten().double()
    reference = layer(r.double().flatten()).detach()
    f = torch.sigmoid
    expected = torch.zeros(24, dtype=torch.float64)
    for j in range(3):
        weights, start = layer.weight[j].detach(), reference[j]
        pull = weights * delta
        up, down = pull.clamp_min(0).sum(), pull.clamp_max(0).sum()
        y_up = 0.5 * ((f(start + up) - f(start)) + (f(start + down + up) - f(start + down)))
        y_down = 0.5 * ((f(start + down) - f(start)) + (f(start + down + up) - f(start + up)))
        shares = torch.where(
            pull > 0, y_up / up, torch.where(pull < 0, y_down / down, 0.5 * (y_up / up + y_down / down))
        )
        expected += head.weight[0, j].detach() * weights * shares
    torch.testing.assert_close(found.multipliers.flatten(), expected)


class Composition(nn.Module):
    """Pooled base counts, which a shuffle keeps, beside pooled motifs; sums of large terms that cancel."""

    def __init__(self, pool: Callable[[Tensor], Tensor], seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.counts, self.motifs = nn.Conv1d(4, 16, 1, bias=False), nn.Conv1d(4, 16, 7)
        self.dense, self.head = nn.Linear(32, 16), nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1))
        self.pool = pool
        with torch.no_grad():
            self.counts.weight -= self.counts.weight.mean(1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [self.pool(self.counts(x)), self.pool(torch.relu(self.motifs(x)))]
        return self.head(torch.relu(self.dense(torch.cat(pooled, 1) * 5)))


def pooled_in_place(h: Tensor) -> Tensor:
    total = torch.zeros_like(h[:, :, 0])
    for part in h.split(12, -1):
        total += part.sum(-1)
    return total / h.shape[-1]


@pytest.mark.parametrize(
    "pool",
    [
        lambda h: h.mean(-1),
        lambda h: nn.functional.adaptive_avg_pool1d(h, 1).squeeze(-1),
        lambda h: h @ torch.full((h.shape[-1],), 1 / h.shape[-1], dtype=h.dtype),
        pooled_in_place,
    ],
    ids=["mean", "average pooling", "product", "in place"],
)
def test_rounding_decides_no_sign(pool: Callable[[Tensor], Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(60, generator=generator) % 4 for _ in range(4)])
    x = nn.functional.one_hot(order, 4).transpose(1, 2)
    method = DeepLiftShap(Shuffle(n=4), rule="reveal_cancel")
    for seed in range(2):
        model = Composition(pool, seed)
        truth = attribute(model, x, method, precision="float64").hypothetical
        for batch in (4, 16):
            found = attribute(model, x, method, batch_size=batch).hypothetical
            assert (found - truth).abs().max() <= 1e-4 * truth.abs().max()
