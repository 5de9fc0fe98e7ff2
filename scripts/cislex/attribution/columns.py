"""Tensors of which only some columns differ from those of an unmutated example.

A substitution changes one column of the input; a convolution widens the change by its kernel, and everything
outside stays what it is for the example itself. :class:`Columns` is a tensor (B, C, L) in the eyes of the model
that stores the example's activations once (``base``) and, of every mutant, a window of columns. Operations that
are local in position are carried out on windows; any other gets whole tensors, and everything from there on is
whole. ``column_rules`` has the operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: A window of more than this part of all columns is not worth the bookkeeping.
WHOLE = 0.8

Offsets = NDArray[np.int64]


class NotTrackedError(Exception):
    """An operation that can be done neither on windows nor on whole tensors, such as an assignment."""


@dataclass
class Tape:
    """What all batches of mutants of the same examples share: the examples' activations, call by call."""

    bases: list[Tensor] = field(default_factory=list)
    position: int = 0
    example: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    #: Operations that needed whole tensors.
    whole: set[str] = field(default_factory=set)

    def begin(self, example: Tensor) -> None:
        """Start a batch of mutants of the examples ``example`` (B,)."""
        self.position = 0
        self.example = example

    def base(self, compute: Callable[[], Tensor]) -> Tensor:
        """The examples' tensor at this call: computed in the first batch, remembered later."""
        if self.position == len(self.bases):
            self.bases.append(compute())
        self.position += 1
        return self.bases[self.position - 1]


class Columns(Tensor):
    """A batch of mutants (B, C, L), or (B, L, C) with ``axis`` 1, given by windows of columns.

    Attributes
    ----------
    base
        (n, C, L): the examples.
    values
        (B, C, W): the columns ``[first, first + W)`` of each mutant; all others equal its example's.
    first
        (B,) int64, with 0 <= first <= L − W.
    axis
        The axis of the columns.
    """

    base: Tensor
    values: Tensor
    first: Offsets
    axis: int
    tape: Tape

    @staticmethod
    def __new__(
        cls: type[Columns], base: Tensor, values: Tensor, first: Offsets, axis: int, tape: Tape
    ) -> Columns:
        """Make a tensor without storage."""
        made: Columns = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, (values.shape[0], *base.shape[1:]), dtype=values.dtype, device=values.device
        )
        made._set(base, values, first, axis)
        made.tape = tape
        return made

    def _set(self, base: Tensor, values: Tensor, first: Offsets, axis: int) -> None:
        self.base, self.values, self.first, self.axis = base, values, first, axis

    @property
    def width(self) -> int:
        """Columns in a window."""
        return int(self.values.shape[self.axis])

    @property
    def length(self) -> int:
        """All columns."""
        return int(self.base.shape[self.axis])

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Carry out one call of the model."""
        from cislex.attribution.column_rules import carry_out  # the rules need this class

        return carry_out(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Refuse what comes by another way, such as TorchScript."""
        raise NotTrackedError(f"{func} was called below the level of functions")


def substituted(x: Tensor, position: Tensor, base: Tensor, tape: Tape) -> Columns:
    """Mutants of the tape's examples as Columns of width one.

    Parameters
    ----------
    x
        (n, 4, L) examples.
    position, base
        (B,): where, and which base.
    """
    values = torch.nn.functional.one_hot(base, 4).to(x.dtype).unsqueeze(2)
    return Columns(x, values, position.cpu().numpy().astype(np.int64), 2, tape)


def whole(columns: Columns) -> Tensor:
    """The mutants as an ordinary tensor."""
    return window(columns, np.zeros(len(columns.first), np.int64), columns.length)


def window(
    columns: Columns, start: Offsets, width: int, base: Tensor | None = None, shift: int = 0
) -> Tensor:
    """Columns ``[start, start + width)`` of every mutant, (B, C, width).

    Parameters
    ----------
    base
        Another base with the same columns, ``shift`` further to the right (a padded one).
    """
    axis, values = columns.axis, columns.values
    source = columns.base if base is None else base
    offset = columns.first + shift - start
    same = bool((offset == offset[0]).all())
    if same and offset[0] == 0 and columns.width == width:
        return values
    filled = gather(source, columns.tape.example, start, width, axis)
    if same and 0 <= offset[0] <= width - columns.width:
        filled.narrow(axis, int(offset[0]), columns.width).copy_(values)
        return filled
    # Column j of the window is column j − offset of the values, where there is such a one.
    there = np.arange(width)[None] - offset[:, None]
    index = torch.from_numpy(np.clip(there, 0, columns.width - 1)).to(values.device)
    changed = torch.from_numpy((there >= 0) & (there < columns.width)).to(values.device)
    other = 3 - axis
    index = index.unsqueeze(other).expand_as(filled)
    return torch.where(changed.unsqueeze(other), values.gather(axis, index), filled)


def gather(base: Tensor, example: Tensor, start: Offsets, width: int, axis: int) -> Tensor:
    """Columns ``[start, start + width)`` of the chosen examples; a new tensor with base's layout."""
    if width == base.shape[axis]:
        return base[example]
    if not base.is_cuda and len(start) <= 256:
        rows = zip(example.tolist(), start.tolist(), strict=True)
        return torch.stack([base[i].narrow(axis - 1, s, width) for i, s in rows])
    windows = base.unfold(axis, width, 1)  # (n, C, starts, width), or (n, starts, C, width)
    first = torch.from_numpy(start).to(base.device)
    if axis == 2:
        return windows[example, :, first]
    return windows[example, first].transpose(1, 2)


def made(base: Tensor, values: Tensor, first: Offsets, like: Columns, *, axis: int | None = None) -> Tensor:
    """Columns of a result; an ordinary tensor where the window is nearly everything."""
    result = Columns(base, values, first, like.axis if axis is None else axis, like.tape)
    if result.width >= WHOLE * result.length and result.width > 1:
        return whole(result)
    return result


def aligned(items: Sequence[Columns]) -> tuple[list[Tensor], Offsets]:
    """Windows of several Columns with the same columns in each row, and where they start."""
    start = np.min([item.first for item in items], axis=0)
    stop = np.max([item.first + item.width for item in items], axis=0)
    width = int((stop - start).max())
    start = np.minimum(start, items[0].length - width)
    return [window(item, start, width) for item in items], start
