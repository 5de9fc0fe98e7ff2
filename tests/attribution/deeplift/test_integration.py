"""How many points the path rule takes, and that what it leaves is rounding, however hard the operation."""

from __future__ import annotations

import math

import attribution_models as models
import pytest
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, FixedReferences, attribute, make_references
from cislex.attribution.deeplift import integration
from cislex.attribution.deeplift.integration import MOST_POINTS, more_points
from torch import Tensor, nn

X = models.one_hot(3, 40)


class Recurrent(nn.Module):
    """An LSTM whose gates are driven as hard as asked."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.recurrent = nn.LSTM(4, 6, batch_first=True)
        self.head = nn.Linear(6, 1)
        with torch.no_grad():
            for parameter in self.recurrent.parameters():
                parameter.mul_(strength)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x.transpose(1, 2))[0].mean(1))


@pytest.mark.parametrize("falling", [1.0, 2.0, 4.0])
def test_a_residual_that_falls_with_each_point_is_foretold(falling: float) -> None:
    """Of residuals e^(-falling·p): what the second look foretells is what is needed, and little more."""
    enough = 1e-6
    needed = math.ceil(-math.log(enough) / falling)
    first = more_points(3, math.exp(-falling * 3), 0, math.inf, enough)
    assert first >= min(needed, 6)
    second = more_points(6, math.exp(-falling * 6), 3, math.exp(-falling * 3), enough)
    assert needed <= second <= 1.3 * needed + 4


def test_points_grow_and_end() -> None:
    assert more_points(3, 0.5, 0, math.inf, 1e-7) == 18, "at most six times as many at once"
    assert more_points(3, 2.0, 0, math.inf, 1e-7) == 18, "a first look that explains nothing"
    assert more_points(20, 1e-4, 8, 1.1e-4, 1e-7) == MOST_POINTS
    assert more_points(8, 2e-7, 3, 1e-2, 1e-7) == 11, "at least three more"


@pytest.mark.parametrize("strength", [1.0, 2.0, 3.0])
def test_what_is_left_is_rounding(strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    quadrature = integration._Integrator._quadrature

    def noted(self: integration._Integrator, gradients: list[Tensor | None], points: int) -> list[Tensor]:
        taken.append(points)
        return quadrature(self, gradients, points)

    monkeypatch.setattr(integration._Integrator, "_quadrature", noted)
    model = Recurrent(strength).eval()
    method = DeepLiftShap(FixedReferences(make_references(DinucleotideShuffle(n=4), X)))
    found = attribute(model, X, method, precision="float64")
    assert found.max_relative_delta is not None
    assert float(found.max_relative_delta.max()) < 1e-7
    assert taken[0] == 3
    assert max(taken) <= MOST_POINTS
    few = list(taken)
    taken.clear()
    quick = attribute(model, X, method)
    scale = found.hypothetical.abs().max()
    assert float((quick.hypothetical - found.hypothetical).abs().max() / scale) < 2e-5
    assert sum(taken) <= sum(few), "float32 is content with no more points"
