"""Check one region set: settings valid with peaks or with sequences, and how many rows can remain."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Keys that mean something on a genome alone: the value that asks for nothing, and why.
_ON_GENOME: dict[str, tuple[Any, str]] = {
    "format": ("auto", "is only for peak files"),
    "center": ("summit", "needs peaks"),
    "edge": ("drop", "needs chromosomes"),
    "exclude_chromosomes": ([], "needs coordinates; use names or select to choose sequences"),
    "only_chromosomes": ([], "needs coordinates; use names or select to choose sequences"),
}
_DIRECT: dict[str, Any] = {"names": None, "select": {}, "table": None, "dataset": None}


def region_checks(name: str, regions: dict[str, Any]) -> Iterator[str]:
    """Keys of a region set that do not go with where its sequences come from, a line each."""
    where = f"regions.{name}"
    if regions["peaks"] is not None:
        for key, nothing in _DIRECT.items():
            if regions[key] != nothing:
                yield f"{where}.{key}: {regions[key]} is only valid with fasta and hdf5, not peaks"
        return
    for key, (nothing, why) in _ON_GENOME.items():
        if regions[key] != nothing:
            yield (
                f"{where}.{key}: {_shown(regions[key])} is not valid: the sequences are given directly, "
                f"but {key} {why}"
            )
    if regions["deduplicate"] == "overlap":
        yield f"{where}.deduplicate: overlap needs coordinates, but these sequences have none; use exact"
    yield from _column_checks(where, regions)
    yield from _dataset_checks(where, regions)


def _column_checks(where: str, regions: dict[str, Any]) -> Iterator[str]:
    """Columns that are somewhere."""
    table = regions["table"]
    single = str(regions["hdf5"]).lower().endswith(".npy")
    without = "a FASTA" if regions["fasta"] is not None else "an .npy file" if single else None
    if without and table is None:
        for key in ("top", "select"):
            if regions[key]:
                yield (
                    f"{where}.{key}: {_shown(regions[key])} needs a column, but {without} has none: set "
                    "table to a TSV with a name column and those columns"
                )
    if regions["top"] is None and regions["order_by"] != "score" and regions["deduplicate"] == "none":
        yield (
            f"{where}.order_by: {regions['order_by']} is only used by top and deduplicate, and neither is set"
        )
    used = regions["select"] or regions["top"] is not None or regions["deduplicate"] != "none"
    if table is not None and not used:
        yield f"{where}.table: {table} is only used by select, top and deduplicate, and none is set"


def _dataset_checks(where: str, regions: dict[str, Any]) -> Iterator[str]:
    """The name of an array where there may be several, and only there."""
    path, dataset = regions["hdf5"], regions["dataset"]
    if path is None:
        if dataset is not None:
            yield f"{where}.dataset: {dataset} is only valid with hdf5, not fasta"
    elif path.lower().endswith(".npy"):
        if dataset is not None:
            yield f"{where}.dataset: {dataset} is not valid: an .npy file is a single unnamed array"
    elif dataset is None:
        yield f"{where}: hdf5 needs the name of the dataset"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | dict) else str(value)


def most_left(settings: dict[str, Any], folder: Path = Path()) -> int | None:
    """The most rows that the settings of a region set leave, as far as small files tell; None: any number."""
    limits = [settings[key] for key in ("top", "sample") if settings.get(key) is not None]
    try:
        if settings.get("names"):
            lines = (folder / settings["names"]).read_text(encoding="utf-8-sig").splitlines()
            limits.append(len({line.strip() for line in lines} - {""}))
        if settings.get("table") and settings.get("select"):
            limits.append(_rows_selected(folder / settings["table"], settings["select"]))
    except (OSError, UnicodeDecodeError, KeyError):
        pass  # the file is not there yet, or no table: the job that reads it says so
    return min(limits) if limits else None


def _rows_selected(path: Path, select: dict[str, list[Any]]) -> int:
    with open(path, encoding="utf-8-sig", newline="") as handle:
        rows = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        wanted = {column: {_plain(value) for value in values} for column, values in select.items()}
        return sum(all(_plain(row[column]) in kept for column, kept in wanted.items()) for row in rows)


def _plain(value: Any) -> str:
    """A whole number without a point, else the text, as in cislex.sequences.direct_selection."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value or "").strip()
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else str(value).strip()


def is_filtered(settings: dict[str, Any]) -> bool:
    """Whether sequences given directly may be dropped for what only reading them tells."""
    return bool(
        settings["names"]
        or settings["select"]
        or settings["malformed"] == "drop"
        or settings["deduplicate"] != "none"
        or settings["max_unknown"] < 1
    )
