"""Input adapters: the model gets its own layout, and attributions stay those of the region's bases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as functional
from cislex.attribution import ISM, DeepLiftShap, DinucleotideShuffle, attribute
from cislex.errors import ConfigError, ModelError
from cislex.models.adapters import InputLayout
from cislex.models.loading import check_model, load_model
from torch import Tensor, nn

LENGTH, PADDED = 60, 71


def onehot(n: int, length: int = LENGTH) -> Tensor:
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(3))
    return functional.one_hot(codes, 4).transpose(1, 2).float()


class Body(nn.Module):
    """A convolution, an activation and a dense layer of (N, 4, length)."""

    def __init__(self, length: int = LENGTH) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 7)
        self.dense = nn.Linear(6 * (length - 6), 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.conv(x).relu().flatten(1))


class Foreign(nn.Module):
    """The same network behind another layout, undone in its own way."""

    def __init__(self, body: nn.Module, layout: str) -> None:
        super().__init__()
        self.body, self.layout = body, layout

    def forward(self, x: Tensor, *controls: Tensor) -> Tensor:
        if self.layout == "channels":  # T G C A
            x = torch.stack([x[:, 3], x[:, 2], x[:, 1], x[:, 0]], 1)
        elif self.layout == "axes":
            assert x.shape[2] == 4
            x = x.permute(0, 2, 1)
        elif self.layout in ("row", "column"):
            assert x.shape == ((len(x), 4, 1, LENGTH) if self.layout == "row" else (len(x), 4, LENGTH, 1))
            x = x.squeeze(2 if self.layout == "row" else 3)
        elif self.layout == "all":
            assert x.shape == (len(x), 1, PADDED, 4)
            x = x[:, 0, :, [3, 0, 2, 1]].transpose(1, 2)
        if self.layout == "controls":
            profile, total = controls
            assert profile.shape == (len(x), 2, LENGTH)
            assert total.shape == (len(x), 1)
            return self.body(x) + profile.sum((1, 2)).unsqueeze(1) + total
        return self.body(x)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("channels", {"channel_order": "TGCA"}),
    ("axes", {"axes": "NLC"}),
    ("row", {"dummy_axis": 2}),
    ("column", {"dummy_axis": 3}),
    ("pad", {"pad_to": PADDED}),
    ("controls", {"controls": [[2, LENGTH], [1]]}),
    ("all", {"channel_order": "CTGA", "axes": "NLC", "dummy_axis": 1, "pad_to": PADDED}),
]


def pair(layout: str, settings: dict[str, Any]) -> tuple[nn.Module, nn.Module]:
    """The network as cislex would like it, and the adapted one."""
    body = Body(PADDED if "pad_to" in settings else LENGTH)
    plain: nn.Module = body
    if "pad_to" in settings:
        plain = nn.Sequential(nn.ConstantPad1d((5, 6), 0.0), body)
    return plain.eval(), InputLayout(**settings).wrap(Foreign(body, layout)).eval()


@pytest.mark.parametrize(("layout", "settings"), CASES, ids=[case[0] for case in CASES])
def test_a_model_behind_an_adapter_is_the_same_model(layout: str, settings: dict[str, Any]) -> None:
    plain, adapted = pair(layout, settings)
    rows = onehot(4)
    with torch.no_grad():
        torch.testing.assert_close(adapted(rows), plain(rows))


@pytest.mark.parametrize(("layout", "settings"), CASES, ids=[case[0] for case in CASES])
def test_attributions_through_an_adapter_are_exact_and_the_same(
    layout: str, settings: dict[str, Any]
) -> None:
    plain, adapted = pair(layout, settings)
    rows = onehot(3).to(torch.uint8)
    method = DeepLiftShap(references=DinucleotideShuffle(n=4))
    found, wanted = (attribute(model, rows, method, target=1) for model in (adapted, plain))
    assert found.max_relative_delta.max() <= 1e-4
    torch.testing.assert_close(found.hypothetical, wanted.hypothetical, atol=1e-6, rtol=1e-4)
    found, wanted = (attribute(model, rows, ISM(), target=1) for model in (adapted, plain))
    torch.testing.assert_close(found.hypothetical, wanted.hypothetical, atol=1e-5, rtol=1e-4)


def test_a_plain_layout_wraps_nothing() -> None:
    model = Body()
    assert InputLayout().wrap(model) is model
    assert InputLayout(channel_order="ACGT", axes="NCL", controls=[]).wrap(model) is model


def test_a_loaded_model_takes_its_layout(tmp_path: Path) -> None:
    plain, adapted = pair("channels", {"channel_order": "TGCA"})
    torch.save(adapted.model, tmp_path / "w.pt")
    options: dict[str, Any] = {"weights": tmp_path / "w.pt", "trust_pickle": True}
    loaded = load_model("pickled", **options, layout={"channel_order": "TGCA"})
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(onehot(2)), plain(onehot(2)))
    assert loaded.digest != load_model("pickled", **options).digest
    controls = load_model("pickled", **options, layout={"controls": [[2, LENGTH]]})
    assert controls.extra_inputs == ((2, LENGTH),)


def test_padding_takes_any_shorter_region_and_no_longer_one(tmp_path: Path) -> None:
    torch.save(Body(PADDED), tmp_path / "w.pt")
    loaded = load_model("pickled", weights=tmp_path / "w.pt", trust_pickle=True, layout={"pad_to": PADDED})
    assert check_model(loaded, LENGTH) == check_model(loaded, PADDED) == {"output": (3,)}
    with pytest.raises(ModelError, match=f"pad_to is {PADDED} bp and the regions are {PADDED + 1} bp"):
        check_model(loaded, PADDED + 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channel_order": "ACGU"}, "channel_order is 'ACGU'"),
        ({"channel_order": "AACG"}, "channel_order is 'AACG'"),
        ({"axes": "LNC"}, "expected NCL or NLC"),
        ({"dummy_axis": 0}, "expected 1, 2 or 3"),
        ({"pad_to": 0}, "at least 1 bp"),
        ({"controls": [[2, 0]]}, r"controls: shape \[2, 0\]"),
    ],
)
def test_layouts_that_do_not_exist_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        InputLayout(**settings)
