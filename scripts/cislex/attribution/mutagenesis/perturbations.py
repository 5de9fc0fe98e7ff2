"""Effects of scrambled blocks and of motifs written over the sequence, on a model's predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack

import torch
from torch import Tensor

from cislex.attribution.mutagenesis.mutants import (
    Block,
    MutantRun,
    Targets,
    columns_of,
    none_of,
    prepare,
    shaped,
)
from cislex.attribution.mutagenesis.windows import (
    KINDS,
    check_inserts,
    check_kind,
    check_positions,
    check_windows,
    per_example,
    scrambled,
    seeds_of,
)
from cislex.attribution.options import DeviceOptions
from cislex.errors import InputError
from cislex.targets import Output

Device = str | torch.device | None


@dataclass(frozen=True)
class Perturbations:
    """Effects f(perturbed) − f(x); torch tensors on the CPU.

    Where a list of T targets was asked for, effects, spread, draws and prediction have a last axis of T.

    Examples
    --------
    >>> found = scrambles(model, sequences, tiles(60, 10, stride=10), n=5)
    >>> torch.allclose(found.effects, found.draws.mean(2), atol=1e-6)
    True
    """

    #: (N, W), or (N, W, S) for S inserts: effect, the mean over draws where there are several.
    effects: Tensor
    #: (N,): f(x).
    prediction: Tensor
    #: (W, 2) or (N, W, 2) int64, half-open; of an insertion both are the position before which it goes.
    windows: Tensor
    #: (N, W, n): effect of each random draw, or None where nothing is drawn.
    draws: Tensor | None = None
    #: (N, W): share of the draws that differ from the example, or None.
    changed: Tensor | None = None
    #: Facts worth recording: precision, how length was kept, fallbacks taken.
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def spread(self) -> Tensor | None:
        """(N, W): standard deviation over the draws (n − 1); NaN for one draw, None without draws."""
        if self.draws is None:
            return None
        if self.draws.shape[2] < 2:
            return torch.full_like(self.effects, torch.nan)
        return self.draws.std(2)


def scrambles(
    model: Any,
    sequences: Any,
    windows: Any,
    *,
    n: int = 20,
    kind: str = "dinucleotide",
    seed: int = 0,
    seeds: Any = None,
    target: Targets = Output(0),  # noqa: B008  (frozen)
    progress: bool = False,
    **options: Unpack[DeviceOptions],
) -> Perturbations:
    """Effects of shuffling windows n times: the contribution of their order of bases.

    Parameters
    ----------
    model, sequences, extra_inputs, device, precision
        See :func:`cislex.attribution.attribute`. Unknown bases stay where they are.
    windows
        A width (every window of it), (W, 2) half-open coordinates, or (N, W, 2).
    n
        Draws of each window.
    kind
        ``dinucleotide`` (keeps the window's dinucleotides and its first and last base, every such order with
        the same probability; at least 4 bp) or
        ``base`` (keeps its bases; at least 2 bp).
    seed, seeds
        One for all examples, or (N,). A draw depends on it, the window's coordinates, the number of the draw
        and the bases in the window, never on batches or order.
    target
        A target, or a list of T targets, which share the forward passes.
    batch_size
        Mutants at once; chosen when None, halved when memory is short.
    progress
        Show progress.

    Returns
    -------
    Perturbations
        ``effects`` (N, W) are means over the draws, ``spread`` their standard deviation.

    Raises
    ------
    InputError, ConfigError, ModelError
        Naming what was found and what was expected.

    Examples
    --------
    >>> found = scrambles(model, sequences, tiles(60, 10, stride=10), n=5)
    >>> found.effects.shape, found.draws.shape
    (torch.Size([4, 6]), torch.Size([4, 6, 5]))
    """
    check_kind(kind, n)
    run, single = prepare(
        model, sequences, target, **options, progress="scrambles" if progress else None,
    )  # fmt: skip
    count, length = run.codes.shape
    why = f" for {kind} shuffles, which cannot change less"
    given = check_windows(windows, count, length, least=KINDS[kind], why=why)
    starts = seeds_of(seeds, seed, count)

    def draw(codes: Tensor, i: int, window: tuple[int, int], draws: Sequence[int]) -> Tensor:
        return scrambled(codes, kind, int(starts[i]), *window, draws)

    effects, changed, prediction = drawn(run, per_example(given, count, dims=3), n, draw)
    return Perturbations(
        shaped(effects.mean(2), single),
        shaped(prediction, single),
        given,
        shaped(effects, single),
        changed,
        {**run.notes, "kind": kind},
    )


def drawn(
    run: MutantRun, windows: Tensor, n: int, draw: Callable[..., Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Effects (N, W, n, T) of draws, the share that differ from the example, and predictions.

    ``draw`` (codes of an example, its row, window, draws) gives codes for the window, or for all columns.
    """
    many = windows.shape[1]
    parts, shares, predictions = [], [], []
    with run.prepared.active():
        for block in run.blocks(many * n):
            here = windows[block.rows]
            widths = here[..., 1] - here[..., 0]
            changed = torch.zeros((len(here), many, n), dtype=torch.bool)
            effects = torch.zeros((len(here), many, n, block.prediction.shape[1]), dtype=run.dtype)
            for width in widths.unique().tolist():
                where = (widths == width).nonzero()
                make, differs = _jobs(block, here, where, n, draw)
                effects[where[:, 0], where[:, 1]] = block.effects(len(where) * n, make).unflatten(0, (-1, n))
                changed[where[:, 0], where[:, 1]] = differs.view(-1, n)
            parts.append(effects)
            shares.append(changed.to(run.dtype).mean(2))
            predictions.append(block.prediction)
    if not parts:
        return none_of(run, many, n), torch.zeros((0, many)), none_of(run)
    return torch.cat(parts), torch.cat(shares), torch.cat(predictions)


def _jobs(block: Block, windows: Tensor, where: Tensor, n: int, draw: Any) -> tuple[Any, Tensor]:
    """Jobs (window, draw) of the windows ``where`` (G, 2), which have one width."""
    differs = torch.zeros(len(where) * n, dtype=torch.bool)

    def make(jobs: slice) -> tuple[Tensor, Tensor, Tensor]:
        index = torch.arange(jobs.start, jobs.stop)
        group = index // n
        made = []
        for g in group.unique_consecutive().tolist():
            i, w = where[g].tolist()
            draws = (index[group == g] % n).tolist()
            made.append(draw(block.codes[i], i + block.rows.start, tuple(windows[i, w].tolist()), draws))
        codes = torch.cat(made)
        example = where[group, 0]
        whole = codes.shape[1] == block.codes.shape[1]
        first = torch.zeros_like(example) if whole else windows[example, where[group, 1], 0]
        differs[jobs] = (codes != columns_of(block.codes, example, first, codes.shape[1])).any(1)
        return example, first, codes

    return make, differs


def substitutions(
    model: Any,
    sequences: Any,
    inserts: Any,
    positions: Any = None,
    *,
    target: Targets = Output(0),  # noqa: B008  (frozen)
    progress: bool = False,
    **options: Unpack[DeviceOptions],
) -> Perturbations:
    """Effects of writing a motif over the bases of a sequence.

    The other parameters and errors are those of :func:`cislex.attribution.scrambles`.

    Parameters
    ----------
    inserts
        One or S sequences to write: letters A C G T N, or one-hot (4, w). N writes an unknown base, so
        ``"N" * w`` occludes w bases. Unknown bases of the example become what is written.
    positions
        (P,) or (N, P): first columns; by default every position at which the longest insert fits.

    Returns
    -------
    Perturbations
        ``effects`` (N, P, S); ``windows`` are those of the longest insert.

    Examples
    --------
    >>> substitutions(model, sequences, "TGACTCA", positions=[20]).effects.shape
    torch.Size([4, 1, 1])
    """
    run, single = prepare(
        model, sequences, target, **options, progress="substitutions" if progress else None,
    )  # fmt: skip
    given_inserts = check_inserts(inserts)
    count, length = run.codes.shape
    longest = max(len(item) for item in given_inserts)
    if longest > length:
        raise InputError(f"inserts: found {longest} bp, longer than the sequences of {length} bp")
    given = check_positions(positions, count, length - longest)

    def build(codes: Tensor, insert: Tensor, example: Tensor, position: Tensor) -> Any:
        return example, position, insert.expand(len(example), -1)

    return written(run, single, given_inserts, given, longest, build)


def written(
    run: MutantRun,
    single: bool,
    inserts: list[Tensor],
    positions: Tensor,
    width: int,
    build: Callable[..., Any],
) -> Perturbations:
    """Effects (N, P, S) of inserts at positions."""
    count = len(run.codes)
    each = per_example(positions, count, dims=2)
    many = each.shape[1]
    parts, predictions = [], []
    with run.prepared.active():
        for block in run.blocks(many * len(inserts)):
            here = each[block.rows].flatten()
            example = torch.arange(len(block.codes)).repeat_interleave(many)
            effects = []
            for insert in inserts:

                def make(jobs: slice, insert: Tensor = insert) -> tuple[Tensor, Tensor, Tensor]:
                    return build(block.codes, insert, example[jobs], here[jobs])  # noqa: B023  (used at once)

                effects.append(block.effects(len(here), make).unflatten(0, (-1, many)))
            parts.append(torch.stack(effects, 2))
            predictions.append(block.prediction)
    found = torch.cat(parts) if parts else none_of(run, many, len(inserts))
    prediction = torch.cat(predictions) if predictions else none_of(run)
    return Perturbations(
        shaped(found, single),
        shaped(prediction, single),
        torch.stack([positions, positions + width], -1),
        notes=run.notes,
    )
