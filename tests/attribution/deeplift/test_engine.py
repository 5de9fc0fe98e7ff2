"""What the engine refuses, what it lets pass, and what a user can add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attribution_models as models
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
import torch.utils.checkpoint
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute, make_references
from cislex.attribution.deeplift.deeplift import batch_multipliers
from cislex.attribution.operations import Kind, canonical, kind_of
from cislex.errors import ConfigError, ModelError, UnsupportedOperationError
from cislex.targets import Difference, Output, Profile, Sum
from torch import Tensor, nn

X = models.one_hot(3, 60)
METHOD = DeepLiftShap(DinucleotideShuffle(n=3))


class Model(nn.Module):
    def __init__(self, operation: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 8, 7)
        self.inner = Inner(operation)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.conv(x)).flatten(1).sum(1, keepdim=True)


class Inner(nn.Module):
    def __init__(self, operation: Any) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, h: Tensor) -> Tensor:
        return self.operation(h)


def run(operation: Any, **options: Any) -> float:
    method = DeepLiftShap(DinucleotideShuffle(n=3), **options)
    found = attribute(Model(operation), X, method, precision="float64").max_relative_delta
    assert found is not None
    return float(found.max())


@pytest.mark.parametrize(
    ("func", "name", "in_place"),
    [
        (torch.relu_, "relu", True),
        (functional.relu, "relu", False),
        (torch.Tensor.__rsub__, "rsub", False),
        (torch.Tensor.__iadd__, "add", True),
        (torch.ops.aten.relu.default, "relu", False),
        (torch.ops.aten._softmax.default, "softmax", False),
        (torch.Tensor.data.__get__, "data", False),
        (torch.Tensor.__bool__, "bool", False),
        (torch.special.erfc, "erfc", False),
        (torch.arcsinh, "asinh", False),
        (torch.Tensor.arctan_, "atan", True),
        (torch.linalg.det, "det", False),
    ],
)
def test_one_name_per_operation(func: Any, name: str, in_place: bool) -> None:
    assert canonical(func) == (name, in_place)


TWINS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    **{name: getattr(torch.special, name) for name in ("erf", "erfc", "exp2", "expm1", "sinc", "expit")},
    "log1p": lambda h: torch.special.log1p(h * h),
    "logsumexp": lambda h: torch.special.logsumexp(h, 1, keepdim=True).expand(h.shape),
    "xlogy": lambda h: torch.special.xlogy(h * h, h * h + 1),
    "arcsinh": torch.arcsinh,
    "vmap": lambda h: torch.vmap(torch.special.erfc)(h),
    "det": lambda h: h * torch.linalg.det(h[:, :3, :3] + 9 * torch.eye(3).to(h)).reshape(-1, 1, 1),
    "matmul": lambda h: torch.linalg.matmul(torch.linalg.matmul(h, h.mT), h),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_other_names_of_an_operation_have_its_rule(name: str, rule: str) -> None:
    assert run(TWINS[name], rule=rule) < 1e-9


def test_an_unheard_operation_is_nonlinear() -> None:
    assert kind_of("an_operation_of_tomorrow") is Kind.NONLINEAR


def test_unknown_operation_names_itself_its_module_its_line_and_the_remedy() -> None:
    with pytest.raises(UnsupportedOperationError) as error:
        run(torch.special.i0)
    text = str(error.value)
    for part in ("special_i0", "module inner", "test_engine.py:", "8, 54)", "unknown_ops='integrate'"):
        assert part in text


def test_unknown_operation_can_be_integrated_and_says_so() -> None:
    method = DeepLiftShap(DinucleotideShuffle(n=3), unknown_ops="integrate")
    result = attribute(Model(torch.special.i0), X, method, precision="float64")
    assert result.max_relative_delta is not None
    assert result.max_relative_delta.max() <= 1e-9
    assert result.notes["integrated"] == "special_i0"


@pytest.mark.parametrize("rule", ["elementwise", "integrate"])
def test_a_rule_can_be_added(rule: str) -> None:
    assert run(torch.special.i0, rules={"special_i0": rule}) <= 1e-9


def test_a_rule_can_be_overridden_by_a_callable() -> None:
    calls = []

    def rule(call: Any, record: Any, pairing: Any, active: list[int]) -> Tensor:
        calls.append(call.name)
        return torch.relu(call.tensors[0])

    run(functional.relu, rules={"relu": rule})
    assert set(calls) == {"relu"}


def test_a_misspelt_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="elementwise"):
        run(functional.relu, rules={"relu": "rescal"})


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (lambda h: torch.where(h > 0, h, 0.1 * h), "gt"),
        (lambda h: h * (h > 0), "gt"),
        (lambda h: h * h.detach(), "detach"),
        (lambda h: h * h.data, "data"),
        (lambda h: h * torch.sign(h), "sign"),
        (lambda h: h.gather(2, h.argmax(2, keepdim=True)), "argmax"),
        (lambda h: h.gather(2, h.max(2, keepdim=True).indices), "max"),
        (lambda h: h * h.sum().item(), "item"),
        # Positive in the first example, negative in all of its references, whatever the batch.
        (lambda h: h if h[0, 0, 17] > 0 else -h, "bool"),
        (lambda h: functional.dropout(h, 0.5), "dropout"),
        (lambda h: functional.batch_norm(h, None, None, training=True), "batch_norm"),
        (lambda h: h.topk(3, 2).values, "topk"),
        (lambda h: torch.abs(h, out=torch.empty(0, dtype=h.dtype)), "abs"),
    ],
)
def test_branches_on_activations_are_named_errors(operation: Any, named: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=named):
        run(operation)


def test_a_branch_that_goes_the_same_way_for_both_is_allowed() -> None:
    with pytest.raises(UnsupportedOperationError, match="decision"):
        run(lambda h: h * float(h.sum()))

    def sane(h: Tensor) -> Tensor:
        if (h.abs() > 1e6).any():
            raise ValueError("exploded")
        return functional.relu(h)

    assert run(sane) <= 1e-9


def test_a_mask_that_agrees_is_allowed() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv1d(4, 4, 7, padding=3)

        def forward(self, x: Tensor) -> Tensor:
            known = x.sum(1, keepdim=True) > 0
            return (torch.relu(self.conv(x)) * known).mean((1, 2)).unsqueeze(1)

    x = models.one_hot(3, 60, unknown=True)
    found = attribute(Masked(), x, METHOD, precision="float64").max_relative_delta
    assert found is not None
    assert found.max() <= 1e-9


def test_a_custom_autograd_function_is_refused() -> None:
    class Swish(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, h: Tensor) -> Tensor:
            return h * torch.sigmoid(h)

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return gradient

    with pytest.raises(UnsupportedOperationError, match="without gradients"):
        run(Swish.apply)


def test_no_grad_inside_the_model_is_refused() -> None:
    def operation(h: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.relu(h)

    with pytest.raises(UnsupportedOperationError, match="without gradients"):
        run(operation)


def without_gradient(operation: Any) -> Any:
    def cut(h: Tensor) -> Tensor:
        with torch.no_grad():
            return operation(h)

    return cut


halved = without_gradient(lambda h: 0.5 * h)
convolved = without_gradient(lambda h: functional.conv1d(h, torch.ones(8, 8, 3, dtype=h.dtype)))


def rescaled_in_place(h: Tensor) -> Tensor:
    h = h + 0
    with torch.no_grad():
        h *= 3
    return h


def added_to_a_buffer(h: Tensor) -> Tensor:
    buffer = torch.ones_like(h)
    with torch.no_grad():
        buffer += h
    return h * buffer


def written_through_a_view(h: Tensor) -> Tensor:
    buffer = torch.zeros_like(h)
    first = buffer[:, :3]
    first.copy_(h.detach()[:, :3])
    return torch.relu(h) + buffer


def summed_through_a_view(h: Tensor) -> Tensor:
    buffer = torch.zeros_like(h)
    flat = buffer.view(-1)
    with torch.no_grad():
        flat += h.reshape(-1)
    return torch.relu(h) + buffer


def clamped_by_its_data(h: Tensor) -> Tensor:
    h = h.clone()
    h.data.clamp_(min=0)
    return torch.relu(h)


def in_numpy(h: Tensor) -> Tensor:
    return h * torch.from_numpy(np.exp(h.detach().numpy()))


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (halved, "mul under torch.no_grad"),
        (lambda h: h + halved(h), "mul under torch.no_grad"),
        (lambda h: torch.relu(h) * without_gradient(lambda h: h.mean(2, keepdim=True))(h), "mean under"),
        (lambda h: torch.relu(convolved(h)), "conv1d under torch.no_grad"),
        (lambda h: torch.inference_mode()(lambda h: h.flatten(1))(h), "flatten under torch.no_grad"),
        (lambda h: h / without_gradient(lambda h: h.flatten(1).mean(1).exp())(h)[:, None, None], "flatten"),
        (rescaled_in_place, "mul under torch.no_grad"),
        (added_to_a_buffer, "add under torch.no_grad"),
        (written_through_a_view, "uses a value that detach"),
        (summed_through_a_view, "reshape under torch.no_grad"),
        (clamped_by_its_data, "data computed from activations"),
        (lambda h: h * (8 * h).to(torch.int32), "to "),
        (lambda h: (8 * h).to(torch.int32).to(h.dtype), "to "),
        (lambda h: (h.detach() + 1).flatten(1), "detach"),
        (lambda h: torch.relu(h.detach()), "detach"),
    ],
)
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_a_gradient_that_is_cut_is_a_named_error(operation: Any, named: str, rule: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=named) as error:
        run(operation, rule=rule)
    for part in ("remove detach, torch.no_grad", "test_engine.py:" if "under" in named else named):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (in_numpy, r"numpy\(.*a NumPy array.*differs between example and reference"),
        (lambda h: h * h.abs().amax().item(), r"item\(.*a decision on activations"),
        (lambda h: h * float(h.detach().mean()), r"float_value\(.*a decision on activations"),
    ],
)
def test_numbers_and_arrays_of_activations_are_a_named_error(operation: Any, named: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=named):
        run(operation)


def positions(h: Tensor) -> Tensor:
    return torch.arange(h.shape[2])


@pytest.mark.parametrize(
    "constant",
    [
        lambda h: (positions(h) < 30).type_as(h),
        lambda h: (positions(h) < 30).to(h),
        lambda h: 0.01 * positions(h).to(h),
        lambda h: h.new_tensor(2.0),
        lambda h: h.new_tensor([0.5] * 8)[:, None],
        lambda h: h.new_full((1,), 0.2) + h.new_zeros(1),
        lambda h: torch.hann_window(h.shape[2]).to(h).expand_as(h[:1, :1]),
        lambda h: torch.ones(8 * h.shape[2]).view_as(h[0]).type_as(h),
        lambda h: torch.ones(h.shape[2], 8).to(h).reshape_as(h[0]),
        without_gradient(lambda h: torch.ones(h.shape[2]).to(h)),
        without_gradient(lambda h: torch.full((h.shape[2],), 0.3).expand_as(h).type_as(h)),
        without_gradient(lambda h: h.new_tensor([0.5] * 8)[:, None].cos()),
    ],
)
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_constants_may_take_their_type_and_shape_from_activations(constant: Any, rule: str) -> None:
    assert run(lambda h: torch.relu(h * constant(h)) + constant(h), rule=rule) <= 1e-9


class Covered(nn.Module):
    """Uses what it makes of the sequence without gradients."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 8, 7, padding=3)
        self.made = made

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            known = self.made(x)
        return (torch.relu(self.conv(x)) * known).mean((1, 2)).unsqueeze(1)


def filled_in(x: Tensor) -> Tensor:
    known = torch.zeros_like(x[:, :1])
    known[:, 0] = x.sum(1)
    return known


@pytest.mark.parametrize(
    "made",
    [
        lambda x: x.sum(1, keepdim=True),
        lambda x: 0.5 * x.sum(1, keepdim=True) + 1,
        lambda x: x.sum(1, keepdim=True).sqrt() / 3,
        lambda x: torch.einsum("ncl,c->nl", x, x.new_ones(4)).unsqueeze(1),
        lambda x: x.sum(1).long().to(x.dtype)[:, None],
        lambda x: x.sum((1, 2), keepdim=True) / x.shape[2],
        filled_in,
    ],
)
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_what_is_the_same_for_example_and_reference_may_be_made_without_gradient(
    made: Any, rule: str
) -> None:
    x = models.one_hot(3, 60, unknown=True)
    method = DeepLiftShap(DinucleotideShuffle(n=3), rule=rule)
    found = attribute(Covered(made), x, method, precision="float64")
    assert found.max_relative_delta is not None
    assert found.max_relative_delta.max() <= 1e-9
    assert "pairing" not in found.notes


@pytest.mark.parametrize("used", [lambda known: known, lambda known: known * 0.5 + 1])
def test_rows_that_cannot_be_told_apart_are_compared_once_the_example_is_repeated(used: Any) -> None:
    class Merged(Covered):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                known = self.made(x.transpose(1, 2).reshape(-1, 4))
            known = used(known).view(len(x), 1, -1)
            return (torch.relu(self.conv(x)) * known).mean((1, 2)).unsqueeze(1)

    x = models.one_hot(3, 60, unknown=True)
    found = attribute(Merged(lambda rows: rows.sum(1)), x, METHOD, precision="float64")
    assert found.max_relative_delta is not None
    assert found.max_relative_delta.max() <= 1e-9
    assert "pairing" in found.notes
    with pytest.raises(UnsupportedOperationError, match=r"under torch\.no_grad"):
        attribute(Merged(lambda rows: rows[:, 0] + rows[:, 1]), x, METHOD)


def test_numbers_that_are_only_logged_may_be_read_without_gradient() -> None:
    seen: list[Any] = []

    def logged(h: Tensor) -> Tensor:
        with torch.no_grad():
            seen.append(h.mean().item())
            seen.extend([float(h.detach().abs().max()), h.mean((0, 2)).tolist(), h.sum(2).numpy()])
        return torch.relu(h)

    result = attribute(Model(logged), X, METHOD, precision="float64")
    assert result.max_relative_delta is not None
    assert result.max_relative_delta.max() <= 1e-9
    assert "pairing" not in result.notes
    assert seen


def test_a_profile_that_is_cut_is_a_named_error() -> None:
    class Cut(Model):
        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).detach()[:, 0]

    for target in (Profile(), Profile("secant"), Output(3), Difference(Output(0), Output(1))):
        with pytest.raises(UnsupportedOperationError, match=r"(detach.*what to do|what to do.*detach)"):
            attribute(Cut(None), X, METHOD, target=target)


def test_a_head_that_is_cut_is_refused_in_a_sum_with_a_profile() -> None:
    class Heads(Model):
        def forward(self, x: Tensor) -> Any:
            h = torch.relu(self.conv(x))
            return h[:, 0], h.detach().mean(2), h.detach().amax(1)

    for target in (Sum((Profile(), Output(2, head=1))), Difference(Profile("example"), Profile(head=2))):
        with pytest.raises(UnsupportedOperationError, match=r"target (Sum|Difference).*detach"):
            attribute(Heads(None), X, METHOD, target=target, precision="float64")
    found = attribute(Heads(None), X, METHOD, target=Profile(), precision="float64").max_relative_delta
    assert found is not None


class Watched(nn.Module):
    """What may be done without gradients: constants, masks, statistics and outputs that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 8, 7, padding=3)
        self.norm = nn.BatchNorm1d(8)
        self.mean: Tensor | None = None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            scale = (self.conv.weight / self.conv.weight.norm()).sum((1, 2))[:, None]
            known = (x.sum(1).unsqueeze(1) > 0).to(x.dtype)
        seen = (x.detach().sum(1, keepdim=True) > 0).float().to(x.dtype)
        h = torch.relu(self.norm(self.conv(x))) * scale * known * seen * h_like(x)
        with torch.no_grad():
            self.mean = h.mean((0, 2)) * 0.1
        return h.mean(2), h.detach().amax(2)


def h_like(x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.ones_like(x[:, :1])


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_what_needs_no_gradient_may_run_without(rule: str) -> None:
    x = models.one_hot(3, 60, unknown=True)
    method = DeepLiftShap(DinucleotideShuffle(n=3), rule=rule)
    result = attribute(Watched(), x, method, target=Output(2, head=0), precision="float64")
    assert result.max_relative_delta is not None
    assert result.max_relative_delta.max() <= 1e-9
    with torch.no_grad():  # of the caller
        again = attribute(Watched(), x, method, target=Output(2, head=0), precision="float64")
    assert torch.equal(result.multipliers, again.multipliers)


def test_a_linear_custom_autograd_function_keeps_its_gradient() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, h: Tensor) -> Tensor:
            return h + h * 1

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return 2 * gradient

    assert run(lambda h: torch.relu(Twice.apply(h))) <= 1e-9

    class Bent(Twice):
        @staticmethod
        def forward(ctx: Any, h: Tensor) -> Tensor:
            return (h * 2).relu()

    with pytest.raises(UnsupportedOperationError, match=r"mul under torch\.no_grad"):
        run(Bent.apply)


@pytest.mark.parametrize("activation", [torch.sigmoid, torch.relu])
def test_a_checkpointed_model_is_refused(activation: Any) -> None:
    """Its backward runs again without the rules: what it saved there would pass for slopes."""

    def operation(h: Tensor) -> Tensor:
        return torch.utils.checkpoint.checkpoint(activation, h, use_reentrant=False)

    with pytest.raises(UnsupportedOperationError, match=r"torch\.utils\.checkpoint.*if self\.training"):
        run(operation)


@pytest.mark.parametrize(
    "operation",
    [
        lambda h: torch.clamp(h, min=0.5 * h.roll(1, 2)),
        lambda h: torch.clamp(h, max=h.mean(2, keepdim=True)),
        lambda h: h.clamp(h[:, :1] - 0.1, h[:, 1:2] + 0.1),
        lambda h: h.clone().clamp_(max=h[:, 1:2].abs(), min=h[:, :1]),
        lambda h: torch.clamp(torch.full_like(h, 0.1), min=h),
        lambda h: h.clamp_min(h.flip(2)),
    ],
)
def test_bounds_of_a_clamp_may_be_activations(operation: Any) -> None:
    assert run(operation) <= 1e-9


def test_logit_is_exact_near_one_where_only_the_distance_to_one_has_a_scale() -> None:
    assert run(lambda h: torch.logit(1 - 1e-5 * (0.1 + torch.sigmoid(h)))) <= 1e-7


def test_a_clamp_between_activations_is_a_maximum_and_a_minimum() -> None:
    def clamped(h: Tensor) -> Tensor:
        return h.clamp(h[:, :1] - 0.1, h[:, 1:2] + 0.1)

    def composed(h: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(h, h[:, :1] - 0.1), h[:, 1:2] + 0.1)

    one, other = (attribute(Model(op), X, METHOD, precision="float64") for op in (clamped, composed))
    torch.testing.assert_close(one.multipliers, other.multipliers, rtol=0, atol=1e-12)


def test_torchscript_is_refused_with_its_name() -> None:
    model = Model(functional.relu)
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        model.inner = torch.jit.trace(Inner(nn.Tanh()), torch.zeros(1, 8, 54))
    with pytest.raises(UnsupportedOperationError, match="inner is TorchScript"):
        attribute(model, X, METHOD)


def test_an_exported_program_equals_the_eager_model() -> None:
    model = nn.Sequential(
        nn.Conv1d(4, 8, 7), nn.BatchNorm1d(8), nn.GELU(), nn.MaxPool1d(3), nn.Flatten(), nn.LayerNorm(144)
    )
    model = nn.Sequential(model, nn.Linear(144, 1), nn.Sigmoid()).eval()
    rows = torch.export.Dim("rows", min=2)
    program = torch.export.export(model, (X.float(),), dynamic_shapes=((rows, None, None),))
    eager = attribute(model, X, METHOD)
    exported = attribute(program, X, METHOD)
    torch.testing.assert_close(exported.hypothetical, eager.hypothetical, rtol=1e-4, atol=1e-7)


def test_a_model_that_changes_between_passes_is_refused() -> None:
    class Unsteady(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(4, 1, 5)
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            h = self.conv(x)
            return (torch.relu(h) if self.calls % 2 else torch.tanh(h)).sum(2)

    with pytest.raises(ModelError, match="different paths"):
        attribute(Unsteady(), X, METHOD)


class Interleaved(nn.Module):
    """Reorders its rows and undoes it: shapes are right, pairs are not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 8, 7)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.conv(x).roll(1, 0) - 0.2).roll(-1, 0)
        return h.mean((1, 2)).unsqueeze(1)


def test_rows_that_are_reordered_inside_are_noticed_and_repeated(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", logger="cislex"):
        result = attribute(Interleaved(), X, METHOD, precision="float64", batch_size=9)
    assert result.max_relative_delta is not None
    assert result.max_relative_delta.max() <= 1e-9
    assert "mixes rows" in caplog.text
    assert result.notes["pairing"]


class Counted(nn.Module):
    """Notes how many rows each call has."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.rows: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.rows.append(len(x))
        return self.inner(x)


@pytest.mark.parametrize("inner", [Interleaved, lambda: models.trap("merged_rows")])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
def test_repeated_examples_keep_to_the_batch_size(inner: Any, n: int, rows: int) -> None:
    x = X[:n].double()
    refs = make_references(METHOD.references, X[:n]).double()
    model, target = Counted(inner().double().requires_grad_(False)), Output(0)
    found = batch_multipliers(model, x, refs, [target], METHOD, rows=rows, repeat=True)
    assert max(model.rows) <= max(3, min(rows, 3 * n))
    assert len(model.rows) >= 2 * 3 * n / max(3, rows)
    expected = batch_multipliers(model, x, refs, [target], METHOD, repeat=True)
    torch.testing.assert_close(found.multipliers, expected.multipliers)
    torch.testing.assert_close(found.reference_prediction, expected.reference_prediction)
    assert found.delta is not None
    assert found.delta.shape == (1, n, 3)
    assert found.delta.abs().max() <= 1e-12
    assert found.notes == expected.notes


def test_merged_rows_with_few_pairs_at_once() -> None:
    model = Counted(models.trap("merged_rows").double())
    method = DeepLiftShap(DinucleotideShuffle(n=5))
    found = attribute(model, X, method, precision="float64", batch_size=2)
    assert max(model.rows) <= 3
    assert found.notes["pairing"]
    assert found.max_relative_delta is not None
    assert found.max_relative_delta.max() <= 1e-9


def test_a_model_that_differs_under_interception_is_refused() -> None:
    class Random(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x * torch.rand(())).sum((1, 2)).unsqueeze(1)

    with pytest.raises(ModelError, match="random numbers"):
        attribute(Random(), X, METHOD)


@pytest.mark.parametrize(
    ("order", "dim", "known"), [(2, 2, True), (None, (1, 2), True), ("fro", (1, 2), True), (2, (1, 2), False)]
)
def test_a_norm_of_matrices_is_not_taken_for_one_of_vectors(order: Any, dim: Any, known: bool) -> None:
    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(4, 3, 5)

        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.norm(self.conv(x), order, dim=dim).reshape(len(x), -1).sum(1, keepdim=True)

    x = functional.one_hot(torch.randint(0, 4, (3, 30)), 4).transpose(1, 2)
    model = Norm().double()
    if not known:
        with pytest.raises(UnsupportedOperationError, match="linalg_norm"):
            attribute(model, x, DeepLiftShap(DinucleotideShuffle(n=3)), precision="float64")
        return
    result = attribute(model, x, DeepLiftShap(DinucleotideShuffle(n=3)), precision="float64")
    assert float(result.max_relative_delta.max()) < 1e-9
