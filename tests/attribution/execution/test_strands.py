"""Averaging over strands: f̄(x) = ½ (f(x) + f(rc x)), for every method, with every output."""

from __future__ import annotations

from typing import Any

import attribution_models as models
import pytest
import torch
from cislex.attribution import (
    ISM,
    TISM,
    Attribution,
    DeepLiftShap,
    DinucleotideShuffle,
    ExpectedGradients,
    FixedReferences,
    IntegratedGradients,
    Saliency,
    Uniform,
    attribute,
    make_references,
)
from cislex.attribution.execution.strands import reverse_complement, turn_extra, turn_method
from cislex.targets import Output, Profile
from torch import Tensor, nn

L = 40
X = models.one_hot(3, L, unknown=True)
REFERENCES = make_references(DinucleotideShuffle(n=3), X)
FIXED = FixedReferences(REFERENCES)
SKEWED = Uniform((0.4, 0.1, 0.2, 0.3))
METHODS: dict[str, Any] = {
    "saliency": Saliency(SKEWED),
    "tism": TISM(SKEWED),
    "integrated_gradients": IntegratedGradients(steps=30, references=FIXED),
    "integrated_gradients_skewed": IntegratedGradients(steps=30, references=SKEWED),
    "expected_gradients": ExpectedGradients(FIXED),
    "ism": ISM(start=3, end=30),
    "deep_lift_shap": DeepLiftShap(FIXED),
    "reveal_cancel": DeepLiftShap(FIXED, rule="reveal_cancel"),
}


def other_strand(method: Any) -> Any:
    """The same method as the other strand sees it, written out by hand."""
    if isinstance(method, ISM):
        return ISM(start=L - 30, end=L - 3)
    if isinstance(method.references, FixedReferences):
        references: Any = FixedReferences(REFERENCES.flip(2, 3))
    else:
        references = Uniform((0.3, 0.2, 0.1, 0.4))
    return {
        "saliency": lambda: Saliency(references),
        "tism": lambda: TISM(references),
        "integrated_gradients": lambda: IntegratedGradients(steps=30, references=references),
        "expected_gradients": lambda: ExpectedGradients(references),
        "deep_lift_shap": lambda: DeepLiftShap(references, rule=getattr(method, "rule", "rescale")),
    }[method.name]()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("batch_size", [None, 2])
def test_is_the_average_of_two_calls(name: str, batch_size: int | None) -> None:
    model, method = models.trap("max_pool_overlapping"), METHODS[name]
    options: dict[str, Any] = {"precision": "float64", "batch_size": batch_size, "target": 1}
    found = attribute(model, X, method, reverse_complement=True, **options)
    here = attribute(model, X, method, **options)
    there = attribute(model, X.flip(1, 2), other_strand(method), **options)
    torch.testing.assert_close(found.multipliers, (here.multipliers + there.multipliers.flip(1, 2)) / 2)
    torch.testing.assert_close(found.baseline, (here.baseline + there.baseline.flip(1)) / 2)
    torch.testing.assert_close(found.prediction, (here.prediction + there.prediction) / 2)
    torch.testing.assert_close(found.global_, (here.global_ + there.global_.flip(1, 2)) / 2)
    torch.testing.assert_close(found.contributions, (here.contributions + there.contributions.flip(1, 2)) / 2)
    assert torch.equal(found.sequences, X)
    assert found.notes["strands"] == "average of both"
    assert not torch.allclose(found.multipliers, here.multipliers)


@pytest.mark.parametrize("name", METHODS)
def test_equivariance_whatever_the_model(name: str) -> None:
    """attribute(rc x) is attribute(x) turned, although the model knows nothing of strands."""
    model, method = models.trap("gate"), METHODS[name]
    options: dict[str, Any] = {"precision": "float64", "reverse_complement": True}
    here = attribute(model, X, method, **options)
    there = attribute(model, X.flip(1, 2), other_strand(method), **options)
    torch.testing.assert_close(there.hypothetical, here.hypothetical.flip(1, 2))
    torch.testing.assert_close(there.prediction, here.prediction)


class _Both(nn.Module):
    """f̄ itself, as a model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return (self.model(x) + self.model(x.flip(1, 2))) / 2


@pytest.mark.parametrize("name", [name for name in METHODS if name != "reveal_cancel"])
def test_is_the_attribution_of_the_average_itself(name: str) -> None:
    model = models.trap("layer_norm")
    found = attribute(model, X, METHODS[name], reverse_complement=True, precision="float64")
    expected = attribute(_Both(model), X, METHODS[name], precision="float64")
    torch.testing.assert_close(found.hypothetical, expected.hypothetical)
    torch.testing.assert_close(found.prediction, expected.prediction)


def _completeness(found: Attribution, model: nn.Module) -> float:
    """Largest |Σ (x − r)·m − (f̄(x) − f̄(r))| over examples, of the mean over references."""

    @torch.no_grad()
    def value(rows: Tensor) -> Tensor:
        rows = rows.double()
        return (model(rows)[:, 0] + model(rows.flip(1, 2))[:, 0]) / 2

    mean = torch.stack([value(REFERENCES[:, k]) for k in range(REFERENCES.shape[1])]).mean(0)
    expected = value(X) - mean
    return float((found.global_.sum((1, 2)) - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", ["integrated_gradients", "deep_lift_shap", "reveal_cancel"])
def test_is_complete_for_the_average(name: str) -> None:
    model = models.trap("functional_gelu")
    found = attribute(model, X, METHODS[name], reverse_complement=True, precision="float64")
    assert found.max_relative_delta is not None
    assert found.max_relative_delta.max() <= 1e-9
    assert _completeness(found, model.double()) <= 1e-9


@pytest.mark.parametrize("weights", ["midpoint", "example", "secant"])
def test_profiles_are_complete_too(weights: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 6, 7), nn.GELU(), nn.Conv1d(6, 2, 3))
    found = attribute(
        model,
        X,
        METHODS["deep_lift_shap"],
        target=Profile(weights),
        reverse_complement=True,
        precision="float64",
    )
    assert found.delta is not None
    assert found.delta.abs().max() <= 1e-9


def test_control_tracks_are_turned_and_other_inputs_are_not() -> None:
    class Controlled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(4, 2, 1)

        def forward(self, x: Tensor, control: Tensor, depth: Tensor) -> Tensor:
            return (torch.tanh(self.conv(x) + control).sum((1, 2)) * depth[:, 0]).unsqueeze(1)

    torch.manual_seed(0)
    model = Controlled()
    control, depth = torch.randn(3, 2, L), torch.tensor([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    found = attribute(
        model, X, METHODS["deep_lift_shap"], extra_inputs=(control, depth), reverse_complement=True
    )
    with torch.no_grad():
        expected = 0.5 * (
            model(X.float(), control, depth) + model(X.float().flip(1, 2), control.flip(1, 2), depth)
        )
    torch.testing.assert_close(found.prediction, expected[:, 0])
    assert torch.equal(turn_extra(depth, L), depth)
    assert torch.equal(turn_extra(control[:, 0], L), control[:, 0].flip(1))


def test_a_window_is_counted_from_the_other_end() -> None:
    assert turn_method(ISM(3, 30), L) == ISM(L - 30, L - 3)
    assert turn_method(ISM(), L) == ISM(0, L)
    saliency = Saliency()
    assert turn_method(saliency, L) is saliency
    assert torch.equal(reverse_complement(reverse_complement(X)), X)


def test_rc_symmetric_models_need_no_averaging() -> None:
    model = _Both(models.trap("gate"))
    method = METHODS["deep_lift_shap"]
    plain = attribute(model, X, method, target=Output(0), precision="float64")
    both = attribute(model, X, method, target=Output(0), precision="float64", reverse_complement=True)
    torch.testing.assert_close(plain.hypothetical, both.hypothetical)
