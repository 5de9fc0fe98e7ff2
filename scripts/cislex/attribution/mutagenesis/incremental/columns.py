"""Tensors of which only some columns differ from those of an unmutated example.

A substitution changes one column of the input; a convolution widens the change by its kernel, and all other
columns stay what they are for the example itself. To the model, :class:`MutantColumns` is a tensor (B, C, L);
it stores the example's activations once (``base``) and, of every mutant, a window of columns.
Operations that are local in position are carried out on windows; any other gets whole tensors, and everything
from there on is whole. ``rules`` has the operations.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.attribution.kernels import Workers

#: Rows up to which a processor copies windows one by one, which is faster than an index.
LOOP = 256

Offsets = NDArray[np.int64]


class NotTrackedError(Exception):
    """An operation that can be done neither on windows nor on whole tensors, such as an assignment."""


@dataclass
class Tape:
    """What all batches of mutants of the same examples share: the examples' activations, call by call.

    ``carry_out`` does one call of the model on mutant columns: ``rules.carry_out``.
    """

    carry_out: Callable[[Any, Any, dict[str, Any]], Any]
    bases: list[Tensor] = field(default_factory=list)
    position: int = 0
    example: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    #: Operations that needed whole tensors.
    whole: set[str] = field(default_factory=set)
    workers: Workers = field(default_factory=Workers)
    #: Ordinary tensors that would be views of Columns, with their versions.
    views: list[tuple[Tensor, int]] = field(default_factory=list)

    def begin(self, example: Tensor) -> None:
        """Start a batch of mutants of the examples ``example`` (B,)."""
        self.position = 0
        self.example = example
        self.views.clear()

    def end(self) -> None:
        """End a batch.

        Raises
        ------
        NotTrackedError
            When a tensor was changed in place that would have been a view of Columns, which did not change.
        """
        changed = any(view._version != version for view, version in self.views)
        self.views.clear()
        if changed:
            raise NotTrackedError("a view of a tensor is changed in place")

    def base(self, compute: Callable[[], Tensor]) -> Tensor:
        """The examples' tensor at this call: computed in the first batch, remembered later."""
        if self.position == len(self.bases):
            self.bases.append(compute())
        self.position += 1
        return self.bases[self.position - 1]


class Lazy:
    """A tensor that is computed when it is first asked for, so that unused branches cost nothing."""

    def __init__(self, compute: Callable[[], Tensor]) -> None:
        self._compute: Callable[[], Tensor] | None = compute
        self._value: Tensor | None = None

    def get(self) -> Tensor:
        """Return the tensor."""
        if self._compute is not None:
            self._value, self._compute = self._compute(), None
        assert self._value is not None
        return self._value


class MutantColumns(Tensor):
    """A batch of mutants (B, C, L), or (B, L, C) with ``axis`` 1, given by windows of columns.

    Attributes
    ----------
    base
        (n, C, L): the examples.
    lazy
        Gives ``part``, (B, C, W): the columns ``[first, first + W)`` of each mutant; all others equal its
        example's.
    changes
        Gives those columns less the example's, where that is how they were computed; else None.
    family
        References to all tensors that a model takes for views of one memory.
    first
        (B,) int64, with 0 <= first <= L − W.
    width
        W.
    axis
        The axis of the columns.
    """

    base: Tensor
    lazy: Lazy
    first: Offsets
    width: int
    axis: int
    tape: Tape
    changes: Lazy | None
    family: list[weakref.ref[Tensor]]

    @staticmethod
    def __new__(
        cls: type[MutantColumns],
        base: Tensor,
        lazy: Lazy,
        first: Offsets,
        width: int,
        axis: int,
        tape: Tape,
        changes: Lazy | None = None,
    ) -> MutantColumns:
        """Make a tensor without storage."""
        made: MutantColumns = torch.Tensor._make_wrapper_subclass(
            cls, (len(first), *base.shape[1:]), dtype=base.dtype, device=base.device
        )
        made.base, made.lazy, made.first, made.width, made.axis, made.tape = (
            base,
            lazy,
            first,
            width,
            axis,
            tape,
        )
        made.changes = changes
        made.family = [weakref.ref(made)]
        return made

    def become(self, other: MutantColumns) -> None:
        """Take the content of another: what an operation in place does."""
        self.base, self.lazy, self.first = other.base, other.lazy, other.first
        self.width, self.axis, self.changes = other.width, other.axis, other.changes

    def shared(self) -> bool:
        """Whether another tensor is in use that would change with this one."""
        return any(other() is not None and other() is not self for other in self.family)

    def adopt(self, view: Tensor) -> None:
        """Take note of a view of this tensor."""
        if isinstance(view, MutantColumns):
            self.family.extend(view.family)
            view.family = self.family
        else:
            self.family.append(weakref.ref(view))
            self.tape.views.append((view, view._version))

    def snapshot(self) -> MutantColumns:
        """Another with the same content, which an operation in place does not reach."""
        return MutantColumns(self.base, self.lazy, self.first, self.width, self.axis, self.tape, self.changes)

    @property
    def part(self) -> Tensor:
        """(B, C, W): the columns that may differ."""
        return self.lazy.get()

    @property
    def length(self) -> int:
        """All columns."""
        return int(self.base.shape[self.axis])

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Carry out one call of the model."""
        tape = next(item.tape for item in flat((args, kwargs or {})) if isinstance(item, MutantColumns))
        return tape.carry_out(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Refuse what comes by another way, such as TorchScript."""
        raise NotTrackedError(f"{func} was called below the level of functions")


def flat(items: Any) -> list[Any]:
    """All that lists, tuples and dictionaries hold."""
    if isinstance(items, list | tuple):
        return [leaf for item in items for leaf in flat(item)]
    if isinstance(items, dict):
        return flat(list(items.values()))
    return [items]


def substituted(x: Tensor, position: Tensor, base: Tensor, tape: Tape) -> MutantColumns:
    """Mutants of the tape's examples as Columns of width one.

    Parameters
    ----------
    x
        (n, 4, L) examples.
    position, base
        (B,): where, and which base.
    """
    part = torch.nn.functional.one_hot(base, 4).to(x.dtype).unsqueeze(2)
    first = position.cpu().numpy().astype(np.int64)
    like = MutantColumns(x, Lazy(lambda: part), first, 1, 2, tape)
    if not eligible(x):
        return like
    return changed(like, x, Lazy(lambda: part - x[tape.example, :, position].unsqueeze(2)), first, 1)


def eligible(x: Tensor) -> bool:
    """Whether differences are worth it: on a CPU, in a precision that loops know."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def whole(columns: MutantColumns) -> Tensor:
    """The mutants as an ordinary tensor."""
    return window(columns, np.zeros(len(columns.first), np.int64), columns.length)


def window(
    columns: MutantColumns, start: Offsets, width: int, base: Tensor | None = None, shift: int = 0
) -> Tensor:
    """Columns ``[start, start + width)`` of every mutant, (B, C, width).

    Parameters
    ----------
    base
        Another base with the same columns, ``shift`` further to the right (a padded one).
    """
    axis, part = columns.axis, columns.part
    source = columns.base if base is None else base
    offset = columns.first + shift - start
    same = bool((offset == offset[0]).all())
    if same and offset[0] == 0 and columns.width == width:
        return part
    filled = gather(source, columns.tape.example, start, width, axis)
    if same and 0 <= offset[0] <= width - columns.width:
        filled.narrow(axis, int(offset[0]), columns.width).copy_(part)
        return filled
    if (
        not part.is_cuda
        and len(offset) <= LOOP
        and (offset >= 0).all()
        and (offset + columns.width <= width).all()
    ):
        for row, changed, left in zip(filled, part, offset.tolist(), strict=True):
            row.narrow(axis - 1, left, columns.width).copy_(changed)
        return filled
    # Column j of the window is column j − offset of the part, where there is such a one.
    there = np.arange(width)[None] - offset[:, None]
    index = torch.from_numpy(np.clip(there, 0, columns.width - 1)).to(part.device)
    inside = torch.from_numpy((there >= 0) & (there < columns.width)).to(part.device)
    other = 3 - axis
    index = index.unsqueeze(other).expand_as(filled)
    return torch.where(inside.unsqueeze(other), part.gather(axis, index), filled)


def gather(base: Tensor, example: Tensor, start: Offsets, width: int, axis: int) -> Tensor:
    """Columns ``[start, start + width)`` of the chosen examples; a new tensor with base's layout."""
    if width == base.shape[axis]:
        return base[example]
    if not base.is_cuda and len(start) <= LOOP:
        rows = zip(example.tolist(), start.tolist(), strict=True)
        return torch.stack([base[i].narrow(axis - 1, s, width) for i, s in rows])
    windows = base.unfold(axis, width, 1)  # (n, C, starts, width), or (n, starts, C, width)
    first = torch.from_numpy(start).to(base.device)
    if axis == 2:
        return windows[example, :, first]
    return windows[example, first].transpose(1, 2)


def made(
    like: MutantColumns,
    base: Tensor,
    part: Callable[[], Tensor],
    first: Offsets,
    width: int,
    axis: int | None = None,
) -> MutantColumns:
    """Columns of a result, computed when it is needed."""
    return MutantColumns(base, Lazy(part), first, width, like.axis if axis is None else axis, like.tape)


def everywhere(like: MutantColumns, values: Tensor) -> MutantColumns:
    """Columns all of which differ from the examples', whose own values nothing depends on any more."""
    return made(like, like.base, lambda: values, np.zeros(len(like.first), np.int64), like.length)


def changed(
    like: MutantColumns, base: Tensor, changes: Lazy, first: Offsets, width: int, axis: int | None = None
) -> MutantColumns:
    """Columns of a result whose difference from the examples is computed when it is needed."""
    axis = like.axis if axis is None else axis
    tape = like.tape
    lazy = Lazy(lambda: gather(base, tape.example, first, width, axis).add_(changes.get()))
    return MutantColumns(base, lazy, first, width, axis, tape, changes)


def difference(c: MutantColumns) -> Tensor:
    """The mutants' columns less their examples', (B, C, W)."""
    if c.changes is not None:
        return c.changes.get()
    return c.part - gather(c.base, c.tape.example, c.first, c.width, c.axis)


def union(items: Sequence[MutantColumns]) -> tuple[Offsets, int]:
    """Where windows that cover those of several Columns start, and their width."""
    start = np.min([item.first for item in items], axis=0)
    stop = np.max([item.first + item.width for item in items], axis=0)
    width = int((stop - start).max())
    return np.minimum(start, items[0].length - width), width
