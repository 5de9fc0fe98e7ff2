"""Programs of torch.export give the numbers of the eager model; TorchScript says what it cannot do."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import attribution_models as models
import pytest
import torch
from cislex.attribution import (
    DinucleotideShuffle,
    attribute,
)
from cislex.errors import ModelError, UnsupportedOperationError
from cislex.targets import LogCounts
from torch import Tensor, nn

L = 40
X = models.one_hot(3, L)
REFERENCES = DinucleotideShuffle(n=2)
METHODS = models.methods(REFERENCES, steps=6, window=(10, 14))


class _BPNet(nn.Module):
    """Dilated residual convolutions, cropped, with a profile and a counts head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 6, 7, padding=3)
        self.layers = nn.ModuleList(nn.Conv1d(6, 6, 3, padding=2**i, dilation=2**i) for i in range(3))
        self.profile = nn.Conv1d(6, 1, 9, padding=4)
        self.counts = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.stem(x))
        for layer in self.layers:
            h = h + torch.relu(layer(h))
        return self.profile(h)[:, :, 8:-8], self.counts(h[:, :, 4:-4].mean(2))


class _Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(4, 6, 5, padding=2), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten()
        )
        self.head = nn.Sequential(nn.Linear(6 * (L // 4), 5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x))


class _Normalised(nn.Module):
    """Batch normalisation with and without weights, whose arguments a program has in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 5)
        self.norms = nn.ModuleList([nn.BatchNorm1d(6, affine=False), nn.BatchNorm1d(6)])
        for norm in self.norms:
            nn.init.normal_(norm.running_mean, std=0.3)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
        nn.init.normal_(self.norms[1].weight)
        self.head = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x)
        for norm in self.norms:
            h = torch.relu(norm(h))
        return self.head(h.mean(2))


BUILDERS: dict[str, Any] = {
    "batch_norm": _Normalised,
    "bpnet": _BPNet,
    "cnn_with_max_pool": _Pooled,
    "lstm": lambda: models.trap("lstm"),
    "attention": lambda: models.trap("multi_head_attention"),
    "layer_norm": lambda: models.trap("layer_norm_module"),
    "plain_attention": lambda: models.trap("softmax_attention"),
}


def build(name: str) -> nn.Module:
    torch.manual_seed(2)
    return BUILDERS[name]().eval()


def exported(model: nn.Module, *, rows: int | None = None) -> torch.export.ExportedProgram:
    """A program for any number of rows, or for exactly ``rows``."""
    example = torch.zeros(rows or 3, 4, L)
    shapes = None if rows else ({0: torch.export.Dim.AUTO},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(model, (example,), dynamic_shapes=shapes)


def target_of(name: str) -> Any:
    return LogCounts() if name == "bpnet" else 1 if name == "cnn_with_max_pool" else 0


@pytest.fixture(scope="module")
def programs() -> dict[str, torch.export.ExportedProgram]:
    return {name: exported(build(name)) for name in BUILDERS}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("method", METHODS)
def test_a_program_gives_what_the_model_gives(
    name: str, method: str, programs: dict[str, torch.export.ExportedProgram]
) -> None:
    expected = attribute(build(name), X, METHODS[method], target=target_of(name))
    found = attribute(programs[name], X, METHODS[method], target=target_of(name))
    scale = expected.hypothetical.abs().max()
    assert scale > 1e-6
    assert (found.hypothetical - expected.hypothetical).abs().max() <= 2e-4 * scale
    torch.testing.assert_close(found.prediction, expected.prediction, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["bpnet", "cnn_with_max_pool", "layer_norm"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [1, 4])
def test_a_program_for_one_batch_size_is_called_in_a_loop(
    name: str, method: str, rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    program = exported(build(name), rows=rows)
    with caplog.at_level(logging.WARNING):
        found = attribute(program, X, METHODS[method], target=target_of(name))
    assert f"batches of exactly {rows}" in caplog.text
    assert "dynamic_shapes" in caplog.text
    expected = attribute(build(name), X, METHODS[method], target=target_of(name))
    scale = expected.hypothetical.abs().max()
    assert (found.hypothetical - expected.hypothetical).abs().max() <= 2e-4 * scale


def test_the_module_of_a_program_is_taken_too(programs: dict[str, torch.export.ExportedProgram]) -> None:
    method = METHODS["deep_lift_shap"]
    found = attribute(programs["cnn_with_max_pool"].module(), X, method)
    expected = attribute(build("cnn_with_max_pool"), X, method)
    torch.testing.assert_close(found.hypothetical, expected.hypothetical, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["bpnet", "cnn_with_max_pool", "layer_norm", "attention"])
def test_a_program_in_double_precision(name: str, programs: dict[str, torch.export.ExportedProgram]) -> None:
    found = attribute(
        programs[name], X, METHODS["deep_lift_shap"], target=target_of(name), precision="float64"
    )
    assert found.max_relative_delta is not None
    assert found.max_relative_delta.max() <= 1e-6


def test_a_length_that_a_program_cannot_take_is_named(
    programs: dict[str, torch.export.ExportedProgram],
) -> None:
    with pytest.raises(ModelError, match=r"cannot take sequences of shape \(N, 4, 50\)"):
        attribute(programs["cnn_with_max_pool"], models.one_hot(2, 50), METHODS["saliency"])


@pytest.fixture(scope="module")
def script() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(build("cnn_with_max_pool"), torch.zeros(2, 4, L))


@pytest.mark.parametrize("method", ["deep_lift_shap", "reveal_cancel"])
def test_torchscript_is_refused_where_operations_must_be_seen(script: Any, method: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=r"TorchScript.*torch\.export program"):
        attribute(script, X, METHODS[method])
    inside = nn.Sequential(nn.Identity(), script)
    with pytest.raises(UnsupportedOperationError, match=r"module 1 is TorchScript"):
        attribute(inside, X, METHODS[method])


@pytest.mark.parametrize("method", ["saliency", "tism", "integrated_gradients", "expected_gradients", "ism"])
def test_torchscript_is_taken_for_gradients_and_ism(script: Any, method: str) -> None:
    found = attribute(script, X, METHODS[method], target=1)
    expected = attribute(build("cnn_with_max_pool"), X, METHODS[method], target=1)
    torch.testing.assert_close(found.hypothetical, expected.hypothetical, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("how", ["wrapped", "in_place", "inside"])
def test_compiled_models_are_taken_apart(how: str) -> None:
    expected = attribute(build("cnn_with_max_pool"), X, METHODS["deep_lift_shap"])
    model: Any = build("cnn_with_max_pool")
    if how == "wrapped":
        model = torch.compile(model, backend="eager")
    elif how == "in_place":
        model.compile(backend="eager")
    else:
        model.head = torch.compile(model.head, backend="eager")
    found = attribute(model, X, METHODS["deep_lift_shap"])
    assert torch.equal(found.hypothetical, expected.hypothetical)
    if how == "in_place":
        assert model._compiled_call_impl is not None
