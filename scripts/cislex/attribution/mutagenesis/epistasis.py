"""Epistasis: the joint effect of two changes beyond the sum of their single effects.

ε(a at i, b at j) = [f(x with both) − f(x)] − [f(x with a at i) − f(x)] − [f(x with b at j) − f(x)], which is
zero for every pair when the model is additive over positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Unpack

import torch
from torch import Tensor

from cislex.attribution.mutagenesis.mutants import (
    UNKNOWN,
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
    check_kind,
    check_pairs,
    check_positions,
    check_windows,
    scrambled,
    seeds_of,
)
from cislex.attribution.options import DeviceOptions
from cislex.errors import ConfigError
from cislex.targets import Output

#: GiB of results that are refused unless the caller raises the limit.
LIMIT_GIB = 4.0
#: The other three bases of a known one are (code + step) % 4.
_STEPS = torch.arange(1, 4)


@dataclass(frozen=True)
class Epistasis:
    """Pairwise effects of substitutions at W positions; torch tensors on the CPU.

    Zero at the example's own bases and at unknown bases, which are not mutated. Where a list of T targets was
    asked for, every array has a last axis of T.

    Examples
    --------
    >>> found = epistasis(model, sequences, [10, 11, 30])
    >>> found.pairs.tolist(), found.full.shape
    ([[0, 1], [0, 2], [1, 2]], torch.Size([4, 3, 4, 3, 4]))
    """

    #: (N, P, 4, 4): ε of base a at the first and b at the second position of each pair.
    epistasis: Tensor
    #: (N, W, 4): effects of the single substitutions.
    singles: Tensor
    #: (N,): f(x).
    prediction: Tensor
    #: (W,) int64: the positions.
    positions: Tensor
    #: (P, 2) int64: the pairs, as indices into ``positions``, the first before the second.
    pairs: Tensor
    #: Facts worth recording: precision, fallbacks taken.
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def doubles(self) -> Tensor:
        """(N, P, 4, 4): effects f(x with both) − f(x); a pair with an own base has the other's effect."""
        first, second = self.singles[:, self.pairs[:, 0]], self.singles[:, self.pairs[:, 1]]
        return self.epistasis + first.unsqueeze(3) + second.unsqueeze(2)

    @property
    def strength(self) -> Tensor:
        """(N, W, W): largest absolute ε of two positions, symmetric; zero for pairs not requested."""
        return _symmetric(self.epistasis.abs().amax((2, 3)), self.pairs, len(self.positions))

    @property
    def full(self) -> Tensor:
        """(N, W, 4, W, 4): ε of all ordered pairs, symmetric; zero for pairs not requested."""
        n, _, _, _, *targets = self.epistasis.shape
        w = len(self.positions)
        result = self.epistasis.new_zeros((n, w, w, 4, 4, *targets))
        first, second = self.pairs.T
        result[:, first, second] = self.epistasis
        result[:, second, first] = self.epistasis.transpose(2, 3)
        return result.transpose(2, 3)


@dataclass(frozen=True)
class BlockEpistasis:
    """Pairwise effects of scrambled blocks, mean and spread over n draws; torch tensors on the CPU.

    Where a list of T targets was asked for, every array but ``blocks`` and ``pairs`` has a last axis of T.

    Examples
    --------
    >>> found = block_epistasis(model, sequences, [(5, 15), (30, 40)], n=5)
    >>> found.singles.shape, found.matrix.shape
    (torch.Size([4, 2]), torch.Size([4, 2, 2]))
    """

    #: (N, P, n): ε of each draw; the scrambles of a block are the same alone and with another.
    draws: Tensor
    #: (N, B): effects of scrambling each block alone, mean over draws.
    singles: Tensor
    #: (N,): f(x).
    prediction: Tensor
    #: (B, 2) or (N, B, 2) int64, half-open.
    blocks: Tensor
    #: (P, 2) int64: the pairs, as indices into ``blocks``.
    pairs: Tensor
    #: Facts worth recording: precision, kind of shuffle, fallbacks taken.
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def epistasis(self) -> Tensor:
        """(N, P): mean of ε over the draws."""
        return self.draws.mean(2)

    @property
    def spread(self) -> Tensor:
        """(N, P): standard deviation of ε over the draws (n − 1); NaN for one draw."""
        if self.draws.shape[2] < 2:
            return torch.full_like(self.epistasis, torch.nan)
        return self.draws.std(2)

    @property
    def matrix(self) -> Tensor:
        """(N, B, B): mean ε, symmetric; zero for pairs not requested."""
        return _symmetric(self.epistasis, self.pairs, self.blocks.shape[-2])


def _symmetric(values: Tensor, pairs: Tensor, size: int) -> Tensor:
    """(N, size, size, …) of values (N, P, …)."""
    result = values.new_zeros((len(values), size, size, *values.shape[2:]))
    result[:, pairs[:, 0], pairs[:, 1]] = values
    result[:, pairs[:, 1], pairs[:, 0]] = values
    return result


def epistasis(
    model: Any,
    sequences: Any,
    positions: Any,
    *,
    pairs: Any = None,
    target: Targets = Output(0),  # noqa: B008  (frozen)
    limit_gib: float = LIMIT_GIB,
    progress: bool = False,
    **options: Unpack[DeviceOptions],
) -> Epistasis:
    """Epistasis of every two substitutions at chosen positions, by exact pairwise mutagenesis.

    Costs 9 mutants for each pair of positions and 3 for each position; a window of W bp has W (W − 1) / 2
    pairs, so 4,455 mutants for 32 bp and 44,550 for 100 bp.

    Parameters
    ----------
    model, sequences, extra_inputs, device, precision
        See :func:`cislex.attribution.attribute`. Unknown bases are not mutated.
    positions
        (W,) different positions; ``range(start, end)`` for a window.
    pairs
        (P, 2) positions, to be taken together; by default all pairs of ``positions``.
    target
        A target, or a list of T targets, which share the forward passes. With a target whose weights depend
        on the pair of sequences (``Profile`` midpoint) each mutant is measured with its own weights, so that
        even a linear model shows epistasis: take weights ``secant`` or logits there.
    batch_size
        Mutants at once; chosen when None, halved when memory is short.
    limit_gib
        Most memory that the result may take, GiB.
    progress
        Show progress.

    Raises
    ------
    InputError, ConfigError, ModelError
        Naming what was found and what was expected; ConfigError when the result would exceed the limit.

    Examples
    --------
    >>> found = epistasis(model, sequences, [10, 11, 30])
    >>> found.strength.shape  # of every two positions
    torch.Size([4, 3, 3])
    """
    run, single = prepare(
        model, sequences, target, **options, progress="epistasis" if progress else None,
    )  # fmt: skip
    where = check_positions(positions, 0, run.codes.shape[1] - 1)
    if where.ndim != 1 or len(where.unique()) != len(where):
        raise ConfigError("positions: found duplicates or several rows; expected (W,) different positions")
    where = where.sort().values
    chosen = check_pairs(pairs, where)
    _check_size(run, len(where), len(chosen), limit_gib)
    order = (where[chosen[:, 1]] - where[chosen[:, 0]]).argsort(stable=True)  # alike widths at once
    both, alone, predictions = (
        [none_of(run, len(chosen), 4, 4)],
        [none_of(run, len(where), 4)],
        [none_of(run)],
    )
    with run.prepared.active():
        for block in run.blocks(9 * len(chosen) + 3 * len(where)):
            singles = _singles(block, where)
            doubles = _doubles(block, where, chosen[order])
            found = torch.empty_like(doubles)
            found[:, order] = doubles
            found -= singles[:, chosen[:, 0]].unsqueeze(3) + singles[:, chosen[:, 1]].unsqueeze(2)
            both.append(found * _both_mutated(block, where, chosen))
            alone.append(singles)
            predictions.append(block.prediction)
    return Epistasis(
        shaped(torch.cat(both), single),
        shaped(torch.cat(alone), single),
        shaped(torch.cat(predictions), single),
        where,
        chosen,
        run.notes,
    )


def _check_size(run: MutantRun, positions: int, pairs: int, limit: float) -> None:
    """Refuse what would not fit, before any work."""
    n = len(run.codes)
    size = torch.finfo(run.dtype).bits // 8 * run.outputs * n * (16 * pairs + 4 * positions) / 2**30
    if size > limit:
        raise ConfigError(
            f"epistasis: {n} sequences × {pairs} pairs of {positions} positions × 16 × {run.outputs} "
            f"targets take {size:.3g} GiB and {n * 9 * pairs:,} mutants; the limit is {limit:g} GiB; what to "
            "do: choose fewer positions or pairs, go through the sequences in parts, compare blocks "
            "(block_epistasis), or raise limit_gib"
        )


def _singles(block: Block, where: Tensor) -> Tensor:
    """Effects (n, W, 4, T) of single substitutions."""
    own = block.codes[:, where].long()
    example, index = (own != UNKNOWN).nonzero(as_tuple=True)

    def jobs_of(jobs: slice) -> tuple[Tensor, Tensor, Tensor]:
        job = torch.arange(jobs.start, jobs.stop)
        site = job // 3
        return example[site], index[site], (own[example[site], index[site]] + _STEPS[job % 3]) % 4

    def make(jobs: slice) -> tuple[Tensor, Tensor, Tensor]:
        e, w, base = jobs_of(jobs)
        return e, where[w], base.to(torch.uint8).unsqueeze(1)

    total = 3 * len(example)
    effects = block.effects(total, make)
    result = effects.new_zeros((len(own), len(where), 4, effects.shape[1]))
    result[jobs_of(slice(0, total))] = effects
    return result


def _doubles(block: Block, where: Tensor, pairs: Tensor) -> Tensor:
    """Effects (n, P, 4, 4, T) of double substitutions; zero where one of the two is none."""
    own = block.codes[:, where].long()
    known = own != UNKNOWN
    # Pairs first: those of one distance, of all examples, go together.
    pair, example = (known[:, pairs[:, 0]] & known[:, pairs[:, 1]]).T.nonzero(as_tuple=True)
    length = block.codes.shape[1]

    def jobs_of(jobs: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        job = torch.arange(jobs.start, jobs.stop)
        e, p = example[job // 9], pair[job // 9]
        a = (own[e, pairs[p, 0]] + _STEPS[job % 9 // 3]) % 4
        return e, p, a, (own[e, pairs[p, 1]] + _STEPS[job % 3]) % 4

    def make(jobs: slice) -> tuple[Tensor, Tensor, Tensor]:
        e, p, a, b = jobs_of(jobs)
        i, j = where[pairs[p, 0]], where[pairs[p, 1]]
        width = int((j - i).max()) + 1
        first = torch.minimum(i, torch.tensor(length - width))
        codes = columns_of(block.codes, e, first, width)
        row = torch.arange(len(e))
        codes[row, i - first] = a.to(torch.uint8)
        codes[row, j - first] = b.to(torch.uint8)
        return e, first, codes

    total = 9 * len(example)
    effects = block.effects(total, make)
    result = effects.new_zeros((len(own), len(pairs), 4, 4, effects.shape[1]))
    result[jobs_of(slice(0, total))] = effects
    return result


def _both_mutated(block: Block, where: Tensor, pairs: Tensor) -> Tensor:
    """(n, P, 4, 4, 1): whether both bases differ from the example's, and both of its are known."""
    own = block.codes[:, where].long()
    other = (own.unsqueeze(2) != torch.arange(4)) & (own != UNKNOWN).unsqueeze(2)  # (n, W, 4)
    return (other[:, pairs[:, 0]].unsqueeze(3) & other[:, pairs[:, 1]].unsqueeze(2)).unsqueeze(4)


def block_epistasis(
    model: Any,
    sequences: Any,
    blocks: Any,
    *,
    pairs: Any = None,
    n: int = 20,
    kind: str = "dinucleotide",
    seed: int = 0,
    seeds: Any = None,
    target: Targets = Output(0),  # noqa: B008  (frozen)
    progress: bool = False,
    **options: Unpack[DeviceOptions],
) -> BlockEpistasis:
    """Epistasis of blocks, such as two motifs: scramble A, scramble B, scramble both.

    The other parameters and errors are those of :func:`cislex.attribution.epistasis`.

    Parameters
    ----------
    blocks
        (B, 2) half-open coordinates, or (N, B, 2), their own for each example.
    pairs
        (P, 2) indices of blocks that do not overlap; by default all pairs.
    n, kind, seed, seeds
        See :func:`cislex.attribution.scrambles`; the draws are the same.

    Examples
    --------
    >>> found = block_epistasis(model, sequences, [(5, 15), (30, 40)], n=5)
    >>> found.epistasis.shape
    torch.Size([4, 1])
    """
    check_kind(kind, n)
    run, single = prepare(
        model, sequences, target, **options, progress="block epistasis" if progress else None,
    )  # fmt: skip
    count, length = run.codes.shape
    why = f" for {kind} shuffles, which cannot change less"
    given = check_windows(blocks, count, length, least=KINDS[kind], why=why)
    chosen = check_pairs(pairs, torch.arange(given.shape[-2]))
    _check_apart(given, chosen)
    each = given if given.ndim == 3 else given.expand(count, -1, -1)
    starts = seeds_of(seeds, seed, count)
    many = each.shape[1]
    parts, alone = [none_of(run, len(chosen), n)], [none_of(run, many)]
    predictions = [none_of(run)]
    # What is scrambled in each kind of mutant: one block, twice, or the two of a pair.
    scrambles = torch.cat([torch.arange(many).repeat(2, 1).T, chosen])
    with run.prepared.active():
        for block in run.blocks(len(scrambles) * n):
            make = _scrambling(block, each[block.rows], scrambles, n, kind, starts)
            effects = block.effects(len(block.codes) * len(scrambles) * n, make)
            effects = effects.unflatten(0, (len(block.codes), len(scrambles), n))
            singles, doubles = effects[:, :many], effects[:, many:]
            parts.append(doubles - singles[:, chosen[:, 0]] - singles[:, chosen[:, 1]])
            alone.append(singles.mean(2))
            predictions.append(block.prediction)
    return BlockEpistasis(
        shaped(torch.cat(parts), single),
        shaped(torch.cat(alone), single),
        shaped(torch.cat(predictions), single),
        given,
        chosen,
        {**run.notes, "kind": kind},
    )


def _scrambling(block: Block, windows: Tensor, scrambles: Tensor, n: int, kind: str, seeds: Any) -> Any:
    """Jobs (example, what is scrambled, draw), as mutants of whole spans."""
    length = block.codes.shape[1]

    def make(jobs: slice) -> tuple[Tensor, Tensor, Tensor]:
        job = torch.arange(jobs.start, jobs.stop)
        example, which = job // n // len(scrambles), job // n % len(scrambles)
        spans = windows[example.unsqueeze(1), scrambles[which]]  # (M, 2 blocks, 2 ends)
        width = int((spans[:, :, 1].amax(1) - spans[:, :, 0].amin(1)).max())
        first = torch.minimum(spans[:, :, 0].amin(1), torch.tensor(length - width))
        codes = columns_of(block.codes, example, first, width)
        for group in (job // n).unique_consecutive():
            rows = (job // n == group).nonzero().flatten()
            i, at = int(example[rows[0]]), int(first[rows[0]])
            for start, end in spans[rows[0]].unique(dim=0).tolist():
                seed = int(seeds[i + block.rows.start])
                drawn = scrambled(block.codes[i], kind, seed, start, end, (job[rows] % n).tolist())
                codes[rows, start - at : end - at] = drawn
        return example, first, codes

    return make


def _check_apart(blocks: Tensor, pairs: Tensor) -> None:
    """Blocks of a pair must not overlap."""
    first, second = blocks[..., pairs[:, 0], :], blocks[..., pairs[:, 1], :]
    overlap = (first[..., 0] < second[..., 1]) & (second[..., 0] < first[..., 1])
    if overlap.any():
        where = int(overlap.reshape(-1, len(pairs)).any(0).nonzero()[0])
        raise ConfigError(
            f"pairs: blocks {pairs[where].tolist()} overlap; expected disjoint blocks, or choose pairs"
        )
