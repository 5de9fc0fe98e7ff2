"""Gradients averaged along the straight line from reference to example: integrated and expected gradients.

Sundararajan, Taly & Yan 2017 (integrated); Erion et al. 2021 (expected).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cislex.attribution.gradients.gradients import (
    checked,
    chunks,
    gradients,
    pick,
    recurrent_backward,
    take_rows,
)
from cislex.attribution.methods import ExpectedGradients, IntegratedGradients
from cislex.attribution.result import BatchResult, relative_delta, spread_over_references
from cislex.logs import get_logger
from cislex.targets import Target, bind_target
from cislex.targets.outputs import map_rows

#: ``adaptive`` doubles the steps at most this often.
DOUBLINGS = 6


def batch_multipliers(
    model: nn.Module,
    x: Tensor,
    refs: Tensor,
    targets: Sequence[Target],
    method: IntegratedGradients | ExpectedGradients,
    extra: Sequence[Tensor] = (),
    *,
    rows: int = 0,
    spread: bool = False,
) -> BatchResult:
    """Average gradients of n examples over the lines to R references.

    Parameters
    ----------
    model
        In evaluation mode, its parameters without gradient.
    x
        (n, 4, L) one-hot, floating point.
    refs
        (n, R, 4, L) of the same dtype.
    targets
        T targets; they share the forward passes.
    method
        ``IntegratedGradients`` or ``ExpectedGradients``.
    extra
        Further inputs of the model, (n, …) each, the same for example and reference.
    rows
        Most rows (points on lines) at once; 0 for all.
    spread
        Give ``reference_spread``, of at least two references.

    Returns
    -------
    BatchResult
        With ``delta`` for integrated gradients. ``notes`` of the rule ``adaptive``: ``steps`` (largest),
        ``pairs``, and where some did not reach the tolerance ``not_converged`` (pairs) and
        ``largest_delta``.
    """
    with recurrent_backward(x):
        lines = _Lines(model, x, refs, targets, extra, rows, spread and refs.shape[1] > 1)
        if isinstance(method, ExpectedGradients):
            return lines.result(lines.average(*_one_point_each(method, refs), shared=False))
        points, weights = quadrature(method.rule, method.steps)
        multipliers = lines.average(points, weights)
        notes: dict[str, str] = {}
        if method.rule == "adaptive":
            notes = _refine(lines, multipliers, method)
        return lines.result(multipliers, complete=True, notes=notes)


def quadrature(rule: str, steps: int) -> tuple[Tensor, Tensor]:
    """Points in [0, 1] and their weights, which sum to one; float64.

    ``trapezoid`` has ``steps`` intervals and ``steps`` + 1 points; the other rules ``steps`` points of
    Gauss-Legendre.
    """
    if rule == "trapezoid":
        weights = np.full(steps + 1, 1 / steps)
        weights[[0, -1]] /= 2
        return torch.linspace(0, 1, steps + 1, dtype=torch.float64), torch.from_numpy(weights)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


def _one_point_each(method: ExpectedGradients, refs: Tensor) -> tuple[Tensor, Tensor]:
    """One point per reference, stratified over the line, and the same for every example.

    So results do not depend on how examples are put into batches.
    """
    generator = torch.Generator().manual_seed(method.seed)
    r = refs.shape[1]
    strata = torch.randperm(r, generator=generator) + torch.rand(r, generator=generator, dtype=torch.float64)
    return strata / r, torch.ones(r, dtype=torch.float64)


def _refine(lines: _Lines, multipliers: Tensor, method: IntegratedGradients) -> dict[str, str]:
    """Double the steps of the pairs over the tolerance, in place; say which did not get there.

    Each target keeps what it had once it is there: its numbers are the same whatever else is attributed.
    """
    steps = method.steps
    error = lines.relative_error(multipliers)
    for _ in range(DOUBLINGS):
        over = error > method.tolerance
        pairs = over.any(0).nonzero().flatten().cpu()
        if not len(pairs):
            break
        steps *= 2
        refined = lines.average(*quadrature("gauss_legendre", steps), pairs=pairs)
        chosen = over[:, pairs, None, None]
        multipliers[:, pairs] = torch.where(chosen, refined, multipliers[:, pairs])
        error = lines.relative_error(multipliers)
    error = error.amax(0)
    over = (error > method.tolerance).nonzero().flatten().cpu()
    notes = {"integrated_gradients.steps": str(steps), "integrated_gradients.pairs": str(len(error))}
    if len(over):
        notes["integrated_gradients.not_converged"] = str(len(over))
        notes["integrated_gradients.largest_delta"] = f"{float(error.max()):.1e}"
        get_logger(__name__).warning(
            "adaptive integrated gradients: %d of %d pairs are above the tolerance %.1e after %d steps; "
            "largest relative delta %.1e",
            len(over),
            len(error),
            method.tolerance,
            steps,
            float(error.max()),
        )
    return notes


@dataclass(frozen=True)
class _Ends:
    """Values (T, n·R) of a target alone at x and r, and with the constants of the pair, where it has some."""

    alone_x: Tensor
    alone_r: Tensor
    pair_x: Tensor
    pair_r: Tensor


@dataclass
class _Lines:
    """The n · R lines of a batch, pair p being example p // R with its reference p % R."""

    model: nn.Module
    x: Tensor
    refs: Tensor
    targets: Sequence[Target]
    extra: Sequence[Tensor]
    rows: int
    #: Whether the spread of contributions over references is asked for.
    spread: bool = False

    def __post_init__(self) -> None:
        n, r = self.refs.shape[:2]
        self.references = self.refs.reshape(n * r, *self.refs.shape[2:])
        # Indices stay on the host, so that choosing rows never waits for a GPU.
        self.example = torch.arange(n).repeat_interleave(r)
        self.pair_dependent = any(hasattr(target, "bind") for target in self.targets)
        self._ends: _Ends | None = None

    def average(
        self, points: Tensor, weights: Tensor, *, pairs: Tensor | None = None, shared: bool = True
    ) -> Tensor:
        """Weighted sums of gradients, (T, pairs, 4, L).

        ``shared``: every line has all the points; otherwise the k-th point is of every k-th reference.
        """
        every = torch.arange(len(self.references)) if pairs is None else pairs
        wide = torch.promote_types(self.x.dtype, torch.float32)  # sums in half precision would lose digits
        sums = self.x.new_zeros((len(self.targets), len(every), *self.x.shape[1:]), dtype=wide)
        per_line = len(points) if shared else 1
        together = max(1, self.rows // per_line) if self.rows > 0 else len(every)
        for part in chunks(len(every), together):
            chosen = every[part]
            bound = self._bound(chosen)
            for some in chunks(per_line, max(1, self.rows // len(chosen)) if self.rows > 0 else 0):
                alpha, weight = points[some].expand(len(chosen), -1), weights[some].expand(len(chosen), -1)
                if not shared:
                    column = chosen % self.refs.shape[1]
                    alpha, weight = points[column][:, None], weights[column][:, None]
                self._add(chosen, alpha.to(self.x, non_blocking=True), weight, bound, sums[:, part])
        return sums

    def _add(self, pairs: Tensor, alpha: Tensor, weight: Tensor, bound: Any, sums: Tensor) -> None:
        """Add the gradients at ``alpha`` (P, S) of each line to ``sums`` (T, P, 4, L)."""
        start, end = pick(self.references, pairs), pick(self.x, self.example[pairs])
        steps = alpha.shape[1]
        line = start[:, None] + alpha[:, :, None, None] * (end - start)[:, None]
        leaf = line.flatten(0, 1).detach().requires_grad_()
        repeated = self.example[pairs].repeat_interleave(steps)
        with torch.enable_grad():
            output = self.model(leaf, *(pick(item, repeated) for item in self.extra))
            values = [checked(function(output, steps), len(leaf)) for function in bound]
        weight = weight.to(sums, non_blocking=True)
        for term in gradients(values, leaf):
            term.add_to(sums, weight)

    def _bound(self, pairs: Tensor) -> list[Any]:
        """For each target a function (output, points per line) → (B,), its pair's constants fixed."""
        if not self.pair_dependent:
            return [_unbound(target) for target in self.targets]
        output_x, output_r = self._outputs(pairs)
        return [_repeated(target, output_x, output_r) for target in self.targets]

    def _outputs(self, pairs: Tensor) -> tuple[Any, Any]:
        examples = self.example[pairs]
        with torch.no_grad():
            distinct, back = torch.unique(examples, return_inverse=True)
            output_x = self.model(pick(self.x, distinct), *(pick(item, distinct) for item in self.extra))
            output_r = self.model(pick(self.references, pairs), *(pick(e, examples) for e in self.extra))
        return take_rows(output_x, back), output_r

    def ends(self) -> _Ends:
        """Values at both ends of every line, computed once."""
        if self._ends is None:
            every = torch.arange(len(self.references))
            values = [self._ends_of(every[part]) for part in chunks(len(every), self.rows)]
            self._ends = _Ends(*(torch.cat(items, 1) for items in zip(*values, strict=True)))
        return self._ends

    def _ends_of(self, pairs: Tensor) -> tuple[Tensor, ...]:
        output_x, output_r = self._outputs(pairs)
        with torch.no_grad():
            bound = [bind_target(target, output_x, output_r) for target in self.targets]
            return (
                torch.stack([checked(target(output_x), len(pairs)) for target in self.targets]),
                torch.stack([checked(target(output_r), len(pairs)) for target in self.targets]),
                torch.stack([function(output_x) for function in bound]),
                torch.stack([function(output_r) for function in bound]),
            )

    def delta(self, multipliers: Tensor) -> Tensor:
        """Σ (x − r)·m − (f(x) − f(r)) of each pair, (T, n·R) float64."""
        ends = self.ends()
        total = torch.empty(multipliers.shape[:2], dtype=torch.float64, device=self.x.device)
        for part in chunks(len(self.references), 64):  # bounds the memory of the float64 copies
            difference = pick(self.x, self.example[part]).double() - self.references[part].double()
            total[:, part] = torch.einsum("pcl,tpcl->tp", difference, multipliers[:, part].double())
        return total - (ends.pair_x.double() - ends.pair_r.double())

    def relative_error(self, multipliers: Tensor) -> Tensor:
        """Relative delta of each target and pair, (T, n·R) float64.

        Relative to the values that the result tells, as its ``max_relative_delta`` is.
        """
        ends = self.ends()
        delta = self.delta(multipliers).unsqueeze(-1)
        return relative_delta(delta, ends.alone_x, ends.alone_r.unsqueeze(-1))

    def result(
        self, multipliers: Tensor, *, complete: bool = False, notes: dict[str, str] | None = None
    ) -> BatchResult:
        """Mean over references of (T, n·R, 4, L)."""
        by_reference = multipliers.unflatten(1, tuple(self.refs.shape[:2]))
        products = (
            torch.einsum("tnrcl,nrcl->tncl", by_reference, self.refs.to(by_reference)) / self.refs.shape[1]
        )
        found = BatchResult(by_reference.mean(2), products.sum(2), self._prediction(), products=products)
        found.notes = notes or {}
        if self.spread:
            single = by_reference * self.refs.to(by_reference)
            found.reference_spread = spread_over_references(self.x, by_reference, single)
        if complete:
            ends = self.ends()
            found.delta = self.delta(multipliers).unflatten(1, tuple(self.refs.shape[:2]))
            found.reference_prediction = ends.alone_r.unflatten(1, tuple(self.refs.shape[:2]))
        return found

    def _prediction(self) -> Tensor:
        if self._ends is not None:
            return self._ends.alone_x[:, :: self.refs.shape[1]]
        with torch.no_grad():
            parts = []
            for part in chunks(len(self.x), self.rows):
                output = self.model(self.x[part], *(item[part] for item in self.extra))
                parts.append(torch.stack([checked(t(output), part.stop - part.start) for t in self.targets]))
        return torch.cat(parts, 1)


def _unbound(target: Target) -> Any:
    return lambda output, points: target(output)


def _repeated(target: Target, output_x: Any, output_r: Any) -> Any:
    """The target with the constants of each pair, for outputs with ``points`` rows per pair."""

    def values(output: Any, points: int) -> Tensor:
        ends = [map_rows(lambda rows: rows.repeat_interleave(points, 0), end) for end in (output_x, output_r)]
        return bind_target(target, *ends)(output)

    return values
