"""Logarithms and ratios of targets, several tracks, nested outputs: values, and completeness."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute
from cislex.errors import ConfigError
from cislex.targets import Log, Output, Profile, Ratio, Slice, from_config, opened_at
from torch import Tensor, nn

TRACKS = torch.rand(3, 4, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1


class Nested(nn.Module):
    """Positive tracks (N, 3, positions) of two species."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.out = nn.Conv1d(4, 8, 5), nn.Conv1d(8, 3, 1)

    def forward(self, x: Tensor) -> dict[str, Any]:
        tracks = nn.functional.softplus(self.out(self.conv(x).relu()))
        return {"human": {"rna": tracks, "dnase": tracks[:, :1]}, "mouse": tracks.flip(1)}


def test_a_slice_sums_several_tracks() -> None:
    found = from_config({"kind": "slice", "index": [1, 3], "start": 2, "stop": 6})(TRACKS)
    torch.testing.assert_close(found, TRACKS[:, [1, 3], 2:6].sum((1, 2)))
    mean = from_config({"kind": "slice", "index": [3, 0], "axis": 1, "reduction": "mean"})(TRACKS.mT)
    torch.testing.assert_close(mean, TRACKS[:, [3, 0]].mean((1, 2)))


def test_logarithms_and_ratios_have_their_values() -> None:
    log = from_config({"kind": "log", "of": {"kind": "slice", "index": 1}, "pseudocount": 1})
    torch.testing.assert_close(log(TRACKS), torch.log(TRACKS[:, 1].sum(1) + 1))
    a, b = {"kind": "slice", "index": 0}, {"kind": "slice", "index": [1, 2]}
    ratio = from_config({"kind": "ratio", "a": a, "b": b, "pseudocount": 0.5})
    expected = (TRACKS[:, 0].sum(1) + 0.5) / (TRACKS[:, 1:3].sum((1, 2)) + 0.5)
    torch.testing.assert_close(ratio(TRACKS), expected)
    with pytest.raises(ConfigError, match="pseudocount: found -1"):
        Log(Output(), -1)
    with pytest.raises(ConfigError, match="give pre_activation to its parts"):
        from_config({"kind": "log", "of": a, "pre_activation": True})
    with pytest.raises(ConfigError, match="weights: secant"):
        Log(Profile())
    inner = from_config({"kind": "ratio", "a": {**a, "pre_activation": True}, "b": b})
    assert opened_at(inner) == {""}


@pytest.mark.parametrize(
    "target",
    [
        Log(Slice(5, 25, index=(0, 2), head="human.rna"), 1.0),
        Ratio(Slice(index=1, head="human.rna"), Slice(head="mouse")),
        Ratio(Profile("secant", index=0, head="human.rna"), Slice(head="human.dnase"), 0.1),
    ],
)
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_logarithms_and_ratios_are_complete_under_deeplift(target: Any, rule: str) -> None:
    codes = torch.randint(4, (3, 40), generator=torch.Generator().manual_seed(1))
    x = nn.functional.one_hot(codes, 4).transpose(1, 2)
    method = DeepLiftShap(DinucleotideShuffle(n=3), rule=rule)
    result = attribute(Nested().double().eval(), x, method, target=target, precision="float64")
    assert float(result.max_relative_delta.max()) < 1e-9
