"""Epistasis: zero where a model adds up, known where it multiplies, equal to a loop everywhere."""

from __future__ import annotations

from typing import Any

import attribution_models as models
import pytest
import torch
from cislex.attribution.mutagenesis.epistasis import block_epistasis, epistasis
from cislex.attribution.mutagenesis.incremental.columns import MutantColumns
from cislex.attribution.mutagenesis.perturbations import scrambles
from cislex.errors import ConfigError
from cislex.targets import Difference, Output
from torch import Tensor, nn

X = models.one_hot(2, 30, unknown=True)
EXACT: dict[str, Any] = {"precision": "float64"}


class Additive(nn.Module):
    """Whole weights, so that sums are exact."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.randint(-4, 5, (4, 30)).to(torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weights).sum((1, 2), keepdim=True)[:, 0]


class And(nn.Module):
    """One where there is a T at 5 and a G at 9, else zero."""

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, 3, 5] * x[:, 2, 9]).unsqueeze(1)


def mutate(x: Tensor, *changes: tuple[int, int]) -> Tensor:
    mutant = x.clone()
    for position, base in changes:
        mutant[:, position] = 0
        mutant[base, position] = 1
    return mutant


def loop(model: nn.Module, x: Tensor, positions: list[int], column: int = 0) -> Tensor:
    """(N, W, 4, W, 4), one mutant at a time."""
    w = len(positions)
    result = torch.zeros((len(x), w, 4, w, 4), dtype=torch.float64)

    def value(sequence: Tensor) -> Tensor:
        return model(sequence[None])[0, column]

    for n, row in enumerate(x.double()):
        for i, p in enumerate(positions):
            for j, q in enumerate(positions):
                for a in range(4):
                    for b in range(4):
                        if p == q or not row[:, p].any() or not row[:, q].any():
                            continue
                        both = value(mutate(row, (p, a), (q, b)))
                        alone = value(mutate(row, (p, a))) + value(mutate(row, (q, b)))
                        result[n, i, a, j, b] = both - alone + value(row)
    return result


def test_an_additive_model_has_none() -> None:
    found = epistasis(Additive(), X, range(30), **EXACT)
    assert (found.epistasis == 0).all()
    assert (found.strength == 0).all()
    assert (found.singles != 0).any()


def test_an_and_gate_has_what_the_formula_says() -> None:
    """Where the gate is off, switching on both gains 1; where on, losing two costs 1, not 2."""
    x = torch.zeros(2, 4, 30, dtype=torch.uint8)
    x[:, 0] = 1
    x[1] = mutate(x[1], (5, 3), (9, 2))
    found = epistasis(And(), x, range(3, 12), **EXACT)
    expected = torch.zeros(2, 9, 4, 9, 4, dtype=torch.float64)
    expected[0, 2, 3, 6, 2] = expected[0, 6, 2, 2, 3] = 1
    lost = torch.tensor([[a != 3 and b != 2 for b in range(4)] for a in range(4)])
    expected[1, 2, :, 6, :][lost] = 1  # −1 − (−1 − 1)
    expected[1, 6, :, 2, :][lost.T] = 1
    torch.testing.assert_close(found.full, expected)
    strongest = found.strength.flatten(1).argmax(1).tolist()
    assert strongest == [2 * 9 + 6] * 2
    assert found.strength[:, 2, 6].tolist() == [1, 1]


@pytest.mark.parametrize("batch", [None, 1, 5, 1000])
@pytest.mark.parametrize("positions", [[8, 9, 10, 11], [20, 2, 13]])
def test_equals_the_loop(positions: list[int], batch: int | None) -> None:
    model = models.trap("residual_dilated").double()  # the second example has unknown bases at 10 to 12
    found = epistasis(model, X, positions, target=[0, 1], batch_size=batch, **EXACT)
    for column in range(2):
        expected = loop(model, X, sorted(positions), column)
        torch.testing.assert_close(found.full[..., column], expected, rtol=1e-7, atol=1e-10)
        assert expected.abs().max() > 1e-5
        strength = expected.abs().amax((2, 4))
        torch.testing.assert_close(found.strength[..., column], strength, rtol=1e-7, atol=1e-10)
    torch.testing.assert_close(found.prediction, model(X.double()))
    assert found.positions.tolist() == sorted(positions)


def test_doubles_and_singles_are_effects() -> None:
    model = models.trap("gate").double()
    found = epistasis(model, X[:1], [4, 9], target=Difference(Output(0), Output(1)), **EXACT)
    row = X[0].double()
    value = [model(mutate(row, *m)[None])[0] for m in ([], [(4, 1)], [(9, 2)], [(4, 1), (9, 2)])]
    effects = [(v[0] - v[1]) - (value[0][0] - value[0][1]) for v in value]
    torch.testing.assert_close(found.singles[0, 0, 1], effects[1])
    torch.testing.assert_close(found.singles[0, 1, 2], effects[2])
    torch.testing.assert_close(found.doubles[0, 0, 1, 2], effects[3])


def test_chosen_pairs_are_those_of_all() -> None:
    model = models.trap("residual_dilated").double()
    every = epistasis(model, X, [3, 7, 15, 29], **EXACT)
    some = epistasis(model, X, [29, 3, 7, 15], pairs=[[15, 3], [7, 29]], **EXACT)
    assert some.pairs.tolist() == [[0, 2], [1, 3]]
    torch.testing.assert_close(some.epistasis[:, 0], every.full[:, 0, :, 2])
    torch.testing.assert_close(some.epistasis[:, 1], every.full[:, 1, :, 3])
    assert (some.strength[:, 0, 1] == 0).all()


def test_windows_of_columns_are_used_and_equal_whole_sequences() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv1d(4, 6, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(6, 6, 3), nn.GELU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(6 * 13, 1)).double()
    seen: list[type] = []
    model[0].register_forward_pre_hook(lambda _, given: seen.append(type(given[0])))
    found = epistasis(model, X, range(8, 14), **EXACT)
    assert MutantColumns in seen
    assert "mutants" not in found.notes
    torch.testing.assert_close(found.full, loop(model, X, list(range(8, 14))), rtol=1e-7, atol=1e-10)


def test_what_is_absurd_is_refused_before_any_work() -> None:
    class Counted(And):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            Counted.calls += 1
            return super().forward(x)

    x = models.one_hot(3, 400)
    with pytest.raises(ConfigError, match=r"3 sequences × 79800 pairs .* GiB and 2,154,600 mutants"):
        epistasis(Counted(), x, range(400), limit_gib=0.01)
    assert Counted.calls <= 10  # the trial
    assert epistasis(And(), x[:1], range(30), limit_gib=0.01).epistasis.shape == (1, 435, 4, 4)


@pytest.mark.parametrize(
    ("positions", "pairs", "text"),
    [
        ([3, 3], None, "duplicates"),
        ([30], None, "0 to 29"),
        ([3, 4], [[3, 5]], r"pairs: found \(3, 5\)"),
        ([3, 4], [[3, 3]], "two different ones"),
        ([3, 4], [3, 4], "shape"),
        ([0.5], None, "whole numbers"),
    ],
)
def test_bad_positions_and_pairs_are_named(positions: Any, pairs: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        epistasis(And(), X, positions, pairs=pairs)


def test_no_sequences_and_no_pairs() -> None:
    assert epistasis(And(), X[:0], [1, 2, 3]).full.shape == (0, 3, 4, 3, 4)
    assert epistasis(And(), X, [4]).epistasis.shape == (2, 0, 4, 4)
    assert block_epistasis(And(), X[:0], [[0, 5], [5, 10]], target=[0]).draws.shape == (0, 1, 20, 1)


BLOCKS = [[0, 8], [10, 20], [22, 30]]


@pytest.mark.parametrize("batch", [None, 1, 7])
def test_blocks_equal_three_kinds_of_scrambles(batch: int | None) -> None:
    """ε of a draw from f of A scrambled, B scrambled and both, of sequences that are put together by hand."""
    model = models.trap("residual_dilated").double()
    seeds = [4, 9]
    options: dict[str, Any] = {"n": 5, "seeds": seeds, "batch_size": batch, **EXACT}
    found = block_epistasis(model, X, BLOCKS, **options)
    alone = scrambles(model, X, BLOCKS, **options)
    torch.testing.assert_close(found.singles, alone.effects, rtol=1e-9, atol=1e-12)
    rows: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            rows.extend(x.clone())
            return x.sum((1, 2)).unsqueeze(1)

    before = model(X.double())[:, 0]
    for p, (a, b) in enumerate(found.pairs.tolist()):
        for i in range(2):
            made = []
            for block in (a, b):
                rows.clear()
                scrambles(Spy(), X[i : i + 1], [BLOCKS[block]], n=5, seeds=seeds[i : i + 1], **EXACT)
                made.append(torch.stack(rows[-5:]))
            both = made[0].clone()
            start, end = BLOCKS[b]
            both[:, :, start:end] = made[1][:, :, start:end]
            effects = [model(m)[:, 0] - before[i] for m in (*made, both)]
            torch.testing.assert_close(found.draws[i, p], effects[2] - effects[0] - effects[1])
    torch.testing.assert_close(found.epistasis, found.draws.mean(2))
    torch.testing.assert_close(found.spread, found.draws.std(2))
    torch.testing.assert_close(found.matrix[:, 0, 2], found.epistasis[:, 1])
    torch.testing.assert_close(found.matrix[:, 2, 0], found.epistasis[:, 1])


def test_blocks_of_an_additive_model_have_none() -> None:
    found = block_epistasis(Additive(), X, BLOCKS, n=4, kind="base", **EXACT)
    assert (found.draws == 0).all()
    assert (found.singles != 0).any()


def test_blocks_that_overlap_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"blocks \[0, 1\] overlap"):
        block_epistasis(And(), X, [[0, 10], [9, 20]])
    chosen = block_epistasis(And(), X, [[0, 10], [9, 20], [20, 30]], pairs=[[0, 2]], n=1)
    assert chosen.draws.shape == (2, 1, 1)
    assert torch.isnan(chosen.spread).all()
