"""Check file contents against the config, at planning time.

Only what a look at the beginning of a file tells; jobs check the rest. Plain Python without the package, so
that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cislex_workflow import model_sources
from cislex_workflow.checks import meme_files, variant_files
from cislex_workflow.checks.peak_files import HEADERS, SKIPPED
from cislex_workflow.checks.text_files import MOST_LINES, lines
from cislex_workflow.config.configuration import suggestion

#: Columns of peak files by position, as cislex.regions.peaks names them.
BED_COLUMNS = (
    *("chrom", "start", "end", "name", "score", "strand"),
    *("thick_start", "thick_end", "rgb", "block_count", "block_sizes", "block_starts"),
)
NARROWPEAK_COLUMNS = (*BED_COLUMNS[:6], "signal_value", "p_value", "q_value", "summit_offset")


def problems(config: dict[str, Any], folder: Path) -> list[str]:
    """A line for each setting that does not fit the file it speaks of; files that are not there fit.

    Parameters
    ----------
    config
        The complete config, paths filled in.
    folder
        The folder in which relative paths start.
    """
    used = {analysis["model"] for analysis in config["analyses"].values()}
    found = [problem for name in sorted(used) for problem in _of_model(name, config["models"][name], folder)]
    for name, analysis in config["analyses"].items():
        for target, label in (analysis["labels"] or {}).items():
            own = config["regions"][analysis["regions"]]
            found += _of_label(f"analyses.{name}.labels.{target}", label, own, folder)
    for section, part in (("insertions", "backgrounds"), ("evolution", "start")):
        for name, settings in config[section].items():
            model = config["models"][config["analyses"][settings["analysis"]]["model"]]
            key, own = f"{section}.{name}.{part}.fasta", settings[part]["fasta"]
            found += _of_records(key, own, model["input_length"], folder)
    return [*found, *meme_files.problems(config, folder), *variant_files.problems(config, folder)]


def _of_records(key: str, own: str | None, length: int, folder: Path) -> Iterator[str]:
    """Records of the model's input length without N, as far as is read."""
    if own is None:
        return
    wrong, records = [], 0
    for record, letters in _records(folder / own):
        records += 1
        if len(letters) != length:
            wrong.append(f"{record} has {len(letters):,} bp")
        elif unknown := sum(letter not in "ACGT" for letter in letters.upper()):
            wrong.append(f"{record} has {unknown} bp that are not A, C, G or T")
    if wrong:
        more = f" ({len(wrong)} of the first {records} records)" if len(wrong) > 1 else ""
        yield (
            f"{key}: {own}: expected records of {length} bp, the model's input, "
            f"without unknown bases, but {wrong[0]}{more}"
        )


def _records(path: Path) -> Iterator[tuple[str, str]]:
    """Records of a FASTA file that end within the first lines."""
    name, parts, read = "", [""], 0
    for line in lines(path):
        read += 1
        if line.startswith(">"):
            if name:
                yield name, "".join(parts)
            name, parts = (line[1:].split() or ["without a name"])[0], []
        else:
            parts.append(line.strip())
    if name and read < MOST_LINES // 2:  # else the last record may go on
        yield name, "".join(parts)


def _of_model(name: str, model: dict[str, Any], folder: Path) -> Iterator[str]:
    """What a loader is to find in the user's file, where reading the file can tell."""
    if model["loader"] not in ("factory", "keras") or not model["module"]:
        return
    path, _, function = model["module"].rpartition(":")
    defined = model_sources.defined_names(str(folder / path))
    if defined is not None and function not in defined:
        there = model_sources.defined_callables(str(folder / path))
        wanted = "function " if model["loader"] == "factory" else ""
        yield (
            f"models.{name}.module: {path} has no {wanted}'{function}'; it has "
            f"{', '.join(there) or 'none'}{suggestion(function, there)}"
        )


def _of_label(key: str, label: dict[str, Any], regions: dict[str, Any], folder: Path) -> Iterator[str]:
    """The column of labels."""
    column, path = label["column"], label["table"] or regions["peaks"]
    if column is None or path is None:
        return
    narrow = () if label["table"] else (regions["format"],)
    columns = columns_of(folder / path, table=bool(label["table"]), file_format=(*narrow, "auto")[0])
    if columns is None:
        return
    # A peak file of ten columns is BED where most rows have no whole number in the last.
    names = {*columns, *BED_COLUMNS[: len(columns)]} if "summit_offset" in columns else columns
    known = 1 <= column <= len(columns) if isinstance(column, int) else column in names
    if not known:
        hint = suggestion(column, columns)
        yield f"{key}: {path} has no column {column!r}; it has {', '.join(columns)}{hint}"


def columns_of(path: Path, *, table: bool = False, file_format: str = "auto") -> list[str] | None:
    """Columns of a peak file, or of a table with a header or BED; None where its beginning does not tell.

    Parameters
    ----------
    path
        The file; may be gzipped.
    table
        Whether it is a table, whose header names its columns.
    file_format
        Of a peak file: ``auto``, ``bed``, ``narrowPeak`` or ``summits``.
    """
    for line in lines(path):
        if table:
            header = _header(line.lstrip("#"))
            if "name" in header or {"chrom", "start", "end"} <= set(header):
                return header
        row = not line.startswith(SKIPPED)
        cells = line.split("\t") if "\t" in line else line.split()
        if not row or cells[0].lower() in HEADERS:
            continue
        if len(cells) < 3 or not (cells[1].isdecimal() and cells[2].isdecimal()):
            return None
        return _peak_columns(cells, file_format)
    return None


def _peak_columns(cells: list[str], file_format: str) -> list[str] | None:
    width = len(cells)
    if width == len(NARROWPEAK_COLUMNS) and file_format in ("auto", "narrowPeak"):
        # In `auto` most rows decide: a first one whose tenth cell is no number leaves it to the job.
        number, _, zeros = cells[-1].strip().removeprefix("-").partition(".")
        whole = number.isdecimal() and not zeros.strip("0")
        return list(NARROWPEAK_COLUMNS) if whole or file_format == "narrowPeak" else None
    named = list(BED_COLUMNS[:width])
    return named + [f"column_{i}" for i in range(len(named) + 1, width + 1)]


def _header(line: str) -> list[str]:
    """Cells of a header line as cislex.prediction.labels names them."""
    cells = line.split("\t") if "\t" in line else next(csv.reader([line]), [])
    return [cell.strip() or f"column {i}" for i, cell in enumerate(cells, 1)]
