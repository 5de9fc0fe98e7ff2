"""Whatever happens inside, the model and the process are afterwards as they were before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attribution_models as models
import numpy as np
import pytest
import torch
from cislex.attribution import (
    DinucleotideShuffle,
    attribute,
    attribute_batches,
)
from cislex.errors import ModelError
from torch import Tensor, nn

X = models.one_hot(3, 60)
REFERENCES = DinucleotideShuffle(n=2)
METHODS = models.methods(REFERENCES, steps=3, window=(20, 23))


class Bomb(nn.Module):
    """Batch norm and dropout in training mode, a hook, a frozen weight; raises at its n-th call."""

    def __init__(self, error: BaseException | None = None, calls: int = 0) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv1d(4, 6, 7)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, 1)
        self.conv.weight.requires_grad_(False)
        self.conv.bias.grad = torch.ones(6)
        self.hooked = 0
        self.head.register_forward_hook(self._count)
        self.norm.eval()
        self.error, self.left = error, calls

    def _count(self, *_: Any) -> None:
        self.hooked += 1

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        if self.error is not None and self.left < 0:
            raise self.error
        return self.head(self.drop(torch.relu(self.norm(self.conv(x)))).mean(2))


def readable(setting: Any) -> Any:
    """A setting, or None where torch refuses to say because the user has mixed the old and the new way."""
    try:
        return setting()
    except RuntimeError:
        return None


def state(model: nn.Module) -> dict[str, Any]:
    """Everything that a call might leave changed."""
    backends = torch.backends
    return {
        "modes": [module.training for module in model.modules()],
        "flags": [p.requires_grad for p in model.parameters()],
        "gradients": [None if p.grad is None else (id(p.grad), p.grad.tolist()) for p in model.parameters()],
        "parameters": [(p.data_ptr(), p._version, p.dtype, p.tolist()) for p in model.parameters()],
        "buffers": [(b.data_ptr(), b._version, b.tolist()) for b in model.buffers()],
        "hooks": [
            [list(getattr(module, name)) for name in sorted(vars(module)) if name.endswith("_hooks")]
            for module in model.modules()
        ],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "torch generator": torch.get_rng_state().tolist(),
        "numpy generator": str(np.random.get_state()),
        "python generator": random.getstate(),
        "tf32": [
            backends.cuda.matmul.fp32_precision,
            backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
            backends.cudnn.rnn.fp32_precision,  # type: ignore[attr-defined]
            backends.mkldnn.matmul.fp32_precision,  # type: ignore[attr-defined]
            readable(torch.get_float32_matmul_precision),
            readable(lambda: backends.cudnn.allow_tf32),
        ],
        "cudnn": [backends.cudnn.enabled, backends.cudnn.benchmark, backends.cudnn.deterministic],
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "modes of torch": [
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.overrides._get_current_function_mode_stack(),
        ],
    }


@contextmanager
def flags(choice: str) -> Iterator[None]:
    """One of the ways in which users choose TF32."""
    backends: Any = torch.backends
    choosers = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn, backends.mkldnn.matmul]
    before = [chooser.fp32_precision for chooser in choosers]
    matmul, convolutions = torch.get_float32_matmul_precision(), backends.cudnn.allow_tf32
    try:
        if choice in ("medium", "high", "highest"):
            torch.set_float32_matmul_precision(choice)
        elif choice == "old":
            backends.cuda.matmul.allow_tf32 = True
            backends.cudnn.allow_tf32 = False
        elif choice == "new":
            for chooser in choosers[:3]:
                chooser.fp32_precision = "tf32"
        elif choice == "mixed":  # torch itself refuses to read its old flags after this
            backends.cudnn.conv.fp32_precision = "ieee"
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        backends.cudnn.allow_tf32 = convolutions
        for chooser, value in zip(choosers, before, strict=True):
            chooser.fp32_precision = value


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("reverse_complement", [False, True])
def test_after_a_call(name: str, reverse_complement: bool) -> None:
    model = Bomb().train()
    model.norm.eval()
    before = state(model)
    attribute(model, X, METHODS[name], reverse_complement=reverse_complement)
    assert state(model) == before


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
@pytest.mark.parametrize("calls", [0, 2, 3])
def test_after_an_exception(name: str, error: BaseException, calls: int) -> None:
    model = Bomb(error, calls).train()
    before = state(model)
    with pytest.raises((type(error), ModelError)) as caught:
        attribute(model, X, METHODS[name], batch_size=2)
    assert caught.value is error or caught.value.__cause__ is error
    assert state(model) == before


@pytest.mark.parametrize("name", METHODS)
def test_between_batches_and_when_the_consumer_stops(name: str) -> None:
    model = Bomb().train()
    before = state(model)
    batches = attribute_batches(model, X, METHODS[name], [0], batch_size=2)
    next(batches)
    assert state(model) == before
    with pytest.raises(KeyboardInterrupt):
        batches.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert state(model) == before


@pytest.mark.parametrize("choice", ["medium", "high", "highest", "old", "new", "mixed"])
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_every_way_to_choose_tf32_is_restored(choice: str, precision: str) -> None:
    model = Bomb()
    seen: list[Any] = []

    def look(*_: Any) -> None:
        # The old flags can be read inside whatever the user had mixed: torch.backends.cudnn.flags does.
        seen.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
        seen.append(torch.backends.mkldnn.matmul.fp32_precision)  # type: ignore[attr-defined]

    model.register_forward_pre_hook(look)
    with flags(choice):
        before = state(model)
        attribute(model, X, METHODS["saliency"], precision=precision)
        assert state(model) == before
    wanted = precision == "tf32"
    assert set(seen) == {(wanted, wanted), "ieee"}


def test_reduced_matrix_products_of_the_user_do_not_reach_the_result() -> None:
    model = models.trap("layer_norm_module")
    expected = attribute(model, X, METHODS["deep_lift_shap"])
    with flags("medium"):
        found = attribute(model, X, METHODS["deep_lift_shap"])
    assert torch.equal(found.hypothetical, expected.hypothetical)


@pytest.mark.parametrize("name", METHODS)
def test_another_default_dtype_changes_nothing(name: str) -> None:
    model = models.trap("gate")
    expected = attribute(model, X, METHODS[name])
    torch.set_default_dtype(torch.float64)
    try:
        found = attribute(model, X, METHODS[name])
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found.hypothetical, expected.hypothetical)
    assert found.hypothetical.dtype == torch.float32


def test_autocast_around_the_call_does_not_reach_the_result() -> None:
    model = models.trap("gate")
    expected = attribute(model, X, METHODS["deep_lift_shap"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attribute(model, X, METHODS["deep_lift_shap"])
        assert torch.is_autocast_enabled("cpu")
    assert torch.equal(found.hypothetical, expected.hypothetical)


@pytest.mark.parametrize("name", METHODS)
def test_the_sequences_and_inputs_of_the_user_are_not_written(name: str) -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor, control: Tensor) -> Tensor:
            h = x * 1.0
            control = control.clone()
            h.mul_(2)
            return (torch.sigmoid(h).mean((1, 2)) + control.mean(1)).unsqueeze(1)

    x, control = X.float(), torch.ones(3, 2)
    attribute(InPlace(), x, METHODS[name], extra_inputs=(control,))
    assert torch.equal(x, X.float())
    assert torch.equal(control, torch.ones(3, 2))


@pytest.mark.parametrize("name", METHODS)
def test_double_precision_borrows_a_copy(name: str) -> None:
    model = Bomb().train()
    before = state(model)
    attribute(model, X, METHODS[name], precision="float64")
    assert state(model) == before


class Counter(nn.Module):
    """Counts its calls in one buffer, puts another in its place, and registers a third."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(1))
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen = self.seen.new_full((1,), len(x))
        self.register_buffer("late", torch.ones(2))
        return self.head(torch.relu(x.mean(2)))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("inference", [False, True])
def test_buffers_that_a_forward_changes_are_as_before(method: Any, inference: bool) -> None:
    with torch.inference_mode(inference):
        model = Counter()
    before = {name: (tensor, tensor.clone()) for name, tensor in model.named_buffers()}
    attribute(model, X, method)
    assert set(dict(model.named_buffers())) == set(before)
    for name, tensor in model.named_buffers():
        assert tensor is before[name][0]
        assert torch.equal(tensor, before[name][1])


@pytest.mark.parametrize("precision", [None, "float64"])
def test_calls_inside_inference_mode_are_as_outside(precision: str | None) -> None:
    expected = attribute(Counter(), X, METHODS["deep_lift_shap"], precision=precision)
    torch.manual_seed(5)
    with torch.inference_mode():
        found = attribute(Counter(), X, METHODS["deep_lift_shap"], precision=precision)
    assert found.hypothetical.shape == expected.hypothetical.shape
    assert found.max_relative_delta is not None
    assert found.max_relative_delta.max() < 1e-4
