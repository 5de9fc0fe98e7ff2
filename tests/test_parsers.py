"""Every parser, on random bytes and on changed valid files: an error of ours, or the right counts."""

from __future__ import annotations

import copy
import gzip
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from bad_inputs.case import SCHEMA, minimal, resolved
from cislex.errors import CislexError, InputError
from cislex.files.text_tables import write_text_table
from cislex.motifs.databases import _from_jaspar
from cislex.motifs.meme_files import parse_meme
from cislex.prediction.labels import LabelSource, Origin, read_labels
from cislex.regions.aliases import read_aliases
from cislex.regions.chromosome_table import read_sizes
from cislex.regions.extraction import REGION_COLUMNS, read_regions_bed
from cislex.regions.fasta_index import scan_fasta, write_fai
from cislex.regions.genome import Genome, encode_letters, index_genome, stream_fasta
from cislex.regions.peaks import read_peak_file
from cislex.sequences.importing import import_sequences
from cislex.sequences.stored_windows import Windows
from cislex.variants.vcf import read_variants
from cislex_workflow.checks import file_contents, file_kinds, text_files
from cislex_workflow.config import configuration, yaml_files
from cislex_workflow.config.errors import ConfigurationError
from cislex_workflow.config.sheets import read_sheet
from cislex_workflow.config.track_tables import read_track_table
from cislex_workflow.expected_use import work
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated

pytestmark = pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required additional header")

few = settings(max_examples=40, deadline=None)
many = settings(max_examples=150, deadline=None)
OURS = (CislexError, ConfigurationError)

BED = b"# c\ntrack name=x\nchr1\t10\t30\ta\t5\t+\nchr1\t40\t60\tb\t6\t-\nchr2\t1\t9\tc\t.\t.\n"
NARROW = b"chr1\t10\t30\ta\t5\t.\t2.5\t-1\t-1\t7\nchr1\t40\t60\tb\t5\t.\t2.5\t-1\t-1\t-1\n"
FASTA = b">chr1 x\nACGTACGT\nACGTnnRY\nACG\n>chr2\nacgtACGT\nAC\n>chr3\n\n>chr4\nACGT\n"
VCF = (
    b"##fileformat=VCFv4.2\n##contig=<ID=c>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    b"c\t5\t.\tA\tC\t.\t.\t.\nc\t7\tx\tA\tC,G\t10\tPASS\tAC=1\nd\t9\t.\tAC\t<DEL>\t.\t.\t.\n"
)
TABLE = b"## mine\nchrom\tpos\tref\talt\tid\tmore\nc\t5\tA\tC\tx\ty\nc\t6\tA\tC,G\tx\t2\n"
MEME = (
    b"MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 N1\nletter-probability matrix: alength= 4 w= 2\n"
    b"0.1 0.2 0.3 0.4\n1 0 0 0\n\nMOTIF M2\nletter-probability matrix: w= 1\n10 2 3 4\n"
)
RECORDS = b">a x\nACGTACGT\n>b\nACGTNNRY\n>c\nacg\ntACGT\n"
CHROMOSOMES = b"chrom\tlength\tmd5\nchr1\t100\tabc\nchr2\t50\tdef\n"
WINDOWS = (
    b"chrom\tstart\tend\tname\tscore\tstrand\trow\twindow_start\trank\tsize\tshare\n"
    b"chr1\t10\t20\ta\t.\t+\t0\t5\t1\t2.5\t0.5\nchr1\t30\t40\tb\t.\t+\t1\t7\t1\t2.5\t0.5\n"
)
SHEET = b"name\tpeaks\tformat\ttop\na\tp.bed\tbed\t5\nb\tq.bed\t{a: 1}\t\n"
TRACKS = b"index\tgenome\tidentifier\tdescription\n0\t0\tENC1\tDNASE:a\n1\t0\tENC2\tDNASE:b\n"
LABELS = [
    b"name\ty\tz\na\t1\t0.5\nb\t0\t2\n",
    b"chrom,start,end,y\nchr1,1,9,1\nchr2,2,10,0\n",
    b"chr1\t1\t9\ta\t5\nchr2\t2\t10\tb\t6\n",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parsers")


def unpacked(data: bytes) -> bytes:
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def rows_of(data: bytes) -> int:
    """Rows of a peak file, counted as its documentation says."""
    text = unpacked(data)
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        decoded = text.decode("latin-1")
    skipped = ("#", "track ", "track\t", "browser ", "browser\t")
    lines = decoded.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rows = [line for line in lines if line.strip() and not line.startswith(skipped)]
    headers = ("chrom", "chr", "chromosome", "seqname", "seqnames")
    return len(rows) - (rows[0].split()[0].lower() in headers)


@many
@given(data=mutated([BED, NARROW, b"chr1 10 11\nchr1 20 21\n"]), malformed=st.sampled_from(["error", "drop"]))
def test_peaks(folder: Path, data: bytes, malformed: str) -> None:
    path = folder / "peaks.bed"
    path.write_bytes(data)
    try:
        found = read_peak_file(path, malformed=malformed)
    except OURS:
        return
    assert len(found.rows) + len(found.dropped) == len(found) == rows_of(data)
    assert len({*found.rows["source_line"], *found.dropped["source_line"]}) == len(found)
    assert (found.rows["start"] >= 0).all()
    assert (found.rows["start"] < found.rows["end"]).all()


@many
@given(data=mutated([FASTA, FASTA.replace(b"\n", b"\r\n")]))
def test_genomes_and_their_index(folder: Path, data: bytes) -> None:
    path, made = folder / "genome.fa", {key: folder / f"made.{key}" for key in ("fai", "gzi")}
    path.write_bytes(data)
    try:
        index_genome(path, folder / "chromosomes.tsv", **made)
    except OURS:
        return
    letters: dict[str, bytes] = defaultdict(bytes)
    for _, name, piece in stream_fasta(path):
        letters[name] += piece
    assert len(letters) == sum(line.startswith(b">") for line in data.replace(b"\r", b"").split(b"\n"))
    with Genome(path, **made) as genome:
        assert genome.lengths == read_sizes(folder / "chromosomes.tsv")
        for name, text in letters.items():
            codes = genome.codes(name, 0, len(text))
            np.testing.assert_array_equal(codes, encode_letters(text, where=name))


@many
@given(data=st.data())
def test_an_index_beside_a_genome_never_moves_a_base(folder: Path, data: st.DataObject) -> None:
    path = folder / "own.fa"
    path.write_bytes(FASTA)
    write_fai(scan_fasta(path, compressed=False), folder / "right.fai")
    right = (folder / "right.fai").read_bytes()
    Path(f"{path}.fai").write_bytes(data.draw(mutated([right], packed=False)))
    with Genome(path) as genome:
        assert genome.lengths == {"chr1": 19, "chr2": 10, "chr3": 0, "chr4": 4}
        assert genome.codes("chr4", 0, 4).tolist() == [0, 1, 2, 3]


@many
@given(data=mutated([VCF, b"\xef\xbb\xbf" + VCF]))
def test_vcf(folder: Path, data: bytes) -> None:
    path = folder / "own.vcf"
    path.write_bytes(data)
    try:
        found = read_variants(path)
    except OURS:
        return
    text = unpacked(data).removeprefix(b"\xef\xbb\xbf")
    if not text.startswith((b"##fileformat=VCF", b"#CHROM\tPOS")):
        return
    lines = text.split(b"\n")
    rows = {number for number, line in enumerate(lines, 1) if line.strip() and not line.startswith(b"#")}
    assert set(found["source_line"]) == rows
    for row in found.itertuples():
        assert int(lines[row.source_line - 1].split(b"\t")[1]) == row.start + 1


@many
@given(data=mutated([TABLE, b"Chr\tstart\tReference\tALT\nc\t4\tA\tC\n"]))
def test_tables_of_variants(folder: Path, data: bytes) -> None:
    path = folder / "own.tsv"
    path.write_bytes(data)
    try:
        found = read_variants(path)
    except OURS:
        return
    assert len(found) >= found["source_line"].nunique() > 0
    assert (found["start"] >= -1).all()


@many
@given(data=mutated([MEME]))
def test_meme(folder: Path, data: bytes) -> None:
    path = folder / "own.meme"
    path.write_bytes(data)
    try:
        found = parse_meme(path)
    except OURS:
        return
    assert len(found) <= unpacked(data).upper().count(b"MOTIF")
    for _, _, matrix, sites in found:
        np.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-9)
        assert (matrix >= 0).all()
        assert sites > 0


@many
@given(counts=st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=1, max_size=6))
def test_jaspar(counts: list[list[int]]) -> None:
    columns = dict(zip("ACGT", np.array(counts).T.tolist(), strict=True))
    motif = SimpleNamespace(matrix_id="M1", name="n", counts=columns)
    if not all(map(sum, counts)):
        with pytest.raises(InputError, match="JASPAR matrix M1 has a column without counts"):
            _from_jaspar(motif)
        return
    np.testing.assert_allclose(_from_jaspar(motif).ppm.sum(axis=0), 1)


def places(folder: Path) -> tuple[Path, Path, Path]:
    return folder / "regions.bed", folder / "dropped.tsv", folder / "sequences.h5"


@few
@given(data=mutated([RECORDS, RECORDS.replace(b"\n", b"\r\n")]), malformed=st.sampled_from(["error", "drop"]))
def test_sequences_given_as_fasta(folder: Path, data: bytes, malformed: str) -> None:
    path = folder / "own.fa"
    path.write_bytes(data)
    try:
        kept = import_sequences(path, *places(folder), selection={"malformed": malformed})
    except OURS:
        return
    records = sum(line.startswith(b">") for line in unpacked(data).replace(b"\r", b"").split(b"\n"))
    assert kept + len(pd.read_csv(folder / "dropped.tsv", sep="\t", quoting=3)) == records
    assert len(read_regions_bed(folder / "regions.bed")) == kept


@pytest.fixture(scope="module")
def seeds(folder: Path) -> dict[str, bytes]:
    """The same five sequences as HDF5 and as NumPy files."""
    x = np.eye(4, dtype=np.int8)[np.random.default_rng(0).integers(0, 4, (5, 12))].transpose(0, 2, 1)
    with h5py.File(folder / "seed.h5", "w") as handle:
        handle.create_dataset("x", data=x, chunks=(2, 4, 12), compression="gzip", fletcher32=True)
    with open(folder / "seed.npy", "wb") as plain, open(folder / "seed.npz", "wb") as zipped:
        np.save(plain, x)
        np.savez(zipped, x=x)
    return {kind: (folder / f"seed.{kind}").read_bytes() for kind in ("h5", "npy", "npz")}


@few
@given(data=st.data(), kind=st.sampled_from(["npy", "npz", "h5"]))
def test_sequences_given_as_arrays(
    folder: Path, seeds: dict[str, bytes], data: st.DataObject, kind: str
) -> None:
    """Of HDF5 only files that were cut: the library itself may crash where its own tables were changed."""
    whole = seeds[kind]
    content = (
        whole[: data.draw(st.integers(0, len(whole) - 1))]
        if kind == "h5"
        else data.draw(mutated([whole], packed=False))
    )
    path = folder / "own.arrays"
    path.write_bytes(content)
    try:
        kept = import_sequences(path, *places(folder), is_hdf5=True, selection={"malformed": "drop"})
    except OURS:
        return
    assert kind != "h5", "a file that was cut is never read"
    assert kept + len(pd.read_csv(folder / "dropped.tsv", sep="\t")) > 0


@many
@given(data=mutated([CHROMOSOMES], packed=False))
def test_tables_of_chromosomes(folder: Path, data: bytes) -> None:
    path = folder / "chromosomes.tsv"
    path.write_bytes(data)
    try:
        found = read_sizes(path)
    except OURS:
        return
    assert found
    assert all(size >= 0 for size in found.values())


@many
@given(data=mutated([WINDOWS], packed=False))
def test_windows(folder: Path, data: bytes) -> None:
    path = folder / "windows.tsv"
    path.write_bytes(data)
    try:
        found = Windows.read(path)
    except OURS:
        return
    assert found.width > 0
    assert len(found.rows) == len(found.starts) > 0
    assert min(found.rows.min(), found.starts.min()) >= 0


@many
@given(data=st.data())
def test_regions(folder: Path, data: st.DataObject) -> None:
    table = pd.DataFrame([["chr1", 1, 9, "a", ".", "+", 1, 9, 1]], columns=["#chrom", *REGION_COLUMNS[1:]])
    write_text_table(table, folder / "seed.bed")
    path = folder / "other.bed"
    path.write_bytes(data.draw(mutated([(folder / "seed.bed").read_bytes()], packed=False)))
    try:
        found = read_regions_bed(path)
    except OURS:
        return
    assert list(found) == REGION_COLUMNS
    assert {found[name].dtype.kind for name in ("start", "end", "source_line")} == {"i"}


@few
@given(data=mutated(LABELS), column=st.sampled_from(["y", "score", 2]), key=st.sampled_from(["auto", "name"]))
def test_labels(folder: Path, data: bytes, column: str | int, key: str) -> None:
    path = folder / "labels"
    path.write_bytes(data)
    regions = pd.DataFrame(
        {"chrom": ["chr1", "chr2"], "start": [1, 2], "end": [9, 10], "name": ["a", "b"], "strand": ".",
         "peak_start": [1, 2], "peak_end": [9, 10], "source_line": [1, 2]}
    )  # fmt: skip
    source = LabelSource(column=column, table=path, key=key, missing="drop", malformed="drop")
    origin = Origin(lengths={"chr1": 100, "chr2": 100})
    try:
        found = read_labels(source, regions, origin, target="t")
    except OURS:
        return
    assert found.shape == (2,)
    assert not np.isnan(found).all()


@few
@given(
    names=mutated([b"a\nb\n"]),
    table=mutated([b"name\tscore\tkind\na\t1\tx\nb\t0\ty\n"]),
    aliases=mutated([b"alias\tname\nchr1\tI\nchr2\tII\n"]),
)
def test_small_tables(folder: Path, names: bytes, table: bytes, aliases: bytes) -> None:
    path = folder / "two.fa"
    path.write_bytes(b">a\nACGT\n>b\nTTTT\n")
    for name, data in (("names", names), ("table", table), ("aliases", aliases)):
        (folder / name).write_bytes(data)
    for selection in ({"names": folder / "names"}, {"table": folder / "table", "select": {"kind": ["x"]}}):
        try:
            kept = import_sequences(path, *places(folder), selection=selection)
        except OURS:
            continue
        assert kept + len(pd.read_csv(folder / "dropped.tsv", sep="\t", quoting=3)) == 2
    try:
        assert all(read_aliases(folder / "aliases").items())
    except OURS:
        return


@many
@given(sheet=mutated([SHEET], packed=False), tracks=mutated([TRACKS, TRACKS.replace(b"index", b"")]))
def test_tables_of_the_config(folder: Path, sheet: bytes, tracks: bytes) -> None:
    (folder / "sheet.tsv").write_bytes(sheet)
    try:
        assert "" not in read_sheet(folder / "sheet.tsv", "regions")
    except ConfigurationError as error:
        assert "sheet.tsv" in str(error)  # noqa: PT017
    (folder / "tracks.txt").write_bytes(tracks)
    try:
        table = read_track_table(folder / "tracks.txt")
    except ValueError as error:
        assert type(error) is ValueError  # noqa: PT017
        assert "tracks.txt" in str(error)  # noqa: PT017
        return
    assert all(number == track.index for number, track in table.tracks.items())


CONFIG = yaml.safe_dump(minimal()).encode()


@settings(max_examples=60, deadline=None)
@given(data=mutated([CONFIG, CONFIG.replace(b"null", b"{max_seqlets: 500}")], packed=False))
def test_configs(folder: Path, data: bytes) -> None:
    path = folder / "my.yaml"
    path.write_bytes(data)
    if list(yaml_files.problems(path)):
        return
    try:
        found = configuration.resolve(yaml_files.construct(yaml_files.decode(path)), SCHEMA)
    except ConfigurationError as error:
        assert str(error)  # noqa: PT017
        return
    list(configuration.notices(found))
    assert configuration.resolve(copy.deepcopy(found), SCHEMA) == found


@many
@given(data=mutated([BED, FASTA, VCF, TABLE, MEME, b"def build():\n    return None\n", *LABELS]))
def test_what_a_plan_looks_at(folder: Path, data: bytes) -> None:
    """The checks before the first job name a fault or leave it to the job; none of them fails itself."""
    path = folder / "input"
    path.write_bytes(data)
    config = resolved({**minimal(), "variants": {"own": {"analysis": "first", "vcf": str(path)}}})
    config["genome"]["fasta"] = config["regions"]["mine"]["peaks"] = str(path)
    config["models"]["net"] |= {"module": f"{path}:build", "folds": {"f0": str(path)}}
    label: dict[str, Any] = dict.fromkeys(("peaks", "bigwig", "plus", "minus", "hdf5"))
    config["analyses"]["first"]["labels"] = {"t": {**label, "column": "y", "table": str(path)}}
    config["analyses"]["first"]["seqlets"] = {"databases": [str(path)]}
    told = [*file_kinds.problems(config, folder), *file_contents.problems(config, folder)]
    assert all(str(path) in line and "\n" not in line for line in told)
    assert list(text_files.lines(path)) is not None
    lines = work.count_lines(path)
    assert lines is None or lines >= 0
