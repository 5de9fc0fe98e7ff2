"""Input adapters: from the sequences of cislex, (N, 4, L) in the order A C G T, to what a model takes.

An adapter wraps the model in ordinary linear torch operations, so attributions through it stay exact and are
those of the bases of the region, in the order A C G T.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from cislex.alphabet import BASES
from cislex.errors import ConfigError, ModelError


@dataclass(frozen=True)
class InputLayout:
    """How a model wants its input.

    Parameters
    ----------
    channel_order
        The bases in the order of the model's channels.
    axes
        ``NCL`` for (N, 4, L) or ``NLC`` for (N, L, 4).
    dummy_axis
        Where to put an axis of size one after that: 2 makes (N, 4, 1, L), 3 makes (N, 4, L, 1).
    pad_to
        Length in bp to which shorter regions are padded with zeros (unknown bases), equally at either end.
    controls
        Shapes, without the batch axis, of further inputs that are filled with zeros.
    """

    channel_order: str = BASES
    axes: str = "NCL"
    dummy_axis: int | None = None
    pad_to: int | None = None
    controls: Sequence[Sequence[int]] = ()

    def __post_init__(self) -> None:
        if sorted(self.channel_order) != sorted(BASES):
            raise ConfigError(
                f"channel_order is {self.channel_order!r}; expected A, C, G and T in some order"
            )
        if self.axes not in ("NCL", "NLC"):
            raise ConfigError(f"axes is {self.axes!r}; expected NCL or NLC")
        if self.dummy_axis is not None and self.dummy_axis not in (1, 2, 3):
            raise ConfigError(f"dummy_axis is {self.dummy_axis!r}; expected 1, 2 or 3")
        if self.pad_to is not None and self.pad_to < 1:
            raise ConfigError(f"pad_to is {self.pad_to!r}; expected a length of at least 1 bp")
        wrong = [shape for shape in self.controls if not all(size >= 1 for size in shape)]
        if wrong:
            raise ConfigError(f"controls: shape {list(wrong[0])}; expected whole numbers of at least 1")

    @property
    def is_plain(self) -> bool:
        """Whether the model takes the sequences as they are."""
        return self == InputLayout() or (
            (self.channel_order, self.axes, self.dummy_axis, self.pad_to) == (BASES, "NCL", None, None)
            and not self.controls
        )

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model behind an adapter, or as it is where it takes the sequences as they are."""
        return model if self.is_plain else InputAdapter(model, self)


class InputAdapter(nn.Module):
    """A model that is given its input in another layout.

    Parameters
    ----------
    model
        Called with the sequences in its own layout, then the controls.
    layout
        What it wants.
    """

    order: Tensor

    def __init__(self, model: nn.Module, layout: InputLayout) -> None:
        super().__init__()
        self.model = model
        self.layout = layout
        order = torch.tensor([BASES.index(base) for base in layout.channel_order])
        self.register_buffer("order", order, persistent=False)

    def forward(self, sequences: Tensor, *extra: Tensor) -> Any:
        """The model's output for one-hot sequences (N, 4, L); ``extra`` inputs take the zeros' place."""
        layout = self.layout
        x = sequences
        if layout.channel_order != BASES:
            x = x.index_select(1, self.order)
        if layout.pad_to is not None:
            missing = layout.pad_to - x.shape[2]
            if missing < 0:
                raise ModelError(
                    f"pad_to is {layout.pad_to} bp and the regions are {x.shape[2]} bp long: padding makes "
                    "sequences longer; give a larger pad_to or shorter regions"
                )
            x = functional.pad(x, (missing // 2, missing - missing // 2))
        if layout.axes == "NLC":
            x = x.transpose(1, 2)
        if layout.dummy_axis is not None:
            x = x.unsqueeze(layout.dummy_axis)
        return self.model(x, *(extra or [x.new_zeros((len(x), *shape)) for shape in layout.controls]))
