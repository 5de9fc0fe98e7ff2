"""A setting that does not fit the file it speaks of is told when the plan is made, as the job would."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cislex.errors import ConfigError
from cislex.prediction.labels import LabelSource, Origin, read_labels
from cislex.regions.peaks import BED_COLUMNS, NARROWPEAK_COLUMNS, read_peaks
from cislex_workflow.checks import file_contents

ROOT = Path(__file__).resolve().parents[3]

NARROW = "chrI\t10\t30\tp\t5\t.\t2.5\t-1\t-1\t7\n"
BED12 = "chrI\t10\t30\ta\t5\t-\t12\t28\t0,0,0\t2\t5,5\t0,15\textra\n"


def write(folder: Path, text: str, name: str = "peaks.bed") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text", [NARROW, BED12, *("\t".join(NARROW.split()[:n]) + "\n" for n in range(3, 10))]
)
@pytest.mark.parametrize("before", ["", "# a comment\ntrack name=x\n\nchrom\tstart\tend\n"])
def test_columns_of_peak_files_are_those_that_jobs_read(tmp_path: Path, text: str, before: str) -> None:
    path = write(tmp_path, before + text)
    assert file_contents.columns_of(path) == read_peaks(path).attrs["columns"]
    zipped = tmp_path / "peaks.bed.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    assert file_contents.columns_of(zipped) == file_contents.columns_of(path)


def test_names_of_columns_are_those_of_the_package() -> None:
    assert list(file_contents.BED_COLUMNS) == BED_COLUMNS
    assert list(file_contents.NARROWPEAK_COLUMNS) == NARROWPEAK_COLUMNS


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("#name\tlog2fc\np\t1\n", ["name", "log2fc"]),
        ('chrom,start,end,"the label"\nchrI,1,2,3\n', ["chrom", "start", "end", "the label"]),
        ("# made by me\nname\t\n", ["name", "column 2"]),
        ("chrI\t1\t2\tp\n", ["chrom", "start", "end", "name"]),
        ("neither\tthis\tnor that\n", None),
        ("", None),
    ],
)
def test_columns_of_tables(tmp_path: Path, text: str, columns: list[str] | None) -> None:
    assert file_contents.columns_of(write(tmp_path, text), table=True) == columns


def test_what_cannot_be_read_is_left_to_the_job(tmp_path: Path) -> None:
    broken = tmp_path / "broken.bed.gz"
    broken.write_bytes(gzip.compress(NARROW.encode() * 100)[:12])
    binary = tmp_path / "binary.bed"
    binary.write_bytes(b"\xff\xfe\x00" * 30)
    for path in (broken, binary, tmp_path / "none.bed", tmp_path):
        assert file_contents.columns_of(path) is None
    text = NARROW[:-2] + "x\n"
    assert file_contents.columns_of(write(tmp_path, text)) is None, "BED or narrowPeak: other rows decide"
    assert file_contents.columns_of(write(tmp_path, text), file_format="narrowPeak") == NARROWPEAK_COLUMNS


def config(**label: Any) -> dict[str, Any]:
    return {
        "models": {"net": {"loader": "factory", "module": "m.py:bild"}},
        "regions": {"mine": {"peaks": "peaks.bed", "format": "auto"}},
        "insertions": {},
        "evolution": {},
        "variants": {},
        "analyses": {
            "first": {
                "regions": "mine",
                "model": "net",
                "labels": {"t": {"column": None, "table": None, **label}} if label else None,
            }
        },
    }


def test_a_function_that_the_file_does_not_define_is_named(tmp_path: Path) -> None:
    assert file_contents.problems(config(), tmp_path) == [], "the file is not there: told as missing"
    write(tmp_path, "class Net: ...\ndef build(): ...\n", "m.py")
    assert file_contents.problems(config(), tmp_path) == [
        "models.net.module: m.py has no function 'bild'; it has Net, build; did you mean 'build'?"
    ]
    write(tmp_path, "from other import *\n", "m.py")
    assert file_contents.problems(config(), tmp_path) == []


@pytest.mark.parametrize("column", ["signal", 11, 0, "column_7"])
def test_a_column_that_the_peak_file_lacks_is_told_in_the_words_of_the_job(
    tmp_path: Path, column: str | int
) -> None:
    path = write(tmp_path, NARROW)
    (found,) = file_contents.problems(config(column=column), tmp_path)
    regions = pd.DataFrame({"source_line": [1], "chrom": ["chrI"]})
    with pytest.raises(ConfigError) as raised:
        read_labels(LabelSource(column=column), regions, Origin(peaks=path), target="t")
    told = str(raised.value).replace(str(path), "peaks.bed").partition(": ")[2]
    assert found.startswith(f"analyses.first.labels.t: {told}")


@pytest.mark.parametrize("column", ["signal_value", "score", 1, 10, "rgb"])
def test_a_column_that_may_be_there_is_no_problem(tmp_path: Path, column: str | int) -> None:
    write(tmp_path, NARROW)
    assert file_contents.problems(config(column=column), tmp_path) == []


def test_a_column_of_a_table(tmp_path: Path) -> None:
    write(tmp_path, "name\tlog2fc\np\t1\n", "table.tsv")
    assert file_contents.problems(config(column="log2fc", table="table.tsv"), tmp_path) == []
    assert file_contents.problems(config(column="log2", table="table.tsv"), tmp_path) == [
        "analyses.first.labels.t: table.tsv has no column 'log2'; it has name, log2fc; did you mean 'log2fc'?"
    ]


@pytest.mark.parametrize(("column", "told"), [("log2fc", False), ("log2", True)])
def test_a_column_of_measured_variants_is_looked_for_before_they_are_scored(
    tmp_path: Path, column: str, told: bool
) -> None:
    variants = {"own": {"table": "calls.tsv", "observed": column}, "none": {"table": "x", "observed": None}}
    assert file_contents.problems({**config(), "variants": variants}, tmp_path) == [], "told as missing"
    write(tmp_path, "## made by me\nchrom\tpos\tref\talt\tlog2fc\nchr1\t1\tA\tC\t0.5\n", "calls.tsv")
    text = (
        "variants.own.observed: calls.tsv has no column 'log2'; it has chrom, pos, ref, alt, log2fc; "
        "did you mean 'log2fc'?"
    )
    assert file_contents.problems({**config(), "variants": variants}, tmp_path) == [text] * told


FASTAS = {
    "": ">a\nACGT\nACGT\n>b\nacgtacgt\n",
    "own.fa: expected records of 8 bp, .* but b has 7 bp": ">a\nACGTACGT\n>b\nACGTACG\n",
    r"b has 2 bp that are not A, C, G or T \(2 of the first 3 records\)": (
        ">a\nACGTACGT\n>b x\nACGTNRCG\n>c\nNNNNNNNN\n"
    ),
}


@pytest.mark.parametrize("message", FASTAS)
def test_sequences_that_cannot_be_backgrounds_are_named(tmp_path: Path, message: str) -> None:
    write(tmp_path, FASTAS[message], "own.fa")
    found = list(file_contents._of_records("insertions.x.backgrounds.fasta", "own.fa", 8, tmp_path))
    assert len(found) == bool(message)
    if message:
        assert re.search(message, found[0])


def test_long_files_of_sequences_are_read_in_part(tmp_path: Path) -> None:
    write(tmp_path, ">a\nACGTACGT\n" * 8000 + ">cut\nACG\n", "own.fa")
    assert not list(file_contents._of_records("insertions.x.backgrounds.fasta", "own.fa", 8, tmp_path))
