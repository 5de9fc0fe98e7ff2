"""The index of a FASTA file is made from it or fits it: never that of another file."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pyfaidx
import pytest
from bgzip import write_bgzip
from cislex.errors import InputError
from cislex.regions.chromosome_table import read_sizes
from cislex.regions.fasta_index import index_fits, scan_fasta, write_fai
from cislex.regions.genome import CODES, Genome, digest_sequences, index_genome
from hypothesis import given, settings
from hypothesis import strategies as st

records_of_text = st.lists(
    st.tuples(st.text("ACGTN", max_size=40), st.integers(1, 12), st.integers(0, 2)), min_size=1, max_size=5
)


def text_of(records: list[tuple[str, int, int]], ending: str) -> str:
    """Records wrapped at widths of their own, followed by empty lines."""
    parts = []
    for number, (letters, width, empty) in enumerate(records):
        lines = [letters[i : i + width] for i in range(0, len(letters), width)]
        parts += [f">r{number} words", *lines, *[""] * empty]
    return ending.join(parts) + ending


@settings(max_examples=60, deadline=None)
@given(records=records_of_text, ending=st.sampled_from(["\n", "\r\n"]), block=st.integers(1, 30))
def test_every_base_is_where_the_index_says(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[tuple[str, int, int]],
    ending: str,
    block: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "indexed.fa"
    path.write_text(text_of(records, ending), newline="")
    found = scan_fasta(path, compressed=False, block=block)
    assert [record.length for record in found] == [len(letters) for letters, _, _ in records]
    with Genome(path) as genome:
        for number, (letters, _, _) in enumerate(records):
            codes = genome.codes(f"r{number}", 0, len(letters))
            np.testing.assert_array_equal(codes, CODES[np.frombuffer(letters.encode(), np.uint8)])
    write_fai(found, path.with_suffix(".made"))
    assert index_fits(path.with_suffix(".made"), path)


def test_the_index_is_that_of_pyfaidx(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_text(">a x\nACGT\nAC\n>b\nACGTACGT\n>c\nAC\nGT\nA")
    write_fai(scan_fasta(path, compressed=False), tmp_path / "own")
    pyfaidx.Faidx(str(path), indexname=str(tmp_path / "theirs")).close()
    assert (tmp_path / "own").read_text() == (tmp_path / "theirs").read_text()


@pytest.mark.parametrize("beside", ["other lengths", "truncated", "other names", "other lines", "no index"])
def test_a_wrong_index_beside_the_genome_is_not_used(
    tmp_path: Path, beside: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    path, index = tmp_path / "g.fa", tmp_path / "g.fa.fai"
    path.write_text(">a\nACGTA\nCGTAC\nGT\n>b\nACG\n")
    right = scan_fasta(path, compressed=False)
    write_fai(right, index)
    assert index_fits(index, path)
    lines = index.read_text()
    wrong = {
        "other lengths": lines.replace("a\t12", "a\t11"),
        "truncated": lines.splitlines()[0] + "\n",
        "other names": lines.replace("b\t", "c\t"),
        "other lines": lines.replace("\t5\t6", "\t4\t5"),
        "no index": "a\n",
    }[beside]
    index.write_text(wrong)
    with Genome(path) as genome:
        assert genome.lengths == {"a": 12, "b": 3}
    assert "g.fa.fai is not its index; indexing again" in caplog.text
    assert index.read_text() == wrong
    index_genome(path, tmp_path / "c.tsv", tmp_path / "i.fai", tmp_path / "i.gzi")
    assert read_sizes(tmp_path / "c.tsv") == {"a": 12, "b": 3}


@pytest.mark.parametrize("name", ["g.fa", "G.FA.GZ"])
def test_odd_headers_and_blank_lines_are_read_alike_by_all(tmp_path: Path, name: str) -> None:
    text = "\n\n>NA f\u00e9v\nACGT\nAC\n\n\n>\u4e00\nACG\n\n".encode() + b">\xe9t\xe9 1\nAC\n"
    path = tmp_path / name
    if name.endswith("GZ"):
        write_bgzip(path, text.decode("latin-1"), encoding="latin-1")
    else:
        path.write_bytes(text)
    sizes = {"NA": 6, "一": 3, "été": 2}
    index = {"fai": tmp_path / "i.fai", "gzi": tmp_path / "i.gzi"}
    table = index_genome(path, tmp_path / "c.tsv", **index)
    assert dict(zip(table["chrom"], table["length"], strict=True)) == read_sizes(tmp_path / "c.tsv") == sizes
    for files in ({}, index):
        with Genome(path, **files) as genome:
            assert genome.lengths == sizes
            assert genome.codes("一", 0, 3).tolist() == [0, 1, 2]
            assert genome.codes("été", 0, 2).tolist() == [0, 1]


def test_lines_that_cannot_be_indexed_are_named_by_number(tmp_path: Path) -> None:
    for body, message in (
        ("ACGT\n\n\nACGT\n", "line 5 has 4 bases after line 3"),
        ("\nACGT\n", "line 3 has 4 bases after line 2"),
        ("ACGT\nACGTAC\n", "line 3 has 6 bases after line 3"),
    ):
        for path in (tmp_path / "g.fa", tmp_path / "g.fa.gz"):
            if path.suffix == ".gz":
                write_bgzip(path, f">a\n{body}")
            else:
                path.write_text(f">a\n{body}")
            with pytest.raises(InputError, match=f"cannot be indexed as FASTA: {message}"):
                index_genome(path, tmp_path / "c", tmp_path / "f", tmp_path / "z")
    (tmp_path / "x.fa.gz").write_bytes(gzip.compress(b">a\nACGT\n\nACGT\n"))
    assert digest_sequences(tmp_path / "x.fa.gz")["length"].tolist() == [8], "sequences may be wrapped anyhow"
