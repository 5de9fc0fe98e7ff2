"""DeepLIFT/SHAP equals its definition, and the peer where the peer is right."""

from __future__ import annotations

import math
from collections.abc import Callable

import attribution_models as models
import pytest
import torch
from cislex.attribution import (
    Attribution,
    DeepLiftShap,
    DinucleotideShuffle,
    FixedReferences,
    Zeros,
    attribute,
    attribute_targets,
    make_references,
)
from cislex.targets import LogCounts, Profile
from tangermeme.deep_lift_shap import deep_lift_shap
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


def convolutional(activation: Callable[[], nn.Module], *, length: int = 120) -> nn.Module:
    """A Basset-like network in float64: batch norm, plain and overlapping max-pooling, dense layers."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(4, 16, 9, padding=4),
        nn.BatchNorm1d(16),
        activation(),
        nn.MaxPool1d(3),
        nn.Conv1d(16, 24, 5, padding=2),
        activation(),
        nn.MaxPool1d(4, 2, 1),
        nn.Flatten(),
        nn.Linear(24 * (((length // 3) - 2) // 2 + 1), 32),
        activation(),
        nn.Linear(32, 2),
    )
    model[1].running_var.uniform_(0.5, 2)
    return model.double().eval()


X = models.one_hot(4, 120)
REFERENCES = make_references(DinucleotideShuffle(n=5), X)


def peer(model: nn.Module, refs: Tensor, **options: object) -> Tensor:
    return deep_lift_shap(
        model, X.double(), references=refs.double(), device="cpu", warning_threshold=1.0, **options
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("target", [0, 1])
def test_equals_tangermeme_in_float64(name: str, target: int) -> None:
    model = convolutional(ACTIVATIONS[name])
    hypothetical = peer(model, REFERENCES, target=target, hypothetical=True)
    raw = peer(model, REFERENCES, target=target, raw_outputs=True)
    ours = attribute(
        model, X, DeepLiftShap(FixedReferences(REFERENCES)), target=target, precision="float64", batch_size=7
    )
    assert (ours.hypothetical - hypothetical).abs().max() <= 1e-7 * hypothetical.abs().max()
    assert (ours.multipliers - raw.mean(1)).abs().max() <= 1e-7 * raw.mean(1).abs().max()


def test_draws_the_references_of_tangermeme() -> None:
    model = convolutional(nn.ReLU)
    theirs = deep_lift_shap(
        model,
        X.double(),
        n_shuffles=4,
        random_state=3,
        device="cpu",
        hypothetical=True,
        warning_threshold=1.0,
    )
    ours = attribute(model, X, DeepLiftShap(DinucleotideShuffle(n=4, seed=3)), precision="float64")
    assert (ours.hypothetical - theirs).abs().max() <= 1e-7 * theirs.abs().max()


@pytest.mark.parametrize("name", ["relu", "elu", "silu", "gelu", "softplus"])
def test_float32_is_within_1e_4_of_the_float64_truth(name: str) -> None:
    model = convolutional(ACTIVATIONS[name])
    method = DeepLiftShap(FixedReferences(REFERENCES))
    truth = attribute(model, X, method, precision="float64").hypothetical
    single = attribute(model.float(), X, method).hypothetical
    assert (single - truth).abs().max() <= 1e-4 * truth.abs().max()


SMALL_BESIDE_LARGE: dict[str, Callable[[Tensor], Tensor]] = {
    "log": lambda h: torch.log(torch.sigmoid(20 * h) + 1e-7),
    "log10": lambda h: torch.log10(torch.sigmoid(20 * h) + 1e-7),
    "log1p": lambda h: torch.log1p(torch.sigmoid(20 * h) - 0.999),
    "logit": lambda h: torch.logit(0.5 * torch.sigmoid(20 * h) + 1e-7),
    "logit with eps": lambda h: torch.logit(0.5 * torch.sigmoid(20 * h), eps=1e-3),
}


@pytest.mark.parametrize("name", SMALL_BESIDE_LARGE)
def test_logarithms_of_small_beside_large_values_are_exact_in_float32(name: str) -> None:
    model = models.OneOperation(lambda h: SMALL_BESIDE_LARGE[name](h[..., :60]))
    method = DeepLiftShap(FixedReferences(REFERENCES))
    single, truth = (attribute(model, X, method, precision=p) for p in ("float32", "float64"))
    assert truth.max_relative_delta is not None
    assert truth.max_relative_delta.max() <= 1e-9
    scale = truth.hypothetical.abs().amax((1, 2), keepdim=True)
    assert ((single.hypothetical - truth.hypothetical).abs() / scale).max() <= 1e-5


def test_float32_is_closer_to_the_truth_than_the_peer_on_elu_and_sigmoid() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(4, 16, 9, padding=4),
        nn.ELU(),
        nn.Conv1d(16, 8, 9),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(896, 1),
    ).eval()
    method = DeepLiftShap(FixedReferences(REFERENCES))
    truth = attribute(model, X, method, precision="float64").hypothetical
    ours = attribute(model, X, method).hypothetical
    theirs = deep_lift_shap(
        model,
        X.float(),
        references=REFERENCES.float(),
        device="cpu",
        hypothetical=True,
        warning_threshold=1.0,
    )
    scale = truth.abs().max()
    assert (ours - truth).abs().max() <= 1e-4 * scale
    assert (ours - truth).abs().max() < (theirs - truth).abs().max()


def test_a_linear_model_has_its_weights_as_multipliers() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(480, 1)).eval()
    result = attribute(model, X, DeepLiftShap(Zeros()))
    expected = model[1].weight.detach().reshape(4, 120)
    torch.testing.assert_close(result.multipliers, expected.expand(4, 4, 120))
    torch.testing.assert_close(result.contributions, expected * X)


def test_saturation_has_half_each_where_the_gradient_is_zero() -> None:
    class Saturated(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.clamp(x[:, 0].sum(1), max=1.0)

    x = torch.zeros(1, 4, 2, dtype=torch.uint8)
    x[:, 0] = 1
    result = attribute(Saturated(), x, DeepLiftShap(Zeros()))
    torch.testing.assert_close(result.contributions[0, 0], torch.tensor([0.5, 0.5]))


def test_nothing_is_contributed_where_reference_and_example_agree() -> None:
    model = convolutional(nn.ReLU)
    method = DeepLiftShap(DinucleotideShuffle(n=4, start=40, end=80))
    result = attribute(model, X, method, precision="float64")
    outside = torch.ones(120, dtype=torch.bool)
    outside[40:80] = False
    assert (result.global_[:, :, outside] == 0).all()
    assert (result.contributions.sum(1)[:, outside] == 0).all()


@pytest.mark.parametrize("batch_size", [1, 3, 5, 8, 100])
def test_batch_size_does_not_matter(batch_size: int) -> None:
    model = convolutional(nn.GELU).float()
    method = DeepLiftShap(FixedReferences(REFERENCES))
    whole = attribute(model, X, method, batch_size=20)
    part = attribute(model, X, method, batch_size=batch_size)
    scale = float(whole.hypothetical.abs().max())
    assert (part.hypothetical - whole.hypothetical).abs().max() <= 1e-5 * scale
    torch.testing.assert_close(part.delta, whole.delta, atol=1e-5, rtol=0)


def test_order_does_not_matter() -> None:
    model = convolutional(nn.ReLU)
    seeds = [5, 9, 2, 7]
    method = DeepLiftShap(DinucleotideShuffle(n=3))
    forward = attribute(model, X, method, seeds=seeds, precision="float64").hypothetical
    backward = attribute(model, X.flip(0), method, seeds=seeds[::-1], precision="float64").hypothetical
    torch.testing.assert_close(forward, backward.flip(0))


def test_targets_share_passes_and_equal_single_calls() -> None:
    model = convolutional(nn.ReLU)
    method = DeepLiftShap(FixedReferences(REFERENCES))
    both = attribute_targets(model, X, method, [0, 1], precision="float64")
    for t, shared in enumerate(both):
        alone = attribute(model, X, method, target=t, precision="float64")
        torch.testing.assert_close(shared.hypothetical, alone.hypothetical)
        torch.testing.assert_close(shared.delta, alone.delta)


def test_scaling_and_sum_of_targets() -> None:
    model = convolutional(nn.ReLU)
    method = DeepLiftShap(FixedReferences(REFERENCES))
    a, b, mixed = attribute_targets(
        model, X, method, [0, 1, lambda y: 2 * y[:, 0] - 3 * y[:, 1]], precision="float64"
    )
    torch.testing.assert_close(mixed.hypothetical, 2 * a.hypothetical - 3 * b.hypothetical)


def test_reverse_complement_equivariance() -> None:
    torch.manual_seed(0)

    class Symmetric(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = convolutional(nn.ReLU)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) + self.net(x.flip(1, 2))

    model = Symmetric()
    forward = attribute(model, X, DeepLiftShap(FixedReferences(REFERENCES)), precision="float64")
    turned = attribute(
        model, X.flip(1, 2), DeepLiftShap(FixedReferences(REFERENCES.flip(2, 3))), precision="float64"
    )
    torch.testing.assert_close(turned.hypothetical.flip(1, 2), forward.hypothetical)


class TwoHeads(nn.Module):
    """Profile logits and log counts, as BPNet."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 8, 9, padding=4)
        self.profile = nn.Conv1d(8, 1, 9)
        self.counts = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.conv(x))
        return self.profile(h) * 3, self.counts(h.mean(-1))


@pytest.mark.parametrize("weights", ["midpoint", "example", "secant"])
def test_profile_targets_are_complete(weights: str) -> None:
    result = attribute(
        TwoHeads(), X, DeepLiftShap(FixedReferences(REFERENCES)), target=Profile(weights), precision="float64"
    )
    assert _largest_delta(result) <= 1e-9


def test_profile_midpoint_equals_its_definition() -> None:
    model = TwoHeads().double().eval()
    result = attribute(
        model, X[:1], DeepLiftShap(FixedReferences(REFERENCES[0, :1])), target=Profile(), precision="float64"
    )
    with torch.no_grad():
        z_x, z_r = (model(s.double())[0].flatten(1) for s in (X[:1], REFERENCES[0, :1]))
    weights = (torch.softmax(z_x, 1) + torch.softmax(z_r, 1)) / 2
    expected = (weights * (z_x - z_x.mean(1, keepdim=True) - z_r + z_r.mean(1, keepdim=True))).sum()
    assert math.isclose(float(result.contributions.sum()), float(expected), rel_tol=1e-9)


def test_counts_and_profile_in_one_call() -> None:
    counts, profile = attribute_targets(
        TwoHeads(),
        X,
        DeepLiftShap(FixedReferences(REFERENCES)),
        [LogCounts(), Profile()],
        precision="float64",
    )
    assert _largest_delta(counts) <= 1e-9
    assert _largest_delta(profile) <= 1e-9


def _largest_delta(result: Attribution) -> float:
    found = result.max_relative_delta
    assert found is not None
    return float(found.max())
