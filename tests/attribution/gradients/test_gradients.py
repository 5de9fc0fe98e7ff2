"""Saliency is the gradient, TISM its reading; linear models give exact weights."""

from __future__ import annotations

import captum.attr
import pytest
import torch
from cislex.attribution.gradients.gradients import batch_multipliers
from cislex.attribution.methods import ISM, TISM, Saliency
from cislex.attribution.references import DinucleotideShuffle, Uniform, make_references
from cislex.attribution.result import Attribution, BatchResult
from cislex.errors import ModelError
from cislex.targets import Difference, Output, Profile, as_target
from torch import Tensor, nn


def one_hot(n: int, length: int, seed: int = 0) -> Tensor:
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(seed))
    return nn.functional.one_hot(codes, 4).transpose(1, 2).double()


def network(length: int, outputs: int = 3) -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Conv1d(4, 8, 7, padding=3), nn.ELU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 3), nn.GELU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * (length // 2 - 2), outputs), nn.Sigmoid())
    return model.double().eval().requires_grad_(False)


def attribution(result: BatchResult, x: Tensor, t: int = 0) -> Attribution:
    assert result.products is not None
    return Attribution(
        result.multipliers[t],
        result.baseline[t],
        x.to(torch.uint8),
        result.prediction[t],
        products=result.products[t],
    )


def uniform(x: Tensor) -> Tensor:
    return make_references(Uniform(), x).to(x.dtype)


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_equals_captum_for_every_target_and_batch_size(rows: int) -> None:
    x, model = one_hot(6, 40), network(40)
    targets = [Output(0), Output(2)]
    result = batch_multipliers(model, x, uniform(x), targets, Saliency(), rows=rows)
    for t, column in enumerate((0, 2)):
        theirs = captum.attr.Saliency(model).attribute(x.clone().requires_grad_(), target=column, abs=False)
        torch.testing.assert_close(result.multipliers[t], theirs)
        torch.testing.assert_close(result.prediction[t], model(x)[:, column])


def test_the_gradient_of_a_sum_rule() -> None:
    x, model = one_hot(4, 40), network(40)
    a, b, both = (
        batch_multipliers(model, x, uniform(x), [target], TISM()).multipliers[0]
        for target in (Output(0), Output(1), Difference(Output(0), Output(1)))
    )
    torch.testing.assert_close(both, a - b)


def test_a_linear_model_gives_its_weights_and_tism_is_exact() -> None:
    x = one_hot(3, 12)
    weights = torch.randn(1, 48, dtype=torch.float64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 1)).double().requires_grad_(False)
    model[1].weight.data = weights
    found = attribution(batch_multipliers(model, x, uniform(x), [Output()], TISM()), x)
    w = weights.view(1, 4, 12).expand(3, -1, -1)
    torch.testing.assert_close(found.local, w)
    torch.testing.assert_close(found.tism, w - (x * w).sum(1, keepdim=True))
    torch.testing.assert_close(found.hypothetical, w - w.mean(1, keepdim=True))
    torch.testing.assert_close(found.corrected, found.hypothetical)
    # The mean effect of the three substitutions, with its sign turned.
    torch.testing.assert_close(found.mean_effect.sum(1), -found.tism.sum(1) / 3)
    torch.testing.assert_close(found.global_, (x - 0.25) * w)


def test_tism_of_an_additive_model_is_ism() -> None:
    from cislex.attribution.mutagenesis import ism

    x = one_hot(3, 20)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 1, 1), nn.Flatten(), nn.Linear(20, 1)).double().requires_grad_(False)
    taylor = attribution(batch_multipliers(model, x, uniform(x), [Output()], TISM()), x)
    exact = attribution(ism.batch_multipliers(model, x, uniform(x), [Output()], ISM()), x)
    torch.testing.assert_close(taylor.tism, exact.local)
    torch.testing.assert_close(taylor.hypothetical, exact.hypothetical)
    torch.testing.assert_close(taylor.mean_effect, exact.mean_effect)


def test_baseline_is_the_mean_over_references() -> None:
    x, model = one_hot(2, 40), network(40)
    refs = make_references(DinucleotideShuffle(n=5), x).double()
    result = batch_multipliers(model, x, refs, [Output()], Saliency())
    expected = torch.stack([(refs[:, k] * result.multipliers[0]).sum(1) for k in range(5)]).mean(0)
    torch.testing.assert_close(result.baseline[0], expected)


def test_extra_inputs_are_rows_too() -> None:
    class Controlled(nn.Module):
        def forward(self, x: Tensor, control: Tensor) -> Tensor:
            return (x[:, 0].sum(1) * control).unsqueeze(1)

    x, control = one_hot(5, 8), torch.arange(5.0, dtype=torch.float64)
    result = batch_multipliers(Controlled(), x, uniform(x), [Output()], Saliency(), (control,), rows=2)
    torch.testing.assert_close(result.multipliers[0, :, 0], control[:, None].expand(5, 8))
    assert (result.multipliers[0, :, 1:] == 0).all()


def test_a_profile_holds_its_weights_constant() -> None:
    x = one_hot(2, 30)
    torch.manual_seed(0)
    model = nn.Conv1d(4, 1, 5).double().requires_grad_(False)
    leaf = x.clone().requires_grad_()
    logits = model(leaf)[:, 0]
    weights = torch.softmax(logits, 1).detach()
    (expected,) = torch.autograd.grad((weights * (logits - logits.mean(1, keepdim=True))).sum(), leaf)
    found = batch_multipliers(model, x, uniform(x), [Profile()], Saliency()).multipliers[0]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("function", [lambda o: o.detach()[:, 0], lambda o: torch.zeros(len(o)).double()])
def test_no_gradient_is_a_named_error(function: object) -> None:
    x, model = one_hot(2, 40), network(40)
    with pytest.raises(ModelError, match="no gradient"):
        batch_multipliers(model, x, uniform(x), [as_target(function)], Saliency())  # type: ignore[arg-type]


def test_a_target_with_too_few_values_is_a_named_error() -> None:
    x, model = one_hot(4, 40), network(40)
    with pytest.raises(ModelError, match="4 sequences"):
        batch_multipliers(model, x, uniform(x), [as_target(lambda o: o[:2, 0])], Saliency())
