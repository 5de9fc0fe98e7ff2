"""Deletions and insertions, with the length kept as stated."""

from __future__ import annotations

from typing import Any

import attribution_models as models
import numpy as np
import pytest
import torch
from cislex.attribution.mutagenesis.indels import deletions, insertions
from cislex.errors import ConfigError, InputError
from tangermeme.variant_effect import deletion_effect, insertion_effect
from torch import Tensor, nn

X = models.one_hot(3, 40, unknown=True)
OPTIONS: dict[str, Any] = {"precision": "float64"}


def encode(rows: list[str]) -> Tensor:
    codes = torch.tensor([["ACGTN".index(letter) for letter in row] for row in rows])
    return nn.functional.one_hot(codes, 5)[..., :4].transpose(1, 2).double()


def letters(x: Tensor) -> list[str]:
    codes = x.argmax(1)
    codes[x.sum(1) == 0] = 4
    return ["".join("ACGTN"[c] for c in row) for row in codes.tolist()]


@pytest.fixture
def model() -> nn.Module:
    """Every column has weights of its own, so that a shift by one shows."""
    torch.manual_seed(0)
    layers = [nn.Conv1d(4, 6, 5), nn.GELU(), nn.Flatten(), nn.Linear(6 * 36, 2)]
    return nn.Sequential(*layers).double().requires_grad_(False)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("batch", [None, 1, 1000])
def test_deletions_are_those_of_string_slices(model: nn.Module, side: str, batch: int | None) -> None:
    windows = [[0, 1], [3, 9], [20, 21], [38, 40], [0, 40]]
    found = deletions(model, X, windows, side=side, target=[0, 1], batch_size=batch, **OPTIONS)
    for w, (start, end) in enumerate(windows):
        kept = [row[:start] + row[end:] for row in letters(X)]
        fill = "N" * (end - start)
        mutants = encode([row + fill if side == "right" else fill + row for row in kept])
        torch.testing.assert_close(found.effects[:, w], model(mutants) - model(X.double()))
    assert found.draws is None
    assert found.spread is None
    assert found.notes["length"] == f"unknown at the {side} end"


@pytest.mark.parametrize("side", ["right", "left"])
def test_deletions_with_flanks_equal_those_of_the_peer(model: nn.Module, side: str) -> None:
    """tangermeme is given longer sequences and trims them; ours come with their flanks."""
    x, flanks = X[[0, 2]], models.one_hot(2, 5, seed=9)
    found = deletions(model, x, 5, side=side, fill=flanks, **OPTIONS)
    longer = torch.cat([x, flanks] if side == "right" else [flanks, x], 2).double()
    shift = 0 if side == "right" else 5
    for start in (0, 7, 35):
        rows = [[i, start + shift + j] for i in range(2) for j in range(5)]
        before, after = deletion_effect(model, longer, torch.tensor(rows), left=side == "left", device="cpu")
        torch.testing.assert_close(found.effects[:, start], (after - before)[:, 0])


@pytest.mark.parametrize("side", ["right", "left"])
def test_narrow_deletions_take_the_nearest_flank(side: str) -> None:
    weights = torch.arange(1.0, 41.0)
    if side == "left":
        weights = weights.flip(0)

    class Ends(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x[:, 3] * weights).sum(1, keepdim=True)

    x = torch.zeros(1, 4, 40, dtype=torch.uint8)
    x[:, 0] = 1
    flank = encode(["TACGA" if side == "right" else "AGCAT"]).to(torch.uint8)
    found = deletions(Ends(), x, [[10, 12]], side=side, fill=flank)
    assert found.effects.tolist() == [[39.0]]  # the T beside the end has come in by two columns


def test_random_fills_are_drawn_by_seed_and_window(model: nn.Module) -> None:
    seeds = np.array([5, 6, 7])
    windows = [[0, 6], [10, 16]]
    found = deletions(model, X, windows, fill="random", n=8, seeds=seeds, **OPTIONS)
    again = deletions(
        model, X.flip(0), windows[::-1], fill="random", n=8, seeds=seeds[::-1].copy(), batch_size=3, **OPTIONS
    )
    torch.testing.assert_close(again.draws.flip(0, 1), found.draws)
    torch.testing.assert_close(found.effects, found.draws.mean(2))
    assert (found.spread > 0).all()
    assert not torch.equal(found.draws[:, 0], found.draws[:, 1])


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("batch", [None, 1, 1000])
def test_insertions_are_those_of_string_slices(model: nn.Module, side: str, batch: int | None) -> None:
    inserts = ["G", "NACGT", "ACGTT" * 9]
    found = insertions(model, X, inserts, [0, 1, 17, 39, 40], side=side, batch_size=batch, **OPTIONS)
    for w, p in enumerate((0, 1, 17, 39, 40)):
        for s, insert in enumerate(inserts):
            longer = [row[:p] + insert + row[p:] for row in letters(X)]
            mutants = encode([row[:40] if side == "right" else row[-40:] for row in longer])
            torch.testing.assert_close(found.effects[:, w, s], (model(mutants) - model(X.double()))[:, 0])
    lost = 4 if side == "right" else 0
    # All of it falls off; the place of a row in a batch moves the last bit on some processors.
    assert found.effects[:, lost].abs().max() < 1e-15


@pytest.mark.parametrize("left", [False, True])
def test_insertions_equal_those_of_the_peer(model: nn.Module, left: bool) -> None:
    x = X[[0, 2]]
    found = insertions(model, x, side="left" if left else "right", target=1, **OPTIONS)
    assert found.effects.shape == (2, 40, 4)
    for p in (0, 13, 39):
        for base in range(4):
            rows = torch.tensor([[0, p, base], [1, p, base]])
            before, after = insertion_effect(model, x.double(), rows, left=left, device="cpu")
            torch.testing.assert_close(found.effects[:, p, base], (after - before)[:, 1])


def test_inserting_and_deleting_cancel(model: nn.Module) -> None:
    """What an insertion pushed off the end comes back as the flank."""
    wide = torch.cat([X, models.one_hot(3, 3, seed=4)], 2)
    longer = torch.cat([wide[:, :, :20], encode(["GAT"] * 3).to(torch.uint8), wide[:, :, 20:40]], 2)
    found = deletions(model, longer[:, :, :40], [[20, 23]], fill=longer[:, :, 40:43], **OPTIONS)
    torch.testing.assert_close(found.effects[:, 0] + found.prediction, model(X.double())[:, 0])


def test_one_hot_inserts_and_positions_of_their_own(model: nn.Module) -> None:
    given = encode(["GATN"]).to(torch.uint8)[0]
    found = insertions(model, X, given.numpy(), [[3], [8], [30]], **OPTIONS)
    expected = insertions(model, X, "gatn", [3, 8, 30], **OPTIONS)
    torch.testing.assert_close(found.effects[:, 0, 0], expected.effects[:, :, 0].diagonal())
    assert found.windows.shape == (3, 1, 2)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"side": "up"}, ConfigError, "side: found 'up'"),
        ({"fill": "zeros"}, ConfigError, "fill: found 'zeros'"),
        ({"n": 3}, ConfigError, "fill='random'"),
        ({"fill": X[:, :, :1]}, InputError, "F at least the widest window, 2 bp"),
        ({"fill": X[:2]}, InputError, r"expected \(3, 4, F\)"),
        ({"windows": [[-1, 2]]}, ConfigError, r"\[-1, 2\)"),
    ],
)
def test_bad_options_are_named(
    model: nn.Module, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        deletions(model, X, **{"windows": [[3, 5]], **options})
    with pytest.raises(ConfigError, match="0 to 40"):
        insertions(model, X, "A", [41])
    with pytest.raises(InputError, match="at least one sequence"):
        insertions(model, X, [])
