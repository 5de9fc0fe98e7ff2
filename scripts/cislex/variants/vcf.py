"""Variants from a VCF, BCF or table, one row per alternative allele.

VCF counts positions from 1. In a table the header says which: ``pos`` counts from 1 and ``start`` from 0.
Rows are what the file says; whether they can be scored is for ``alleles`` to tell.
"""

from __future__ import annotations

import codecs
import io
import itertools
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pysam

from cislex.errors import InputError, offenders
from cislex.files.compressed import is_bgzip, is_gzip, open_bytes
from cislex.files.scratch import scratch_folder
from cislex.files.tables import require_file

#: What every table of variants has: ``start`` is 0-based, ``alt`` one allele, empty where there is none.
VARIANT_COLUMNS = ["source_line", "chrom", "start", "ref", "alt", "id"]
#: What is added for scoring: a table of variants cannot have columns of these names.
NORMALISED = ["at", "before", "after"]
#: Other names of columns of tables, in lower case.
_NAMES = {"#chrom": "chrom", "chr": "chrom", "chromosome": "chrom", "reference": "ref", "alternative": "alt"}
_ADVICE = "expected a VCF, or a table with the columns chrom, pos (1-based) or start (0-based), ref, alt"


def read_variants(path: str | Path) -> pd.DataFrame:
    """Read variants, one row per alternative allele.

    Parameters
    ----------
    path
        VCF (plain, gzipped or bgzipped; sorted or not, an index is not needed), BCF, or a tab-separated table
        with a header: ``chrom``, ``pos`` (1-based) or ``start`` (0-based), ``ref``, ``alt``, perhaps ``id``.
        Several alternatives of a row are separated by commas.

    Returns
    -------
    DataFrame
        ``VARIANT_COLUMNS``: ``source_line`` (1-based line of the file; of a BCF the record), ``chrom``,
        ``start`` (int64, 0-based), ``ref`` and ``alt`` in upper case, ``id`` (``.`` where there is none).
        Further columns of a table follow as text.

    Raises
    ------
    InputError
        The file is missing, damaged, of another kind, or has no rows.
    """
    kind = _kind(require_file(path, what="variants"))
    table = _read_table(path) if kind == "table" else _read_vcf(path, text=kind == "vcf")
    if not len(table):
        raise InputError(f"{path}: no variants; {_ADVICE}")
    return table


def _kind(path: Path) -> str:
    with open_bytes(path) as handle:
        start = handle.read(64)
    if start.startswith(b"BCF"):
        return "bcf"
    if b"\0" in start:
        raise InputError(f"{path}: found binary data; {_ADVICE}")
    return (
        "vcf"
        if start.removeprefix(codecs.BOM_UTF8).startswith((b"##fileformat=VCF", b"#CHROM\tPOS"))
        else "table"
    )


@contextmanager
def _lines(path: str | Path) -> Iterator[io.TextIOBase]:
    """The lines of a text file, compressed or not."""
    with open_bytes(path) as handle:
        yield io.TextIOWrapper(handle, encoding="utf-8-sig", errors="replace")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without htslib's own lines on standard error, which name no file."""
    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)


@contextmanager
def _seekable(path: Path) -> Iterator[Path]:
    """The file itself; what htslib cannot read (gzip, a byte-order mark) as a plain copy."""
    with open_bytes(path) as source:
        marked = source.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
    if not marked and (not is_gzip(path) or is_bgzip(path)):
        yield path
        return
    with scratch_folder("variants") as folder:
        with open_bytes(path) as source, open(folder / "plain", "wb") as copy:
            source.read(len(codecs.BOM_UTF8) if marked else 0)
            shutil.copyfileobj(source, copy)
        yield folder / "plain"


def _read_vcf(path: str | Path, *, text: bool) -> pd.DataFrame:
    rows: list[tuple[int, str, int, str, str, str]] = []
    with _quiet(), _seekable(Path(path)) as readable, _row_numbers(path, text=text) as numbers:
        number, place = next(numbers, (0, None))  # of the row that comes next
        if not number:
            raise InputError(f"{path}: no variants after the header")
        try:
            with pysam.VariantFile(str(readable)) as records:
                for record in records:
                    if not number or place not in (None, record.pos):
                        break
                    name = record.id or "."
                    for alt in record.alts or ("",):
                        rows.append((number, record.chrom, record.start, record.ref or "", alt, name))
                    number, place = next(numbers, (0, None))
                else:
                    record = None
        except (OSError, ValueError) as error:
            raise InputError(f"{_why(path, number, text=text)} ({error})") from error
        # htslib also ends, or reads 0, without an error, at what it cannot read.
        if text and (number or record is not None):
            raise InputError(_why(path, number, text=text))
    table = pd.DataFrame(rows, columns=VARIANT_COLUMNS)
    return _typed(table)


@contextmanager
def _row_numbers(path: str | Path, *, text: bool) -> Iterator[Iterator[tuple[int, int | None]]]:
    """Number and position of the lines with variants; of a BCF of its records, without position and end."""
    if not text:
        yield ((number, None) for number in itertools.count(1))
        return
    with open_bytes(path) as lines:
        yield _of_rows(lines)


def _of_rows(lines: Iterable[bytes]) -> Iterator[tuple[int, int | None]]:
    """Number and position (−1: none) of the lines after the header, of which htslib can read no empty one."""
    in_header = True
    for number, line in enumerate(lines, 1):
        in_header = in_header and (not line.strip() or line.removeprefix(codecs.BOM_UTF8).startswith(b"#"))
        if not in_header and not line.startswith(b"#"):
            cell = line.split(b"\t", 2)[1:2]
            yield number, int(cell[0]) if cell and cell[0].isdigit() else -1
        in_header = in_header and not line.startswith(b"#CHROM")


def _why(path: str | Path, number: int, *, text: bool) -> str:
    """Where, and what, cannot be read: a line, or the record of that number."""
    if not text or not number:
        return f"{path}:{number or ' after its last variant'}: the file is damaged or truncated"
    with open_bytes(path) as lines:
        line = next(itertools.islice(lines, number - 1, None)).decode("utf-8", "replace")
    fields = line.rstrip("\r\n").split("\t")
    found = f"cannot be read as VCF: found {len(fields)} fields, {' '.join(fields[:5])!r}"
    return f"{path}:{number}: {found}; expected CHROM POS ID REF ALT QUAL FILTER INFO"


def _read_table(path: str | Path) -> pd.DataFrame:
    with _lines(path) as lines:
        rows = [
            (number, line.rstrip("\r\n").split("\t"))
            for number, line in enumerate(lines, start=1)
            if line.strip() and not line.startswith("##")
        ]
    if not rows:
        raise InputError(f"{path}: the file is empty; {_ADVICE}")
    header = [_NAMES.get(name.strip().lower(), name.strip()) for name in rows[0][1]]
    lowered = [name.lower() for name in header]
    names = [
        low if low in (*VARIANT_COLUMNS, "pos") else name for low, name in zip(lowered, header, strict=True)
    ]
    _check_header(path, names)
    wrong = [f"line {number}: {len(cells)} fields" for number, cells in rows[1:] if len(cells) != len(names)]
    if wrong:
        raise InputError(f"{path}: {offenders(wrong)}; expected {len(names)}, as in the header")
    table = pd.DataFrame([cells for _, cells in rows[1:]], columns=names, dtype="str")
    table.insert(0, "source_line", [number for number, _ in rows[1:]])
    column = "pos" if "pos" in names else "start"
    cells = table[column].str.strip()
    bad = table[~cells.str.fullmatch(r"\d{1,12}")]
    if len(bad):
        rows_named = [f"line {row.source_line}: {getattr(row, column)!r}" for row in bad.itertuples()]
        raise InputError(f"{path}: {column}: {offenders(rows_named)}; expected whole numbers")
    table = table.drop(columns=column).assign(start=cells.astype(np.int64) - (column == "pos"))
    if "id" not in table:
        table["id"] = "."
    table["alt"] = table["alt"].str.split(",")
    table = table.explode("alt", ignore_index=True)
    return _typed(
        table[[*VARIANT_COLUMNS, *(name for name in names if name not in (*VARIANT_COLUMNS, "pos"))]]
    )


def _check_header(path: str | Path, names: list[str]) -> None:
    missing = [name for name in ("chrom", "ref", "alt") if name not in names]
    places = [name for name in ("pos", "start") if name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if missing or not places:
        lost = ", ".join([*missing, *([] if places else ["pos or start"])])
        raise InputError(f"{path}: the header lacks {lost}; found {offenders(names, first=8)}; {_ADVICE}")
    if len(places) == 2:
        raise InputError(
            f"{path}: the header has pos (1-based) and start (0-based); keep the one that you mean"
        )
    if wrong := twice or [name for name in ("source_line", *NORMALISED) if name in names]:
        raise InputError(f"{path}: columns named twice or reserved: {offenders(wrong)}; rename them")


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    for column in ("chrom", "ref", "alt", "id"):
        table[column] = table[column].astype("str").str.strip()
    table["id"] = table["id"].replace("", ".")
    for column in ("ref", "alt"):
        table[column] = table[column].str.upper()
    return table.astype({"source_line": np.int64, "start": np.int64}).reset_index(drop=True)
