"""RevealCancel: positive and negative parts of a difference pass through nonlinearities separately.

Where Rescale sees only the sum of what reaches a unit, RevealCancel sees Δ⁺ and Δ⁻, the sums of its
positive and negative contributions, and averages over both orders in which they can arrive:

    y⁺ = ½[(f(r + Δ⁺) − f(r)) + (f(r + Δ⁻ + Δ⁺) − f(r + Δ⁻))], and y⁻ with the signs changed.

A linear layer makes the parts from the sign of weight × Δx (at Δx = 0 half a weight goes each way).
The parts of a layer's output are made when, and only when, a nonlinearity asks for them; backward they
have multipliers of their own, m⁺ = y⁺/Δ⁺ and m⁻ = y⁻/Δ⁻, which meet again in the layer's input.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cislex.attribution import kernels
from cislex.attribution.deeplift.chains import BETWEEN, Chain, Chains, Stage, linear_slope
from cislex.attribution.deeplift.elementwise import Elementwise, Slope, relu_slope
from cislex.attribution.deeplift.pairing import Pairing
from cislex.attribution.deeplift.parts import Lazy, Parts
from cislex.attribution.deeplift.replay import Record, Replayer, Rule
from cislex.attribution.deeplift.slopes import OF_ONE_ARGUMENT, SLOPES
from cislex.attribution.deeplift.splitting import FOLLOWED, MOVED, Splitter, is_linear
from cislex.attribution.deeplift.terms import Squares
from cislex.attribution.operations import Call, Kind, tensors_of


class _Reveal(torch.autograd.Function):
    """f of the reference; backward multiplies each part by its own slope."""

    @staticmethod
    def forward(ctx: Any, output: list[Tensor], slopes: Parts, positive: Tensor, negative: Tensor) -> Tensor:
        ctx.save_for_backward(*slopes)
        ctx.shape = positive.shape
        return output[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor, Tensor]:
        up, down = ((gradient * slope).sum_to_size(ctx.shape) for slope in ctx.saved_tensors)
        return None, None, up, down


def _larger(sign: float) -> Slope:
    """Slope of max(h, c), or of min(h, c) for sign −1."""

    def slope(pair: Elementwise) -> Tensor:
        other = pair.call.tensors[1 - pair.index]
        above = relu_slope(pair.a - other, pair.b - other)
        return above if sign > 0 else 1 - above

    return slope


def _over(pair: Elementwise) -> Tensor:
    """Slope of c/h."""
    top = pair.call.argument(1, "other") if pair.call.name == "rdiv" else pair.call.argument(0, "input")
    return -top / (pair.a * pair.b)


#: Slopes of functions of two arguments one of which is constant, or of the same one twice.
_TWO: dict[str, Slope] = (
    dict.fromkeys(("maximum", "fmax", "max"), _larger(1.0))
    | dict.fromkeys(("minimum", "fmin", "min"), _larger(-1.0))
    | dict.fromkeys(("div", "rdiv"), _over)
    | OF_ONE_ARGUMENT
)
_EXTREMA = frozenset(("max", "min"))


def _slope_of(call: Call) -> tuple[int, Slope] | None:
    """The activation of a function of one, and its slope."""
    active = [i for i, tensor in enumerate(call.tensors) if tensor.requires_grad]
    if call.name in ("mul", "multiply") and len(call.tensors) == 2 and call.tensors[0] is call.tensors[1]:
        return 0, SLOPES["square"]
    if len(active) != 1 or (call.name in _EXTREMA and len(call.tensors) != 2):
        return None
    if call.name in SLOPES and active[0] == 0:
        return 0, SLOPES[call.name]
    slope = _TWO.get(call.name)
    return None if slope is None else (active[0], slope)


class RevealReplayer(Replayer):
    """A replay in which elementwise functions after linear layers see positive and negative parts."""

    alert = True
    followed = FOLLOWED

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.splitter = Splitter(self.pairing)
        self.chains = Chains()
        self._made: Chain | None = None
        #: How many nonlinear calls an activation reached, and which of them took its whole difference.
        self.reached = 0
        self.whole: Counter[str] = Counter()

    def notes(self) -> dict[str, str]:
        """How many nonlinear calls saw parts."""
        names = ", ".join(f"{name} {times}" for name, times in sorted(self.whole.items()))
        text = f"{self.whole.total()} of {self.reached} nonlinear calls took the whole difference"
        return {"reveal_cancel": f"{text}: {names}" if names else text}

    def forget(self) -> None:
        """Parts and terms of every activation: they refer to each other, and would wait for the collector."""
        self.splitter.book.clear()
        self.splitter.terms.clear()
        self.chains, self._made = Chains(), None

    def handle(self, call: Call, kind: Kind) -> Any:
        """Run the call by its rule; what is linear here is followed, also where it writes in place."""
        if kind in (Kind.NONLINEAR, Kind.MULTILINEAR) and call.name not in self.given and is_linear(call):
            kind = Kind.LINEAR
        output = self._handle(call, kind)
        if self._made is not None:
            self.chains.add(output, self._made)
            self._made = None
        return output

    def _handle(self, call: Call, kind: Kind) -> Any:
        """Run the call and keep the parts of what it writes to."""
        if not call.in_place or kind is Kind.BRANCH:
            return super().handle(call, kind)
        target, book = call.tensors[0], self.splitter.book
        sharing = book.before_write(target)
        parts, squares = self._parts_to_be(call, kind)
        output = super().handle(call, kind)
        if parts is not None:
            book.after_write(target, parts, sharing)
        self.splitter.terms.add(target, lambda: squares)
        return output

    def _parts_to_be(self, call: Call, kind: Kind) -> tuple[Parts | None, Squares]:
        """Parts of a tensor that a linear call is about to write, and the squares of its terms."""
        active = [i for i, tensor in enumerate(call.tensors) if tensor.requires_grad]
        if kind is Kind.NONLINEAR or (kind is Kind.MULTILINEAR and len(active) > 1) or not active:
            return None, self.splitter.terms.of(call.tensors[0])
        record = self.records[self.cursor] if self.cursor < len(self.records) else None
        if record is None or record.name != call.name or len(record.tensors) != len(call.tensors):
            return None, None
        with torch.no_grad():
            squares = [*self.splitter.squares(call, record, active), None][0]
        with torch.enable_grad():
            make = self.splitter.maker(call, record, active)
            return None if make is None else make()[0], squares

    def apply(self, rule: Rule, call: Call, record: Record, active: list[int]) -> Any:
        """Carry out a rule; what it returns rounds as its argument does."""
        output = super().apply(rule, call, record, active)
        if len(active) == 1 and not call.in_place:
            self.splitter.pass_terms(call, active[0], output)
        return output

    def choose(self, call: Call) -> Rule | None:
        """RevealCancel where the parts are known, else the rule of Rescale."""
        self.reached += 1
        found = None if call.name in self.given else _slope_of(call)
        if found is None or self._source(call, found) is None:
            self.whole[call.name] += 1
            return super().choose(call)
        return self._reveal

    def _reveal(self, call: Call, record: Record, pairing: Pairing, active: list[int]) -> Tensor:
        found = _slope_of(call)
        assert found is not None
        index, slope = found
        source = self._source(call, found)
        with torch.no_grad():
            output = call.run(call.tensors)
        stage = Stage(call, index, slope, output.shape)
        if isinstance(source, Chain):
            chain = source.then(stage)
        else:
            assert source is not None
            reference = call.tensors[index].detach()
            reference = reference.clone() if call.in_place else reference
            chain = Chain((stage,), record.tensors[index], reference, source.get(), reference._version)
        self._made = chain
        with torch.no_grad():
            slopes = self._slopes(chain, output.shape)
        return _Reveal.apply([output], slopes, *chain.carried())

    def _source(self, call: Call, found: tuple[int, Slope]) -> Lazy | Chain | None:
        """The parts of what a call receives, or the chain of functions of such parts that made it."""
        tensor = call.tensors[found[0]]
        return self.splitter.book.find(tensor) or self.chains.find(tensor)

    def _slopes(self, chain: Chain, shape: torch.Size) -> Parts:
        """Slopes of both parts, each the mean of both orders of arrival."""
        parts = tuple(part.detach() for part in chain.parts)
        example, reference, call = chain.example, chain.reference, chain.stages[0].call
        fits = len(example) == self.pairing.examples and kernels.fits(example, reference, *parts)
        if call.name == "relu" and fits and len(chain.stages) == 1:
            return kernels.reveal_relu(call.phase.workers, example, reference, *parts)
        example = self.pairing.expand(example, reference)
        points = [reference, *(reference + part for part in parts)]

        def between(a: Tensor, b: Tensor) -> Tensor:
            return chain.slope(a, b).expand(shape)

        up = between(points[1], points[0]).add(between(example, points[2])).mul_(0.5)
        down = between(points[2], points[0]).add(between(example, points[1])).mul_(0.5)
        return up, down

    def follow(self, call: Call, record: Record, active: list[int], output: Any) -> None:
        """Note how the parts of a linear operation's output would be made."""
        if not active or call.in_place:
            return
        self.splitter.follow(call, record, active, output)
        chain = self.chains.find(call.tensors[active[0]]) if len(active) == 1 else None
        if chain is None or call.name not in BETWEEN | MOVED or call.kwargs.get("reduce"):
            return
        slope = linear_slope if call.name in BETWEEN else None
        for which, made in enumerate(tensors_of(output)):
            if made is not call.tensors[active[0]] and self.splitter.book.find(made) is None:
                self.chains.add(made, chain.then(Stage(call, active[0], slope, made.shape, which)))
