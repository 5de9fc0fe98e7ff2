"""Peak files: BED3 to BED12, narrowPeak and summits, plain or gzipped, read and checked as one table."""

from __future__ import annotations

import csv
import gzip
import io
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
        ``auto`` (10 columns, the last an integer: narrowPeak; all intervals one base wide: summits;
        else BED), ``bed``, ``narrowPeak`` or ``summits``.

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
        A row is malformed (named by file and line, first three and count), or there is no row.
    """
    if file_format not in FORMATS:
        raise ConfigError(f"format of {path}: found {file_format!r}, expected one of {', '.join(FORMATS)}")
    numbers, rows = _data_lines(path)
    frame = _parse(path, numbers, rows)
    _check_intervals(path, frame)
    if file_format == "auto":
        file_format = _detect(frame)
    columns = list(frame.columns[1:])
    if file_format == "narrowPeak":
        frame, columns = _as_narrowpeak(path, frame)
    frame["summit"] = _summits(path, frame, file_format)
    for column, default in (("name", "."), ("score", "."), ("strand", ".")):
        if column not in frame:
            frame[column] = default
    frame["strand"] = frame["strand"].replace("*", ".")
    _refuse(path, frame, ~frame["strand"].isin(["+", "-", "."]), "strand {strand!r} is not one of + - .")
    frame.attrs = {"columns": columns, "format": file_format}
    return frame


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
    numbered = [
        (number, line)
        for number, line in enumerate(text.split("\n"), start=1)
        if line and not line.startswith(skipped) and not line.isspace()
    ]
    if numbered and numbered[0][1].split()[0].lower() in _HEADERS:
        numbered = numbered[1:]
    if not numbered:
        raise InputError(f"{path}: no rows; expected BED lines (chrom, start, end)")
    numbers, rows = zip(*numbered, strict=True)
    lines = list(rows)
    if "\t" not in lines[0]:
        lines = ["\t".join(line.split()) for line in lines]
    return np.array(numbers, dtype=np.int64), lines


def _parse(path: str | Path, numbers: NDArray[np.int64], rows: list[str]) -> pd.DataFrame:
    counts = np.fromiter((row.count("\t") for row in rows), dtype=np.int64, count=len(rows)) + 1
    width = int(counts[0])
    if width < 3:
        raise InputError(
            f"{path}:{numbers[0]}: found {width} column(s) in {rows[0][:60]!r}; "
            "expected at least chrom, start and end, separated by tabs"
        )
    lines = pd.DataFrame({"source_line": numbers, "columns": counts})
    _refuse(path, lines, lines["columns"] != width, f"{{columns}} columns where the first row has {width}")
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
        io.StringIO("\n".join(rows)),
        sep="\t",
        header=None,
        names=columns,
        dtype=dict.fromkeys(texts, "str"),
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        low_memory=False,
        skip_blank_lines=False,
    )


def _refuse(path: str | Path, frame: pd.DataFrame, bad: pd.Series, problem: str) -> None:
    """Raise for the bad rows; ``problem`` may name columns in braces."""
    count = int(bad.sum())
    if not count:
        return
    named = [
        f"{path}:{row['source_line']}: {problem.format(**{str(key): value for key, value in row.items()})}"
        for row in frame[bad.to_numpy()].head(3).to_dict("records")
    ]
    more = f"\n({count} malformed rows in all)" if count > 3 else ""
    raise InputError("malformed rows in a peak file; correct or remove them:\n" + "\n".join(named) + more)


def _check_intervals(path: str | Path, frame: pd.DataFrame) -> None:
    for column in ("start", "end"):
        if not is_integer_dtype(frame[column]):
            whole = frame[column].astype(str).str.fullmatch(r"-?\d{1,12}").astype(bool)
            _refuse(path, frame, ~whole, f"{column} {{{column}!r}} is not a whole number")
            frame[column] = frame[column].astype(str)
        frame[column] = frame[column].astype("int64")
    _refuse(path, frame, frame["chrom"].str.strip() == "", "no chromosome name")
    _refuse(path, frame, frame["start"] < 0, "start {start} is negative")
    _refuse(path, frame, frame["start"] >= frame["end"], "start {start} is not below end {end}")
    _refuse(path, frame, frame["end"] > _MAX_COORDINATE, "end {end} is beyond any chromosome")


def _detect(frame: pd.DataFrame) -> str:
    columns = frame.columns[1:]
    if len(columns) == len(NARROWPEAK_COLUMNS) and is_integer_dtype(frame[columns[-1]]):
        return "narrowPeak"
    return "summits" if bool((frame["end"] - frame["start"] == 1).all()) else "bed"


def _as_narrowpeak(path: str | Path, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    width = len(frame.columns) - 1
    if width != len(NARROWPEAK_COLUMNS):
        raise InputError(
            f"{path}: narrowPeak has {len(NARROWPEAK_COLUMNS)} columns, found {width}; "
            "set format: auto or bed for other files"
        )
    return frame.set_axis(["source_line", *NARROWPEAK_COLUMNS], axis=1), list(NARROWPEAK_COLUMNS)


def _summits(path: str | Path, frame: pd.DataFrame, file_format: str) -> NDArray[np.int64]:
    """Position of each row's summit, −1 where there is none: int64 (N,)."""
    width = frame["end"] - frame["start"]
    if file_format == "summits":
        _refuse(path, frame, width != 1, "{chrom}:{start}-{end} is not one base wide, as a summit must be")
        return frame["start"].to_numpy(np.int64)
    if file_format != "narrowPeak":
        return np.full(len(frame), -1, dtype=np.int64)
    offset = frame["summit_offset"]
    if not is_integer_dtype(offset):
        whole = offset.astype(str).str.fullmatch(r"-?\d{1,12}").astype(bool)
        _refuse(path, frame, ~whole, "summit {summit_offset!r} is not a whole number")
    offset = offset.astype("int64")
    _refuse(
        path,
        frame,
        (offset < -1) | (offset >= width),
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
