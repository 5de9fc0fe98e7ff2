"""Whether peak files that the config names have rows that can be used, as far as their first lines tell.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cislex_workflow.checks import text_files

#: Rows whose places are looked at.
MOST_ROWS = 1_000
#: Longer files, and genomes of more bytes without an index, are left to the job.
MOST_LINES, MOST_BYTES = 200_000, 1 << 25
#: First words of a header line that lacks its ``#``.
HEADERS = {"chrom", "chr", "chromosome", "seqname", "seqnames"}
SKIPPED = ("#", "track ", "track\t", "browser ", "browser\t")
#: Coordinates above this are a mistake in any genome.
_MAX_COORDINATE = 1 << 40
_WHOLE = re.compile(r"\s*[-+]?\d{1,15}(\.0*)?\s*", re.ASCII)


def problems(key: str, path: Path, config: dict[str, Any], folder: Path) -> Iterator[str]:
    """What is wrong with a peak file, as ends of a line that begins with its path.

    Parameters
    ----------
    key, path
        Where the config names it, and the file.
    config
        The complete config, paths filled in.
    folder
        The folder in which relative paths start.
    """
    head = text_files.start(path, 1 << 16)
    if head is None:
        yield " cannot be unpacked: the compressed file is corrupt or truncated"
        return
    if b"\0" in head:
        yield ": expected a text file of peaks (BED), found binary data"
        return
    own = config["regions"].get(key.removeprefix("regions.").removesuffix(".peaks"))
    strict = key == "genome.blacklist" or (own is not None and own["malformed"] == "error")
    first = None
    for number, cells in _rows(path, MOST_ROWS if strict else 1):
        first = first or cells
        problem = _of_row(cells, first)
        if problem and (strict or len(cells) < 3):
            advice = "; correct or remove such rows, or set malformed: drop" if own else ""
            yield f":{number}: {problem}{advice if len(first) >= 3 else ''}"
            return
    whole = text_files.whole(path, most=MOST_LINES)
    if first is None:
        if whole is not None:
            yield ": no rows; expected BED lines (chrom, start, end)"
    elif whole is not None and own is not None:
        yield from _of_chromosomes(path, config, folder)


def _rows(path: Path, most: int = MOST_ROWS) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of the first rows."""
    tabs = None
    for count, (number, line) in enumerate(_lines(path)):
        if count == most:
            return
        tabs = "\t" in line if tabs is None else tabs
        cells = line.split("\t") if tabs else line.split()
        if count == 0 and line.split()[0].lower() in HEADERS:
            tabs = None
            continue
        yield number, cells


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    found = text_files.numbered_lines(path, MOST_LINES)
    return ((n, line) for n, line in found if line.strip() and not line.startswith(SKIPPED))


def _of_row(cells: list[str], first: list[str]) -> str | None:
    """What is wrong with the place in a row, in the words of the job."""
    if len(cells) < 3:
        if len(first) >= 3:
            return f"{len(cells)} columns where the first row has {len(first)}"
        shown = " ".join(cells)[:60]
        expected = "expected at least chrom, start and end, separated by tabs"
        return f"found {len(cells)} column(s) in {shown!r}; {expected}"
    if not cells[0].strip():
        return "no chromosome name"
    for column, cell in zip(("start", "end"), cells[1:3], strict=True):
        if not _WHOLE.fullmatch(cell):
            return f"{column} {cell!r} is not a whole number"
    start, end = (int(float(cell)) for cell in cells[1:3])
    if start < 0:
        return f"start {start} is negative"
    if start >= end:
        return f"start {start} is not below end {end}"
    return f"end {end} is beyond any chromosome" if end > _MAX_COORDINATE else None


def _of_chromosomes(path: Path, config: dict[str, Any], folder: Path) -> Iterator[str]:
    """A file none of whose chromosomes the genome has."""
    genome = config["genome"] or {}
    known = genome_names(folder / genome["fasta"]) if genome.get("fasta") else None
    if not known:
        return
    aliases = _aliases(folder / genome["aliases"]) if genome.get("aliases") else {}
    if aliases is None:
        return
    found = dict.fromkeys(cells[0] for _, cells in _rows(path, MOST_LINES))
    if found and not any(name in known or aliases.get(name) in known for name in found):
        yield (
            f": none of its chromosomes is in the genome; it has {_listed(list(found))}, the genome "
            f"{_listed(known)}{_same_but_for_chr(found, known)}. If these are other names of the same "
            "chromosomes, map them in a table (two columns: alias, name) and set genome: {aliases: file.tsv}"
        )


def genome_names(fasta: Path) -> list[str] | None:
    """Names in a genome: from the index beside it, or from a short file; None where neither can be read."""
    index = Path(f"{fasta}.fai")
    try:
        if index.is_file() and index.stat().st_mtime >= fasta.stat().st_mtime:
            names = [line.partition("\t")[0] for line in index.read_text(encoding="utf-8").splitlines()]
            if all(names):
                return names
        if fasta.stat().st_size > MOST_BYTES:
            return None
        text = text_files.start(fasta, 8 * MOST_BYTES) or b""
        if len(text) == 8 * MOST_BYTES:
            return None
        headers = re.findall(rb"^>(\S+)", text, re.MULTILINE)
        return [name.decode("utf-8") for name in headers]
    except (OSError, UnicodeDecodeError):
        return None


def _aliases(path: Path) -> dict[str, str] | None:
    """Names of the genome by alias; None where the table cannot be read, which the job says."""
    lines = text_files.whole(path, most=MOST_LINES)
    if lines is None:
        return None
    pairs = [[cell.strip() for cell in line.split("\t")] for line in lines]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _same_but_for_chr(names: dict[str, None], genome: list[str]) -> str:
    if {f"chr{name}" for name in names} & set(genome):
        return ": the genome puts chr in front of the same names"
    if {name.removeprefix("chr") for name in names} & set(genome):
        return ": the genome has the same names without chr"
    return ""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" ({len(names)} in all)" if len(names) > 3 else "")
