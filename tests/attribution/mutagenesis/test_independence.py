"""A value is the sequence's own in every method: no random numbers, and nothing of its neighbours."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attribution_models as models
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from cislex.attribution import (
    ISM,
    DeepLiftShap,
    DinucleotideShuffle,
    IntegratedGradients,
    Saliency,
    attribute,
    attribute_positions,
    attribute_targets,
    deletions,
    ism_distances,
)
from cislex.attribution.execution.batching import is_out_of_memory
from cislex.attribution.execution.model_context import prepare_model
from cislex.errors import CislexError, ModelError
from cislex.targets import Output
from torch import Tensor, nn

L = 30
X = models.one_hot(4, L)
METHODS = models.methods(DinucleotideShuffle(n=3), steps=4, window=(10, 12))
WITHOUT_RULES = [name for name in METHODS if name not in ("deep_lift_shap", "reveal_cancel")]
Crossing = Callable[[Tensor, Tensor], Tensor]


class Crossed(nn.Module):
    """A small network whose values are changed by a function of the batch."""

    def __init__(self, crossed: Crossing) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv1d(4, 8, 5), nn.ReLU(), nn.Flatten(), nn.Linear(8 * (L - 4), 2))
        self.crossed = crossed

    def forward(self, x: Tensor) -> Tensor:
        return self.crossed(x, self.net(x))


CROSSED: dict[str, Crossing] = {
    "composition of the batch": lambda x, y: y * 2 if x[:, 1].mean() > 0.25 else y,
    "composition of the first row": lambda x, y: y * 2 if x[0, 1].mean() > 0.25 else y,
    "sign of a mean": lambda x, y: y * 2 if y[:, 0].mean() > 0 else y,
    "last rows change places": lambda x, y: torch.cat([y[:-2], y[-1:], y[-2:-1]]),
    "mean of the batch": lambda x, y: y - y.mean(0, keepdim=True),
    "largest of the batch": lambda x, y: y / y.abs().max(),
    "number of rows": lambda x, y: y / len(y),
    "place in the batch": lambda x, y: y + torch.arange(len(y), dtype=y.dtype)[:, None],
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CROSSED)
def test_values_that_depend_on_the_batch_are_refused(name: str, method: str) -> None:
    with pytest.raises(CislexError) as error:
        attribute(Crossed(CROSSED[name]), X, METHODS[method])
    if method in WITHOUT_RULES:
        assert isinstance(error.value, ModelError)
        assert "in another batch" in str(error.value) or "same sequence" in str(error.value)


@pytest.mark.parametrize("name", ["composition of the batch", "last rows change places"])
def test_mutants_and_positions_are_refused_as_well(name: str) -> None:
    model = Crossed(CROSSED[name])
    with pytest.raises(ModelError, match="in another batch"):
        deletions(model, X)
    with pytest.raises(ModelError, match="in another batch"):
        ism_distances(model, X, end=3)
    profile = nn.Sequential(model, nn.Unflatten(1, (1, 2)))
    with pytest.raises(ModelError, match="in another batch"):
        attribute_positions(profile, X, Saliency())


def test_a_decision_that_only_what_the_method_makes_turns_is_found() -> None:
    """One sequence just above the limit of which mutants, and points on the way to zero, are below."""
    x = torch.zeros(1, 4, L, dtype=torch.uint8)
    x[0, torch.tensor([1] * 8 + [0, 2, 3] * 7 + [0]), torch.arange(L)] = 1
    model = Crossed(CROSSED["composition of the batch"])
    for method in (ISM(end=9), IntegratedGradients(steps=4)):
        with pytest.raises(ModelError, match="in another batch"):
            attribute(model, x, method)
    attribute(model, x, METHODS["saliency"])
    attribute(model, x, METHODS["deep_lift_shap"])


ALLOWED: dict[str, Crossing] = {
    "a mean of ones": lambda x, y: y * 2 if x.mean() > 0 else y,
    "a composition that all have": lambda x, y: y * 2 if x[:, 1].mean() < 0.7 else y,
    "a guard": lambda x, y: y.clamp(max=1) if bool((y.abs() > 1e6).any()) else y,
    "random numbers that nothing uses": lambda x, y: (functional.dropout(y), y)[1],
    "random numbers times zero": lambda x, y: y + 0 * torch.rand(()),
    "a constant": lambda x, y: 0 * y + 3,
    "near zero by cancelling": lambda x, y: (1e4 + y) - 1e4 - y,
}


@pytest.mark.parametrize(
    ("name", "method"),
    [
        (name, method)
        for name in ALLOWED
        for method in ("saliency", "ism", "integrated_gradients", "deep_lift_shap")
        if "random" not in name or method != "deep_lift_shap"  # whose engine names an active dropout
    ],
)
def test_what_changes_no_value_is_allowed(name: str, method: str) -> None:
    attribute(Crossed(ALLOWED[name]), X, METHODS[method])


class Blocks(nn.Module):
    """Sums in another order for every number of rows, as libraries do; less the same sum in one order."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weights = nn.Parameter(scale * torch.randn(4 * L, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        terms = x.flatten(1) * self.weights
        first, other = (torch.zeros_like(terms[:, 0]) for _ in range(2))
        for i in range(4 * L):
            first = first + terms[:, i]
            other = other + terms[:, (7 * len(x) + i) % (4 * L)]
        return torch.stack([first - other, other], 1)


@pytest.mark.parametrize("method", ["saliency", "deep_lift_shap"])
@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e4])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_rounding_that_depends_on_the_number_of_rows_is_no_dependence(
    precision: str, scale: float, method: str
) -> None:
    model, targets = Blocks(scale), [Output(0), Output(1)]
    x = X.to(torch.float64 if precision == "float64" else torch.float32)
    with torch.no_grad():
        prepared = prepare_model(model, None, precision)
        assert (prepared.model(x[:2])[:2, 0] - prepared.model(x)[:2, 0]).abs().max() > 0
    attribute_targets(model, X, METHODS[method], targets, precision=precision)


def drops_an_output(y: Tensor) -> Tensor:
    return functional.dropout(y, 0.01, training=True)


def drops_with_numpy(y: Tensor) -> Tensor:
    return y * float(np.random.random() > 0.2)


def adds_noise_of_numpy(y: Tensor) -> Tensor:
    return y + float(np.random.normal())


def adds_noise_of_python(y: Tensor) -> Tensor:
    return y + random.random()


OWN = torch.Generator()


def masks_by_an_own_generator(y: Tensor) -> Tensor:
    return y * (torch.rand(y.shape, generator=OWN) > 1e-3)


DRAWS: dict[str, Any] = {
    "dropout": drops_an_output,
    "faint": lambda y: y + 1e-4 * drops_an_output(y),
    "coin": lambda y: y * torch.bernoulli(torch.full_like(y, 0.999)),
    "uniform": lambda y: y * 2 if torch.rand(()) < 1e-4 else y,
    "normal": lambda y: y + 1e-3 * torch.randn_like(y),
    "own generator": masks_by_an_own_generator,
    "numpy, one in five": drops_with_numpy,
    "numpy": adds_noise_of_numpy,
    "python": adds_noise_of_python,
}


@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers_are_refused_every_time(name: str) -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        with pytest.raises(ModelError, match="look for random numbers"):
            attribute(Crossed(lambda x, y: DRAWS[name](y)), X[:1], METHODS["saliency"])


@pytest.mark.parametrize("method", METHODS)
def test_active_dropout_is_refused_by_every_method(method: str) -> None:
    with pytest.raises(ModelError, match="random"):
        attribute(Crossed(lambda x, y: drops_an_output(y)), X, METHODS[method])


class Counted(Crossed):
    """Counts its calls and rows."""

    def __init__(self) -> None:
        super().__init__(lambda x, y: y)
        self.rows: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.rows.append(len(x))
        return super().forward(x)


@pytest.mark.parametrize("n", [1, 40])
def test_a_trial_is_a_few_small_forwards(n: int) -> None:
    model = Counted()
    x = models.one_hot(n, L)
    attribute(model, x, Saliency(), batch_size=n)
    assert model.rows[-1] == max(n, 1) or n == 1
    assert sum(model.rows[:-1]) <= 24
    assert len(model.rows) <= 10


def test_positions_try_the_model_once() -> None:
    class Profile(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.rows = nn.Conv1d(4, 1, 5, padding=2), 0

        def forward(self, x: Tensor) -> Tensor:
            self.rows += len(x)
            return self.conv(x)

    few, many = Profile(), Profile()
    for model, positions in ((few, [0]), (many, range(0, L, 2))):
        attribute_positions(model, X[:1], Saliency(), positions=list(positions), crop=False)
    assert many.rows == few.rows


def test_memory_that_is_too_short_for_a_batch_suffices_for_pairs() -> None:
    class Narrow(Crossed):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 2:
                raise torch.OutOfMemoryError("out of memory")
            return super().forward(x)

    for name in ("mean of the batch", "composition of the batch", "last rows change places"):
        with pytest.raises(ModelError, match="in another batch"):
            attribute(Narrow(CROSSED[name]), X, METHODS["saliency"], batch_size=1)
    attribute(Narrow(ALLOWED["a guard"]), X, METHODS["saliency"], batch_size=1)
    assert is_out_of_memory(torch.OutOfMemoryError("out of memory"))


def test_references_at_the_end_of_a_batch_are_compared_with_the_plain_model() -> None:
    """Rows that change places only while operations are intercepted."""

    class Sly(Crossed):
        def forward(self, x: Tensor) -> Tensor:
            y = self.net(x)
            return torch.cat([y[:-2], y[-1:], y[-2:-1]]) if x.requires_grad or x.grad_fn else y

    with pytest.raises(ModelError, match="operations are intercepted"):
        attribute(Sly(lambda x, y: y), X, DeepLiftShap(DinucleotideShuffle(n=9)))


def test_the_probe_does_not_import_torchs_compiler() -> None:
    """It takes 3 s at the start of every job."""
    text = (
        "import sys, torch; from cislex.attribution import Saliency, attribute; "
        "model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 1)); "
        "attribute(model, torch.eye(4).repeat(2, 1, 1).repeat(1, 1, 3)[:, :, :10], Saliency()); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "scripts")}
    subprocess.run([sys.executable, "-c", text], check=True, env=environment)
