"""A fetched file is the expected one, or nothing is left."""

from __future__ import annotations

import gzip
import hashlib
import io
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cislex import downloads
from cislex.downloads import fetch_resource, read_sequence_table
from cislex.errors import ConfigError, InputError

FASTA = b">chrI x\nACGTacgt\nNN\n>chrII\nGGG\n"
TABLE = "chrom\tlength\tmd5\n" + "".join(
    f"{name}\t{len(text)}\t{hashlib.md5(text).hexdigest()}\n"
    for name, text in (("chrI", b"ACGTACGTNN"), ("chrII", b"GGG"))
)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror" / "sub"
    folder.mkdir(parents=True)
    (folder / "genome.fa.gz").write_bytes(gzip.compress(FASTA))
    (folder / "peaks.bed").write_text("chrI\t1\t2\n")
    (tmp_path / "genome.md5.tsv").write_text(TABLE)
    return tmp_path / "mirror"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_mirror_and_url_give_the_same_file(mirror: Path, tmp_path: Path) -> None:
    peaks = mirror / "sub" / "peaks.bed"
    out = tmp_path / "out" / "peaks.bed"
    origin = fetch_resource(
        out, url="https://example.org/x", mirror="sub/peaks.bed", mirror_folder=mirror, sha256=sha256(peaks)
    )
    assert origin == str(peaks)
    assert out.read_bytes() == peaks.read_bytes()
    assert fetch_resource(out, url=peaks.as_uri(), sha256=sha256(peaks).upper()) == peaks.as_uri()
    assert out.read_bytes() == peaks.read_bytes()
    assert only(tmp_path / "out") == ["peaks.bed"]


def test_url_where_the_mirror_lacks_the_file(mirror: Path, tmp_path: Path) -> None:
    peaks = mirror / "sub" / "peaks.bed"
    origin = fetch_resource(
        tmp_path / "x", url=peaks.as_uri(), mirror="none.bed", mirror_folder=mirror, sha256=sha256(peaks)
    )
    assert origin == peaks.as_uri()


@pytest.mark.parametrize(("name", "kept"), [("genome.fa", False), ("genome.fa.gz", True)])
def test_genome_is_checked_by_its_letters(mirror: Path, tmp_path: Path, name: str, kept: bool) -> None:
    packed = mirror / "sub" / "genome.fa.gz"
    out = tmp_path / "out" / name
    fetch_resource(out, url=packed.as_uri(), sequence_md5=tmp_path / "genome.md5.tsv")
    assert out.read_bytes() == (packed.read_bytes() if kept else FASTA)


@pytest.mark.parametrize(
    ("fasta", "message"),
    [
        (FASTA.replace(b"GGG", b"GGC"), "chrII: expected 3 bp, md5 .*; found 3 bp, md5"),
        (FASTA.replace(b"GGG", b"GG"), "chrII: expected 3 bp, md5 .*; found 2 bp"),
        (FASTA.replace(b"chrII", b"chr2"), r"chrII: missing, chr2: not expected"),
        (b"no fasta", "first line begins with '>'"),
    ],
)
def test_another_genome_is_refused(mirror: Path, tmp_path: Path, fasta: bytes, message: str) -> None:
    (tmp_path / "other.fa").write_bytes(fasta)
    with pytest.raises(InputError, match=message):
        fetch_resource(
            tmp_path / "out" / "g.fa",
            url=(tmp_path / "other.fa").as_uri(),
            sequence_md5=tmp_path / "genome.md5.tsv",
        )
    assert only(tmp_path / "out") == []


def test_another_file_is_refused_and_nothing_left(mirror: Path, tmp_path: Path) -> None:
    url = (mirror / "sub" / "peaks.bed").as_uri()
    with pytest.raises(
        InputError, match=f"expected {'0' * 64}, found {sha256(mirror / 'sub' / 'peaks.bed')}"
    ):
        fetch_resource(tmp_path / "out" / "p.bed", url=url, sha256="0" * 64)
    assert only(tmp_path / "out") == []


def test_missing_file_and_unusable_settings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="CISLEX_MIRROR"):
        fetch_resource(tmp_path / "x", url=(tmp_path / "none").as_uri(), sha256="0" * 64)
    with pytest.raises(ConfigError, match="give sha256 or sequence_md5"):
        fetch_resource(tmp_path / "x", url="https://example.org")
    with pytest.raises(ConfigError, match="expected one of https"):
        fetch_resource(tmp_path / "x", url="data:,hello", sha256="0" * 64)
    (tmp_path / "table").write_text("chrom\tlength\nchrI\t5\n")
    with pytest.raises(InputError, match="expected rows of chrom, length and md5"):
        read_sequence_table(tmp_path / "table")


@pytest.mark.parametrize("told", [True, False])
def test_a_download_that_is_too_large_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """Whether or not the server says how much it sends; what is read stays near the limit."""
    sent = []

    class Endless(io.BytesIO):
        headers: ClassVar = {"Content-Length": "4000000000000"} if told else {}

        def read(self, size: int | None = -1, /) -> bytes:
            sent.append(size or 0)
            return b"\0" * (size or 0)

    monkeypatch.setattr(downloads.urllib.request, "urlopen", lambda *args, **kwargs: Endless())
    with pytest.raises(InputError, match=r"x sends .* bytes or more; expected at most 1,000,000: .* max_gb"):
        fetch_resource(tmp_path / "out" / "x", url="https://example.org/x", sha256="0" * 64, max_gb=0.001)
    assert sum(sent) <= 0 if told else 1_000_000 < sum(sent) < 1_500_000
    assert only(tmp_path / "out") == []


def test_failures_that_may_pass_are_tried_again(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = mirror / "sub" / "peaks.bed"
    tries: list[str] = []

    def flaky(url: str, raw: Path, name: str, timeout: float, most: int) -> None:
        tries.append(url)
        raw.write_bytes(b"half")
        if len(tries) < 3:
            raise TimeoutError("timed out")
        raw.write_bytes(peaks.read_bytes())

    monkeypatch.setattr(downloads, "_download", flaky)
    options: dict[str, Any] = {"url": "https://example.org/x", "sha256": sha256(peaks), "pause": 0.0}
    fetch_resource(tmp_path / "x", **options)
    assert len(tries) == 3
    tries.clear()
    with pytest.raises(InputError, match=r"timed out \(try 2 of 2"):
        fetch_resource(tmp_path / "y", **{**options, "retries": 1})
    assert not (tmp_path / "y").exists()


def test_tables_of_the_yeast_genome(shared_data: Path, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[1] / "resources"
    out = tmp_path / "sacCer3.fa"
    fetch_resource(
        out, url="https://example.org/x", mirror="yeast/sacCer3.fa.gz", mirror_folder=shared_data,
        sequence_md5=root / "sacCer3.md5.tsv",
    )  # fmt: skip
    assert out.read_bytes()[:6] == b">chrI\n"
    names = set(read_sequence_table(root / "sacCer3.md5.tsv")["chrom"])
    aliases = dict(line.split("\t") for line in (root / "sacCer3.aliases.tsv").read_text().splitlines()[1:])
    assert set(aliases.values()) == names - {"chrM"}
    assert (aliases["chr4"], aliases["chr9"], aliases["chr16"]) == ("chrIV", "chrIX", "chrXVI")
