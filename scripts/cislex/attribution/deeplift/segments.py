"""Segments of a model: modules whose operations are recorded and replayed again when the backward comes by.

Forward, the example and its references go through a segment without rules or a graph, and only what enters is
kept. Backward, the example's operations are recorded and the reference's replayed, of this segment alone.
``execution.segments`` chooses and marks the modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils import _pytree as trees

from cislex.attribution.deeplift.pairing import jacobian_product
from cislex.attribution.operations import Call

if TYPE_CHECKING:
    from cislex.attribution.deeplift.replay import Record, Replayer

#: Name of the record of a segment.
SEGMENT = "segment"


class _Again(torch.autograd.Function):
    """A segment on the references: plain values forward, the rules backward."""

    @staticmethod
    def forward(
        ctx: Any,
        replayer: Replayer,
        call: Call,
        record: Record,
        active: list[int],
        structure: list[Any],
        *activations: Tensor,
    ) -> Any:
        leaves, shape = trees.tree_flatten(call.run(call.tensors))
        structure.append(shape)
        held = [replayer.phase.hold(tensor) for tensor in call.tensors]
        ctx.given = replayer, call, record, active, held
        ctx.set_materialize_grads(False)
        return tuple(leaf.clone() if leaf._is_view() else leaf for leaf in leaves)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        replayer, call, record, active, held = ctx.given
        found: Sequence[Tensor | None] = [None] * len(active)
        if any(gradient is not None for gradient in gradients):
            found = _multipliers(replayer, call, record, active, [item.tensor for item in held], gradients)
        return (None, None, None, None, None, *found)


def run_later(replayer: Replayer, call: Call, record: Record, active: list[int]) -> Any:
    """Run a segment on the references, its rules when the backward comes by."""
    structure: list[Any] = []
    leaves = _Again.apply(replayer, call, record, active, structure, *(call.tensors[i] for i in active))
    return trees.tree_unflatten(list(leaves), structure[0])


def _multipliers(
    replayer: Replayer,
    call: Call,
    record: Record,
    active: list[int],
    tensors: list[Tensor],
    gradients: Sequence[Tensor | None],
) -> Sequence[Tensor | None]:
    """Multipliers of what enters a segment, for these of what leaves it."""
    inner = replayer.of_segment(record)
    leaves = [tensors[i].detach().requires_grad_() for i in active]
    inputs = list(tensors)
    for i, leaf in zip(active, leaves, strict=True):
        inputs[i] = leaf
    with torch.enable_grad(), inner:
        outputs = trees.tree_leaves(call.run(inputs))
    inner.finish(outputs, [SEGMENT] * len(outputs))
    for output in outputs:
        inner.look(output)
    replayer.integrated |= inner.integrated
    return jacobian_product(outputs, leaves, gradients)
