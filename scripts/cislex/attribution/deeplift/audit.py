"""Find operations that interception missed, in autograd's own graph.

Autograd numbers the nodes of its graph as they are made. A node that was made between two intercepted
calls, rather than within one, comes from something that no rule has seen: a TorchScript or traced function,
a compiled region, an operation of a C++ or Triton extension, a custom ``autograd.Function``.
"""

from __future__ import annotations

import bisect
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cislex.attribution.operations import KINDS, LIBRARIES, Kind, kind_of

#: Names of autograd's own nodes, without ending, and the operations that they belong to.
_NODES = {
    "copyslices": "setitem",
    "reshapealias": "view",
    "mkldnnconvolution": "convolution",
    "cudnnconvolution": "convolution",
    "upsamplelinear1d": "interpolate",
    "upsamplenearest1d": "interpolate",
    "upsamplebilinear2d": "interpolate",
    "upsamplenearest2d": "interpolate",
    "prelukernel": "prelu",
    "nativebatchnorm": "batch_norm",
    "cudnnbatchnorm": "batch_norm",
    "backwardhookfunction": "clone",
}
#: Names of operations without their underscores, as nodes have them.
_SQUEEZED = {name.replace("_", ""): name for name in KINDS}
#: Linear where what they choose by is a constant, which nobody has seen.
_CHOOSING = frozenset(("where", "masked_fill", "index", "gather", "index_select", "masked_select", "take"))
#: What can be done about operations that are out of sight.
REMEDY = (
    "call the plain Python function in place of the scripted, traced or compiled one, express the operation "
    "in ordinary torch operations, use a gradient method or ISM, or accept it with allow_incomplete=True"
)


@dataclass(frozen=True)
class Unseen:
    """A node of the graph that no intercepted call made."""

    #: Autograd's name of the node.
    node: str
    #: Between which calls it was made.
    where: str
    #: Whether it is known to be nonlinear; else it may be linear, and exact.
    nonlinear: bool

    def __str__(self) -> str:
        return f"{self.node} ({self.where})"


@dataclass
class Scrutiny:
    """What to check on the first batch of a run."""

    #: Whether the caller accepts attributions that do not sum up.
    allow: bool = False
    #: What was out of sight.
    unseen: list[Unseen] = field(default_factory=list)


class Trail:
    """The calls of one run, and which nodes of the graph each has made."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, int, str, str]] = []
        self._depth = 0
        self._end = float("inf")

    def close(self) -> None:
        """End the run: what is made of its results later is none of it."""
        self._end = _next_number()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One intercepted call; calls within calls belong to the outer one."""
        self._depth += 1
        first = _next_number()
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._steps.append((first, _next_number(), name, _line()))

    def unseen(self, value: Tensor, nonlinear: Iterable[str]) -> list[Unseen]:
        """Nodes between the leaves and a value that are not of any call, each name and place once.

        Parameters
        ----------
        value
            Where the graph ends, such as the value of a target.
        nonlinear
            Canonical names of operations that are known to be nonlinear.
        """
        names = frozenset(name.replace("_", "") for name in nonlinear)
        starts = [first for first, *_ in self._steps]
        found: dict[Unseen, None] = {}
        waiting: list[Any] = [] if value.grad_fn is None else [value.grad_fn]
        known = set(waiting)
        while waiting:
            node = waiting.pop()
            if not node.next_functions:  # the leaf
                continue
            i = bisect.bisect_right(starts, node._sequence_nr()) - 1
            number = node._sequence_nr()
            within = number >= self._end or (i >= 0 and number < self._steps[i][1])
            bent = None if within else _nonlinear(node, names)
            if bent is not None:
                found[Unseen(_name(node), self._place(i), bent)] = None
            for following, _ in node.next_functions:
                if following is not None and following not in known:
                    known.add(following)
                    waiting.append(following)
        return list(found)

    def _place(self, i: int) -> str:
        sides = [("after", i), ("before", i + 1)]
        texts = [
            f"{word} {self._steps[j][2]}, {self._steps[j][3]}"
            for word, j in sides
            if 0 <= j < len(self._steps)
        ]
        return "; ".join(texts)


def _next_number() -> int:
    return int(torch._C._autograd._get_sequence_nr())


def _line() -> str:
    """Source line of the present call outside of torch and this package."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not any(part in file for part in LIBRARIES):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _name(node: Any) -> str:
    return str(node.name()).rpartition("::")[2]


def _nonlinear(node: Any, nonlinear: frozenset[str]) -> bool | None:
    """None for what is linear in the activations, True for what is not, False where nobody knows."""
    match = re.fullmatch(r"_?(\w+?)(Backward\d*|(?<=Copy)Backwards|(?<=CopySlices))", _name(node))
    squeezed = match[1].lower().replace("_", "").removesuffix("withindices") if match else ""
    name = _NODES.get(squeezed, _SQUEEZED.get(squeezed, squeezed))
    kind = kind_of(name)
    active = sum(following is not None for following, _ in node.next_functions)
    if name == "div" and (active < 2 and node.next_functions[0][0] is not None):
        kind = Kind.LINEAR
    elif name in _CHOOSING or (name == "batch_norm" and getattr(node, "_saved_training", False)):
        kind = Kind.BRANCH
    if kind is Kind.LINEAR or (kind is Kind.MULTILINEAR and active < 2):
        return None
    native = match is not None and match[2][-1:].isdigit()  # as of functions that PyTorch itself has
    return native and (kind is Kind.MULTILINEAR or name in nonlinear)
