"""The result of an attribution: multipliers, a baseline, and everything derived from the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from cislex.attribution.notes import merge_notes
from cislex.errors import ConfigError


@dataclass
class BatchResult:
    """One batch of regions, on the model's device, as ``batch_multipliers`` returns it.

    T targets, n examples, R references; floating point of the precision asked for.
    """

    #: (T, n, 4, L): mean over references of the multipliers.
    multipliers: Tensor
    #: (T, n, L): mean over references of Σ_c r_c m_c.
    baseline: Tensor
    #: (T, n): the target's value.
    prediction: Tensor
    #: (T, n, R), or None for methods that do not call the model on references.
    reference_prediction: Tensor | None = None
    #: (T, n, R): Σ (x − r)·m − (f(x) − f(r)), float64, or None for methods without completeness.
    delta: Tensor | None = None
    #: (T, n, 4, L): mean over references of r·m, per channel; for ``Attribution.global_``.
    products: Tensor | None = None
    #: (T, n, L): standard deviation over references of the contribution of the base that is there, or None.
    reference_spread: Tensor | None = None
    #: Facts worth recording, such as operations that were integrated, or fallbacks taken.
    notes: dict[str, str] = field(default_factory=dict)


def spread_over_references(x: Tensor, multipliers: Tensor, products: Tensor) -> Tensor:
    """Standard deviation of the contributions with single references.

    Parameters
    ----------
    x
        (n, 4, L) one-hot; unknown bases contribute nothing.
    multipliers, products
        (…, n, R, 4, L): m and r·m of each of at least two references.

    Returns
    -------
    Tensor
        (…, n, L) float64, with R − 1 in the denominator.
    """
    return by_reference(x, multipliers, products).std(-2)


def by_reference(x: Tensor, multipliers: Tensor, products: Tensor) -> Tensor:
    """Contributions with single references, (…, n, R, L) float64; see :func:`spread_over_references`."""
    one = x.unsqueeze(1)
    found = (one * multipliers - products).sum(-2, dtype=torch.float64)
    return found * one.sum(2, dtype=torch.float64)


def relative_delta(delta: Tensor, prediction: Tensor, reference_prediction: Tensor) -> Tensor:
    """Largest relative delta of each example.

    Parameters
    ----------
    delta, reference_prediction
        (..., N, R).
    prediction
        (..., N).

    Returns
    -------
    Tensor
        (..., N) float64: max_k |δ_k| / max(|f(x) − f(r_k)|, 1e-2·max(|f(x)|, |f(r_k)|), 1e-8).
    """
    fx = prediction.double().unsqueeze(-1)
    fr = reference_prediction.double()
    scale = torch.maximum((fx - fr).abs(), 1e-2 * torch.maximum(fx.abs(), fr.abs())).clamp_min(1e-8)
    return (delta.double().abs() / scale).amax(-1)


@dataclass(frozen=True)
class Attribution:
    """Attributions of N sequences to one target; torch tensors on the CPU.

    M below is ``multipliers``, x the one-hot sequences.

    Examples
    --------
    >>> result = attribute(model, sequences, DeepLiftShap())
    >>> bool((result.contributions == sequences * result.hypothetical).all())
    True
    >>> lost = result.prediction - result.reference_prediction.mean(1)
    >>> torch.allclose(result.contributions.sum((1, 2)), lost, atol=1e-4)
    True
    """

    #: (N, 4, L): mean over references of the multipliers m.
    multipliers: Tensor
    #: (N, L): mean over references of Σ_c r_c m_c.
    baseline: Tensor
    #: (N, 4, L) uint8: the sequences that were attributed.
    sequences: Tensor
    #: (N,): the target's value f(x).
    prediction: Tensor
    #: (N, R): f(r_k), or None where the method does not need it.
    reference_prediction: Tensor | None = None
    #: (N, R) float64: Σ (x − r)·m − (f(x) − f(r)), or None.
    delta: Tensor | None = None
    #: (N, 4, L): mean over references of r·m, or None.
    products: Tensor | None = None
    #: (N, L): standard deviation of the contributions with single references (R − 1 degrees), or None.
    reference_spread: Tensor | None = None
    #: Facts worth recording: precision, operations integrated, fallbacks taken.
    notes: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.multipliers.shape[0])

    @property
    def local(self) -> Tensor:
        """M, (N, 4, L): the raw multipliers (for Saliency: the gradient)."""
        return self.multipliers

    @property
    def hypothetical(self) -> Tensor:
        """M − baseline, (N, 4, L): contribution that each base would have; TF-MoDISco's input."""
        return self.multipliers - self.baseline.unsqueeze(1)

    @property
    def contributions(self) -> Tensor:
        """x · hypothetical, (N, 4, L)."""
        return self._x * self.hypothetical

    @property
    def global_(self) -> Tensor:
        """Mean over references of (x − r)·m per channel, (N, 4, L): plain DeepLIFT contributions."""
        if self.products is None:
            raise ConfigError(
                "global_ needs the mean of r·m per channel, not kept here; attribute with keep_global=True"
            )
        return self._x * self.multipliers - self.products

    @property
    def corrected(self) -> Tensor:
        """M − mean over bases of M, (N, 4, L)."""
        return self.multipliers - self.multipliers.mean(1, keepdim=True)

    @property
    def tism(self) -> Tensor:
        """M − Σ_a x_a M_a, (N, 4, L): estimated effect of mutating to each base; zero at unknown bases."""
        x = self._x
        known = x.sum(1, keepdim=True)
        return (self.multipliers - (x * self.multipliers).sum(1, keepdim=True)) * known

    @property
    def mean_effect(self) -> Tensor:
        """4/3 · corrected · x, (N, 4, L): mean effect of mutating the base away, with its sign turned."""
        return self.corrected * self._x * (4 / 3)

    @property
    def max_relative_delta(self) -> Tensor | None:
        """(N,) float64: largest relative delta over the references, or None."""
        if self.delta is None or self.reference_prediction is None:
            return None
        return relative_delta(self.delta, self.prediction, self.reference_prediction)

    @property
    def _x(self) -> Tensor:
        return self.sequences.to(self.multipliers.dtype)


def collect(batches: Iterable[tuple[slice, list[Attribution]]], n: int) -> list[Attribution]:
    """One Attribution per target from consecutive batches.

    Each batch is written into its place as it comes, so the results are in memory once.

    Parameters
    ----------
    batches
        Rows and one Attribution per target; empty for no rows.
    n
        Rows in all.
    """
    whole: list[dict[str, Tensor | None]] = []
    notes: list[dict[str, str]] = []
    for rows, results in batches:
        if rows == slice(0, n):
            return results
        if not whole:
            whole = [{name: _room(value, n) for name, value in _arrays(result).items()} for result in results]
            notes = [{} for _ in results]
        for t, result in enumerate(results):
            for name, value in _arrays(result).items():
                if value is not None:
                    whole[t][name][rows] = value  # type: ignore[index]
            notes[t] = merge_notes([(notes[t], rows.start), (result.notes, rows.stop - rows.start)])
    return [Attribution(**arrays, notes=note) for arrays, note in zip(whole, notes, strict=True)]  # type: ignore[arg-type]


def _arrays(result: Attribution) -> dict[str, Tensor | None]:
    return {item.name: getattr(result, item.name) for item in fields(result) if item.name != "notes"}


def _room(value: Tensor | None, n: int) -> Tensor | None:
    return None if value is None else value.new_empty((n, *value.shape[1:]))
