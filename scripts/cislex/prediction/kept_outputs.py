"""Which of a model's outputs predictions keep: all, those that targets read, or only the targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cislex.errors import ConfigError
from cislex.logs import get_logger
from cislex.models.loading import name_outputs
from cislex.targets import Target, read_target
from cislex.targets.outputs import OUTPUT, map_rows, plain_output

logger = get_logger(__name__)

CHOICES = ("auto", "targets", "heads", "all")
#: Bytes of all outputs of all regions and folds up to which ``auto`` keeps them.
KEPT_BYTES = 1 << 30


def choose_outputs(
    keep: str, shapes: Mapping[str, tuple[int, ...]], *, regions: int, folds: int, heads: Sequence[str]
) -> list[str]:
    """Names of the outputs that are kept of every region.

    Parameters
    ----------
    keep
        ``all``; ``heads``, the outputs that targets read; ``targets``, none of them; ``auto``: all up to
        ``KEPT_BYTES`` (1 GiB in float32, before compression), else none.
    shapes
        Shape of each output without the axis of the regions.
    regions, folds
        How many are predicted.
    heads
        What ``heads_read`` found.

    Raises
    ------
    ConfigError
        When ``keep`` is none of these.
    """
    if keep not in CHOICES:
        raise ConfigError(f"predictions.outputs is {keep!r}; expected one of {', '.join(CHOICES)}")
    if keep == "heads":
        return list(heads)
    if keep == "targets":
        return []
    size = 4 * regions * folds * sum(math.prod(shape) for shape in shapes.values())
    if keep == "auto" and size > KEPT_BYTES:
        logger.warning(
            "all outputs of %d regions and %d folds would be %.1f GB before compression, so predictions.h5 "
            "contains only the targets; predictions: {outputs: heads} or all keeps more",
            regions, folds, size / 1e9,
        )  # fmt: skip
        return []
    return list(shapes)


def heads_read(raw: Any, scalars: Sequence[Target], names: Sequence[str]) -> list[str]:
    """Names of the outputs on which a target depends; all, where one is read before the outputs.

    Parameters
    ----------
    raw
        What the model returned for a sequence or more, opened or not.
    scalars
        The targets.
    names
        Names of the outputs, as ``name_outputs`` takes them.
    """

    def leaf(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().clone().requires_grad_(tensor.is_floating_point())

    with torch.enable_grad():
        leaves = map_rows(leaf, plain_output(raw))
        named = name_outputs(leaves, names)
        tensors = {name: tensor for name, tensor in named.items() if tensor.requires_grad}
        output = {**raw, OUTPUT: leaves} if plain_output(raw) is not raw else leaves
        found: set[str] = set()
        for target in scalars:
            value = read_target(target, output).sum()
            if not value.requires_grad:
                return list(named)
            grads = torch.autograd.grad(value, list(tensors.values()), allow_unused=True)
            found |= {name for name, grad in zip(tensors, grads, strict=True) if grad is not None}
    return [name for name in named if name in found]
