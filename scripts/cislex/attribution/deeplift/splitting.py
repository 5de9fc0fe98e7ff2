"""How each linear operation hands on positive and negative parts, however it is written.

- What moves values takes each part along alone; what adds several up sorts them by sign first.
- What scales by constants sends a part the other way where the factor is negative.
- A layer makes parts of its own, by the sign of weight × Δx.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cislex.attribution.deeplift.detached import sources
from cislex.attribution.deeplift.normalisation import statistics_of
from cislex.attribution.deeplift.pairing import Pairing
from cislex.attribution.deeplift.parts import Halves, Parts, PartsBook, Signs, Size
from cislex.attribution.deeplift.replay import Record
from cislex.attribution.deeplift.terms import Squares, Terms
from cislex.attribution.operations import DROPOUT, Call, tensors_of
from cislex.attribution.transforms import words

#: Operations that move values, or leave some out, without changing their sign.
MOVED = frozenset(
    DROPOUT
    + words(
        """
view view_as reshape reshape_as permute transpose t swapaxes swapdims movedim moveaxis flatten unflatten
ravel squeeze unsqueeze getitem narrow narrow_copy select slice split split_with_sizes chunk tensor_split
hsplit vsplit dsplit unbind unsafe_split unsafe_chunk expand expand_as broadcast_to broadcast_tensors
repeat repeat_interleave tile roll flip fliplr flipud rot90 contiguous clone to float double half
bfloat16 type type_as cuda cpu to_copy alias cat concat concatenate stack hstack vstack dstack
column_stack row_stack pad constant_pad_nd reflection_pad1d replication_pad1d zero_pad2d
index_select gather take_along_dim
masked_fill masked_select masked_scatter take index unsafe_index scatter index_copy index_fill index_put
tril triu diagonal diag diag_embed unfold unfold_copy im2col pixel_shuffle pixel_unshuffle
channel_shuffle where copy zero fill setitem unsafe_view as_strided squeeze_copy select_scatter
slice_scatter diagonal_scatter as_strided_scatter atleast_1d atleast_2d atleast_3d positive T mT
"""
    )
)
#: Operations that add values up with weights that are never negative.
_SUMMED = frozenset(
    words(
        """
mean sum nansum cumsum trace avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
adaptive_avg_pool3d adaptive_avg_pool interpolate upsample upsample_nearest upsample_nearest1d
upsample_nearest2d upsample_linear1d upsample_bilinear2d upsample_bilinear fold col2im scatter_add
index_add
"""
    )
)
#: Operations that scale by constants, and sums and differences.
_SCALED = frozenset(
    words(
        """
add sub subtract rsub neg negative mul multiply div rdiv lerp addcmul addcdiv batch_norm
native_batch_norm_legit_no_training
"""
    )
)
#: What these put in is no activation, and takes no part.
_CONSTANTS = frozenset(
    words(
        """
pad constant_pad_nd masked_fill where index_fill setitem fill scatter index_put
"""
    )
)
_NORMS = ("batch_norm", "native_batch_norm_legit_no_training")

CONVOLUTIONS = frozenset(
    [
        "conv1d",
        "conv2d",
        "conv3d",
        "convolution",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "conv_tbc",
    ]
)
DENSE = frozenset(
    words(
        """
linear addmm matmul mm bmm baddbmm addbmm addmv addr mv dot inner outer vdot einsum tensordot kron
bilinear chain_matmul multi_dot rmatmul
"""
    )
)
#: Place and name of what a layer adds to its product.
_ADDED = (
    dict.fromkeys(("addmm", "baddbmm", "addbmm", "addmv", "addr"), (0, "input"))
    | dict.fromkeys(("linear", *CONVOLUTIONS), (2, "bias"))
    | {"bilinear": (3, "bias")}
)
#: Linear operations of which the records keep the example's tensors.
FOLLOWED = MOVED | _SUMMED | _SCALED | DENSE


def is_linear(call: Call) -> bool:
    """Whether a call of an operation that is not always linear is linear in the activations of this call."""

    def active(position: int, name: str) -> bool:
        place = call.place(position, name)
        return place is not None and call.tensors[place].requires_grad

    name = call.name
    if name == "div":
        return call.argument(99, "rounding_mode") is None and not active(1, "other")
    if name == "rdiv":
        return not active(0, "input")
    if name in ("addmm", "baddbmm", "addbmm", "addmv", "addr", "addcmul"):
        factors = [i for i, tensor in enumerate(call.tensors) if tensor.requires_grad]
        return len([i for i in factors if i != call.place(0, "input")]) < 2
    if name == "addcdiv":
        return not active(2, "tensor2")
    return name == "lerp" and not active(2, "weight")


class Splitter:
    """Makes the parts of what linear operations return."""

    def __init__(self, pairing: Pairing) -> None:
        self.pairing = pairing
        #: Whether convolutions and sums make parts (RevealCancel everywhere) or only dense layers do.
        self.convolutions = True
        self.book = PartsBook()
        self.terms = Terms(pairing)

    def follow(self, call: Call, record: Record, active: list[int], output: Any) -> None:
        """Note how the parts of an operation's output would be made."""
        made = tensors_of(output)
        if not any(tensor.requires_grad for tensor in made):
            return
        if any(tensor is given for tensor in made for given in call.tensors):  # such as dropout
            return
        self._note_terms(call, record, active, made)
        make = self.maker(call, record, active, made[0])
        if make is None:
            return
        found: list[list[Parts]] = []

        def one(k: int) -> Parts:
            if not found:
                found.append(make())
            return found[0][k]

        for k in range(1 if call.name in _NORMS else len(made)):
            self.book.add(made[k], lambda k=k: one(k), call.tensors)  # type: ignore[misc]

    def _note_terms(self, call: Call, record: Record, active: list[int], made: list[Tensor]) -> None:
        """Note how large the terms of the outputs are."""
        if any(tensor.is_complex() for tensor in call.tensors):
            return
        found: list[list[Squares]] = []

        def one(k: int) -> Squares:
            if not found:
                found.append(self.squares(call, record, active))
            return found[0][k] if k < len(found[0]) else None

        for k in range(1 if call.name in _NORMS else len(made)):
            self.terms.add(made[k], lambda k=k: one(k))  # type: ignore[misc]

    def squares(self, call: Call, record: Record, active: list[int]) -> list[Squares]:
        """Squares of the terms of each output."""
        if call.name in DENSE or call.name in CONVOLUTIONS:
            return [self.terms.layer(call, record, active)]
        if call.name in _SCALED:
            return [self.terms.scaled(call, record, active, [_factor(call, i) for i in active])]
        if call.name in MOVED or call.name in _SUMMED:
            return self.terms.moved(call, record, active, summed=call.name in _SUMMED)
        return []

    def pass_terms(self, call: Call, index: int, output: Any) -> None:
        """A function of one activation rounds as its argument does: its slope is about one, or less."""
        if (
            isinstance(output, Tensor)
            and not output.is_complex()
            and output.shape == call.tensors[index].shape
        ):
            given = call.tensors[index]
            self.terms.add(output, lambda: self.terms.of(given))

    def maker(
        self, call: Call, record: Record, active: list[int], output: Tensor | None = None
    ) -> Callable[[], list[Parts]] | None:
        """How parts of the outputs are made, or None where there are none to be told apart."""
        name = call.name
        here = {id(tensor) for tensor in sources(call)}
        active = [i for i in active if id(call.tensors[i]) in here]
        if not active or any(tensor.is_complex() for tensor in call.tensors):
            return None
        known = any(self.book.find(call.tensors[i]) is not None for i in active)
        if name in DENSE or (name in CONVOLUTIONS and self.convolutions):
            return lambda: [self._layer(call, record, active, output)]
        if name in _SCALED and (known or (self.convolutions and len(active) > 1)):
            return lambda: [self._scaled(call, record, active)]
        if name in _SUMMED and (known or self.convolutions) and not _bicubic(call):
            return lambda: self._moved(call, record, active)
        if name in MOVED and known and not call.kwargs.get("reduce"):
            return lambda: self._moved(call, record, active)
        return None

    def of(self, call: Call, record: Record, index: int) -> Parts:
        """Parts of one argument: known ones, else by the sign of its whole difference."""
        tensor = call.tensors[index]
        lazy = self.book.find(tensor)
        if lazy is not None:
            return lazy.get()
        example = self.pairing.expand(record.tensors[index], tensor.detach())
        return Signs.apply(tensor, example, self.terms.of(tensor))

    def _layer(self, call: Call, record: Record, active: list[int], output: Tensor | None) -> Parts:
        """Parts of a linear layer, by the sign of weight × Δx.

        y⁺ + y⁻ = w·Δx, which is known, and y⁺ − y⁻ = |w|·|Δx|: one more layer's work each way.
        """
        added = call.place(*_ADDED[call.name]) if call.name in _ADDED else None
        sizes, theirs = [], record.output
        for i, tensor in enumerate(call.tensors):
            if i == added:
                sizes.append(torch.zeros_like(tensor))
            elif i in active:
                example = self.pairing.expand(record.tensors[i], tensor.detach())
                sizes.append(Size.apply(tensor, example, self.terms.of(tensor)))
            else:
                sizes.append(tensor.abs())
        size = call.applied(sizes)
        size = -size if call.kwargs.get("alpha", 1) < 0 else size
        if output is None or added in active:  # the product alone
            output = call.applied(_without(added, call.tensors))
            theirs = call.applied(_without(added, record.tensors))
        parts = Halves.apply(output, size, self.pairing.expand(theirs, output.detach()))
        if added is None or added not in active:
            return parts
        more = _times(call.kwargs.get("beta", 1), self.of(call, record, added))
        return parts[0] + more[0], parts[1] + more[1]

    def _scaled(self, call: Call, record: Record, active: list[int]) -> Parts:
        """Parts after multiplication by constants: where a factor is negative they change places."""
        pairs = [_times(_factor(call, i), self.of(call, record, i)) for i in active]
        shape = call.tensors[active[0]].shape
        if call.name not in _NORMS:
            shape = torch.broadcast_shapes(*(tensor.shape for tensor in call.tensors))
        up, down = (sum(side[1:], side[0]) for side in zip(*pairs, strict=True))
        return up.expand(shape), down.expand(shape)

    def _moved(self, call: Call, record: Record, active: list[int]) -> list[Parts]:
        """Parts moved like their tensor; constants beside them have none, and indices stay."""
        found = {i: self.of(call, record, i) for i in active}
        zeros = [torch.zeros_like(t) if t.is_floating_point() else t for t in call.tensors]
        sides = [
            tensors_of(call.applied([found[i][k] if i in found else zero for i, zero in enumerate(zeros)]))
            for k in (0, 1)
        ]
        if call.name in _CONSTANTS:
            (nothing,) = tensors_of(call.applied(zeros))
            infinite = ~nothing.isfinite()
            constant = nothing.masked_fill(infinite, 0)
            sides = [[(side[0] - constant).masked_fill(infinite, 0)] for side in sides]
        return list(zip(*sides, strict=True))


def _without(added: int | None, tensors: list[Tensor]) -> list[Tensor]:
    """The tensors of a layer, what it adds to its product being zero."""
    return [torch.zeros_like(tensor) if i == added else tensor for i, tensor in enumerate(tensors)]


def _bicubic(call: Call) -> bool:
    """Whether an interpolation has negative weights."""
    return "bicubic" in (call.kwargs.get("mode"), *(item for item in call.args if isinstance(item, str)))


def _times(factor: Any, parts: Parts) -> Parts:
    """Parts times a constant, which may have several signs."""
    positive, negative = parts
    if isinstance(factor, int | float):
        return (
            (positive * factor, negative * factor) if factor >= 0 else (negative * factor, positive * factor)
        )
    factor = torch.as_tensor(factor, dtype=positive.dtype, device=positive.device)
    up, down = factor.clamp_min(0), factor.clamp_max(0)
    return up * positive + down * negative, up * negative + down * positive


def _factor(call: Call, index: int) -> Any:
    """What an operation multiplies its ``index``-th tensor by: a number or a tensor."""
    name = call.name
    first = index == call.place(0, "input")
    if name in _NORMS:
        return _norm_factor(call)
    if name in ("neg", "negative"):
        return -1
    if name in ("add", "sub", "subtract", "rsub"):
        scale = call.argument(2, "alpha", 1)
        return {"add": (1, scale), "rsub": (-scale, 1)}.get(name, (1, -scale))[0 if first else 1]
    if name in ("mul", "multiply"):
        return call.argument(1, "other") if first else call.argument(0, "input")
    if name == "div":
        return _inverse(call.argument(1, "other"))
    if name == "rdiv":
        return _inverse(call.argument(0, "input"))
    if name == "lerp":
        weight = call.argument(2, "weight")
        return 1 - weight if first else weight
    if first:
        return 1
    value = call.argument(3, "value", 1)
    if name == "addcdiv":
        return value * _inverse(call.argument(2, "tensor2"))
    other = (1, "tensor1") if index == call.place(2, "tensor2") else (2, "tensor2")
    return value * call.argument(*other)


def _inverse(value: Any) -> Any:
    return torch.reciprocal(value) if isinstance(value, Tensor) else 1 / value


def _norm_factor(call: Call) -> Tensor:
    """What batch normalisation multiplies each channel by."""
    _, variance, weight = statistics_of(call)
    assert variance is not None  # the recorder has refused it else
    place = 7 if call.name == "batch_norm" else 6
    factor = torch.rsqrt(variance + call.argument(place, "eps", 1e-5))
    factor = factor if weight is None else factor * weight
    return factor.reshape(1, -1, *([1] * (call.tensors[0].dim() - 2)))
