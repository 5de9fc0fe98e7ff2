"""Variants are read alike from every kind of file, and what cannot be read is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from bgzip import write_bgzip
from cislex.errors import InputError
from cislex.variants.vcf import VARIANT_COLUMNS, read_variants
from variants_genome import HEADER

BODY = (
    "chr1\t5\trs1\ta\tC,<*>\t.\t.\t.\n"
    "chr2\t3\t.\tAC\tA\t50\tPASS\tAF=0.5\n"
    "chr1\t2\trs2\tG\t<DEL>\t.\t.\tEND=9\n"
    "chr1\t9\t.\tG\t.\t.\t.\tEND=30\n"
    "chr1\t9\tx\tG\t*,GT\t.\tq10\tDP\n"
)
EXPECTED = [
    (3, "chr1", 4, "A", "C", "rs1"),
    (3, "chr1", 4, "A", "<*>", "rs1"),
    (4, "chr2", 2, "AC", "A", "."),
    (5, "chr1", 1, "G", "<DEL>", "rs2"),
    (6, "chr1", 8, "G", "", "."),
    (7, "chr1", 8, "G", "*", "x"),
    (7, "chr1", 8, "G", "GT", "x"),
]


@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzip", "undeclared_name"])
def test_vcf_has_one_row_per_alternative_whatever_the_compression(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("calls" if kind == "undeclared_name" else "calls.vcf")
    text = HEADER + BODY
    if kind == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    elif kind == "bgzip":
        write_bgzip(path, text)
    else:
        path.write_text(text)
    table = read_variants(path)
    assert list(table) == VARIANT_COLUMNS
    assert list(table.itertuples(index=False, name=None)) == EXPECTED


@pytest.mark.parametrize(("column", "first"), [("pos", 5), ("start", 4), ("POS", 5)])
def test_the_name_of_a_column_says_where_a_table_counts_from(tmp_path: Path, column: str, first: int) -> None:
    path = tmp_path / "table.tsv"
    path.write_text(
        f"chrom\t{column}\tref\talt\tid\tobserved\nchr1\t{first}\ta\tC,g\trs1\t0.5\nchr2\t{first}\tAC\tA\t\t\n"
    )
    table = read_variants(path)
    assert list(table) == [*VARIANT_COLUMNS, "observed"]
    assert table.drop(columns="observed").values.tolist() == [
        [2, "chr1", 4, "A", "C", "rs1"],
        [2, "chr1", 4, "A", "G", "rs1"],
        [3, "chr2", 4, "AC", "A", "."],
    ]
    assert table["observed"].tolist() == ["0.5", "0.5", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, "no variants after the header"),
        (
            HEADER + "chr1\tx\t.\tA\tC\t.\t.\t.\n",
            r":3: cannot be read as VCF: found 8 fields, 'chr1 x \. A C'",
        ),
        (HEADER + BODY + "chr1\t5\t.\tA\n", r":8: cannot be read as VCF: found 4 fields"),
        ("", "the file is empty"),
        ("chr1\t5\tA\tC\n", "header lacks chrom, ref, alt, pos or start"),
        ("chrom\tpos\tstart\tref\talt\nchr1\t5\t4\tA\tC\n", "pos .1-based. and start .0-based."),
        ("chrom\tpos\tref\talt\n", "no variants"),
        ("chrom\tpos\tref\talt\nchr1\t5\tA\n", "line 2: 3 fields"),
        ("chrom\tpos\tref\talt\nchr1\t5\tA\tC\nchr1\t-5\tA\tC\n", r"pos: line 3: '-5'; expected whole"),
        ("chrom\tpos\tref\talt\tx\tx\nchr1\t5\tA\tC\t1\t1\n", "named twice"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "calls.vcf"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_variants(path)


def test_a_file_that_was_cut_is_an_error(tmp_path: Path) -> None:
    path = write_bgzip(tmp_path / "calls.vcf.gz", HEADER + BODY * 2000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"truncated|cannot be read"):
        read_variants(path)
    path.write_bytes(b"\x00\x01binary")
    with pytest.raises(InputError, match="binary"):
        read_variants(path)
