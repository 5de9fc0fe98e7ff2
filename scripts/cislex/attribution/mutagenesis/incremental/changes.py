"""Operations on what mutants change: differences from the example's columns in place of their values.

Convolutions, sums and means need nothing but the difference, and a ReLU the example's columns beside it. So
nothing is copied together, and a dilated convolution costs the columns that changed, not all that they reach.
On a CPU copies cost more than sums: windows stay differences from the first convolution to the last mean.
Each function answers None where it does not apply; ``rules`` then goes on with values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from cislex.attribution.kernels import compiled
from cislex.attribution.mutagenesis.incremental.columns import (
    Lazy,
    MutantColumns,
    Offsets,
    changed,
    difference,
    eligible,
    union,
)

#: Bytes of products that are made at once, so that they are still in the cache when they are summed.
BLOCK = 3 << 20
#: Channels that make the arithmetic of a column worth as much time as moving its products.
CHANNELS = 16
#: Output channels up to which the kernels of processors are slower than products.
FEW = 2

_exactly: Callable[[Callable[..., Any]], Any] = partial(compiled, finite=False)


@_exactly
def _spread(first, last, products, offset, dilation, taps, output):  # type: ignore[no-untyped-def]
    """Sum the products of all taps (B, taps · C, W), each at its place in (B, C, V)."""
    width, channels, columns = products.shape[2], output.shape[1], output.shape[2]
    for row in range(first, last):
        for channel in range(channels):
            out = output[row, channel]
            out[:] = 0
            for tap in range(taps):
                shift = offset[row] - tap * dilation
                low = max(0, shift)
                high = max(low, min(columns, shift + width))
                to = out[low:high]
                source = products[row, tap * channels + channel, low - shift :]
                for p in range(to.shape[0]):
                    to[p] += source[p]


@_exactly
def _relu(first, last, base, example, start, change, zero):  # type: ignore[no-untyped-def]
    """Write the change of max(·, 0) over that of its input; what is not a number stays so."""
    for row in range(first, last):
        for channel in range(change.shape[1]):
            delta = change[row, channel]
            before = base[example[row], channel, start[row] : start[row] + delta.shape[0]]
            for p in range(delta.shape[0]):
                old, new = before[p], before[p] + delta[p]
                delta[p] = (zero if new < zero else new) - (zero if old < zero else old)


@_exactly
def _add(first, last, other, at, sign, output):  # type: ignore[no-untyped-def]
    """Add a window to its place in one that covers it."""
    for row in range(first, last):
        for channel in range(output.shape[1]):
            source = other[row, channel]
            to = output[row, channel, at[row] : at[row] + source.shape[0]]
            for p in range(source.shape[0]):
                to[p] += sign * source[p]


@dataclass(frozen=True)
class Convolution:
    """What a convolution of stride one is given."""

    weight: Tensor
    dilation: int
    groups: int

    @property
    def size(self) -> int:
        """Columns that one of the result sees."""
        return self.dilation * (self.weight.shape[2] - 1) + 1

    def __call__(self, padded: Tensor) -> Tensor:
        """Convolve without a constant term."""
        return F.conv1d(padded, self.weight, None, 1, 0, self.dilation, self.groups)


class Blocks(Lazy):
    """Changes that are made for some mutants at a time, with everything computed from them meanwhile.

    Parameters
    ----------
    rows
        Mutants, B.
    together
        Mutants at a time.
    empty
        Makes room for the changes of all.
    fill
        Writes those of some mutants, given which and where to.
    """

    def __init__(
        self, rows: int, together: int, empty: Callable[[], Tensor], fill: Callable[[slice, Tensor], None]
    ) -> None:
        super().__init__(self._compute_blocks)
        self._rows, self._together, self._empty, self._fill = rows, together, empty, fill

    def _compute_blocks(self) -> Tensor:
        output = self._empty()
        for at in range(0, self._rows, self._together):
            some = slice(at, at + self._together)
            self._fill(some, output[some])
        return output

    def then(self, step: Callable[[slice, Tensor], None]) -> Blocks:
        """These changes after one more step, which writes over them."""

        def fill(some: slice, output: Tensor) -> None:
            if self._value is None:
                self._fill(some, output)
            else:
                output.copy_(self._value[some])
            step(some, output)

        return Blocks(self._rows, self._together, self._empty, fill)


def _blocks(c: MutantColumns) -> Blocks:
    """What changes of Columns, as blocks."""
    assert c.changes is not None
    if isinstance(c.changes, Blocks):
        return c.changes
    get = c.changes.get

    def fill(some: slice, output: Tensor) -> None:
        output.copy_(get()[some])

    return Blocks(len(c.first), len(c.first), lambda: get().new_empty(get().shape), fill)


def _products(c: MutantColumns, call: Convolution, offset: Offsets, width: int) -> Blocks:
    """Changes of a convolution of these Columns, tap by tap."""
    channels, inputs, taps = call.weight.shape
    weight = call.weight.permute(2, 0, 1).reshape(taps * channels, inputs, 1, 1)
    bytes_of_row = taps * channels * c.width * call.weight.element_size()
    compiled_library = torch.backends.mkldnn.is_available() and weight.dtype == torch.float32

    def fill(some: slice, output: Tensor) -> None:
        part = difference(c)[some].unsqueeze(2)
        if compiled_library:  # torch does not choose it for one thread
            made = torch.mkldnn_convolution(part, weight, None, (0, 0), (1, 1), (1, 1), 1)
        else:
            made = F.conv2d(part, weight)
        arrays = made.squeeze(2).numpy(), offset[some], call.dilation, taps, output.numpy()
        c.tape.workers.run(_spread, len(made), made.numel(), *arrays)

    rows = len(c.first)
    pieces = min(rows, -(-rows * bytes_of_row // BLOCK))
    return Blocks(rows, -(-rows // pieces), lambda: c.base.new_empty(rows, channels, width), fill)


def _weights(c: MutantColumns, call: Convolution) -> Lazy:
    """Changes of a convolution where one column changed: its weights, last tap first."""
    channels, inputs, taps = call.weight.shape
    weight = call.weight.flip(2).transpose(0, 1).reshape(inputs, channels * taps)

    def compute() -> Tensor:
        made = (difference(c).squeeze(2) @ weight).view(-1, channels, taps)
        if call.dilation == 1:
            return made
        output = made.new_zeros(len(made), channels, call.size)
        output[:, :, :: call.dilation] = made
        return output

    return Lazy(compute)


def relu(c: MutantColumns, base: Tensor) -> MutantColumns | None:
    """A ReLU, whose result for the examples is ``base``."""
    if c.changes is None or c.axis != 2:
        return None

    base_of_input = Lazy(c.base.contiguous)

    def rectify(some: slice, change: Tensor) -> None:
        before = base_of_input.get().numpy()
        arrays = before, c.tape.example[some].numpy(), c.first[some], change.numpy()
        c.tape.workers.run(_relu, len(change), change.numel(), *arrays, before.dtype.type(0))

    return changed(c, base, _blocks(c).then(rectify), c.first, c.width)


def convolve(
    c: MutantColumns, base: Tensor, call: Convolution, *, padding: int, first: Offsets, width: int
) -> MutantColumns | None:
    """A convolution of stride one.

    Parameters
    ----------
    base
        Its result for the examples.
    padding
        To the left.
    first, width
        The columns of the result that can change.
    """
    if not eligible(c.base):
        return None
    offset, sides = c.first + padding - first, call.size - 1
    inside = width == c.width + sides and not (offset != sides).any()
    if c.width == call.groups == 1 and inside:
        return changed(c, base, _weights(c, call), first, width)
    fewer = c.width * (1 + CHANNELS / call.weight.shape[1]) <= width or len(call.weight) <= FEW
    if call.groups == 1 and (fewer or (c.changes is not None and not inside)):
        return changed(c, base, _products(c, call, offset, width), first, width)
    if c.changes is None or not inside:
        return None
    changes = c.changes
    return changed(c, base, Lazy(lambda: call(F.pad(changes.get(), (sides, sides)))), first, width)


def combined(left: MutantColumns, right: MutantColumns, base: Tensor, sign: int) -> MutantColumns | None:
    """A sum or difference of two."""
    alike = left.base.shape[1] == right.base.shape[1] and left.base.dtype == right.base.dtype
    if left.changes is None or right.changes is None or left.axis != 2 or not alike:
        return None
    first, width = union([left, right])
    covers = [item.width == width and bool((item.first == first).all()) for item in (left, right)]
    wide, narrow = (right, left) if covers[1] and sign > 0 else (left, right)

    def add(some: slice, output: Tensor) -> None:
        other = difference(narrow)[some].contiguous().numpy()
        arrays = other, (narrow.first - first)[some], other.dtype.type(sign), output.numpy()
        wide.tape.workers.run(_add, len(other), output.numel(), *arrays)

    if covers[0] or (covers[1] and sign > 0):
        return changed(left, base, _blocks(wide).then(add), first, width)
    return changed(left, base, _blocks(_widened(wide, first, width)).then(add), first, width)


def _widened(c: MutantColumns, first: Offsets, width: int) -> MutantColumns:
    """The same Columns with wider windows."""
    return changed(c, c.base, Lazy(lambda: _placed(c, first, width)), first, width)


def affine(
    c: MutantColumns,
    base: Tensor,
    call: Callable[[Tensor], Tensor],
    *,
    constant: bool,
    axis: int | None = None,
) -> MutantColumns:
    """An affine function of each column, whose ``constant`` term has to be taken off if there is one."""
    values = c.changes
    assert values is not None

    def compute() -> Tensor:
        result = call(values.get())
        if not constant:
            return result
        shape = [1, 1, 1]
        shape[3 - c.axis] = c.base.shape[3 - c.axis]
        return result - call(c.base.new_zeros(shape))

    return changed(c, base, Lazy(compute), c.first, c.width, axis)


def _placed(c: MutantColumns, first: Offsets, width: int) -> Tensor:
    """What changes in the columns ``[first, first + width)``, (B, C, width)."""
    change = difference(c).contiguous()
    offset = c.first - first
    if width == c.width and not offset.any():
        return change
    output = change.new_empty(*change.shape[:2], width)
    c.tape.workers.run(_spread, len(change), output.numel(), change.numpy(), offset, 0, 1, output.numpy())
    return output


def cropped(
    c: MutantColumns, base: Tensor, first: Offsets, width: int, start: int, slices: tuple[slice, ...]
) -> MutantColumns | None:
    """A crop from column ``start`` on, of which ``[first, first + width)`` can change."""
    if c.changes is None or c.axis != 2:
        return None
    return changed(c, base, Lazy(lambda: _placed(c, first + start, width)[slices]), first, width)


def beside(items: Sequence[MutantColumns], base: Tensor, first: Offsets, width: int) -> MutantColumns | None:
    """Concatenate channels."""
    if any(item.changes is None or item.axis != 2 or item.base.dtype != base.dtype for item in items):
        return None
    lazy = Lazy(lambda: torch.cat([_placed(item, first, width) for item in items], 1))
    return changed(items[0], base, lazy, first, width)
