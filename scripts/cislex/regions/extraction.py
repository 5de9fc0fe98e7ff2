"""Regions: fixed-length windows around peaks, every row of the peak file kept or dropped with a reason.

Coordinates are 0-based and half-open. A window of length L around base c is ``[c − L//2, c − L//2 + L)``,
on either strand: c is the middle base of an odd window and the first base of the right half of an even
one. The midpoint of a peak ``[s, e)`` is base ``(s + e) // 2``.
"""

from __future__ import annotations

import csv
import hashlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError
from cislex.files.tables import atomic_path, require_file, write_table
from cislex.files.text_tables import read_numbers, table_named, whole_numbers, write_text_table
from cislex.logs import announce, get_logger
from cislex.regions.aliases import read_aliases
from cislex.regions.genome import Genome
from cislex.regions.peaks import read_peak_file, read_peaks
from cislex.regions.row_ledger import ASKED_FOR, MANY_DROPPED
from cislex.regions.selection import REGION_COLUMNS, RegionOptions, select_regions
from cislex.wording import counted

__all__ = [
    "REGION_COLUMNS",
    "RegionOptions",
    "bed_names",
    "extract_regions",
    "read_regions_bed",
    "rows_of_source",
    "select_regions",
    "write_regions_bed",
]

logger = get_logger(__name__)


def extract_regions(
    peaks: str | Path,
    fasta: str | Path,
    regions: str | Path,
    dropped: str | Path,
    *,
    options: RegionOptions,
    aliases: str | Path | None = None,
    blacklist: str | Path | None = None,
    fai: str | Path | None = None,
    gzi: str | Path | None = None,
    adjusted: str | Path | None = None,
) -> pd.DataFrame:
    """Make windows from a peak file and account for every row.

    Parameters
    ----------
    peaks, fasta
        Peak file and genome.
    regions, dropped
        Written: the kept windows (BED with a header), and the rows dropped with reason and detail.
    options
        What to keep.
    aliases, blacklist
        Table of chromosome names and BED of intervals to avoid, or None.
    fai, gzi
        The genome's index (``genome.index_genome``), or None.
    adjusted
        Written: rows that are kept but whose summit was moved or left out, with reason and detail.

    Returns
    -------
    DataFrame
        The kept windows.
    """
    found = read_peak_file(
        peaks,
        file_format=options.file_format,
        malformed=options.malformed,
        summits=options.center == "summit",
    )
    barred = read_peaks(blacklist, file_format="bed", malformed=None) if blacklist is not None else None
    with Genome(fasta, fai=fai, gzi=gzi) as genome:
        kept, lost = select_regions(
            found.rows, genome, options, aliases=read_aliases(aliases), blacklist=barred, source=peaks
        )
    if len(found.dropped):
        lost = pd.concat([found.dropped, lost]).sort_values("source_line", ignore_index=True)
    write_table(lost, dropped)
    if adjusted is not None:
        write_table(found.adjusted, adjusted)
    write_regions_bed(kept, regions, dropped=len(lost))
    reasons = ", ".join(f"{count} {reason}" for reason, count in lost["reason"].value_counts().items())
    unexpected = int((~lost["reason"].isin(ASKED_FOR)).sum())
    many = unexpected > MANY_DROPPED * len(found)
    advice = f"; each row is in {dropped}" if many else ""
    if many and (lost["reason"] == "unknown_chromosome").any():
        advice += "; map other chromosome names in genome: {aliases: file.tsv}"
    if len(found.adjusted):
        advice += f"; {len(found.adjusted)} summits that could not be used: {adjusted or 'see the log'}"
    announce(
        logger,
        logging.WARNING if many or len(found.dropped) or len(found.adjusted) else logging.INFO,
        f"{peaks} ({found.rows.attrs['format']}): {counted(len(found), 'row')} read, "
        f"{counted(len(kept), 'region')} kept, "
        f"{len(lost)} dropped{f' ({reasons})' if reasons else ''}{advice}",
    )
    return kept


def summary_path(path: str | Path) -> Path:
    """The file beside ``regions.bed`` with its number of rows and its digest."""
    return Path(path).with_suffix(".summary.tsv")


def write_regions_bed(regions: pd.DataFrame, path: str | Path, *, dropped: int = 0) -> None:
    """Write ``REGION_COLUMNS`` as BED with a ``#`` header; an empty chromosome is written as ``.``.

    How many rows there are, how many were ``dropped``, and a digest go into the file of ``summary_path``, by
    which a file that was cut at a line end is told.
    """
    table = regions[REGION_COLUMNS].assign(chrom=regions["chrom"].replace("", "."))
    summary_path(path).unlink(missing_ok=True)
    with atomic_path(path) as temporary:
        write_text_table(table.rename(columns={"chrom": "#chrom"}), temporary)
        digest = _digest(temporary)
    row = {"rows": len(table), "dropped": dropped, "digest": digest}
    write_table(pd.DataFrame([row]), summary_path(path))


def read_regions_bed(path: str | Path) -> pd.DataFrame:
    """Read ``regions.bed``: ``REGION_COLUMNS``; regions without coordinates have an empty ``chrom``.

    Where its summary lies beside it, the file must be the one that was written; ``attrs["rows_read"]`` then
    says how many rows were read to make it.

    Raises
    ------
    InputError
        The file is missing, of another kind, or was cut or changed after it was written.
    """
    require_file(path, what="regions")
    texts = dict.fromkeys(("#chrom", "name", "score", "strand"), "str")
    with table_named(path):
        table = pd.read_csv(path, sep="\t", dtype=texts, na_filter=False, quoting=csv.QUOTE_NONE)
    found = list(table.columns.str.lstrip("#"))
    if found != REGION_COLUMNS:
        raise InputError(
            f"{path}: expected the columns {', '.join(REGION_COLUMNS)}; found {', '.join(found)}"
        )
    table.columns = pd.Index(REGION_COLUMNS)
    places = [column for column in REGION_COLUMNS if f"#{column}" not in texts and column not in texts]
    table = table.assign(
        chrom=table["chrom"].replace(".", ""),
        **{column: whole_numbers(table, column, path) for column in places},
    )
    if summary_path(path).is_file():
        table.attrs["rows_read"] = _check_summary(path, len(table))
    return table


def _check_summary(path: str | Path, count: int) -> int:
    """Rows that were read to make the regions; InputError unless the file is as it was written."""
    summary = read_numbers(summary_path(path), texts=("digest",))
    if list(summary) != ["rows", "dropped", "digest"] or len(summary) != 1:
        raise InputError(f"{summary_path(path)}: expected one row of rows, dropped and digest; run again")
    rows, lost = (int(whole_numbers(summary, name, summary_path(path))[0]) for name in ("rows", "dropped"))
    written = summary.iloc[0]
    if rows != count or written["digest"] != _digest(path):
        raise InputError(
            f"{path}: found {count} regions, but {rows} were written, or different ones: the "
            f"file was truncated or changed; delete it and run again (or delete {summary_path(path).name} to "
            "use it as is)"
        )
    return rows + lost


def _digest(path: str | Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def rows_of_source(regions: pd.DataFrame) -> tuple[NDArray[np.int64], int]:
    """Row of each region in the file that it comes from, and the rows of that file, dropped ones included."""
    count = len(regions)
    if not count or (regions["chrom"] != "").any() or "source_line" not in regions:
        return np.arange(count), count
    rows = regions["source_line"].to_numpy(np.int64) - 1
    return rows, int(regions.attrs.get("rows_read", max(count, rows.max() + 1)))


def bed_names(regions: pd.DataFrame) -> pd.Series:
    """Chromosome column of sequences given directly: the name; with its row where several have it.

    A name that BED would read as a header has ``_`` before it.
    """
    names = regions["name"].astype(str)
    rows = pd.Series(np.arange(1, len(names) + 1).astype(str), index=names.index)
    unique = names.where(~names.duplicated(keep=False), names + ".row" + rows)
    header = unique.str.startswith("#") | unique.isin(["track", "browser"])
    return unique.where(~header, "_" + unique)


def locus(region: pd.Series) -> str:
    """``chrom:start-end``, or the name where there are no coordinates."""
    return f"{region['chrom']}:{region['start']}-{region['end']}" if region["chrom"] else str(region["name"])
