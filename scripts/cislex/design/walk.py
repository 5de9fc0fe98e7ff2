"""The walk: which edit comes next, and rounds of edits of many sequences at once.

A guide gives each base at each position a score. One that is *guided* looks at the position with the lowest
contribution (the score of the present base) and puts the base with the highest score there; *greedy* takes
the largest gain over all positions and bases. Edits without a gain (no-ops), edits that lead back to a
sequence that was there before (cycles) and edits that a constraint refuses are skipped, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cislex.design.constraints import Codes, Constraints, Mask
from cislex.errors import ConfigError

Values = NDArray[np.float64]
#: Scores (n, 4, L) of every base for sequences (n, L) with seeds (n,); higher is better.
Score = Callable[[Codes, NDArray[np.int64]], Values]
#: Predictions (T, n) of sequences (n, L).
Predict = Callable[[Codes], Values]
#: Why a sequence is not edited further: it had all rounds; no edit promises a gain; constraints refuse every
#: edit that does; all that are left lead back.
STOPS = ("rounds", "guide", "constraints", "cycle")


@dataclass(frozen=True, kw_only=True)
class WalkSettings:
    """How sequences are edited.

    Parameters
    ----------
    rounds
        Edits of each sequence, at most.
    beam
        Sequences that are kept of each start in every round: the best by prediction among as many edits of
        each. 1 follows the guide alone.
    greedy
        Take the largest gain over all substitutions, instead of the best base at the worst position.
    down
        Lower the objective.
    rounding
        Gains up to this part of the prediction are none: rounding, of guides that predict edited sequences.
    """

    rounds: int = 20
    beam: int = 1
    greedy: bool = False
    down: bool = False
    rounding: float = 0.0

    def __post_init__(self) -> None:
        if min(self.rounds, self.beam) < 1:
            raise ConfigError(f"rounds, beam: found {self.rounds} and {self.beam}, expected 1 or more")


@dataclass(frozen=True)
class Objective:
    """What is raised or lowered: the target of this number, perhaps minus another one."""

    target: int = 0
    against: int | None = None

    def value(self, predictions: Values) -> Values:
        """(…) of predictions (T, …)."""
        own = predictions[self.target]
        return own if self.against is None else own - predictions[self.against]

    def size(self, predictions: Values) -> float:
        """Largest value (T,) that counts, to which rounding is relative."""
        parts = [self.target, *([] if self.against is None else [self.against])]
        return float(np.abs(predictions[parts]).max())


@dataclass
class Skipped:
    """Edits that came before the one that was taken, by why they were not."""

    noop: int = 0
    cycle: int = 0
    constraint: int = 0


@dataclass(eq=False)
class State:
    """A sequence after some edits.

    Attributes
    ----------
    codes
        (L,).
    parent
        The state before; None at the start.
    position, base
        The edit that made it; -1 at the start.
    promised
        Change of the objective that the guide promised.
    skipped
        Edits that were skipped for this one.
    predictions
        Of the T targets, (T,).
    contributions
        Scores of the present bases minus the mean over bases, in units of the objective, float32 (L,); empty
        before the guide has seen the sequence.
    stop
        Why it is not edited further; empty while it is.
    """

    codes: Codes
    parent: State | None = None
    position: int = -1
    base: int = -1
    promised: float = 0.0
    skipped: Skipped = field(default_factory=Skipped)
    predictions: Values = field(default_factory=lambda: np.empty(0))
    contributions: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    stop: str = ""

    def path(self) -> list[State]:
        """From the start to this one."""
        found = [self]
        while found[-1].parent is not None:
            found.append(found[-1].parent)
        return found[::-1]


def ranked_edits(
    scores: Values, codes: Codes, *, greedy: bool, least: float = 0.0
) -> Iterator[tuple[int, int]]:
    """Edits (position, base) from the best on; base -1 stands for a position where none has a gain.

    Parameters
    ----------
    scores
        (4, L), higher is better.
    codes
        The sequence, (L,).
    greedy
        See :class:`WalkSettings`.
    least
        Gains up to this are none.
    """
    present = scores[codes, np.arange(len(codes))]
    gains = scores - present
    if greedy:
        order = np.argsort(-gains.T, axis=None, kind="stable")
        for edit in order:
            position, base = divmod(int(edit), 4)
            if not gains[base, position] > least:
                return
            yield position, base
        return
    for position in np.argsort(present, kind="stable"):
        bases = np.argsort(-scores[:, position], kind="stable")
        better = [int(base) for base in bases if gains[base, position] > least]
        for base in better or [-1]:
            yield int(position), base


def next_edits(
    state: State,
    scores: Values,
    allowed: Mask,
    seen: set[bytes],
    settings: WalkSettings,
    *,
    least: float = 0.0,
) -> list[State]:
    """Up to ``beam`` states after one edit; none, and a reason in ``state.stop``, where there is no edit."""
    skipped, found = Skipped(), []
    sign = -1.0 if settings.down else 1.0
    for position, base in ranked_edits(scores, state.codes, greedy=settings.greedy, least=least):
        if base < 0:
            skipped.noop += 1
            continue
        if not allowed[base, position]:
            skipped.constraint += 1
            continue
        codes = state.codes.copy()
        codes[position] = base
        if codes.tobytes() in seen:
            skipped.cycle += 1
            continue
        promised = sign * float(scores[base, position] - scores[state.codes[position], position])
        found.append(State(codes, state, position, base, promised, replace(skipped)))
        seen.add(codes.tobytes())
        if len(found) == settings.beam:
            break
    if not found:
        state.stop = "cycle" if skipped.cycle else "constraints" if skipped.constraint else "guide"
    return found


def evolve(
    starts: Codes,
    seeds: NDArray[np.int64],
    limits: Sequence[Constraints],
    score: Score,
    predict: Predict,
    objective: Objective,
    settings: WalkSettings,
) -> list[State]:
    """Edit n sequences round by round; all of a round are scored and predicted together.

    Parameters
    ----------
    starts
        Codes (n, L) without unknown bases.
    seeds
        Of each sequence's references, (n,).
    limits
        Constraints of each.
    score, predict
        The guide, whose scores are higher where the edit is better, and the model.
    objective
        What is raised, or lowered.
    settings
        How.

    Returns
    -------
    list[State]
        The best state of each sequence among those that are in its beam at the end; ``path`` leads there.
    """
    sign = -1.0 if settings.down else 1.0

    def quality(state: State) -> float:
        return sign * float(objective.value(state.predictions))

    beams = [[State(codes)] for codes in starts]
    seen = [{codes.tobytes()} for codes in starts]
    _predict([beam[0] for beam in beams], predict)
    for number in range(settings.rounds + 1):
        active = [(row, state) for row, beam in enumerate(beams) for state in beam if not state.stop]
        if not active:
            break
        scores = score(np.stack([state.codes for _, state in active]), seeds[[row for row, _ in active]])
        children: list[list[State]] = [[] for _ in starts]
        for (row, state), own in zip(active, scores, strict=True):
            present = own[state.codes, np.arange(len(state.codes))] - own.mean(axis=0)
            state.contributions = (sign * present).astype(np.float32)
            if number == settings.rounds:
                state.stop = "rounds"
                continue
            allowed = limits[row].allowed(state.codes, starts[row])
            least = settings.rounding * objective.size(state.predictions)
            children[row] += next_edits(state, own, allowed, seen[row], settings, least=least)
        _predict([state for made in children for state in made], predict)
        for row, beam in enumerate(beams):
            ended = [state for state in beam if state.stop]
            beams[row] = sorted([*children[row], *ended], key=quality, reverse=True)[: settings.beam]
    return [max(beam, key=quality) for beam in beams]


def _predict(states: Sequence[State], predict: Predict) -> None:
    """Predict many states at once."""
    if states:
        values = predict(np.stack([state.codes for state in states]))
        for state, own in zip(states, values.T, strict=True):
            state.predictions = own
