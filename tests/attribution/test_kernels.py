"""Compiled loops agree with the same rules in torch, and never write over what somebody still needs."""

from __future__ import annotations

import attribution_models as models
import pytest
import torch
from cislex.attribution import DeepLiftShap, FixedReferences, attribute, kernels
from cislex.attribution.deeplift import derivatives, pool_kernels, pooling
from cislex.attribution.deeplift.deeplift import Engine
from cislex.attribution.deeplift.elementwise import relu_slope
from cislex.attribution.deeplift.pairing import Pairing
from cislex.attribution.operations import Call, Phase
from torch import Tensor, nn
from torch.nn import functional

ROWS, REFERENCES = 2, 3


def activations(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Examples and references; in some places they are equal."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((ROWS, *shape), generator=generator, dtype=dtype)
    r = torch.randn((ROWS * REFERENCES, *shape), generator=generator, dtype=dtype)
    same = torch.rand(r.shape, generator=generator) < 0.2
    return x, torch.where(same, x.repeat_interleave(REFERENCES, 0), r)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("over", [False, True])
def test_relu_agrees_with_its_slope(over: bool, dtype: torch.dtype, threads: int) -> None:
    x, r = activations(40, 700, dtype=dtype)
    gradient = torch.randn(r.shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
    expected = gradient * relu_slope(x.repeat_interleave(REFERENCES, 0), r)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = kernels.relu(kernels.Workers(), x, r, gradient, over=over)
    finally:
        torch.set_num_threads(before)
    assert (found is r) == over
    torch.testing.assert_close(found, expected)


def test_revealcancel_of_relu_agrees_with_its_slopes() -> None:
    x, r = activations(40, 700)
    wide = x.repeat_interleave(REFERENCES, 0)
    size = torch.rand(r.shape, generator=torch.Generator().manual_seed(2)) + (wide - r).abs()
    up, down = 0.5 * (wide - r + size), 0.5 * (wide - r - size)
    found = kernels.reveal_relu(kernels.Workers(), x, r, up, down)
    for slope, mine, other in ((found[0], up, down), (found[1], down, up)):
        expected = 0.5 * (relu_slope(r + mine, r) + relu_slope(wide, r + other))
        torch.testing.assert_close(slope, expected)


SMOOTH = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu, tanh": lambda h: functional.gelu(h, approximate="tanh"),
    "softplus": lambda h: functional.softplus(h, 1.5),
    "logsigmoid": functional.logsigmoid,
}


@pytest.mark.parametrize("name", SMOOTH)
def test_slopes_of_smooth_functions_are_exact_in_float32_however_close_the_points(name: str) -> None:
    """Every distance from rounding to far apart, against the quotient in float64."""
    a = torch.linspace(-6, 6, 301).repeat_interleave(40).reshape(1, -1)
    steps = torch.logspace(-9, 1, 40).repeat(301).reshape(1, -1)
    b = torch.cat([a + steps, a - steps, a])
    h = b.clone().requires_grad_()

    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return SMOOTH[name](x)

    engine = Engine(Model(), DeepLiftShap())
    targets = [lambda output: output.sum(1)]
    records, _, _ = engine.record(a, targets, ())  # type: ignore[arg-type]
    _, values, _ = engine.replay(records, Pairing(1, 3), h, targets, ())  # type: ignore[arg-type]
    (found,) = torch.autograd.grad(values[0].sum(), h)
    points = a.double().expand(3, -1), b.double()
    middle = (0.5 * (points[0] + points[1])).requires_grad_()
    (derivative,) = torch.autograd.grad(SMOOTH[name](middle).sum(), middle)
    difference = points[1] - points[0]
    quotient = (SMOOTH[name](points[1]) - SMOOTH[name](points[0])) / difference
    truth = torch.where(difference.abs() < 1e-5, derivative, quotient)
    assert float((found - truth).abs().max()) < 4e-5


def test_slopes_do_not_overflow_where_activations_are_huge() -> None:
    a = torch.tensor([[1e20, -1e20, 3e5]])
    call = Call("gelu", False, functional.gelu, (a,), {"approximate": "tanh"})
    assert torch.equal(derivatives.series_of(call, a)[0], torch.tensor([[1.0, 0.0, 1.0]]))


@pytest.mark.parametrize(
    ("size", "stride", "padding", "dilation"), [(3, 3, 0, 1), (4, 2, 2, 1), (3, 1, 1, 2), (2, 5, 1, 3)]
)
def test_pooling_agrees_with_torch(size: int, stride: int, padding: int, dilation: int) -> None:
    x, r = activations(5, 61)
    options = {"size": size, "stride": stride, "padding": padding, "dilation": dilation}
    workers = kernels.Workers()
    places = []
    for values in (x, r):
        y, at = pool_kernels.pool(workers, values, **options)
        expected = functional.max_pool1d(values, size, stride, padding, dilation, return_indices=True)
        assert torch.equal(y, expected[0])
        assert torch.equal(at, expected[1])
        places.append(at)
    gradient = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    rounding = pooling.ROUNDING * torch.finfo(x.dtype).eps
    found = pool_kernels.route(workers, x, r, (places[0], places[1]), rounding, gradient)
    h = r.clone().requires_grad_()
    pairing = Pairing(ROWS, REFERENCES)
    output = pooling._route(h, pairing.expand(x, r), pairing.expand(places[0], places[1]), places[1])
    (expected_gradient,) = torch.autograd.grad(output, h, gradient)
    torch.testing.assert_close(found, expected_gradient)


class WrittenLater(nn.Module):
    """A ReLU whose input is changed in place after."""

    def forward(self, h: Tensor) -> Tensor:
        y = torch.relu(h)
        h += 1
        h.mul_(0.5)
        return torch.relu(h) + y


class UsedTwice(nn.Module):
    """Two activations of one tensor, which is also passed on."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.relu(h) + functional.relu(h) + functional.max_pool1d(h, 1) + h


@pytest.mark.parametrize("module", [WrittenLater(), UsedTwice(), nn.ReLU(inplace=True)], ids=repr)
def test_completeness_where_memory_is_shared(module: nn.Module) -> None:
    torch.manual_seed(0)
    model = models.Wrapped(module).eval()
    x = models.one_hot(3, 60)
    refs = FixedReferences(models.one_hot(12, 60, seed=1).reshape(3, 4, 4, 60))
    result = attribute(model, x, DeepLiftShap(refs), precision="float64")
    assert float(result.max_relative_delta.max()) < 1e-9


def test_memory_is_known_to_be_shared() -> None:
    phase = Phase()
    tensor = torch.zeros(4)
    held = phase.hold(tensor)
    assert not held.alone()
    view = tensor[1:]
    del tensor
    assert not held.alone()
    phase.protect(view)
    assert held.alone()
    assert held.tensor.data_ptr() != view.data_ptr() - 4
