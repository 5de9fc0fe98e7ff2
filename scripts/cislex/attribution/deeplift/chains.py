"""Nonlinearities one after another, taken as one function of what the first of them received.

``relu(h).clamp(max=6)`` is ``relu6(h)``: what the second receives is no sum of parts, so both act on the
parts of h together. The slope of a chain is the product of those of its stages, each between its own points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cislex.attribution.deeplift.elementwise import Elementwise, Slope
from cislex.attribution.deeplift.parts import Parts
from cislex.attribution.operations import Call, tensors_of

#: Linear functions of one activation and constants that may stand between, element by element.
BETWEEN = frozenset(("add", "sub", "subtract", "rsub", "neg", "negative", "mul", "multiply", "div"))


@dataclass(frozen=True)
class Stage:
    """One call of a function of one value, or one that moves values: then it has no slope."""

    call: Call
    #: Which of its tensors is the activation.
    index: int
    slope: Slope | None
    #: Shape of what it returns.
    shape: torch.Size
    #: Which of the tensors that it returns.
    which: int = 0

    def evaluate(self, points: Tensor) -> Tensor:
        """What it makes of other values; an activation may be given twice, as in h * h."""
        here = self.call.tensors[self.index]
        tensors = [points if tensor is here else tensor.detach() for tensor in self.call.tensors]
        return tensors_of(self.call.run(tensors))[self.which]

    def move(self, values: Tensor) -> Tensor:
        """Values moved as the call does it; what it puts in, such as what a mask fills in, is zero."""
        return self.evaluate(values) - self.evaluate(torch.zeros_like(values))


@dataclass(frozen=True)
class Chain:
    """Stages from a tensor whose parts are known."""

    stages: tuple[Stage, ...]
    #: What the first stage received: of the examples, and of the references.
    example: Tensor
    reference: Tensor
    parts: Parts
    #: How often the reference had been written to.
    version: int

    def then(self, stage: Stage) -> Chain:
        """With another stage at its end."""
        return replace(self, stages=(*self.stages, stage))

    def valid(self) -> bool:
        """Whether what it starts from is as it was."""
        return self.reference._version == self.version

    def slope(self, a: Tensor, b: Tensor) -> Tensor:
        """(F(a) − F(b)) / (a − b) where the chain leaves it, for points where the chain begins."""
        total = torch.ones_like(b)
        for stage in self.stages:
            if stage.slope is None:
                total = stage.move(total)
            else:
                a, b = a.expand(stage.shape), b.expand(stage.shape)
                total = total * stage.slope(Elementwise(stage.call, stage.index, a, b))
            a, b = stage.evaluate(a), stage.evaluate(b)
        return total

    def carried(self) -> Parts:
        """The parts of what it starts from, where the chain leaves them."""
        up, down = self.parts
        for stage in self.stages:
            if stage.slope is None:
                up, down = stage.move(up), stage.move(down)
            elif up.shape != stage.shape:
                up, down = up.expand(stage.shape), down.expand(stage.shape)
        return up, down


class Chains:
    """The chains that end in each tensor of a replay."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Tensor, int, Chain]] = {}

    def find(self, tensor: Tensor) -> Chain | None:
        """The chain that made a tensor, if nothing was written since."""
        kept, version, chain = self._found.get(id(tensor), (None, 0, None))
        return chain if kept is tensor and tensor._version == version and chain and chain.valid() else None

    def add(self, tensor: Tensor, chain: Chain) -> None:
        """Note the chain that made a tensor."""
        self._found[id(tensor)] = (tensor, tensor._version, chain)


def linear_slope(pair: Elementwise) -> Tensor:
    """Of a function that scales and shifts by constants."""
    return pair.derivative(pair.b)
