"""Distances over outputs equal a loop, and their z-scores the definition."""

from __future__ import annotations

from typing import Any

import attribution_models as models
import pytest
import torch
from cislex.attribution.mutagenesis.distances import ism_distances
from cislex.errors import ConfigError, ModelError
from cislex.targets import Difference, Output, Profile
from torch import Tensor, nn

X = models.one_hot(2, 24, unknown=True)


class Many(nn.Module):
    """Seven outputs, and a profile."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv1d(4, 6, 7, padding=3), nn.Linear(6, 7)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.conv(x).tanh()
        return {"classes": self.head(h.mean(2)), "profile": h[:, :2]}


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(2)
    return Many().double().requires_grad_(False)


def loop(value: Any, x: Tensor) -> Tensor:
    """(N, 4, L): one mutant at a time."""
    result = torch.zeros(x.shape, dtype=torch.float64)
    for n, row in enumerate(x.double()):
        for p in range(x.shape[2]):
            for base in range(4):
                if row[:, p].any():
                    mutant = row.clone()
                    mutant[:, p] = 0
                    mutant[base, p] = 1
                    result[n, base, p] = (value(mutant[None]) - value(row[None])).square().sum().sqrt()
    return result


@pytest.mark.parametrize("batch", [None, 1, 50])
@pytest.mark.parametrize("head", ["classes", "profile"])
def test_equals_the_loop(model: nn.Module, head: str, batch: int | None) -> None:
    found = ism_distances(model, X, outputs=head, batch_size=batch, precision="float64")
    torch.testing.assert_close(found.distance, loop(lambda x: model(x)[head], X), rtol=1e-7, atol=1e-10)
    assert "mutants" not in found.notes
    assert (found.distance[1, :, 10:13] == 0).all()
    assert torch.equal(found.mutated, (X == 0) & (X.sum(1, keepdim=True) > 0))


def test_targets_and_functions(model: nn.Module) -> None:
    targets = [
        Output(3, head="classes"),
        Difference(Output(0, head="classes"), Output((1, 4), head="profile")),
    ]
    found = ism_distances(model, X, outputs=targets, precision="float64")

    def value(x: Tensor) -> Tensor:
        output = model(x)
        return torch.stack([output["classes"][:, 3], output["classes"][:, 0] - output["profile"][:, 1, 4]], 1)

    torch.testing.assert_close(found.distance, loop(value, X), rtol=1e-7, atol=1e-10)
    again = ism_distances(model, X, outputs=lambda output: output["classes"][:, [3]], precision="float64")
    torch.testing.assert_close(again.distance, loop(lambda x: model(x)["classes"][:, 3], X))


def test_one_output_is_the_absolute_effect() -> None:
    from cislex.attribution import ISM, attribute

    model = models.trap("gate").double()
    found = ism_distances(model, X, outputs=[1], start=5, end=20, precision="float64")
    plain = attribute(model, X, ISM(5, 20), target=1, precision="float64")
    torch.testing.assert_close(found.distance, plain.multipliers.abs())


def test_z_scores_are_by_definition(model: nn.Module) -> None:
    found = ism_distances(model, X, outputs="classes", start=2, end=20, precision="float64")
    d = found.distance
    expected = (d[0, :, 7] - d[0, :, 7].mean()) / d[0, :, 7].std(unbiased=False)
    torch.testing.assert_close(found.z[0, :, 7], expected)
    assert (found.z[:, :, :2] == 0).all()
    assert (found.z[1, :, 10:13] == 0).all()
    values = d[1][found.mutated[1]]
    torch.testing.assert_close(
        found.z_over_positions[1][found.mutated[1]], (values - values.mean()) / values.std(unbiased=False)
    )
    assert (found.z_over_positions[~found.mutated] == 0).all()
    torch.testing.assert_close(found.position_score[0, 7], d[0, :, 7].sum() / 3)


def test_a_model_that_does_not_care_has_no_scores() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0 * x.sum((1, 2)).unsqueeze(1) + torch.arange(3.0)

    found = ism_distances(Constant(), X)
    assert (found.z == 0).all()
    assert (found.z_over_positions == 0).all()


def test_bad_outputs_are_named(model: nn.Module) -> None:
    with pytest.raises(ModelError, match="head None"):
        ism_distances(model, X)
    with pytest.raises(ModelError, match=r"outputs: found shape \(2,\)"):
        ism_distances(model, X, outputs=lambda output: output["classes"][:, 0])
    with pytest.raises(ConfigError, match="empty list"):
        ism_distances(model, X, outputs=[])
    with pytest.raises(ConfigError, match="secant"):
        ism_distances(model, X, outputs=[Profile(head="profile")])
    with pytest.raises(ConfigError, match="24 bp"):
        ism_distances(model, X, outputs="classes", start=3, end=30)
    assert ism_distances(model, X[:0], outputs="classes").z.shape == (0, 4, 24)
