"""Averaging over both strands: f̄(x) = ½ (f(x) + f(rc x)), whose attributions are averages too.

Reverse complement turns both the channel axis (A C G T) and the position axis. Every step of every
method is linear in the function, so multipliers are ½ (M(x) + flip M(rc x)), against the same references
reverse-complemented, and the delta of f̄ is the mean of both deltas.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import Tensor

from cislex.attribution.methods import ISM
from cislex.attribution.notes import unite_notes
from cislex.attribution.result import BatchResult


def reverse_complement(sequences: Tensor) -> Tensor:
    """The other strand of (…, 4, L)."""
    return sequences.flip(-2, -1)


def turn_extra(item: Tensor, length: int) -> Tensor:
    """An extra input as the other strand sees it.

    One whose last axis is as long as the sequence, such as control tracks (N, strands, L), is turned along
    all axes but the first; others stay as they are.
    """
    return item.flip(*range(1, item.dim())) if item.dim() > 1 and item.shape[-1] == length else item


def turn_method(method: Any, length: int) -> Any:
    """The method for the other strand: a window of ISM is counted from the other end."""
    if not isinstance(method, ISM):
        return method
    end = length if method.end is None else method.end
    return dataclasses.replace(method, start=max(0, length - end), end=length - method.start)


def average(forward: BatchResult, reverse: BatchResult) -> BatchResult:
    """Result of f̄ of the results for x and for its reverse complement, position by position of x."""

    def mean(a: Tensor | None, b: Tensor | None, *axes: int) -> Tensor | None:
        return None if a is None or b is None else 0.5 * (a + (b.flip(*axes) if axes else b))

    both = {
        name: mean(getattr(forward, name), getattr(reverse, name), *axes)
        for name, axes in {
            "multipliers": (-2, -1),
            "products": (-2, -1),
            "baseline": (-1,),
            "prediction": (),
            "reference_prediction": (),
            "delta": (),
        }.items()
    }
    return BatchResult(**both, notes=unite_notes(forward.notes, reverse.notes))  # type: ignore[arg-type]
