"""Programs that were exported for batches of one size, made to take any number of rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cislex.targets.outputs import join_rows, map_rows


class FixedBatch(nn.Module):
    """A program that takes exactly ``rows`` rows, called as often as it takes.

    The last batch is filled up with copies of its last row, of which the results are dropped. The engine must
    repeat examples for each reference, so that example and reference go through equally many calls.
    """

    def __init__(self, program: nn.Module, rows: int) -> None:
        super().__init__()
        self.program = program
        self.rows = rows

    def forward(self, *inputs: Tensor) -> Any:
        """Outputs for any number of rows."""
        n = len(inputs[0])
        missing = -n % self.rows
        if missing:
            inputs = tuple(torch.cat([item, *[item[-1:]] * missing]) for item in inputs)
        parts = [
            self.program(*(item[start : start + self.rows] for item in inputs))
            for start in range(0, n, self.rows)
        ]
        return map_rows(lambda values: values[:n], join_rows(parts))


def fixed_rows(model: Any) -> int | None:
    """Number of rows that an exported program was specialised on, or None for any number."""
    if not isinstance(model, torch.fx.GraphModule):
        return None
    for node in model.graph.nodes:
        value = node.meta.get("val") if node.op == "placeholder" else None
        if isinstance(value, Tensor) and value.dim() > 0:
            rows = value.shape[0]
            return rows if isinstance(rows, int) else None
    return None


def has_fixed_batch(model: nn.Module) -> bool:
    """Whether a model is, or has inside, a program that is called in a loop."""
    return any(isinstance(module, FixedBatch) for module in model.modules())
