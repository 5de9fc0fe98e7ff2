"""Softmax: over two in closed form, over more by the path rule with its own vector-Jacobian product."""

from __future__ import annotations

from collections.abc import Callable

import attribution_models as models
import pytest
import torch
from cislex.attribution import Attribution, DeepLiftShap, DinucleotideShuffle, attribute
from cislex.attribution.deeplift import softmaxes
from cislex.attribution.deeplift.integration import gauss_legendre
from cislex.attribution.deeplift.pairing import Pairing
from cislex.attribution.deeplift.replay import Record
from cislex.attribution.operations import Call, Phase
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


@pytest.mark.parametrize("block", [16, 100, 1 << 16])
@pytest.mark.parametrize("axis", [-1, 1, 2])
@pytest.mark.parametrize("function", [torch.softmax, torch.log_softmax])
def test_average_slopes_are_those_of_autograd(
    function: Callable[..., Tensor], axis: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two examples with three references each: parts of rows, some rows, all at once."""
    monkeypatch.setattr(softmaxes, "BLOCK", block)
    torch.manual_seed(0)
    start, gradient = torch.randn(2, 6, 3, 5, 7, dtype=torch.float64)
    example = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    if axis == -1:
        start[:, :, :, 2] = example[:, :, :, 2] = -torch.inf  # under a mask
    softmax = fit(function, example, start, axis)
    assert softmax is not None
    repeated = example.repeat_interleave(3, 0)
    difference = (repeated - start).nan_to_num()
    expected = torch.zeros_like(start)
    for position, weight in gauss_legendre(8):
        place = (start + position * difference).requires_grad_()
        (slope,) = torch.autograd.grad(function(place, axis), place, gradient)
        expected += weight * slope
    found, (got, wanted, size) = softmax.average_slopes(gradient, gauss_legendre(8))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    change = (function(repeated, axis) - function(start, axis)).nan_to_num() * gradient
    for sums, values in ((got, expected * difference), (wanted, change), (size, change.abs())):
        torch.testing.assert_close(sums, values.flatten(1).sum(1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("nodes", [3, 8])
@pytest.mark.parametrize("shape", [(5,), (3, 250), (2, 4, 37)])
def test_the_compiled_loop_is_the_rule(
    shape: tuple[int, ...], nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As near to double precision as torch's float32 is: sharp and flat, with columns under a mask."""
    torch.manual_seed(0)
    for scale in (0.1, 3.0, 40.0):
        example, start = scale * torch.randn(2, *shape), scale * torch.randn(6, *shape)
        start[..., 1] = example[..., 1] = -torch.inf
        gradient = torch.randn_like(start)
        exact = fit(torch.softmax, example.double(), start.double(), -1)
        softmax = fit(torch.softmax, example, start, -1)
        assert exact is not None
        assert softmax is not None
        expected, sums = exact.average_slopes(gradient.double(), gauss_legendre(nodes))
        assert softmax._compiles()
        found, own = softmax.average_slopes(gradient, gauss_legendre(nodes))
        with monkeypatch.context() as patch:
            patch.setattr(softmaxes.Softmax, "_compiles", lambda *_: False)
            plain, plain_sums = softmax.average_slopes(gradient, gauss_legendre(nodes))
        for mine, other, truth in zip((found, *own), (plain, *plain_sums), (expected, *sums), strict=True):
            assert mine.dtype == other.dtype
            size, rounding = truth.abs().max(), (other - truth).abs().max()
            assert float((mine - truth).abs().max()) < float(3 * rounding + 1e-6 * size)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_compiled_loop_gives_the_same_with_any_number_of_threads(threads: int) -> None:
    torch.manual_seed(0)
    example, start, gradient = torch.randn(1, 40, 300), torch.randn(8, 40, 300), torch.randn(8, 40, 300)
    quick, before = fit(torch.softmax, example, start, -1), torch.get_num_threads()
    assert quick is not None
    expected, _ = quick.average_slopes(gradient, gauss_legendre(3))
    try:
        torch.set_num_threads(threads)
        found, _ = quick.average_slopes(gradient, gauss_legendre(3))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found, expected)


def fit(
    function: Callable[..., Tensor], example: Tensor, start: Tensor, *axis: int
) -> softmaxes.Softmax | None:
    calls = [Call(function.__name__, False, function, (h, *axis), {}) for h in (example, start)]
    calls[1].phase = Phase()
    record = Record(calls[0], [example])
    record.output, output = (function(h, *(axis or (1,))) for h in (example, start))
    pairing = Pairing(len(example), max(1, len(start) // len(example)))
    return softmaxes.fit(calls[1], pairing, record, [output])


def test_only_a_softmax_of_rows_side_by_side_that_names_its_axis_fits() -> None:
    example, start = torch.randn(2, 5, 5), torch.randn(6, 5, 5)
    assert fit(torch.softmax, example, start, 1) is not None
    assert fit(torch.softmax, example, start) is None, "no axis"
    assert fit(torch.softmax, example, start, 0) is None, "rows mixed"
    assert fit(torch.softmax, example, start, -3) is None, "rows mixed"
    assert fit(torch.logsumexp, example, start, 1) is None
    assert fit(torch.softmax, example.mT, start, 1) is not None
    assert fit(torch.softmax, example[:, :4], start, 1) is None, "other shapes"
    merged = torch.softmax(start, 1)
    call = Call("softmax", False, torch.softmax, (start, 1), {})
    record = Record(call, [start])
    record.output = merged
    assert softmaxes.fit(call, Pairing(2, 1), record, [merged]) is not None, "rows and heads in one, paired"
    assert softmaxes.fit(call, Pairing(2, 3), record, [merged]) is None
    record = Record(call, [example])
    assert softmaxes.fit(call, Pairing(2, 3), record, [start.double()]) is None, "another type"
