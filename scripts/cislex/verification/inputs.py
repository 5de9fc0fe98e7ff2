"""What results were made from: the files that the run read, the genome, and the config."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cislex.errors import offenders
from cislex.provenance import digest_file, digest_json
from cislex.regions.genome import Genome
from cislex.sequences.store import SequenceStore, reverse_complement, to_one_hot
from cislex.verification.blocks import checks_of_rows
from cislex.verification.findings import ANY_DAMAGE, FileReport, Results, error_text

#: Where records of jobs lie below the results folder.
RECORDS = "runs/records.jsonl"
#: Bases up to which all sequences are compared with the genome; of more, so many in a sample.
MOST_BASES = 1 << 27


class Recorded:
    """Digests of the files that jobs read and wrote, from ``records.jsonl``.

    Parameters
    ----------
    path
        The file; one that is not there has none.

    Attributes
    ----------
    found : bool
        Whether the file is there.
    outputs, inputs : dict[str, str]
        BLAKE2b-128 of each file: of outputs by their path below the results folder, of inputs outside of it
        by the path that the run had.
    """

    def __init__(self, path: Path) -> None:
        self.found = path.is_file()
        self.outputs: dict[str, str] = {}
        self.inputs: dict[str, str] = {}
        jobs: dict[str, dict[str, Any]] = {}
        for entry in self._lines(path):
            jobs[next(iter(entry["outputs"]))] = entry
        for entry in jobs.values():
            for name, digest in entry["outputs"].items():
                if digest is not None and name.startswith("{results}/"):
                    self.outputs[name.removeprefix("{results}/")] = digest
            for name, digest in entry["inputs"].items():
                if digest is not None and not name.startswith("{results}/"):
                    self.inputs[name] = digest

    @staticmethod
    def _lines(path: Path) -> Iterator[dict[str, Any]]:
        if not path.is_file():
            return
        with path.open(encoding="utf-8", errors="replace") as handle:
            for line in handle:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict) and entry.get("outputs") and isinstance(entry.get("inputs"), dict):
                    yield entry


def check_input(report: FileReport, path: Path, digest: str) -> None:
    """Compare a file that a run read with its digest then; one that is gone is not checked."""
    if not path.is_file():
        report.skip(f"{path} is not there")
        return
    report.size = path.stat().st_size
    same = digest_file(path) == digest
    report.require("digest", same, "its content has changed since results were made from it")


def digest_folder(path: Path) -> str:
    """BLAKE2b-128 hex digest of the names and contents of all files below a folder, as records have it."""
    lines = (
        f"{found.relative_to(path).as_posix()}\0{digest_file(found)}\n"
        for found in sorted(path.rglob("*"))
        if found.is_file()
    )
    return hashlib.blake2b("".join(lines).encode(), digest_size=16).hexdigest()


def moved(path: str | Path, results: Results, kept: Mapping[str, Any] | None) -> Path:
    """A path of the config; where it began with the results folder of the run, in the folder of now."""
    own = {"results": (kept or {}).get("results", ""), "path": str(path)}
    name = str(portable(own)["path"])
    if not Path(path).is_file() and name.startswith("{results}/"):
        return results.path(name.removeprefix("{results}/"))
    return Path(path)


def check_genome(results: Results, report: FileReport, fasta: Path | None) -> None:
    """Compare sequences with the genome at their places: all, or a random sample.

    Parameters
    ----------
    results, report
        Of a ``sequences.h5``.
    fasta
        The genome; None, or a path where there is no file: not checked.
    """
    if not results.facts(report.path).get("attributes", {}).get("has_coordinates"):
        return
    if fasta is None or not fasta.is_file():
        report.skip(f"bases of the genome ({fasta or 'its path'} is not there)")
        return
    try:
        wrong, count = _differing(results, report, fasta)
    except ANY_DAMAGE as error:
        report.require("bases of the genome", False, f"bases of the genome: {error_text(error)}")
        return
    name = "bases of the genome" + ("" if count is None else f" (a sample of {count:,} regions)")
    report.require(name, not len(wrong), f"sequences are not those of {fasta} in rows {offenders(wrong)}")


def _differing(results: Results, report: FileReport, fasta: Path) -> tuple[NDArray[np.int64], int | None]:
    """Rows whose sequence is not that of the genome; how many were looked at, where not all."""
    index = [results.path(f"genome/index.{end}") for end in ("fai", "gzi")]
    with SequenceStore(results.path(report.path)) as store:
        regions, length = store.regions(), store.length
        rows, sample = np.arange(store.n), None
        if store.n * length > MOST_BASES:
            sample = max(1, MOST_BASES // length // 8)
            rows = np.sort(np.random.default_rng(0).choice(store.n, sample, replace=False))
        minus = (regions["strand"] == "-").to_numpy()[rows]
        chroms, starts = regions["chrom"].iloc[rows], regions["start"].to_numpy(np.int64)[rows]
        wrong = []
        with Genome(fasta, fai=index[0], gzi=index[1]) as genome:
            for which, span, offsets in genome.windows(chroms, starts, length):
                every = np.lib.stride_tricks.sliding_window_view(span, length)
                for low in range(0, len(which), 1024):
                    part = which[low : low + 1024]
                    order = np.argsort(part)
                    codes = every[offsets[low : low + 1024][order]]
                    part = part[order]
                    codes[minus[part]] = reverse_complement(codes[minus[part]])
                    differ = checks_of_rows(to_one_hot(codes)) != report.facts["bases"][rows[part]]
                    wrong += rows[part][differ].tolist()
    return np.array(sorted(wrong), np.int64), sample


def check_config(
    report: FileReport, kept: Mapping[str, Any] | None, current: Mapping[str, Any] | None
) -> None:
    """Compare the config that is kept with the one of now.

    Parameters
    ----------
    report
        Of ``config.yaml``.
    kept
        What it says; None: it could not be read.
    current
        The complete config of now; None: not checked.
    """
    if current is None:
        report.skip("the config of now (none was given)")
        return
    if kept is None:
        report.require("digest of the config", False, "cannot be read as a config")
        return
    wrong = list(changes(portable(kept), portable(current), kept, current))
    digests = digest_json(portable(kept)), digest_json(portable(current))
    told = f"the config of now (digest {digests[1][:8]}) differs from it (digest {digests[0][:8]}) in "
    report.require("digest of the config", not wrong, f"{told}{offenders(wrong)}")


def portable(config: Any, folder: str | None = None) -> Any:
    """A config whose paths into its results folder begin with ``{results}``, so that results may move."""
    if folder is None:
        folder = str(config.get("results", ""))
        return portable({key: value for key, value in config.items() if key != "results"}, folder)
    if isinstance(config, str):
        return f"{{results}}{config[len(folder) :]}" if config.startswith(f"{folder}/") else config
    if isinstance(config, Mapping):
        return {str(key): portable(value, folder) for key, value in config.items()}
    return [portable(value, folder) for value in config] if isinstance(config, list | tuple) else config


def changes(kept: Any, now: Any, kept_raw: Any, now_raw: Any, key: str = "") -> Iterator[str]:
    """Keys in which two configs differ; equal as they are written, or with portable paths, is equal."""
    if isinstance(kept, dict) and isinstance(now, dict):
        for name in {**kept, **now}:
            if name not in kept or name not in now:
                yield f"{key}{name}"
                continue
            before, after = _item(kept_raw, name), _item(now_raw, name)
            yield from changes(kept[name], now[name], before, after, f"{key}{name}.")
    elif kept != now and kept_raw != now_raw:
        yield key.rstrip(".")


def _item(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None
