"""Files that hold no variants are told with the plan, in the words of the job."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from cislex.errors import InputError
from cislex.variants.vcf import _NAMES, read_variants
from cislex_workflow.checks import variant_files

VCF = "##fileformat=VCFv4.2\n##contig=<ID=c>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
ROW = "c\t5\t.\tA\tC\t.\t.\t.\n"


def problems(folder: Path, **settings: Any) -> list[str]:
    given = {"vcf": None, "table": None, "observed": None, **settings}
    return list(variant_files.problems({"variants": {"v": given}}, folder))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (VCF + ROW, ""),
        (VCF, "no variants after the header"),
        ("\ufeff" + VCF, "no variants after the header"),
        (
            "MEME version 4\n\nALPHABET= ACGT\n",
            "the header lacks chrom, ref, alt, pos or start; found MEME",
        ),
        ("chrom\tpos\tref\talt\nc\t5\tA\tC\n", ""),
        ("## made by me\nChr\tstart\tReference\tALT\tmore\nc\t4\tA\tC\tx\n", ""),
        ("chrom\tpos\tref\talt\n", "no variants; expected a VCF, or a table"),
        ("chrom\tposition\tref\talt\nc\t5\tA\tC\n", "the header lacks pos or start; found chrom"),
        (
            "chrom pos ref alt\nc 5 A C\n",
            "the header lacks chrom, ref, alt, pos or start; found chrom pos",
        ),
        ("c\t5\tA\tC\n", "the header lacks chrom, ref, alt, pos or start; found c, 5, A, C"),
        ("chrom\tstart\tpos\tref\talt\nc\t4\t5\tA\tC\n", "the header has pos (1-based) and start (0-based)"),
        ("", "the file is empty"),
        ("## nothing\n", "the file is empty"),
        ("PK\0\3", "found binary data"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_without_variants_is_told_as_the_job_would(
    tmp_path: Path, data: str, told: str, zipped: bool
) -> None:
    path = tmp_path / "own.vcf"
    path.write_bytes(gzip.compress(data.encode()) if zipped else data.encode())
    found = problems(tmp_path, vcf="own.vcf") + problems(tmp_path, table="own.vcf")
    assert len(found) == 2 * bool(told)
    if told:
        assert found[0].startswith(f"variants.v.vcf: own.vcf: {told}")
        assert found[1].startswith(f"variants.v.table: own.vcf: {told}")
        with pytest.raises(InputError) as raised:
            read_variants(path)
        assert told.partition(";")[0].partition(" found")[0] in str(raised.value)
    elif not data.startswith("##fileformat"):
        assert len(read_variants(path)) == 1


def test_what_cannot_be_read_is_left_to_the_job(tmp_path: Path) -> None:
    (tmp_path / "latin.tsv").write_bytes(b"chrom\tpos\tref\talt\nc\t5\tA\tC\n" + b"\xe9" * 9)
    (tmp_path / "cut.vcf.gz").write_bytes(gzip.compress((VCF + ROW * 99).encode())[:30])
    (tmp_path / "own.bcf").write_bytes(b"BCF\2\2\0")
    (tmp_path / "long.vcf").write_text("##fileformat=VCFv4.2\n" + "##contig=<ID=c>\n" * 20_000)
    for name in ("latin.tsv", "cut.vcf.gz", "own.bcf", "long.vcf", "none.vcf"):
        assert problems(tmp_path, vcf=name) == []


def test_names_of_columns_are_those_of_the_package() -> None:
    assert variant_files.NAMES == _NAMES
