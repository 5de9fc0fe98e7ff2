"""Edits are those of brute force; no constraint is broken, no sequence visited twice; GC goes up and down."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from cislex.design.constraints import (
    Constraints,
    ConstraintSettings,
    make_constraints,
    mismatches,
    patterns_of,
)
from cislex.design.guides import make_ensemble, rounding_of
from cislex.design.starts import StartSettings, make_starts
from cislex.design.walk import Objective, State, WalkSettings, evolve, ranked_edits
from cislex.models.architectures import build
from cislex.sequences.store import to_one_hot
from cislex.targets import Output
from insertion_fixtures import Grammar, codes_of, random_codes
from torch import nn

LENGTH = 30


def small_model(seed: int = 0, length: int = LENGTH) -> nn.Module:
    torch.manual_seed(seed)
    model = build("cnn", tasks=2, input_length=length, filters=6, kernel=7, pool=4)
    return model.eval()


def predict_all(model: nn.Module, codes: np.ndarray) -> np.ndarray:
    """Outputs (n, tasks)."""
    with torch.no_grad():
        return model(torch.from_numpy(to_one_hot(codes)).float()).double().numpy()


def walk(
    model: nn.Module | list[nn.Module],
    codes: np.ndarray,
    guide: str,
    *,
    objective: Objective = Objective(),  # noqa: B008  (frozen)
    limits: list[Constraints] | None = None,
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> list[State]:
    length, down = codes.shape[1], settings.get("down", False)
    made = make_ensemble(
        model if isinstance(model, list) else [model],
        length,
        targets=[Output(0), Output(1)],
        objective=objective,
        guide={"name": guide, **(options or {})},
        down=down,
        batch_size=256,
    )
    how = WalkSettings(**settings, greedy=guide == "greedy", rounding=rounding_of({"name": guide}))
    free = limits or [Constraints(ConstraintSettings(), np.zeros(length, bool))] * len(codes)
    return evolve(codes, np.arange(len(codes)), free, made.score, made.predict, objective, how)


def all_substitutions(codes: np.ndarray) -> np.ndarray:
    """(L, 4, L) of one sequence (L,)."""
    found = np.repeat(np.repeat(codes[None, None], len(codes), 0), 4, 1)
    for position in range(len(codes)):
        found[position, :, position] = range(4)
    return found


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("guide", ["ism", "greedy"])
def test_one_step_is_that_of_brute_force(guide: str, down: bool) -> None:
    model, codes = small_model(), random_codes(5, LENGTH)
    for start, state in zip(codes, walk(model, codes, guide, rounds=1, down=down), strict=True):
        mutants = all_substitutions(start)
        values = predict_all(model, mutants.reshape(-1, LENGTH))[:, 0].reshape(LENGTH, 4)
        effects = (values - predict_all(model, start[None])[0, 0]) * (-1 if down else 1)
        if guide == "greedy":
            position, base = np.unravel_index(effects.argmax(), effects.shape)
        else:  # a contribution is the mean effect of replacing the base, with its sign turned
            position = effects.mean(axis=1).argmax()
            base = effects[position].argmax()
        assert (state.position, state.base) == (position, base)
        assert state.predictions[0] == pytest.approx(values[position, base], abs=1e-5)
        assert state.promised == pytest.approx(effects[position, base] * (-1 if down else 1), abs=1e-5)


def test_exact_greedy_is_never_worse_after_as_many_edits_where_motifs_add_up() -> None:
    model, starts = Grammar(), random_codes(6, 80, seed=3)
    exact = predicted(walk(model, starts, "greedy", rounds=10))
    for guide in ("ism", "tism", "integrated_gradients", "deep_lift_shap"):
        options = {"steps": 8, "references": {"kind": "uniform"}} if guide != "tism" else None
        assert (exact >= predicted(walk(model, starts, guide, rounds=10, options=options)) - 1e-5).all(), (
            guide
        )


def predicted(states: list[State]) -> np.ndarray:
    """(n, 11): the last value stands for the rounds that were not needed."""
    paths = [[one.predictions[0] for one in state.path()] for state in states]
    return np.array([path + path[-1:] * (11 - len(path)) for path in paths])


def test_every_greedy_step_gains_what_it_promised_and_ends_in_an_optimum() -> None:
    model, starts = small_model(1), random_codes(3, LENGTH, seed=1)
    for state in walk(model, starts, "greedy", rounds=40):
        for before, after in zip(state.path(), state.path()[1:], strict=False):
            assert after.promised > 0
            assert after.predictions[0] - before.predictions[0] == pytest.approx(after.promised, abs=1e-5)
        assert state.stop == "guide"
        values = predict_all(model, all_substitutions(state.codes).reshape(-1, LENGTH))[:, 0]
        assert values.max() <= state.predictions[0] + 1e-5


@pytest.mark.parametrize(("guide", "beam"), [("tism", 1), ("greedy", 1), ("ism", 3)])
def test_no_constraint_is_broken_and_no_sequence_comes_twice(guide: str, beam: int) -> None:
    settings = ConstraintSettings(keep=[[3, 7]], gc=(0.4, 0.6), forbidden=["GAW", "CCN"], max_edits=9)
    rng = np.random.default_rng(2)
    starts = np.stack([rng.permutation(np.repeat([0, 1, 2, 3], [8, 7, 7, 8])) for _ in range(4)]).astype("u1")
    starts[:, 3:7] = codes_of("ATGT")
    starts = starts[[0.4 <= np.isin(one, (1, 2)).mean() <= 0.6 for one in starts]]
    limits = make_constraints(settings, starts, [str(row) for row in range(len(starts))])
    for start, state in zip(
        starts, walk(small_model(2), starts, guide, limits=limits, beam=beam), strict=True
    ):
        path = state.path()
        assert len({one.codes.tobytes() for one in path}) == len(path) > 3
        for before, after in itertools.pairwise(path):
            assert ((before.codes != after.codes) == (np.arange(LENGTH) == after.position)).all()
            assert 0.4 <= np.isin(after.codes, (1, 2)).mean() <= 0.6
            assert (after.codes[3:7] == start[3:7]).all()
            assert (after.codes != start).sum() <= 9
            for pattern in patterns_of(settings.forbidden):
                new = set(np.flatnonzero(mismatches(pattern, after.codes) == 0))
                assert new <= set(np.flatnonzero(mismatches(pattern, before.codes) == 0))


def test_skipped_edits_are_counted_and_reasons_to_stop_are_named() -> None:
    # A score that wants G everywhere, the last position most.
    wish = np.zeros((1, 4, 4)) + np.array([0, 0, 1, 0])[:, None] * np.arange(1, 5)

    def run(text: str, kept: list[int], score: Any = None, **settings: Any) -> State:
        limit = Constraints(ConstraintSettings(), np.isin(np.arange(4), kept))
        own = score or (lambda codes, seeds: np.repeat(wish, len(codes), 0))
        zeros = np.zeros(1, np.int64)
        how = WalkSettings(**settings)
        return evolve(
            codes_of(text)[None], zeros, [limit], own, lambda c: np.zeros((1, len(c))), Objective(), how
        )[0]

    assert run("GGGG", []).stop == "guide"
    first, second = run("ATGA", [1, 3]).path()
    assert first.stop == ""
    assert second.stop == "constraints"
    assert (second.position, second.base, second.skipped.constraint) == (0, 2, 0)
    assert list(ranked_edits(wish[0], codes_of("ATGA"), greedy=True)) == [(3, 2), (1, 2), (0, 2)]
    assert run("AAAA", [], rounds=2, greedy=True).stop == "rounds"
    greedy = run("ATGA", [3], rounds=1, greedy=True)
    assert (greedy.position, greedy.skipped.constraint) == (1, 1)

    def turning(codes: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Wants the first base to be another one, always."""
        scores = np.zeros((len(codes), 4, 4))
        scores[:, :, 0] = 1
        scores[np.arange(len(codes)), codes[:, 0], 0] = -1
        return scores

    path = run("AAAA", [], turning).path()
    assert [one.base for one in path[1:]] == [1, 2, 3]
    assert [one.skipped.cycle for one in path[1:]] == [0, 1, 2]
    assert path[-1].stop == "cycle"


def test_a_beam_finds_two_edits_that_one_by_one_do_not_pay() -> None:
    def predict(codes: np.ndarray) -> np.ndarray:
        a, b, c = codes[:, 0] == 1, codes[:, 1] == 1, codes[:, 2] == 1
        return (1.0 * c + 0.5 * a + 3.0 * (a & b))[None]

    def score(codes: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        every = np.stack([all_substitutions(one) for one in codes])
        return predict(every.reshape(-1, codes.shape[1]))[0].reshape(every.shape[:3]).swapaxes(1, 2)

    start, limit = codes_of("AAA")[None], [Constraints(ConstraintSettings(max_edits=2), np.zeros(3, bool))]
    values = [
        evolve(
            start, np.zeros(1, int), limit, score, predict, Objective(), WalkSettings(beam=b, greedy=True)
        )[0]
        for b in (1, 2)
    ]
    assert [one.predictions[0] for one in values] == [1.5, 3.5]


def test_two_targets_against_each_other_and_the_mean_of_folds() -> None:
    models, starts = [small_model(4), small_model(5)], random_codes(2, LENGTH, seed=4)
    against = Objective(1, 0)
    for state in walk(models, starts, "greedy", objective=against, rounds=3):
        values = np.mean([predict_all(model, state.codes[None])[0] for model in models], axis=0)
        assert state.predictions == pytest.approx(values, abs=1e-6)
        rises = [against.value(one.predictions) for one in state.path()]
        assert (np.diff(rises) > 0).all()
        assert state.promised == pytest.approx(rises[-1] - rises[-2], abs=1e-5)


def gc_classifier() -> nn.Module:
    """The built-in LSTM-CNN, trained for a moment to tell GC contents above 68 % from those below."""
    torch.manual_seed(0)
    model = build("cnn_lstm", tasks=2, input_length=50, filters=8, kernel=5, pool=4, hidden=8, dense=8)
    optimiser, loss = torch.optim.Adam(model.parameters(), lr=0.01), nn.CrossEntropyLoss()
    rng = np.random.default_rng(0)
    for _ in range(120):
        share = rng.uniform(0.2, 1, (64, 1))
        strong = rng.random((64, 50)) < share
        codes = np.where(strong, rng.choice([1, 2], (64, 50)), rng.choice([0, 3], (64, 50)))
        truth = torch.from_numpy((strong.mean(axis=1) > 0.68).astype(np.int64))
        optimiser.zero_grad()
        loss(model(torch.from_numpy(to_one_hot(codes)).float()), truth).backward()
        optimiser.step()
    return model.eval()


def test_confidence_in_gc_rises_and_falls_in_reverse() -> None:
    model = gc_classifier()
    settings = StartSettings(kind="random", n=2, composition={"A": 8, "C": 17, "G": 17, "T": 8})
    starts = make_starts(settings, 50).codes

    def confidence(states: list[State]) -> np.ndarray:
        logits = np.stack([[one.predictions for one in (*state.path(),)] for state in states])
        return 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))

    for guide in ("integrated_gradients", "tism"):
        up, down = (
            confidence(
                walk(model, starts, guide, objective=Objective(1, 0), down=down, options={"steps": 10})
            )
            for down in (False, True)
        )
        assert up.shape == down.shape == (2, 21)
        assert (up[:, -1] > 0.95).all()
        assert (down[:, -1] < 0.05).all()
        assert (np.diff(up.mean(axis=0)) > -0.01).all()
        assert (np.diff(down.mean(axis=0)) < 0.01).all()
