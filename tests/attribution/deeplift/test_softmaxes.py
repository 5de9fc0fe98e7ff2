"""Softmax: over two in closed form, over more by the path rule with its own vector-Jacobian product."""

from __future__ import annotations

from collections.abc import Callable

import attribution_models as models
import pytest
import torch
from cislex.attribution import Attribution, DeepLiftShap, DinucleotideShuffle, attribute
from cislex.attribution.deeplift import softmaxes
from cislex.attribution.deeplift.integration import gauss_legendre
from cislex.attribution.operations import Call
from torch import Tensor

X = models.one_hot(2, 40)


def of(
    operation: Callable[[Tensor], Tensor], *, precision: str = "float64", **options: object
) -> Attribution:
    torch.manual_seed(0)
    method = DeepLiftShap(DinucleotideShuffle(n=4), **options)  # type: ignore[arg-type]
    return attribute(models.OneOperation(operation), X, method, precision=precision)


def pooled(h: Tensor, axis: int = -1) -> Tensor:
    """Attention pooling of neighbours, two by two."""
    pairs = h.unflatten(-1, (-1, 2)).movedim(-1, axis)
    return (pairs * torch.softmax(3 * pairs, axis)).sum(axis)


@pytest.mark.parametrize("axis", [-1, 1])
def test_two_in_closed_form_are_the_path_rule(axis: int) -> None:
    found = of(lambda h: pooled(h, axis))
    integrated = of(lambda h: pooled(h, axis), rules={"softmax": "integrate"})
    scale = integrated.hypothetical.abs().max()
    assert (found.hypothetical - integrated.hypothetical).abs().max() < 1e-9 * scale
    for result in (found, of(lambda h: pooled(h, axis), precision="float32")):
        assert result.max_relative_delta is not None
        assert result.max_relative_delta.max() < (1e-9 if result is found else 1e-4)


def test_one_of_two_under_a_mask_gets_nothing() -> None:
    def masked(h: Tensor) -> Tensor:
        pairs = h.unflatten(-1, (-1, 2))
        blocked = torch.arange(pairs.shape[-2]).unsqueeze(-1) % 3 == torch.tensor([0, 7])
        return (pairs * torch.softmax(pairs.masked_fill(blocked, -torch.inf), -1)).sum(-1)

    found = of(masked)
    integrated = of(masked, rules={"softmax": "integrate"})
    scale = integrated.hypothetical.abs().max()
    assert torch.isfinite(found.hypothetical).all()
    assert (found.hypothetical - integrated.hypothetical).abs().max() < 1e-9 * scale


@pytest.mark.parametrize("options", [{}, {"dtype": torch.float64}])
def test_every_spelling_of_two(options: dict[str, torch.dtype]) -> None:
    def spelled(h: Tensor) -> Tensor:
        pairs = h.unflatten(-1, (-1, 2))
        spellings = (
            torch.softmax(pairs, -1, **options),
            pairs.softmax(dim=-1, **options),
            torch.nn.functional.softmax(pairs, dim=-1, **options),
            torch.nn.functional.softmax(pairs, -1, 3, **options),
            torch.special.softmax(pairs, -1, **options),
        )
        return (pairs * sum(spellings)).sum(-1)

    found, expected = of(spelled), of(lambda h: 5 * one(h))
    scale = expected.hypothetical.abs().max()
    assert (found.hypothetical - expected.hypothetical).abs().max() < 1e-9 * scale


def one(h: Tensor) -> Tensor:
    pairs = h.unflatten(-1, (-1, 2))
    return (pairs * torch.softmax(pairs, -1)).sum(-1)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("function", [torch.softmax, torch.log_softmax])
def test_average_slopes_are_those_of_autograd(
    function: Callable[..., Tensor], axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(softmaxes, "BLOCK", 16)  # several blocks, the last one smaller
    start, difference, gradient = torch.randn(3, 3, 5, 7, dtype=torch.float64)
    call = Call(function.__name__, False, function, (start, axis), {})
    assert softmaxes.fits(call, [start], [start])
    expected = torch.zeros_like(start)
    for position, weight in gauss_legendre(8):
        place = (start + position * difference).requires_grad_()
        (slope,) = torch.autograd.grad(function(place, axis), place, gradient)
        expected += weight * slope
    found = softmaxes.average_slopes(call, start, difference, gradient, gauss_legendre(8))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_only_a_softmax_that_keeps_its_type_and_names_its_axis_fits() -> None:
    h = torch.randn(2, 5)
    assert not softmaxes.fits(Call("softmax", False, torch.softmax, (h,), {}), [h], [h])
    assert not softmaxes.fits(Call("softmax", False, torch.softmax, (h, 1), {}), [h], [h.double()])
    assert not softmaxes.fits(Call("logsumexp", False, torch.logsumexp, (h, 1), {}), [h], [h])
