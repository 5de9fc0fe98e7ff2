"""What jobs work on, and what of it was measured: sizes of files that exist, else the config.

Nothing here enters a result, so a better figure never reruns a job. Plain Python without the package, so that
Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import csv
import functools
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cislex_workflow.config.model_settings import folds_used
from cislex_workflow.config.region_settings import most_left
from cislex_workflow.config.storage_settings import stored_length, stored_rows

#: Regions of a set whose peak file does not exist yet.
UNKNOWN_REGIONS = 20_000
#: Words of a lexicon or motifs of a MEME file, and records of a FASTA file, that are not counted yet.
UNKNOWN_WORDS, UNKNOWN_BACKGROUNDS = 20, 200
#: Seconds and MB of a job that attributes, before its first region, where they were not measured.
STARTUP_SECONDS, TORCH_MB = 30.0, 600.0
#: Seconds that a job of a batch system takes besides what it does itself.
JOB_SECONDS = 3.0
#: Memory of a process that holds a CUDA context, beside what it computes.
CUDA_MB = 3000.0
#: Bytes read of a file to learn the mean length of its lines.
HEAD = 1 << 16
MB = 1e6


@dataclass(frozen=True)
class Use:
    """What a job is expected to use at most: MB of memory, seconds."""

    mb: float
    seconds: float
    #: Whether the time was measured with this model on this device.
    measured: bool = False


@dataclass(frozen=True)
class Measured:
    """What an inspection measured, the largest over folds."""

    seconds_per_region: float
    startup_seconds: float
    host_mb: float


def size(path: str | Path | None) -> int:
    """Bytes of a file; 0 where there is none yet."""
    try:
        return 0 if path is None else Path(path).stat().st_size
    except OSError:
        return 0


def plain_size(path: str | Path | None) -> float:
    """Bytes of a text file when unpacked, about: DNA and peaks pack to about a quarter."""
    return size(path) * (4.0 if str(path).lower().endswith((".gz", ".bgz")) else 1.0)


def count_lines(path: str | Path) -> int | None:
    """Lines of a plain or gzipped text file, about, from its size and its beginning; None where absent."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return _count_lines(str(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _count_lines(path: str, total: int, _mtime: int) -> int | None:
    try:
        with open(path, "rb") as handle:
            head = handle.read(HEAD)
        read = len(head)
        if head[:2] == b"\x1f\x8b":
            unpacker = zlib.decompressobj(31)
            head = unpacker.decompress(head)
            read -= len(unpacker.unused_data)
    except (OSError, zlib.error):  # the checks of files say what is wrong
        return None
    return math.ceil(head.count(b"\n") * total / max(1, read))


def read_inspection(path: str | Path) -> Measured | None:
    """What an inspection measured, or None where it has not run yet."""
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError:
        return None
    return _read_inspection(str(path), changed)


@functools.lru_cache(maxsize=1024)
def _read_inspection(path: str, _mtime: int) -> Measured | None:
    with open(path, encoding="utf-8", newline="") as handle:
        rows = [
            row
            for row in csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row.get("section") == "cost"
        ]
    found: dict[str, float] = {}
    for row in rows:
        try:
            found[row["name"]] = max(found.get(row["name"], 0.0), float(row["value"]))
        except ValueError:
            continue
    if "seconds_per_region" not in found:
        return None
    return Measured(
        found["seconds_per_region"],
        found.get("startup_seconds", STARTUP_SECONDS),
        found.get("host_memory_mb", found.get("peak_memory_mb", TORCH_MB)),
    )


class Work:
    """What jobs work on, from the resolved config and the files that exist.

    Parameters
    ----------
    config
        The complete config.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.results = Path(config["results"])

    def folds(self, analysis: Mapping[str, Any]) -> int:
        """Folds that an analysis uses."""
        return len(folds_used(analysis, self.config["models"][analysis["model"]]))

    def regions(self, name: str) -> int:
        """Regions of a set: of ``regions.bed``, else the rows of its source that may be kept."""
        found = count_lines(self.results / "regions" / name / "regions.bed")
        if found is not None:
            return found
        settings = self.config["regions"][name]
        limit = most_left(settings)
        return self.rows(name) if limit is None else min(self.rows(name), limit)

    def rows(self, name: str) -> int:
        """Rows of the peak file or sequences of the file, about."""
        settings = self.config["regions"][name]
        if settings["peaks"]:
            found = count_lines(settings["peaks"])
            return UNKNOWN_REGIONS if found is None else found
        source = settings["fasta"] or settings["hdf5"]
        letters = plain_size(source) if settings["fasta"] else 4 * size(source)  # at least 2 bits a base
        return math.ceil(letters / self.length(name)) if letters else UNKNOWN_REGIONS

    def length(self, name: str) -> int:
        """Length of the regions of a set in bp."""
        own = self.config["regions"][name]["length"]
        users = [a["model"] for a in self.config["analyses"].values() if a["regions"] == name]
        lengths = [own] if own else [self.config["models"][model]["input_length"] for model in users]
        return int(lengths[0]) if lengths else 1000

    def stored(self, analysis: Mapping[str, Any]) -> tuple[int, int]:
        """Rows of the attributions of an analysis, and bp of each."""
        length = self.length(analysis["regions"])
        rows = stored_rows(dict(analysis), self.regions(analysis["regions"]))
        return rows, stored_length(dict(analysis), length)

    def genome_mb(self) -> float:
        """Size of the genome's letters in MB."""
        genome = self.config["genome"]
        return plain_size(genome["fasta"]) / MB if genome else 0.0

    def measured(self, analysis: str) -> Measured | None:
        """What the inspection of an analysis found."""
        return read_inspection(self.results / analysis / "inspection.tsv")


Expectation = Callable[[Work, Mapping[str, str]], Use]
