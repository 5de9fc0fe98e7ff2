"""Check that a model's value of a sequence is the same in every call and in every batch.

A few sequences go through the model alone (each beside itself) and together, in two orders. So statistics of
the batch, decisions on its composition or on one of its rows, and rows that change places all show, while a
branch that every one of the sequences takes changes nothing. Differences are judged beside the spread of the
values and the model's own rounding, and at last in another floating point, where rounding has another size.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cislex.attribution.execution.batching import is_out_of_memory
from cislex.attribution.execution.model_context import (
    PreparedModel,
    in_other_precision,
    is_more_than_rounding,
)
from cislex.attribution.mutagenesis.draws import Extremes, watch_generators
from cislex.errors import ModelError, offenders
from cislex.models.weights import UNQUANTISED, quantised_layers
from cislex.targets import Target, read_target
from cislex.targets.outputs import flat_outputs, plain_output

#: Difference of one sequence's values, relative to their spread, from which it is looked at closely.
_SAME = {"float64": 1e-9, "float32": 1e-4, "tf32": 5e-3, "bfloat16": 0.1}
#: The same for two calls of one batch where random numbers are drawn.
_DRAWN = {"float64": 1e-12, "float32": 1e-6, "tf32": 1e-4, "bfloat16": 1e-2}
#: Differences may be this many times those between batches of copies, up to this share of the spread.
_NOISE, _MOST_NOISE = 4.0, 0.05
#: Where no other floating point can be had: a difference beside the spread that is not taken for rounding.
_UNCONFIRMED = 1e-2
#: Calls of one batch where random numbers are drawn whose extremes cannot be tried.
_REPEATS = 32
#: Most numbers of an output that are compared where no target says which.
_VALUES = 1 << 16

#: Places in the trial's sequences, one batch.
_Batch = list[int]


@dataclass(frozen=True)
class Trial:
    """A prepared model and the sequences with which it is tried."""

    prepared: PreparedModel
    #: (k, 4, L) on the device and in the floating point of the prepared model.
    x: Tensor
    #: Further inputs, (k, …) each.
    extra: Sequence[Tensor]
    #: None: the whole output is compared.
    targets: Sequence[Target] | None

    def values(self, batch: _Batch) -> Tensor:
        """(T, rows) float64 of a batch; NaN where the model fails, which the run itself will report."""
        rows = torch.tensor(batch, device=self.x.device)
        try:
            output = self.prepared.model(*(item[rows] for item in (self.x, *self.extra)))
            found = _everything(output, len(batch)) if self.targets is None else self._read(output)
        except (Exception, SystemExit) as error:
            if is_out_of_memory(error):
                raise
            return torch.full((1, len(batch)), torch.nan, dtype=torch.float64)
        return found.detach().to("cpu", torch.float64)

    def _read(self, output: object) -> Tensor:
        return torch.stack([read_target(target, output) for target in self.targets or ()])

    def name(self, target: int) -> str:
        """Name of the target in errors."""
        return "the output" if self.targets is None else f"target {self.targets[target]}"

    def in_other_precision(self) -> Trial | None:
        """The same in float64, or in float32 where it is that; None where that cannot be made."""
        prepared = in_other_precision(self.prepared.model, self.x)
        if prepared is None:
            return None
        x, *extra = (prepared.takes(item) for item in (self.x, *self.extra))
        return replace(self, prepared=prepared, x=x, extra=extra)


def check_independence(trial: Trial) -> None:
    """Compare the values of a trial's sequences alone and together.

    Parameters
    ----------
    trial
        Its model in evaluation mode, within ``prepared.active()``.

    Raises
    ------
    ModelError
        Naming the target, both values, and what to look for.
    """
    k = len(trial.x)
    together = list(range(k))
    pairs = [list(pair) for pair in itertools.pairwise(together)]
    plans = [[together, together[::-1]], [order for pair in pairs for order in (pair, pair[::-1])]]
    with torch.no_grad():
        try:
            first = _check_draws(trial)
            alone = _side_by_side([first, *(trial.values([i, i])[:, :1] for i in range(1, k))])  # (T, k)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return  # with memory for one row nothing can be beside it
        for batches in plans if k > 1 else []:
            try:
                _check_company(trial, alone, batches)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                return


def _check_draws(trial: Trial) -> Tensor:
    """The first sequence twice in a call, and with the most extreme random numbers; its values (T, 1)."""
    moved = watch_generators(trial.prepared.device)
    results = [trial.values([0, 0])]
    generators = moved()
    lowest, highest = Extremes(highest=False), Extremes(highest=True)
    with lowest:
        results.append(trial.values([0, 0]))
    drawn = bool(generators or lowest.generators)
    if drawn:
        with highest:
            results.append(trial.values([0, 0]))
        results += [trial.values([0, 0]) for _ in range(_REPEATS)]
    rows = _side_by_side(results)
    scale = _finite(rows[:, :2]).abs().amax(1, keepdim=True)
    off = (rows - rows[:, :1]).abs() > (_DRAWN if drawn else _SAME)[trial.prepared.precision] * scale
    if bool(off.any()):
        t, i = (int(place) for place in off.nonzero()[0])
        names = [*lowest.seen, *generators] if drawn else ["none were seen"]
        raise ModelError(
            f"{trial.name(t)}: the model returns {float(rows[t, 0]):.6g} and {float(rows[t, i]):.6g} for the "
            f"same sequence; what to do: look for random numbers ({', '.join(names)}), such as a functional "
            "dropout without training=self.training, or for state that changes from call to call"
        )
    return rows[:, :1]


def _check_company(trial: Trial, alone: Tensor, batches: list[_Batch]) -> None:
    """Values in some batches are those ``alone`` (T, k)."""
    values = _side_by_side([trial.values(batch) for batch in batches])
    places = [i for batch in batches for i in batch]
    difference = (values - alone[:, places]).abs()
    spread = _spread(alone)
    rounding = 16 * torch.finfo(trial.prepared.dtype).eps * _finite(alone).abs().amax(1, keepdim=True)
    limit = _SAME[trial.prepared.precision] * spread + rounding
    if not bool((difference > limit).any()):
        return
    copies = trial.values([0] * len(batches[0]))  # as many rows, and nothing else beside it
    noise = _finite((copies - alone[:, :1]).abs().amax(1, keepdim=True))
    limit = torch.maximum(limit, torch.minimum(_NOISE * noise, _MOST_NOISE * spread))
    off = difference > limit
    if bool(off.any()):
        off &= _stays(trial, batches, difference, spread)
    if bool(off.any()):
        excess = torch.where(off, difference / limit.clamp_min(1e-300), 0)
        t, i = (int(place) for place in (excess == excess.max()).nonzero()[0])
        _refuse(trial, t, float(alone[t, places[i]]), float(values[t, i]))


def _stays(trial: Trial, batches: list[_Batch], difference: Tensor, spread: Tensor) -> Tensor:
    """Which differences have about the same size in another floating point, as those of rounding have not."""
    unconfirmed = difference > _UNCONFIRMED * spread
    other = trial.in_other_precision()
    if other is None:
        return unconfirmed
    alone = _side_by_side([other.values([i, i])[:, :1] for i in range(len(trial.x))])
    values = _side_by_side([other.values(batch) for batch in batches])
    again = (values - alone[:, [i for batch in batches for i in batch]]).abs()
    size, size_again = (_finite(found).amax(1, keepdim=True) for found in (difference, again))
    stays = is_more_than_rounding(size, size_again, trial.prepared.dtype)
    return torch.where(torch.isfinite(again), stays, unconfirmed)


def _refuse(trial: Trial, target: int, here: float, there: float) -> None:
    quantised = quantised_layers(trial.prepared.model)
    hint = (
        "look for statistics of the batch, such as BatchNorm with track_running_stats=False, decisions on "
        "the whole batch (if x.mean() > 0), or rows that change places"
    )
    raise ModelError(
        f"{trial.name(target)}: the model returns {here:.6g} for a sequence and {there:.6g} for the same one "
        f"in another batch; what to do: {f'{UNQUANTISED}: {offenders(quantised)}' if quantised else hint}"
    )


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """(T, all rows); batches for which the model failed are not a number for every target."""
    most = max(len(part) for part in parts)
    return torch.cat([part.expand(most, -1) if len(part) == 1 else part for part in parts], 1)


def _spread(values: Tensor) -> Tensor:
    """(T, 1) how far the values of a target lie apart; their size where they do not."""
    known = _finite(values)
    spread = known.amax(1, keepdim=True) - known.amin(1, keepdim=True)
    return torch.where(spread > 0, spread, known.abs().amax(1, keepdim=True))


def _finite(values: Tensor) -> Tensor:
    return torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _everything(output: object, rows: int) -> Tensor:
    """(values, rows) of a whole output, evenly thinned where it is large."""
    found = []
    for tensor in flat_outputs(plain_output(output)).values():
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.shape[:1] == (rows,):
            flat = tensor.reshape(rows, -1)
            flat = flat[:, :: max(1, flat.shape[1] // _VALUES)]
            found.append(flat.double())
    return torch.cat(found, 1).T if found else torch.zeros((1, rows))
