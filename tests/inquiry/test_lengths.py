"""The lengths that a model takes are found by trying, exactly where there is one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from cislex.inquiry.lengths import Lengths, accepted_lengths
from cislex.models.loading import LoadedModel
from torch import Tensor, nn


def flattened(length: int, pool: int = 1) -> nn.Module:
    """Padded convolution, pooling and a linear layer over all that is left."""
    inside = 3 * (length // pool)
    return nn.Sequential(
        nn.Conv1d(4, 3, 9, padding=4), nn.MaxPool1d(pool), nn.ReLU(), nn.Flatten(), nn.Linear(inside, 2)
    )


class Positions(nn.Module):
    """A vector for each position: no other length fits, and no error says which way."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.zeros(4, length))

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.own).mean((1, 2))


class Reader(nn.Module):
    """Refuses every length."""

    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("never")


def found(model: nn.Module) -> Lengths | None:
    return accepted_lengths(LoadedModel(model.eval(), "digest"))


@pytest.mark.parametrize("length", [37, 249, 999, 1000, 2114])
def test_a_linear_layer_over_positions_tells_the_length(length: int) -> None:
    lengths = found(flattened(length))
    assert lengths is not None
    assert lengths.only == length


def test_pooling_leaves_a_stretch_of_lengths_with_both_ends() -> None:
    lengths = found(flattened(1000, pool=8))
    assert lengths == Lengths(1000, 1007, lengths.tried if lengths else 0)
    assert lengths is not None
    assert lengths.only is None


def test_a_layer_of_positions_is_found_among_the_usual_lengths() -> None:
    lengths = found(Positions(2114))
    assert lengths is not None
    assert lengths.only == 2114


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Sequential(nn.Conv1d(4, 2, 9), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(2, 1)),
        lambda: nn.Conv1d(4, 2, 801),
    ],
)
def test_a_model_without_a_length_of_its_own_is_said_to_have_none(build: Callable[[], nn.Module]) -> None:
    lengths = found(build())
    assert lengths is not None
    assert lengths.most is None
    assert lengths.only is None


def test_a_model_that_fails_at_every_length_has_none() -> None:
    assert found(Reader()) is None


def test_what_the_file_says_and_what_a_program_was_exported_for_need_no_trial() -> None:
    told = accepted_lengths(LoadedModel(Reader(), "digest", input_length=600))
    assert told == Lengths(600, 600, 600)
    program = torch.export.export(Positions(333).eval(), (torch.zeros(2, 4, 333),))
    lengths = found_in_program(program.module())
    assert lengths is not None
    assert lengths.only == 333


def found_in_program(model: nn.Module) -> Lengths | None:
    return accepted_lengths(LoadedModel(model, "digest"))
