"""Which sequences given directly are used: the filters that need no genome, in a fixed order.

Each filter drops rows with a reason, as those of peaks do; no row is lost without one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.files.compressed import read_lines
from cislex.files.malformed import require_stance
from cislex.files.user_arrays import Arrays, named_dataset
from cislex.logs import get_logger
from cislex.regions.genome import UNKNOWN
from cislex.regions.row_ledger import RowLedger, best_first, drop_surplus
from cislex.sequences.direct_sources import DirectSource

logger = get_logger(__name__)

#: ``y[2]``: column 2, from 0, of the array y.
_INDEXED = re.compile(r"(?P<name>.+)\[(?P<column>\d+)\]")


@dataclass(frozen=True, kw_only=True)
class DirectOptions:
    """Which sequences are used; the steps apply in the order of these fields.

    Attributes
    ----------
    malformed
        Whether sequences that cannot be used (another length, other characters than DNA's, not one-hot) are
        an ``error``, or dropped (``drop``).
    names
        File with a name on each line: the others are dropped.
    select
        Values that are kept, by column.
    table
        TSV with a header: the column ``name``, and those of ``select`` and ``order_by``. Without it columns
        are arrays of the file: ``y`` (N,), or ``y[2]`` for column 2 of (N, outputs).
    max_unknown
        Largest fraction of unknown bases.
    deduplicate
        ``exact``: equal sequences once, the best by ``order_by``, then the first; or ``none``.
    order_by
        Column by which rows are ranked, higher first.
    top
        Keep the best this many.
    sample, seed
        Keep a random sample of this many.
    """

    malformed: str = "error"
    names: str | Path | None = None
    select: Mapping[str, Sequence[str | float]] = field(default_factory=dict)
    table: str | Path | None = None
    max_unknown: float = 1.0
    deduplicate: str = "none"
    order_by: str = "score"
    top: int | None = None
    sample: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        require_stance(self.malformed, what="regions")
        if self.deduplicate not in ("none", "exact"):
            raise ConfigError(f"regions, deduplicate: found {self.deduplicate!r}, expected none or exact")
        if not 0 <= self.max_unknown <= 1:
            raise ConfigError(f"regions, max_unknown: found {self.max_unknown!r}, expected 0 to 1")

    @property
    def reads_bases(self) -> bool:
        """Whether the choice depends on the sequences themselves."""
        return self.malformed == "drop" or self.max_unknown < 1 or self.deduplicate == "exact"


def choose(
    source: DirectSource, options: DirectOptions, path: str | Path, handle: Arrays | None = None
) -> RowLedger:
    """The rows of a file of sequences: which are kept, and why the others are not.

    Parameters
    ----------
    source
        The sequences.
    options
        What to keep.
    path
        Their file, for messages.
    handle
        The same file where it is one of arrays, which may be columns.

    Raises
    ------
    InputError
        Nothing is left, or a table, list or array does not fit the sequences.
    ConfigError
        There is no such column.
    """
    names = np.array(source.names, dtype=object)
    rows = pd.DataFrame({"source_line": np.arange(1, len(names) + 1), "chrom": names, "start": 0})
    ledger = RowLedger(rows)
    unknown, digests = np.zeros(len(names), np.int64), np.zeros(len(names), dtype="V16")
    if options.reads_bases:
        unknown, digests = _read_bases(ledger, source, options)
    rows["end"] = source.length
    columns = _Columns(names, options.table, handle, path)
    _keep_named(ledger, names, options.names)
    _keep_selected(ledger, columns, options.select)
    many = np.flatnonzero(unknown > options.max_unknown * source.length)
    reasons = [f"{n} of {source.length} bases are unknown" for n in unknown[many]]
    ledger.drop(many, "unknown_bases", np.array(reasons, dtype=object))
    ranked = options.top is not None or columns.has(options.order_by)
    values = columns.numbers(options.order_by) if ranked else np.full(len(names), np.nan)
    if options.deduplicate == "exact":
        _drop_equal(ledger, digests, values)
    drop_surplus(ledger, values, options)
    if not ledger.alive.any():
        raise InputError(f"{path}: none of {len(names)} sequences is left; dropped: {ledger.counts()}")
    return ledger


def _read_bases(
    ledger: RowLedger, source: DirectSource, options: DirectOptions
) -> tuple[NDArray[np.int64], NDArray[np.bytes_]]:
    """Unknown bases and a digest of each row; rows that cannot be read are dropped."""
    unknown: list[NDArray[np.int64]] = []
    digests: list[bytes] = []
    faults: dict[int, str] = {}
    for codes, wrong in source.blocks(strict=options.malformed == "error"):
        unknown.append((codes == UNKNOWN).sum(axis=1))
        digests += [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in codes]
        faults |= wrong
    ledger.drop(np.array(list(faults), np.int64), "malformed", np.array(list(faults.values()), dtype=object))
    if faults:
        logger.warning("%d sequences cannot be used: %s", len(faults), offenders(faults.values()))
    # Not dtype S: NumPy takes zero bytes off the end.
    return np.concatenate(unknown), np.frombuffer(b"".join(digests), dtype="V16")


def _keep_named(ledger: RowLedger, names: NDArray[np.object_], path: str | Path | None) -> None:
    if path is None:
        return
    lines = read_lines(path, what="regions, names", expected="a name on each line")
    wanted = {line.strip() for line in lines} - {""}
    if lost := sorted(wanted - set(names)):
        logger.warning("%s: names without a sequence: %s", path, offenders(lost))
    out = np.array([name not in wanted for name in names], dtype=bool)
    ledger.drop(out, "not_named", f"not in {path}")


def _keep_selected(ledger: RowLedger, columns: _Columns, select: Mapping[str, Sequence[str | float]]) -> None:
    for column, wanted in select.items():
        texts = columns.texts(column)
        kept = {_plain(str(value)) for value in wanted}
        if lost := sorted(kept - set(texts)):
            raise ConfigError(
                f"regions, select, {column}: no sequence has {offenders(lost)}; it has "
                f"{offenders(sorted(set(texts)))}"
            )
        out = np.flatnonzero([text not in kept for text in texts])
        reasons = [f"{column} is {texts[row]!r}" for row in out]
        ledger.drop(out, "not_selected", np.array(reasons, dtype=object))


def _drop_equal(ledger: RowLedger, digests: NDArray[np.void], values: NDArray[np.float64]) -> None:
    first: dict[bytes, int] = {}
    lost: list[int] = []
    details: list[str] = []
    for row in best_first(ledger.rows, values).tolist():
        keeper = first.setdefault(digests[row].tobytes(), row)
        if keeper != row:
            lost.append(row)
            details.append(f"of row {keeper + 1}, {ledger.peaks['chrom'].iat[keeper]}, which is kept")
    ledger.drop(np.array(lost, np.int64), "duplicate", np.array(details, dtype=object))


class _Columns:
    """What is known of each sequence: columns of a table by name, or arrays beside the sequences."""

    def __init__(
        self,
        names: NDArray[np.object_],
        table: str | Path | None,
        handle: Arrays | None,
        path: str | Path,
    ) -> None:
        self._names, self._path, self._handle, self._source = names, table, handle, path
        self._table = None if table is None else _read_columns(table)

    def has(self, column: str) -> bool:
        """Whether there is such a column of a table, which the ranking may use where nobody asked for it."""
        return self._table is not None and column in self._table

    def texts(self, column: str) -> list[str]:
        """Value of each sequence as text; whole numbers without a point."""
        return [_plain(str(value)) for value in self._values(column)]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Value of each sequence, NaN where it is no number."""
        values = pd.to_numeric(pd.Series(self._values(column)), errors="coerce").to_numpy(np.float64)
        if np.isnan(values).all():
            raise ConfigError(f"regions, order_by: column {column!r} is not numeric")
        return values

    def _values(self, column: str) -> list[object]:
        if self._table is None:
            return self._of_array(column)
        if column not in self._table:
            found = ", ".join(self._table.columns)
            raise ConfigError(f"regions, table: {self._path} has no column {column!r}; it has {found}")
        known = self._table[column]
        if lost := [name for name in self._names if name not in known.index]:
            raise InputError(f"regions, table: {self._path} has no row for {offenders(lost)}")
        return list(known.loc[list(self._names)])

    def _of_array(self, column: str) -> list[object]:
        if self._handle is None:
            raise ConfigError(
                f"regions: column {column!r} of {self._source}: FASTA files have no columns; set table: to "
                "a table with the columns name and this one"
            )
        indexed = _INDEXED.fullmatch(column)
        name, at = (indexed["name"], int(indexed["column"])) if indexed else (column, None)
        data = named_dataset(self._handle, name, self._source)
        width = None if data.ndim == 1 else data.shape[1] if data.ndim == 2 else 0
        if (width is None) != (at is None) or (at is not None and width is not None and at >= width):
            raise ConfigError(
                f"regions: {self._source}, {column}: shape is {data.shape}; expected (N,), or {name}[i] "
                "for column i, from 0, of (N, outputs)"
            )
        values = data[()] if at is None else data[:, at]
        if len(values) != len(self._names):
            raise InputError(
                f"{self._source}, {name}: {len(values)} values; expected {len(self._names)}, one per sequence"
            )
        return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value
                for value in np.asarray(values).tolist()]  # fmt: skip


def _read_columns(path: str | Path) -> pd.DataFrame:
    """A table of text by name; a name that has two rows is an error."""
    text = "\n".join(read_lines(path, what="regions, table", expected="a table"))
    try:
        table = pd.read_csv(
            io.StringIO(text), sep="\t", dtype="str", na_filter=False, quoting=csv.QUOTE_NONE,
            index_col=False,
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        raise InputError(f"regions, table: {path} cannot be read as a table: {error}") from error
    table = table.rename(columns={column: column.strip().lstrip("#") for column in table.columns})
    if "name" not in table:
        raise InputError(
            f"regions, table: {path} has no column name; it has {', '.join(table.columns)} (tabs?)"
        )
    if twice := sorted(set(table.loc[table["name"].duplicated(), "name"])):
        raise InputError(f"regions, table: {path} has several rows for {offenders(twice)}; expected one each")
    return table.set_index("name", drop=False)


def _plain(text: str) -> str:
    """A whole number without a point, so that 1, 1.0 and the text 1 are one label; else the text."""
    try:
        number = float(text)
    except ValueError:
        return text.strip()
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else text.strip()
