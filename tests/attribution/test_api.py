"""The public calls: what they refuse, and that they leave everything as it was."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import attribution_models as models
import cislex.attribution.execution.batching as batching
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from cislex.attribution import (
    ISM,
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    FixedReferences,
    IntegratedGradients,
    Saliency,
    Zeros,
    attribute,
    attribute_batches,
    attribute_targets,
)
from cislex.errors import ConfigError, InputError, ModelError
from cislex.targets import Difference, Output, PreActivation, Profile
from torch import Tensor, nn

X = models.one_hot(4, 60)
METHOD = DeepLiftShap(DinucleotideShuffle(n=3))


@pytest.fixture
def model() -> nn.Module:
    return models.trap("dropout")


@pytest.mark.parametrize(
    ("sequences", "text"),
    [
        (X.transpose(1, 2), r"looks like \(N, L, 4\)"),
        (X[0], r"sequences\[None\]"),
        (X.float() * 0.5, "not one-hot at example 0 position 0, .*in all"),
        (X + X.roll(1, 1), "several bases in one column at example 0 position 0"),
        (torch.full((2, 4, 60), float("nan")), "NaN at example 0 position 0"),
        (X.to(torch.complex64), "dtype"),
        (X[:, :, :0], "length 0"),
        ("ACGT", "expected"),
    ],
)
def test_bad_sequences_are_named(model: nn.Module, sequences: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        attribute(model, sequences, METHOD)


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64, np.int64, bool])
def test_numpy_of_any_number_is_taken(model: nn.Module, kind: Any) -> None:
    result = attribute(model, X.numpy().astype(kind), METHOD)
    torch.testing.assert_close(result.hypothetical, attribute(model, X, METHOD).hypothetical)
    assert result.sequences.dtype == torch.uint8


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"seeds": [1, 2]}, InputError, r"seeds: found shape \(2,\), expected \(4,\)"),
        ({"seeds": [0.5] * 4}, InputError, "whole numbers"),
        ({"target": 7}, ModelError, "out of range"),
        ({"target": lambda y: y}, ModelError, "one number"),
        ({"target": lambda y: y.sum()}, ModelError, "one number"),
        ({"target": "reb1"}, ConfigError, "target"),
        ({"extra_inputs": (torch.zeros(3, 1),)}, InputError, r"extra_inputs\[0\]"),
        ({"batch_size": 0}, ConfigError, "batch_size"),
        ({"precision": "float16"}, ConfigError, "bfloat16"),
    ],
)
def test_bad_options_are_named(
    model: nn.Module, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        attribute(model, X, METHOD, **options)


def test_a_length_that_the_model_cannot_take_is_named() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4 * 50, 1))
    with pytest.raises(ModelError, match=r"cannot take sequences of shape \(N, 4, 60\)"):
        attribute(model, X, METHOD)


def test_a_model_that_returns_nan_is_named() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.log(x.sum((1, 2)) - x[:, 0, 0] * 1e9 - 1e5).unsqueeze(1)

    with pytest.raises(ModelError, match="nan"):
        attribute(Broken(), X, METHOD)


def test_references_that_do_not_fit_are_named(model: nn.Module) -> None:
    with pytest.raises(InputError, match="references"):
        attribute(model, X, DeepLiftShap(FixedReferences(torch.zeros(2, 4, 50))))


def test_not_a_method_and_not_a_model_are_named(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match="DeepLiftShap"):
        attribute(model, X, "deep_lift_shap")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="expected a torch"):
        attribute(object(), X, METHOD)


def _state(model: nn.Module) -> list[Any]:
    return [
        [module.training for module in model.modules()],
        [(p.requires_grad, p.grad, p.data_ptr(), p._version) for p in model.parameters()],
        [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()],
        torch.get_rng_state().tolist(),
        (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32),
        torch.is_grad_enabled(),
    ]


class Bomb(nn.Module):
    """Raises at its n-th call."""

    def __init__(self, error: BaseException, calls: int) -> None:
        super().__init__()
        self.inner = models.trap("dropout")
        self.error = error
        self.left = calls

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return self.inner(x)


@pytest.mark.parametrize("method", [METHOD, Saliency()])
def test_the_model_is_untouched_after_a_call(method: Any) -> None:
    model = models.trap("batch_norm").train()
    model.conv.weight.requires_grad_(False)
    model.conv.bias.grad = torch.ones(8)
    grad = model.conv.bias.grad
    before = _state(model)
    attribute(model, X, method)
    assert _state(model) == before
    assert model.conv.bias.grad is grad


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
@pytest.mark.parametrize("calls", [0, 1, 2])
def test_the_model_is_untouched_after_an_exception(error: BaseException, calls: int) -> None:
    model = Bomb(error, calls).train()
    before = _state(model)
    with pytest.raises((type(error), ModelError)):
        attribute(model, X, METHOD)
    assert _state(model) == before


def test_the_model_is_as_it_was_between_batches() -> None:
    model = models.trap("dropout").train()
    before = _state(model)
    for _ in attribute_batches(model, X, METHOD, [0], batch_size=3):
        assert _state(model) == before


def test_works_inside_inference_mode_and_no_grad(model: nn.Module) -> None:
    expected = attribute(model, X, METHOD).hypothetical
    with torch.inference_mode():
        found = attribute(model, X, METHOD).hypothetical
    with torch.no_grad():
        again = attribute(model, X, METHOD).hypothetical
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(again, expected)


def test_batches_are_rows_in_order_and_equal_the_whole(model: nn.Module) -> None:
    whole = attribute_targets(model, X, METHOD, [0, 1])
    stop = 0
    for rows, results in attribute_batches(model, X, METHOD, [0, 1], batch_size=6):
        assert rows.start == stop
        stop = rows.stop
        for part, full in zip(results, whole, strict=True):
            torch.testing.assert_close(part.hypothetical, full.hypothetical[rows])
            assert part.products is None
    assert stop == len(X)


def test_no_sequences_give_an_empty_result(model: nn.Module) -> None:
    result = attribute(model, X[:0], METHOD)
    assert result.hypothetical.shape == (0, 4, 60)
    assert result.delta is not None
    assert result.delta.shape == (0, 3)
    assert list(attribute_batches(model, X[:0], METHOD, [0])) == []


class Hungry(nn.Module):
    """Runs out of memory above a number of rows, as a GPU does."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.inner = models.trap("module_relu")
        self.rows = rows
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        if len(x) > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return self.inner(x)


def test_batch_size_is_halved_when_memory_is_short() -> None:
    model = Hungry(2)
    expected = attribute(model.inner, X, METHOD).hypothetical
    result = attribute(model, X, METHOD, batch_size=12)
    torch.testing.assert_close(result.hypothetical, expected)
    assert "halved" in result.notes["batch_size"]


def test_memory_short_for_one_pair_is_a_named_error() -> None:
    size = batching.BatchSize(torch.device("cpu"), 1, 100)
    with pytest.raises(ModelError, match="single example-reference pair"):
        size.halve(torch.OutOfMemoryError("no"))


def test_extra_inputs_reach_the_model_row_by_row() -> None:
    class Controlled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv1d(4, 3, 5)

        def forward(self, x: Tensor, control: Tensor) -> Tensor:
            return torch.tanh(self.conv(x).mean(2) + control).sum(1, keepdim=True)

    control = torch.linspace(-1, 1, 4)[:, None]
    model = Controlled()
    result = attribute(model, X, METHOD, extra_inputs=(control,), precision="float64")
    assert result.max_relative_delta is not None
    assert result.max_relative_delta.max() <= 1e-9
    alone = attribute(model, X[2:3], METHOD, extra_inputs=(control[2:3],), precision="float64")
    torch.testing.assert_close(alone.hypothetical[0], result.hypothetical[2])


def test_a_model_that_squeezes_its_rows_away() -> None:
    class Squeezing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv1d(4, 3, 5)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.conv(x)).mean((1, 2), keepdim=True).squeeze()

    result = attribute(Squeezing(), X[:1], METHOD, precision="float64")
    assert result.max_relative_delta is not None
    assert result.max_relative_delta.max() <= 1e-9


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("tf32", 1e-4), ("bfloat16", 0.1)])
def test_precisions_agree_within_their_digits(precision: str, tolerance: float) -> None:
    model = models.trap("residual_dilated")
    truth = attribute(model, X, METHOD, precision="float64").hypothetical
    found = attribute(model, X, METHOD, precision=precision)
    assert found.hypothetical.dtype == torch.float32
    assert found.notes["precision"] == precision
    assert (found.hypothetical - truth).abs().max() <= tolerance * truth.abs().max()


def test_unknown_bases_contribute_nothing_and_the_sum_holds() -> None:
    x = models.one_hot(2, 60, unknown=True)
    result = attribute(models.trap("module_relu"), x, METHOD, precision="float64")
    assert (result.contributions[1, :, 10:13] == 0).all()
    assert result.reference_prediction is not None
    total = result.prediction - result.reference_prediction.mean(1)
    torch.testing.assert_close(result.contributions.sum((1, 2)), total)


def test_zero_references_give_the_difference_from_nothing(model: nn.Module) -> None:
    result = attribute(model, X, DeepLiftShap(Zeros()), precision="float64")
    assert (result.baseline == 0).all()


class Both(NamedTuple):
    profile: Tensor
    counts: Tensor
    loss: Tensor | None = None


CONTAINERS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "a tuple": lambda profile, counts: (profile, counts),
    "a named tuple": Both,
    "a named tuple with a number": lambda profile, counts: Both(profile, counts, counts.new_zeros(())),
    "a list with more": lambda profile, counts: [profile, counts, None, 3],
    "an ordered dictionary": lambda profile, counts: OrderedDict(profile=profile, counts=counts, loss=None),
    "a dictionary that starts with nothing": lambda profile, counts: {
        "loss": None,
        "temperature": counts.new_ones(()),
        "profile": profile,
        "counts": counts,
    },
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    "method",
    [
        METHOD,
        DeepLiftShap(METHOD.references, rule="reveal_cancel"),
        IntegratedGradients(3),
        TISM(),
        ISM(2, 6),
    ],
    ids=["deep_lift_shap", "reveal_cancel", "integrated_gradients", "tism", "ism"],
)
def test_outputs_may_come_in_any_container(container: str, method: Any) -> None:
    class Contained(nn.Module):
        def __init__(self, container: Callable[[Tensor, Tensor], Any]) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.counts = nn.Conv1d(4, 3, 5), nn.Linear(3, 2)
            self.container = container

        def forward(self, x: Tensor) -> Any:
            h = functional.softplus(self.conv(x))
            return self.container(h, torch.sigmoid(self.counts(h.mean(2))))

    by_name = "dictionary" in container
    heads: tuple[Any, Any] = ("profile", "counts") if by_name else (0, 1)
    targets = [
        Profile(head=heads[0]),
        Output(1, head=heads[1]),
        Difference(PreActivation(Output(0, head=heads[1])), Profile("example", head=heads[0])),
    ]
    expected = attribute_targets(
        Contained(CONTAINERS["a tuple"]), X, method,
        [Profile(), Output(1, head=1), Difference(PreActivation(Output(0, head=1)), Profile("example"))],
        precision="float64",
    )  # fmt: skip
    found = attribute_targets(
        Contained(CONTAINERS[container]), X, method, targets, precision="float64", batch_size=5
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.multipliers, theirs.multipliers)
        torch.testing.assert_close(ours.prediction, theirs.prediction)
