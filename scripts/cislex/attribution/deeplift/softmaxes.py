"""The path rule of softmax and its logarithm, whose vector-Jacobian product needs no graph.

With p = softmax(h) and multipliers g of the output it is p·(g − Σ p·g), and g − p·Σ g for the logarithm.
A matrix of attention is the largest tensor of its model: what the rule makes of it is made in one compiled
pass or some rows at a time, and how much is left unexplained is summed up on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cislex.attribution import kernels
from cislex.attribution.deeplift import softmax_kernels
from cislex.attribution.deeplift.pairing import Pairing, difference_of, part, sum_rows
from cislex.attribution.deeplift.replay import Record
from cislex.attribution.operations import Call

#: Numbers of so many rows on a CPU: what is made of them stays in the cache.
BLOCK = 1 << 16


def fit(call: Call, pairing: Pairing, record: Record, outputs: Sequence[Tensor]) -> Softmax | None:
    """The rule of a call, if it is a softmax along an axis that it names, of rows side by side.

    Parameters
    ----------
    call, outputs
        The call on reference rows, and what came out.
    record
        The same call on the examples.
    """
    if call.name not in ("softmax", "log_softmax") or len(call.tensors) != 1:
        return None
    axis, start, example = call.argument(1, "dim"), call.tensors[0].detach(), record.tensors[0]
    if pairing.references == 1 and example.shape == start.shape:  # whatever the first axis holds
        pairing = Pairing(len(start), 1)
    rows = (pairing.examples, pairing.examples * pairing.references)
    if (
        not isinstance(axis, int)
        or axis % start.dim() == 0
        or (len(example), len(start)) != rows
        or example.shape[1:] != start.shape[1:]
        or start.dtype != outputs[0].dtype
        or start.is_complex()
    ):
        return None
    return Softmax(call, axis % start.dim(), pairing, example, start, record.output, outputs[0])


@dataclass(frozen=True)
class Softmax:
    """A softmax of reference rows beside that of their examples."""

    call: Call
    axis: int
    pairing: Pairing
    example: Tensor
    start: Tensor
    example_output: Tensor
    output: Tensor

    def average_slopes(
        self, gradient: Tensor, nodes: Sequence[tuple[float, float]]
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Multipliers of the activations: the product at points of the line, weighted.

        Parameters
        ----------
        gradient
            Multipliers of the output, of its shape.
        nodes
            Positions on the line, 0 to 1, and weights.

        Returns
        -------
        tuple
            The multipliers m, and Σ m·Δh, Σ g·Δy and Σ|g·Δy| of each row in double precision.
        """
        inputs = (self.example, self.example_output, self.start, self.output)
        if self._compiles():
            return softmax_kernels.average_slopes(self.call.phase.workers, inputs, gradient, nodes)
        total = torch.zeros_like(self.start, memory_format=torch.contiguous_format)
        got, wanted, size = self.start.new_zeros((3, len(self.start)), dtype=torch.float64)
        for rows, (x, y_x, start, y, g, slopes) in self._parts(*inputs, gradient, total):
            difference = difference_of(x, start)
            for position, weight in nodes:
                place = torch.add(start, difference, alpha=position)
                slopes.add_(self._slope(place, g), alpha=weight)
            passed = part(g, difference_of(y_x, y))
            got[rows] += sum_rows(part(slopes, difference))
            wanted[rows] += sum_rows(passed)
            size[rows] += sum_rows(passed.abs_())
        return total, (got, wanted, size)

    def _compiles(self) -> bool:
        """Whether the compiled loop can run."""
        return (
            kernels.on_host(self.start)
            and self.call.name == "softmax"
            and self.start.dtype == self.example.dtype == torch.float32
            and self.axis == self.start.dim() - 1
            and self.start.numel() > 0
        )

    def _slope(self, place: Tensor, gradient: Tensor) -> Tensor:
        """The vector-Jacobian product somewhere."""
        if self.call.name == "log_softmax":
            value = torch.log_softmax(place, self.axis)
            return torch._log_softmax_backward_data(gradient, value, self.axis, value.dtype)
        value = torch.softmax(place, self.axis)
        return torch._softmax_backward_data(gradient, value, self.axis, value.dtype)

    def _parts(self, *ends: Tensor) -> Iterator[tuple[slice, list[Tensor]]]:
        """Rows, and what belongs to them: two tensors of their example, four of their own."""
        if not kernels.on_host(self.start):
            yield slice(None), [*(self.pairing.expand(end, self.start) for end in ends[:2]), *ends[2:]]
            return
        references = self.pairing.references
        step = max(1, BLOCK // max(1, self.start[0].numel()))
        for row in range(self.pairing.examples):
            for first in range(row * references, (row + 1) * references, step):
                rows = slice(first, min(first + step, (row + 1) * references))
                yield rows, [*(end[row : row + 1] for end in ends[:2]), *(end[rows] for end in ends[2:])]
