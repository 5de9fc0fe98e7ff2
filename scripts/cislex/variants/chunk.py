"""Score one chunk of the variants with one fold of a model: measures of both alleles, and of the null.

A chunk file holds ``measures`` float64 (n, T, 5) and ``null`` float64 (k, T): the measures of its n alleles
and the effects of its k contexts of the null, for T targets; ``rows`` int64 (n,) and ``draws`` int64 (k,) say
which they are of all alleles and of all draws. Alleles and contexts that are left to other folds are absent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cislex import provenance
from cislex.chunks.slices import slice_of
from cislex.errors import ConfigError
from cislex.files.hdf5 import new_hdf5
from cislex.files.tables import FORMAT_VERSION, atomic_path, write_array
from cislex.logs import get_logger
from cislex.models.loading import check_model, load_model
from cislex.regions.genome import Genome
from cislex.runtime.devices import claim
from cislex.sequences.store import rows_of_fold
from cislex.targets import targets
from cislex.variants.checked import digest_alleles, read_alleles
from cislex.variants.context import Context
from cislex.variants.effects import EFFECT, JSD, genome_order, prepare_comparison, sign_of, variant_effects
from cislex.variants.significance import Draws, draw_contexts, shuffled
from cislex.variants.windows import WindowOptions
from cislex.wording import counted

logger = get_logger(__name__)


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

    def draw(self, table: pd.DataFrame) -> Draws:
        """The contexts for these alleles; none of size 0."""
        if self.size:
            return draw_contexts(table, size=self.size, seed=self.seed)
        empty = np.zeros(0, dtype=np.int64)
        return Draws(empty, empty, empty.astype(bool))


DEFAULT_NULL = NullOptions()


@dataclass(frozen=True, kw_only=True)
class VariantJob:
    """What to score: plain values.

    Parameters
    ----------
    chunk, chunks
        This chunk's number (from 0) and the number of chunks.
    fold
        Name of the fold.
    targets
        Settings of each target by name, for example ``{"counts": {"kind": "output", "index": 0}}``.
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
    held_out
        Chromosomes that each fold held out, where each variant is for its own fold alone.
    """

    chunk: int = 0
    chunks: int = 1
    fold: str
    targets: Mapping[str, Mapping[str, Any]]
    windows: WindowOptions
    null: NullOptions = DEFAULT_NULL
    reverse_complement: bool = False
    counts: Mapping[str, str] = field(default_factory=dict)
    signs: Mapping[str, str] = field(default_factory=dict)
    held_out: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        slice_of(self.chunk, self.chunks, 0)  # an error where there is no such chunk

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> VariantJob:
        """The same from plain mappings and lists, as a config has them."""
        windows, null = settings["windows"], settings["null"]
        parts = {
            "windows": WindowOptions(**{**windows, "shifts": tuple(windows["shifts"])}),
            "null": NullOptions(**null),
        }
        return cls(**{**settings, **parts})

    def part(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """What this chunk has of an order."""
        return order[slice_of(self.chunk, self.chunks, len(order))]

    def own(self, chroms: pd.Series) -> NDArray[np.bool_]:
        """Which variants are for this fold."""
        return rows_of_fold(chroms, self.held_out, self.fold)


def score_chunk(
    alleles: str | Path,
    fasta: str | Path,
    weights: str | Path,
    out: str | Path,
    job: VariantJob,
    *,
    model: Mapping[str, Any],
    fai: str | Path | None = None,
    gzi: str | Path | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Score a chunk and write it.

    Parameters
    ----------
    alleles
        ``alleles.tsv`` of :func:`cislex.variants.checked.prepare_variants`.
    fasta, fai, gzi
        The genome and its index.
    weights, model
        The fold's weights, and the other settings of :func:`cislex.models.loading.load_model`.
    out
        The chunk file.
    job
        What to score.
    batch_size
        Windows at once; halved where memory is short.
    device
        ``auto``, ``cpu``, ``cuda`` (a free one is claimed) or ``cuda:1``.
    threads
        Threads of torch on the CPU.

    Raises
    ------
    ConfigError, InputError, ModelError, StorageError
        Nothing is left under ``out``.
    """
    torch.set_num_threads(threads)
    table = read_alleles(alleles)
    scalars = targets.all_from_config(job.targets)
    sources = sign_of(list(scalars), job.signs)
    draws = job.null.draw(table)
    rows = job.part(genome_order(table))
    rows = rows[job.own(table["chrom"].iloc[rows])]
    drawn = job.part(np.arange(len(draws.variant)))
    drawn = drawn[job.own(table["chrom"].iloc[draws.variant[drawn]])]
    options = {key: value for key, value in model.items() if key != "outputs"}
    with Genome(fasta, fai=fai, gzi=gzi) as genome, claim(device) as where:
        loaded = load_model(weights=weights, device=where, **options)
        check_model(loaded, job.windows.length, names=model.get("outputs") or loaded.output_names)
        comparison = prepare_comparison(
            loaded.model,
            scalars,
            counts=job.counts,
            both_strands=job.reverse_complement,
            device=loaded.device,
        )
        context = Context(genome)
        values = variant_effects(
            comparison,
            table.iloc[rows].reset_index(drop=True),
            context,
            job.windows,
            label=f"variants {job.fold}",
            batch_size=batch_size,
        )
        values[JSD] = np.copysign(values[JSD], values[EFFECT][sources])
        null = variant_effects(
            comparison,
            table.iloc[draws.variant[drawn]].reset_index(drop=True),
            context,
            job.windows,
            change=lambda stretches, chosen: shuffled(stretches, draws.seed[drawn][chosen]),
            label=f"null {job.fold}",
            batch_size=batch_size,
        )[EFFECT]
    identity = {
        "format_version": FORMAT_VERSION,
        "alleles_digest": digest_alleles(table),
        "model_digest": loaded.digest,
        **dataclasses.asdict(job),
        "versions": provenance.versions(),
    }
    arrays = {"rows": rows, "draws": drawn, "measures": values.T, "null": null.T}
    _write(out, arrays, identity)
    counts = counted(len(rows), "allele"), counted(len(drawn), "context")
    logger.info("%s: %s and %s of the null", job.fold, *counts)


def _write(out: str | Path, arrays: Mapping[str, NDArray[Any]], identity: Mapping[str, Any]) -> None:
    with atomic_path(out) as temporary, new_hdf5(temporary) as handle:
        for name, values in arrays.items():
            write_array(handle, name, values)
        handle.attrs.update(provenance.to_attributes(identity))
