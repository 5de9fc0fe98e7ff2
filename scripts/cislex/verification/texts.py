"""Other files by themselves: logos, MEME, FASTA, JSON, YAML, weights, tracks and the report."""

from __future__ import annotations

import json
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pyBigWig
import pysam

from cislex.errors import offenders
from cislex.motifs.meme_files import parse_meme
from cislex.regions.genome import stream_fasta
from cislex.verification.findings import FileReport, Results
from cislex.verification.tables import check_table

#: Bytes of FASTA files up to which every letter is read.
MOST_READ = 1 << 28


def check_meme(results: Results, report: FileReport, **_: str) -> None:
    """Check motifs in MEME format: matrices whose rows are frequencies."""
    found = parse_meme(results.path(report.path))
    wrong = [name for name, _, matrix, _ in found if not np.allclose(matrix.sum(axis=0), 1, atol=2e-3)]
    report.require("matrices", not wrong, f"frequencies of {offenders(wrong)} do not sum to 1")
    report.facts["identifiers"] = [motif[0] for motif in found]


def check_logo(results: Results, report: FileReport, **_: str) -> None:
    """Check that a figure is whole."""
    root = ElementTree.parse(results.path(report.path)).getroot()
    report.require("SVG", root.tag.endswith("svg"), f"is no SVG but {root.tag}")


def check_json(results: Results, report: FileReport, **_: str) -> None:
    """Check that a JSON file is whole."""
    report.facts["value"] = json.loads(results.path(report.path).read_text(encoding="utf-8"))
    report.check("JSON")


def check_records(results: Results, report: FileReport, **_: str) -> None:
    """Check that each line of ``records.jsonl`` is whole."""
    wrong = []
    for number, line in enumerate(results.path(report.path).read_text(encoding="utf-8").splitlines(), 1):
        try:
            json.loads(line)
        except ValueError:
            wrong.append(number)
    report.require("JSON", not wrong, f"lines {offenders(wrong)} cannot be read")


def check_text(results: Results, report: FileReport, **_: str) -> None:
    """Check that a text is UTF-8 and ends with a line."""
    text = results.path(report.path).read_text(encoding="utf-8")
    report.require("text", text.endswith("\n"), "ends within a line" if text else "is empty")
    report.require("text", "\0" not in text, "holds bytes that are no text")


def check_copy(results: Results, report: FileReport, **_: str) -> None:
    """Check that a file is not empty which repeats other results for another program.

    Its content is checked where it comes from, and its bytes by the digest of the folder that its job wrote.
    """
    report.require("size", results.path(report.path).stat().st_size > 0, "is empty")


def check_weights(results: Results, report: FileReport, **_: str) -> None:
    """Check that weights are a whole archive, by the checksums of its members."""
    with zipfile.ZipFile(results.path(report.path)) as archive:
        wrong = archive.testzip()
    report.require("archive", wrong is None, f"{wrong} differs from its checksum")


def check_fasta(results: Results, report: FileReport, **_: str) -> None:
    """Check that sequences are whole."""
    path = results.path(report.path)
    if path.stat().st_size > MOST_READ:
        report.skip(f"letters (more than {MOST_READ >> 20} MB)")
        return
    names: list[str] = []
    for number, name, _piece in stream_fasta(path):
        if number == len(names):
            names.append(name)
    report.facts["names"] = names
    report.check("FASTA")


def check_peaks(results: Results, report: FileReport, **_: str) -> None:
    """Check simulated peaks: ten columns, start before end."""
    wrong = []
    text = results.path(report.path).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        cells = line.split("\t")
        if (
            len(cells) != 10
            or not cells[1].isdigit()
            or not cells[2].isdigit()
            or int(cells[1]) >= int(cells[2])
        ):
            wrong.append(number)
    report.require(
        "peaks", not wrong and text.endswith("\n"), f"lines {offenders(wrong)} are no peaks, or cut"
    )


def check_fai(results: Results, report: FileReport, **_: str) -> None:
    """Check an index of a FASTA file: five columns."""
    found: dict[str, int] = {}
    for line in results.path(report.path).read_text(encoding="utf-8").splitlines():
        name, length, *numbers = line.split("\t")
        if len(numbers) != 3 or not all(number.isdigit() for number in (length, *numbers)):
            report.faults.append(f"{name}: is no line of an index")
        found[name] = int(length)
    report.require("index", bool(found), "is empty")
    report.facts["lengths"] = found


def check_gzi(results: Results, report: FileReport, **_: str) -> None:
    """Check bgzip's index: a number of blocks and two numbers for each; or an empty file."""
    data = results.path(report.path).read_bytes()
    fits = not data or len(data) == 8 + 16 * int.from_bytes(data[:8], "little")
    report.require("index", fits, f"{len(data)} bytes do not fit the number of blocks in it")


def check_track(results: Results, report: FileReport, **_: str) -> None:
    """Check a bigWig: it opens, and its header has what its chromosomes need."""
    with pyBigWig.open(str(results.path(report.path))) as track:
        report.require("bigWig", bool(track.isBigWig()), "is no bigWig")
        header = track.header()
        report.facts |= {"sizes": track.chroms(), "covered": int(header["nBasesCovered"])}
        finite = all(np.isfinite(header[key]) for key in ("minVal", "maxVal", "sumData"))
        report.require("NaN", finite, "its sum, least or greatest value is not finite")


def check_hits(results: Results, report: FileReport, **wildcards: str) -> None:
    """Check a table in blocks of gzip, and that its index finds each of its rows."""
    check_table(results, report, **wildcards)
    _check_index(results, report, comment="#")


def check_vcf(results: Results, report: FileReport, **_: str) -> None:
    """Check a VCF in blocks of gzip, and that its index finds each of its rows."""
    count = 0
    with pysam.BGZFile(str(results.path(report.path)), "r", index=None) as handle:
        for line in handle:
            count += not line.startswith(b"#")
    report.facts["n"] = count
    report.check("blocks of gzip")
    _check_index(results, report, comment="#")


def _check_index(results: Results, report: FileReport, *, comment: str) -> None:
    """Whether the index leads to every row."""
    path = results.path(report.path)
    index = next((at for at in (f"{path}.csi", f"{path}.tbi") if Path(at).is_file()), None)
    if index is None:
        report.require("index", False, "has no index (.tbi) beside it")
        return
    found = 0
    with pysam.TabixFile(str(path), index=index) as table:
        for name in table.contigs:
            found += sum(1 for _ in table.fetch(name))
    text = f"its index finds {found} of {report.facts['n']} rows: it belongs to another file, or is cut"
    report.require("index", found == report.facts["n"], text)


def check_index(results: Results, report: FileReport, **_: str) -> None:
    """An index is checked with its file."""
    path = report.path.removesuffix(".tbi").removesuffix(".csi")
    report.require("file beside it", results.has(path), f"{path} is missing")


class _Links(HTMLParser):
    """Links and anchors of a page, and its last closing tag."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.last = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.anchors.add(str(given["id"]))
        if tag == "a" and given.get("href"):
            self.links.add(str(given["href"]))

    def handle_endtag(self, tag: str) -> None:
        self.last = tag


def check_page(results: Results, report: FileReport, **_: str) -> None:
    """Check a page of the report: it is whole, and its links to files lead somewhere."""
    path = results.path(report.path)
    page = _Links()
    page.feed(path.read_text(encoding="utf-8"))
    report.require("whole page", page.last == "html", "does not end with </html>: it is cut")
    links = [link for link in page.links if not re.match(r"[a-z]+:", link)]
    inside = [link[1:] for link in links if link.startswith("#") and len(link) > 1]
    lost = sorted(name for name in inside if unquote(name) not in page.anchors)
    files = sorted({unquote(link.partition("#")[0]) for link in links if not link.startswith("#")} - {""})
    missing = [name for name in files if not (path.parent / name).exists()]
    report.require("links", not missing, f"links to files that are not there: {offenders(missing)}")
    report.require("links", not lost, f"links to places that are not on the page: {offenders(lost)}")
