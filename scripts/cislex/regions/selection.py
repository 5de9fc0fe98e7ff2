"""Selecting regions: the filters between a peak file and the windows that are used, in a fixed order.

Each filter drops rows with a reason; no row is lost without one.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.files.malformed import ROW_COLUMNS, require_stance
from cislex.files.scratch import probe_space, scratch_folder
from cislex.files.text_tables import write_text_table
from cislex.logs import get_logger
from cislex.regions.genome import UNKNOWN, Genome
from cislex.regions.peaks import FORMATS, order_values
from cislex.regions.row_ledger import RowLedger, best_first, drop_surplus

logger = get_logger(__name__)

REGION_COLUMNS = ["chrom", "start", "end", "name", "score", "strand", "peak_start", "peak_end", "source_line"]
DROPPED_COLUMNS = ROW_COLUMNS


@dataclass(frozen=True)
class RegionOptions:
    """How windows are made from peaks; the steps apply in the order of these fields.

    Attributes
    ----------
    length
        Length of every window (bp).
    file_format
        Format of the peak file: auto, bed, narrowPeak, summits.
    malformed
        Whether rows that cannot be used are an ``error``, or dropped (``drop``).
    exclude_chromosomes, only_chromosomes
        Names, of the genome or aliases. An empty ``only_chromosomes`` means all.
    center
        ``summit`` (the midpoint where the file tells no summit) or ``midpoint``.
    edge
        A window that passes a chromosome's end is dropped (``drop``) or moved inside (``shift``).
    max_unknown
        Largest fraction of unknown bases (not A, C, G, T) in a window.
    order_by
        Column by which rows are ranked, higher first: a name or a 1-based number.
    deduplicate
        ``none``; ``exact``: one row per window and strand; ``overlap``: no two windows overlap. The
        best by ``order_by`` stays, the first in the file among equals.
    top
        Keep the best this many.
    sample
        Keep a random sample of this many.
    seed
        Seed of the sample.
    """

    length: int
    file_format: str = "auto"
    malformed: str = "error"
    exclude_chromosomes: tuple[str, ...] = ()
    only_chromosomes: tuple[str, ...] = ()
    center: str = "summit"
    edge: str = "drop"
    max_unknown: float = 0.1
    order_by: str | int = "score"
    deduplicate: str = "exact"
    top: int | None = None
    sample: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {
            "file_format": FORMATS,
            "center": ("summit", "midpoint"),
            "edge": ("drop", "shift"),
            "deduplicate": ("none", "exact", "overlap"),
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ConfigError(
                    f"regions, {field}: found {getattr(self, field)!r}, expected {', '.join(allowed)}"
                )
        for field, least in (("length", 1), ("top", 1), ("sample", 1), ("seed", 0)):
            value = getattr(self, field)
            if value is not None and (not isinstance(value, int) or value < least):
                raise ConfigError(f"regions, {field}: found {value!r}, expected a whole number from {least}")
        require_stance(self.malformed, what="regions")
        if not 0 <= self.max_unknown <= 1:
            raise ConfigError(f"regions, max_unknown: found {self.max_unknown!r}, expected 0 to 1")
        for field in ("exclude_chromosomes", "only_chromosomes"):
            object.__setattr__(self, field, tuple(getattr(self, field)))


def select_regions(
    peaks: pd.DataFrame,
    genome: Genome,
    options: RegionOptions,
    *,
    aliases: Mapping[str, str] | None = None,
    blacklist: pd.DataFrame | None = None,
    source: str | Path = "peaks",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Windows of the usable peaks, and the peaks that were dropped.

    Parameters
    ----------
    peaks
        From ``peaks.read_peaks``.
    genome
        The genome, for chromosome lengths and unknown bases.
    options
        What to keep.
    aliases
        Other names of chromosomes: alias → name in the genome. A name that the genome has is itself.
    blacklist
        Intervals (``chrom``, ``start``, ``end``); a window that overlaps one is dropped.
    source
        Name of the peak file, for messages.

    Returns
    -------
    kept, dropped : DataFrame
        ``REGION_COLUMNS`` and ``DROPPED_COLUMNS``; every row of ``peaks`` is in exactly one of them,
        in the order of the file.

    Raises
    ------
    InputError
        No row is usable.
    """
    aliases = aliases or {}
    ledger = RowLedger(peaks)
    values = _ranking(peaks, options, source)
    chroms = _translate(peaks["chrom"], genome, aliases)
    _drop_chromosomes(ledger, chroms, genome, options, aliases)
    starts = _place(ledger, chroms, genome, options)
    if blacklist is not None:
        _drop_blacklisted(ledger, chroms, starts, options.length, blacklist, genome, aliases)
    _drop_unknown(ledger, chroms, starts, genome, options)
    if options.deduplicate != "none":
        _drop_duplicates(ledger, chroms, starts, values, options)
    drop_surplus(ledger, values, options)
    _require_regions(ledger, genome, source)
    return _tables(ledger, chroms, starts, options.length)


def _ranking(peaks: pd.DataFrame, options: RegionOptions, source: str | Path) -> NDArray[np.float64]:
    try:
        return order_values(peaks, options.order_by, path=source)
    except ConfigError:
        # BED3 has no score: without `top` the ranking only settles ties, and file order will do.
        if options.top is not None or options.order_by != "score":
            raise
        return np.full(len(peaks), np.nan)


def _translate(names: pd.Series, genome: Genome, aliases: Mapping[str, str]) -> pd.Series:
    table = {name: name if name in genome.lengths else aliases.get(name, name) for name in names.unique()}
    return names.map(table)


def _chromosome_set(names: Iterable[str], genome: Genome, aliases: Mapping[str, str]) -> set[str]:
    return {name if name in genome.lengths else aliases.get(name, name) for name in names}


def _drop_chromosomes(
    ledger: RowLedger, chroms: pd.Series, genome: Genome, options: RegionOptions, aliases: Mapping[str, str]
) -> None:
    unknown = ~chroms.isin(list(genome.lengths))
    ledger.drop(unknown.to_numpy(bool), "unknown_chromosome", "neither in the genome nor in the alias table")
    if unknown.any():
        names = ledger.peaks.loc[unknown, "chrom"].unique()
        logger.warning("%d rows on chromosomes missing from the genome: %s", unknown.sum(), offenders(names))
    excluded = _chromosome_set(options.exclude_chromosomes, genome, aliases)
    only = _chromosome_set(options.only_chromosomes, genome, aliases)
    if missing := sorted(only - set(genome.lengths)):
        raise ConfigError(
            f"regions, only_chromosomes: not in the genome: {offenders(missing)}; "
            f"it has {offenders(genome.lengths)}"
        )
    if missing := sorted(excluded - set(genome.lengths)):
        logger.warning(
            "exclude_chromosomes names chromosomes missing from the genome: %s", offenders(missing)
        )
    ledger.drop(chroms.isin(excluded).to_numpy(bool), "excluded_chromosome", "in exclude_chromosomes")
    if only:
        ledger.drop(~chroms.isin(only).to_numpy(bool), "excluded_chromosome", "not in only_chromosomes")


def _place(ledger: RowLedger, chroms: pd.Series, genome: Genome, options: RegionOptions) -> NDArray[np.int64]:
    """Start of every row's window: int64 (N,); rows whose window does not fit are dropped."""
    peaks, length = ledger.peaks, options.length
    start, end = peaks["start"].to_numpy(np.int64), peaks["end"].to_numpy(np.int64)
    size = chroms.map(genome.lengths).fillna(-1).to_numpy(np.int64)
    outside = ledger.alive & (end > size)
    ledger.drop(
        outside, "outside_chromosome", "the peak ends past the chromosome's end: is it from another assembly?"
    )
    if outside.any():
        logger.warning(
            "%d peaks end past their chromosome: is the file from another assembly?", outside.sum()
        )
    middle = (start + end) // 2
    summit = peaks["summit"].to_numpy(np.int64)
    centre = np.where(summit >= 0, summit, middle) if options.center == "summit" else middle
    window = centre - length // 2
    ledger.drop(size < length, "short_chromosome", "the chromosome is shorter than the window")
    if options.edge == "shift":
        return np.clip(window, 0, np.maximum(size - length, 0))
    over = (window < 0) | (window + length > size)
    ledger.drop(over, "past_edge", "the window passes the chromosome's end")
    return window


def _drop_blacklisted(
    ledger: RowLedger,
    chroms: pd.Series,
    starts: NDArray[np.int64],
    length: int,
    blacklist: pd.DataFrame,
    genome: Genome,
    aliases: Mapping[str, str],
) -> None:
    rows = ledger.rows
    barred = blacklist.assign(chrom=_translate(blacklist["chrom"], genome, aliases))
    barred = barred.loc[barred["chrom"].isin(list(genome.lengths)), ["chrom", "start", "end"]]
    if len(barred) < len(blacklist):
        logger.warning(
            "blacklist: %d of %d intervals are on chromosomes missing from the genome",
            len(blacklist) - len(barred),
            len(blacklist),
        )
    if not len(rows) or not len(barred):
        return
    windows = pd.DataFrame(
        {"chrom": chroms.to_numpy()[rows], "start": starts[rows], "end": starts[rows] + length, "row": rows}
    )
    hits = _intersect(windows, barred)
    where = hits["chrom"] + ":" + hits["start"].astype(str) + "-" + hits["end"].astype(str)
    ledger.drop(hits["row"].to_numpy(np.int64), "blacklisted", ("overlaps " + where).to_numpy(object))


def _intersect(windows: pd.DataFrame, barred: pd.DataFrame) -> pd.DataFrame:
    """First barred interval that overlaps each window: ``chrom start end`` of the interval, ``row``."""
    if shutil.which("bedtools") is None:
        raise ConfigError("genome, blacklist: needs bedtools; install it (apt install bedtools)")
    import pybedtools

    with scratch_folder("blacklist") as folder:
        paths = [str(folder / name) for name in ("windows.bed", "barred.bed", "hits.bed")]
        for frame, path in ((windows, paths[0]), (barred, paths[1])):
            write_text_table(frame, path, header=False)
        pybedtools.BedTool(paths[0]).intersect(
            b=paths[1], wa=True, wb=True, nonamecheck=True, output=paths[2]
        )
        probe_space(paths[2])  # bedtools does not look whether what it writes was taken
        if not Path(paths[2]).stat().st_size:
            return pd.DataFrame({"row": np.zeros(0, np.int64), "chrom": "", "start": 0, "end": 0})
        hits = pd.read_csv(
            paths[2], sep="\t", header=None, usecols=[3, 4, 5, 6], dtype={4: "str"}, na_filter=False,
            quoting=csv.QUOTE_NONE,
        )  # fmt: skip
    return hits.set_axis(["row", "chrom", "start", "end"], axis=1).drop_duplicates("row")


def _drop_unknown(
    ledger: RowLedger, chroms: pd.Series, starts: NDArray[np.int64], genome: Genome, options: RegionOptions
) -> None:
    rows = ledger.rows
    if options.max_unknown >= 1 or not len(rows):
        return
    count = np.zeros(len(rows), dtype=np.int64)
    for which, codes, offsets in genome.windows(chroms.iloc[rows], starts[rows], options.length):
        total = np.concatenate([[0], np.cumsum(codes == UNKNOWN, dtype=np.int64)])
        count[which] = total[offsets + options.length] - total[offsets]
    bad = count > options.max_unknown * options.length
    detail = [f"{n} of {options.length} bases are unknown" for n in count[bad]]
    ledger.drop(rows[bad], "unknown_bases", np.array(detail, dtype=object))


def _drop_duplicates(
    ledger: RowLedger,
    chroms: pd.Series,
    starts: NDArray[np.int64],
    values: NDArray[np.float64],
    options: RegionOptions,
) -> None:
    ranked = best_first(ledger.rows, values)
    lines = ledger.peaks["source_line"].to_numpy(np.int64)
    chrom_codes, _ = pd.factorize(chroms)
    if options.deduplicate == "exact":
        minus = (ledger.peaks["strand"] == "-").to_numpy(bool)
        keys = pd.DataFrame({"chrom": chrom_codes, "start": starts, "minus": minus}).iloc[ranked]
        keeper = pd.Series(ranked, index=keys.index).groupby([keys[c] for c in keys]).transform("first")
        keepers, reason = keeper.to_numpy(np.int64), "duplicate"
    else:
        keepers = _overlap_keepers(chrom_codes[ranked], starts[ranked], options.length)
        keepers, reason = ranked[keepers], "overlapping"
    lost = keepers != ranked
    detail = [f"of the window of line {line}, which is kept" for line in lines[keepers[lost]]]
    ledger.drop(ranked[lost], reason, np.array(detail, dtype=object))


def _overlap_keepers(chroms: NDArray[np.int64], starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Greedy choice: for each window, in order, itself or the earlier kept one that it overlaps.

    Kept windows are filed by bins as long as a window: a bin holds at most one kept start, and only
    the neighbouring bins can hold an overlapping one.
    """
    kept: dict[tuple[int, int], int] = {}
    result = np.arange(len(starts), dtype=np.int64)
    pairs = zip(chroms.tolist(), starts.tolist(), strict=True)
    for index, (chrom, start) in enumerate(pairs):
        place = start // length
        near = (kept.get((chrom, bin_)) for bin_ in (place - 1, place, place + 1))
        overlapping = [
            other for other in near if other is not None and abs(int(starts[other]) - start) < length
        ]
        if overlapping:
            result[index] = min(overlapping)
        else:
            kept[chrom, place] = index
    return result


def _require_regions(ledger: RowLedger, genome: Genome, source: str | Path) -> None:
    if ledger.alive.any():
        return
    raise InputError(
        f"{source}: none of {len(ledger.peaks)} rows gives a usable region; dropped: {ledger.counts()}"
        f"{ledger.unknown_chromosomes(genome.lengths)}"
    )


def _tables(
    ledger: RowLedger, chroms: pd.Series, starts: NDArray[np.int64], length: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    peaks, rows = ledger.peaks, ledger.rows
    kept = peaks.iloc[rows]
    place = kept["chrom"] + ":" + kept["start"].astype(str) + "-" + kept["end"].astype(str)
    regions = pd.DataFrame(
        {
            "chrom": chroms.iloc[rows],
            "start": starts[rows],
            "end": starts[rows] + length,
            "name": kept["name"].where(~kept["name"].isin(["", "."]), place),
            "score": kept["score"],
            "strand": kept["strand"],
            "peak_start": kept["start"],
            "peak_end": kept["end"],
            "source_line": kept["source_line"],
        }
    )
    lost = ~ledger.alive
    dropped = peaks.loc[lost, DROPPED_COLUMNS[:4]].assign(
        reason=ledger.reason[lost], detail=ledger.detail[lost]
    )
    return regions.reset_index(drop=True), dropped.reset_index(drop=True)
