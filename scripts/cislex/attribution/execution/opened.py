"""Models opened for what targets read beside the output: inputs of activations, weights of bins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from cislex.attribution.execution.pre_activation import expose_pre_activation
from cislex.errors import ModelError
from cislex.targets import Target
from cislex.targets.intervals import interval_keys
from cislex.targets.outputs import CAUGHT, OUTPUT, WEIGHTS


class WithWeights(nn.Module):
    """A model whose last inputs are weights of bins, (B, bins, 1) each, which it passes on.

    Their last axis has one entry, so that no adapter or strand takes them for something along the sequence.

    Parameters
    ----------
    model
        Called with the other inputs.
    keys
        What targets know the weights by, in the order of the inputs.
    """

    def __init__(self, model: nn.Module, keys: Sequence[Any]) -> None:
        super().__init__()
        self.model = model
        self.keys = tuple(keys)

    def forward(self, x: Tensor, *extra: Tensor) -> dict[str, Any]:
        """Return the model's output and the weights by key."""
        own = len(extra) - len(self.keys)
        if own < 0:
            raise ModelError(
                f"target: reads intervals of the regions, whose weights are {len(self.keys)} extra inputs; "
                f"found {len(extra)}; what to do: use `window`, or give the weights"
            )
        output = self.model(x, *extra[:own])
        opened = output if isinstance(output, dict) and CAUGHT in output else {OUTPUT: output}
        return {**opened, WEIGHTS: dict(zip(self.keys, extra[own:], strict=True))}


def open_for(model: nn.Module, targets: Iterable[Target]) -> nn.Module:
    """Open a model for all that targets read from its output; the model itself where that is the output.

    Parameters
    ----------
    model
        Left as it is.
    targets
        Those that read inputs of activations (``PreActivation``), or intervals of each region (``Tracks``).
    """
    wanted = list(targets)
    exposed = expose_pre_activation(model, wanted)
    keys = interval_keys(wanted)
    return WithWeights(exposed, keys) if keys else exposed
