"""The table of scores, from the chunks of all folds."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError, StorageError
from cislex.files.scratch import scratch_folder
from cislex.files.scratch_arrays import scratch_array
from cislex.files.tables import open_hdf5, require_file, write_table_parts
from cislex.files.text_tables import read_numbers
from cislex.logs import get_logger
from cislex.targets import Target, targets
from cislex.targets.targets import Profile
from cislex.variants.checked import digest_alleles, read_alleles
from cislex.variants.chunk import DEFAULT_NULL, NullOptions
from cislex.variants.effects import ALTERNATIVE, EFFECT, JSD, LOGFC, MEASURES, REFERENCE, sign_of
from cislex.variants.significance import is_indel, quantiles, significance
from cislex.variants.vcf import NORMALISED, VARIANT_COLUMNS
from cislex.variants.vcf_output import write_vcf
from cislex.wording import counted

logger = get_logger(__name__)

#: Rows of the table that are held at a time.
PART = 1 << 15

Values = NDArray[np.float64]


def combine_chunks(
    alleles: str | Path,
    chunks: Mapping[str, Sequence[str | Path]],
    scores: str | Path,
    *,
    wanted: Mapping[str, Mapping[str, Any]],
    null: NullOptions = DEFAULT_NULL,
    background: str | Path | None = None,
) -> None:
    """Write the table of scores.

    Predictions wait in a temporary file, so memory grows with the table of variants alone.

    Parameters
    ----------
    alleles
        ``alleles.tsv``.
    chunks
        Chunk files of each fold.
    scores
        Written; see :func:`cislex.variants.score.score_variants`.
    wanted, null
        Settings of the targets and of the null, those of the chunks.
    background
        ``predictions.tsv`` of regions, with a column for each target.

    Raises
    ------
    InputError, StorageError
        A chunk is damaged, lacking, or of other alleles or targets.
    """
    scalars = targets.all_from_config(wanted)
    others = _read_background(background, list(scalars)) if background is not None else {}
    table = read_alleles(alleles)
    draws = null.draw(table)
    shape = (len(table), len(scalars), len(MEASURES))
    digest = digest_alleles(table)
    with scratch_folder("variants") as folder:
        folds, drawn, signs = {}, [], {}
        for number, (fold, paths) in enumerate(chunks.items()):
            values = scratch_array(folder / str(number), shape)
            effects = np.full((len(draws.variant), len(scalars)), np.nan)
            for path in paths:
                with open_hdf5(path, what="chunk", datasets=("rows", "draws", "measures", "null")) as handle:
                    _check(handle, path, fold=fold, digest=digest, names=list(scalars), null=null)
                    signs = json.loads(handle.attrs["signs"])
                    values[handle["rows"][:]] = handle["measures"][:]
                    effects[handle["draws"][:]] = handle["null"][:]
            folds[fold] = values
            drawn.append(effects)
        sources = sign_of(list(scalars), signs)
        tested = _tested(table, folds, drawn, draws)
        summary = _Summary(table, scalars, sources, folds, *tested, others)
        write_table_parts(summary.parts(), scores)
    logger.info("%s scored by %s, %s", counted(len(table), "allele"), counted(len(folds), "fold"), scores)


@dataclass(frozen=True)
class VariantFiles:
    """What :func:`combine_variants` writes: ``variants.tsv`` and ``variants.vcf.gz`` (indexed)."""

    scores: str | Path
    vcf: str | Path


def combine_variants(
    alleles: str | Path,
    chunks: Mapping[str, Sequence[str | Path]],
    chromosomes: str | Path,
    files: VariantFiles,
    *,
    wanted: Mapping[str, Mapping[str, Any]],
    null: Mapping[str, int],
    background: str | Path | None = None,
) -> None:
    """Write the table of scores and the VCF.

    Parameters
    ----------
    alleles, chunks, wanted, background
        See :func:`combine_chunks`.
    chromosomes
        ``chromosomes.tsv`` of the genome.
    files
        What is written.
    null
        ``size`` and ``seed``.
    """
    combine_chunks(
        alleles, chunks, files.scores, wanted=wanted, null=NullOptions(**null), background=background
    )
    known = read_numbers(chromosomes, texts=("chrom",))
    lengths = dict(zip(known["chrom"], known["length"].astype(int), strict=True))
    write_vcf(files.scores, files.vcf, targets=list(wanted), lengths=lengths)


def _check(
    handle: h5py.File, path: str | Path, *, fold: str, digest: str, names: list[str], null: NullOptions
) -> None:
    attributes = handle.attrs
    found = {
        "fold": (attributes["fold"], fold),
        "alleles": (attributes["alleles_digest"], digest),
        "targets": (list(json.loads(attributes["targets"])), sorted(names)),
        "null": (json.loads(attributes["null"]), asdict(null)),
    }
    for what, (value, expected) in found.items():
        if value != expected:
            raise StorageError(
                f"{path}: {what}: found {value}, expected {expected}; delete the file and run again"
            )


def _read_background(path: str | Path, names: list[str]) -> dict[str, Values]:
    """Predictions of other sequences by target."""
    table = read_numbers(require_file(path, what="background predictions"), texts=("chrom", "name", "strand"))
    if lost := [name for name in names if name not in table or table[name].dtype.kind not in "fi"]:
        raise InputError(f"{path}: no numbers for {', '.join(lost)}; it has {', '.join(map(str, table))}")
    return {name: table[name].to_numpy(np.float64) for name in names}


def _mean(values: list[Values]) -> Values:
    """Mean over the folds that have a value, by element; NaN where none has."""
    total, count = np.zeros(values[0].shape), np.zeros(values[0].shape)
    for one in values:
        there = ~np.isnan(one)
        np.add(total, one, out=total, where=there)
        count += there
    found: Values = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return found


def _tested(
    table: pd.DataFrame, folds: Mapping[str, Values], drawn: list[Values], draws: Any
) -> tuple[Values, Values]:
    """P-values and false discovery rates, (T, N) each; NaN without a null."""
    effects = _mean([values[:, :, EFFECT] for values in folds.values()]).T
    if lost := int(np.isnan(effects).any(axis=0).sum()):
        raise StorageError(f"{lost} of {len(table)} alleles are in no chunk; delete the chunks and run again")
    p, q = np.full_like(effects, np.nan), np.full_like(effects, np.nan)
    if len(draws.variant):
        null = _mean(drawn).T
        if lost := int(np.isnan(null).any(axis=0).sum()):
            raise StorageError(
                f"{lost} of {null.shape[1]} contexts of the null are in no chunk; delete the chunks and run "
                "again"
            )
        indel = is_indel(table)
        for target in range(len(effects)):
            p[target], q[target] = significance(effects[target], indel, null[target], draws)
    return p, q


@dataclass(frozen=True)
class _Summary:
    """What the table of scores says."""

    table: pd.DataFrame
    targets: Mapping[str, Target]
    sources: Sequence[int]
    folds: Mapping[str, Values]
    p: Values
    q: Values
    background: Mapping[str, Values]

    def parts(self) -> Iterator[pd.DataFrame]:
        """The table, some rows at a time."""
        first = np.stack([np.isnan(values[:, 0, EFFECT]) for values in self.folds.values()])
        shared = bool(((~first).sum(axis=0) > 1).any())
        counted = {
            name
            for number, name in enumerate(self.targets)
            if any(not np.isnan(values[:, number, LOGFC]).all() for values in self.folds.values())
        }
        for start in range(0, len(self.table), PART):
            rows = slice(start, min(start + PART, len(self.table)))
            yield self._part(rows, shared=shared, counted=counted)

    def _part(self, rows: slice, *, shared: bool, counted: Collection[str]) -> pd.DataFrame:
        """``shared``: alleles are scored by several folds; ``counted``: targets that have fold changes."""
        table = self.table.iloc[rows]
        every = [np.asarray(values[rows]) for values in self.folds.values()]
        means = _mean(every)
        columns: dict[str, Values] = {}
        for number, (name, target) in enumerate(self.targets.items()):
            mean = means[:, number].T
            columns[f"{name}.effect"] = mean[EFFECT]
            if name in counted:
                columns[f"{name}.logfc"] = mean[LOGFC]
            columns |= {f"{name}.p": self.p[number, rows], f"{name}.q": self.q[number, rows]}
            effects = [values[:, number, EFFECT] for values in every]
            if shared:
                columns[f"{name}.spread"] = np.sqrt(_mean([(one - mean[EFFECT]) ** 2 for one in effects]))
            if isinstance(target, Profile):
                distance = _mean([np.abs(values[:, number, JSD]) for values in every])
                columns[f"{name}.jsd"] = np.copysign(distance, means[:, self.sources[number], EFFECT])
            if name in self.background:
                active = np.maximum(mean[REFERENCE], mean[ALTERNATIVE])
                columns[f"{name}.quantile"] = quantiles(active, self.background[name])
            columns |= {f"{name}.reference": mean[REFERENCE], f"{name}.alternative": mean[ALTERNATIVE]}
            if shared:
                by_fold = zip(self.folds, effects, strict=True)
                columns |= {f"{name}.{fold}.effect": effect for fold, effect in by_fold}
        first = table.assign(pos=table["start"] + 1)[["chrom", "pos", "ref", "alt", "id"]]
        rest = table.drop(columns=[*VARIANT_COLUMNS, *NORMALISED])
        return pd.concat([first, pd.DataFrame(columns, index=table.index), rest], axis=1)
