"""The evaluator of mutants: memory, awkward models, and everything as it was afterwards."""

from __future__ import annotations

import logging
from typing import Any

import attribution_models as models
import pytest
import torch
from cislex.attribution import scrambles
from cislex.attribution.mutagenesis.incremental.columns import MutantColumns
from cislex.attribution.mutagenesis.mutants import one_hot, to_codes
from cislex.errors import ModelError
from torch import Tensor, nn

X = models.one_hot(4, 40, unknown=True)
WINDOWS = [[0, 10], [12, 20], [20, 40]]
OPTIONS: dict[str, Any] = {"n": 4, "precision": "float64"}


class Short(nn.Module):
    """Has memory for a few rows only, after the first sequence was tried."""

    def __init__(self, inner: nn.Module, rows: int) -> None:
        super().__init__()
        self.inner, self.rows, self.calls = inner, rows, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if len(x) > self.rows and self.calls > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return self.inner(x)


@pytest.mark.parametrize("batch", [None, 9])
def test_short_memory_halves_the_batch(batch: int | None, caplog: pytest.LogCaptureFixture) -> None:
    model = models.trap("residual_dilated").double()
    expected = scrambles(model, X, WINDOWS, **OPTIONS)
    with caplog.at_level(logging.WARNING):
        found = scrambles(Short(model, 2), X, WINDOWS, batch_size=batch, **OPTIONS)
    torch.testing.assert_close(found.draws, expected.draws, rtol=1e-9, atol=1e-12)
    assert "batch size halved" in caplog.text
    assert "halved to 2 pairs" in found.notes["batch_size"]


def test_no_memory_at_all_is_an_error() -> None:
    with pytest.raises(ModelError, match="out of memory with a single"):
        scrambles(Short(models.trap("residual_dilated").double(), 0), X, WINDOWS, **OPTIONS)


def test_an_error_of_the_model_is_its_own() -> None:
    class Late(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            Late.calls += 1
            if Late.calls > 4:
                raise RuntimeError("broken inside")
            return x.sum((1, 2)).unsqueeze(1)

    with pytest.raises(RuntimeError, match="broken inside"):
        scrambles(Late(), X, WINDOWS, **OPTIONS)


def test_interruption_leaves_the_model_as_it_was() -> None:
    class Interrupted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.calls = nn.Conv1d(4, 2, 3), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 4:
                raise KeyboardInterrupt
            return self.conv(x).mean(2)

    model = Interrupted().train()
    allowed = torch.backends.cudnn.allow_tf32
    with pytest.raises(KeyboardInterrupt):
        scrambles(model, X, WINDOWS, n=4)
    assert model.training
    assert model.conv.weight.requires_grad
    assert torch.backends.cudnn.allow_tf32 == allowed


def test_a_model_that_squeezes_its_rows() -> None:
    class Squeezing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = models.trap("gate").double()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)[:, :1].squeeze()

    model = Squeezing()
    expected = scrambles(model.inner, X, WINDOWS, **OPTIONS)
    found = scrambles(model, X, WINDOWS, batch_size=1, **OPTIONS)
    torch.testing.assert_close(found.draws, expected.draws, rtol=1e-9, atol=1e-12)


def test_an_exported_program() -> None:
    model = models.trap("residual_dilated").double()
    rows = torch.export.Dim("rows", min=1, max=64)
    program = torch.export.export(model, (X.double(),), dynamic_shapes=({0: rows},))
    expected = scrambles(model, X, WINDOWS, **OPTIONS)
    found = scrambles(program, X, WINDOWS, **OPTIONS)
    torch.testing.assert_close(found.draws, expected.draws, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_lower_precisions(precision: str) -> None:
    model = models.trap("residual_dilated")
    exact = scrambles(model, X, WINDOWS, **OPTIONS)
    found = scrambles(model, X, WINDOWS, n=4, precision=precision)
    scale = exact.prediction.abs().max()
    assert (found.draws - exact.draws).abs().max() < (1e-6 if precision == "float32" else 3e-2) * scale
    assert found.draws.dtype == torch.float32
    assert "mutants" not in found.notes


def test_windows_of_columns_where_mutants_are_many() -> None:
    """Few mutants are not worth the comparison of both paths."""
    seen: list[type] = []
    model = models.trap("module_relu").double()
    model.conv.register_forward_pre_hook(lambda _, given: seen.append(type(given[0])))
    scrambles(model, X[:1], WINDOWS[:1], **OPTIONS)
    assert MutantColumns not in seen
    scrambles(model, X[:1], WINDOWS[:1], **{**OPTIONS, "n": 16})
    assert MutantColumns in seen


def test_codes_and_one_hot_are_inverse() -> None:
    assert torch.equal(one_hot(to_codes(X)), X)
    assert to_codes(X)[1, 10:13].tolist() == [4, 4, 4]
    assert torch.equal(one_hot(to_codes(X[0])), X[0])


@pytest.mark.gpu
def test_a_gpu_gives_what_the_processor_gives() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model = models.trap("residual_dilated")
    expected = scrambles(model, X, WINDOWS, n=16)
    found = scrambles(model, X, WINDOWS, n=16, device="cuda")
    torch.testing.assert_close(found.draws, expected.draws, rtol=1e-4, atol=1e-5)
    assert "mutants" not in found.notes
