"""What a model predicts for both alleles of variants, and how the predictions differ.

Of every pair of windows (shifts, anchors, strands) the measures are taken, and averaged over the pairs of a
variant:

- reference, alternative: the target's predictions.
- effect: alternative − reference. A target whose weights depend on the pair compares both windows with the
  same weights, as in-silico mutagenesis does.
- logfc: log2 fold change of counts; NaN for targets that are no counts.
- jsd: Jensen-Shannon distance (square root of the divergence in bits, 0 to 1) of the profiles, with the sign
  of the mean effect; NaN for targets that are no profile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.attribution.execution.batching import BatchSize
from cislex.attribution.execution.model_context import PreparedModel, prepare_model, unwrap
from cislex.attribution.execution.opened import open_for
from cislex.attribution.gradients.gradients import checked, take_rows
from cislex.errors import ConfigError, ModelError, offenders
from cislex.logs import progress
from cislex.prediction.batches import batch_rows, in_batches, outputs_of, strand_targets
from cislex.targets import Target, read_target
from cislex.targets.scaled import Log
from cislex.targets.targets import LogCounts, Profile
from cislex.variants.context import Context
from cislex.variants.windows import Stretches, WindowOptions, WindowPairs, cut_windows, read_stretches

#: The measures, in the order of the arrays.
MEASURES = ("reference", "alternative", "effect", "logfc", "jsd")
REFERENCE, ALTERNATIVE, EFFECT, LOGFC, JSD = range(len(MEASURES))
SCALES = ("log", "linear")
#: Bases of windows that are made at once; at most 4,096 variants.
BLOCK_BASES = 1 << 22

#: Changes what the windows of some variants (their numbers) are cut from.
Change = Callable[[Stretches, NDArray[np.int64]], Stretches]


@dataclass(frozen=True)
class Comparison:
    """A model made ready, and what is compared of its outputs.

    Attributes
    ----------
    prepared
        The model.
    targets
        T targets.
    scales
        Of each target: ``log`` (natural logarithm of counts), ``linear`` (counts) or None.
    both_strands
        Average over both strands of every window.
    """

    prepared: PreparedModel
    targets: tuple[Target, ...]
    scales: tuple[str | None, ...]
    both_strands: bool = False


def prepare_comparison(
    model: Any,
    targets: Mapping[str, Target],
    *,
    counts: Mapping[str, str] | None = None,
    both_strands: bool = False,
    device: str | torch.device | None = None,
    precision: str | None = None,
) -> Comparison:
    """Prepare a model.

    Parameters
    ----------
    model
        A module or exported program.
    targets
        By name.
    counts
        Which targets are counts: ``linear``, or ``log`` (natural logarithm). By default ``LogCounts`` and
        ``Log`` targets are ``log``, and the others no counts.
    both_strands
        Average over both strands.
    device, precision
        See :func:`cislex.attribution.attribute`.

    Raises
    ------
    ConfigError
        When ``counts`` names no target or another scale.
    """
    counts = counts or {}
    if not targets:
        raise ConfigError("targets: found none, expected at least one")
    if unknown := [name for name in counts if name not in targets]:
        raise ConfigError(
            f"counts: found {offenders(unknown)}; the targets are {offenders(targets, first=8)}"
        )
    if wrong := [f"{name}: {scale!r}" for name, scale in counts.items() if scale not in SCALES]:
        raise ConfigError(f"counts: found {offenders(wrong)}; expected {' or '.join(SCALES)}")
    chosen = tuple(targets.values())
    prepared = prepare_model(open_for(unwrap(model), chosen), device, precision)
    scales = (counts.get(name) or _scale(target) for name, target in targets.items())
    return Comparison(prepared, chosen, tuple(scales), both_strands)


def _scale(target: Target) -> str | None:
    return "log" if isinstance(target, LogCounts | Log) else None


def variant_effects(
    comparison: Comparison,
    table: pd.DataFrame,
    context: Context,
    options: WindowOptions,
    *,
    change: Change | None = None,
    batch_size: int | None = None,
    label: str | None = None,
) -> NDArray[np.float64]:
    """Compare both alleles of every variant.

    Variants are taken in the order of the genome, so many at a time as bounds memory. Results depend neither
    on their order nor on the batch size beyond the rounding of the model.

    Parameters
    ----------
    comparison
        Of :func:`prepare_comparison`.
    table
        N variants that can be scored: rows of the ledger of ``check_variants`` and ``drop_unfit``.
    context, options
        The genome and how windows are made.
    change
        Changes what windows are cut from, such as for a null.
    batch_size
        Windows at once; halved where memory is short.
    label
        For the progress.

    Returns
    -------
    float64 (5, T, N)
        ``MEASURES`` of each target and variant.

    Raises
    ------
    ModelError
        The model fails, or returns what is not finite; names the variants.
    """
    values = np.empty((len(MEASURES), len(comparison.targets), len(table)))
    rows = batch_rows(options.length) if batch_size is None else batch_size
    size = BatchSize(comparison.prepared.device, rows, options.length)
    windows = 2 * len(options.shifts) * len(options.anchors)
    step = max(1, min(4096, BLOCK_BASES // (options.length * windows)))
    order = genome_order(table)
    starts: Iterator[int] | range = range(0, len(order), step)
    if label:
        starts = progress(starts, total=len(order), label=label, weight=step, unit="variants")
    with comparison.prepared.active():
        for start in starts:
            chosen = order[start : start + step]
            part = table.iloc[chosen]
            stretches = read_stretches(part, context, options)
            if change is not None:
                stretches = change(stretches, chosen)
            pairs = cut_windows(stretches, options)
            values[:, :, chosen] = _measure(comparison, pairs, part, size)
    return values


def genome_order(table: pd.DataFrame) -> NDArray[np.int64]:
    """Rows of variants by chromosome and place, so that neighbours are read together."""
    return np.lexsort((table["at"], pd.factorize(table["chrom"], sort=True)[0]))


def _measure(
    comparison: Comparison, pairs: WindowPairs, part: pd.DataFrame, size: BatchSize
) -> NDArray[np.float64]:
    """The measures of some variants, (5, T, n): means over their pairs of windows."""
    values = np.empty((len(MEASURES), len(comparison.targets), len(pairs.variant)))
    batches = in_batches(
        lambda chosen: _compare(comparison, pairs, chosen),
        len(pairs.variant),
        size,
        lambda number: f"variant {_name(part, pairs, number)}",
        sequences=2,
    )
    for chosen, found in batches:
        _check(comparison, found, part, pairs, chosen.start)
        values[:, :, chosen] = found
    count = np.bincount(pairs.variant, minlength=len(part))  # at least one each
    order = np.argsort(pairs.variant, kind="stable")
    means: NDArray[np.float64] = (
        np.add.reduceat(values[:, :, order], np.cumsum(count) - count, axis=2) / count
    )
    means[JSD] = np.copysign(means[JSD], means[EFFECT])
    return means


def _name(part: pd.DataFrame, pairs: WindowPairs, number: int) -> str:
    return name_variant(part.iloc[int(pairs.variant[number])])


def name_variant(row: pd.Series) -> str:
    """``chrom:pos REF>ALT``, the position 1-based, as the file has it."""
    return f"{row['chrom']}:{row['start'] + 1} {row['ref']}>{row['alt']}"


def _check(
    comparison: Comparison, found: NDArray[np.float64], part: pd.DataFrame, pairs: WindowPairs, start: int
) -> None:
    for target, scale, values in zip(
        comparison.targets, comparison.scales, found.swapaxes(0, 1), strict=True
    ):
        bad = np.flatnonzero(~np.isfinite(values[:3]).all(axis=0))
        if len(bad):
            names = dict.fromkeys(_name(part, pairs, start + int(i)) for i in bad)
            raise ModelError(f"target {target} is NaN or infinite for variants {offenders(names)}")
        if scale == "linear" and (values[:2] <= 0).any():
            low = np.flatnonzero((values[:2] <= 0).any(axis=0))
            names = dict.fromkeys(_name(part, pairs, start + int(i)) for i in low)
            raise ModelError(
                f"target {target}: counts that are not positive for variants {offenders(names)}; a fold "
                "change needs positive ones: use a target of kind log with a pseudocount, or leave it out of "
                "counts"
            )


def _compare(comparison: Comparison, pairs: WindowPairs, chosen: slice) -> NDArray[np.float64]:
    """The measures of some pairs, (5, T, M); unsigned distances."""
    both = np.concatenate([pairs.reference[chosen], pairs.alternative[chosen]])
    rows, places = np.unique(both, return_inverse=True)
    prepared = comparison.prepared
    where = torch.from_numpy(places.reshape(2, -1)).to(prepared.device)
    outputs = outputs_of(prepared, pairs.rows[rows], both_strands=comparison.both_strands)
    with torch.no_grad():
        strands = zip(strand_targets(comparison.targets), outputs, strict=False)
        found = [_of_strand(comparison, reads, output, where, len(rows)) for reads, output in strands]
    return np.mean([values.cpu().numpy() for values in found], axis=0)


def _of_strand(
    comparison: Comparison, targets: Sequence[Target], output: Any, where: Tensor, n: int
) -> Tensor:
    """The measures (5, T, M) from the output for n windows; ``where`` (2, M) has the rows of both alleles."""
    measures = []
    for target, scale in zip(targets, comparison.scales, strict=True):
        value = checked(read_target(target, output), n).double()
        before, after = value[where[0]], value[where[1]]
        effect = after - before
        if (pair := getattr(target, "pair", None)) is not None:
            both = pair(take_rows(output, where[0]), take_rows(output, where[1]))
            effect = both[1].double() - both[0].double()
        nothing = torch.full_like(effect, torch.nan)
        logfc = nothing
        if scale == "log":
            logfc = (after - before) / math.log(2)
        elif scale == "linear":
            logfc = torch.log2(after / before)
        jsd = nothing
        if isinstance(target, Profile):
            profiles = torch.softmax(target.centred(output).double(), 1)
            jsd = jensen_shannon(profiles[where[0]], profiles[where[1]])
        measures.append(torch.stack([before, after, effect, logfc, jsd]))
    return torch.stack(measures, 1)


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon distance of distributions (M, positions), base 2: (M,) from 0 to 1."""
    middle = (p + q) / 2
    terms = (torch.xlogy(one, one) - torch.xlogy(one, middle) for one in (p, q))  # 0 where both are 0
    divergence = sum(terms, torch.zeros_like(p)).sum(1) / (2 * math.log(2))
    return divergence.clamp(0, 1).sqrt()


def sign_of(targets: Sequence[str], signs: Mapping[str, str]) -> list[int]:
    """Number of the target from whose effect each target's distance takes its sign.

    Parameters
    ----------
    targets
        Names.
    signs
        ``{profile: counts}`` where it is another target than the profile itself.
    """
    if wrong := [name for pair in signs.items() for name in pair if name not in targets]:
        raise ConfigError(f"signs: found {offenders(wrong)}; the targets are {offenders(targets, first=8)}")
    return [list(targets).index(signs.get(name, name)) for name in targets]
