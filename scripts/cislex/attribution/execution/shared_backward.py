"""The backward of many targets: a pass per target, or per entry of a narrow activation that all go through.

What 500 outputs of a linear layer of 64 inputs are made of is 64 numbers. Their gradients are sums of the 64
gradients of these, which is exact, and as true of multipliers: a backward is linear in what enters it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from cislex.errors import ModelError

#: Fewer targets than this take one pass each.
FEWEST = 8
#: The narrow activation must have at most this share of the number of targets.
SHARE = 0.8
#: Activations that are looked at, from the output.
NEAREST = 16
#: Most bytes of what the targets read of the narrow activation.
LARGEST = 2**30


#: What autograd does not do, by its words, and what is said of it.
REFUSED = {
    "modified by an inplace operation": "the model writes into an activation that its gradient needs, as in "
    "h += block(h); what to do: make a new tensor, h = h + block(h)",
    "use_reentrant=True": "the model calls torch.utils.checkpoint with use_reentrant=True, through which "
    "inputs get no gradients; what to do: use_reentrant=False, or checkpoint in training alone "
    "(if self.training)",
}


def gradient_of(outputs: Any, inputs: Any, *given: Any, **options: Any) -> tuple[Tensor, ...]:
    """``torch.autograd.grad``, which says what a model does that cannot be differentiated.

    Raises
    ------
    ModelError
        Naming what to change in the model.
    """
    try:
        return torch.autograd.grad(outputs, inputs, *given, **options)
    except RuntimeError as error:
        text = next((text for words, text in REFUSED.items() if words in str(error)), None)
        if text is None:
            raise
        raise ModelError(text) from error


@dataclass(frozen=True)
class Term:
    """A gradient, and what it is multiplied by in each target."""

    #: (B, 4, L)
    gradient: Tensor
    #: One target, whose gradient this is, or None: all of them.
    target: int | None = None
    #: (T, B) of all targets.
    weights: Tensor | None = None

    def add_to(self, sums: Tensor, rows: Tensor | None = None) -> None:
        """Add to sums (T, n, 4, L) what the r rows of n examples make; ``rows`` (n, r) weighs them."""
        self.add(sums, self.gradient, rows)

    def add_by_row(self, sums: Tensor, values: Tensor) -> None:
        """Add numbers (n, r) of the rows to sums (T, n, r), without a sum over rows."""
        if self.target is not None:
            sums[self.target] += values
        else:
            assert self.weights is not None
            sums += self.weights.unflatten(1, values.shape) * values

    def add(self, sums: Tensor, values: Tensor, rows: Tensor | None = None) -> None:
        """The same for what was made of the gradient, row by row: (B, …)."""
        n = sums.shape[1]
        grouped = values.unflatten(0, (n, len(values) // n))
        if self.target is not None:
            if rows is None:
                sums[self.target] += grouped.sum(1, dtype=sums.dtype)
            else:
                sums[self.target] += torch.einsum("nr,nr...->n...", rows.to(sums), grouped.to(sums))
            return
        assert self.weights is not None
        weights = self.weights.unflatten(1, grouped.shape[:2]).to(sums)
        weights = weights if rows is None else weights * rows.to(sums)
        sums += torch.einsum("tnr,nr...->tn...", weights, grouped.to(sums))


@dataclass(frozen=True)
class _Narrow:
    """An activation through which all targets go, and what they read of it."""

    edge: GradientEdge
    shape: torch.Size
    #: Entries (of those of a row, in one line) that some target reads.
    entries: list[int]
    #: (T, B, entries)
    weights: Tensor


def backward_terms(
    values: Sequence[Tensor], leaf: Tensor, *, last: Callable[[], None] = lambda: None, shared: bool = True
) -> Iterator[Term]:
    """Gradients of T values (B,) with respect to ``leaf`` (B, 4, L).

    Parameters
    ----------
    values
        In autograd; rows do not depend on each other. Values without gradient have no term.
    leaf
        Requires gradients.
    last
        Called before the last pass, which frees the graph.
    shared
        Look for a narrow activation; else each target has a pass and a term.

    Raises
    ------
    ModelError
        Where the model does what cannot be differentiated.

    Yields
    ------
    Term
        The gradient of target t is the sum over terms of ``gradient`` times what t has of it.
    """
    graded = [t for t, value in enumerate(values) if value.requires_grad]
    narrow = _narrow(values, leaf) if shared and len(graded) == len(values) >= FEWEST else None
    if narrow is not None:
        yield from _shared(narrow, leaf, last)
        return
    for t in graded:
        if t == graded[-1]:
            last()
        (gradient,) = gradient_of(values[t].sum(), leaf, retain_graph=t != graded[-1], allow_unused=True)
        if gradient is not None:
            yield Term(gradient, target=t)


def _shared(narrow: _Narrow, leaf: Tensor, last: Callable[[], None]) -> Iterator[Term]:
    number = len(narrow.entries)
    for k, entry in enumerate(narrow.entries):
        if k + 1 == number:
            last()
        one = _only(narrow.shape, narrow.weights, entry)
        (gradient,) = gradient_of(narrow.edge, leaf, one, retain_graph=k + 1 < number, allow_unused=True)
        if gradient is not None:
            yield Term(gradient, weights=narrow.weights[..., k])


def _only(shape: torch.Size, like: Tensor, entry: int) -> Tensor:
    """One in one entry of every row."""
    ones = like.new_zeros(shape)
    ones.flatten(1)[:, entry] = 1
    return ones


def _narrow(values: Sequence[Tensor], leaf: Tensor) -> _Narrow | None:
    """The activation with the fewest entries that are read, if there are fewer of them than targets."""
    rows = len(leaf)
    candidates = [
        (edge, shape) for edge, shape in _passages(values, leaf) if len(shape) > 1 and shape[0] == rows
    ][:NEAREST]
    if not candidates:
        return None
    found = gradient_of(
        _mixed(values), [edge for edge, _ in candidates], retain_graph=True, allow_unused=True
    )
    # A device is asked for numbers as seldom as can be, since each answer is waited for.
    read = [
        ((gradient.flatten(1) != 0).any(0), edge, shape, gradient)
        for gradient, (edge, shape) in zip(found, candidates, strict=True)
        if gradient is not None and gradient.is_floating_point()  # complex numbers are two entries each
    ]
    if not read:
        return None
    counts = torch.stack([mask.count_nonzero() for mask, *_ in read]).tolist()
    fewest = min(counts)
    number = len(values) * rows * fewest * values[0].element_size()
    if not 0 < fewest <= SHARE * len(values) or number > LARGEST:
        return None
    mask, edge, shape, mixed = read[counts.index(fewest)]
    entries = [entry for entry, is_read in enumerate(mask.tolist()) if is_read]
    place = torch.tensor(entries, device=mixed.device)
    weights = []
    wrong = [*_between_rows(values, edge, leaf), *_changed_by_hooks(edge, mixed)]
    for value in values:
        (gradient,) = gradient_of(value.sum(), edge, retain_graph=True)
        own = gradient.flatten(1)
        weights.append(own[:, place])
        # What one target reads and another takes off was zero in the sum of all.
        wrong.append(own.count_nonzero() != weights[-1].count_nonzero())
    if bool(torch.stack(wrong).any()):
        return None
    return _Narrow(edge, shape, entries, torch.stack(weights))


def _mixed(values: Sequence[Tensor]) -> Tensor:
    """A sum of all values with weights that do not cancel."""
    weights = torch.linspace(1, 2, len(values), dtype=torch.float64).sqrt()
    return torch.stack(
        [weight * value.sum() for weight, value in zip(weights.tolist(), values, strict=True)]
    ).sum()


def _between_rows(values: Sequence[Tensor], edge: GradientEdge, leaf: Tensor) -> list[Tensor]:
    """Whether the first axis of an activation is not that of the sequences, on either of its sides."""
    half = len(leaf) // 2
    if half == 0:
        return []
    (above,) = gradient_of(_mixed([value[:half] for value in values]), edge, retain_graph=True)
    (below,) = gradient_of(edge, leaf, above, retain_graph=True)
    return [above[half:].any(), below[half:].any()]


def _changed_by_hooks(edge: GradientEdge, gradient: Tensor) -> list[Tensor]:
    """Whether the model has a hook there (``Tensor.register_hook``), which both passes would run."""
    found = []
    for given in (gradient, torch.ones_like(gradient)):
        (got,) = gradient_of(edge, edge, given, retain_graph=True)
        found.append((got != given).any())
    return found


def _passages(values: Sequence[Tensor], leaf: Tensor) -> list[tuple[GradientEdge, torch.Size]]:
    """Activations that every path from the values to the leaf goes through, from the values."""
    end = torch.autograd.graph.get_gradient_edge(leaf).node
    starts = [(edge.node, edge.output_nr) for edge in map(torch.autograd.graph.get_gradient_edge, values)]
    among = _reaching([node for node, _ in starts], end)
    if any(node not in among for node, _ in starts):
        return []

    def edges(node: Any) -> list[tuple[Any, int]]:
        return [(after, number) for after, number in node.next_functions if after in among]

    waiting = Counter(after for after, _ in starts)
    for node in among:
        waiting.update(after for after, _ in edges(node))
    entering = dict(waiting)
    numbers: dict[Any, set[int]] = {}
    arriving, ready, under_way = starts, [], 0  # edges whose node was not visited yet
    found: list[tuple[GradientEdge, torch.Size]] = []
    while True:
        under_way += len(arriving)
        for after, number in arriving:
            numbers.setdefault(after, set()).add(number)
            waiting[after] -= 1
            if not waiting[after]:
                ready.append(after)
        node = ready.pop()
        if node is end:
            return found
        under_way -= entering[node]
        if not under_way and len(numbers[node]) == 1:
            number = numbers[node].pop()
            found.append((GradientEdge(node, number), node._input_metadata[number].shape))
        arriving = edges(node)


def _reaching(starts: Sequence[Any], end: Any) -> set[Any]:
    """Nodes of a graph from which the end is reached."""
    before: dict[Any, list[Any]] = {}
    seen = set(starts)
    stack = list(seen)
    while stack:
        node = stack.pop()
        for after, _ in node.next_functions:
            if after is not None:
                before.setdefault(after, []).append(node)
                if after not in seen:
                    seen.add(after)
                    stack.append(after)
    found, stack = {end}, [end]
    while stack:
        new = [node for node in before.get(stack.pop(), ()) if node not in found]
        found.update(new)
        stack += new
    return found
