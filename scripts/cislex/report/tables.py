"""Reading the result tables, as text, with named errors for what is missing."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pandas as pd

from cislex.errors import StorageError
from cislex.files.tables import require_file
from cislex.files.text_tables import read_text

#: Columns of a BED6 line, for files without a header.
BED6 = ("chrom", "start", "end", "name", "score", "strand")


def read_table(path: str | Path, *, what: str, columns: Sequence[str]) -> pd.DataFrame:
    """Read a tab-separated table with every cell as text.

    Cells stay text because a motif may be called ``NA`` or ``1e5``; numbers are read by `numbers`.

    Raises
    ------
    InputError
        No such file.
    StorageError
        Not a table, or a column is missing.
    """
    require_file(path, what=f"report: {what}")
    try:
        frame = read_text(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise StorageError(f"report: {what}: {path} is not a table with a header: {error}") from error
    frame.columns = [str(name).lstrip("#") for name in frame.columns]
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise StorageError(
            f"report: {what}: {path} lacks the columns {', '.join(missing)}; it has"
            f" {', '.join(frame.columns)}; rerun the rule that writes it"
        )
    return frame


def numbers(frame: pd.DataFrame, column: str) -> pd.Series:
    """Return a column as float64, NaN where a cell is empty or no number; all NaN if it is absent."""
    if column not in frame.columns:
        return pd.Series(float("nan"), index=frame.index, dtype="float64")
    return pd.to_numeric(frame[column], errors="coerce").astype("float64")


def count_rows(path: str | Path, *, what: str) -> int:
    """Count the lines that are neither empty nor a header, without parsing them."""
    require_file(path, what=f"report: {what}")
    with _open(path) as handle:
        return sum(1 for line in handle if line.strip() and not line.startswith("#"))


def read_hits(path: str | Path) -> Iterator[pd.DataFrame]:
    """Yield ``hits.bed.gz`` in blocks of rows; the columns after BED6 keep the names of the header.

    Raises
    ------
    StorageError
        Not BED6 with one number of columns throughout.
    """
    require_file(path, what="report: hits")
    header, first = 0, ""
    with _open(path) as handle:
        for row in handle:
            if not row.startswith("#"):
                first = first or row
                break
            header, first = header + 1, row
    fields = first.rstrip("\n").lstrip("#").split("\t") if first else list(BED6)
    if len(fields) < len(BED6):
        raise StorageError(f"report: hits: {path}:1 has {len(fields)} columns; BED6 has 6")
    extra = fields[6:] if header else [f"column {i}" for i in range(7, len(fields) + 1)]
    try:
        yield from pd.read_csv(
            path, sep="\t", skiprows=header, header=None, names=[*BED6, *extra], dtype=str,
            keep_default_na=False, quoting=3, chunksize=200_000,
        )  # fmt: skip
    except pd.errors.EmptyDataError:
        return
    except (pd.errors.ParserError, OSError, EOFError) as error:
        raise StorageError(f"report: hits: {path} is not a complete BED file: {error}") from error


def _open(path: str | Path) -> IO[str]:
    if Path(path).suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return open(path, encoding="utf-8")
