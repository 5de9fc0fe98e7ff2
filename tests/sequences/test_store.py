"""Sequences on disk equal the genome's letters, whatever the file, order, strand and block size."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import cislex.regions.genome as genome_module
import cislex.sequences.store as sequences_module
import h5py
import numpy as np
import pandas as pd
import pytest
from bgzip import write_bgzip
from cislex.errors import ConfigError, InputError, StorageError
from cislex.regions.extraction import read_regions_bed, write_regions_bed
from cislex.regions.genome import Genome, digest_sequences, genome_digest, index_genome, stream_fasta
from cislex.sequences.importing import import_sequences
from cislex.sequences.store import (
    SequenceStore,
    encode_sequences,
    reverse_complement,
    to_codes,
    to_one_hot,
)
from hypothesis import given, settings
from hypothesis import strategies as st

LETTERS = "ACGTacgtNnRYSWKMBDHVrk"


def make_genome(seed: int = 0) -> dict[str, str]:
    rng = np.random.default_rng(seed)
    weights = np.array([8] * 8 + [1] * (len(LETTERS) - 8)) / (64 + len(LETTERS) - 8)
    return {
        name: "".join(rng.choice(list(LETTERS), size, p=weights))
        for name, size in {"chr2": 70_001, "chr1": 150_000, "chrM": 60}.items()
    }


def fasta_text(genome: dict[str, str], width: int = 60, end: str = "\n") -> str:
    return "".join(
        f">{name} words{end}" + end.join(text[i : i + width] for i in range(0, len(text), width)) + end
        for name, text in genome.items()
    )


def one_hot(text: str, strand: str = "+") -> np.ndarray:
    """The plain definition, letter by letter."""
    result = np.zeros((4, len(text)), dtype=np.uint8)
    for position, letter in enumerate(text.upper()):
        if letter in "ACGT":
            result["ACGT".index(letter), position] = 1
    return result[::-1, ::-1] if strand == "-" else result


def make_regions(genome: dict[str, str], n: int, length: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    chroms = rng.choice([name for name in genome if len(genome[name]) >= length], n)
    starts = np.array([rng.integers(0, len(genome[chrom]) - length + 1) for chrom in chroms])
    return pd.DataFrame(
        {
            "chrom": chroms, "start": starts, "end": starts + length, "name": [f"r{i}" for i in range(n)],
            "score": "0", "strand": rng.choice(list("+-."), n), "peak_start": starts, "peak_end": starts + 1,
            "source_line": np.arange(n) + 1,
        }
    )  # fmt: skip


def expected(genome: dict[str, str], regions: pd.DataFrame) -> np.ndarray:
    rows = zip(regions["chrom"], regions["start"], regions["end"], regions["strand"], strict=True)
    return np.stack([one_hot(genome[c][s:e], strand) for c, s, e, strand in rows])


@pytest.fixture(params=["plain", "bgzip", "windows line ends"])
def fasta(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "bgzip":
        return write_bgzip(tmp_path / "genome.fa.gz", fasta_text(make_genome()))
    end = "\r\n" if request.param == "windows line ends" else "\n"
    path = tmp_path / "genome.fa"
    path.write_bytes(fasta_text(make_genome(), end=end).encode())
    return path


class TestEncode:
    @pytest.mark.parametrize("length", [1, 60, 333])
    def test_equals_the_definition(self, fasta: Path, tmp_path: Path, length: int) -> None:
        regions = make_regions(make_genome(), 300, length)
        write_regions_bed(regions, tmp_path / "regions.bed")
        encode_sequences(tmp_path / "regions.bed", fasta, tmp_path / "s.h5", threads=2)
        with SequenceStore(tmp_path / "s.h5") as store:
            assert (store.n, store.length, store.has_coordinates) == (300, length, True)
            np.testing.assert_array_equal(store.read(), expected(make_genome(), regions))
            np.testing.assert_array_equal(store.read(7, 9), store.read()[7:9])
            found = store.regions(5, 8)
        pd.testing.assert_frame_equal(
            found, regions.loc[5:7, found.columns.tolist()].reset_index(drop=True), check_dtype=False
        )

    def test_blocks_do_not_matter(self, fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        regions = make_regions(make_genome(), 100, 50)
        write_regions_bed(regions, tmp_path / "regions.bed")
        monkeypatch.setattr(genome_module, "BLOCK", 997)
        monkeypatch.setattr(genome_module, "MAX_GAP", 10)
        monkeypatch.setattr(sequences_module, "CHUNK_BYTES", 4 * 50 * 7)
        encode_sequences(tmp_path / "regions.bed", fasta, tmp_path / "s.h5")
        with SequenceStore(tmp_path / "s.h5") as store:
            np.testing.assert_array_equal(store.read(), expected(make_genome(), regions))
        with h5py.File(tmp_path / "s.h5") as handle:
            assert handle["sequences"].chunks == (7, 4, 50)
            assert handle["sequences"].compression == "gzip"

    def test_index_made_before_is_used(self, fasta: Path, tmp_path: Path) -> None:
        index = {"fai": tmp_path / "i" / "index.fai", "gzi": tmp_path / "i" / "index.gzi"}
        table = index_genome(fasta, tmp_path / "i" / "chromosomes.tsv", **index)
        assert table["length"].tolist() == [70_001, 150_000, 60]
        before = sorted(path.name for path in tmp_path.iterdir())
        regions = make_regions(make_genome(), 20, 50)
        write_regions_bed(regions, tmp_path / "r" / "regions.bed")
        out = tmp_path / "r" / "s.h5"
        encode_sequences(
            tmp_path / "r" / "regions.bed",
            fasta,
            out,
            chromosomes=tmp_path / "i" / "chromosomes.tsv",
            **index,
        )
        with SequenceStore(out) as store:
            np.testing.assert_array_equal(store.read(), expected(make_genome(), regions))
            assert store.source_digest == genome_digest(digest_sequences(fasta))
        # Nothing was written beside the genome.
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "r"])

    def test_stale_index_is_not_trusted(self, tmp_path: Path) -> None:
        path = tmp_path / "genome.fa"
        path.write_text(fasta_text(make_genome(), width=10))
        index = {"fai": tmp_path / "index.fai", "gzi": tmp_path / "index.gzi"}
        index_genome(path, tmp_path / "chromosomes.tsv", **index)
        path.write_text(fasta_text(make_genome(), width=77))
        os.utime(index["fai"], (0, 0))
        with Genome(path, **index) as genome:
            np.testing.assert_array_equal(
                to_one_hot(genome.codes("chrM", 3, 9)[None])[0], one_hot(make_genome()["chrM"][3:9])
            )

    def test_digest_depends_on_the_sequence_alone(self, tmp_path: Path) -> None:
        genome = make_genome()
        variants = {
            "a.fa": fasta_text(genome),
            "b.fa": fasta_text({name: text.upper() for name, text in genome.items()}, width=71),
            "c.fa": fasta_text(dict(reversed(genome.items()))),
        }
        digests = set()
        for name, text in variants.items():
            (tmp_path / name).write_text(text)
            digests.add(genome_digest(digest_sequences(tmp_path / name)))
        digests.add(genome_digest(digest_sequences(write_bgzip(tmp_path / "d.fa.gz", variants["a.fa"]))))
        assert len(digests) == 1
        (tmp_path / "e.fa").write_text(fasta_text(make_genome(1)))
        assert genome_digest(digest_sequences(tmp_path / "e.fa")) not in digests

    def test_unequal_lengths_and_broken_inputs(self, fasta: Path, tmp_path: Path) -> None:
        regions = make_regions(make_genome(), 3, 50)
        for change, message in (
            ({"end": regions["end"] + [0, 1, 0]}, "one length; found 50, 51"),
            ({"chrom": "chrX"}, "no chromosome 'chrX'"),
            ({"chrom": "chrM", "start": 30, "end": 80}, "not within chrM"),
        ):
            write_regions_bed(regions.assign(**change), tmp_path / "regions.bed")
            with pytest.raises(InputError, match=message):
                encode_sequences(tmp_path / "regions.bed", fasta, tmp_path / "s.h5")
        assert not (tmp_path / "s.h5").exists()


@pytest.mark.parametrize("harm", ["cut", "other"])
def test_regions_cut_at_a_line_end_are_refused(fasta: Path, tmp_path: Path, harm: str) -> None:
    regions, path = make_regions(make_genome(), 9, 50), tmp_path / "regions.bed"
    write_regions_bed(regions, path, dropped=3)
    assert read_regions_bed(path).attrs["rows_read"] == 12
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-2] if harm == "cut" else [*lines[:-1], lines[1]]))
    with pytest.raises(InputError, match=f"found {7 if harm == 'cut' else 9} regions, but 9 were written"):
        encode_sequences(path, fasta, tmp_path / "s.h5")
    (tmp_path / "regions.summary.tsv").unlink()  # as of versions before
    encode_sequences(path, fasta, tmp_path / "s.h5")


class TestGenome:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "no FASTA record"),
            ("ACGT\n", "first line begins with '>'"),
            (">\nACGT\n", "has no name"),
            (">a\nAC*T\n", r"'\*' at position 2"),
            (">a\nACUT\n", "write T for U"),
            (">a\nAC-T\n", "'-' at position 2"),
            (">a\nA\n>b\nC\n>a\nC\n", "more than once: a"),
            (">a\nACGT\nAC\nACGT\n", "cannot be indexed"),
        ],
    )
    def test_bad_files_are_named(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "x.fa"
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            index_genome(path, tmp_path / "c", tmp_path / "f", tmp_path / "g")
        assert [entry.name for entry in tmp_path.iterdir()] == ["x.fa"]

    def test_compression(self, tmp_path: Path) -> None:
        (tmp_path / "a.fa.gz").write_bytes(gzip.compress(b">a\nACGT\n"))
        with pytest.raises(InputError, match="bgzip"):
            Genome(tmp_path / "a.fa.gz")
        (tmp_path / "b.fa.gz").write_bytes(b">a\nACGT\n")
        with pytest.raises(InputError, match="has the name of a compressed file"):
            Genome(tmp_path / "b.fa.gz")
        write_bgzip(tmp_path / "c.fa", ">a\nACGT\n")
        with pytest.raises(InputError, match=r"must end in \.gz"):
            Genome(tmp_path / "c.fa")
        (tmp_path / "d.fa.gz").write_bytes(gzip.compress(b">a\nACGT\n" * 100)[:-9])
        with pytest.raises(InputError, match="corrupt or truncated"):
            digest_sequences(tmp_path / "d.fa.gz")

    def test_bounds_are_checked_alike(self, fasta: Path) -> None:
        with Genome(fasta) as genome:
            assert len(genome.codes("chrM", 60, 60)) == 0
            for start, end in ((0, 61), (-1, 5), (9, 5)):
                with pytest.raises(InputError, match="not within"):
                    genome.codes("chrM", start, end)

    def test_no_index_is_left_behind(self, fasta: Path) -> None:
        with Genome(fasta) as genome:
            assert genome.lengths == {name: len(text) for name, text in make_genome().items()}
        assert [path.name for path in fasta.parent.iterdir()] == [fasta.name]

    @settings(max_examples=150, deadline=None)
    @given(
        records=st.lists(
            st.tuples(
                st.text("ab>", min_size=1, max_size=3), st.lists(st.text("ACGTN", max_size=5), max_size=4)
            ),
            min_size=1, max_size=5,
        ),
        block=st.integers(1, 12),
        last=st.booleans(),
    )  # fmt: skip
    def test_streaming_does_not_depend_on_blocks(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        records: list[tuple[str, list[str]]],
        block: int,
        last: bool,
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "stream.fa"
        text = "\n".join(f">{name}" + "".join("\n" + line for line in lines) for name, lines in records)
        path.write_text(text + "\n" * last)
        found: dict[int, list[str]] = {}
        for number, name, piece in stream_fasta(path, block=block):
            entry = found.setdefault(number, [name, ""])
            assert entry[0] == name
            entry[1] += piece.decode()
        assert list(found.values()) == [[name, "".join(lines)] for name, lines in records]


def test_reverse_complement_is_its_own_inverse() -> None:
    codes = np.random.default_rng(0).integers(0, 5, (6, 11)).astype(np.uint8)
    np.testing.assert_array_equal(reverse_complement(reverse_complement(codes)), codes)
    np.testing.assert_array_equal(to_one_hot(reverse_complement(codes)), to_one_hot(codes)[:, ::-1, ::-1])


def test_codes_of_one_hot_are_the_codes() -> None:
    codes = np.random.default_rng(0).integers(0, 5, (6, 11)).astype(np.uint8)
    found = to_codes(to_one_hot(codes).reshape(2, 3, 4, 11))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found.reshape(6, 11), codes)


def test_first_rows_without_unknown_bases_come_in_the_given_order(tmp_path: Path) -> None:
    (tmp_path / "in.fa").write_text(
        "".join(f">r{i}\n{s}\n" for i, s in enumerate(["AC", "NA", "GT", "CN", "TT"]))
    )
    paths = [tmp_path / name for name in ("regions.bed", "dropped.tsv", "sequences.h5")]
    import_sequences(tmp_path / "in.fa", *paths)
    with SequenceStore(paths[2]) as store:
        codes, rows, unknown = store.first_known([3, 4, 1, 0, 2], 2)
        assert (codes.tolist(), rows.tolist(), unknown) == ([[3, 3], [0, 1]], [4, 0], [3, 1])
        codes, rows, unknown = store.first_known([1, 3], 2)
        assert (codes.shape, codes.dtype, rows.tolist(), unknown) == ((0, 2), np.uint8, [], [1, 3])


class TestImport:
    names = ("regions.bed", "dropped.tsv", "sequences.h5")

    def run(self, source: Path, **options: object) -> tuple[np.ndarray, str]:
        paths = [source.parent / "out" / name for name in self.names]
        import_sequences(source, *paths, **options)  # type: ignore[arg-type]
        with SequenceStore(paths[2]) as store:
            assert not store.has_coordinates
            regions = store.regions()
            assert (regions["chrom"] == "").all()
            bed = read_regions_bed(paths[0])
            assert bed["name"].tolist() == regions["name"].tolist()
            assert bed["source_line"].tolist() == list(range(1, store.n + 1))
            assert pd.read_csv(paths[1], sep="\t").empty
            return store.read(), store.source_digest

    def test_fasta_and_both_axis_orders_agree(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sequences_module, "CHUNK_BYTES", 4 * 30 * 7)
        rng = np.random.default_rng(0)
        texts = ["".join(rng.choice(list("ACGTn"), 30)) for _ in range(20)]
        truth = np.stack([one_hot(text) for text in texts])
        fasta = "".join(f">same\n{text[:17]}\n{text[17:]}\n" for text in texts)
        (tmp_path / "s.fa").write_text(fasta)
        (tmp_path / "s.fa.gz").write_bytes(gzip.compress(fasta.encode()))
        with h5py.File(tmp_path / "s.h5", "w") as handle:
            handle["a/x"] = truth.astype(np.float32)
            handle["y"] = truth.transpose(0, 2, 1).astype(bool)
            handle["quarter"] = np.where(truth.sum(1, keepdims=True) == 0, 0.25, truth)
        results = [
            self.run(tmp_path / "s.fa", length=30),
            self.run(tmp_path / "s.fa.gz"),
            self.run(tmp_path / "s.h5", is_hdf5=True, dataset="a/x"),
            self.run(tmp_path / "s.h5", is_hdf5=True, dataset="/y"),
            self.run(tmp_path / "s.h5", is_hdf5=True, dataset="quarter", axes="n4l", threads=2),
        ]
        for data, digest in results:
            np.testing.assert_array_equal(data, truth)
            assert digest == results[0][1]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (">a\nACGT\n>b\nACG\n>c\nACGT\n", r"not b \(3 bp\)"),
            (">a\nACGT\n>b\nACXT\n", "b: character 'X' at position 2"),
            (">a\n>b\n", "are empty"),
            (">a\nACG\n", "sequences of 3 bp; expected 4 bp"),
        ],
    )
    def test_bad_fasta(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "s.fa").write_text(text)
        with pytest.raises(InputError, match=message):
            self.run(tmp_path / "s.fa", length=4)
        assert not any((tmp_path / "out" / name).exists() for name in self.names)

    def test_bad_hdf5(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "s.h5", "w") as handle:
            handle["x"] = np.full((3, 4, 9), 0.5)
            handle["y"] = np.zeros((3, 5, 9))
            handle["square"] = np.zeros((3, 4, 4))
            handle["text"] = "hello"
        for options, error, message in (
            ({"dataset": "x"}, InputError, "not one-hot at row 0 position 0.*27 in all"),
            ({"dataset": "y"}, InputError, r"found \(3, 5, 9\)"),
            ({"dataset": "text"}, InputError, "expected numbers"),
            ({"dataset": "square"}, ConfigError, "fits both axis orders"),
            ({"dataset": "square", "axes": "4nl"}, ConfigError, "axes: found '4nl'"),
            ({"dataset": "z"}, ConfigError, r"no dataset 'z'; it has square \(3, 4, 4\)"),
            ({}, ConfigError, "name a dataset of"),
        ):
            with pytest.raises(error, match=message):
                self.run(tmp_path / "s.h5", is_hdf5=True, **options)
        (tmp_path / "t.h5").write_text("no")
        with pytest.raises(StorageError, match="not a complete HDF5 file"):
            self.run(tmp_path / "t.h5", is_hdf5=True)


def test_store_refuses_other_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["x"] = [1]
    with pytest.raises(StorageError, match="lacks sequences"):
        SequenceStore(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as handle:
        handle["sequences"] = np.zeros((2, 9, 4))
        handle.create_group("regions")
    with pytest.raises(InputError, match=r"expected uint8 \(N, 4, L\)"):
        SequenceStore(tmp_path / "b.h5")
