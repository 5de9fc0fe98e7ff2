"""Every format that has a loader is recognised by its content, and what the file cannot tell is named."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from cislex.errors import InputError, ModelError
from cislex.inquiry.weights_kind import WeightsKind, recognise_weights
from cislex.models import architectures
from cislex.models.formats.cherimoya import Cherimoya
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from test_formats import BIAS, MAIN, write_keras


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.mean(-1))


def bpnet_lite_state() -> dict[str, torch.Tensor]:
    shapes = {"iconv.weight": (4, 4, 21), "rconvs.0.weight": (4, 4, 3), "fconv.weight": (1, 4, 75)}
    return {name: torch.zeros(shape) for name, shape in shapes.items()} | {"linear.weight": torch.zeros(1, 4)}


def exported(path: Path) -> None:
    program = torch.export.export(
        Whole().eval(), (torch.zeros(2, 4, 30),), dynamic_shapes={"x": {0: torch.export.Dim("batch")}}
    )
    torch.export.save(program, path)


def scripted(path: Path) -> None:
    torch.jit.save(torch.jit.trace(Whole().eval(), torch.zeros(2, 4, 30)), path)


CHERIMOYA = {"n_filters": 4, "n_layers": 1, "signal_groups": (1,)}
#: Name of the file, what writes it, and how it is to be recognised.
FILES: dict[str, tuple[str, Callable[[Path], Any], WeightsKind]] = {
    "trained": (
        "a.pt",
        lambda path: torch.save({"architecture": "cnn", "hyperparameters": {}, "state_dict": {}}, path),
        WeightsKind("trained"),
    ),
    "exported": ("a.pt2", exported, WeightsKind("exported")),
    "torchscript": ("a.pt", scripted, WeightsKind("torchscript")),
    "chrombpnet": ("a.h5", lambda path: write_keras(path, {"main": MAIN}), WeightsKind("chrombpnet")),
    "both parts of chrombpnet": (
        "a.h5",
        lambda path: write_keras(path, {"bias": BIAS, "main": MAIN}),
        WeightsKind("chrombpnet", {"part": "nobias"}),
    ),
    "cherimoya": (
        "a.torch",
        lambda path: torch.save(
            {"config": CHERIMOYA, "state_dict": Cherimoya(**CHERIMOYA).state_dict()}, path
        ),
        WeightsKind("cherimoya"),
    ),
    "bpnet-lite": ("a.pt", lambda path: torch.save(bpnet_lite_state(), path), WeightsKind("bpnet-lite")),
    "zoo": (
        "a.pt",
        lambda path: torch.save(architectures.build("deepstarr").state_dict(), path),
        WeightsKind("architecture", {"architecture": "deepstarr"}),
    ),
    "zoo with a sigmoid": (
        "a.safetensors",
        lambda path: safetensors.torch.save_file(architectures.build("basset").state_dict(), path),
        WeightsKind("architecture", {"architecture": "basset", "hyperparameters": {"sigmoid": False}}),
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("what", FILES)
def test_a_format_is_recognised_by_the_file_alone(what: str, tmp_path: Path) -> None:
    name, write, expected = FILES[what]
    write(tmp_path / name)
    assert recognise_weights(tmp_path / name) == expected


def test_a_state_dict_needs_its_code_and_gets_it(tmp_path: Path) -> None:
    torch.save(Whole().state_dict(), tmp_path / "w.pt")
    alone = recognise_weights(tmp_path / "w.pt")
    assert alone.loader == "factory"
    assert "layer.weight" in alone.missing["module"]
    given = recognise_weights(tmp_path / "w.pt", module="net.py:build")
    assert given == WeightsKind("factory", {"module": "net.py:build"})


def test_a_module_saved_whole_is_not_run_and_needs_the_users_word(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"model": Trap()}, tmp_path / "w.pt")
    found = recognise_weights(tmp_path / "w.pt")
    assert (found.loader, set(found.missing)) == ("pickled", {"trust_pickle"})
    assert not (tmp_path / "ran").exists()


def test_a_snapshot_is_recognised_by_its_settings(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    for kind, loader in (("enformer", "enformer"), ("borzoi", "borzoi")):
        (tmp_path / "config.json").write_text(f'{{"model_type": "{kind}"}}')
        assert recognise_weights(tmp_path / "model.safetensors").loader == loader


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"<html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\x03\x04 cut", "damaged or truncated"),
    ],
)
def test_what_is_no_file_of_weights_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ModelError, match=said):
        recognise_weights(tmp_path / "w.pt")
    with pytest.raises(InputError, match="no such file"):
        recognise_weights(tmp_path / "absent.pt")
