"""Names of chromosomes are compared when both files are there, and only certain ones are mapped."""

from __future__ import annotations

from pathlib import Path

import pytest
from cislex.errors import InputError
from cislex.inquiry.regions import ROMAN, ask_regions, match_names, recognise_assembly


def write_genome(folder: Path, *names: str) -> Path:
    path = folder / "genome.fa"
    path.write_text("".join(f">{name}\n{'ACGT' * 100}\n" for name in names))
    return path


def write_peaks(folder: Path, *rows: tuple[str, int, int], summit: int | None = None) -> Path:
    path = folder / "peaks.bed"
    tail = "" if summit is None else f"\tp\t0\t.\t1\t1\t1\t{summit}"
    path.write_text("".join(f"{chrom}\t{start}\t{end}{tail}\n" for chrom, start, end in rows))
    return path


@pytest.mark.parametrize(
    ("names", "genome", "aliases"),
    [
        (["1", "X"], ["chr1", "chrX"], {"1": "chr1", "X": "chrX"}),
        (["chr1", "chrX"], ["1", "X"], {"chr1": "1", "chrX": "X"}),
        (["MT"], ["chrM"], {}),  # another sequence in hg19
        (["scaffold_1"], ["chr1"], {}),
        (["chr4", "chr10", "chr20"], [f"chr{n}" for n in ROMAN[:16]], {"chr4": "chrIV", "chr10": "chrX"}),
        (["chr10"], ["chrI", "chrII", "chrIII", "chrIV", "chrV", "chrX"], {}),  # a sex chromosome
    ],
)
def test_names_that_differ_in_their_prefix_or_kind_of_number_are_mapped(
    names: list[str], genome: list[str], aliases: dict[str, str]
) -> None:
    assert match_names(names, dict.fromkeys(genome, 1)) == aliases


def test_peaks_are_counted_with_their_format_summits_and_chromosomes(tmp_path: Path) -> None:
    genome = write_genome(tmp_path, "chr1", "chr2")
    peaks = write_peaks(tmp_path, ("1", 10, 50), ("1", 100, 450), ("3", 0, 9), summit=4)
    found = ask_regions(genome, peaks)
    assert (found.format, found.peaks, found.summits, found.malformed) == ("narrowPeak", 3, True, 0)
    assert (found.unknown, found.aliases, found.lost, found.beyond) == (
        {"1": 2, "3": 1},
        {"1": "chr1"},
        1,
        1,
    )
    assert found.genome == {"chr1": 400, "chr2": 400}


def test_either_file_alone_tells_what_is_in_it(tmp_path: Path) -> None:
    genome = write_genome(tmp_path, "chr1")
    peaks = write_peaks(tmp_path, ("chr1", 10, 50), ("chr1", 60, 900))
    alone = ask_regions(None, peaks)
    assert (alone.format, alone.peaks, alone.summits, alone.unknown, alone.beyond) == ("bed", 2, False, {}, 0)
    assert ask_regions(genome, None).peaks == 0
    assert ask_regions(None, None).genome == {}


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    peaks = write_peaks(tmp_path, ("chr1", 10, 50), ("chr1", 60, 20))
    assert (ask_regions(None, peaks).peaks, ask_regions(None, peaks).malformed) == (1, 1)


def test_an_assembly_is_known_by_the_length_of_a_chromosome() -> None:
    assert recognise_assembly({"chr1": 248_956_422}) == ("hg38", "vertebrates")
    assert recognise_assembly({"1": 248_956_422}) == (None, "vertebrates")
    assert recognise_assembly({"chr1": 248_956_421}) == (None, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b">chr1\nACGT\n", "is FASTA.*regions.<name>.fasta"),
        (b"\x89HDF\r\n\x1a\n", "is HDF5.*regions.<name>.hdf5"),
        (b"", "no rows"),
    ],
)
def test_another_file_than_peaks_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "peaks.bed").write_bytes(content)
    with pytest.raises(InputError, match=said):
        ask_regions(None, tmp_path / "peaks.bed")
    (tmp_path / "notes.md").write_text("# Notes\n")
    with pytest.raises(InputError, match=r"genome: .*holds no sequence"):
        ask_regions(tmp_path / "notes.md", None)
    with pytest.raises(InputError, match="genome: no such file"):
        ask_regions(tmp_path / "absent.fa", None)
