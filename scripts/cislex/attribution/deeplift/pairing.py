"""Which reference row belongs to which example row, for a tensor anywhere inside the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cislex.errors import ModelError


class PairingError(ModelError):
    """The rows of an inner tensor cannot be told apart; the engine then repeats the example per reference."""


def difference_of(example: Tensor, reference: Tensor) -> Tensor:
    """Example minus reference; zero where both are the same infinity, as under a mask."""
    # One pass in place, where a comparison and a mask would be three.
    return (example - reference).nan_to_num_(0.0, math.inf, -math.inf)


def part(multiplier: Tensor, difference: Tensor) -> Tensor:
    """What a difference contributes; half precisions and complex numbers in double precision."""
    exact = multiplier.dtype in (torch.float32, torch.float64) and multiplier.dtype == difference.dtype
    return multiplier * difference if exact else product(multiplier, difference)


def product(multiplier: Tensor, difference: Tensor) -> Tensor:
    """What a difference contributes, in double precision: Re(m̄·Δ) of complex numbers, as in autograd."""
    if multiplier.is_complex() or difference.is_complex():
        return (multiplier.to(torch.complex128).conj() * difference).real
    return multiplier.double() * difference.double()


def sum_rows(values: Tensor, dim: int = 0) -> Tensor:
    """Sums of the rows that lie along an axis, in double precision."""
    # torch sums the last axis without loss, and faster than in double precision
    if dim < values.dim() - 1:
        values = values.sum(-1)
    return values.movedim(dim, 0).reshape(values.shape[dim], -1).sum(1, dtype=torch.float64)


def jacobian_product(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], gradients: Sequence[Tensor | None]
) -> Sequence[Tensor | None]:
    """What multipliers of the outputs, where there are any, become at the inputs, by autograd."""
    chosen = [
        (output, gradient)
        for output, gradient in zip(outputs, gradients, strict=True)
        if gradient is not None and output.requires_grad
    ]
    return torch.autograd.grad(
        [output for output, _ in chosen],
        inputs,
        [gradient for _, gradient in chosen],
        allow_unused=True,
    )


@dataclass(frozen=True)
class Pairing:
    """n examples with R references each; reference rows are ordered example by example."""

    examples: int
    references: int

    def views(self, example: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Views of both tensors that broadcast against each other, pair by pair.

        The one dimension in which the shapes differ must hold the examples, n against n·R. Where
        a model has merged the batch with another dimension the order of rows is ambiguous.
        """
        if example.shape == reference.shape:
            if self.references == 1:
                return example, reference
            raise PairingError(f"rows of {tuple(example.shape)} do not depend on the reference")
        differing = [
            d for d, (a, b) in enumerate(zip(example.shape, reference.shape, strict=False)) if a != b
        ]
        n, r = self.examples, self.references
        if (
            example.dim() != reference.dim()
            or len(differing) != 1
            or example.shape[differing[0]] != n
            or reference.shape[differing[0]] != n * r
        ):
            raise PairingError(
                f"cannot pair {tuple(example.shape)} of {n} examples with {tuple(reference.shape)} "
                f"of {r} references each"
            )
        if n == 1:
            return example, reference
        dim = differing[0]
        return example.unsqueeze(dim + 1), reference.unflatten(dim, (n, r))

    def expand(self, example: Tensor, reference: Tensor) -> Tensor:
        """The example's tensor repeated so that its rows align with the reference's."""
        left, right = self.views(example, reference)
        return left.expand_as(right).reshape(reference.shape)
