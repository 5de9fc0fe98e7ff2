"""bigBed files: intervals with any columns, for genome browsers.

Biopython writes the format; it takes alignments, of which a row here gives it what it reads. Any program with
a reader of bigBed finds the columns' names, kinds and meaning in the file (autoSql).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from Bio.Align import bigbed
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

from cislex.errors import InputError, offenders
from cislex.files.tables import atomic_path
from cislex.files.text_tables import as_text

#: Rows that are turned into text at once.
BLOCK_ROWS = 100_000
#: Columns that the format knows; further ones are described by autoSql.
STANDARD = ("chrom", "start", "end", "name", "score", "strand", "thick_start", "thick_end", "color")
#: Longest name of an interval that the format's programs take.
NAME_LENGTH = 255


class Column(NamedTuple):
    """A column beyond the standard ones.

    Attributes
    ----------
    name
        Letters, digits and ``_``, as autoSql wants it.
    kind
        ``string``, ``uint``, ``int`` or ``float``.
    comment
        What the column means; browsers show it.
    """

    name: str
    kind: str
    comment: str


def write_bigbed(
    frame: pd.DataFrame,
    path: str | Path,
    sizes: Mapping[str, int],
    *,
    table: str,
    comment: str,
    extra: Sequence[Column] = (),
) -> None:
    """Write intervals as bigBed, atomically.

    Parameters
    ----------
    frame
        At least one row, in any order. The first columns are :data:`STANDARD` (0-based, half-open; score 0 to
        1000; color ``r,g,b``), then those of ``extra``.
    path
        ``.bb`` to write.
    sizes
        Length of each chromosome (bp).
    table, comment
        Name (letters, digits, ``_``) and description of the table.
    extra
        The further columns.

    Raises
    ------
    InputError
        When there is no row, or rows do not lie in the chromosomes.
    StorageError
        When the folder cannot be written, or the disk is full.

    Examples
    --------
    >>> write_bigbed(  # doctest: +SKIP
    ...     hits, "hits.bb", {"chr1": 248_956_422}, table="hits", comment="Motif hits"
    ... )
    """
    if frame.empty:
        raise InputError(f"{path}: a bigBed needs at least one interval, received none")
    limits = frame["chrom"].map(sizes)
    wrong = frame[~((frame["start"] >= 0) & (frame["start"] < frame["end"]) & (frame["end"] <= limits))]
    if len(wrong):
        named = [f"{row.chrom}:{row.start}-{row.end}" for row in wrong.head(4).itertuples()]
        raise InputError(
            f"{path}: {len(wrong)} of {len(frame)} intervals are empty or not inside the chromosomes of the "
            f"genome: {offenders(named)}"
        )
    frame = frame.sort_values(["chrom", "start", "end"], kind="stable")
    fields = [
        *bigbed.AutoSQLTable.default[: len(STANDARD)],
        *(bigbed.Field(column.kind, column.name, column.comment.replace('"', "'")) for column in extra),
    ]
    records = {name: SeqRecord(Seq(None, length=sizes[name]), id=name) for name in frame["chrom"].unique()}
    with atomic_path(path) as temporary, open(temporary, "w+b") as handle:
        writer = _Writer(
            handle,
            bedN=len(STANDARD),
            declaration=bigbed.AutoSQLTable(table, comment.replace('"', "'"), fields),
            targets=list(records.values()),
        )
        writer.write_file(handle, _Rows(frame, records))


class _Row:
    """A row, as the writer reads alignments."""

    __slots__ = ("coordinates", "rest", "sequences", "target")

    def __init__(self, record: SeqRecord, start: int, end: int, rest: bytes):
        self.target, self.sequences, self.rest = record, (record,), rest
        self.coordinates = {(0, 0): start, (0, -1): end}


class _Rows:
    """The rows, any number of times: the writer goes through them for chromosomes, data and overviews."""

    def __init__(self, frame: pd.DataFrame, records: Mapping[str, SeqRecord]):
        self.frame, self.records = frame, records

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[_Row]:
        for first in range(0, len(self.frame), BLOCK_ROWS):
            block = self.frame.iloc[first : first + BLOCK_ROWS]
            rest = block.drop(columns=["chrom", "start", "end"])
            rest = rest.assign(name=rest["name"].astype(str).str[:NAME_LENGTH].replace("", "."))
            lines = as_text(rest, header=False).encode().split(b"\n")
            places = zip(block["chrom"], block["start"].tolist(), block["end"].tolist(), lines, strict=False)
            for chrom, start, end, line in places:
                yield _Row(self.records[chrom], start, end, line)


class _Writer(bigbed.AlignmentWriter):
    """Biopython's writer, of rows whose text is there."""

    def _extract_fields(self, row: Any) -> tuple[str, int, int, bytes]:
        return row.target.id, row.coordinates[0, 0], row.coordinates[0, -1], row.rest
