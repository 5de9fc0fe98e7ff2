"""The last lines of a run: what each target has, what was dropped, where the report is; or what failed."""

from __future__ import annotations

import csv
import math
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cislex_workflow.terminal.lines import last_lines
from cislex_workflow.terminal.under_way import UnderWay, duration

#: Most words and targets that are named.
WORDS, TARGETS = 4, 30


def succeeded(config: Mapping[str, Any], folder: Path, under_way: UnderWay, made: Sequence[str]) -> list[str]:
    """Lines of a run that ended well.

    Parameters
    ----------
    config
        The resolved config.
    folder
        Folder in which the run took place.
    under_way
        Its jobs.
    made
        Files that the run was asked for.
    """
    results = folder / config["results"]
    found = [line for name in config["regions"] for line in _regions(results / "regions" / name, name)]
    pairs = [(a, t) for a, settings in config["analyses"].items() for t in settings["targets"]]
    there = [(a, t) for a, t in pairs if (results / a / t / "qc.tsv").exists()]
    width = max((len(f"{a} / {t}") for a, t in there[:TARGETS]), default=0)
    words = _words(results / "lexicon" / "usage.tsv")
    for a, t in there[:TARGETS]:
        parts = [_attributed(results / a / t / "qc.tsv"), _motifs(results / a / t, words.get((a, t)))]
        found.append(f"  {f'{a} / {t}':<{width}}  " + "; ".join(part for part in parts if part))
    if len(there) > TARGETS:
        found.append(f"  … and {len(there) - TARGETS} more targets")
    report = f"{config['results']}/report.html"
    if report in made:
        found.append(f"Report: {report}")
    elif made:
        found.append(f"Made: {', '.join(made[:3])}" + (f" and {len(made) - 3} more" if len(made) > 3 else ""))
    found.append(f"Finished in {duration(under_way.clock() - under_way.began)}.")
    return found


def failed(under_way: UnderWay, command: Sequence[str]) -> list[str]:
    """Lines of a run that failed: the first error again, its log, and how to go on."""
    found = []
    for job in list(under_way.failed.values())[:1]:
        said = [line for line in last_lines(job.log, 40) if line.strip()] if job.log else []
        error = next(
            (line for line in reversed(said) if "Error" in line.split(":")[0]), said[-1] if said else ""
        )
        found.append(f"Failed: {job.title}" + (f": {error}" if error else ""))
        if job.log:
            found.append(f"  log: {job.log}")
    if len(under_way.failed) > 1:
        others = [job.title for job in list(under_way.failed.values())[1:4]]
        found.append(f"  and {len(under_way.failed) - 1} more: {', '.join(others)}")
    found.append(f"What is finished is kept. When it is mended, go on with: {shlex.join(command)}")
    return found


def _regions(folder: Path, name: str) -> list[str]:
    """Regions that were kept and dropped, by reason."""
    try:
        summary = (folder / "regions.summary.tsv").read_text().splitlines()
        kept = int(dict(zip(summary[0].split("\t"), summary[1].split("\t"), strict=True))["rows"])
    except (OSError, IndexError, KeyError, ValueError):
        return []
    reasons = Counter(row["reason"] for row in _rows(folder / "dropped.tsv"))
    dropped = ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common(3))
    return [f"Regions {name}: {kept:,}" + (f"; dropped: {dropped}" if dropped else "")]


#: Relative deltas below it are not told apart in qc.tsv.
ROUNDING = 1e-4


def _attributed(path: Path) -> str:
    """Regions of a target, those that failed the gate, and the largest relative delta."""
    statuses: Counter[str] = Counter()
    largest = math.nan
    for row in _rows(path):
        statuses[row["status"]] += 1
        delta = float(row["max_relative_delta"] or "nan")
        largest = delta if math.isnan(largest) else max(largest, delta)
    total = sum(statuses.values())
    over = total - statuses["pass"]
    text = f"{total:,} region{'' if total == 1 else 's'}" + (
        f", {over:,} of them not passed by the gate" if over else ""
    )
    if math.isnan(largest):
        return text
    # Smaller ones may be rounding error, and the table has this bound in their place (cislex/chunks/gate.py).
    bound = "at most " if largest <= ROUNDING else ""
    return f"{text}, largest relative delta {bound}{largest:.1e}"


def _motifs(folder: Path, words: list[tuple[str, int]] | None) -> str:
    """Words of the lexicon that a target has, or its patterns."""
    if words is None:
        patterns = sum(1 for _ in _rows(folder / "motifs.tsv"))
        return f"{patterns} patterns" if (folder / "motifs.tsv").exists() else ""
    if not words:
        return "no words"
    named = ", ".join(name for name, _ in sorted(words, key=lambda item: -item[1])[:WORDS])
    return f"{len(words)} word{'s' * (len(words) > 1)}: {named}" + (", …" if len(words) > WORDS else "")


def _words(path: Path) -> dict[tuple[str, str], list[tuple[str, int]]]:
    """Words with seqlets of each target."""
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for row in _rows(path):
        words = found.setdefault((row["analysis"], row["target"]), [])
        if int(row["n_seqlets"] or 0):
            words.append((row["name"] or row["word"], int(row["n_seqlets"])))
    return found


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a table; none where it is not there."""
    try:
        with path.open(newline="") as handle:
            yield from csv.DictReader(handle, delimiter="\t")
    except OSError:
        return
