"""Score variants: from a VCF or table and a model's folds to one table of effects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError
from cislex.files.scratch import scratch_folder
from cislex.files.tables import require_file, write_table, write_table_parts
from cislex.files.text_tables import read_numbers
from cislex.logs import get_logger
from cislex.models.loading import check_model, load_model
from cislex.regions.genome import Genome, read_aliases
from cislex.regions.row_ledger import RowLedger
from cislex.targets import Target, targets
from cislex.targets.targets import Profile
from cislex.variants.alleles import check_variants, dropped_table
from cislex.variants.context import Context
from cislex.variants.effects import MEASURES, Comparison, prepare_comparison, sign_of, variant_effects
from cislex.variants.significance import (
    Draws,
    draw_contexts,
    is_indel,
    quantiles,
    shuffled,
    significance,
)
from cislex.variants.vcf import VARIANT_COLUMNS, read_variants
from cislex.variants.windows import WindowOptions, drop_unfit

logger = get_logger(__name__)

#: Rows of the table that are held at a time.
PART = 1 << 15
REFERENCE, ALTERNATIVE, EFFECT, LOGFC, JSD = range(len(MEASURES))

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NullOptions:
    """The null of shuffled contexts.

    Parameters
    ----------
    size
        Contexts of each kind (substitutions, indels): the smallest p-value is 1 / (1 + size). 0: no p-values.
    seed
        Of the shuffles.
    """

    size: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ConfigError(f"null size: found {self.size}, expected 0 (no p-values) or more contexts")


def score_variants(
    variants: str | Path,
    fasta: str | Path,
    weights: Mapping[str, str | Path],
    scores: str | Path,
    dropped: str | Path,
    *,
    wanted: Mapping[str, Mapping[str, Any]],
    loader: str,
    windows: WindowOptions,
    null: NullOptions = NullOptions(),
    reverse_complement: bool = False,
    counts: Mapping[str, str] | None = None,
    signs: Mapping[str, str] | None = None,
    background: str | Path | None = None,
    on_mismatch: str = "error",
    aliases: str | Path | None = None,
    fai: str | Path | None = None,
    gzi: str | Path | None = None,
    outputs: Sequence[str] = (),
    batch_size: int | None = None,
    device: str = "auto",
    threads: int = 1,
    **model: Any,
) -> None:
    """Score the alleles of variants with every fold of a model.

    Predictions wait in a temporary file, so memory grows with the table of variants alone.

    Parameters
    ----------
    variants
        See :func:`cislex.variants.vcf.read_variants`.
    fasta
        The genome.
    weights
        Weights file of each fold.
    scores
        Written: ``chrom pos ref alt id`` (``pos`` 1-based, as in a VCF), and for each target
        ``{target}.effect`` (mean over the folds), ``.logfc``, ``.p``, ``.q``, ``.spread`` (standard deviation
        over the folds), ``.jsd``, ``.quantile`` (of the more active allele in the background), ``.reference``
        and ``.alternative``; with several folds ``{target}.{fold}.effect``. Then the further columns of the
        input. Rows are in the order of the input. Cells of what does not apply are empty.
    dropped
        Written: the alleles that are not scored, with the reasons. Both tables together have every allele.
    wanted
        Settings of each target, for example ``{"counts": {"kind": "output", "index": 0}}``.
    loader, **model
        The model: settings of :func:`cislex.models.loading.load_model`.
    windows
        Length, anchor and shifts.
    null
        Size and seed of the null.
    reverse_complement
        Average over both strands.
    counts
        Which targets are counts, see :func:`cislex.variants.effects.prepare_comparison`.
    signs
        From which target's effect the distance of a profile takes its sign; by default from its own.
    background
        ``predictions.tsv`` of regions, with a column for each target.
    on_mismatch
        ``error`` or ``drop``: what to do where REF is not what the genome has.
    aliases, fai, gzi
        Table of chromosome names and the genome's index, or None.
    outputs
        Names for the tensors that the model returns.
    batch_size
        Windows at once; halved where memory is short.
    device
        ``auto``, ``cpu`` or ``cuda``.
    threads
        Threads of torch on the CPU.

    Raises
    ------
    ConfigError, InputError, ModelError, StorageError
        Nothing is left under the name ``scores``.
    """
    if not weights:
        raise ConfigError("no fold: name at least one weights file in the model's folds")
    torch.set_num_threads(threads)
    scalars: dict[str, Target] = {
        name: targets.from_config(dict(entry), name=name) for name, entry in wanted.items()
    }
    sources = sign_of(list(scalars), signs or {})
    others = _read_background(background, list(scalars)) if background is not None else {}
    read = read_variants(variants)
    with Genome(fasta, fai=fai, gzi=gzi) as genome, scratch_folder("variants") as folder:
        context = Context(genome)
        ledger = check_variants(
            read, context, aliases=read_aliases(aliases), on_mismatch=on_mismatch, source=variants
        )
        drop_unfit(ledger, genome.lengths, windows)
        write_table(dropped_table(ledger), dropped)
        table = _kept(ledger, variants, dropped)
        draws = draw_contexts(table, size=null.size, seed=null.seed) if null.size else None
        folds, drawn = [], []
        for number, (fold, path) in enumerate(weights.items()):
            loaded = load_model(loader, weights=path, device=device, **model)
            check_model(loaded, windows.length, names=outputs or loaded.output_names)
            comparison = prepare_comparison(
                loaded.model, scalars, counts=counts, both_strands=reverse_complement, device=loaded.device
            )
            values = np.lib.format.open_memmap(
                folder / f"{number}.npy", "w+", np.float64, (len(MEASURES), len(scalars), len(table))
            )
            variant_effects(
                comparison,
                table,
                context,
                windows,
                batch_size=batch_size,
                out=values,
                label=f"variants {fold}",
            )
            values[JSD] = np.copysign(values[JSD], values[EFFECT][sources])
            folds.append(values)
            if draws is not None:
                drawn.append(_null(comparison, table, draws, context, windows, batch_size, fold)[EFFECT])
        summary = _Summary(
            table,
            scalars,
            dict(zip(weights, folds, strict=True)),
            *_tested(table, folds, drawn, draws),
            others,
        )
        write_table_parts(summary.parts(), scores)
    logger.info("%s: %d alleles scored by %d folds, %s", variants, len(table), len(weights), scores)


def _kept(ledger: RowLedger, source: str | Path, dropped: str | Path) -> pd.DataFrame:
    """The alleles that can be scored."""
    table = ledger.peaks[ledger.alive].reset_index(drop=True)
    counts = f" ({ledger.counts()})" if not ledger.alive.all() else ""
    text = f"{source}: {len(ledger.peaks)} alleles read, {len(table)} kept{counts}"
    if not len(table):
        raise InputError(f"{text}; no variant is left; each is in {dropped} with its reason")
    logger.info(text)
    return table


def _read_background(path: str | Path, names: list[str]) -> dict[str, Values]:
    """Predictions of other sequences by target."""
    table = read_numbers(require_file(path, what="background predictions"), texts=("chrom", "name", "strand"))
    if lost := [name for name in names if name not in table or table[name].dtype.kind not in "fi"]:
        raise InputError(f"{path}: no numbers for {', '.join(lost)}; it has {', '.join(map(str, table))}")
    return {name: table[name].to_numpy(np.float64) for name in names}


def _null(
    comparison: Comparison,
    table: pd.DataFrame,
    draws: Draws,
    context: Context,
    windows: WindowOptions,
    batch_size: int | None,
    fold: str,
) -> Values:
    """The measures of the null, (5, T, K)."""
    return variant_effects(
        comparison,
        table.iloc[draws.variant].reset_index(drop=True),
        context,
        windows,
        change=lambda stretches, chosen: shuffled(stretches, draws.seed[chosen]),
        batch_size=batch_size,
        label=f"null {fold}",
    )


def _tested(
    table: pd.DataFrame, folds: list[Any], drawn: list[Values], draws: Draws | None
) -> tuple[Values, Values]:
    """P-values and false discovery rates, (T, N) each; NaN without a null."""
    effects = sum((values[EFFECT] for values in folds), np.zeros(folds[0].shape[1:])) / len(folds)
    p, q = np.full_like(effects, np.nan), np.full_like(effects, np.nan)
    if draws is not None:
        null = np.mean(drawn, axis=0)
        indel = is_indel(table)
        for target in range(len(effects)):
            p[target], q[target] = significance(effects[target], indel, null[target], draws)
    return p, q


@dataclass(frozen=True)
class _Summary:
    """What the table of scores says."""

    table: pd.DataFrame
    targets: Mapping[str, Target]
    folds: Mapping[str, Any]
    p: Values
    q: Values
    background: Mapping[str, Values]

    def parts(self) -> Iterator[pd.DataFrame]:
        """The table, some rows at a time."""
        for start in range(0, len(self.table), PART):
            yield self._part(slice(start, min(start + PART, len(self.table))))

    def _part(self, rows: slice) -> pd.DataFrame:
        table = self.table.iloc[rows]
        every = np.stack([values[:, :, rows] for values in self.folds.values()])
        means = every.mean(axis=0)
        columns: dict[str, Values] = {}
        for number, (name, target) in enumerate(self.targets.items()):
            mean = means[:, number]
            columns |= {
                f"{name}.effect": mean[EFFECT],
                f"{name}.logfc": mean[LOGFC],
                f"{name}.p": self.p[number, rows],
                f"{name}.q": self.q[number, rows],
            }
            if len(self.folds) > 1:
                columns[f"{name}.spread"] = every[:, EFFECT, number].std(axis=0)
            if isinstance(target, Profile):
                columns[f"{name}.jsd"] = mean[JSD]
            if name in self.background:
                active = np.maximum(mean[REFERENCE], mean[ALTERNATIVE])
                columns[f"{name}.quantile"] = quantiles(active, self.background[name])
            columns |= {f"{name}.reference": mean[REFERENCE], f"{name}.alternative": mean[ALTERNATIVE]}
            if len(self.folds) > 1:
                effects = zip(self.folds, every[:, EFFECT, number], strict=True)
                columns |= {f"{name}.{fold}.effect": effect for fold, effect in effects}
        first = table.assign(pos=table["start"] + 1)[["chrom", "pos", "ref", "alt", "id"]]
        rest = table.drop(columns=[*VARIANT_COLUMNS, "at", "before", "after"])
        return pd.concat([first, pd.DataFrame(columns, index=table.index), rest], axis=1)
