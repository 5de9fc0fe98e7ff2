"""Sequences to test a model with: those of the call, and those that its method batches with them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cislex.attribution.execution.model_context import PreparedModel
from cislex.attribution.methods import ISM, TISM, DeepLiftShap, Method, Saliency
from cislex.attribution.mutagenesis.independence import Trial
from cislex.targets import Target

#: Most and least sequences of a trial, and rows of a call that are looked at to choose them.
MOST, LEAST, LOOKED_AT = 5, 3, 2048


def neighbours(x: Tensor, made: Tensor, most: int = MOST) -> tuple[Tensor, list[int]]:
    """Up to five different sequences that may share a batch.

    The first of the call, what the method makes of it, and those of the call with most and least of each
    base, on which decisions on a batch's composition differ most. With fewer than three of them the first is
    given backwards and rotated, too: it has the same composition, and another value.

    Parameters
    ----------
    x
        (N, 4, L) uint8, all sequences of the call; at least one.
    made
        (m, 4, L) what the method makes of the first.
    most
        How many at most.

    Returns
    -------
    tuple[Tensor, list[int]]
        (k, 4, L), and of each the row of the call whose further inputs it takes.
    """
    looked_at = torch.linspace(0, len(x) - 1, min(len(x), LOOKED_AT), dtype=torch.float64).long()
    counts = x[looked_at].sum(2, dtype=torch.int64)
    rows = [0]
    for base in (1, 2, 0, 3):
        rows += [int(looked_at[counts[:, base].argmax()]), int(looked_at[counts[:, base].argmin()])]
    first = x[0].to(made.dtype)
    turned = (first.flip(1), first.roll(x.shape[2] // 2, 1))
    candidates = [(first, 0), *((item, 0) for item in made[:2])]
    candidates += [(x[row].to(made.dtype), row) for row in rows] + [(item, 0) for item in made[2:]]
    chosen: list[tuple[Tensor, int]] = []
    for item, row in (*candidates, *((item, 0) for item in turned)):
        if item is turned[0] and len(chosen) > 2:
            break
        if len(chosen) < most and not any(torch.equal(item, other) for other, _ in chosen):
            chosen.append((item, row))
    return torch.stack([item for item, _ in chosen]), [row for _, row in chosen]


def made_by(method: Method | None, x: Tensor, refs: Tensor) -> Tensor:
    """What a method batches with a sequence: references, points on the way to them, or mutants.

    Parameters
    ----------
    method
        A method; None for other mutants than those of ISM.
    x
        (4, L) floating point.
    refs
        (R, 4, L) its references.

    Returns
    -------
    Tensor
        (m, 4, L) of the floating point of ``x``.
    """
    if method is None or isinstance(method, ISM):
        return mutants(x)
    if isinstance(method, Saliency | TISM):
        return x[None][:0]
    refs = refs[:2].to(x)
    return refs if isinstance(method, DeepLiftShap) else torch.stack([0.5 * (refs[0] + x), refs[0]])


def make_trial(
    prepared: PreparedModel,
    x: Tensor,
    extra: Sequence[Tensor],
    targets: Sequence[Target] | None,
    made: Tensor,
    batch_size: int | None,
) -> Trial:
    """The trial of a prepared model with some of a call's sequences (N, 4, L) and what was made of the first.

    ``extra`` are further inputs, (N, …) each; ``batch_size`` is what the user asked for, if anything; without
    ``targets`` the whole output is compared.
    """
    few, rows = neighbours(x, made, max(LEAST, min(MOST, batch_size or MOST)))
    taken = [prepared.takes(item[rows]) for item in extra]
    return Trial(prepared, few.to(prepared.device, prepared.dtype), taken, targets)


def mutants(x: Tensor) -> Tensor:
    """The sequence with its first C, A, G or T made the next base, and the one before; (≤ 8, 4, L)."""
    found = []
    for step in (1, 3):
        for base in (1, 0, 2, 3):
            places = x[base].nonzero()
            if len(places):
                mutant = x.clone()
                mutant[:, places[0, 0]] = x[:, places[0, 0]].roll(step)
                found.append(mutant)
    return torch.stack(found) if found else x[None][:0]
