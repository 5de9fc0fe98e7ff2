"""Tab-separated tables: one writer and one reader, so that every cell is read as it was written.

Quotes are letters like any other; ``NA`` and ``nan`` are names where a column holds text. A cell cannot hold
a tab or a line end: they are written as a blank.
"""

from __future__ import annotations

import csv
import gzip
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError

_BREAKS = frozenset("\t\r\n")
_FORM: dict[str, Any] = {
    "sep": "\t",
    "index": False,
    "float_format": "%.6g",
    "lineterminator": "\n",
    "quoting": csv.QUOTE_NONE,
}


def write_text_table(
    frame: pd.DataFrame, path: str | Path, *, header: bool = True, mode: Literal["a", "w"] = "w"
) -> None:
    """Write a table; floats with 6 significant digits, no value as an empty cell, ``.gz`` compressed.

    The same table gives the same bytes: a compressed file does not say when, and under which temporary name,
    it was written.
    """
    if Path(path).suffix != ".gz":
        _clean(frame).to_csv(path, header=header, mode=mode, **_FORM)
        return
    with open(path, f"{mode}b") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        _clean(frame).to_csv(packed, header=header, mode="wb", **_FORM)


def as_text(frame: pd.DataFrame, *, header: bool = True) -> str:
    """Return what :func:`write_text_table` writes."""
    return str(_clean(frame).to_csv(header=header, **_FORM))


def _clean(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with blanks for tabs and line ends."""
    clean = frame.copy(deep=False)
    for place, kind in enumerate(clean.dtypes):
        column = clean.iloc[:, place]
        if pd.api.types.is_numeric_dtype(kind):
            continue
        if any(isinstance(cell, str) and not _BREAKS.isdisjoint(cell) for cell in column):
            clean.isetitem(place, column.replace(r"[\t\r\n]+", " ", regex=True).to_numpy(object))
    return clean


def read_text(path: str | Path, *, columns: Callable[[str], bool] | None = None) -> pd.DataFrame:
    """Read a table with a header, every cell as text and none as missing.

    Raises
    ------
    InputError
        It is no such table.
    """
    with table_named(path), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows that are longer than the header
        return pd.read_csv(
            path,
            sep="\t",
            dtype="str",
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            index_col=False,
            usecols=columns,
        )


@contextmanager
def table_named(path: str | Path) -> Iterator[None]:
    """Turn what pandas raises for text that is no table into InputError."""
    try:
        yield
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile, pd.errors.ParserWarning) as error:
        reason = next(iter(str(error).splitlines()), "no message")
        raise InputError(
            f"{path}: cannot be read as a table ({reason}): it is truncated, or was changed; if cislex wrote "
            "it, delete it and run again"
        ) from error


def whole_numbers(table: pd.DataFrame, column: str, path: str | Path, *, least: int = 0) -> NDArray[np.int64]:
    """A column as int64 (N,).

    Raises
    ------
    InputError
        A cell is no whole number from ``least``.
    """
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    bad = ~((values >= least) & (values == np.floor(values)) & (values < 2**53))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}: {column} of row {row + 1} is {table[column].iloc[row]!r}; expected a whole number from "
            f"{least} ({int(bad.sum())} such rows); if cislex wrote the file, delete it and run again"
        )
    return values.astype(np.int64)


def read_numbers(
    path: str | Path, *, texts: Collection[str], columns: Callable[[str], bool] | None = None
) -> pd.DataFrame:
    """Read a table; other columns than ``texts`` are numbers, or true and false, where all cells are."""
    table = read_text(path, columns=columns)
    for column in table.columns:
        if column in texts:
            continue
        cells = table[column]
        if len(cells) and cells.isin(["True", "False"]).all():
            table[column] = cells == "True"
            continue
        values = pd.to_numeric(cells.where(cells != ""), errors="coerce")
        empty = cells.str.strip().str.lower().isin(["", "nan"])
        if not (values.isna() & ~empty).any():
            table[column] = values
    return table
