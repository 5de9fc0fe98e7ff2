"""Tab-separated tables: one writer and one reader, so that every cell is read as it was written.

Quotes are letters like any other; ``NA`` and ``nan`` are names where a column holds text. A cell cannot hold
a tab or a line end: they are written as a blank.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal

import pandas as pd

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
    """Read a table with a header, every cell as text and none as missing."""
    return pd.read_csv(
        path,
        sep="\t",
        dtype="str",
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        index_col=False,
        usecols=columns,
    )


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
