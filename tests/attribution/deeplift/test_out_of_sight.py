"""What an interception of Python calls cannot see is right where it can be, else an error with a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attribution_models as models
import pytest
import torch
from cislex.attribution import (
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    attribute,
    attribute_positions,
)
from cislex.attribution.deeplift.slopes import SLOPES
from cislex.attribution.deeplift.survey import survey_operations
from cislex.attribution.transforms import ELEMENTWISE
from cislex.errors import CompletenessError, UnsupportedOperationError
from torch import Tensor, nn
from torch.nn import functional

X = models.one_hot(3, 40)
METHOD = DeepLiftShap(DinucleotideShuffle(n=4))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def scripted() -> Callable[[Tensor], Tensor]:
    def gate(h: Tensor) -> Tensor:
        return torch.relu(h) * torch.sigmoid(h)

    return torch.jit.script(gate)


def traced() -> Callable[[Tensor], Tensor]:
    return torch.jit.trace(lambda h: torch.relu(h), torch.randn(2, 8, 40))


class Hidden(torch.autograd.Function):
    """A ReLU that no mode sees, as those of C++ and Triton extensions."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        ctx.save_for_backward(h)
        with torch._C.DisableTorchFunction():
            return torch.relu(h)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (h,) = ctx.saved_tensors
        return gradient * (h > 0)


class Triple(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        return h * 3

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * 3


def without_gradient(h: Tensor) -> Tensor:
    """A callback whose result has no gradient at all."""
    with torch._C.DisableTorchFunction(), torch.no_grad():
        hidden = torch.relu(h.detach())
    return h + hidden


def value_of_vjp(h: Tensor) -> Tensor:
    return torch.func.vjp(torch.relu, h)[0]


def of_jvp(h: Tensor) -> Tensor:
    return torch.func.jvp(torch.tanh, (h,), (torch.ones_like(h),))[1]


def of_jacrev(h: Tensor) -> Tensor:
    rows = torch.vmap(torch.func.jacrev(lambda row: torch.tanh(row).sum()))(h.flatten(0, 1))
    return rows.reshape(h.shape)


def autocast(h: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return functional.conv1d(h, h.new_ones(8, 8, 3) / 8, padding=1).float()


def add_of_a_library() -> Callable[[Tensor], Tensor]:
    """An operation with the name of a linear one, which it is not."""

    @torch.library.custom_op("cislex_tests::add", mutates_args=())
    def add(h: Tensor) -> Tensor:
        return torch.relu(h)

    add.register_autograd(
        lambda ctx, gradient: gradient * (ctx.saved_tensors[0] > 0),
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
    )
    return add


HIDDEN: dict[str, tuple[Callable[[], Any], str]] = {
    "scripted": (scripted, "ReluBackward0"),
    "traced": (traced, "ReluBackward0"),
    "extension": (lambda: Hidden.apply, "HiddenBackward"),
    "vjp": (lambda: value_of_vjp, "inside torch.func.vjp"),
    "jvp": (lambda: of_jvp, "inside torch.func.vjp"),
    "jacrev in vmap": (lambda: of_jacrev, "inside torch.func.vjp"),
    "autocast": (lambda: autocast, "autocast region, in torch.bfloat16"),
    "operation of a library": (add_of_a_library, "cislex_tests::add"),
}


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("name", HIDDEN)
def test_what_no_rule_sees_is_a_named_error(name: str) -> None:
    make, text = HIDDEN[name]
    model = models.OneOperation(make())
    for rule in ("rescale", "reveal_cancel"):
        with pytest.raises(UnsupportedOperationError, match=text):
            attribute(model, X, DeepLiftShap(DinucleotideShuffle(n=4), rule=rule))


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("name", [name for name in HIDDEN if name != "extension"])
def test_the_survey_lists_what_no_rule_sees(name: str) -> None:
    make, text = HIDDEN[name]
    first = survey_operations(models.OneOperation(make()), X)[0]
    assert not first.known
    assert any(
        text in f"{use.operation} {use.rule}" for use in survey_operations(models.OneOperation(make()), X)
    )


def test_the_general_net_finds_what_leaves_no_trace() -> None:
    model = models.OneOperation(without_gradient)
    with pytest.raises(CompletenessError, match="not explained by an operation"):
        attribute(model, X, METHOD)
    accepted = attribute(model, X, METHOD, allow_incomplete=True)
    assert "accepted by allow_incomplete" in accepted.notes["incomplete"]
    attribute(model, X, TISM())  # promises no completeness


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_is_accepted_is_in_the_notes() -> None:
    result = attribute(models.OneOperation(scripted()), X, METHOD, allow_incomplete=True)
    assert "SigmoidBackward0" in result.notes["incomplete"]


def test_single_positions_are_judged_and_accepted_alike() -> None:
    model = nn.Sequential(nn.Conv1d(4, 8, 3), Lambda(without_gradient), nn.Conv1d(8, 1, 1))
    with pytest.raises(CompletenessError):
        attribute_positions(model, X, METHOD, positions=[3])
    assert attribute_positions(model, X, METHOD, positions=[3], allow_incomplete=True).delta is not None


class Lambda(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, h: Tensor) -> Tensor:
        return self.function(h)


def test_linear_functions_of_other_makes_pass() -> None:
    result = attribute(models.OneOperation(Triple.apply), X, METHOD)
    assert result.max_relative_delta is not None
    assert result.max_relative_delta.max() < 1e-4
    assert "TripleBackward" in result.notes["unseen"]


def cancelled(h: Tensor) -> Tensor:
    """Two large sums that are the same but for rounding, and a small rest."""
    return torch.relu(h) * 1e-3 + (h * 1e4).cumsum(-1) - 1e4 * h.cumsum(-1)


def test_rounding_is_no_alarm() -> None:
    for operation in (cancelled, lambda h: torch.relu(h) * 1e-12, lambda h: 0 * torch.relu(h)):
        result = attribute(models.OneOperation(operation), X, METHOD)
        assert "incomplete" not in result.notes
    torch.manual_seed(0)
    result = attribute(models.OneOperation(cancelled), X, METHOD)
    assert result.max_relative_delta is not None
    assert result.max_relative_delta[0] > 1e-2  # else the case is none


def vmapped(function: Callable[[Tensor], Tensor], dim: int) -> Callable[[Tensor], Tensor]:
    return torch.vmap(function, in_dims=dim, out_dims=dim)


def in_place_after(h: Tensor) -> Tensor:
    y = torch.vmap(torch.relu)(h)
    y += 1
    y.mul_(2)
    return y


SHIFT = torch.randn(40, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 6

#: Done in one call, whatever the number of slices.
AT_ONCE = ("relu", "gated", "nested", "einsum", "nested einsum", "einsum with a constant", "matmul", "linear")


VMAPS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "relu": (vmapped(torch.relu, 0), torch.relu),
    "gated": (vmapped(lambda t: torch.relu(t) * torch.sigmoid(t), 1), lambda h: torch.relu(h) * h.sigmoid()),
    "nested": (
        torch.vmap(torch.vmap(lambda t: functional.gelu(t) * t)),
        lambda h: functional.gelu(h) * h,
    ),
    "softmax of rows": (vmapped(lambda t: torch.softmax(t, -1), 0), lambda h: torch.softmax(h, -1)),
    "max-pool": (
        vmapped(lambda t: functional.max_pool1d(t, 2), 1),
        lambda h: functional.max_pool1d(h, 2),
    ),
    "layer norm": (
        vmapped(lambda t: functional.layer_norm(t, (40,)), 0),
        lambda h: functional.layer_norm(h, (40,)),
    ),
    "einsum": (
        vmapped(lambda t: torch.einsum("cl,ck->cl", t, t.relu()), 0),
        lambda h: h * h.relu().sum(-1, keepdim=True),
    ),
    "nested einsum": (
        torch.vmap(torch.vmap(lambda t: torch.einsum("i, i -> i", t, torch.relu(t)))),
        lambda h: h * torch.relu(h),
    ),
    "einsum with a constant": (
        lambda h: torch.vmap(lambda t, w: torch.einsum("cl,kl->ck", t, w), (0, None))(h.relu(), SHIFT),
        lambda h: h.relu() @ SHIFT.T,
    ),
    "matmul": (
        vmapped(lambda t: torch.relu(t) @ t.mT @ torch.sigmoid(t), 0),
        lambda h: torch.relu(h) @ h.mT @ torch.sigmoid(h),
    ),
    "linear": (
        vmapped(lambda t: functional.linear(torch.relu(t), SHIFT), 1),
        lambda h: functional.linear(torch.relu(h), SHIFT),
    ),
    "in place inside": (vmapped(lambda t: t.mul(1.0).relu_(), 0), torch.relu),
    "in-place sum after": (in_place_after, lambda h: 2 * (torch.relu(h) + 1)),
}  # fmt: skip


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("name", VMAPS)
def test_vmap_gives_what_the_plain_function_gives(name: str, rule: str) -> None:
    inside, outside = VMAPS[name]
    method = DeepLiftShap(DinucleotideShuffle(n=4), rule=rule)
    model = models.OneOperation(inside)
    found = attribute(model, X, method, precision="float64")
    model.operation = outside
    expected = attribute(model, X, method, precision="float64")
    scale = expected.hypothetical.abs().max()
    if rule == "rescale":
        assert (found.hypothetical - expected.hypothetical).abs().max() < 1e-9 * scale
    assert found.max_relative_delta is not None
    assert found.max_relative_delta.max() < 1e-9
    if name in AT_ONCE and rule == "rescale":
        assert "pairing" not in found.notes  # as there is where slices are taken one by one


def test_every_elementwise_rule_is_known_to_vmap() -> None:
    assert set(SLOPES) - ELEMENTWISE == {"prelu"}  # has a second tensor
