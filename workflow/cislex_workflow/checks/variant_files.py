"""Whether files of variants that the config names hold variants, as far as their first lines tell.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cislex_workflow.checks import text_files
from cislex_workflow.config.errors import suggestion

#: Other names of columns of tables, in lower case, as in cislex.variants.vcf.
NAMES = {"#chrom": "chrom", "chr": "chrom", "chromosome": "chrom", "reference": "ref", "alternative": "alt"}
#: How a VCF begins.
VCF = (b"##fileformat=VCF", b"#CHROM\tPOS")
ADVICE = "expected a VCF, or a table with the columns chrom, pos (1-based) or start (0-based), ref, alt"


def problems(config: dict[str, Any], folder: Path) -> Iterator[str]:
    """A line for each file without variants, or whose header lacks a column that is needed.

    Parameters
    ----------
    config
        The complete config, paths filled in.
    folder
        The folder in which relative paths start.
    """
    for name, settings in config["variants"].items():
        for key in ("vcf", "table"):
            path = settings.get(key)
            if path is not None and (problem := _of_file(path, folder)):
                yield f"variants.{name}.{key}: {path}: {problem}"
            elif path is not None and key == "table":
                yield from _of_column(f"variants.{name}.observed", settings, folder)


def _of_file(path: str, folder: Path) -> str | None:
    """What is wrong with a file of variants; None where nothing is, or where it cannot be told."""
    head = text_files.start(folder / path, 64)
    if head is None or head.startswith(b"BCF"):
        return None
    if b"\0" in head:
        return f"found binary data; {ADVICE}"
    lines = text_files.whole(folder / path, most=text_files.MOST_LINES)  # None: many, or not to be read
    if head.removeprefix(b"\xef\xbb\xbf").startswith(VCF):
        rows = lines is None or any(line.strip() and not line.startswith("#") for line in lines)
        return None if rows else "no variants after the header"
    first = next((line for line in text_files.lines(folder / path) if not line.startswith("##")), None)
    if first is None:
        return None if lines is None else f"the file is empty; {ADVICE}"
    if problem := _of_header(first):
        return problem
    rows = lines is None or sum(bool(line.strip()) and not line.startswith("##") for line in lines) > 1
    return None if rows else f"no variants; {ADVICE}"


def _of_header(line: str) -> str | None:
    """Columns that a table lacks, or has twice."""
    cells = [cell.strip() for cell in line.split("\t")]
    names = [NAMES.get(cell.lower(), cell.lower()) for cell in cells]
    missing = [name for name in ("chrom", "ref", "alt") if name not in names]
    places = [name for name in ("pos", "start") if name in names]
    if missing or not places:
        lost = ", ".join([*missing, *([] if places else ["pos or start"])])
        found = ", ".join(cells[:8]) + (f" and {len(cells) - 8} more" if len(cells) > 8 else "")
        tabs = "; columns are separated by tabs" if len(cells) == 1 else ""
        return f"the header lacks {lost}; found {found[:80]}{tabs}; {ADVICE}"
    if len(places) == 2:
        return "the header has pos (1-based) and start (0-based); keep the one that you mean"
    return None


def _of_column(key: str, settings: dict[str, Any], folder: Path) -> Iterator[str]:
    """The column of measurements, before every variant is scored."""
    path, column = settings["table"], settings["observed"]
    lines = (line for line in text_files.lines(folder / path) if not line.startswith("##"))
    columns = [cell.strip() for cell in next(lines, "").split("\t")]
    if column is not None and columns != [""] and column not in columns:
        hint = suggestion(column, columns)
        yield f"{key}: {path} has no column {column!r}; it has {', '.join(columns)}{hint}"
