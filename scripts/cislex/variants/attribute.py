"""Attribute both alleles of the variants that matter most, by the method of an analysis.

Both alleles have the same references, those of the reference allele's window, so for a method that is
complete the contributions differ in sum by the effect.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cislex import provenance
from cislex.attribution import Attribution, attribute_batches
from cislex.attribution.references import FixedReferences, Uniform, Zeros, make_references
from cislex.chunks.files import read_reference_number
from cislex.chunks.methods_from_config import method_from_settings, with_references
from cislex.errors import ConfigError
from cislex.files.hdf5 import new_hdf5
from cislex.files.tables import FORMAT_VERSION, atomic_path, require_file, write_array, write_table
from cislex.files.text_tables import read_numbers
from cislex.logs import get_logger
from cislex.models.loading import LoadedModel, check_model, load_model
from cislex.motifs.files import MemeMotif, read_meme
from cislex.regions.genome import Genome
from cislex.runtime.devices import claim
from cislex.sequences.store import rows_of_fold
from cislex.targets import targets
from cislex.variants.checked import digest_alleles, read_alleles, require_same_alleles
from cislex.variants.context import Context
from cislex.variants.ranking import strongest
from cislex.variants.windows import WindowOptions, cut_windows, extents, read_stretches
from cislex.variants.word_changes import Allele, Site, word_changes
from cislex.wording import counted

logger = get_logger(__name__)

ALLELES = ("reference", "alternative")
#: Columns of ``top_variants.tsv``.
COLUMNS = [
    *("target", "rank", "chrom", "pos", "ref", "alt", "id", "effect", "q", "word", "name", "change", "width"),
    *("before", "after", "contribution_before", "contribution_after"),
    *("before_start", "before_strand", "after_start", "after_strand"),
]


@dataclass(frozen=True, kw_only=True)
class TopJob:
    """Which variants are attributed and how: plain values, but for the windows.

    Parameters
    ----------
    n
        Variants of each target: the smallest q-values (or p-values without them), then the largest effects.
    flank
        Bases that are kept on both sides.
    targets, method, seed, same_references, precision, reverse_complement, held_out, allow_incomplete
        See :class:`cislex.chunks.attribute.ChunkJob`.
    windows
        Length and anchor; of several anchors the first, without shifts.
    """

    n: int
    flank: int
    targets: Mapping[str, Mapping[str, Any]]
    method: Mapping[str, Any]
    windows: WindowOptions
    seed: int = 0
    same_references: bool = False
    precision: str = "float32"
    reverse_complement: bool = False
    held_out: Mapping[str, Sequence[str]] | None = None
    allow_incomplete: bool = False

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"n is {self.n}; expected at least one variant")
        if not 1 <= self.flank <= self.windows.length // 2:
            raise ConfigError(
                f"flank is {self.flank}; expected 1 to half of the window, {self.windows.length // 2} bp"
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> TopJob:
        """The same from plain mappings and lists, as a config has them."""
        windows = settings["windows"]
        single = WindowOptions(length=windows["length"], anchor=WindowOptions(**windows).anchors[0])
        return cls(**{**settings, "windows": single})


@dataclass(frozen=True)
class TopFiles:
    """What :func:`attribute_variants` writes: ``top_variants.h5`` and ``top_variants.tsv``."""

    arrays: str | Path
    table: str | Path


@dataclass
class _Windows:
    """Windows of n variants: one-hot uint8 (2, n, 4, L), codes uint8 (2, n, L), places of alleles (2, n)."""

    onehot: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    place: NDArray[np.int64]
    size: NDArray[np.int64]
    seeds: dict[str, NDArray[np.int64]]


@dataclass
class _Sums:
    """Sums over folds: hypothetical contributions float64 (2, n, 4, L), predictions (2, n), and counts."""

    hypothetical: NDArray[np.float64]
    prediction: NDArray[np.float64]
    delta: NDArray[np.float64]
    count: NDArray[np.int64]


def attribute_variants(
    scores: str | Path,
    alleles: str | Path,
    fasta: str | Path,
    weights: Mapping[str, str | Path],
    files: TopFiles,
    job: TopJob,
    *,
    model: Mapping[str, Any],
    words: str | Path | None = None,
    references: str | Path | None = None,
    fai: str | Path | None = None,
    gzi: str | Path | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Attribute the variants that matter most to each target, on both alleles.

    Parameters
    ----------
    scores, alleles
        ``variants.tsv`` and ``alleles.tsv``.
    fasta, fai, gzi
        The genome and its index.
    weights, model
        Weights of each fold, and the other settings of :func:`cislex.models.loading.load_model`.
    files
        Written: the contributions around each variant, means over the folds, and a table of these variants
        with the words that they gain, lose or change.
    job
        What to attribute.
    words
        ``lexicon.meme``.
    references
        ``references.json``, whose number of references replaces that of the method.
    batch_size, device, threads
        See :func:`cislex.chunks.attribute.attribute_chunk`.

    Raises
    ------
    ConfigError, InputError, ModelError, CompletenessError
        Nothing is left under the names of the files.
    """
    torch.set_num_threads(threads)
    if references is not None:
        method = with_references(job.method, read_reference_number(references))
        job = dataclasses.replace(job, method=method)
    texts = ("chrom", "ref", "alt", "id")
    table = read_numbers(require_file(scores, what="scores of variants"), texts=texts)
    rows = read_alleles(alleles)
    require_same_alleles(table, rows, scores, alleles)
    listed = read_meme(words) if words is not None else []
    chosen = {target: strongest(table, target, job.n) for target in job.targets}
    with Genome(fasta, fai=fai, gzi=gzi) as genome:
        windows = {
            target: _cut(rows.iloc[own], Context(genome), job, list(weights))
            for target, own in chosen.items()
        }
    sums = {target: _empty(len(own), job.windows.length) for target, own in chosen.items()}
    digests = {}
    with claim(device) as where:
        for fold, path in weights.items():
            loaded = load_model(weights=path, **model)
            check_model(loaded, job.windows.length)
            digests[fold] = loaded.digest
            for target, own in chosen.items():
                mine = np.flatnonzero(rows_of_fold(rows["chrom"].iloc[own], job.held_out, fold))
                _add(sums[target], loaded, windows[target], mine, job, target, fold, batch_size, where)
    found = [
        _table(table.iloc[own], windows[target], sums[target], target, listed, job.flank)
        for target, own in chosen.items()
    ]
    write_table(pd.concat(found, ignore_index=True)[COLUMNS], files.table)
    identity = {
        "format_version": FORMAT_VERSION,
        "alleles_digest": digest_alleles(rows),
        "model_digests": digests,
        **dataclasses.asdict(job),
        "versions": provenance.versions(),
    }
    _write(files.arrays, chosen, windows, sums, job.flank, identity)
    counts = (len(chosen), "target"), (min(job.n, len(rows)), "variant"), (len(weights), "fold")
    logger.info("%s, %s each, %s", *(counted(number, one) for number, one in counts))


def _cut(table: pd.DataFrame, context: Context, job: TopJob, folds: Sequence[str]) -> _Windows:
    """Windows of both alleles of each variant."""
    table = table.reset_index(drop=True)
    stretches = read_stretches(table, context, job.windows)
    pairs = cut_windows(stretches, job.windows)
    order = np.argsort(pairs.variant, kind="stable")
    codes = np.stack([pairs.rows[pairs.reference[order]], pairs.rows[pairs.alternative[order]]])
    moved = stretches.before - stretches.after if job.windows.anchors == ("right",) else 0
    starts, ends = extents(table, dataclasses.replace(job.windows, anchor="left"))
    eye = np.vstack([np.eye(4, dtype=np.uint8), np.zeros((1, 4), dtype=np.uint8)])
    return _Windows(
        onehot=np.ascontiguousarray(eye[codes].swapaxes(2, 3)),
        codes=codes,
        place=np.stack([stretches.place, stretches.place + moved]),
        size=np.stack([stretches.before, stretches.after]),
        seeds={fold: _seeds(table["chrom"], starts, ends, job, fold) for fold in folds},
    )


def _seeds(
    chroms: pd.Series, starts: NDArray[np.int64], ends: NDArray[np.int64], job: TopJob, fold: str
) -> NDArray[np.int64]:
    source = "variants" if job.same_references else f"variants/{fold}"
    seed = job.seed + int((job.method.get("references") or {}).get("seed", 0))
    return provenance.locus_seeds(source, chroms, starts, ends, ["."] * len(chroms), seed)


def _empty(n: int, length: int) -> _Sums:
    return _Sums(
        np.zeros((2, n, 4, length)), np.zeros((2, n)), np.full((2, n), np.nan), np.zeros(n, dtype=np.int64)
    )


def _add(
    sums: _Sums,
    loaded: LoadedModel,
    windows: _Windows,
    rows: NDArray[np.int64],
    job: TopJob,
    target: str,
    fold: str,
    batch_size: int | None,
    device: str,
) -> None:
    """Add what a fold says of some variants."""
    if not len(rows):
        return
    method: Any = method_from_settings(job.method)
    wanted = [targets.from_config(dict(job.targets[target]), name=target)]
    seeds, references = windows.seeds[fold][rows], method.references
    if not isinstance(references, Uniform | Zeros | FixedReferences):
        first = torch.from_numpy(windows.onehot[0][rows])
        method = dataclasses.replace(
            method, references=FixedReferences(make_references(references, first, seeds))
        )
    for allele in range(2):
        batches = attribute_batches(
            loaded.model,
            torch.from_numpy(windows.onehot[allele][rows]),
            method,
            targets=wanted,
            seeds=seeds,
            batch_size=batch_size,
            device=device,
            precision=job.precision,
            reverse_complement=job.reverse_complement,
            allow_incomplete=job.allow_incomplete,
        )
        for part, (found,) in batches:
            _add_batch(sums, allele, rows[part], found)
    sums.count[rows] += 1


def _add_batch(sums: _Sums, allele: int, rows: NDArray[np.int64], found: Attribution) -> None:
    sums.hypothetical[allele, rows] += found.hypothetical.double().numpy()
    sums.prediction[allele, rows] += found.prediction.double().numpy()
    if found.max_relative_delta is not None:
        deltas = found.max_relative_delta.double().numpy()
        sums.delta[allele, rows] = np.fmax(sums.delta[allele, rows], deltas)


def _means(sums: _Sums) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return sums.hypothetical / sums.count[:, None, None], sums.prediction / sums.count


def _table(
    top: pd.DataFrame,
    windows: _Windows,
    sums: _Sums,
    target: str,
    words: Sequence[MemeMotif],
    flank: int,
) -> pd.DataFrame:
    """Rows of the table of one target: each variant once for each word that it changes, or once without."""
    contributions = (_means(sums)[0] * windows.onehot).sum(axis=2)
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(top.to_dict("records")):
        keys = {name: row[name] for name in ("chrom", "pos", "ref", "alt", "id")}
        keys |= {name: row[f"{target}.{name}"] for name in ("effect", "q")}
        keys |= {"target": target, "rank": number + 1}
        both = [
            Allele(
                windows.codes[allele, number], int(windows.place[allele, number]),
                int(windows.size[allele, number]), contributions[allele, number],
            )
            for allele in range(2)
        ]  # fmt: skip
        changes = word_changes(both[0], both[1], words)
        for found in changes:
            word = {"word": found.word.identifier, "name": found.word.name, "change": found.change}
            word["width"] = found.word.ppm.shape[1]
            for when, site, allele in zip(
                ("before", "after"), (found.before, found.after), both, strict=True
            ):
                word |= _of_site(when, site, allele.place - flank)
            rows.append({**keys, **word})
        if not changes:
            rows.append(keys)
    return pd.DataFrame(rows, columns=COLUMNS).astype({name: "Int64" for name in COLUMNS if name in _WHOLE})


#: Whole numbers of the table that may be missing.
_WHOLE = ("width", "before_start", "after_start")


def _of_site(when: str, site: Site | None, crop: int) -> dict[str, Any]:
    if site is None:
        return {}
    return {
        when: site.score, f"contribution_{when}": site.contribution,
        f"{when}_start": site.start - crop, f"{when}_strand": site.strand,
    }  # fmt: skip


def _write(
    out: str | Path,
    chosen: Mapping[str, NDArray[np.int64]],
    windows: Mapping[str, _Windows],
    sums: Mapping[str, _Sums],
    flank: int,
    identity: Mapping[str, Any],
) -> None:
    with atomic_path(out) as temporary, new_hdf5(temporary) as handle:
        for target, rows in chosen.items():
            group = handle.create_group(f"targets/{target}")
            own = windows[target]
            hypothetical, prediction = _means(sums[target])
            arrays: dict[str, NDArray[Any]] = {"rows": rows}
            for number, allele in enumerate(ALLELES):
                begin = own.place[number] - flank
                arrays[f"{allele}_hypothetical"] = cropped(hypothetical[number], begin, flank).astype(
                    np.float32
                )
                arrays[f"{allele}_sequences"] = cropped(own.onehot[number], begin, flank)
                arrays[f"{allele}_prediction"] = prediction[number].astype(np.float32)
                arrays[f"{allele}_max_relative_delta"] = sums[target].delta[number].astype(np.float32)
            for name, values in arrays.items():
                write_array(group, name, values)
        handle.attrs.update(provenance.to_attributes(identity))


def cropped(values: NDArray[Any], begin: NDArray[np.int64], flank: int) -> NDArray[Any]:
    """2 · flank + 1 columns of each row (n, 4, L) from its own first one; zero beyond the window."""
    columns = begin[:, None] + np.arange(2 * flank + 1)
    inside = (columns >= 0) & (columns < values.shape[2])
    taken = np.take_along_axis(values, columns.clip(0, values.shape[2] - 1)[:, None, :], axis=2)
    return np.where(inside[:, None, :], taken, 0).astype(values.dtype)
