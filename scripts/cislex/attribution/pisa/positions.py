"""Attribution of single positions of a predicted profile: which bases made position p what it is.

The map (position of the profile) × (position of the sequence) that PISA draws (McAnany et al. 2025): for
each position p the method, by default DeepLIFT/SHAP, is applied to the logit at p. Neighbouring positions
share the forward passes and the references, and where the model slides over the sequence only the columns
that they can see are computed. That is compared with whole sequences, value by value for every pair of
sequences and multiplier by multiplier for the first positions, and given up with a note where it differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Unpack

import torch
from torch import Tensor

from cislex.attribution.methods import Method
from cislex.attribution.options import PositionOptions
from cislex.attribution.pisa.groups import MOST, Job, PositionBatch, prepare_positions
from cislex.attribution.result import relative_delta
from cislex.errors import ConfigError
from cislex.logs import progress as show_progress

#: GiB of results that are refused unless the caller raises the limit.
LIMIT_GIB = 4.0


@dataclass(frozen=True)
class PositionAttributions:
    """Attributions of P positions of a profile; torch tensors on the CPU.

    Examples
    --------
    >>> found = attribute_positions(profile_model, sequences, positions=[20, 40])
    >>> seen = found.contributions[0, 0].nonzero().flatten()  # by position 20
    >>> bool(((seen >= 17) & (seen <= 23)).all())
    True
    """

    #: (N, P, L): contributions of the sequence's own bases to each position.
    contributions: Tensor
    #: (N, P): the logit at each position.
    prediction: Tensor
    #: (P,) int64: the positions.
    positions: Tensor
    #: (N, P, 4, L): contributions that each base would have, or None where not kept.
    hypothetical: Tensor | None = None
    #: (N, P, R): f(r_k) at each position, or None where the method does not need it.
    reference_prediction: Tensor | None = None
    #: (N, P, R) float64: Σ (x − r)·m − (f(x) − f(r)), or None.
    delta: Tensor | None = None
    #: Facts worth recording: precision, columns computed, fallbacks taken.
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def max_relative_delta(self) -> Tensor | None:
        """(N, P) float64: largest relative delta over the references, or None."""
        if self.delta is None or self.reference_prediction is None:
            return None
        return relative_delta(self.delta, self.prediction, self.reference_prediction)


def attribute_positions(
    model: Any,
    sequences: Any,
    method: Method | None = None,
    *,
    hypothetical: bool = False,
    limit_gib: float = LIMIT_GIB,
    progress: bool = False,
    **options: Unpack[PositionOptions],
) -> PositionAttributions:
    """Attribute single positions of a profile model's output.

    Parameters
    ----------
    model, sequences, seeds, batch_size, device, precision, allow_incomplete
        See :func:`cislex.attribution.attribute`.
    method
        By default ``DeepLiftShap()``; any other will do.
    positions
        (P,) positions of the profile, the output's last axis; all when None.
    index
        Entries of the axes between rows and positions, such as the track; may be left out where these have
        one entry each.
    head
        Which output, of a model that returns several; by default the first.
    hypothetical
        Keep what each base would contribute, four times the memory.
    extra_inputs
        Further inputs of the model, (N, …) each; with them whole sequences are computed.
    reverse_complement
        Attribute the average over both strands, f̄_p(x) = ½ (f_p(x) + f_q(rc x)) with q = P − 1 − p, because
        the profile of the other strand runs backwards; against the same references reverse-complemented.
        Extra inputs whose last axis is L are turned along all but the first axis.
    reverse_index
        The track that ``index`` is on the other strand, where tracks are strands: 1 for ``index=0``, and 0
        for ``index=1``; by default the same.
    crop
        Compute only the columns that positions can see, where the model allows it.
    limit_gib
        Most memory that the result may take, GiB; ``position_batches`` takes none of it.
    progress
        Show progress.

    Returns
    -------
    PositionAttributions
        Without averaging equal to ``attribute`` with ``Output((*index, p), head)`` for each position p.

    Raises
    ------
    InputError, ConfigError, ModelError, UnsupportedOperationError
        Naming what was found and what was expected; ConfigError when the result would exceed the limit.

    Examples
    --------
    >>> found = attribute_positions(profile_model, sequences, positions=[20, 40])
    >>> found.contributions.shape
    torch.Size([4, 2, 60])
    """
    job = prepare_positions(model, sequences, method, **options)
    result = _Result(job, hypothetical, limit_gib)
    batches: Iterator[PositionBatch] = job.batches()
    if progress:
        total = len(job.x) * len(job.positions)
        batches = show_progress(batches, total=total, label="positions", unit="positions", weight=MOST)
    for batch in batches:
        result.add(batch)
    return result.done(job)


def position_batches(
    model: Any,
    sequences: Any,
    method: Method | None = None,
    **options: Unpack[PositionOptions],
) -> Iterator[PositionBatch]:
    """Attribute single positions group by group, so that any number of them needs bounded memory.

    Parameters are those of :func:`attribute_positions`.

    Yields
    ------
    PositionBatch
        Neighbouring positions of some sequences, on the columns that they can see.

    Examples
    --------
    >>> sum(len(batch.chosen) for batch in position_batches(profile_model, sequences[:1]))
    60
    """
    return prepare_positions(model, sequences, method, **options).batches()


class _Result:
    """The arrays of all batches."""

    def __init__(self, job: Job, hypothetical: bool, limit: float) -> None:
        n, count, length = len(job.x), len(job.positions), job.x.shape[2]
        self.dtype = torch.float64 if job.prepared.precision == "float64" else torch.float32
        size = n * count * length * (5 if hypothetical else 1) * torch.finfo(self.dtype).bits / 8 / 2**30
        if size > limit:
            raise ConfigError(
                f"attribute_positions: {n} sequences × {count} positions × {length} bp take {size:.3g} GiB; "
                f"the limit is {limit:g} GiB; what to do: choose fewer positions, go through "
                "position_batches, or raise limit_gib"
            )
        self.contributions = torch.zeros((n, count, length), dtype=self.dtype)
        self.hypothetical = torch.zeros((n, count, 4, length), dtype=self.dtype) if hypothetical else None
        self.prediction = torch.zeros((n, count), dtype=self.dtype)
        self.pairs: dict[str, Tensor] = {}

    def add(self, batch: PositionBatch) -> None:
        """Take one batch."""
        for p, found in zip(batch.chosen.tolist(), batch.attributions, strict=True):
            stop = batch.start + found.multipliers.shape[2]
            self.contributions[batch.rows, p, batch.start : stop] = found.contributions.sum(1)
            if self.hypothetical is not None:
                self.hypothetical[batch.rows, p, :, batch.start : stop] = found.hypothetical
            self.prediction[batch.rows, p] = found.prediction
            for name in ("reference_prediction", "delta"):
                values = getattr(found, name)
                if values is not None:
                    shape = (*self.prediction.shape, values.shape[1])
                    self.pairs.setdefault(name, values.new_zeros(shape))[batch.rows, p] = values

    def done(self, job: Job) -> PositionAttributions:
        """All of them."""
        return PositionAttributions(
            self.contributions,
            self.prediction,
            job.positions,
            self.hypothetical,
            self.pairs.get("reference_prediction"),
            self.pairs.get("delta"),
            job.notes,
        )
