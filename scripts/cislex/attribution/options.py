"""Options of a run that the public calls share; :func:`cislex.attribution.attribute` describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import torch


class DeviceOptions(TypedDict, total=False):
    """What a model is given besides sequences, where it runs, and how much at once."""

    extra_inputs: Sequence[Any]
    batch_size: int | None
    device: str | torch.device | None
    precision: str | None


class RunOptions(DeviceOptions, total=False):
    """Options of what attributes, whatever is returned."""

    seeds: Any
    reverse_complement: bool
    allow_incomplete: bool


class AttributionOptions(RunOptions, total=False):
    """Options of :func:`cislex.attribution.attribute_targets` and ``attribute_batches``."""

    checkpoint: bool | None


class PositionOptions(RunOptions, total=False):
    """Options of :func:`cislex.attribution.attribute_positions` and its relatives."""

    positions: Any
    index: int | tuple[int, ...] | None
    head: int | str | None
    reverse_index: int | tuple[int, ...] | None
    crop: bool
