"""Integrated gradients equal captum's and deepG's convention, and say where they did not converge."""

from __future__ import annotations

import captum.attr
import numpy as np
import pytest
import torch
from cislex.attribution.gradients.integrated import batch_multipliers, quadrature
from cislex.attribution.methods import ExpectedGradients, IntegratedGradients
from cislex.attribution.references import (
    DinucleotideShuffle,
    References,
    Shuffle,
    Uniform,
    Zeros,
    make_references,
)
from cislex.attribution.result import BatchResult, relative_delta
from cislex.targets import Difference, Output, Profile, Target
from torch import Tensor, nn


def one_hot(n: int, length: int, seed: int = 0) -> Tensor:
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(seed))
    return nn.functional.one_hot(codes, 4).transpose(1, 2).double()


def network(length: int, activation: type[nn.Module] = nn.GELU) -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Conv1d(4, 8, 7, padding=3), activation(), nn.Conv1d(8, 8, 3), activation()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * (length - 2), 3), nn.Sigmoid())
    return model.double().eval().requires_grad_(False)


def profile_network(sharp: float = 8.0) -> nn.Module:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv1d(4, 8, 7), nn.GELU(), nn.Conv1d(8, 1, 3))
    model[2].weight.data *= sharp
    return model.double().requires_grad_(False)


def made(kind: References, x: Tensor) -> Tensor:
    return make_references(kind, x).to(x.dtype)


def largest(result: BatchResult) -> float:
    assert result.delta is not None
    assert result.reference_prediction is not None
    return float(relative_delta(result.delta, result.prediction, result.reference_prediction).max())


@pytest.mark.parametrize("rows", [0, 1, 7, 33])
@pytest.mark.parametrize(
    ("rule", "theirs", "steps"),
    [("gauss_legendre", "gausslegendre", 20), ("trapezoid", "riemann_trapezoid", 21)],
)
@pytest.mark.parametrize("kind", [Zeros(), Uniform(), Shuffle(n=3)])
def test_equals_captum(rule: str, theirs: str, steps: int, kind: References, rows: int) -> None:
    x, model = one_hot(3, 30), network(30)
    refs = made(kind, x)
    method = IntegratedGradients(steps=20, rule=rule)
    result = batch_multipliers(model, x, refs, [Output(0), Output(2)], method, rows=rows)
    for t, column in enumerate((0, 2)):
        oracle = captum.attr.IntegratedGradients(model, multiply_by_inputs=False)
        parts = [
            oracle.attribute(x, refs[:, k], target=column, n_steps=steps, method=theirs)
            for k in range(refs.shape[1])
        ]
        # Captum's n trapezoid weights sum to (n − 1) / n (see below); its points are float32.
        expected = torch.stack(parts, 1) * (steps / (steps - 1) if rule == "trapezoid" else 1.0)
        close = {"rtol": 1e-6, "atol": 1e-8}
        torch.testing.assert_close(result.multipliers[t], expected.mean(1), **close)
        torch.testing.assert_close(result.baseline[t], (refs * expected).sum(2).mean(1), **close)
        assert result.products is not None
        torch.testing.assert_close(result.products[t], (refs * expected).mean(1), **close)
        assert result.reference_prediction is not None
        torch.testing.assert_close(result.reference_prediction[t, :, 0], model(refs[:, 0])[:, column])


@pytest.mark.parametrize("baseline", ["zeros", "shuffle", "uniform"])
def test_equals_the_convention_of_deepg(baseline: str) -> None:
    """51 points α = 0, 0.02, … 1; neighbours averaged, then their mean, times (x − baseline)."""
    x, model = one_hot(1, 30), network(30)
    kinds: dict[str, References] = {"zeros": Zeros(), "shuffle": Shuffle(n=1), "uniform": Uniform()}
    refs = made(kinds[baseline], x)
    gradients = []
    for alpha in np.linspace(0, 1, 51):
        point = (refs[:, 0] + alpha * (x - refs[:, 0])).requires_grad_()
        gradients.append(torch.autograd.grad(model(point)[:, 0].sum(), point)[0])
    stacked = torch.stack(gradients)
    expected = (x - refs[:, 0]) * ((stacked[:-1] + stacked[1:]) / 2).mean(0)
    method = IntegratedGradients(steps=50, rule="trapezoid")
    result = batch_multipliers(model, x, refs, [Output(0)], method)
    torch.testing.assert_close((x - refs[:, 0]) * result.multipliers[0], expected)


@pytest.mark.parametrize("steps", [1, 2, 50])
def test_weights_of_a_quadrature_sum_to_one(steps: int) -> None:
    for rule in ("trapezoid", "gauss_legendre"):
        points, weights = quadrature(rule, steps)
        assert float(weights.sum()) == pytest.approx(1)
        assert float((weights * points).sum()) == pytest.approx(0.5)


def test_a_linear_model_gives_its_weights_at_any_steps() -> None:
    x = one_hot(2, 12)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 1)).double().requires_grad_(False)
    for method in (IntegratedGradients(steps=1), IntegratedGradients(steps=3, rule="trapezoid")):
        result = batch_multipliers(model, x, made(Zeros(), x), [Output()], method)
        torch.testing.assert_close(result.multipliers[0, 0], model[1].weight.view(4, 12))
        assert largest(result) < 1e-12


def test_the_trapezoid_of_captum_falls_short_where_ours_is_complete() -> None:
    x = one_hot(2, 12)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 1)).double().requires_grad_(False)
    oracle = captum.attr.IntegratedGradients(model)
    theirs = oracle.attribute(x, torch.zeros_like(x), target=0, n_steps=51, method="riemann_trapezoid")
    difference = model(x)[:, 0] - model(torch.zeros_like(x))[:, 0]
    torch.testing.assert_close(theirs.sum((1, 2)), difference * 50 / 51)
    method = IntegratedGradients(steps=50, rule="trapezoid")
    ours = batch_multipliers(model, x, made(Zeros(), x), [Output()], method)
    torch.testing.assert_close((x * ours.multipliers[0]).sum((1, 2)), difference)


def test_completeness_of_a_smooth_model() -> None:
    x, model = one_hot(3, 30), network(30)
    refs = made(DinucleotideShuffle(n=2), x)
    result = batch_multipliers(model, x, refs, [Output(0)], IntegratedGradients(steps=50))
    total = (x * result.multipliers[0]).sum((1, 2)) - result.baseline[0].sum(1)
    assert largest(result) < 1e-9
    # Independently of the module's own delta, for the mean over references.
    expected = model(x)[:, 0] - torch.stack([model(refs[:, k])[:, 0] for k in range(2)]).mean(0)
    torch.testing.assert_close(total, expected)


def test_adaptive_doubles_until_the_tolerance() -> None:
    x, model = one_hot(3, 30), network(30, nn.ReLU)
    refs = made(DinucleotideShuffle(n=3), x)
    coarse = batch_multipliers(model, x, refs, [Output(0)], IntegratedGradients(steps=4))
    method = IntegratedGradients(steps=4, rule="adaptive", tolerance=2e-2)
    fine = batch_multipliers(model, x, refs, [Output(0)], method, rows=50)
    assert largest(coarse) > 2e-2
    assert "integrated_gradients.not_converged" not in fine.notes
    assert int(fine.notes["integrated_gradients.steps"]) > 4
    assert largest(fine) <= 2e-2


def test_adaptive_says_what_did_not_converge() -> None:
    x = one_hot(2, 12)

    class Steep(nn.Module):
        def forward(self, s: Tensor) -> Tensor:
            return torch.sigmoid(1e6 * (s[:, 0].sum(1, keepdim=True) - 0.3137))

    method = IntegratedGradients(steps=1, rule="adaptive", tolerance=1e-6)
    result = batch_multipliers(Steep(), x, made(Zeros(), x), [Output(0)], method)
    assert result.notes["integrated_gradients.not_converged"] == "2"
    assert result.notes["integrated_gradients.pairs"] == "2"
    assert result.notes["integrated_gradients.steps"] == "64"
    assert float(result.notes["integrated_gradients.largest_delta"]) > 1e-6


@pytest.mark.parametrize("weights", ["midpoint", "example", "secant"])
@pytest.mark.parametrize("steps", [1, 3])
def test_adaptive_converges_by_the_scale_of_the_result(weights: str, steps: int) -> None:
    """On a sharp profile f(x) − f(r) of the pair's constant weights is another number than of their own."""
    x, model = one_hot(8, 30), profile_network(sharp=40.0)
    refs = made(DinucleotideShuffle(n=3), x)
    for tolerance in (3e-1, 1e-2, 1e-4):
        method = IntegratedGradients(steps=steps, rule="adaptive", tolerance=tolerance)
        result = batch_multipliers(model, x, refs, [Profile(weights)], method)
        assert result.delta is not None
        assert result.reference_prediction is not None
        pairs = [
            relative_delta(
                result.delta[..., k : k + 1], result.prediction, result.reference_prediction[..., k : k + 1]
            )
            for k in range(3)
        ]
        over = int((torch.stack(pairs) > tolerance).sum())
        assert over == int(result.notes.get("integrated_gradients.not_converged", 0))
        if not over:
            assert largest(result) <= tolerance
        elif tolerance == 1e-4:
            assert result.notes["integrated_gradients.largest_delta"] == f"{largest(result):.1e}"


@pytest.mark.parametrize("weights", ["midpoint", "example", "secant"])
def test_profiles_are_complete_for_their_pair(weights: str) -> None:
    x, model = one_hot(3, 30), profile_network()
    refs = made(DinucleotideShuffle(n=2), x)
    target: Target = Difference(Profile(weights), Output((0, 3)))
    results = [
        batch_multipliers(model, x, refs, [target], IntegratedGradients(steps=40), rows=rows)
        for rows in (0, 13)
    ]
    torch.testing.assert_close(results[0].multipliers, results[1].multipliers)
    assert results[0].delta is not None
    assert results[0].delta.abs().max() < 1e-8


def test_expected_gradients_approach_integrated_gradients() -> None:
    x, model = one_hot(2, 30), network(30)
    refs = made(Shuffle(n=400), x)
    expected = batch_multipliers(model, x, refs, [Output(0)], IntegratedGradients(steps=8), rows=400)
    found = batch_multipliers(model, x, refs, [Output(0)], ExpectedGradients(), rows=100)
    scale = expected.multipliers.abs().max()
    assert (found.multipliers - expected.multipliers).abs().max() < 0.05 * scale
    assert found.delta is None
    torch.testing.assert_close(found.prediction, expected.prediction)


def test_expected_gradients_do_not_depend_on_the_batch() -> None:
    x, model = one_hot(4, 30), network(30)
    refs = made(Shuffle(n=5), x)
    whole = batch_multipliers(model, x, refs, [Output(0)], ExpectedGradients(seed=3), rows=3).multipliers
    one = batch_multipliers(model, x[2:3], refs[2:3], [Output(0)], ExpectedGradients(seed=3)).multipliers
    torch.testing.assert_close(whole[:, 2:3], one)
    other = batch_multipliers(model, x, refs, [Output(0)], ExpectedGradients(seed=4)).multipliers
    assert not torch.allclose(whole, other)
