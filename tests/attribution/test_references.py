"""Shuffles keep what they promise, equal tangermeme's, and unknown bases stay where they are."""

from __future__ import annotations

from collections import Counter
from random import Random

import attribution_models as models
import numpy as np
import pytest
import torch
from cislex.attribution import DeepLiftShap, attribute
from cislex.attribution.references import (
    DinucleotideShuffle,
    FixedReferences,
    Shuffle,
    Uniform,
    Zeros,
    make_references,
    number_of,
)
from cislex.errors import ConfigError, InputError
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

ersatz = pytest.importorskip("tangermeme.ersatz")

LETTERS = "ACGTN"
MODEL = models.trap("softmax_attention")


def encode(sequence: str) -> Tensor:
    codes = torch.tensor([LETTERS.index(letter) for letter in sequence], dtype=torch.long)
    return torch.nn.functional.one_hot(codes, 5)[:, :4].T.to(torch.uint8)


def decode(one_hot: Tensor) -> str:
    values, codes = one_hot.max(0)
    return "".join(LETTERS[c] if v else "N" for c, v in zip(codes.tolist(), values.tolist(), strict=True))


class Linear(torch.nn.Module):
    """Σ w·x."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(weights)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weights).sum((1, 2))[:, None]


def random_sequences(n: int, length: int, seed: int = 0) -> Tensor:
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.one_hot(codes, 4).transpose(1, 2).to(torch.uint8)


def pairs(sequence: str) -> Counter[str]:
    return Counter(sequence[i : i + 2] for i in range(len(sequence) - 1))


@pytest.mark.parametrize("length", [2, 3, 17, 500])
@pytest.mark.parametrize("seed", [0, 7, 2**31 - 2])
def test_equals_tangermeme_for_the_same_seeds(length: int, seed: int) -> None:
    x = random_sequences(5, length)
    ours = make_references(DinucleotideShuffle(n=3, seed=seed, sampling="fixed_exits"), x)
    if length >= 30:
        assert torch.equal(make_references(DinucleotideShuffle(n=3, seed=seed), x), ours), "the default"
    for k in range(3):
        theirs = ersatz.dinucleotide_shuffle(x, n=1, random_state=[seed + k] * 5)[:, 0]
        assert torch.equal(ours[:, k], theirs)


@pytest.mark.parametrize(("start", "end"), [(10, 60), (0, -20), (50, -1), (99, 100)])
def test_partial_shuffles_equal_tangermeme(start: int, end: int) -> None:
    x = random_sequences(4, 100, seed=1)
    ours = make_references(DinucleotideShuffle(n=1, seed=5, start=start, end=end), x)[:, 0]
    theirs = ersatz.dinucleotide_shuffle(x, start=start, end=end, n=1, random_state=[5] * 4)[:, 0]
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("width", "uniform"), [(29, True), (30, False)])
def test_short_windows_are_shuffled_uniformly_by_default(width: int, uniform: bool) -> None:
    x = random_sequences(3, 60, seed=2)
    same = DinucleotideShuffle(start=5, end=5 + width, sampling="uniform" if uniform else "fixed_exits")
    other = DinucleotideShuffle(start=5, end=5 + width, sampling="fixed_exits" if uniform else "uniform")
    ours = make_references(DinucleotideShuffle(start=5, end=5 + width), x)
    assert torch.equal(ours, make_references(same, x))
    assert not torch.equal(ours, make_references(other, x))


def test_uniform_shuffles_move_the_base_before_the_last() -> None:
    x = random_sequences(20, 200, seed=3)
    weights = torch.arange(1.0, 801.0).view(1, 4, 200)
    for sampling, moves in (("fixed_exits", False), ("uniform", True)):
        method = DeepLiftShap(DinucleotideShuffle(sampling=sampling))
        found = attribute(Linear(weights), x, method).contributions[..., 198]
        assert bool((found != 0).any()) == moves


def test_seeds_per_example_equal_tangermeme_and_do_not_depend_on_the_batch() -> None:
    x = random_sequences(6, 80)
    seeds = np.array([3, 9, 2**31 - 1, 0, 123456789, 4])
    ours = make_references(DinucleotideShuffle(n=2), x, seeds)
    theirs = ersatz.dinucleotide_shuffle(x, n=1, random_state=seeds + 1)[:, 0]
    assert torch.equal(ours[:, 1], theirs)
    one_by_one = torch.cat([make_references(DinucleotideShuffle(n=2), x[[i]], seeds[[i]]) for i in range(6)])
    assert torch.equal(ours, one_by_one)
    turned = make_references(DinucleotideShuffle(n=2), x.flip(0), torch.from_numpy(seeds.copy()).flip(0))
    assert torch.equal(ours, turned.flip(0))


@given(st.text(LETTERS, min_size=1, max_size=60), st.integers(0, 2**31 - 1))
@settings(max_examples=100, deadline=None)
def test_dinucleotide_counts_ends_and_unknown_bases_are_kept(sequence: str, seed: int) -> None:
    made = make_references(DinucleotideShuffle(n=2, seed=seed), encode(sequence)[None])[0]
    for shuffled in map(decode, made):
        assert pairs(shuffled) == pairs(sequence)
        assert (shuffled[0], shuffled[-1]) == (sequence[0], sequence[-1])
        assert [c == "N" for c in shuffled] == [c == "N" for c in sequence]


@given(st.text(LETTERS, min_size=8, max_size=60), st.data())
@settings(max_examples=50, deadline=None)
def test_nothing_changes_outside_of_the_window(sequence: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(sequence) - 1))
    end = data.draw(st.integers(start + 1, len(sequence)))
    made = make_references(DinucleotideShuffle(n=1, start=start, end=end), encode(sequence)[None])
    shuffled = decode(made[0, 0])
    assert shuffled[:start] + shuffled[end:] == sequence[:start] + sequence[end:]
    assert pairs(shuffled[start:end]) == pairs(sequence[start:end])


@given(
    st.lists(
        st.tuples(st.text(LETTERS, min_size=12, max_size=12), st.integers(-5, 2**33)), min_size=1, max_size=6
    ),
    st.randoms(use_true_random=False),
    st.sampled_from([DinucleotideShuffle(n=3), DinucleotideShuffle(n=2, start=2, end=9), Shuffle(n=3)]),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_references_depend_on_their_own_sequence_and_seed_only(
    rows: list[tuple[str, int]], random: Random, kind: DinucleotideShuffle | Shuffle, threads: int
) -> None:
    def make(chosen: list[tuple[str, int]]) -> Tensor:
        x = torch.stack([encode(sequence) for sequence, _ in chosen])
        return make_references(kind, x, [seed for _, seed in chosen], threads=threads)

    order = [random.randrange(len(rows)) for _ in range(5)]
    together = make(rows)
    assert torch.equal(make([rows[i] for i in order]), together[order])
    x, seeds = encode(rows[0][0])[None], [rows[0][1] + 1]
    assert torch.equal(make_references(kind, x, seeds)[:, :-1], together[:1, 1:]), "k counts on from the seed"


@given(st.text(LETTERS, min_size=24, max_size=24), st.integers(0, 2**31 - 1), st.data())
@settings(max_examples=25, deadline=None)
def test_contributions_are_exactly_zero_where_references_equal_the_example(
    sequence: str, seed: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, 20))
    end = data.draw(st.integers(start + 2, 24))
    references = DinucleotideShuffle(n=3, seed=seed, start=start, end=end)
    x = encode(sequence)[None]
    result = attribute(MODEL, x, DeepLiftShap(references))
    same = (make_references(references, x) == x[:, None]).all(dim=(0, 1, 2))
    assert same[:start].all()
    assert same[end:].all()
    # (x − r)·m is zero where x = r for every reference; what other bases would contribute is not.
    assert torch.equal(result.global_[..., same], torch.zeros(1, 4, int(same.sum())))
    assert torch.equal(result.contributions[..., same], torch.zeros(1, 4, int(same.sum())))


@given(st.text(LETTERS, min_size=1, max_size=60), st.integers(0, 2**31 - 1))
@settings(max_examples=50, deadline=None)
def test_a_shuffle_keeps_base_counts_and_unknown_bases(sequence: str, seed: int) -> None:
    for shuffled in map(decode, make_references(Shuffle(n=2, seed=seed), encode(sequence)[None])[0]):
        assert Counter(shuffled) == Counter(sequence)
        assert [c == "N" for c in shuffled] == [c == "N" for c in sequence]


@pytest.mark.parametrize("kind", [DinucleotideShuffle(n=8), Shuffle(n=8)])
def test_shuffles_shuffle(kind: DinucleotideShuffle | Shuffle) -> None:
    made = make_references(kind, random_sequences(2, 200))
    assert len({decode(row) for row in made[0]}) == 8
    matches = (made[:, 0] * made[:, 1]).sum() / 400
    assert 0.1 < matches < 0.45


def test_every_shuffle_of_a_short_sequence_occurs_about_equally_often() -> None:
    made = make_references(Shuffle(n=6000), encode("ACG")[None])[0]
    counts = Counter(map(decode, made))
    assert len(counts) == 6
    assert max(counts.values()) < 1.15 * min(counts.values())


@pytest.mark.parametrize(
    ("references", "value"), [(Zeros(), 0.0), (Uniform(), 0.25), (Uniform((0.5, 0.5, 0.5, 0.5)), 0.5)]
)
def test_constant_references_are_zero_at_unknown_bases(references: Zeros | Uniform, value: float) -> None:
    made = make_references(references, encode("ACNT")[None])
    assert made.shape == (1, 1, 4, 4)
    expected = torch.full((4, 4), value)
    expected[:, 2] = 0
    assert torch.equal(made[0, 0].float(), expected)
    assert number_of(references) == 1


@pytest.mark.parametrize("shared", [True, False])
def test_fixed_references_are_replayed_and_masked(shared: bool) -> None:
    x = encode("ACNT")[None].repeat(2, 1, 1)
    given_ = random_sequences(6, 4).reshape(2, 3, 4, 4)
    references = FixedReferences(given_[0] if shared else given_)
    made = make_references(references, x)
    assert made.dtype == torch.uint8
    assert number_of(references) == 3
    expected = (given_[:1].repeat(2, 1, 1, 1) if shared else given_).clone()
    expected[..., 2] = 0
    assert torch.equal(made, expected)
    assert torch.equal(make_references(references.rows(slice(1, 2)), x[1:]), expected[1:])


def test_references_that_were_saved_give_the_same_again() -> None:
    x = random_sequences(3, 50)
    made = make_references(DinucleotideShuffle(n=4), x)
    assert torch.equal(make_references(FixedReferences(made.numpy()), x), made)


def test_a_callable_gets_sequences_and_seeds_if_it_wants_them() -> None:
    x = random_sequences(3, 10)
    assert torch.equal(make_references(lambda s: s.flip(-1)[:, None], x)[:, 0], x.flip(-1))

    def shifted(sequences: Tensor, seeds: Tensor) -> Tensor:
        rolled = [row.roll(int(seed), -1) for row, seed in zip(sequences, seeds, strict=True)]
        return torch.stack(rolled)[:, None] * 0.5

    made = make_references(shifted, x, [1, 2, 3])
    assert made.dtype == torch.float32
    assert torch.equal(made[2, 0], x[2].roll(3, -1) * 0.5)
    assert number_of(lambda s: s.flip(-1)[:, None], x) == 1
    with pytest.raises(ConfigError, match="attribute `n`"):
        number_of(lambda s: s)


def test_an_empty_batch_is_valid() -> None:
    assert make_references(DinucleotideShuffle(n=2), random_sequences(0, 10)).shape == (0, 2, 4, 10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DinucleotideShuffle(n=0), "at least 1"),
        (lambda: DinucleotideShuffle(sampling="wilson"), "found 'wilson', expected one of auto, fixed_exits"),
        (lambda: Uniform((0.5, 0.5)), "four numbers"),  # type: ignore[arg-type]
        (lambda: Uniform((float("nan"), 0, 0, 0)), "four numbers"),
    ],
)
def test_bad_settings_are_refused(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("references", "seeds", "message"),
    [
        (DinucleotideShuffle(start=5, end=5), None, "start < end"),
        (DinucleotideShuffle(end=99), None, "start < end"),
        (Shuffle(), [1, 2, 3], "one per sequence"),
        (Shuffle(), [0.5, 1.5], "integers"),
        (lambda s: s, None, "callable returned shape"),
        (lambda s: s[:, None] * float("nan"), None, "not finite"),
    ],
)
def test_bad_input_is_refused(references: object, seeds: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_references(references, random_sequences(2, 10), seeds)  # type: ignore[arg-type]


def test_incompatible_fixed_references_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected \(N, R, 4, L\)"):
        FixedReferences(torch.zeros(3, 10, 4))
    with pytest.raises(InputError, match="expected"):
        make_references(FixedReferences(torch.zeros(3, 1, 4, 10)), random_sequences(2, 10))
    with pytest.raises(InputError, match="expected"):
        make_references(FixedReferences(torch.zeros(1, 4, 11)), random_sequences(2, 10))
    with pytest.raises(InputError, match=r"\(n, 4, L\)"):
        make_references(Zeros(), random_sequences(2, 10).transpose(1, 2))


@pytest.mark.parametrize(
    "swapped", [(random_sequences(2, 9), Zeros()), (np.zeros((2, 4, 9)), DinucleotideShuffle())]
)
def test_swapped_arguments_are_named(swapped: tuple[object, object]) -> None:
    with pytest.raises(
        InputError, match=r"expected make_references\(references, sequences\): were they swapped"
    ):
        make_references(*swapped)  # type: ignore[arg-type]
