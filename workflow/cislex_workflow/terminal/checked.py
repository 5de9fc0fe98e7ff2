"""What a check of results found, as the terminal shows it."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

#: Kinds of which each file has a line of its own only if something is wrong with it.
MANY = ("logo", "chunk", "scored variants", "predictions of inserts", "record of a run")
#: Units of sizes.
UNITS = ("B", "kB", "MB", "GB", "TB")


def found(path: Path) -> tuple[list[str], int]:
    """Lines that show a ``verification.tsv``, and the number of files with faults.

    Parameters
    ----------
    path
        The table.
    """
    with path.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))
    shown = [row for row in rows if row["kind"] not in MANY or row["status"] != "ok"]
    width = max((len(row["file"]) for row in shown), default=0)
    lines = [_line(row, width) for row in shown]
    rest = Counter(row["kind"] for row in rows if row["kind"] in MANY and row["status"] == "ok")
    lines += [f"ok           {kind}: {number:,}" for kind, number in sorted(rest.items())]
    counts = Counter(row["status"] for row in rows)
    total = sum(int(row["bytes"] or 0) for row in rows)
    faults = [row for row in rows if row["status"] == "fault"]
    if faults:
        lines += ["", "Faults:", *(f"  {row['file']}: {row['what']}" for row in faults)]
    counted = f"{counts['ok']:,} ok, {counts['fault']:,} with faults, {counts['not checked']:,} not checked"
    lines += ["", f"{len(rows):,} files, {_size(total)}: {counted}. Checks of each file: {path}"]
    return lines, len(faults)


def _line(row: dict[str, str], width: int) -> str:
    size = _size(int(row["bytes"])) if row["bytes"] else ""
    what = "" if row["status"] == "fault" else row["what"]
    return f"{row['status']:<11}  {row['file']:<{width}}  {size:>7}  {what}".rstrip()


def _size(count: float) -> str:
    """Bytes with a unit."""
    place = 0
    while count >= 1000 and place < len(UNITS) - 1:
        count, place = count / 1000, place + 1
    return f"{count:.0f} {UNITS[place]}" if place == 0 or count >= 100 else f"{count:.1f} {UNITS[place]}"
