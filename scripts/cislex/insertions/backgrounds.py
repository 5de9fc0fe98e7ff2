"""Sequences into which motifs are put: shuffled regions, windows of the genome, or the user's own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cislex.attribution.genomic_references import GenomicWindows
from cislex.attribution.references import DinucleotideShuffle, make_references
from cislex.errors import ConfigError, InputError, offenders
from cislex.logs import get_logger
from cislex.regions.genome import UNKNOWN
from cislex.sequences.direct_sources import FastaRecords
from cislex.sequences.store import SequenceStore, to_codes
from cislex.wording import counted

KINDS = ("shuffled", "genomic", "fasta")
#: Fewest backgrounds for an interval.
LEAST = 3
logger = get_logger("backgrounds")

Codes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class BackgroundSettings:
    """Where backgrounds come from.

    Parameters
    ----------
    kind
        ``shuffled``: dinucleotide shuffles of regions; ``genomic``: windows of the genome with the GC content
        of regions, outside of all regions; ``fasta``: the records of a file.
    n
        How many; of a file None takes all.
    seed
        Of the choice of regions and of the shuffles.
    fasta
        The file, for ``fasta``.
    """

    kind: str = "shuffled"
    n: int | None = 100
    seed: int = 0
    fasta: str | Path | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"backgrounds.kind: found {self.kind!r}, expected one of {', '.join(KINDS)}")
        if (self.kind == "fasta") != (self.fasta is not None):
            raise ConfigError(
                f"backgrounds: found kind {self.kind} and fasta {self.fasta}; a file belongs to kind: fasta"
            )
        if self.n is None and self.kind != "fasta":
            raise ConfigError(f"backgrounds.n: found none, expected a number for kind: {self.kind}")
        if self.n is not None and self.n < LEAST:
            raise ConfigError(f"backgrounds.n: found {self.n}, expected at least {LEAST} for an interval")


def seed_of(*parts: object) -> int:
    """A seed of 31 bits from what it is for."""
    key = hashlib.blake2b("\t".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(key, "little") & 0x7FFFFFFF


def make_backgrounds(
    settings: BackgroundSettings,
    store: SequenceStore,
    *,
    genome: str | Path | None = None,
    exclude: str | Path | None = None,
    fai: str | Path | None = None,
    gzi: str | Path | None = None,
) -> tuple[Codes, list[str]]:
    """Make backgrounds of the regions' length, without unknown bases.

    Parameters
    ----------
    settings
        Kind, number and seed.
    store
        Sequences of the regions.
    genome, exclude, fai, gzi
        The genome, a BED file that no window of it overlaps, and its index; for ``genomic``.

    Returns
    -------
    tuple
        Codes uint8 (n, L), and a name for each.

    Raises
    ------
    InputError
        All regions, or some of the user's sequences, have unknown bases; sequences are too few or of another
        length.
    """
    if settings.kind == "fasta":
        assert settings.fasta is not None
        return _from_file(settings.fasta, settings, store.length)
    assert settings.n is not None
    codes, names = _regions(store, settings.n, settings.seed)
    onehot = torch.from_numpy(np.eye(5, 4, dtype=np.uint8)[codes].transpose(0, 2, 1).copy())
    seeds = np.array([seed_of(settings.seed, settings.kind, number) for number in range(len(codes))])
    if settings.kind == "shuffled":
        made = make_references(DinucleotideShuffle(n=1), onehot, seeds)
        names = [f"shuffled {name}" for name in names]
    else:
        if genome is None:
            raise ConfigError("backgrounds.kind: genomic needs a genome; set genome.fasta or kind: shuffled")
        windows = GenomicWindows(genome, n=1, exclude=exclude, fai=fai, gzi=gzi)
        made = windows(onehot, seeds)
        names = [f"window like {name}" for name in names]
    return to_codes(made[:, 0].numpy()), names


def _regions(store: SequenceStore, n: int, seed: int) -> tuple[Codes, list[str]]:
    """Regions without unknown bases in random order, taken again from the first where they are too few."""
    order = np.random.default_rng(seed_of(seed, "regions")).permutation(store.n)
    codes, rows, _ = store.first_known(order, n)
    if not len(rows):
        raise InputError(
            f"{store.path}: none of the {store.n} regions is without unknown bases (N); set backgrounds: "
            "{kind: fasta} with sequences of your own"
        )
    if len(rows) < n:
        whole = counted(len(rows), "region")
        logger.warning("%s without unknown bases: each gives several of %d backgrounds", whole, n)
    regions = store.regions(0, store.n)
    chosen = [number % len(rows) for number in range(n)]
    names = [str(regions["name"].iloc[rows[number]]) for number in chosen]
    return codes[chosen], names


def _from_file(path: str | Path, settings: BackgroundSettings, length: int) -> tuple[Codes, list[str]]:
    """Records of the user's file."""
    records = FastaRecords(path, length)
    records.require_one_length()
    codes = np.concatenate([block for block, _ in records.blocks(strict=True)])
    unknown = (codes == UNKNOWN).sum(axis=1)
    if unknown.any():
        wrong = [f"{records.names[row]} ({unknown[row]} bp)" for row in np.flatnonzero(unknown)]
        raise InputError(
            f"{path}: backgrounds must not have unknown bases (N); found {offenders(wrong)}; remove these "
            "records"
        )
    n = len(codes) if settings.n is None else settings.n
    if not LEAST <= n <= len(codes):
        raise InputError(
            f"{path}: has {len(codes)} records; expected backgrounds.n = {n} of them, and at least {LEAST}"
        )
    rows = np.sort(np.random.default_rng(seed_of(settings.seed, "fasta")).permutation(len(codes))[:n])
    return codes[rows], [records.names[row] for row in rows]
