"""From a file of variants to the alleles that are scored, and those that are not, with the reasons."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cislex.errors import InputError, offenders
from cislex.files.tables import require_file, write_table
from cislex.files.text_tables import read_text
from cislex.logs import announce, get_logger
from cislex.provenance import digest_strings
from cislex.regions.aliases import read_aliases
from cislex.regions.genome import Genome
from cislex.regions.row_ledger import MANY_DROPPED, RowLedger
from cislex.variants.alleles import check_variants, dropped_table
from cislex.variants.context import Context
from cislex.variants.vcf import NORMALISED, VARIANT_COLUMNS, read_variants
from cislex.variants.windows import WindowOptions, drop_unfit
from cislex.wording import counted

logger = get_logger(__name__)

#: Reasons that files of variants have by nature: to drop for one of them is no surprise.
EXPECTED = ("no_alternative", "spanning_deletion", "not_held_out")
#: Whole numbers among the columns of ``alleles.tsv``.
_NUMBERS = ("source_line", "start", "at")


def prepare_variants(
    variants: str | Path,
    fasta: str | Path,
    alleles: str | Path,
    dropped: str | Path,
    *,
    windows: WindowOptions,
    on_mismatch: str = "error",
    held_out: Mapping[str, Sequence[str]] | None = None,
    aliases: str | Path | None = None,
    fai: str | Path | None = None,
    gzi: str | Path | None = None,
) -> None:
    """Check every allele of a file.

    Parameters
    ----------
    variants
        See :func:`cislex.variants.vcf.read_variants`.
    fasta
        The genome.
    alleles
        Written: the alleles that can be scored, in the order of the file: ``source_line chrom start ref alt
        id``, then ``at before after`` (:func:`cislex.variants.alleles.check_variants`), then the further
        columns of the input. ``start`` and ``at`` are 0-based.
    dropped
        Written: the other alleles, with ``reason`` and ``detail``. Both tables together have every allele.
    windows
        Length, anchor and shifts.
    on_mismatch
        ``error`` or ``drop``: what to do where REF is not what the genome has.
    held_out
        Chromosomes that each fold held out, where each variant is for its own fold alone: those on others are
        dropped (``not_held_out``).
    aliases, fai, gzi
        Table of chromosome names and the genome's index, or None.

    Raises
    ------
    InputError
        Also when no allele is left; ``dropped`` is there then, and ``alleles`` is not.
    """
    read = read_variants(variants)
    with Genome(fasta, fai=fai, gzi=gzi) as genome:
        ledger = check_variants(
            read, Context(genome), aliases=read_aliases(aliases), on_mismatch=on_mismatch, source=variants
        )
        drop_unfit(ledger, genome.lengths, windows)
        hint = ledger.unknown_chromosomes(genome.lengths)
    if held_out is not None:
        _drop_unowned(ledger, held_out)
    write_table(dropped_table(ledger), dropped)
    kept = ledger.peaks[ledger.alive].reset_index(drop=True)
    counts = f" ({ledger.counts()})" if not ledger.alive.all() else ""
    text = f"{variants}: {counted(len(ledger.peaks), 'allele')} read, {len(kept)} kept{counts}"
    if not len(kept):
        raise InputError(f"{text}; no variant is left: {_first(ledger)}{hint}")
    lost = ~ledger.alive & ~np.isin(ledger.reason, EXPECTED)
    many = int(lost.sum()) > MANY_DROPPED * len(ledger.peaks)
    announce(logger, logging.WARNING if many else logging.INFO, text + (hint if many else ""))
    first = [*VARIANT_COLUMNS, *NORMALISED]
    write_table(kept[[*first, *(name for name in kept if name not in first)]], alleles)


def _first(ledger: RowLedger) -> str:
    """The first dropped alleles with their reasons."""
    table = ledger.peaks
    columns = (table[name] for name in ("source_line", "chrom", "start", "ref", "alt"))
    return offenders(
        f"line {line}: {chrom}:{start + 1} {ref}>{alt}, {reason} ({detail})"
        for line, chrom, start, ref, alt, reason, detail in zip(
            *columns, ledger.reason, ledger.detail, strict=True
        )
    )


def _drop_unowned(ledger: RowLedger, held_out: Mapping[str, Sequence[str]]) -> None:
    owned = {chrom for names in held_out.values() for chrom in names}
    rows = ledger.rows
    lost = ~ledger.peaks["chrom"].iloc[rows].isin(owned).to_numpy(bool)
    ledger.drop(rows[lost], "not_held_out", "no fold held this chromosome out (fold_use: held_out)")


def read_alleles(path: str | Path) -> pd.DataFrame:
    """Read ``alleles.tsv``: N alleles; further columns of the input are text."""
    table = read_text(require_file(path, what="alleles"))
    missing = [name for name in (*VARIANT_COLUMNS, *NORMALISED) if name not in table]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; expected what prepare_variants writes")
    return table.astype(dict.fromkeys(_NUMBERS, np.int64))


def digest_alleles(table: pd.DataFrame) -> str:
    """Digest of which alleles there are, in their order."""
    rows = zip(table["chrom"], table["at"], table["before"], table["after"], strict=True)
    return digest_strings(f"{chrom} {at} {before}>{after}" for chrom, at, before, after in rows)


def require_same_alleles(
    table: pd.DataFrame, rows: pd.DataFrame, scores: str | Path, alleles: str | Path
) -> None:
    """Raise ``InputError`` unless a table of scores has the rows of a table of alleles, in their order."""
    same = len(table) == len(rows) and bool(
        (table["pos"].to_numpy() == rows["start"].to_numpy() + 1).all()
        and all((table[name].to_numpy() == rows[name].to_numpy()).all() for name in ("chrom", "ref", "alt"))
    )
    if not same:
        raise InputError(
            f"{scores} ({len(table)} rows) and {alleles} ({len(rows)} rows) have different alleles; "
            "run combine_variants again"
        )
