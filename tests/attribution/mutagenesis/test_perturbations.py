"""Scrambled blocks and motifs written over a sequence: equal to loops, whatever the batches."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import attribution_models as models
import numpy as np
import pytest
import torch
from cislex.attribution.mutagenesis.incremental.columns import MutantColumns
from cislex.attribution.mutagenesis.perturbations import scrambles, substitutions
from cislex.attribution.mutagenesis.windows import tiles, window_seed
from cislex.attribution.references import DinucleotideShuffle, make_references
from cislex.errors import ConfigError, InputError, ModelError
from cislex.targets import Difference, LogCounts, Output, Profile
from tangermeme.ablate import ablate
from tangermeme.ersatz import substitute as tangermeme_substitute
from torch import Tensor, nn

X = models.one_hot(3, 60, unknown=True)
WINDOWS = [[0, 12], [20, 32], [41, 60], [44, 56]]


@pytest.fixture
def model() -> nn.Module:
    return models.trap("residual_dilated").double()


def letters(x: Tensor) -> list[str]:
    codes = x.argmax(1)
    codes[x.sum(1) == 0] = 4
    return ["".join("ACGTN"[c] for c in row) for row in codes.tolist()]


class Spy(nn.Module):
    """Keeps every row that it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.rows += list(x.detach().clone())
        return torch.zeros(len(x), 1, dtype=x.dtype)


@pytest.mark.parametrize("kind", ["dinucleotide", "base"])
def test_scrambles_keep_what_they_promise(kind: str) -> None:
    whole = letters(X)
    # One example at a time, so that what follows its own row are its mutants only.
    for i, original in enumerate(whole):
        spy = Spy()
        scrambles(spy, X[i : i + 1], [[5, 45]], n=6, kind=kind, precision="float64", batch_size=4)
        made = {s for s in letters(torch.stack(spy.rows)) if s != original and s[:5] == original[:5]}
        # The trial puts mutants of one base beside the example.
        made = {s for s in made if s[45:] == original[45:] and sorted(s) == sorted(original)}
        assert len(made) == 6
        for scrambled in made:
            assert sorted(scrambled) == sorted(original)
            assert [j for j, c in enumerate(scrambled) if c == "N"] == [
                j for j, c in enumerate(original) if c == "N"
            ]
            if kind == "dinucleotide":
                pairs = [sorted(a + b for a, b in pairwise(s)) for s in (scrambled, original)]
                assert pairs[0] == pairs[1]


def uniform_shuffle(x: Tensor, start: int, end: int, seed: int) -> Tensor:
    """One shuffle (N, 1, 4, L) of a window."""
    return make_references(DinucleotideShuffle(1, seed, start, end, sampling="uniform"), x)


def test_scrambles_are_those_of_a_loop(model: nn.Module) -> None:
    """The oracle shuffles whole examples, from the seed of example and window."""
    x, seeds, n = X[[0, 2]], np.array([7, 11]), 3
    found = scrambles(model, x, WINDOWS, n=n, seeds=seeds, target=[Output(0), Output(1)], precision="float64")
    before = model(x.double())
    for i in range(2):
        for w, (start, end) in enumerate(WINDOWS):
            first = window_seed(int(seeds[i]), start, end)
            for k in range(n):
                mutant = uniform_shuffle(x[i : i + 1].double(), start, end, first + k)
                effect = model(mutant[:, 0].double())[0] - before[i]
                torch.testing.assert_close(found.draws[i, w, k], effect)
    torch.testing.assert_close(found.effects, found.draws.mean(2))
    torch.testing.assert_close(found.spread, found.draws.std(2))
    torch.testing.assert_close(found.prediction, before)
    assert found.windows.tolist() == WINDOWS
    assert (found.changed > 0.5).all()


def test_scrambles_equal_ablation_of_the_peer() -> None:
    """tangermeme's ``ablate`` with the same shuffles."""
    model, x = models.trap("module_relu").double(), X[:1]

    def shuffle(sequences: Tensor, start: int, end: int, n: int, random_state: Any) -> Tensor:
        first = window_seed(0, start, end)
        return torch.cat([uniform_shuffle(sequences, start, end, first + k).double() for k in range(n)], 1)

    before, after = ablate(model, x.double(), 10, 40, n=5, shuffle_fn=shuffle, device="cpu")
    found = scrambles(model, x, [[10, 40]], n=5, target=1, precision="float64")
    torch.testing.assert_close(found.draws[0, 0], (after[0] - before[0])[:, 1])


@pytest.mark.parametrize("batch", [1, 2, 7, 1000])
def test_batches_and_order_do_not_matter(model: nn.Module, batch: int) -> None:
    seeds = np.array([3, 4, 5])
    options: dict[str, Any] = {"n": 5, "precision": "float64"}
    expected = scrambles(model, X, WINDOWS, seeds=seeds, **options)
    found = scrambles(model, X, WINDOWS, seeds=seeds, batch_size=batch, **options)
    torch.testing.assert_close(found.draws, expected.draws, rtol=1e-9, atol=1e-12)
    turned = scrambles(model, X.flip(0), WINDOWS[::-1], seeds=seeds[::-1].copy(), batch_size=batch, **options)
    torch.testing.assert_close(turned.draws.flip(0, 1), expected.draws, rtol=1e-9, atol=1e-12)
    alone = scrambles(model, X[1:2], WINDOWS[2:3], seeds=seeds[1:2], batch_size=batch, **options)
    torch.testing.assert_close(alone.draws[0, 0], expected.draws[1, 2], rtol=1e-9, atol=1e-12)


def test_windows_of_columns_are_used_and_equal_whole_sequences(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv1d(4, 6, 5, padding=2), nn.ReLU(), nn.Conv1d(6, 6, 3, padding=2, dilation=2), nn.GELU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 1)).double()

    class Opaque(nn.Module):
        """The same, where windows of columns cannot be followed."""

        def forward(self, x: Tensor) -> Tensor:
            h = x.clone()
            h[:, 0] += 0
            return model(h)

    tracked = []
    model[0].register_forward_pre_hook(lambda _, given: tracked.append(type(given[0])))
    options: dict[str, Any] = {"n": 8, "precision": "float64", "batch_size": 10}
    found = scrambles(model, X, WINDOWS[:2], **options)
    assert "mutants" not in found.notes
    assert tracked.count(MutantColumns) >= 6
    with caplog.at_level(logging.WARNING):
        expected = scrambles(Opaque(), X, WINDOWS[:2], **options)
    assert "whole sequences" in expected.notes["mutants"]
    assert caplog.text.count("whole sequences are computed") == 1
    torch.testing.assert_close(found.draws, expected.draws, rtol=1e-9, atol=1e-12)
    assert found.draws.abs().max() > 1e-4


def test_windows_of_their_own_for_each_example(model: nn.Module) -> None:
    own = [[[0, 12], [30, 40]], [[8, 20], [30, 44]], [[1, 9], [50, 60]]]
    found = scrambles(model, X, own, n=4, precision="float64")
    assert found.effects.shape == (3, 2)
    for i in range(3):
        alone = scrambles(model, X[i : i + 1], own[i], n=4, precision="float64")
        torch.testing.assert_close(found.draws[i], alone.draws[0])


def test_a_window_of_unknown_bases_has_no_effect(model: nn.Module) -> None:
    x = X.clone()
    x[:, :, 20:30] = 0
    found = scrambles(model, x, [[20, 30], [2, 50]], n=3, precision="float64")
    assert (found.effects[:, 0] == 0).all()
    assert (found.changed[:, 0] == 0).all()
    assert (found.changed[:, 1] > 0).all()
    assert torch.isnan(scrambles(model, x, [[20, 30]], n=1).spread).all()


def test_substitutions_are_those_of_a_loop(model: nn.Module) -> None:
    inserts = ["ACGTAC", "TTT", "NNNN"]
    found = substitutions(model, X, inserts, target=Difference(Output(0), Output(1)), precision="float64")
    assert found.effects.shape == (3, 55, 3)
    value = Difference(Output(0), Output(1))
    for p in (0, 9, 30, 54):
        for s, insert in enumerate(inserts):
            mutants = X.double().clone()
            for j, letter in enumerate(insert):
                mutants[:, :, p + j] = 0
                if letter != "N":
                    mutants[:, "ACGT".index(letter), p + j] = 1
            effect = value(model(mutants)) - value(model(X.double()))
            torch.testing.assert_close(found.effects[:, p, s], effect)
    assert found.windows[9].tolist() == [9, 15]


def test_substitutions_equal_those_of_the_peer(model: nn.Module) -> None:
    x = X[[0, 2]]
    found = substitutions(model, x, "GATTACA", [11, 40], precision="float64")
    for w, start in enumerate((11, 40)):
        mutants = tangermeme_substitute(x.double(), "GATTACA", start=start)
        torch.testing.assert_close(found.effects[:, w, 0], (model(mutants) - model(x.double()))[:, 0])


def test_extra_inputs_follow_their_example() -> None:
    class Controlled(nn.Module):
        def forward(self, x: Tensor, control: Tensor) -> Tensor:
            return (x[:, 0].sum(1) * control).unsqueeze(1)

    control = torch.tensor([1.0, 10.0, 100.0])
    found = substitutions(Controlled(), X, "AA", [0, 30], extra_inputs=[control], batch_size=2)
    expected = control[:, None] * torch.stack([2 - X[:, 0, p : p + 2].sum(1) for p in (0, 30)], 1)
    torch.testing.assert_close(found.effects[..., 0], expected)


class Pair(nn.Module):
    """Profile and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.profile = nn.Conv1d(4, 5, 9, padding=4), nn.Conv1d(5, 1, 11)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.conv(x).relu()
        return self.profile(h), h.mean((1, 2)).unsqueeze(1)


@pytest.mark.parametrize("target", [LogCounts(), Profile(), Profile("secant")])
def test_targets_of_profile_models(target: Any) -> None:
    torch.manual_seed(1)
    model = Pair().double()
    found = substitutions(model, X, "CCCC", [10, 50], target=target, precision="float64")
    for w, start in enumerate((10, 50)):
        mutants = X.double().clone()
        mutants[:, :, start : start + 4] = torch.eye(4, dtype=torch.float64)[1][:, None]
        outputs = model(X.double()), model(mutants)
        pair = getattr(target, "pair", None)
        before, after = pair(*outputs) if pair else (target(outputs[0]), target(outputs[1]))
        torch.testing.assert_close(found.effects[:, w, 0], after - before)


def test_the_model_is_left_as_it_was(model: nn.Module) -> None:
    model.train()
    model.conv.weight.grad = torch.ones_like(model.conv.weight)
    state = torch.get_rng_state()
    scrambles(model, X, WINDOWS, n=2)
    with pytest.raises(ConfigError):
        scrambles(model, X, [[0, 61]])
    assert model.training
    assert model.conv.weight.requires_grad
    assert model.conv.weight.dtype == torch.float64
    assert (model.conv.weight.grad == 1).all()
    assert torch.equal(torch.get_rng_state(), state)


def test_no_sequences(model: nn.Module) -> None:
    assert scrambles(model, X[:0], WINDOWS, n=3).draws.shape == (0, 4, 3)
    assert substitutions(model, X[:0], ["A", "C"], [3], target=[0, 1]).effects.shape == (0, 1, 2, 2)


@pytest.mark.parametrize(
    ("windows", "options", "text"),
    [
        ([[0, 61]], {}, r"\[0, 61\) in sequences of 60 bp"),
        ([[5, 8]], {}, "at least 4 bp for dinucleotide shuffles"),
        ([[5, 6]], {"kind": "base"}, "at least 2 bp"),
        ([5, 8], {}, "shape"),
        ([[0.5, 8.0]], {}, "whole numbers"),
        (61, {}, "width=61"),
        (WINDOWS, {"kind": "codon"}, "codon"),
        (WINDOWS, {"n": 0}, "at least 1 draw"),
        (WINDOWS, {"target": []}, "empty list"),
        (WINDOWS, {"batch_size": 0}, "batch_size"),
        (WINDOWS, {"precision": "half"}, "precision"),
    ],
)
def test_bad_windows_and_options_are_named(
    model: nn.Module, windows: Any, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        scrambles(model, X, windows, **options)


def test_bad_input_is_named(model: nn.Module) -> None:
    with pytest.raises(InputError, match=r"looks like \(N, L, 4\)"):
        scrambles(model, X.transpose(1, 2), WINDOWS)
    with pytest.raises(InputError, match="seeds"):
        scrambles(model, X, WINDOWS, seeds=[1])
    with pytest.raises(InputError, match=r"inserts\[1\]: found X, 1"):
        substitutions(model, X, ["A", "GX1"])
    with pytest.raises(InputError, match="longer than the sequences"):
        substitutions(model, X, "A" * 61)
    with pytest.raises(ConfigError, match="positions: found 58, expected 0 to 57"):
        substitutions(model, X, "AAA", [58])
    with pytest.raises(ModelError, match="cannot take sequences"):
        scrambles(nn.Linear(3, 1), X, WINDOWS)


def test_a_mutant_without_a_finite_value_is_named() -> None:
    class Fragile(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :, 7].sum(1, keepdim=True).log()

    with pytest.raises(ModelError, match=r"example 0 with columns \[6, 8\) replaced"):
        substitutions(Fragile(), X[:1], "NN", [3, 6])


def test_tiles() -> None:
    assert tiles(10, 4, stride=3).tolist() == [[0, 4], [3, 7], [6, 10]]
    assert tiles(10, 2, start=7, end=9).tolist() == [[7, 9]]
    with pytest.raises(ConfigError, match="width"):
        tiles(10, 4, start=8)
