"""Max-pooling in float32: rounding is told from small differences, so results are those of float64."""

from __future__ import annotations

import attribution_models as models
import pytest
import torch
from cislex.attribution import (
    DeepLiftShap,
    DinucleotideShuffle,
    FixedReferences,
    attribute,
    make_references,
)
from torch import Tensor, nn

LENGTH = 600
SEED = 0


def pooled(length: int) -> nn.Module:
    """Wide enough for a few of its many differences to be as small as rounding."""
    torch.manual_seed(SEED)
    layers: list[nn.Module] = []
    channels = 4
    for filters, kernel, pool in ((128, 19, 3), (96, 11, 4)):
        layers += [nn.Conv1d(channels, filters, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool1d(pool)]
        channels, length = filters, length // pool
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * length, 1)).eval()


def error(found: Tensor, truth: Tensor) -> float:
    return float(((found.double() - truth).abs().amax((1, 2)) / truth.abs().amax((1, 2))).max())


@pytest.mark.parametrize(
    "references",
    [DinucleotideShuffle(n=10), DinucleotideShuffle(n=10, start=250, end=350)],
    ids=["all", "part"],
)
def test_float32_is_within_1e_4_of_float64_whatever_the_batch(references: DinucleotideShuffle) -> None:
    model, x = pooled(LENGTH), models.one_hot(4, LENGTH)
    method = DeepLiftShap(FixedReferences(make_references(references, x)))
    truth = attribute(model, x, method, precision="float64").hypothetical
    for batch_size in (3, 8, 64):
        assert error(attribute(model, x, method, batch_size=batch_size).hypothetical, truth) <= 1e-4
