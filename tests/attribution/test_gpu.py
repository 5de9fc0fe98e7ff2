"""A GPU gives what a processor gives. Skipped without one; all of it: ``pytest -m gpu``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attribution_models as models
import pytest
import torch
from cislex.attribution import (
    ISM,
    Attribution,
    DeepLiftShap,
    DinucleotideShuffle,
    Saliency,
    Shuffle,
    attribute,
    attribute_batches,
    attribute_positions,
    attribute_targets,
    deletions,
    insertions,
    make_references,
    substitutions,
)
from cislex.errors import InputError, ModelError
from cislex.targets import Difference, Output

REFERENCES = DinucleotideShuffle(n=4)
METHODS = models.methods(REFERENCES, steps=8, window=(20, 40))
X = models.one_hot(7, 60, unknown=True)
#: float32 of another summation order, and float64.
TOLERANCES = {"float32": 1e-4, "float64": 1e-9}


@pytest.fixture
def device() -> str:
    """Return the GPU that torch chooses."""
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    return "cuda"


pytestmark = pytest.mark.gpu


def same(here: Attribution, there: Attribution, precision: str) -> None:
    """Compare what two devices found."""
    tolerance = TOLERANCES[precision]
    for name in ("hypothetical", "prediction", "tism"):
        ours, theirs = getattr(here, name), getattr(there, name)
        assert theirs.device.type == "cpu"
        assert (ours - theirs).abs().max() <= tolerance * ours.abs().max().clamp(min=1e-3), name
    if here.max_relative_delta is not None and there.max_relative_delta is not None:
        assert (there.max_relative_delta - here.max_relative_delta).max() <= tolerance


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("name", METHODS)
def test_every_method(name: str, precision: str, device: str) -> None:
    model = models.trap("residual_dilated")
    here = attribute(model, X, METHODS[name], precision=precision)
    there = attribute(model, X, METHODS[name], precision=precision, device=device)
    same(here, there, precision)
    assert next(model.parameters()).device.type == "cpu", "the model goes back to where it was"


@pytest.mark.parametrize("name", models.TRAPS)
def test_every_operation(name: str, device: str) -> None:
    model, method = models.trap(name), DeepLiftShap(references=REFERENCES)
    here = attribute(model, X[:3], method, precision="float64")
    there = attribute(model, X[:3], method, precision="float64", device=device)
    same(here, there, "float64")
    assert here.notes == there.notes


@pytest.mark.parametrize("kind", [DinucleotideShuffle(n=3), DinucleotideShuffle(n=3, start=10), Shuffle(n=3)])
def test_references_are_the_same(kind: Any, device: str) -> None:
    made = make_references(kind, X.to(device))
    assert torch.equal(made.cpu(), make_references(kind, X))


def test_models_that_live_on_the_gpu_stay_there(device: str) -> None:
    model = models.trap("residual_dilated").to(device)
    there = attribute(model, X, Saliency())
    assert next(model.parameters()).is_cuda
    same(attribute(model.cpu(), X, Saliency()), there, "float32")


def test_tf32_is_off_inside_and_as_before_afterwards(device: str) -> None:
    seen: list[bool] = []

    class Watching(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = models.trap("residual_dilated")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32)
            return self.inner(x)

    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    attribute(Watching(), X, Saliency(), device=device)
    assert seen
    assert not any(seen)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before
    seen.clear()
    attribute(Watching(), X, Saliency(), device=device, precision="tf32")
    assert all(seen)


def test_batches_of_any_size_with_both_strands_and_several_targets(device: str) -> None:
    model, targets = models.trap("residual_dilated"), [Output(0), Difference(Output(1), Output(0))]
    method = DeepLiftShap(references=REFERENCES)
    expected = attribute_targets(model, X, method, targets, reverse_complement=True)
    rows = list(
        attribute_batches(model, X, method, targets, reverse_complement=True, batch_size=9, device=device)
    )
    assert rows[0][0].start == 0
    assert sum(part.stop - part.start for part, _ in rows) == len(X)
    for part, found in rows:
        for ours, theirs in zip(expected, found, strict=True):
            scale = ours.hypothetical.abs().max()
            assert (ours.hypothetical[part] - theirs.hypothetical).abs().max() <= 1e-4 * scale


PERTURBATIONS: dict[str, Callable[..., Any]] = {
    "deletions": lambda model, **options: deletions(model, X, 3, **options).effects,
    "insertions": lambda model, **options: insertions(model, X, "ACGT", **options).effects,
    "substitutions": lambda model, **options: substitutions(model, X, "ACGT", **options).effects,
    "substitutions of bases": lambda model, **options: attribute(model, X, ISM(), **options).multipliers,
}


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_perturbations(name: str, device: str) -> None:
    model = models.trap("residual_dilated")
    expected, found = PERTURBATIONS[name](model), PERTURBATIONS[name](model, device=device)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_a_recurrent_network_has_gradients_in_evaluation_mode(device: str) -> None:
    class Recurrent(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.lstm, self.head = torch.nn.LSTM(4, 6, batch_first=True), torch.nn.Linear(6, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.lstm(x.transpose(1, 2))[0].mean(1))

    model = Recurrent().eval()
    same(attribute(model, X, Saliency()), attribute(model, X, Saliency(), device=device), "float32")


def test_memory_that_is_short_halves_the_batch(device: str) -> None:
    model, method = models.trap("residual_dilated"), Saliency()
    x = models.one_hot(256, 600)
    expected = attribute(model, x, method, device=device)
    _, total = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, 48e6 / total))
    try:
        found = attribute(model, x, method, device=device, batch_size=256)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    same(expected, found, "float32")


def test_errors_come_from_the_gpu_too(device: str) -> None:
    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum((1, 2))[:, None] * torch.nan

    with pytest.raises(ModelError, match="returns nan for examples 0, 1"):
        attribute(Broken(), X, Saliency(), device=device)
    with pytest.raises(InputError, match="one-hot"):
        attribute(models.trap("residual_dilated"), X * 2, Saliency(), device=device)


def test_positions_of_a_profile(device: str) -> None:
    class Profiled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.last = torch.nn.Conv1d(4, 6, 7, padding=3), torch.nn.Conv1d(6, 1, 5, padding=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x).relu())

    expected, found = (
        attribute_positions(Profiled(), X[:2], METHODS["deep_lift_shap"], positions=[10, 30], **options)
        for options in ({}, {"device": device})
    )
    scale = expected.contributions.abs().max()
    assert (expected.contributions - found.contributions).abs().max() <= 1e-4 * scale
