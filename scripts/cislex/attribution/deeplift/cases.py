"""A few examples with their references, and all that is needed to attribute them again to check an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from cislex.attribution.deeplift import deeplift
from cislex.attribution.execution.model_context import in_other_precision
from cislex.attribution.methods import DeepLiftShap
from cislex.attribution.result import BatchResult, relative_delta
from cislex.targets import Target


@dataclass(frozen=True)
class Case:
    """Arguments of :func:`~cislex.attribution.deeplift.deeplift.batch_multipliers`, by the same names."""

    model: nn.Module
    x: Tensor
    refs: Tensor
    targets: Sequence[Target]
    method: DeepLiftShap
    extra: Sequence[Tensor]
    rows: int = 0
    repeat: bool = False
    spread: bool = False

    def example(self, i: int, references: Sequence[int] | None = None) -> Case:
        """One example, with some of its references."""
        refs = self.refs[i : i + 1] if references is None else self.refs[i : i + 1, list(references)]
        return replace(self, x=self.x[i : i + 1], refs=refs, extra=[item[i : i + 1] for item in self.extra])

    def attribute(self, *, repeat: bool | None = None) -> BatchResult:
        """Attribute it; ``repeat`` in place of its own."""
        return deeplift.batch_multipliers(
            self.model, self.x, self.refs, self.targets, self.method, self.extra, rows=self.rows,
            repeat=self.repeat if repeat is None else repeat, spread=self.spread,
        )  # fmt: skip

    def in_float64(self) -> Case | None:
        """The same in float64, itself where it is; None where that cannot be made."""
        return self if self.x.dtype == torch.float64 else self.in_other_precision()

    def in_other_precision(self) -> Case | None:
        """The same in float64, or in float32 where it is that; None where that cannot be made."""
        prepared = in_other_precision(self.model, self.x)
        if prepared is None:
            return None
        x, refs, *extra = (prepared.takes(item) for item in (self.x, self.refs, *self.extra))
        return replace(self, model=prepared.model, x=x, refs=refs, extra=extra)


def deltas_of(result: BatchResult, examples: Sequence[int] = (0,)) -> Tensor:
    """(T, examples) relative deltas, on the CPU."""
    assert result.delta is not None
    assert result.reference_prediction is not None
    chosen = list(examples)
    few = result.delta[:, chosen], result.prediction[:, chosen], result.reference_prediction[:, chosen]
    return relative_delta(*few).cpu()
