"""What weights tell becomes a target for every output, and only what a file tells is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from cislex.errors import InputError, ModelError
from cislex.inquiry.model import _seconds_per_region, ask_model, name_folds, propose_targets
from small_project import write_project

N = 3


@pytest.mark.parametrize(
    ("output", "names", "targets", "choices"),
    [
        (-torch.ones(N), (), {"output": {"kind": "output", "index": 0}}, set()),
        (-torch.ones(N, 1), (), {"output": {"kind": "output", "index": 0}}, set()),
        (
            -torch.ones(N, 2),
            (),
            {"output_0": {"kind": "output", "index": 0}, "output_1": {"kind": "output", "index": 1}},
            set(),
        ),
        (-torch.ones(N, 50), (), {"output_0": {"kind": "output", "index": 0}}, set()),
        (
            torch.full((N, 1), 0.5),
            (),
            {"output": {"kind": "output", "pre_activation": True, "index": 0}},
            set(),
        ),
        (
            (-torch.ones(N, 1, 20), -torch.ones(N, 1)),
            ("profile", "counts"),
            {"counts": {"kind": "log_counts"}},
            {"profile"},
        ),
        (
            (-torch.ones(N, 1, 20), -torch.ones(N, 2)),
            (),
            {
                "output_1_0": {"kind": "output", "head": 1, "index": 0},
                "output_1_1": {"kind": "output", "head": 1, "index": 1},
            },
            {"output_0_profile", "output_0_sum"},
        ),
        (
            {"dev": -torch.ones(N, 1), "hk": -torch.ones(N, 1)},
            (),
            {
                "dev": {"kind": "output", "head": "dev", "index": 0},
                "hk": {"kind": "output", "head": "hk", "index": 0},
            },
            set(),
        ),
        (-torch.ones(N, 8, 100), (), {}, {"output_profile", "output_sum"}),
    ],
)
def test_each_output_becomes_a_target(
    output: Any, names: tuple[str, ...], targets: dict[str, Any], choices: set[str]
) -> None:
    found, further = propose_targets(output, names)
    assert found == targets
    assert set(further) == choices


def test_folds_are_named_by_files_or_folders_that_tell_them_apart() -> None:
    assert list(name_folds([Path("a/fold_1.pt"), Path("a/fold_3.pt")])) == ["fold_1", "fold_3"]
    assert list(name_folds([Path("fold_2/m.h5"), Path("fold_4/m.h5")])) == ["fold_2", "fold_4"]
    assert list(name_folds([Path("a.pt"), Path("b.pt")])) == ["fold_0", "fold_1"]
    with pytest.raises(InputError, match="given twice"):
        name_folds([Path("a.pt"), Path("a.pt")])


def test_a_factory_is_asked_with_and_without_its_length(tmp_path: Path) -> None:
    write_project(tmp_path)
    weights, module = [tmp_path / "fold_0.pt", tmp_path / "fold_1.pt"], f"{tmp_path}/model.py:build"
    free = ask_model(weights, module=module)
    assert (free.length, free.seconds_per_region) == (None, None)
    assert set(free.targets) == {"output_0", "output_1"}
    given = ask_model(weights, module=module, length=140)
    assert given.length == 140
    assert given.outputs == {"output": (2,)}
    assert given.seconds_per_region is not None
    assert 0 < given.seconds_per_region < 60


def test_a_sigmoid_at_the_end_is_left_out_of_the_target_if_there_is_one(tmp_path: Path) -> None:
    code = (
        "import torch\nfrom torch import nn\n"
        "class Ratio(nn.Module):\n"
        "    def forward(self, x):\n        return 0.5 + x / (1 + x.abs()) / 2\n"
        "def layers(last):\n"
        "    pool = nn.AdaptiveMaxPool1d(1)\n"
        "    return nn.Sequential(nn.Conv1d(4, 2, 5), pool, nn.Flatten(), nn.Linear(2, 1), last)\n"
        "def build():\n    return layers(nn.Sigmoid())\n"
        "def build_ratio():\n    return layers(Ratio())\n"
    )
    (tmp_path / "net.py").write_text(code)
    space: dict[str, Any] = {}
    exec(code, space)
    torch.save(space["build"]().state_dict(), tmp_path / "w.pt")
    found = ask_model([tmp_path / "w.pt"], module=f"{tmp_path}/net.py:build", length=60)
    assert found.targets["output"]["pre_activation"] is True
    ratio = ask_model([tmp_path / "w.pt"], module=f"{tmp_path}/net.py:build_ratio", length=60)
    assert "pre_activation" not in ratio.targets["output"]


def test_folds_of_two_kinds_and_a_length_that_does_not_fit_are_named(tmp_path: Path) -> None:
    write_project(tmp_path)
    torch.save({"architecture": "cnn", "hyperparameters": {}, "state_dict": {}}, tmp_path / "other.pt")
    module = f"{tmp_path}/model.py:build"
    with pytest.raises(InputError, match=r"folds of one model.*other\.pt \(trained\)"):
        ask_model([tmp_path / "fold_0.pt", tmp_path / "other.pt"], module=module)
    (tmp_path / "valid.py").write_text((tmp_path / "model.py").read_text().replace(", padding=4", ""))
    with pytest.raises(ModelError, match="failed on two sequences of 1 bp"):
        ask_model([tmp_path / "fold_0.pt"], module=f"{tmp_path}/valid.py:build", length=1)


@pytest.mark.parametrize(
    ("once", "region", "reference", "gradient", "expected"),
    [
        (4.0, 0.0, 0.5, False, 10.0),  # what a call checks once is no part of a region
        (4.0, 1.5, 0.0, True, 1.5),
        (0.01, 0.0, 0.0001, False, 0.003),  # a quick model: ten regions share it
    ],
)
def test_what_a_call_does_once_is_not_counted_for_every_region(
    once: float, region: float, reference: float, gradient: bool, expected: float
) -> None:
    def timed(rows: int, references: int) -> float:
        return once + rows * (region + references * reference)

    assert _seconds_per_region(timed, gradient=gradient) == pytest.approx(expected)
