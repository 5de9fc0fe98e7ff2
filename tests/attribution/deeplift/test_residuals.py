"""A bad delta is traced to its operation."""

from __future__ import annotations

from typing import Any

import attribution_models as models
import pytest
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle
from cislex.attribution.deeplift.residuals import UNSEEN, operation_residuals
from torch import Tensor

X = models.one_hot(2, 60)


def half(call: Any, record: Any, pairing: Any, active: list[int]) -> Tensor:
    """A wrong rule: the plain gradient of tanh."""
    return torch.tanh(call.tensors[0])


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_the_wrong_operation_comes_first(rule: str) -> None:
    method = DeepLiftShap(DinucleotideShuffle(n=3), rule=rule, rules={"tanh": half})
    found = operation_residuals(models.trap("gate"), X, method, precision="float64")
    assert found[0].operation == "tanh"
    assert "attribution_models.py" in found[0].where
    assert found[0].residual > 1e3 * found[1].residual


@pytest.mark.parametrize(
    "name", ["gate", "max_pool", "layer_norm", "multi_head_attention", "residual_dilated"]
)
def test_every_operation_of_a_known_model_is_complete(name: str) -> None:
    method = DeepLiftShap(DinucleotideShuffle(n=3))
    found = operation_residuals(models.trap(name), X, method, precision="float64")
    assert len(found) > 1
    assert found[0].residual <= 1e-9


def test_what_is_not_seen_is_told_apart() -> None:
    method = DeepLiftShap(DinucleotideShuffle(n=3), rules={"tanh": "linear"})
    found = operation_residuals(models.trap("gate"), X, method, precision="float64")
    assert found[0].operation == UNSEEN
