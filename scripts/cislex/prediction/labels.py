"""Read labels of regions: columns of peak files or tables, bigWig signal, HDF5 arrays."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.files.compressed import read_lines
from cislex.files.malformed import MALFORMED
from cislex.files.user_arrays import named_dataset, open_arrays
from cislex.regions.extraction import locus, rows_of_source
from cislex.regions.intervals import genome_name, nearest_distance
from cislex.regions.peaks import read_peaks
from cislex.training.signal import MINUS, PLUS, UNSTRANDED, Channel, total_signal

KEYS = ("auto", "name", "locus")
KINDS = ("auto", "classes", "numbers")
TRANSFORMS = ("auto", "none", "log1p")
STRANDS = ("both", PLUS, MINUS)
MISSING = ("error", "drop")
#: Cells that say that there is no label, in lower case.
EMPTY = {"", ".", "na", "n/a", "nan", "none", "null"}
PLACE = ["chrom", "start", "end"]

Labels = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LabelSource:
    """Where the labels of one target come from: one of five places.

    Attributes
    ----------
    column
        A column, by name or by its number from 1: of ``table``, or without it of the regions' peak file.
    table
        Table with a header that has ``name``, or ``chrom``, ``start`` and ``end``; or BED without a header.
    key
        How rows of the table find their regions: by ``name``, by ``locus`` (that of the window or of its
        peak), or ``auto``: by locus where the table has one.
    peaks, distance
        Peak file: the label is 1 where one of its summits (or midpoints) lies within this many bp of the
        middle of the region, else 0.
    malformed
        Whether rows of ``peaks``, or of a table that is BED, that cannot be used are an ``error``, or
        dropped (``drop``).
    bigwig, plus, minus
        Signal whose sum over the window is the label: one file, or one of either strand.
    window
        Middle bp of a region over which signal is summed; None: all.
    strand
        With ``plus`` and ``minus``: the sum of ``both``, or one strand, as the sequence is read.
    hdf5, dataset, index
        Array (N,) or (N, outputs) of numbers, row i for region i, and the column of it.
    kind
        ``classes`` (0 or 1), ``numbers``, or ``auto``: classes where every label is 0 or 1.
    transform
        ``log1p``, ``none``, or ``auto``: log1p for summed signal.
    missing
        Whether a region without a label is an error, or dropped from the evaluation.
    """

    column: str | int | None = None
    table: str | Path | None = None
    key: str = "auto"
    peaks: str | Path | None = None
    distance: int = 80
    malformed: str = "error"
    bigwig: str | Path | None = None
    plus: str | Path | None = None
    minus: str | Path | None = None
    window: int | None = None
    strand: str = "both"
    hdf5: str | Path | None = None
    dataset: str | None = None
    index: int = 0
    kind: str = "auto"
    transform: str = "auto"
    missing: str = "error"

    def __post_init__(self) -> None:
        choices = {"key": KEYS, "kind": KINDS, "transform": TRANSFORMS, "strand": STRANDS, "missing": MISSING}
        choices["malformed"] = MALFORMED
        for name, valid in choices.items():
            if getattr(self, name) not in valid:
                raise ConfigError(
                    f"labels, {name}: found {getattr(self, name)!r}, expected one of {', '.join(valid)}"
                )
        given = [self.column, self.peaks, self.files or None, self.dataset]
        if sum(value is not None for value in given) != 1:
            raise ConfigError(
                "labels: give exactly one of column, peaks, bigwig (or plus and minus) and dataset"
            )
        if self.files and set(self.files) not in ({UNSTRANDED}, {PLUS, MINUS}):
            raise ConfigError(
                f"labels: found {', '.join(self.files)}; give bigwig alone, or both plus and minus"
            )

    @property
    def files(self) -> dict[str, Path]:
        """The bigWig files that are given, by key."""
        given = {UNSTRANDED: self.bigwig, PLUS: self.plus, MINUS: self.minus}
        return {key: Path(path) for key, path in given.items() if path is not None}

    @property
    def takes_log(self) -> bool:
        """Whether labels are log(1 + number)."""
        return self.transform == "log1p" or (self.transform == "auto" and bool(self.files))


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The source of the regions.

    Attributes
    ----------
    peaks, file_format
        Their peak file, where they have one.
    lengths
        Chromosomes of the genome and their lengths.
    aliases
        Other names of chromosomes.
    """

    peaks: str | Path | None = None
    file_format: str = "auto"
    lengths: Mapping[str, int] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


def read_labels(source: LabelSource, regions: pd.DataFrame, origin: Origin, *, target: str) -> Labels:
    """Read the labels of one target.

    Parameters
    ----------
    source
        Where they come from.
    regions
        ``regions.bed``, see :func:`cislex.regions.extraction.read_regions_bed`.
    origin
        What the regions were made from.
    target
        Name of the target, for errors.

    Returns
    -------
    ndarray
        float64 (N,), transformed; NaN where a region has no label and ``missing`` is ``drop``.

    Raises
    ------
    ConfigError, InputError
        A file, column or dataset is not there; a label is missing, infinite, no number or, for classes,
        neither 0 nor 1: how many, and the first of them.
    """
    what = f"labels of {target}"
    if source.files:
        values, where = _from_signal(source, regions, origin, what), offenders(source.files.values())
    elif source.peaks is not None:
        values, where = _from_overlap(source, regions, origin, what), str(source.peaks)
    elif source.dataset is not None:
        values, where = _from_hdf5(source, regions, what), f"{source.hdf5}, {source.dataset}"
    elif source.table is not None:
        values, where = _from_table(source, regions, origin, what), str(source.table)
    else:
        values, where = _from_own_peaks(source, regions, origin, what), str(origin.peaks)
    _require_labels(values, source, regions, f"{what}: {where}")
    return np.log1p(values) if source.takes_log else values


def is_classes(values: Labels, source: LabelSource) -> bool:
    """Whether labels, NaN where there is none, are classes."""
    if source.kind == "auto":
        return not source.files and bool(np.isin(values[~np.isnan(values)], (0, 1)).all())
    return source.kind == "classes"


def _require_labels(values: Labels, source: LabelSource, regions: pd.DataFrame, what: str) -> None:
    def named(bad: NDArray[np.bool_]) -> str:
        rows = [locus(row) for _, row in regions[bad].head(3).iterrows()]
        return f"{int(bad.sum())} of {len(values)} regions, first {', '.join(rows)}"

    none = np.isnan(values)
    if none.all():
        raise InputError(f"{what}: no label for any of the {len(values)} regions")
    if none.any() and source.missing == "error":
        raise InputError(f"{what}: no label for {named(none)}; add them, or set missing: drop")
    if np.isinf(values).any():
        raise InputError(f"{what}: infinite labels for {named(np.isinf(values))}")
    if source.kind == "classes" and (odd := ~none & ~np.isin(values, (0, 1))).any():
        raise InputError(f"{what}: neither 0 nor 1 for {named(odd)}; for continuous labels set kind: numbers")
    if source.takes_log and (below := values <= -1).any():
        raise InputError(f"{what}: log1p needs labels above -1; violated by {named(below)}")


def _from_signal(source: LabelSource, regions: pd.DataFrame, origin: Origin, what: str) -> Labels:
    """Sum of the signal over the middle of each region."""
    _require_coordinates(regions, what)
    length = int(regions["end"].iloc[0] - regions["start"].iloc[0])
    window = source.window or length
    if window > length or (length - window) % 2:
        raise ConfigError(
            f"{what}: window is {window}; expected 1 to {length} (the regions' length), and an even "
            "difference, so that the middle is the middle on both strands"
        )
    chroms = regions["chrom"].to_numpy(object)
    starts = regions["start"].to_numpy(np.int64) + (length - window) // 2
    totals = {
        key: total_signal(
            Channel(what, path, key == MINUS, 0),
            chroms, starts, window, known=origin.lengths, aliases=origin.aliases,
        )
        for key, path in source.files.items()
    }  # fmt: skip
    if source.bigwig is not None or source.strand == "both":
        return np.sum(list(totals.values()), axis=0)
    # The sequence of a region on the minus strand is read on that strand.
    same, other = (PLUS, MINUS) if source.strand == PLUS else (MINUS, PLUS)
    return np.where(regions["strand"] == "-", totals[other], totals[same])


def _from_overlap(source: LabelSource, regions: pd.DataFrame, origin: Origin, what: str) -> Labels:
    """1 where a peak of the file lies near the middle of a region, else 0."""
    _require_coordinates(regions, what)
    assert source.peaks is not None
    peaks = read_peaks(source.peaks, malformed=source.malformed)
    chroms = peaks["chrom"].map(lambda name: genome_name(name, origin.lengths, origin.aliases))
    middle = (peaks["start"] + peaks["end"]) // 2
    centre = peaks["summit"].where(peaks["summit"] >= 0, middle).to_numpy(np.int64)
    if not chroms.isin(origin.lengths).any():
        raise InputError(
            f"{what}: {source.peaks}: no peak is on a chromosome of the genome; found "
            f"{offenders(chroms.unique())}, expected {offenders(origin.lengths)}"
        )
    own = (regions["start"] + (regions["end"] - regions["start"]) // 2).to_numpy(np.int64)
    labels = np.zeros(len(regions))
    for chrom in regions["chrom"].unique():
        rows = (regions["chrom"] == chrom).to_numpy()
        near = nearest_distance(own[rows], np.sort(centre[(chroms == chrom).to_numpy()]))
        labels[rows] = near <= source.distance
    return labels


def _require_coordinates(regions: pd.DataFrame, what: str) -> None:
    if (regions["chrom"] == "").any():
        raise InputError(f"{what}: needs coordinates, but these sequences were given directly")


def _from_hdf5(source: LabelSource, regions: pd.DataFrame, what: str) -> Labels:
    if source.hdf5 is None or source.dataset is None:
        raise ConfigError(f"{what}: `dataset` is set but `hdf5` is not; give the path of the HDF5 file")
    with open_arrays(source.hdf5, what=what) as handle:
        data = named_dataset(handle, source.dataset, source.hdf5)
        where = f"{what}: {source.hdf5}, {source.dataset}"
        if data.ndim not in (1, 2) or data.dtype.kind not in "buif":
            raise InputError(
                f"{where}: expected numbers (N,) or (N, outputs), found {data.dtype} {data.shape}"
            )
        rows, total = rows_of_source(regions)
        if len(data) != total:
            raise InputError(
                f"{where}: {len(data)} labels for {total} regions; expected one each, in their order"
            )
        width = 1 if data.ndim == 1 else data.shape[1]
        if not 0 <= source.index < width:
            raise ConfigError(f"{where}: index is {source.index}; it has columns 0 to {width - 1}")
        values = data[()] if data.ndim == 1 else data[:, source.index]
    return np.asarray(values, dtype=np.float64)[rows]


def _from_own_peaks(source: LabelSource, regions: pd.DataFrame, origin: Origin, what: str) -> Labels:
    """The column of each region's own row of the peak file."""
    if origin.peaks is None:
        raise ConfigError(
            f"{what}: column {source.column} needs a table, since the regions have no peak file"
        )
    # What cannot be used was refused or dropped when the regions were made.
    peaks = read_peaks(origin.peaks, file_format=origin.file_format, malformed="drop", summits=False)
    texts = peaks[_column(source.column, peaks.attrs["columns"], origin.peaks, what)]
    by_line = pd.Series(texts.to_numpy(), index=peaks["source_line"])
    lost = ~regions["source_line"].isin(by_line.index)
    if lost.any():
        raise InputError(
            f"{what}: {origin.peaks} has no row for {int(lost.sum())} regions, first line "
            f"{offenders(regions.loc[lost, 'source_line'])}; did it change after region extraction?"
        )
    return _as_numbers(by_line.loc[regions["source_line"]], f"{what}: {origin.peaks}")


def _from_table(source: LabelSource, regions: pd.DataFrame, origin: Origin, what: str) -> Labels:
    """The column of the row that has a region's name or locus."""
    assert source.table is not None
    table, columns = _read_table(source.table, what, source.malformed)
    values = table[_column(source.column, columns, source.table, what)]
    has_locus = set(PLACE) <= set(table)
    key = ("locus" if has_locus else "name") if source.key == "auto" else source.key
    if not (has_locus if key == "locus" else "name" in table):
        raise ConfigError(f"{what}: {source.table} has no {key}; it has {', '.join(columns)}")
    if key == "name":
        found = _find(table["name"], values, [regions["name"]], f"{what}: {source.table}")
    else:
        own = table["chrom"].map(lambda name: genome_name(name, origin.lengths, origin.aliases))
        at = own + ":" + table["start"].astype(str) + "-" + table["end"].astype(str)
        wanted = [
            regions["chrom"] + ":" + regions[start].astype(str) + "-" + regions[end].astype(str)
            for start, end in (("start", "end"), ("peak_start", "peak_end"))
        ]
        found = _find(at, values, wanted, f"{what}: {source.table}")
    return _as_numbers(found, f"{what}: {source.table}")


def _read_table(path: str | Path, what: str, malformed: str) -> tuple[pd.DataFrame, list[str]]:
    """A table with a header (tabs or commas, may be gzipped), or BED; and the columns of the file."""
    lines = read_lines(path, what=what, expected="a table or BED")
    found: list[str] = []
    for number, line in enumerate(lines):
        separator = "\t" if "\t" in line else ","
        cells = _cells(line.lstrip("#"), separator)
        found = found or cells
        if "name" in cells or set(PLACE) <= set(cells):
            return _read_rows(lines[number + 1 :], separator, cells, f"{what}: {path}"), cells
        if len(cells) > 2 and cells[1].isdecimal() and cells[2].isdecimal():
            peaks = read_peaks(path, malformed=malformed, summits=False)
            return peaks, peaks.attrs["columns"]
        if line.strip() and not line.startswith(("#", "track", "browser")):
            break
    raise InputError(
        f"{what}: {path} is neither BED nor a table whose header has name, or chrom, start and end; its "
        f"first line has {', '.join(found)[:80] or 'nothing'}"
    )


def _cells(line: str, separator: str) -> list[str]:
    """Cells of a header; quotes are letters like any other where tabs separate. None is empty."""
    if separator == "\t" or len(line) > csv.field_size_limit():
        cells = line.split(separator)
    else:
        cells = next(csv.reader([line]), [])
    return [cell.strip() or f"column {i}" for i, cell in enumerate(cells, 1)]


def _read_rows(lines: list[str], separator: str, names: list[str], where: str) -> pd.DataFrame:
    """The rows below a header, as text."""
    try:
        return pd.read_csv(
            io.StringIO("\n".join(lines)), sep=separator, header=None, names=names, dtype="str",
            na_filter=False, index_col=False,
            quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        raise InputError(f"{where} cannot be read as a table: {error}") from error


def _column(column: str | int | None, columns: list[str], path: str | Path, what: str) -> str:
    """Name of the column that was named, or numbered from 1."""
    if isinstance(column, int) and 1 <= column <= len(columns):
        return columns[column - 1]
    if column not in columns:
        raise ConfigError(f"{what}: {path} has no column {column!r}; it has {', '.join(columns)}")
    return str(column)


def _find(keys: pd.Series, values: pd.Series, wanted: list[pd.Series], what: str) -> pd.Series:
    """Value of each region, NaN where no row has any of its keys."""
    rows = pd.DataFrame({"key": keys.to_numpy(), "value": values.astype(str).to_numpy()}).drop_duplicates()
    twice = rows.loc[rows["key"].duplicated(), "key"]
    known = rows.drop_duplicates("key").set_index("key")["value"]
    found = wanted[0].map(known)
    for other in wanted[1:]:
        found = found.fillna(other.map(known))
    asked = twice[twice.isin(pd.concat(wanted))]
    if len(asked):
        raise InputError(f"{what}: rows with the same key have different labels: {offenders(asked.unique())}")
    return found


def _as_numbers(cells: pd.Series, what: str) -> Labels:
    """Cells as float64; NaN where a cell is empty."""
    texts = cells.astype(object).where(cells.notna(), "").astype(str).str.strip()
    values = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)
    odd = np.isnan(values) & ~texts.str.lower().isin(EMPTY).to_numpy()
    if odd.any():
        found = ", ".join(map(repr, texts[odd].unique()[:3]))
        raise InputError(f"{what}: {int(odd.sum())} labels are not numbers, first {found}")
    return values
