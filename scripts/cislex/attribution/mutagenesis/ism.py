"""Exact in-silico mutagenesis: every base of a window replaced by each of the other three.

Where a model allows it, only the columns that a substitution can reach are computed (``columns``). That path
is compared with whole sequences on a few mutants of every batch and, where it differs or takes longer, given
up with a note.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cislex.attribution.execution.batching import CPU_PAIRS, is_out_of_memory
from cislex.attribution.gradients.gradients import checked, chunks, take_rows, with_references
from cislex.attribution.methods import ISM
from cislex.attribution.mutagenesis.incremental.columns import Tape, substituted
from cislex.attribution.mutagenesis.incremental.rules import carry_out
from cislex.attribution.result import BatchResult
from cislex.errors import ConfigError
from cislex.logs import get_logger
from cislex.targets import Target
from cislex.targets.outputs import join_rows

#: Mutants at once when the caller does not say, and examples whose activations are remembered together.
ROWS, EXAMPLES = 64, 4
#: Largest difference of the two paths, in units of the precision's rounding of the prediction.
TOLERANCE = 200
#: Windows are given up where they take so much longer than whole sequences, and the computation more seconds
#: than a moment; the mutants that this is measured on are few.
SLOWER, MOMENT, FEW = 1.1, 10.0, 16


def batch_multipliers(
    model: nn.Module,
    x: Tensor,
    refs: Tensor,
    targets: Sequence[Target],
    method: ISM,
    extra: Sequence[Tensor] = (),
    *,
    rows: int = 0,
) -> BatchResult:
    """Effects f(x with base a at i) − f(x) of n examples.

    Parameters
    ----------
    model
        In evaluation mode.
    x
        (n, 4, L) one-hot, floating point.
    refs
        (n, R, 4, L); only the baseline of ``hypothetical`` depends on them.
    targets
        T targets; they share the forward passes.
    method
        The window. The last base is part of it when ``end`` is None or L.
    extra
        Further inputs of the model, (n, …) each.
    rows
        Most mutants at once; 0 chooses.

    Returns
    -------
    BatchResult
        Multipliers (T, n, 4, L): zero at the example's own base, outside of the window, and in columns
        of unknown bases, which are not mutated.

    Raises
    ------
    ConfigError
        When the window is not inside of the sequences.
    """
    where = mutations(x, method.start, method.end)
    rows = rows if rows > 0 else ROWS
    multipliers = x.new_zeros((len(targets), *x.shape))
    with torch.no_grad():
        originals = _originals(model, x, extra, rows)
        prediction = torch.stack([checked(target(originals), len(x)) for target in targets])
        run = _Run(model, x, targets, extra, originals, prediction)
        notes = run.fill(multipliers, *where, rows=rows)
    result = with_references(multipliers, refs, prediction)
    result.notes = notes
    return result


@dataclass
class _Run:
    """What the mutants of a batch share."""

    model: nn.Module
    x: Tensor
    targets: Sequence[Target]
    extra: Sequence[Tensor]
    originals: Any
    prediction: Tensor
    #: Seconds of a mutant, once they are measured.
    seconds: float = 0.0

    def fill(
        self, multipliers: Tensor, example: Tensor, position: Tensor, base: Tensor, *, rows: int
    ) -> dict[str, str]:
        """Write the effects of M mutants into ``multipliers``; returns notes."""
        notes: dict[str, str] = {}
        # Windows are small: more of them at once, unless so few rows were asked for that memory must be
        # short. Activations are remembered for a few examples only.
        together = rows if rows < CPU_PAIRS else max(rows, ROWS)
        for block in chunks(len(self.x), max(1, min(EXAMPLES, together // 8))):
            chosen = ((example >= block.start) & (example < block.stop)).nonzero().flatten()
            tape = None if notes else Tape(carry_out)
            if tape is not None and len(chosen):
                spread = chosen[torch.linspace(0, len(chosen) - 1, min(4, rows)).long()]
                notes |= self._disagreement(tape, block, example[spread], position[spread], base[spread])
                tape = None if notes else tape
            for part in chunks(len(chosen), rows if tape is None else together):
                where = tuple(index[chosen[part]] for index in (example, position, base))
                began = self._clock()
                effects = self._of_batch(tape, block, *where)
                if tape is not None and self.seconds == 0 and len(example) > FEW:
                    seconds = (self._clock() - began) / len(where[0])
                    notes |= self._slowness(seconds, len(example), tape, block, *where)
                    tape = None if notes else tape
                multipliers[:, where[0], where[2], where[1]] = effects.to(multipliers.dtype)
        return notes

    def _clock(self) -> float:
        """Time, after what was queued on a GPU."""
        if self.x.is_cuda:
            torch.cuda.synchronize(self.x.device)
        return time.perf_counter()

    def _pace(self, run: Callable[..., Any], mutants: int) -> float:
        """Seconds of a mutant, where nothing has to be compiled or loaded any more."""
        times = []
        for _ in range(2):
            began = self._clock()
            run()
            times.append(self._clock() - began)
        return min(times) / mutants

    def _slowness(
        self, seconds: float, mutants: int, tape: Tape, block: slice, *where: Tensor
    ) -> dict[str, str]:
        """A note where windows take longer than whole sequences, in a computation of more than a moment.

        Parameters
        ----------
        seconds
            Of a mutant of the first batch, on windows.
        mutants
            How many there are in all.
        tape, block, where
            The first batch.
        """
        self.seconds = seconds
        if seconds * mutants < MOMENT:
            return {}
        few = [index[: FEW // 2] for index in where]
        windows = self._pace(lambda: self.effects_of_windows(tape, block, *where), len(where[0]))
        self.seconds = self._pace(lambda: self.effects(*few), len(few[0]))
        if windows <= SLOWER * self.seconds:
            return {}
        reason = f"windows take {windows / self.seconds:.1f} times as long"
        get_logger(__name__).info("ISM: whole sequences are computed for every mutant (%s)", reason)
        return {"ism": f"whole sequences: {reason}"}

    def _of_batch(self, tape: Tape | None, block: slice, *where: Tensor) -> Tensor:
        """Effects (T, M) by the path that is open."""
        if tape is None:
            return self.effects(*where)
        found = self.effects_of_windows(tape, block, *where)
        return finite_or_whole(found, lambda rows: self.effects(*(index[rows] for index in where)))

    def effects(self, example: Tensor, position: Tensor, base: Tensor) -> Tensor:
        """Effects (T, M) from whole sequences."""
        mutants = mutated(self.x, example, position, base)
        output = self.model(mutants, *(item[example] for item in self.extra))
        return differences(self.targets, self.originals, self.prediction, output, example)

    def effects_of_windows(
        self, tape: Tape, block: slice, example: Tensor, position: Tensor, base: Tensor
    ) -> Tensor:
        """The same, from the columns that a substitution can reach."""
        m = len(example)
        if m == 1:  # a batch axis of one looks like a constant
            example, position, base = (index.repeat(2) for index in (example, position, base))
        tape.begin(example - block.start)
        mutants = substituted(self.x[block], position, base, tape)
        output = self.model(mutants, *(item[example] for item in self.extra))
        tape.end()
        return differences(self.targets, self.originals, self.prediction, output, example)[:, :m]

    def _disagreement(
        self, tape: Tape, block: slice, example: Tensor, position: Tensor, base: Tensor
    ) -> dict[str, str]:
        """Compare both paths on a few mutants; a note where they differ or windows cannot be used."""
        expected = self.effects(example, position, base)
        try:
            found = self.effects_of_windows(tape, block, example, position, base)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        else:
            scale = torch.maximum(self.prediction.abs().amax(1), expected.abs().amax(1)).unsqueeze(1)
            if bool(((found - expected).abs() <= TOLERANCE * torch.finfo(found.dtype).eps * scale).all()):
                return {}
            reason = f"windows differ by {float(((found - expected).abs() / scale).max()):.1e} of the scale"
        get_logger(__name__).warning("ISM: whole sequences are computed for every mutant (%s)", reason)
        return {"ism": f"whole sequences: {reason}"}


def finite_or_whole(effects: Tensor, whole: Callable[[Tensor], Tensor]) -> Tensor:
    """Effects (T, M) of windows; those of ``whole`` where a difference of infinite activations is no number.

    Parameters
    ----------
    effects
        Written over.
    whole
        Indices of mutants (K,) -> their effects (T, K) from whole sequences.
    """
    infinite = (~torch.isfinite(effects).all(0)).nonzero().flatten()
    if len(infinite):
        effects[:, infinite] = whole(infinite)
    return effects


def mutations(x: Tensor, start: int, end: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Every substitution in a window: example, position and new base, (M,) each, in this order.

    Parameters
    ----------
    x
        (n, 4, L) one-hot; unknown bases have no substitutions.
    start, end
        Window, half-open; None is L.
    """
    length = x.shape[2]
    stop = length if end is None else end
    if not 0 <= start < stop <= length:
        raise ConfigError(
            f"ISM window: found start={start}, end={end} for sequences of {length} bp; "
            f"expected 0 <= start < end <= {length} (half-open)"
        )
    window = x[:, :, start:stop]
    other = (window == 0) & (window.sum(1, keepdim=True) > 0)
    example, position, base = other.transpose(1, 2).nonzero(as_tuple=True)
    return example, position + start, base


def mutated(x: Tensor, example: Tensor, position: Tensor, base: Tensor) -> Tensor:
    """Copies (M, 4, L) of examples, each with one base replaced."""
    mutants = x[example]
    row = torch.arange(len(example), device=x.device)
    mutants[row, :, position] = 0
    mutants[row, base, position] = 1
    return mutants


def differences(
    targets: Sequence[Target], originals: Any, prediction: Tensor, output: Any, example: Tensor
) -> Tensor:
    """f(mutant) − f(x) of M mutants, (T, M).

    A target whose weights depend on the pair gets the example with the mutant as its reference.
    """
    effects = []
    for target, value in zip(targets, prediction, strict=True):
        pair = getattr(target, "pair", None)
        if pair is None:
            effects.append(checked(target(output), len(example)) - value[example])
        else:
            before, after = pair(take_rows(originals, example), output)
            effects.append(after - before)
    return torch.stack(effects)


def _originals(model: nn.Module, x: Tensor, extra: Sequence[Tensor], rows: int) -> Any:
    """The model's output for the examples themselves."""
    parts = [model(x[part], *(item[part] for item in extra)) for part in chunks(len(x), rows)]
    return join_rows(parts)
