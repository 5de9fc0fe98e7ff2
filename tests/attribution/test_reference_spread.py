"""The spread over references is that of attributions with each reference alone."""

from __future__ import annotations

import pytest
import torch
from cislex.attribution import (
    DeepLiftShap,
    ExpectedGradients,
    IntegratedGradients,
    Saliency,
    attribute,
    attribute_targets,
)
from cislex.attribution.references import FixedReferences, Zeros
from cislex.errors import ConfigError
from cislex.targets import Output
from torch import Tensor, nn

N, R, LENGTH = 3, 4, 30


class Merging(nn.Module):
    """Folds the batch into another axis, so that examples are repeated for each reference."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = nn.Conv1d(4, 6, 5), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.conv(x))
        rows = h.transpose(1, 2).reshape(-1, 6)
        return self.dense(rows).reshape(len(x), -1, 2).mean(1)


def plain() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, 6, 5), nn.ReLU(), nn.AdaptiveMaxPool1d(2), nn.Flatten(), nn.Linear(12, 2)
    )


def onehot(*shape: int) -> Tensor:
    return nn.functional.one_hot(torch.randint(4, (*shape, LENGTH)), 4).transpose(-1, -2).float()


@pytest.mark.parametrize("build", [plain, Merging])
@pytest.mark.parametrize("batch_size", [None, 2, 5])
@pytest.mark.parametrize(
    "method",
    [
        DeepLiftShap,
        lambda references: DeepLiftShap(references, rule="reveal_cancel"),
        lambda references: IntegratedGradients(references=references, steps=5),
    ],
)
def test_it_is_that_of_attributions_with_single_references(build, batch_size, method) -> None:
    torch.manual_seed(0)
    model, x, refs = build().eval(), onehot(N), onehot(N, R)
    x[:, :, 7] = 0  # an unknown base
    options = {"targets": [Output(0), Output(1)], "keep_spread": True, "batch_size": batch_size}
    found = attribute_targets(model, x, method(FixedReferences(refs)), **options, precision="float64")
    alone = [
        attribute_targets(model, x, method(FixedReferences(refs[:, k : k + 1])), options["targets"],
                          precision="float64")
        for k in range(R)
    ]  # fmt: skip
    for t, result in enumerate(found):
        single = torch.stack([one[t].contributions.sum(1) for one in alone])
        torch.testing.assert_close(result.reference_spread, single.std(0), rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(result.contributions.sum(1), single.mean(0), rtol=1e-6, atol=1e-9)
        assert (result.reference_spread[:, 7] == 0).all()
    assert attribute(model, x, method(FixedReferences(refs))).reference_spread is None


def test_what_has_no_spread_is_named() -> None:
    torch.manual_seed(0)
    model, x = plain().eval(), onehot(N)
    for method, options, message in (
        (Saliency(), {}, "saliency has no references"),
        (DeepLiftShap(), {"reverse_complement": True}, "not with reverse_complement"),
        (DeepLiftShap(Zeros()), {}, "found 1 reference, expected at least two"),
    ):
        with pytest.raises(ConfigError, match=message):
            attribute(model, x, method, keep_spread=True, **options)
    assert attribute(model, x, ExpectedGradients(), keep_spread=True).reference_spread is not None
