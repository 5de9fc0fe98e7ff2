"""What holds for every model and every input: random small networks, random sequences, random batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attribution_models as models
import pytest
import torch
import torch.nn.functional as functional
from cislex.attribution import (
    ISM,
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    ExpectedGradients,
    FixedReferences,
    IntegratedGradients,
    Saliency,
    Shuffle,
    Uniform,
    attribute,
    attribute_targets,
    make_references,
)
from cislex.targets import Difference, Output, Sum
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

L, WIDTH = 24, 5
SEEDS = st.integers(0, 2**31 - 1)
few = settings(max_examples=8, deadline=None, derandomize=True)
some = settings(max_examples=20, deadline=None, derandomize=True)


def _gate(h: Tensor) -> Tensor:
    return torch.sigmoid(h) * torch.tanh(h.roll(1, 1))


def _attention(h: Tensor) -> Tensor:
    tokens = h.transpose(1, 2)
    return (torch.softmax(tokens @ tokens.transpose(1, 2) / 2, -1) @ tokens).transpose(1, 2)


#: What a random network may do between its convolutions; every one keeps (B, WIDTH, positions).
STEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "leaky": lambda h: functional.leaky_relu(h, 0.1),
    "elu": functional.elu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "softplus": functional.softplus,
    "exp": lambda h: torch.exp(0.3 * h),
    "abs": torch.abs,
    "square": lambda h: h * h * 0.3,
    "gate": _gate,
    "residual": lambda h: h + functional.relu(h - 0.2),
    "max_pool": lambda h: functional.max_pool1d(h, 3, 2, 1),
    "average_pool": lambda h: functional.avg_pool1d(h, 3, 1, 1),
    "layer_norm": lambda h: functional.layer_norm(h, h.shape[1:]),
    "softmax": lambda h: torch.softmax(h, 1) * 2,
    "attention": _attention,
    "divide": lambda h: h / (1 + h.abs().mean(1, keepdim=True)),
    "maximum": lambda h: torch.maximum(h, h.flip(1)),
    "clamp": lambda h: h.clamp(-0.5, 0.7),
}


class Network(nn.Module):
    """Convolutions with a list of steps between them, and a dense head of two outputs."""

    def __init__(self, steps: list[str], seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.steps = steps
        self.stem = nn.Conv1d(4, WIDTH, 5, padding=2)
        self.layers = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3, padding=1) for _ in steps)
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x) * 1.5
        for name, layer in zip(self.steps, self.layers, strict=True):
            h = layer(STEPS[name](h)) * 1.5
        weights = torch.linspace(0.5, 1.5, h.shape[-1], dtype=h.dtype)
        return self.head((torch.tanh(h) * weights).mean(-1))


networks = st.builds(Network, st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4), SEEDS)


@st.composite
def sequences(draw: st.DrawFn, n: int = 3) -> Tensor:
    """(n, 4, L) with some unknown bases."""
    x = models.one_hot(n, L, seed=draw(SEEDS))
    for _ in range(draw(st.integers(0, 3))):
        x[draw(st.integers(0, n - 1)), :, draw(st.integers(0, L - 1))] = 0
    return x


def values(model: nn.Module, rows: Tensor) -> Tensor:
    """The plain model in double precision, called on its own."""
    with torch.no_grad():
        return model.double()(rows.double())


@some
@given(model=networks, x=sequences(), seed=st.integers(0, 1000))
def test_deep_lift_is_complete_for_random_networks(model: Network, x: Tensor, seed: int) -> None:
    kind = DinucleotideShuffle(n=2, seed=seed)
    result = attribute(model, x, DeepLiftShap(kind), target=1, precision="float64")
    refs = make_references(kind, x)
    expected = values(model, x)[:, 1] - torch.stack([values(model, refs[:, k])[:, 1] for k in range(2)]).mean(
        0
    )
    scale = values(model, x)[:, 1].abs().max().clamp_min(1e-3)
    assert ((result.contributions.sum((1, 2)) - expected).abs() <= 1e-7 * scale).all()
    assert ((result.global_.sum((1, 2)) - expected).abs() <= 1e-7 * scale).all()
    single = attribute(model.float(), x, DeepLiftShap(kind), target=1)
    assert ((single.contributions.sum((1, 2)) - expected).abs() <= 1e-4 * scale).all()


@few
@given(
    steps=st.lists(st.sampled_from(["relu", "elu", "tanh", "max_pool", "residual"]), min_size=1, max_size=3),
    seed=SEEDS,
    x=sequences(),
    rule=st.sampled_from(["reveal_cancel", "genomics_default"]),
)
def test_reveal_cancel_is_complete_for_random_networks(
    steps: list[str], seed: int, x: Tensor, rule: str
) -> None:
    model = Network(steps, seed)
    kind = DinucleotideShuffle(n=2)
    result = attribute(model, x, DeepLiftShap(kind, rule=rule), precision="float64")
    refs = make_references(kind, x)
    expected = values(model, x)[:, 0] - torch.stack([values(model, refs[:, k])[:, 0] for k in range(2)]).mean(
        0
    )
    scale = values(model, x)[:, 0].abs().max().clamp_min(1e-3)
    assert ((result.contributions.sum((1, 2)) - expected).abs() <= 1e-7 * scale).all()


SMOOTH = ["elu", "gelu", "silu", "tanh", "softplus", "exp", "square", "gate", "layer_norm", "softmax"]


@few
@given(steps=st.lists(st.sampled_from(SMOOTH), min_size=1, max_size=2), seed=SEEDS, x=sequences())
def test_integrated_gradients_are_complete_for_smooth_networks(
    steps: list[str], seed: int, x: Tensor
) -> None:
    model = Network(steps, seed)
    method = IntegratedGradients(
        steps=16, rule="adaptive", tolerance=1e-6, references=DinucleotideShuffle(n=2)
    )
    result = attribute(model, x, method, precision="float64")
    if "integrated_gradients.not_converged" in result.notes:  # it says so, and then this is not promised
        return
    refs = make_references(method.references, x)
    mean = torch.stack([values(model, refs[:, k])[:, 0] for k in range(2)]).mean(0)
    difference = values(model, x)[:, 0] - mean
    scale = values(model, x)[:, 0].abs().max().clamp_min(1e-3)
    assert ((result.contributions.sum((1, 2)) - difference).abs() <= 1e-4 * scale).all()


METHODS: dict[str, Callable[[], Any]] = {
    "saliency": lambda: Saliency(DinucleotideShuffle(n=3)),
    "tism": lambda: TISM(),
    "integrated_gradients": lambda: IntegratedGradients(steps=6, references=DinucleotideShuffle(n=3)),
    "expected_gradients": lambda: ExpectedGradients(DinucleotideShuffle(n=3)),
    "ism": lambda: ISM(start=5, end=15),
    "deep_lift_shap": lambda: DeepLiftShap(DinucleotideShuffle(n=3)),
    "reveal_cancel": lambda: DeepLiftShap(DinucleotideShuffle(n=3), rule="reveal_cancel"),
}


@pytest.mark.parametrize("name", METHODS)
@few
@given(
    steps=st.lists(st.sampled_from(["relu", "gelu", "max_pool", "gate"]), min_size=1, max_size=2),
    seed=SEEDS,
    x=sequences(n=5),
    batch_size=st.integers(1, 20),
    order=st.permutations(range(5)),
)
def test_batch_size_and_order_change_nothing(
    name: str, steps: list[str], seed: int, x: Tensor, batch_size: int, order: list[int]
) -> None:
    model, method = Network(steps, seed), METHODS[name]()
    seeds = torch.arange(5) * 1000
    whole = attribute(model, x, method, seeds=seeds, precision="float64")
    other = attribute(model, x[order], method, seeds=seeds[order], batch_size=batch_size, precision="float64")
    close = {"rtol": 1e-7, "atol": 1e-10}
    torch.testing.assert_close(other.hypothetical, whole.hypothetical[order], **close)
    torch.testing.assert_close(other.global_, whole.global_[order], **close)
    torch.testing.assert_close(other.prediction, whole.prediction[order], **close)
    if whole.delta is not None:
        assert other.delta is not None
        assert (other.delta - whole.delta[order]).abs().max() <= 1e-9


@pytest.mark.parametrize("name", METHODS)
@few
@given(seed=SEEDS, x=sequences(n=4))
def test_targets_together_are_targets_alone(name: str, seed: int, x: Tensor) -> None:
    model, method = Network(["gelu", "max_pool"], seed), METHODS[name]()
    targets = [Output(0), Output(1), Difference(Output(0), Output(1))]
    together = attribute_targets(model, x, method, targets, precision="float64")
    for target, result in zip(targets, together, strict=True):
        alone = attribute(model, x, method, target=target, precision="float64")
        torch.testing.assert_close(result.hypothetical, alone.hypothetical, rtol=1e-7, atol=1e-11)


@pytest.mark.parametrize("name", ["integrated_gradients", "deep_lift_shap", "reveal_cancel"])
@few
@given(model=networks, x=sequences(), start=st.integers(0, 10), length=st.integers(2, 10))
def test_where_reference_equals_example_the_contribution_is_zero(
    name: str, model: Network, x: Tensor, start: int, length: int
) -> None:
    """A partial shuffle leaves the rest as it is, which is then not responsible for any difference."""
    kind = DinucleotideShuffle(n=2, start=start, end=start + length)
    if name == "reveal_cancel":
        model = Network(["relu", "max_pool"], 1)
    methods = {
        "integrated_gradients": IntegratedGradients(steps=4, references=kind),
        "deep_lift_shap": DeepLiftShap(kind),
        "reveal_cancel": DeepLiftShap(kind, rule="reveal_cancel"),
    }
    result = attribute(model, x, methods[name])
    outside = torch.ones(L, dtype=torch.bool)
    outside[start : start + length] = False
    # Each pair's (x − r)·m is exactly zero there, and so is its mean.
    assert (result.global_[:, :, outside].abs() <= 1e-7).all()
    assert (result.contributions[:, :, outside].abs() <= 1e-6).all()


@pytest.mark.parametrize("name", METHODS)
@few
@given(seed=SEEDS, x=sequences(n=2))
def test_a_linear_model_gives_its_weights(name: str, seed: int, x: Tensor) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv1d(4, 3, 5, padding=2), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(36, 1))
    zero = torch.zeros(1, 4, L, dtype=torch.float64)
    weights = torch.stack(
        [
            values(model, zero.index_put((torch.tensor(0), *index), torch.tensor(1.0, dtype=torch.float64)))
            for index in torch.cartesian_prod(torch.arange(4), torch.arange(L)).unbind(0)
        ]
    )
    w = (weights.flatten() - values(model, zero).item()).reshape(4, L)
    result = attribute(model, x, METHODS[name](), precision="float64")
    if name == "ism":  # f(x with a at i) − f(x) is a difference of two weights
        expected = (w - (x * w).sum(1, keepdim=True)) * x.sum(1, keepdim=True)
        torch.testing.assert_close(result.multipliers[:, :, 5:15], expected[:, :, 5:15], rtol=1e-7, atol=1e-9)
        assert (result.multipliers[:, :, 15:] == 0).all()
        return
    torch.testing.assert_close(result.multipliers, w.expand(2, -1, -1), rtol=1e-7, atol=1e-9)
    taylor = (w - (x * w).sum(1, keepdim=True)) * x.sum(1, keepdim=True)
    torch.testing.assert_close(result.tism, taylor, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(result.corrected, (w - w.mean(0)).expand(2, -1, -1), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", METHODS)
@few
@given(seed=SEEDS, x=sequences(n=2), a=st.floats(-3, 3, width=32), b=st.floats(-3, 3, width=32))
def test_weighted_sums_of_targets(name: str, seed: int, x: Tensor, a: float, b: float) -> None:
    """Every method is linear in the function; RevealCancel is so for each head of the same network."""
    model, method = Network(["relu"], seed), METHODS[name]()
    target = Sum((Output(0), Output(1)), (a, b))
    first, second, both = attribute_targets(model, x, method, [0, 1, target], precision="float64")
    for get in ("multipliers", "baseline", "prediction", "global_"):
        expected = a * getattr(first, get) + b * getattr(second, get)
        torch.testing.assert_close(getattr(both, get), expected, rtol=1e-7, atol=1e-9)


class Additive(nn.Module):
    """Every position on its own: f(x) = Σ_i g_i(x_i)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv1d(4, 6, 1)
        self.position = nn.Parameter(torch.randn(6, L))

    def forward(self, x: Tensor) -> Tensor:
        return (torch.tanh(self.conv(x)) * self.position).sum((1, 2))[:, None]


@few
@given(seed=SEEDS, x=sequences(n=2))
def test_ism_of_an_additive_model_is_tism_where_it_is_linear(seed: int, x: Tensor) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv1d(4, 6, 1), nn.Flatten(), nn.Linear(6 * L, 1))
    exact = attribute(model, x, ISM(), precision="float64")
    taylor = attribute(model, x, TISM(), precision="float64")
    torch.testing.assert_close(exact.multipliers, taylor.tism, rtol=1e-7, atol=1e-10)
    torch.testing.assert_close(exact.tism, taylor.tism, rtol=1e-7, atol=1e-10)


@few
@given(seed=SEEDS, x=sequences(n=2))
def test_ism_of_an_additive_model_is_deep_lift_at_one_base(seed: int, x: Tensor) -> None:
    """At the reference with base b everywhere, position i contributes f(x) − f(x with b at i)."""
    model = Additive(seed)
    exact = attribute(model, x, ISM(), precision="float64").multipliers
    for base in range(4):
        reference = torch.zeros(1, 4, L, dtype=torch.uint8)
        reference[:, base] = 1
        result = attribute(model, x, DeepLiftShap(FixedReferences(reference)), precision="float64")
        torch.testing.assert_close(result.contributions.sum(1), -exact[:, base], rtol=1e-7, atol=1e-9)


@few
@given(seed=SEEDS, x=sequences(n=2))
def test_centred_ism_is_hypothetical_at_the_uniform_reference_to_first_order(seed: int, x: Tensor) -> None:
    """With the nonlinearity made small by ε, their difference shrinks as ε², their size as ε."""

    class Nearly(nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            torch.manual_seed(seed)
            self.conv = nn.Conv1d(4, 6, 5, padding=2)
            self.head = nn.Linear(6, 1)
            self.scale = scale

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.exp(self.scale * self.conv(x)).mean(-1))

    errors, known = [], x.sum(1, keepdim=True)
    for scale in (1e-2, 1e-3):
        exact = attribute(Nearly(scale), x, ISM(), precision="float64")
        taylor = attribute(Nearly(scale), x, Saliency(), precision="float64")
        error = ((exact.hypothetical - taylor.hypothetical) * known).abs().max()
        assert error <= 5 * scale * taylor.hypothetical.abs().max()
        errors.append(float(error))
    assert errors[1] <= 0.02 * errors[0]


@few
@given(model=networks, x=sequences(n=2), references=st.integers(1, 6), batch_size=st.integers(1, 7))
def test_the_number_of_references_at_once_changes_nothing(
    model: Network, x: Tensor, references: int, batch_size: int
) -> None:
    method = DeepLiftShap(Shuffle(n=references))
    whole = attribute(model, x, method, precision="float64", batch_size=64)
    parts = attribute(model, x, method, precision="float64", batch_size=batch_size)
    torch.testing.assert_close(parts.hypothetical, whole.hypothetical, rtol=1e-6, atol=1e-9)
    assert parts.delta is not None
    assert parts.delta.shape == (2, references)


@few
@given(model=networks, x=sequences(n=2))
def test_averages_over_references_are_averages_of_calls(model: Network, x: Tensor) -> None:
    refs = make_references(Shuffle(n=3), x)
    whole = attribute(model, x, DeepLiftShap(FixedReferences(refs)), precision="float64")
    alone = [
        attribute(model, x, DeepLiftShap(FixedReferences(refs[:, k : k + 1])), precision="float64")
        for k in range(3)
    ]
    mean = torch.stack([one.hypothetical for one in alone]).mean(0)
    torch.testing.assert_close(whole.hypothetical, mean, rtol=1e-6, atol=1e-9)


@few
@given(seed=SEEDS, x=sequences(n=2), frequencies=st.tuples(*[st.floats(0, 1)] * 4))
def test_gradients_and_ism_only_read_their_baseline_from_references(
    seed: int, x: Tensor, frequencies: tuple[float, float, float, float]
) -> None:
    model = Network(["gelu"], seed)
    for kind in (Saliency, TISM, ISM):
        here = attribute(model, x, kind(), precision="float64")
        there = attribute(model, x, kind(references=Uniform(frequencies)), precision="float64")
        assert torch.equal(here.multipliers, there.multipliers)
        known = x.sum(1)
        weights = torch.tensor(frequencies, dtype=torch.float32).double()
        expected = (weights[:, None] * there.multipliers).sum(1) * known
        torch.testing.assert_close(there.baseline, expected)
