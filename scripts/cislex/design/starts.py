"""Sequences that are edited: regions of an analysis, records of a file, or random ones; perhaps shuffled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.design.constraints import Codes, Mask
from cislex.design.walk import Objective
from cislex.errors import ConfigError, InputError, offenders
from cislex.files.tables import digest_regions, require_file
from cislex.files.text_tables import read_numbers
from cislex.insertions.backgrounds import seed_of
from cislex.logs import get_logger
from cislex.provenance import digest_strings
from cislex.regions.genome import UNKNOWN
from cislex.regions.peaks import read_peaks
from cislex.sequences.direct_sources import FastaRecords
from cislex.sequences.shuffles import shuffled_codes
from cislex.sequences.store import SequenceStore

logger = get_logger("design")
KINDS, SHUFFLES = ("regions", "fasta", "random"), ("none", "shuffle", "dinucleotide_shuffle")


@dataclass(frozen=True, kw_only=True)
class StartSettings:
    """Where sequences come from.

    Parameters
    ----------
    kind
        ``regions``: of the analysis; ``fasta``: records of a file; ``random``: drawn.
    n
        How many: of the regions those with the highest predictions, of a file the first; None takes all.
    rows
        Instead of the best regions these, by their number in ``regions.bed`` (from 0).
    shuffle
        ``none``; ``shuffle`` keeps the counts of bases, ``dinucleotide_shuffle`` those of dinucleotides.
    composition
        Of random sequences: count of each base; None draws each base with the same probability.
    seed
        Of random sequences and shuffles.
    """

    kind: str = "regions"
    n: int | None = 10
    rows: Sequence[int] | None = None
    shuffle: str = "none"
    composition: Mapping[str, int] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"start.kind: found {self.kind!r}, expected one of {', '.join(KINDS)}")
        if self.shuffle not in SHUFFLES:
            raise ConfigError(f"start.shuffle: found {self.shuffle!r}, expected one of {', '.join(SHUFFLES)}")
        if (self.n is None and self.kind == "random") or (self.n is not None and self.n < 1):
            raise ConfigError(f"start.n: found {self.n}, expected 1 or more for kind: {self.kind}")
        if self.rows is not None and self.kind != "regions":
            raise ConfigError(f"start.rows: rows are of regions; found kind {self.kind}")
        if self.composition is not None and self.kind != "random":
            raise ConfigError(f"start.composition: belongs to kind: random; found kind {self.kind}")


@dataclass(frozen=True)
class Starts:
    """Sequences to edit: codes (n, L) without unknown bases, and the columns of ``regions/``."""

    codes: Codes
    regions: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """Name of each, without spaces, each once."""
        return list(self.regions["name"])

    def digest(self) -> str:
        """Of names, places and bases."""
        return digest_strings([digest_regions(self.regions), self.codes.tobytes().hex()])

    def seeds(self, seed: int) -> NDArray[np.int64]:
        """Seeds of their references, (n,)."""
        return np.array([seed_of(seed, "references", name) for name in self.names], np.int64)


def make_starts(
    settings: StartSettings,
    length: int,
    *,
    sequences: str | Path | None = None,
    predictions: str | Path | None = None,
    fasta: str | Path | None = None,
    objective: tuple[Sequence[str], Objective] | None = None,
) -> Starts:
    """Collect, draw and shuffle the sequences.

    Parameters
    ----------
    settings
        Which ones.
    length
        Input length of the model in bp.
    sequences, predictions
        ``sequences.h5``, and for the best regions ``predictions.tsv``; for kind ``regions``.
    fasta
        For kind ``fasta``.
    objective
        Names of the targets, and the one by which regions are ranked.

    Raises
    ------
    ConfigError, InputError
        Sequences are of another length, have unknown bases, or do not exist.
    """
    if settings.kind == "regions":
        if sequences is None:
            raise ConfigError("start.kind: regions needs sequences.h5")
        codes, regions = _regions(settings, length, sequences, predictions, objective)
    elif settings.kind == "fasta":
        if fasta is None:
            raise ConfigError("start.kind: fasta needs a file; set start.fasta")
        codes, regions = _records(fasta, length, settings.n)
    else:
        codes = _random(settings, length)
        regions = _without_coordinates([f"random_{number}" for number in range(1, len(codes) + 1)], length)
    names = regions["name"].astype(str).str.replace(r"\s+", "_", regex=True)
    repeated = names.duplicated(keep=False) | names.isin(["", "."])
    regions["name"] = names.where(~repeated, [f"{name}_{row}" for row, name in enumerate(names)])
    if settings.shuffle != "none" and len(codes):
        seeds = np.array([seed_of(settings.seed, "shuffle", name) for name in regions["name"]], np.int64)
        both = settings.shuffle == "dinucleotide_shuffle"
        codes = shuffled_codes(codes, seeds, dinucleotides=both, uniform=both)[:, 0]
        regions = _without_coordinates([f"{name}_shuffled" for name in regions["name"]], length)
    return Starts(codes, regions)


def _without_coordinates(names: Sequence[str], length: int) -> pd.DataFrame:
    return pd.DataFrame({"chrom": "", "start": 0, "end": length, "name": list(names), "strand": "."})


def _random(settings: StartSettings, length: int) -> Codes:
    """Random sequences, each from its own seed."""
    if settings.composition is None:
        counts = None
    else:
        counts = np.array([settings.composition.get(base, 0) for base in BASES])
        if counts.sum() != length or set(settings.composition) - set(BASES):
            raise ConfigError(
                f"start.composition: found {dict(settings.composition)}, {counts.sum()} bp; expected counts "
                f"of A, C, G, T that make {length} bp"
            )
    rows = []
    for number in range(settings.n or 0):
        rng = np.random.default_rng(seed_of(settings.seed, "random", number))
        rows.append(
            rng.integers(0, 4, length) if counts is None else rng.permutation(np.repeat(range(4), counts))
        )
    return np.array(rows, np.uint8).reshape(-1, length)


def _regions(
    settings: StartSettings,
    length: int,
    sequences: str | Path,
    predictions: str | Path | None,
    objective: tuple[Sequence[str], Objective] | None,
) -> tuple[Codes, pd.DataFrame]:
    """The regions with the highest predictions, or those of the given rows."""
    with SequenceStore(sequences) as store:
        if store.length != length:
            raise InputError(f"{sequences}: regions of {store.length} bp; the model takes {length} bp")
        if settings.rows is not None:
            order, wanted = np.array(settings.rows, np.int64), len(settings.rows)
            beyond = [int(row) for row in order if not 0 <= row < store.n]
            if beyond:
                raise InputError(f"start.rows: {offenders(beyond)}: there are regions 0 to {store.n - 1}")
        else:
            if predictions is None or objective is None:
                raise ConfigError("start: the best regions need predictions.tsv; or set start.rows")
            order, wanted = _ranked(predictions, store.n, *objective), settings.n or store.n
        codes, rows, unknown = store.first_known(order, wanted)
        if unknown and settings.rows is not None:
            raise InputError(
                f"start.rows: regions {offenders(unknown)} have unknown bases (N); choose others"
            )
        if unknown and len(rows):
            logger.warning("regions with unknown bases (N) are passed over: %s", offenders(unknown))
        if unknown and not len(rows):
            raise InputError(f"{sequences}: all {store.n} regions have unknown bases (N); none can be edited")
        regions = store.regions(0, store.n).iloc[rows].reset_index(drop=True)
    return codes, regions


def _ranked(path: str | Path, n: int, targets: Sequence[str], objective: Objective) -> NDArray[np.int64]:
    table = read_numbers(require_file(path, what="predictions of regions"), texts=("chrom", "name", "strand"))
    if len(table) != n or not set(targets) <= set(table.columns):
        raise InputError(f"{path}: {len(table)} rows; expected {n} with the columns {', '.join(targets)}")
    values = objective.value(np.stack([table[target].to_numpy(np.float64) for target in targets]))
    return np.argsort(-values, kind="stable")


def _records(path: str | Path, length: int, n: int | None) -> tuple[Codes, pd.DataFrame]:
    records = FastaRecords(path, length)
    records.require_one_length()
    if n is not None and n < len(records.names):
        logger.info("%s: the first %d of %d records are edited (start.n)", path, n, len(records.names))
    codes = np.concatenate([block for block, _ in records.blocks(strict=True)])[:n]
    unknown = (codes == UNKNOWN).sum(axis=1)
    if unknown.any():
        wrong = [f"{records.names[row]} ({unknown[row]} bp)" for row in np.flatnonzero(unknown)]
        raise InputError(
            f"{path}: sequences to edit must not have unknown bases (N); found {offenders(wrong)}"
        )
    return codes, _without_coordinates(records.names[:n], length)


def kept_in_bed(path: str | Path, starts: Starts) -> Mask:
    """Positions of each sequence that the intervals of a BED file cover: bool (n, L).

    The first column names a sequence, whose positions count from 0, or a chromosome: then intervals count
    where they overlap a region. 0-based half-open.

    Raises
    ------
    InputError
        An interval passes the end of the sequence that it names, or none touches any sequence.
    """
    n, length = starts.codes.shape
    bed = read_peaks(path, file_format="bed", malformed=None)
    first, last = bed["start"].to_numpy(np.int64), bed["end"].to_numpy(np.int64)
    kept, wrong = np.zeros((n, length), bool), []
    for row, region in enumerate(starts.regions.to_dict("records")):
        for number in np.flatnonzero((bed["chrom"] == region["name"]).to_numpy()):
            if last[number] > length:
                wrong.append(f"{region['name']}:{first[number]}-{last[number]}")
            kept[row, first[number] : last[number]] = True
        if not region["chrom"]:
            continue
        for number in np.flatnonzero((bed["chrom"] == region["chrom"]).to_numpy()):
            low, high = first[number] - region["start"], last[number] - region["start"]
            if region["strand"] == "-":
                low, high = length - high, length - low
            kept[row, max(0, low) : max(0, high)] = True
    if wrong:
        raise InputError(f"{path}: intervals pass the end of sequences of {length} bp: {offenders(wrong)}")
    if n and not kept.any():
        raise InputError(
            f"{path}: none of {len(bed)} intervals lies in a sequence that is edited; expected names such as "
            f"{starts.names[0]}, or chromosomes of the regions"
        )
    return kept
