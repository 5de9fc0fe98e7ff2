"""Intervals of each region, such as the exons of a gene, whose bins a target sums.

A target knows its intervals by a key. Which bins of each sequence they overlap, its *weights*, reaches it
beside the model's output: a model that is opened for them (``attribution.execution.opened``) takes them as
its last inputs and returns them as ``WEIGHTS``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cislex.errors import ConfigError, ModelError
from cislex.targets.base import Target, every_part
from cislex.targets.outputs import WEIGHTS

MATCHES = ("overlap", "name")
OUTSIDE = ("error", "clip")
WEIGHTINGS = ("any", "fraction")


@dataclass(frozen=True)
class Intervals:
    """Where the intervals of each region come from.

    Parameters
    ----------
    bed
        BED file.
    match
        ``overlap``: those that overlap the region; ``name``: those of the region's name on its chromosome.
    outside
        What is done with intervals that pass what the bins cover: ``error``, or ``clip`` them.
    weighting
        Weight of a bin: ``any``, 1 where it shares a base with an interval; ``fraction``, its covered share.
    """

    bed: str
    match: str = "overlap"
    outside: str = "error"
    weighting: str = "any"

    def __post_init__(self) -> None:
        for name, known in (("match", MATCHES), ("outside", OUTSIDE), ("weighting", WEIGHTINGS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"intervals.{name}: found {getattr(self, name)!r}, expected {' or '.join(known)}"
                )


def interval_keys(targets: Iterable[Target]) -> list[Any]:
    """What targets know their intervals by, each once, in the order in which models take the weights."""
    keys = (getattr(target, "interval_key", None) for target in every_part(targets))
    return list(dict.fromkeys(key for key in keys if key is not None))


def weights_in(output: Any, key: Any) -> Tensor:
    """Weights (B, bins) of an output.

    Raises
    ------
    ModelError
        When the model was not opened for them.
    """
    given = output.get(WEIGHTS) if isinstance(output, Mapping) else None
    if given is None or key not in given:
        raise ModelError(
            "target: intervals of the regions do not reach it here; what to do: use `window`, or give their "
            "weights as extra_inputs; pre_activation cannot be combined with intervals"
        )
    weights: Tensor = given[key]
    return weights[:, :, 0]
