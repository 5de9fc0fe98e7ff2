"""Read every file of a results folder again, and write one line for each (rule verify_results)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cislex.files.tables import write_table
from cislex.logs import get_logger, progress
from cislex.provenance import digest_file
from cislex.verification.apart import fault_apart
from cislex.verification.findings import ANY_DAMAGE, FileReport, Results, error_text
from cislex.verification.inputs import (
    RECORDS,
    Recorded,
    check_config,
    check_genome,
    check_input,
    digest_folder,
    moved,
)
from cislex.verification.kinds import LEFT_OUT, kind_of

#: Columns of ``verification.tsv``.
COLUMNS = ["file", "kind", "bytes", "checks", "status", "what"]
logger = get_logger("verify")


def verify_results(
    folder: str | Path,
    out: str | Path | None,
    *,
    expected: Iterable[str] = (),
    names: Mapping[str, list[str]] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    config: Mapping[str, Any] | None = None,
    kept: Mapping[str, Any] | None = None,
    fasta: str | Path | None = None,
    project: str = "",
    threads: int = 1,
) -> list[FileReport]:
    """Check every file of a results folder by itself and against the others; change none of them.

    Memory does not grow with the size of files, but with the number of regions (docs/output.md).

    Parameters
    ----------
    folder
        The results folder, where it was made or copied to.
    out
        ``verification.tsv`` to write; None: nothing is written.
    expected
        Files that a finished run has, below the folder.
    names
        Names in the config by wildcard of :data:`cislex.verification.kinds.KINDS`; a file that a job recorded
        and that is gone is missed only if its names are here. None: all are.
    settings
        For each analysis ``regions``, ``folds``, ``gate`` (``max_relative_delta``, ``on_fail``), ``lexicon``
        (whether it has words in one), ``database_hits`` (whether hits are of known motifs).
    config
        The complete config of now.
    kept
        The one in ``config.yaml``; None: it could not be read.
    fasta
        The genome.
    project
        Folder for which ``{project}`` stands in records.
    threads
        Processes that share the rows of large files.

    Returns
    -------
    list of FileReport
        In the order of the table.
    """
    results = Results(Path(folder), names, settings or {}, threads)
    recorded = Recorded(results.path(RECORDS))
    found = sorted(_files(results.root))
    for name in progress(found, total=len(found), label="check files", unit="files"):
        _check_alone(results, name, recorded)
    for name, digest in recorded.outputs.items():
        if results.path(name).is_dir():
            _check_folder(results, name, digest)
    for name in _missed(results, found, expected, recorded):
        _tell_missing(results, name, recorded)
    genome = moved(fasta, results, kept) if fasta else None
    for report in list(results.reports.values()):
        known = kind_of(report.path)
        if known and known[0].across and report.size is not None and not report.facts.get("unreadable"):
            try:
                known[0].across(results, report, **known[1])
            except ANY_DAMAGE as error:
                report.faults.append(error_text(error))
        if known and known[0].name == "sequences" and not report.facts.get("unreadable"):
            check_genome(results, report, genome)
        if known and known[0].name == "config" and not report.faults:
            check_config(report, kept, config)
    reports = [*results.reports.values(), *_inputs(recorded, project)]
    if out is not None:
        write_table(as_table(reports), out)
    faults = [report for report in reports if report.faults]
    logger.info("%d files, %d with faults", len(reports), len(faults))
    return reports


def as_table(reports: Sequence[FileReport]) -> pd.DataFrame:
    """One row for each file: ``COLUMNS``."""
    rows = [
        [report.path, report.kind, report.size, ", ".join(report.checks), report.status, report.what]
        for report in reports
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"bytes": "Int64"})


def _files(root: Path) -> Iterable[str]:
    """Files below a folder that are results."""
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            path = (Path(folder) / name).relative_to(root).as_posix()
            if not LEFT_OUT.fullmatch(path):
                yield path


def _check_alone(results: Results, name: str, recorded: Recorded) -> None:
    """Check one file by itself, and its bytes against the digest that its job wrote down."""
    known = kind_of(name)
    report = FileReport(name, known[0].name if known else "unknown")
    results.reports[name] = report
    try:
        report.size = results.path(name).stat().st_size
        same = _check_digest(results, report, recorded)
        if known is None:
            report.skip("content (no rule makes such a file)")
            return
        twin = _twin(results, report)
        if twin is not None:
            report.facts |= {**twin.facts, "twin": twin.path}
            report.checks += [check for check in twin.checks if check not in report.checks]
            report.skipped += twin.skipped
            report.check(f"the same bytes as {twin.path.rpartition('/')[2]}")
        elif known[0].fragile and not same and (wrong := fault_apart(results.path(name))):
            report.facts["unreadable"] = True
            report.faults.append(wrong)
        else:
            known[0].alone(results, report, **known[1])
    except ANY_DAMAGE as error:
        report.facts["unreadable"] = True
        report.faults.append(error_text(error).replace(f"{results.root}/", ""))


def _check_folder(results: Results, name: str, digest: str) -> None:
    """Compare names and contents of the files of a folder with what its job wrote."""
    report = results.reports[name] = FileReport(name, "folder")
    same = digest_folder(results.path(name)) == digest
    report.require(
        "digest", same, "its files are not those that its job wrote: one is damaged, edited or missing"
    )


def _check_digest(results: Results, report: FileReport, recorded: Recorded) -> bool:
    """Whether the bytes of a file are those that its job wrote."""
    expected = recorded.outputs.get(report.path)
    digest = _digest(results, report) if expected else None
    if expected is None:
        folders = (parent.as_posix() for parent in Path(report.path).parents)
        if not report.path.startswith("runs/") and not any(name in recorded.outputs for name in folders):
            why = "its job recorded none" if recorded.found else f"{RECORDS} is missing"
            report.skip(f"digest ({why})")
        return False
    return report.require(
        "digest", digest == expected, "its bytes are not those that its job wrote: damaged or edited"
    )


def _digest(results: Results, report: FileReport) -> str:
    """Digest of a file; two names of one file (hard links) are read once."""
    path = results.path(report.path)
    status = path.stat()
    report.facts["file"] = place = (status.st_dev, status.st_ino)
    for other in results.reports.values():
        if status.st_nlink > 1 and other.facts.get("file") == place and other.facts.get("digest"):
            report.facts["digest"] = other.facts["digest"]
            return str(report.facts["digest"])
    report.facts["digest"] = digest = digest_file(path)
    return digest


def _twin(results: Results, report: FileReport) -> FileReport | None:
    """All rows before the gate, where what passed it is the same file, or has the same digest."""
    if report.kind != "attributions" or report.faults:
        return None
    other = results.reports.get(report.path.replace("attributions.h5", "attributions.all.h5"))
    if other is None or other.faults or not results.has(other.path):
        return None
    linked = results.path(report.path).samefile(results.path(other.path))
    digest = report.facts.get("digest")
    return other if linked or (digest is not None and digest == other.facts.get("digest")) else None


def _missed(results: Results, found: list[str], expected: Iterable[str], recorded: Recorded) -> list[str]:
    """Files that have to be there and are not."""
    made = [name for name in recorded.outputs if _is_of(results, name)]
    there = set(found)
    return sorted({*expected, *made} - there - {"verification.tsv"})


def _is_of(results: Results, name: str) -> bool:
    """Whether a file belongs to the config."""
    known = kind_of(name)
    if known is None or results.names is None:
        return known is not None
    return all(value in results.names[key] for key, value in known[1].items() if key in results.names)


def _tell_missing(results: Results, name: str, recorded: Recorded) -> None:
    if results.path(name).is_dir():
        return
    known = kind_of(name)
    report = FileReport(name, known[0].name if known else "unknown")
    results.reports[name] = report
    if recorded.found and name not in recorded.outputs:
        report.skip("no run has made it yet")
        return
    report.faults.append("is missing" + (", although its job made it" if name in recorded.outputs else ""))


def _inputs(recorded: Recorded, project: str) -> list[FileReport]:
    """What jobs read that is no result."""
    reports = []
    for name, digest in sorted(recorded.inputs.items()):
        report = FileReport(name, "input")
        check_input(report, Path(name.replace("{project}", project, 1)), digest)
        reports.append(report)
    return reports
