"""Peak files: BED3 to BED12, narrowPeak and summits, plain or gzipped, read and checked as one table."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_integer_dtype

from cislex.errors import ConfigError, InputError
from cislex.files.compressed import read_lines
from cislex.files.malformed import ROW_COLUMNS, Faults, require_stance, write_rows
from cislex.logs import get_logger

logger = get_logger(__name__)

FORMATS = ("auto", "bed", "narrowPeak", "summits")
BED_COLUMNS = [
    *("chrom", "start", "end", "name", "score", "strand"),
    *("thick_start", "thick_end", "rgb", "block_count", "block_sizes", "block_starts"),
]
NARROWPEAK_COLUMNS = [*BED_COLUMNS[:6], "signal_value", "p_value", "q_value", "summit_offset"]
#: First words of a header line that lacks its ``#``.
_HEADERS = {"chrom", "chr", "chromosome", "seqname", "seqnames"}
#: Coordinates above this are a mistake in any genome, and would overflow window arithmetic.
_MAX_COORDINATE = 1 << 40
#: A whole number; some programs write it as ``100.0``.
_WHOLE = r"-?\d{1,12}(\.0*)?"


@dataclass(frozen=True)
class PeakFile:
    """A peak file, each row of which is in exactly one of ``rows`` and ``dropped``.

    Attributes
    ----------
    rows
        The usable rows, see :func:`read_peaks`.
    dropped
        Malformed rows that were dropped: ``malformed.ROW_COLUMNS``.
    adjusted
        Rows of ``rows`` whose summit was moved into the peak or left out: the same columns.
    """

    rows: pd.DataFrame
    dropped: pd.DataFrame
    adjusted: pd.DataFrame

    def __len__(self) -> int:
        """Rows that were read."""
        return len(self.rows) + len(self.dropped)


def read_peaks(
    path: str | Path, *, file_format: str = "auto", malformed: str | None = "error", summits: bool = True
) -> pd.DataFrame:
    """Read the usable rows of a peak file; those that were dropped are in a file that a warning names.

    Parameters and errors are those of :func:`read_peak_file`.

    Returns
    -------
    DataFrame
        ``source_line`` (1-based line of the file), ``chrom``, ``start``, ``end`` (int64), ``name``,
        ``score`` (text), ``strand`` (+, - or .), ``summit`` (int64 position of the summit, −1 where
        the file tells none) and the file's further columns by name. ``attrs["columns"]`` lists the
        file's columns by position.
    """
    found = read_peak_file(path, file_format=file_format, malformed=malformed, summits=summits)
    if len(found.dropped):
        logger.warning(
            "%s: the %d dropped malformed rows are listed in %s",
            path,
            len(found.dropped),
            write_rows(found.dropped),
        )
    return found.rows


def read_peak_file(
    path: str | Path, *, file_format: str = "auto", malformed: str | None = "error", summits: bool = True
) -> PeakFile:
    """Read a peak file, check every row, and account for each.

    Comment (``#``), ``track``, ``browser``, header and empty lines are not rows. Columns are separated
    by tabs, or by blanks where the first row has no tab. A summit one past the end of its peak (files
    that count from 1 have them) is moved to the last base, with a warning that counts them.

    Parameters
    ----------
    path
        BED3 to BED12 (further columns are kept as ``column_13`` …), narrowPeak or summits; may be
        gzipped.
    file_format
        ``auto`` (10 columns, the last a whole number in most rows: narrowPeak; all intervals one base
        wide: summits; else BED), ``bed``, ``narrowPeak`` or ``summits``.
    malformed
        Whether rows that cannot be used are an ``error``, or dropped (``drop``). None: an error, where
        the config leaves no choice.
    summits
        Whether summits are needed. If not, one that cannot be used is left out and its row kept.

    Raises
    ------
    InputError
        Rows are malformed (every kind of fault, each with its count and the first three by file and
        line; all of them in a file that the message names), or there is no usable row.
    """
    if file_format not in FORMATS:
        raise ConfigError(f"format of {path}: found {file_format!r}, expected one of {', '.join(FORMATS)}")
    require_stance(malformed or "error", what=str(path))
    numbers, rows = _data_lines(path)
    faults, adjusted = Faults(path), []
    frame = _parse(path, numbers, rows, faults)
    del rows
    sound = _check_intervals(frame, faults)
    if file_format == "auto":
        file_format = _detect(frame[sound], path)
    columns = list(frame.columns[1:])
    if file_format == "narrowPeak":
        frame, columns = _as_narrowpeak(path, frame, faults)
        adjusted = _check_offsets(frame, sound, faults, needed=summits)
    frame["summit"] = _summits(frame, file_format, sound, faults)
    for column, default in (("name", "."), ("score", "."), ("strand", ".")):
        if column not in frame:
            frame[column] = default
    frame["strand"] = frame["strand"].replace({"*": ".", "": "."})
    faults.find(frame, ~frame["strand"].isin(["+", "-", "."]), "strand {strand!r} is not one of + - .")
    if malformed != "drop":
        faults.refuse(f"correct or remove them{', or set malformed: drop' if malformed else ''}")
    return _account(path, frame, faults, adjusted, {"columns": columns, "format": file_format})


def _account(
    path: str | Path,
    frame: pd.DataFrame,
    faults: Faults,
    adjusted: list[pd.DataFrame],
    attributes: dict[Hashable | None, Any],
) -> PeakFile:
    """Part the usable rows from the others, and say how many of them are not as the file has them."""
    if faults.lines:
        frame = frame[~frame["source_line"].isin(faults.lines)].reset_index(drop=True)
        if not len(frame):
            faults.refuse("no valid rows are left")
        logger.warning("%s: malformed rows dropped:\n%s", path, "\n".join(faults.messages()))
    frame.attrs = attributes
    changed = [rows for rows in adjusted if len(rows)]
    table = pd.concat(changed) if changed else pd.DataFrame(columns=ROW_COLUMNS)
    table = table[table["source_line"].isin(frame["source_line"])].sort_values("source_line")
    for reason, rows in table.groupby("reason", sort=False):
        first = [f"line {row.source_line}: {row.detail}" for row in rows.head(3).itertuples()]
        logger.warning("%s: %d rows with %s: %s", path, len(rows), reason, "; ".join(first))
    return PeakFile(frame, faults.table(), table.reset_index(drop=True))


def _data_lines(path: str | Path) -> tuple[NDArray[np.int64], list[str]]:
    lines = read_lines(path, what="peak file", expected="a text file of peaks (BED)")
    skipped = ("#", "track ", "track\t", "browser ", "browser\t")
    is_row = [bool(line) and not line.startswith(skipped) and not line.isspace() for line in lines]
    numbers = np.flatnonzero(is_row).astype(np.int64) + 1
    rows = list(itertools.compress(lines, is_row))
    if rows and rows[0].split()[0].lower() in _HEADERS:
        numbers, rows = numbers[1:], rows[1:]
    if not rows:
        raise InputError(f"{path}: no rows; expected BED lines (chrom, start, end)")
    if "\t" not in rows[0]:
        rows = ["\t".join(row.split()) for row in rows]
    return numbers, rows


def _parse(path: str | Path, numbers: NDArray[np.int64], rows: list[str], faults: Faults) -> pd.DataFrame:
    """Rows with as many columns as most; start, end and the tenth as text where one is no number."""
    counts = np.fromiter((row.count("\t") for row in rows), dtype=np.int64, count=len(rows)) + 1
    first = int(counts[0])
    usual = int(np.bincount(counts).argmax())
    width = first if (counts == first).sum() == (counts == usual).sum() else usual
    if width < 3:
        raise InputError(
            f"{path}:{numbers[0]}: found {width} column(s) in {rows[0][:60]!r}; "
            "expected at least chrom, start and end, separated by tabs"
        )
    if (counts != width).any():
        other = np.flatnonzero(counts != width)
        # What stands where a place should, for the table of what was dropped.
        places = [[*rows[i].split("\t"), "", ""][:3] for i in other]
        lines = pd.DataFrame(places, columns=BED_COLUMNS[:3])
        lines = lines.assign(source_line=numbers[other], columns=counts[other])
        have = "the first row has" if width == first else "most rows have"
        faults.find(lines, lines["columns"] != width, f"{{columns}} columns where {have} {width}")
        kept = np.flatnonzero(counts == width)
        numbers, rows = numbers[kept], [rows[i] for i in kept]
    columns = [BED_COLUMNS[i] if i < len(BED_COLUMNS) else f"column_{i + 1}" for i in range(width)]
    texts = {column for column in columns if column in ("chrom", "name", "score", "strand")}
    frame = _read_rows(rows, columns, texts)
    # A column with one wrong number is read again as text, so that the error can quote the file.
    wholes = {"start", "end", *columns[9:10]}
    if wrong := {column for column in wholes if frame[column].dtype != np.int64}:
        frame = _read_rows(rows, columns, texts | wrong)
    frame.insert(0, "source_line", numbers)
    return frame


def _read_rows(rows: list[str], columns: list[str], texts: set[str]) -> pd.DataFrame:
    return pd.read_csv(
        io.BytesIO("\n".join(rows).encode()),  # text in memory takes four times as much
        sep="\t",
        header=None,
        names=columns,
        dtype=dict.fromkeys(texts, "str"),
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        low_memory=False,
        skip_blank_lines=False,
    )


def _whole(frame: pd.DataFrame, column: str, problem: str, faults: Faults) -> pd.Series:
    """Make a column int64, 0 where it is no whole number (``100.0`` is one); return where it is one."""
    if is_integer_dtype(frame[column]):
        whole = pd.Series(True, index=frame.index)
    else:
        text = frame[column].astype(str)
        whole = text.str.fullmatch(_WHOLE).astype(bool)
        faults.find(frame, ~whole, problem)
        frame[column] = text.where(whole, "0").str.partition(".")[0]
    frame[column] = frame[column].astype("int64")
    return whole


def _check_intervals(frame: pd.DataFrame, faults: Faults) -> pd.Series:
    """Note what is wrong; return the rows whose interval can be used."""
    sound = pd.Series(True, index=frame.index)
    for column in ("start", "end"):
        sound &= _whole(frame, column, f"{column} {{{column}!r}} is not a whole number", faults)
    faults.find(frame, frame["chrom"].str.strip() == "", "no chromosome name")
    for wrong, problem in (
        (frame["start"] < 0, "start {start} is negative"),
        (frame["start"] >= frame["end"], "start {start} is not below end {end}"),
        (frame["end"] > _MAX_COORDINATE, "end {end} is beyond any chromosome"),
    ):
        faults.find(frame, sound & wrong, problem)
        sound &= ~wrong
    return sound


def _detect(frame: pd.DataFrame, path: str | Path) -> str:
    columns = frame.columns[1:]
    if len(columns) == len(NARROWPEAK_COLUMNS):
        offsets = frame[columns[-1]]
        if is_integer_dtype(offsets) or offsets.astype(str).str.fullmatch(_WHOLE).mean() > 0.5:
            return "narrowPeak"
        logger.warning(
            "%s: ten columns, but the tenth is not a whole number in most rows (first %s): read as BED, with "
            "midpoints for summits; set format: narrowPeak or bed",
            path,
            offsets.iloc[0] if len(offsets) else None,
        )
    narrow = frame["end"] - frame["start"] == 1
    return "summits" if len(frame) and bool(narrow.all()) else "bed"


def _as_narrowpeak(path: str | Path, frame: pd.DataFrame, faults: Faults) -> tuple[pd.DataFrame, list[str]]:
    width = len(frame.columns) - 1
    if width != len(NARROWPEAK_COLUMNS):
        faults.refuse("correct or remove them")
        raise InputError(
            f"{path}: narrowPeak has {len(NARROWPEAK_COLUMNS)} columns, found {width}; "
            "set format: auto or bed for other files"
        )
    return frame.set_axis(["source_line", *NARROWPEAK_COLUMNS], axis=1), list(NARROWPEAK_COLUMNS)


def _check_offsets(
    frame: pd.DataFrame, sound: pd.Series, faults: Faults, *, needed: bool
) -> list[pd.DataFrame]:
    """Make ``summit_offset`` one within the peak, or −1; return the rows that were adjusted."""
    unused = Faults(faults.path)
    whole = _whole(
        frame, "summit_offset", "summit {summit_offset!r} is not a whole number", faults if needed else unused
    )
    offset, width = frame["summit_offset"], frame["end"] - frame["start"]
    (faults if needed else unused).find(
        frame,
        sound & whole & ((offset < -1) | (offset > width)),
        "summit {summit_offset} is not an offset within the peak {start}-{end} (from 0; -1 for none)",
    )
    past = Faults(faults.path)
    past.find(
        frame,
        sound & whole & (offset == width),
        "summit {summit_offset} is one past the peak {start}-{end}; moved to its last base",
    )
    frame["summit_offset"] = offset.where(whole & (offset >= 0) & (offset <= width), -1).clip(upper=width - 1)
    return [past.table().assign(reason="summit_past_end"), unused.table().assign(reason="unused_summit")]


def _summits(frame: pd.DataFrame, file_format: str, sound: pd.Series, faults: Faults) -> NDArray[np.int64]:
    """Position of each row's summit, −1 where there is none: int64 (N,)."""
    if file_format == "summits":
        wide = "{chrom}:{start}-{end} is not one base wide, as a summit must be"
        faults.find(frame, sound & (frame["end"] - frame["start"] != 1), wide)
        return frame["start"].to_numpy(np.int64)
    if file_format != "narrowPeak":
        return np.full(len(frame), -1, dtype=np.int64)
    offset = frame["summit_offset"]
    return np.where(offset < 0, -1, frame["start"] + offset).astype(np.int64)


def order_values(peaks: pd.DataFrame, order_by: str | int, *, path: str | Path) -> NDArray[np.float64]:
    """Values by which rows are ranked (higher is better), NaN where the file has none: float64 (N,).

    Parameters
    ----------
    peaks
        From ``read_peaks``.
    order_by
        A column by name (``score``, ``signal_value``, ``p_value``, ``q_value`` …) or by its 1-based
        number in the file.
    path
        The file, for the error.

    Raises
    ------
    ConfigError
        The file has no such column, or it holds no number.
    """
    columns = peaks.attrs["columns"]
    if isinstance(order_by, int) or order_by.isdecimal():
        order_by = int(order_by)
        if not 1 <= order_by <= len(columns):
            raise ConfigError(f"order_by: {path} has columns 1 to {len(columns)}, found {order_by}")
        order_by = columns[order_by - 1]
    if order_by not in columns:
        raise ConfigError(f"order_by: {path} has no column {order_by!r}; it has {', '.join(columns)}")
    values = pd.to_numeric(peaks[order_by], errors="coerce").to_numpy(np.float64)
    if np.isnan(values).all():
        raise ConfigError(f"order_by: column {order_by!r} of {path} is not numeric")
    return values
