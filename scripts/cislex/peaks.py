"""Peak files: BED3 to BED12, narrowPeak and summits, plain or gzipped, read and checked as one table."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_integer_dtype

from cislex.errors import ConfigError, InputError
from cislex.genome import is_gzip
from cislex.storage import require_file

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
_WHOLE = r"-?\d{1,12}"


def read_peaks(path: str | Path, *, file_format: str = "auto") -> pd.DataFrame:
    """Read a peak file and check every row.

    Comment (``#``), ``track``, ``browser``, header and empty lines are not rows. Columns are separated
    by tabs, or by blanks where the first row has no tab.

    Parameters
    ----------
    path
        BED3 to BED12 (further columns are kept as ``column_13`` …), narrowPeak or summits; may be
        gzipped.
    file_format
        ``auto`` (10 columns, the last an integer in most rows: narrowPeak; all intervals one base wide:
        summits; else BED), ``bed``, ``narrowPeak`` or ``summits``.

    Returns
    -------
    DataFrame
        ``source_line`` (1-based line of the file), ``chrom``, ``start``, ``end`` (int64), ``name``,
        ``score`` (text), ``strand`` (+, - or .), ``summit`` (int64 position of the summit, −1 where
        the file tells none) and the file's further columns by name. ``attrs["columns"]`` lists the
        file's columns by position.

    Raises
    ------
    InputError
        Rows are malformed (every kind of fault, each with its count and the first three by file and
        line), or there is no row.
    """
    if file_format not in FORMATS:
        raise ConfigError(f"format of {path}: found {file_format!r}, expected one of {', '.join(FORMATS)}")
    numbers, rows = _data_lines(path)
    faults = _Faults(path)
    frame = _parse(path, numbers, rows, faults)
    sound = _check_intervals(frame, faults)
    if file_format == "auto":
        file_format = _detect(frame[sound])
    columns = list(frame.columns[1:])
    if file_format == "narrowPeak":
        frame, columns = _as_narrowpeak(path, frame, faults)
    frame["summit"] = _summits(frame, file_format, sound, faults)
    for column, default in (("name", "."), ("score", "."), ("strand", ".")):
        if column not in frame:
            frame[column] = default
    frame["strand"] = frame["strand"].replace("*", ".")
    faults.find(frame, ~frame["strand"].isin(["+", "-", "."]), "strand {strand!r} is not one of + - .")
    faults.refuse()
    frame.attrs = {"columns": columns, "format": file_format}
    return frame


class _Faults:
    """Malformed rows of a file, by kind of fault."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.lines: set[int] = set()
        #: Of each kind the number of rows and the text of the first three.
        self.kinds: list[tuple[int, list[str]]] = []

    def find(self, frame: pd.DataFrame, bad: pd.Series, problem: str) -> None:
        """Note the bad rows; ``problem`` may name columns in braces."""
        rows = frame[bad.to_numpy()]
        if not len(rows):
            return
        self.lines.update(rows["source_line"].tolist())
        named = [
            f"{self.path}:{row['source_line']}: "
            + problem.format(**{str(key): value for key, value in row.items()})
            for row in rows.head(3).to_dict("records")
        ]
        self.kinds.append((len(rows), named))

    def refuse(self) -> None:
        """Raise for all that was found."""
        if not self.kinds:
            return
        told = []
        for count, named in self.kinds:
            told += named
            if count > len(named):
                told.append(f"({count} rows like these)")
        kinds = f", {len(self.kinds)} kinds of faults" if len(self.kinds) > 1 else ""
        if kinds or len(self.lines) > 3:
            told.append(f"({len(self.lines)} malformed rows in all{kinds})")
        raise InputError("malformed rows in a peak file; correct or remove them:\n" + "\n".join(told))


def _data_lines(path: str | Path) -> tuple[NDArray[np.int64], list[str]]:
    require_file(path, what="peak file")
    try:
        with (gzip.open if is_gzip(path) else open)(path, "rb") as handle:
            text = handle.read().decode("utf-8-sig").replace("\r", "")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: the compressed file is broken or cut short: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a text file of peaks (BED), found binary data") from error
    if "\0" in text:
        raise InputError(f"{path}: expected a text file of peaks (BED), found binary data")
    skipped = ("#", "track ", "track\t", "browser ", "browser\t")
    lines = text.split("\n")
    del text  # with a million rows each copy counts
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


def _parse(path: str | Path, numbers: NDArray[np.int64], rows: list[str], faults: _Faults) -> pd.DataFrame:
    """Rows with as many columns as the first; start, end and the tenth as text where one is no number."""
    counts = np.fromiter((row.count("\t") for row in rows), dtype=np.int64, count=len(rows)) + 1
    width = int(counts[0])
    if width < 3:
        raise InputError(
            f"{path}:{numbers[0]}: found {width} column(s) in {rows[0][:60]!r}; "
            "expected at least chrom, start and end, separated by tabs"
        )
    lines = pd.DataFrame({"source_line": numbers, "columns": counts})
    other = lines["columns"] != width
    faults.find(lines, other, f"{{columns}} columns where the first row has {width}")
    if other.any():
        kept = (~other).to_numpy().nonzero()[0]
        numbers, rows = numbers[kept], [rows[i] for i in kept]
    columns = [BED_COLUMNS[i] if i < len(BED_COLUMNS) else f"column_{i + 1}" for i in range(width)]
    texts = {column for column in columns if column in ("chrom", "name", "score", "strand")}
    frame = _read_rows(rows, columns, texts)
    # A column with one wrong number is read again as text, so that the error can quote the file.
    wholes = {"start", "end", *columns[9:10]}
    if wrong := {column for column in wholes if not is_integer_dtype(frame[column])}:
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


def _whole(frame: pd.DataFrame, column: str, problem: str, faults: _Faults) -> pd.Series:
    """Make a column int64, 0 where it is no whole number; return where it is one."""
    if is_integer_dtype(frame[column]):
        whole = pd.Series(True, index=frame.index)
    else:
        text = frame[column].astype(str)
        whole = text.str.fullmatch(_WHOLE).astype(bool)
        faults.find(frame, ~whole, problem)
        frame[column] = text.where(whole, "0")
    frame[column] = frame[column].astype("int64")
    return whole


def _check_intervals(frame: pd.DataFrame, faults: _Faults) -> pd.Series:
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


def _detect(frame: pd.DataFrame) -> str:
    columns = frame.columns[1:]
    if len(columns) == len(NARROWPEAK_COLUMNS):
        offsets = frame[columns[-1]]
        if is_integer_dtype(offsets) or offsets.astype(str).str.fullmatch(_WHOLE).mean() > 0.5:
            return "narrowPeak"
    narrow = frame["end"] - frame["start"] == 1
    return "summits" if len(frame) and bool(narrow.all()) else "bed"


def _as_narrowpeak(path: str | Path, frame: pd.DataFrame, faults: _Faults) -> tuple[pd.DataFrame, list[str]]:
    width = len(frame.columns) - 1
    if width != len(NARROWPEAK_COLUMNS):
        faults.refuse()
        raise InputError(
            f"{path}: narrowPeak has {len(NARROWPEAK_COLUMNS)} columns, found {width}; "
            "set format: auto or bed for other files"
        )
    return frame.set_axis(["source_line", *NARROWPEAK_COLUMNS], axis=1), list(NARROWPEAK_COLUMNS)


def _summits(frame: pd.DataFrame, file_format: str, sound: pd.Series, faults: _Faults) -> NDArray[np.int64]:
    """Position of each row's summit, −1 where there is none: int64 (N,)."""
    width = frame["end"] - frame["start"]
    if file_format == "summits":
        wide = "{chrom}:{start}-{end} is not one base wide, as a summit must be"
        faults.find(frame, sound & (width != 1), wide)
        return frame["start"].to_numpy(np.int64)
    if file_format != "narrowPeak":
        return np.full(len(frame), -1, dtype=np.int64)
    whole = _whole(frame, "summit_offset", "summit {summit_offset!r} is not a whole number", faults)
    offset = frame["summit_offset"]
    faults.find(
        frame,
        sound & whole & ((offset < -1) | (offset >= width)),
        "summit {summit_offset} is not an offset within the peak {start}-{end} (from 0; -1 for none)",
    )
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
        raise ConfigError(f"order_by: column {order_by!r} of {path} holds no numbers")
    return values
