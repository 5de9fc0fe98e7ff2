"""Undoing squashed coverage: the exact inverse, for every bin and track, and complete under DeepLIFT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cislex.attribution import (
    ISM,
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    IntegratedGradients,
    Zeros,
    attribute,
)
from cislex.attribution.methods import Method
from cislex.errors import ConfigError
from cislex.targets import Log, from_config
from cislex.targets.squash import Squash
from cislex.targets.tracks import Tracks
from numpy.typing import NDArray
from torch import Tensor, nn

TRACKS = 3
#: Soft clips and scales of the three tracks.
CLIPS, SCALES = (4.0, 1.0, 384.0), (0.3, 1.0, 2.0)


def squashed(x: NDArray[np.float64], exponent: float, clip: Any, scale: Any) -> NDArray[np.float64]:
    """What the model is trained on, as the paper has it; x is (…, tracks, bins)."""
    y = x**exponent
    clips, scales = (np.broadcast_to(np.asarray(part, float), TRACKS)[:, None] for part in (clip, scale))
    return scales * np.where(y > clips, clips - 1 + np.sqrt(np.maximum(y - clips + 1, 0)), y)


@pytest.mark.parametrize("exponent", [0.75, 0.5, 1.0])
@pytest.mark.parametrize(("clip", "scale"), [(CLIPS, SCALES), (2.0, 0.01), (CLIPS, 1.0)])
def test_coverage_comes_back(exponent: float, clip: Any, scale: Any) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.gamma(0.5, 30, (50, TRACKS, 8)), np.zeros((1, TRACKS, 8)), [[[1.0] * 8] * TRACKS]]
    )
    squash = Squash(exponent, clip, scale)
    given = squashed(x, exponent, clip, scale)
    np.testing.assert_allclose(squash.undo(torch.from_numpy(given)), x, rtol=1e-11, atol=1e-12)
    rough = squash.undo(torch.from_numpy(given).float()).double().numpy()
    np.testing.assert_allclose(rough, x, rtol=2e-5, atol=1e-6)


def test_nothing_to_undo_is_the_value_itself() -> None:
    values = torch.rand(2, TRACKS, 4)
    assert Squash().undo(values) is values


class Borzoi(nn.Module):
    """Tracks (N, 3, bins) from 0 to far above the soft clip."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.out = nn.Conv1d(4, 16, 7, padding=3), nn.Conv1d(16, TRACKS, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.avg_pool1d(self.conv(x).relu(), 4)
        return nn.functional.softplus(60 * (self.out(hidden) - self.out.bias[:, None]))


def sequences() -> Tensor:
    codes = torch.randint(4, (4, 48), generator=torch.Generator().manual_seed(1))
    return nn.functional.one_hot(codes, 4).transpose(1, 2)


TARGET = Tracks((0, 1, 2), over_tracks="sum", unsquash=Squash(0.75, (4.0, 1.0, 6.0), SCALES))


def test_every_bin_and_track_is_undone_before_the_sum() -> None:
    output = Borzoi().double()(sequences().double()).detach()
    scaled = output / torch.tensor(SCALES, dtype=output.dtype)[:, None]
    clips = torch.tensor((4.0, 1.0, 6.0))[:, None]
    above = scaled > clips
    assert above.any()
    assert (~above).any()
    plain = torch.where(above, clips - 1 + (scaled - clips + 1) ** 2, scaled) ** (4 / 3)
    torch.testing.assert_close(TARGET(output), plain.sum((1, 2)))
    settings = {"exponent": 0.75, "clip_soft": [4, 1, 6], "scale": list(SCALES)}
    made = from_config({"kind": "tracks", "tracks": [0, 1, 2], "over_tracks": "sum", "unsquash": settings})
    assert made == TARGET
    part = Tracks((2, 1), unsquash=Squash(0.75, (6.0, 1.0), (2.0, 1.0)))
    torch.testing.assert_close(part(output), plain[:, 1:].mean(1).sum(1))


@pytest.mark.parametrize("target", [TARGET, Log(TARGET, 1.0)])
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_deeplift_is_complete_in_float32(target: Any, rule: str) -> None:
    method = DeepLiftShap(DinucleotideShuffle(n=5), rule=rule)
    rough = attribute(Borzoi().eval(), sequences(), method, target=target)
    exact = attribute(Borzoi().double().eval(), sequences(), method, target=target)
    assert rough.max_relative_delta is not None
    assert exact.max_relative_delta is not None
    assert float(rough.max_relative_delta.max()) < 1e-4
    assert float(exact.max_relative_delta.max()) < 1e-8
    scale = float(exact.hypothetical.abs().max())
    assert float((rough.hypothetical.double() - exact.hypothetical).abs().max()) < 1e-4 * scale


@pytest.mark.parametrize(
    "method",
    [TISM(), ISM(), IntegratedGradients(steps=20, references=Zeros())],
    ids=lambda method: method.name,
)
def test_the_other_methods_follow_it(method: Method) -> None:
    model = Borzoi().double().eval()

    class ByHand(nn.Module):
        """Branches where the target has none."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            scaled = self.model(x) / x.new_tensor(SCALES)[:, None]
            clips = x.new_tensor((4.0, 1.0, 6.0))[:, None]
            plain = torch.where(scaled > clips, clips - 1 + (scaled - clips + 1) ** 2, scaled)
            return (plain ** (4 / 3)).sum((1, 2))[:, None]

    ours = attribute(model, sequences(), method, target=TARGET)
    theirs = attribute(ByHand().eval(), sequences(), method, precision="float64")
    torch.testing.assert_close(ours.hypothetical, theirs.hypothetical, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exponent": 0}, "unsquash.exponent: found 0, expected above 0"),
        ({"exponent": 1.5}, "at most 1"),
        ({"clip_soft": 0.5}, "unsquash.clip_soft: found 0.5, expected 1 or more"),
        ({"scale": [1, 0]}, r"unsquash.scale: found \(1, 0\), expected above 0"),
        ({"scale": [1, 2, 3]}, "found 3 numbers for 2 tracks"),
    ],
)
def test_impossible_squashings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_config({"kind": "tracks", "tracks": [0, 1], "unsquash": settings})
    with pytest.raises(ConfigError, match="found 2 numbers for all tracks"):
        Tracks(unsquash=Squash(scale=(1.0, 2.0)))
