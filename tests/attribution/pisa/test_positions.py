"""Attributions of single profile positions equal one plain call per position, on fewer columns."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import attribution_models as models
import pytest
import torch
import torch.nn.functional as functional
from cislex.attribution import (
    ISM,
    DeepLiftShap,
    DinucleotideShuffle,
    ExpectedGradients,
    FixedReferences,
    IntegratedGradients,
    Saliency,
    attribute,
    make_references,
)
from cislex.attribution.methods import Method
from cislex.attribution.pisa.groups import PositionBatch
from cislex.attribution.pisa.positions import attribute_positions, position_batches
from cislex.attribution.pisa.receptive_field import Reach, find_reach
from cislex.errors import ConfigError, InputError, ModelError
from cislex.targets import Output
from tangermeme.pisa import pisa
from torch import Tensor, nn

X = models.one_hot(2, 90, unknown=True)
METHOD = DeepLiftShap(DinucleotideShuffle(n=3))
EXACT: dict[str, Any] = {"precision": "float64"}


class Profile(nn.Module):
    """A small BPNet: two tracks of logits from dilated residual convolutions, and counts."""

    def __init__(self, *, trim: int = 6, same: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 6, 7, padding=3 if same else 0)
        self.dilated = nn.ModuleList(nn.Conv1d(6, 6, 3, padding=2**i, dilation=2**i) for i in range(1, 3))
        self.last = nn.Conv1d(6, 2, 5, padding=2)
        self.counts = nn.Linear(6, 1)
        self.trim = trim
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = functional.elu(self.first(x))
        for layer in self.dilated:
            h = h + self.act(layer(h))
        out = self.last(h)
        return out[:, :, self.trim : out.shape[2] - self.trim], self.counts(h.mean(2))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(3)
    return Profile().double()


def plain(model: nn.Module, positions: list[int], method: Method = METHOD, **options: Any) -> list[Any]:
    return [attribute(model, X, method, target=Output((1, p), 0), **EXACT, **options) for p in positions]


def agree(found: Any, expected: list[Any]) -> None:
    """Every array, to 1e-6 of its scale and better."""
    stacked = torch.stack([item.contributions.sum(1) for item in expected], 1)
    torch.testing.assert_close(found.contributions, stacked, rtol=1e-7, atol=1e-10)
    assert stacked.abs().max() > 1e-3
    stacked = torch.stack([item.prediction for item in expected], 1)
    torch.testing.assert_close(found.prediction, stacked, rtol=1e-9, atol=1e-12)
    if found.hypothetical is not None:
        stacked = torch.stack([item.hypothetical for item in expected], 1)
        torch.testing.assert_close(found.hypothetical, stacked, rtol=1e-7, atol=1e-10)
    if expected[0].delta is not None:
        stacked = torch.stack([item.reference_prediction for item in expected], 1)
        torch.testing.assert_close(found.reference_prediction, stacked, rtol=1e-9, atol=1e-12)
        assert found.max_relative_delta.max() < 1e-9


@pytest.mark.parametrize("trim", [0, 6, 30])
@pytest.mark.parametrize("same", [True, False])
def test_equals_one_call_for_each_position(trim: int, same: bool) -> None:
    """With edges, whatever the model trims from its profile and however it pads."""
    torch.manual_seed(3)
    model = Profile(trim=trim, same=same).double()
    size = model(X.double())[0].shape[2]
    positions = [0, 1, 2, size // 2, size - 2, size - 1, 5]
    found = attribute_positions(model, X, METHOD, positions=positions, index=1, hypothetical=True, **EXACT)
    agree(found, plain(model, positions))
    assert found.notes["columns"] == "23 of 90 seen by each position"
    assert found.positions.tolist() == positions


def test_all_positions(model: nn.Module) -> None:
    found = attribute_positions(model, X, METHOD, index=1, **EXACT)
    assert found.contributions.shape == (2, 78, 90)
    agree(found, plain(model, list(range(78))))
    assert found.hypothetical is None
    with_columns = (found.contributions != 0).any(0).sum(1)
    assert with_columns.max() <= 23


@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_batches_and_seeds(model: nn.Module, batch: int) -> None:
    positions, seeds = [10, 11, 12, 40], [5, 6]
    found = attribute_positions(
        model, X, METHOD, positions=positions, index=1, seeds=seeds, batch_size=batch, **EXACT
    )
    agree(found, plain(model, positions, seeds=seeds))


@pytest.mark.parametrize(
    "method",
    [
        Saliency(),
        ISM(),
        ISM(20, 60),
        IntegratedGradients(8),
        DeepLiftShap(FixedReferences(make_references(DinucleotideShuffle(n=2, seed=9), X))),
        DeepLiftShap(DinucleotideShuffle(n=2), rule="reveal_cancel"),
    ],
    ids=lambda method: method.name,
)
def test_other_methods(model: nn.Module, method: Method) -> None:
    found = attribute_positions(model, X, method, positions=[3, 44], index=1, hypothetical=True, **EXACT)
    agree_loosely = [attribute(model, X, method, target=Output((1, p), 0), **EXACT) for p in (3, 44)]
    stacked = torch.stack([item.hypothetical for item in agree_loosely], 1)
    torch.testing.assert_close(found.hypothetical, stacked, rtol=1e-7, atol=1e-10)


def test_equals_pisa_of_the_peer() -> None:
    """tangermeme's ``pisa``, on a model of which it knows every operation."""

    class Track(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv1d(4, 8, 9, padding=4), nn.ReLU(), nn.Conv1d(8, 8, 5, padding=2), nn.ReLU(),
                nn.Conv1d(8, 1, 7, padding=3),
            )  # fmt: skip

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)[:, 0]

    torch.manual_seed(0)
    model, x = Track().double(), X[:1]
    references = make_references(DinucleotideShuffle(n=3), x).double()
    expected = pisa(model, x.double(), references=references, hypothetical=True, device="cpu")
    method = DeepLiftShap(FixedReferences(references))
    found = attribute_positions(model, x, method, hypothetical=True, **EXACT)
    torch.testing.assert_close(found.hypothetical, expected, rtol=1e-7, atol=1e-9)
    assert found.notes["columns"] == "19 of 90 seen by each position"


def test_columns_of_a_position_and_no_more_are_computed(model: nn.Module) -> None:
    lengths: list[int] = []
    attribute_positions(model, X, METHOD, positions=[40], index=1, **EXACT)
    model.first.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[2]))
    list(position_batches(model, X, METHOD, positions=range(30, 50), index=1, **EXACT))
    short = [length for length in lengths if length < 90]
    assert max(short) <= 23 + 12  # the profile is 12 shorter than the sequence
    assert len(short) > 10


def test_batches_stream(model: nn.Module) -> None:
    expected = attribute_positions(model, X, METHOD, positions=range(20, 60), index=1, **EXACT)
    seen = torch.zeros(2, 40, dtype=torch.int64)
    for batch in position_batches(model, X, METHOD, positions=range(20, 60), index=1, **EXACT):
        assert isinstance(batch, PositionBatch)
        for p, found in zip(batch.chosen.tolist(), batch.attributions, strict=True):
            stop = batch.start + found.multipliers.shape[2]
            part = expected.contributions[batch.rows, p, batch.start : stop]
            torch.testing.assert_close(found.contributions.sum(1), part)
            seen[batch.rows, p] += 1
    assert (seen == 1).all()


class Dense(nn.Module):
    """Every position sees everything, and only this length is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(360, 20), nn.ReLU(), nn.Linear(20, 30))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class FlatteningConvolution(nn.Module):
    """A position sees few columns, but only this length is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 1, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] == 90, "this length only"
        return self.conv(x)[:, 0].relu()


class Strided(nn.Module):
    """A profile of bins."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(4, 6, 5, padding=2), nn.ELU(), nn.MaxPool1d(3), nn.Conv1d(6, 1, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ByPosition(nn.Module):
    """Slides, but knows where it is from the end: columns alone give another value."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 1, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)[:, 0].relu() * torch.linspace(0.5, 2, x.shape[2], dtype=x.dtype)


class Scaling(torch.autograd.Function):
    """Passes values on; its gradient knows the length."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * gradients[0].shape[2]


class ByGradient(nn.Module):
    """Slides, but its gradients depend on the length, which only the multipliers show."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 1, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return Scaling.apply(self.conv(x))[:, 0]


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        (Dense, None),
        (FlatteningConvolution, "AssertionError: this length only"),
        (Strided, "columns give"),
        (ByPosition, "values differ by"),
        (ByGradient, "multipliers differ by"),
    ],
)
def test_where_columns_will_not_do_whole_sequences_are_computed(
    kind: type[nn.Module], note: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(1)
    model = kind().double()
    index = (0,) if kind is Strided else ()
    method: Method = Saliency() if kind is ByGradient else METHOD
    with caplog.at_level(logging.INFO):
        found = attribute_positions(model, X, method, positions=[0, 7, 14, 27], hypothetical=True, **EXACT)
    for i, p in enumerate((0, 7, 14, 27)):
        expected = attribute(model, X, method, target=Output((*index, p)), **EXACT)
        torch.testing.assert_close(found.hypothetical[:, i], expected.hypothetical, rtol=1e-9, atol=1e-12)
    assert found.hypothetical.abs().max() > 0
    if note is None:
        assert "columns" not in found.notes
    else:
        assert "whole sequences" in found.notes["columns"]
        assert note in found.notes["columns"]
        assert "whole sequences are computed" in caplog.text


def test_extra_inputs_take_whole_sequences() -> None:
    class Controlled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(4, 1, 7, padding=3)

        def forward(self, x: Tensor, control: Tensor) -> Tensor:
            return (self.conv(x)[:, 0] * control).tanh()

    torch.manual_seed(0)
    model, control = Controlled(), torch.rand(2, 90)
    found = attribute_positions(model, X, METHOD, positions=[4, 50], extra_inputs=[control])
    for i, p in enumerate((4, 50)):
        expected = attribute(model, X, METHOD, target=Output(p), extra_inputs=[control])
        torch.testing.assert_close(found.contributions[:, i], expected.contributions.sum(1))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_lower_precisions(model: nn.Module, precision: str) -> None:
    found = attribute_positions(model, X, METHOD, positions=[5, 40], index=1, precision=precision)
    exact = attribute_positions(model, X, METHOD, positions=[5, 40], index=1, **EXACT)
    tolerance = 1e-4 if precision == "float32" else 0.1
    worst = (found.contributions - exact.contributions).abs().max() / exact.contributions.abs().max()
    assert worst < tolerance
    assert found.contributions.dtype == torch.float32


def test_the_reach_is_what_the_kernels_say() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv1d(4, 3, 6, padding=3), nn.ReLU(), nn.Conv1d(3, 1, 3, dilation=4))
    x = X[:1].float()
    reach = find_reach(lambda rows: layers(rows)[:, 0], x)
    # Output p of the second reads h at p, p + 4, p + 8; h at q reads columns q − 3 to q + 2.
    assert reach == Reach(-3, 11, 90, 90 - 83)
    assert reach.width == 14
    assert reach.columns(0, 0) == (0, 11)
    assert reach.columns(40, 41) == (37, 52)
    assert find_reach(lambda rows: rows.sum(1).cumsum(1), x) is None
    assert find_reach(lambda rows: rows.sum((1, 2)).unsqueeze(1).expand(-1, 90), x) is None


def test_bad_requests_are_named(model: nn.Module) -> None:
    with pytest.raises(ModelError, match=r"index None for an output of shape \('N', 2, 78\)"):
        attribute_positions(model, X, METHOD)
    with pytest.raises(ModelError, match="index"):
        attribute_positions(model, X, METHOD, index=2)
    with pytest.raises(ModelError, match="head 5"):
        attribute_positions(model, X, METHOD, head=5)
    with pytest.raises(ConfigError, match="positions: found 78, expected 0 to 77"):
        attribute_positions(model, X, METHOD, index=0, positions=[78])
    with pytest.raises(ConfigError, match=r"2 sequences × 78 positions × 90 bp take .* position_batches"):
        attribute_positions(model, X, METHOD, index=0, limit_gib=1e-5)
    with pytest.raises(InputError, match=r"looks like \(N, L, 4\)"):
        attribute_positions(model, X.transpose(1, 2), METHOD, index=0)
    empty = attribute_positions(model, X[:0], METHOD, index=0, positions=[3, 4])
    assert empty.contributions.shape == (0, 2, 90)


def test_the_model_is_left_as_it_was(model: nn.Module) -> None:
    model.train()
    state = torch.get_rng_state()
    attribute_positions(model, X, METHOD, index=0, positions=[3])
    batches = position_batches(model, X, METHOD, index=0)
    next(batches)
    assert model.training
    assert model.first.weight.requires_grad
    assert torch.equal(torch.get_rng_state(), state)


BOTH_METHODS = [METHOD, Saliency(), ISM(), ISM(20, 60), IntegratedGradients(8), ExpectedGradients()]


@pytest.mark.parametrize("method", BOTH_METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("same", [True, False])
def test_both_strands_are_the_average_of_two_calls(method: Any, same: bool) -> None:
    """Of position p, and on the other strand of the mirrored position of the other track."""
    torch.manual_seed(3)
    model = Lopsided(same=same).double()
    size = model(X.double())[0].shape[2]
    positions = [0, 3, size // 2, size - 1]
    options: dict[str, Any] = {"reverse_complement": True, "index": 1, "reverse_index": 0, **EXACT}
    found = attribute_positions(model, X, method, positions=positions, hypothetical=True, **options)
    refs = make_references(method.references, X)
    here, there = (FixedReferences(item) for item in (refs, refs.flip(2, 3)))
    turned = ISM(30, 70) if method == ISM(20, 60) else method
    for place, p in enumerate(positions):
        a = attribute(model, X, replace(method, references=here), target=Output((1, p), 0), **EXACT)
        b = attribute(
            model,
            X.flip(1, 2),
            replace(turned, references=there),
            target=Output((0, size - 1 - p), 0),
            **EXACT,
        )
        expected = (a.hypothetical + b.hypothetical.flip(1, 2)) / 2
        torch.testing.assert_close(found.hypothetical[:, place], expected, rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(
            found.contributions[:, place], (X * expected).sum(1), rtol=1e-7, atol=1e-10
        )
        torch.testing.assert_close(found.prediction[:, place], (a.prediction + b.prediction) / 2)
        if a.delta is not None:
            torch.testing.assert_close(
                found.reference_prediction[:, place], (a.reference_prediction + b.reference_prediction) / 2
            )
    assert found.contributions.abs().max() > 1e-3
    assert found.notes["strands"] == "average of both"


@pytest.mark.parametrize("method", BOTH_METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("batch_size", [None, 4])
def test_both_strands_are_equivariant_whatever_the_model(method: Any, batch_size: int | None) -> None:
    """attribute_positions of rc x, of the mirrored positions and the other track, is that of x turned."""
    torch.manual_seed(3)
    model = Lopsided().double()
    size = 78
    positions = torch.tensor([0, 20, 21, 60, size - 1])
    refs = make_references(method.references, X)
    options: dict[str, Any] = {"reverse_complement": True, "hypothetical": True, "batch_size": batch_size}
    here = attribute_positions(
        model, X, replace(method, references=FixedReferences(refs)),
        positions=positions, index=1, reverse_index=0, **options, **EXACT,
    )  # fmt: skip
    turned = ISM(30, 70) if method == ISM(20, 60) else method
    there = attribute_positions(
        model, X.flip(1, 2), replace(turned, references=FixedReferences(refs.flip(2, 3))),
        positions=size - 1 - positions, index=0, reverse_index=1, **options, **EXACT,
    )  # fmt: skip
    torch.testing.assert_close(here.hypothetical, there.hypothetical.flip(2, 3))
    torch.testing.assert_close(here.contributions, there.contributions.flip(2))
    torch.testing.assert_close(here.prediction, there.prediction)
    plain = attribute_positions(model, X, method, positions=positions, index=1, **EXACT)
    assert (here.contributions - plain.contributions).abs().max() > 1e-3


class Lopsided(Profile):
    """What position p sees reaches further to one side than to the other."""

    def __init__(self, *, same: bool = True) -> None:
        super().__init__(same=same)
        self.shifted = nn.Conv1d(4, 2, 9)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        profile, counts = super().forward(x)
        beyond = torch.relu(self.shifted(functional.pad(x, (0, 8))))
        lost = (beyond.shape[2] - profile.shape[2]) // 2
        return profile + beyond[:, :, lost : lost + profile.shape[2]], counts


def test_both_strands_of_a_symmetric_model_are_one() -> None:
    class Symmetric(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(3)
            self.inner = Profile()

        def forward(self, x: Tensor) -> Tensor:
            return 0.5 * (self.inner(x)[0] + self.inner(x.flip(1, 2))[0].flip(1, 2))

    model = Symmetric().double()
    fixed = DeepLiftShap(FixedReferences(make_references(METHOD.references, X)))
    options: dict[str, Any] = {"positions": [0, 30, 77], "index": 1, **EXACT}
    plain = attribute_positions(model, X, fixed, **options)
    both = attribute_positions(model, X, fixed, reverse_complement=True, reverse_index=0, **options)
    torch.testing.assert_close(both.contributions, plain.contributions)
    torch.testing.assert_close(both.delta, plain.delta, rtol=0, atol=1e-12)


def test_both_strands_with_extra_inputs_and_in_batches() -> None:
    class Controlled(Profile):
        def forward(self, x: Tensor, control: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
            profile, counts = super().forward(x)
            return profile + torch.relu(profile * control[:, :, 6:-6]), counts

    torch.manual_seed(3)
    model = Controlled().double()
    control = torch.rand(2, 2, 90, dtype=torch.float64)
    refs = make_references(METHOD.references, X)
    options: dict[str, Any] = {"positions": [4, 70], "index": 0, **EXACT}
    found = attribute_positions(
        model, X, METHOD, extra_inputs=[control], reverse_complement=True, reverse_index=1, **options
    )
    turned = {"positions": [73, 7], "index": 1, **EXACT}
    here = attribute_positions(model, X, METHOD, extra_inputs=[control], **options)
    there = attribute_positions(
        model, X.flip(1, 2), DeepLiftShap(FixedReferences(refs.flip(2, 3))),
        extra_inputs=[control.flip(1, 2)], **turned,
    )  # fmt: skip
    expected = (here.contributions + there.contributions.flip(2)) / 2
    torch.testing.assert_close(found.contributions, expected)
    batches = position_batches(
        model, X, METHOD, extra_inputs=[control], reverse_complement=True, reverse_index=1, **options
    )
    for batch in batches:
        for p, item in zip(batch.chosen.tolist(), batch.attributions, strict=True):
            torch.testing.assert_close(item.contributions.sum(1), expected[batch.rows, p])
