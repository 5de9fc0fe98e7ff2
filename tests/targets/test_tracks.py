"""Bins × tracks: values beside plain sums, places in the sequence, both strands, and every method."""

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
from cislex.errors import ConfigError, ModelError
from cislex.targets import Log, Ratio, Target, from_config
from cislex.targets.squash import Squash
from cislex.targets.tracks import Bins, Tracks
from torch import Tensor, nn

LENGTH, WIDTH, CROP, TRACKS = 40, 4, 4, 5
BINS = (LENGTH - 2 * CROP) // WIDTH
OUTPUT = torch.rand(3, TRACKS, BINS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Enformer(nn.Module):
    """Positive tracks (N, bins, tracks) of bins of 4 bp, 4 bp cropped at either end."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.out = nn.Conv1d(4, 8, 5, padding=2), nn.Conv1d(8, TRACKS, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.avg_pool1d(self.conv(x).relu(), WIDTH)
        tracks = nn.functional.softplus(self.out(hidden))
        return tracks[:, :, CROP // WIDTH : -CROP // WIDTH].transpose(1, 2)


def sequences(n: int = 3) -> Tensor:
    codes = torch.randint(4, (n, LENGTH), generator=torch.Generator().manual_seed(1))
    return nn.functional.one_hot(codes, 4).transpose(1, 2)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("over_tracks", ["sum", "mean"])
def test_tracks_and_bins_are_summed_or_averaged(reduction: str, over_tracks: str) -> None:
    target = from_config(
        {"kind": "tracks", "tracks": [3, 0, 4], "reduction": reduction, "over_tracks": over_tracks,
         "bins": {"width": WIDTH, "length": LENGTH}, "window": [-6, 3]}
    )  # fmt: skip
    # Centre 20, [14, 23); bin b covers [4 + 4b, 8 + 4b): bins 2, 3 and 4.
    chosen = OUTPUT.numpy()[:, [3, 0, 4], 2:5]
    expected = getattr(getattr(chosen, over_tracks)(axis=1), reduction)(axis=1)
    np.testing.assert_allclose(target(OUTPUT), expected)
    turned_axes = from_config({"kind": "tracks", "tracks": [3, 0, 4], "axis": 1, "reduction": reduction})
    everything = getattr(OUTPUT.numpy()[:, [3, 0, 4]].mean(axis=1), reduction)(axis=1)
    np.testing.assert_allclose(turned_axes(OUTPUT.mT), everything)


def test_neighbouring_tracks_and_all_tracks_are_the_same_sums() -> None:
    every = OUTPUT.mean(1).sum(1)
    torch.testing.assert_close(Tracks()(OUTPUT), every)
    torch.testing.assert_close(Tracks(tuple(range(TRACKS)))(OUTPUT), every)
    torch.testing.assert_close(Tracks((1, 2), over_tracks="sum")(OUTPUT), OUTPUT[:, 1:3].sum((1, 2)))


@pytest.mark.parametrize("crop", [None, (4, 4), (0, 8)])
def test_a_window_is_of_the_bins_that_overlap_it(crop: tuple[int, int] | None) -> None:
    bins = Bins(WIDTH, LENGTH, crop)
    offset = 4 if crop is None else crop[0]
    for start in range(offset, offset + BINS * WIDTH):
        for stop in range(start + 1, offset + BINS * WIDTH + 1):
            covered = [b for b in range(BINS) if max(start, offset + b * 4) < min(stop, offset + b * 4 + 4)]
            target = Tracks((1,), bins=bins, window=(start, stop), anchor="start")
            torch.testing.assert_close(target(OUTPUT), OUTPUT[:, 1, covered].sum(1))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Tracks((5,)), r"tracks 5 are out of range; the output has 5 tracks, 0 to 4"),
        (Tracks(axis=2, head="b"), "found head 'b'"),
        (Tracks(bins=Bins(6, LENGTH)), "8 bins of 6 bp and an equal crop .* do not make up the 40 bp"),
        (Tracks(bins=Bins(4, LENGTH + 1)), "do not make up the 41 bp"),
        (Tracks(bins=Bins(4, LENGTH, (4, 5))), r"a crop of \(4, 5\) do not make up"),
        (Tracks(bins=Bins(4, LENGTH), window=(-17, 0)), r"window \[-17, 0\] bp from .* \[-16, 16\]"),
        (Tracks(bins=Bins(4, LENGTH), window=(30, 37), anchor="start"), r"bins cover \[4, 36\]"),
    ],
)  # fmt: skip
def test_what_the_output_does_not_have_is_named(target: Target, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        target(OUTPUT)
    with pytest.raises(ModelError, match=r"expected \(N, tracks, bins\)"):
        Tracks()(OUTPUT[:, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tracks": []}, "expected at least one track"),
        ({"reduction": "max"}, "Tracks.reduction: found 'max', expected sum or mean"),
        ({"anchor": "summit"}, "expected centre or start"),
        ({"window": [0, 4]}, "need bins"),
        ({"window": [4, 4], "bins": {"width": 4, "length": 40}}, "a start before the end"),
        ({"bins": {"width": 0, "length": 40}}, "found width 0"),
        ({"tracks": [1], "strand_pairs": [1, 2]}, "found 2, expected one for each"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_config({"kind": "tracks", **settings})


METHODS: list[Method] = [
    DeepLiftShap(DinucleotideShuffle(n=3)),
    TISM(),
    ISM(),
    IntegratedGradients(steps=8, references=Zeros()),
]
WINDOW = Tracks((0, 2, 3), axis=1, bins=Bins(WIDTH, LENGTH), window=(-8, 1), over_tracks="sum")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("both", [False, True])
def test_every_method_attributes_what_a_hand_written_target_gives(method: Method, both: bool) -> None:
    model, x = Enformer().double().eval(), sequences()
    ours = attribute(model, x, method, target=WINDOW, reverse_complement=both)

    class ByHand(nn.Module):
        """The sum itself; of both strands, at their own places of the genome."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            found = self.model(x)[:, 2:5, [0, 2, 3]].sum((1, 2))
            if not both:
                return found[:, None]
            other = self.model(x.flip(1, 2)).flip(1)[:, 2:5, [0, 2, 3]].sum((1, 2))
            return 0.5 * (found + other)[:, None]

    torch.testing.assert_close(ours.prediction, ByHand()(x.double())[:, 0].detach())
    theirs = attribute(ByHand().eval(), x, method, precision="float64")
    tolerance = 1e-9 if not both or method.name != "deep_lift_shap" else 1e-6
    torch.testing.assert_close(ours.hypothetical, theirs.hypothetical, atol=tolerance, rtol=0)
    assert float(ours.contributions.abs().max()) > 1e-3


def test_the_other_strand_has_its_bins_where_they_lie_and_its_own_tracks() -> None:
    target = Tracks((1, 2), bins=Bins(4, LENGTH, (0, 8)), window=(9, 15), anchor="start", strand_pairs=(2, 4))
    torch.testing.assert_close(target(OUTPUT), OUTPUT[:, [1, 2], 2:4].mean(1).sum(1))
    turned = target.turned()
    torch.testing.assert_close(turned(OUTPUT), OUTPUT[:, [2, 4], 6:8].mean(1).sum(1))
    assert turned.turned() == target
    assert repr(Tracks((1,), axis=1)) == "Tracks(tracks=(1,), axis=1)"
    assert repr(Tracks().turned()) == "Tracks() of the other strand"
    ratio = from_config({"kind": "ratio", "a": {"kind": "tracks"}, "b": {"kind": "slice"}}, name="mine")
    assert str(ratio.turned()).startswith("'mine'")
    both = Log(Ratio(target, Tracks())).turned()
    expected = torch.log(turned(OUTPUT) / Tracks()(OUTPUT))
    torch.testing.assert_close(both(OUTPUT), expected)


def test_the_other_strand_is_unsquashed_by_its_own_numbers() -> None:
    target = Tracks(
        (1, 2),
        strand_pairs=(2, 4),
        unsquash=Squash(scale=(2.0, 4.0)),
        strand_unsquash={"scale": (5.0, 8.0)},  # type: ignore[arg-type]
        over_tracks="sum",
    )
    torch.testing.assert_close(target(OUTPUT), OUTPUT[:, 1].sum(1) / 2 + OUTPUT[:, 2].sum(1) / 4)
    turned = target.turned()
    torch.testing.assert_close(turned(OUTPUT), OUTPUT[:, 2].sum(1) / 5 + OUTPUT[:, 4].sum(1) / 8)
    assert turned.turned() == target


def test_deeplift_is_complete_in_float32() -> None:
    target = Log(Ratio(WINDOW, Tracks((1,), axis=1)), 0.1)
    result = attribute(Enformer().eval(), sequences(), METHODS[0], target=target)
    assert result.max_relative_delta is not None
    assert float(result.max_relative_delta.max()) < 1e-4
