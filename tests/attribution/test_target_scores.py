"""Scores of every target against its formula written out, on models with several outputs."""

from __future__ import annotations

from typing import Any

import attribution_models as models
import captum.attr
import pytest
import torch
from cislex.attribution import (
    ISM,
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    ExpectedGradients,
    FixedReferences,
    IntegratedGradients,
    Saliency,
    attribute,
    attribute_targets,
    make_references,
)
from cislex.attribution.deeplift.residuals import operation_residuals
from cislex.attribution.deeplift.survey import survey_operations
from cislex.targets import Difference, LogCounts, Output, PreActivation, Profile, Slice, Sum
from torch import Tensor, nn

L, R = 40, 2
X = models.one_hot(3, L)
REFERENCES = make_references(DinucleotideShuffle(n=R), X)
FIXED = FixedReferences(REFERENCES)


class TwoHeads(nn.Module):
    """A BPNet in little: profile logits (N, 2, L − 8) and log counts (N, 1), as a tuple or a dict."""

    def __init__(self, kind: str = "tuple") -> None:
        super().__init__()
        torch.manual_seed(5)
        self.stem = nn.Conv1d(4, 6, 7, padding=3)
        self.profile = nn.Conv1d(6, 2, 9)
        self.counts = nn.Linear(6, 1)
        self.kind = kind

    def forward(self, x: Tensor) -> Any:
        h = torch.nn.functional.gelu(self.stem(x) * 3)
        logits, counts = self.profile(h) * 4, self.counts(h.mean(2))
        return (logits, counts) if self.kind == "tuple" else {"profile": logits, "counts": counts}


def centred(logits: Tensor) -> Tensor:
    flat = logits.flatten(1)
    return flat - flat.mean(1, keepdim=True)


def softmax(logits: Tensor) -> Tensor:
    return torch.softmax(logits.flatten(1), 1)


#: Each target beside the number it means, as a function of the model's two outputs.
FORMULAS: dict[str, tuple[Any, Any]] = {
    "output": (Output((1, 7), head=0), lambda p, c: p[:, 1, 7]),
    "slice": (Slice(4, 20, index=1, head=0), lambda p, c: p[:, 1, 4:20].sum(1)),
    "slice, mean over tracks": (
        Slice(4, 20, head=0, reduction="mean"),
        lambda p, c: p[:, :, 4:20].mean((1, 2)),
    ),
    "slice of another axis": (Slice(0, 2, 1, index=5, head=0, axis=1), lambda p, c: p[:, :, 5].sum(1)),
    "log counts": (LogCounts(), lambda p, c: c[:, 0]),
    "difference": (Difference(LogCounts(), Slice(index=0, head=0)), lambda p, c: c[:, 0] - p[:, 0].sum(1)),
    "sum": (
        Sum((Output((0, 3), head=0), LogCounts()), (2.0, -0.5)),
        lambda p, c: 2 * p[:, 0, 3] - 0.5 * c[:, 0],
    ),
    "secant profile": (Profile("secant"), lambda p, c: (softmax(p) * centred(p)).sum(1)),
    "function": (lambda output: output[0].square().mean((1, 2)), lambda p, c: p.square().mean((1, 2))),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_gradients_of_targets(name: str) -> None:
    target, formula = FORMULAS[name]
    found = attribute(TwoHeads(), X, Saliency(), target=target, precision="float64")
    model = TwoHeads().double()
    theirs = captum.attr.Saliency(lambda x: formula(*model(x))).attribute(
        X.double().requires_grad_(), abs=False
    )
    torch.testing.assert_close(found.multipliers, theirs)
    torch.testing.assert_close(found.prediction, formula(*model(X.double())).detach())


@pytest.mark.parametrize("name", FORMULAS)
def test_integrated_gradients_of_targets(name: str) -> None:
    target, formula = FORMULAS[name]
    method = IntegratedGradients(steps=20, references=FIXED)
    found = attribute(TwoHeads(), X, method, target=target, precision="float64")
    model = TwoHeads().double()
    oracle = captum.attr.IntegratedGradients(lambda x: formula(*model(x)))
    theirs = [
        oracle.attribute(X.double(), REFERENCES[:, k].double(), n_steps=20, method="gausslegendre")
        for k in range(R)
    ]
    torch.testing.assert_close(found.global_, torch.stack(theirs).mean(0).detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("method", [DeepLiftShap(FIXED), IntegratedGradients(steps=60, references=FIXED)])
def test_contributions_sum_to_differences_of_the_target(name: str, method: Any) -> None:
    target, formula = FORMULAS[name]
    found = attribute(TwoHeads(), X, method, target=target, precision="float64")
    model = TwoHeads().double()
    with torch.no_grad():
        mean = torch.stack([formula(*model(REFERENCES[:, k].double())) for k in range(R)]).mean(0)
        expected = formula(*model(X.double())) - mean
    torch.testing.assert_close(found.contributions.sum((1, 2)), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", FORMULAS)
def test_ism_of_targets(name: str) -> None:
    target, formula = FORMULAS[name]
    found = attribute(TwoHeads(), X, ISM(start=10, end=13), target=target, precision="float64")
    model = TwoHeads().double()
    with torch.no_grad():
        before = formula(*model(X.double()))
        for position in (10, 12):
            for base in range(4):
                mutant = X.double()
                mutant[:, :, position] = 0
                mutant[:, base, position] = 1
                torch.testing.assert_close(
                    found.multipliers[:, base, position],
                    formula(*model(mutant)) - before,
                    rtol=1e-6,
                    atol=1e-9,
                )


@pytest.mark.parametrize("weights", ["midpoint", "example", "secant"])
@pytest.mark.parametrize("index", [None, 1])
@pytest.mark.parametrize("method", [DeepLiftShap(FIXED), IntegratedGradients(steps=60, references=FIXED)])
def test_profile_weightings_by_their_formulas(weights: str, index: int | None, method: Any) -> None:
    """Each pair's contributions sum to Σ w·(z̄_x − z̄_r), w as the weighting says."""
    model = TwoHeads().double()

    def logits(rows: Tensor) -> Tensor:
        found = model(rows.double())[0]
        return found if index is None else found[:, index]

    with torch.no_grad():
        z_x, expected = logits(X), []
        for k in range(R):
            z_r = logits(REFERENCES[:, k])
            if weights == "secant":
                difference = (softmax(z_x) * centred(z_x)).sum(1) - (softmax(z_r) * centred(z_r)).sum(1)
            else:
                w = softmax(z_x) if weights == "example" else (softmax(z_x) + softmax(z_r)) / 2
                difference = (w * (centred(z_x) - centred(z_r))).sum(1)
            expected.append(difference)
    found = attribute(TwoHeads(), X, method, target=Profile(weights, index), precision="float64")
    total = torch.stack(expected, 1)
    torch.testing.assert_close(found.contributions.sum((1, 2)), total.mean(1), rtol=1e-5, atol=1e-7)
    assert found.delta is not None
    assert (found.delta.abs() <= 1e-5 * total.abs().max()).all()


def test_the_three_weightings_differ() -> None:
    targets = [Profile(weights) for weights in ("midpoint", "example", "secant")]
    results = attribute_targets(TwoHeads(), X, DeepLiftShap(FIXED), targets)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        difference = (results[i].hypothetical - results[j].hypothetical).abs().max()
        assert difference > 1e-2 * results[i].hypothetical.abs().max()


METHODS: dict[str, Any] = {
    "saliency": Saliency(),
    "tism": TISM(),
    "integrated_gradients": IntegratedGradients(steps=8, references=FIXED),
    "expected_gradients": ExpectedGradients(FIXED),
    "ism": ISM(start=10, end=16),
    "deep_lift_shap": DeepLiftShap(FIXED),
    "reveal_cancel": DeepLiftShap(FIXED, rule="reveal_cancel"),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_dict_is_a_tuple_with_names(name: str) -> None:
    named = [Output(0, head="counts"), Slice(2, 9, head="profile"), Profile(head="profile")]
    placed = [Output(0, head=1), Slice(2, 9, head=0), Profile(head=0)]
    found = attribute_targets(TwoHeads("dict"), X, METHODS[name], named)
    expected = attribute_targets(TwoHeads(), X, METHODS[name], placed)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.hypothetical, theirs.hypothetical)


class Classifier(nn.Module):
    def __init__(self, final: str) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.conv = nn.Conv1d(4, 6, 7)
        self.dense = nn.Linear(6, 3)
        self.act = nn.Sigmoid()
        self.final = final

    def logits(self, x: Tensor) -> Tensor:
        return self.dense(torch.relu(self.conv(x)).amax(2)) * 8

    def forward(self, x: Tensor) -> Tensor:
        logits = self.logits(x)
        if self.final == "module":
            return self.act(logits)
        return torch.softmax(logits, 1) if self.final == "softmax" else logits.sigmoid_()


class Logits(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("final", ["module", "softmax", "in place"])
def test_before_the_activation_is_the_model_without_it(name: str, final: str) -> None:
    targets = [
        PreActivation(Output(1)),
        Output(1),
        Difference(PreActivation(Output(0)), PreActivation(Output(2))),
    ]
    found = attribute_targets(Classifier(final), X, METHODS[name], targets, precision="float64")
    wanted = [Output(1), Difference(Output(0), Output(2))]
    expected = attribute_targets(Logits(final), X, METHODS[name], wanted, precision="float64")
    torch.testing.assert_close(found[0].hypothetical, expected[0].hypothetical)
    torch.testing.assert_close(found[2].hypothetical, expected[1].hypothetical)
    after = attribute(Classifier(final), X, METHODS[name], target=1, precision="float64")
    torch.testing.assert_close(found[1].hypothetical, after.hypothetical)
    torch.testing.assert_close(found[0].prediction, expected[0].prediction)


@pytest.mark.parametrize("name", METHODS)
def test_before_a_module_by_its_name(name: str) -> None:
    model = Classifier("module")
    found = attribute(model, X, METHODS[name], target=PreActivation(Output(1), "act"), batch_size=3)
    expected = attribute(Logits("module"), X, METHODS[name], target=1, batch_size=3)
    torch.testing.assert_close(found.hypothetical, expected.hypothetical)
    assert not model.act._forward_pre_hooks


@pytest.mark.parametrize("name", METHODS)
def test_before_the_activation_of_an_exported_program(name: str) -> None:
    program = torch.export.export(
        Classifier("softmax").eval(), (X.float(),), dynamic_shapes=({0: torch.export.Dim.AUTO},)
    )
    found = attribute(program, X, METHODS[name], target=PreActivation(Output(1)))
    expected = attribute(Logits("softmax"), X, METHODS[name], target=1)
    scale = expected.hypothetical.abs().max()
    assert (found.hypothetical - expected.hypothetical).abs().max() <= 1e-5 * scale


def test_residuals_and_the_survey_open_the_model_too() -> None:
    target = PreActivation(Output(1))
    residuals = operation_residuals(Classifier("module"), X, DeepLiftShap(FIXED), target=target)
    assert {item.operation for item in residuals} >= {"relu"}
    assert survey_operations(Classifier("module"), X, target=target)


@pytest.mark.parametrize("name", METHODS)
def test_extra_inputs_with_several_targets(name: str) -> None:
    class Controlled(TwoHeads):
        def forward(self, x: Tensor, control: Tensor, depth: Tensor) -> Any:  # type: ignore[override]
            logits, counts = super().forward(x)
            return logits + torch.tanh(control), counts * depth

    control = torch.randn(3, 2, L - 8, generator=torch.Generator().manual_seed(0))
    depth = torch.tensor([[1.0], [2.0], [3.0]])
    targets = [LogCounts(), Profile(), Slice(0, 9, head=0)]
    together = attribute_targets(
        Controlled(), X, METHODS[name], targets, extra_inputs=(control, depth), batch_size=3
    )
    counts = attribute(TwoHeads(), X, METHODS[name], target=LogCounts())
    torch.testing.assert_close(
        together[0].hypothetical, counts.hypothetical * depth[:, :, None], rtol=1e-4, atol=1e-6
    )
    plain = attribute(TwoHeads(), X, METHODS[name], target=Slice(0, 9, head=0))
    torch.testing.assert_close(together[2].hypothetical, plain.hypothetical, rtol=1e-3, atol=1e-5)
