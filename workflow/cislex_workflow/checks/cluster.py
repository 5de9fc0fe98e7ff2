"""Check once, before the first job is submitted, that SLURM can run this plan.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Seconds that the controller of a busy cluster may take to answer.
PATIENCE = 60
#: Seconds between looks at the jobs grow up to this in the executor; squeue must remember them for longer.
LONGEST_PAUSE = 180


@dataclass(frozen=True)
class Request:
    """What the jobs of one rule ask for."""

    rule: str
    partition: str | None
    gpus: int
    minutes: int | None = None


@dataclass(frozen=True)
class Partition:
    """What a partition offers: GPUs on some of its nodes, and so many minutes (None: no limit)."""

    gpus: bool
    minutes: int | None


def requests(jobs: Iterable[Any]) -> list[Request]:
    """Partition, GPUs and time of each rule, from its first job that does not run beside Snakemake."""
    found: dict[str, Request] = {}
    for job in jobs:
        if job.is_local or job.rule.name in found:
            continue
        # The partitions of another cluster of the site are not in this one's list.
        elsewhere = any(job.resources.get(key) for key in ("cluster", "clusters", "slurm_cluster"))
        partition = None if elsewhere else job.resources.get("slurm_partition")
        gpus = int(job.resources.get("gpu") or 0)
        runtime = job.resources.get("runtime")
        # A function of a file that does not exist yet has no value now.
        minutes = runtime if isinstance(runtime, int) else None
        place = None if partition is None else str(partition)
        found[job.rule.name] = Request(job.rule.name, place, gpus, minutes)
    return list(found.values())


def check(wanted: Iterable[Request], status_command: str | None) -> list[str]:
    """Ask SLURM for its partitions; return what is wrong, a sentence each, with what to do."""
    absent = [name for name in ("sbatch", "squeue", "sinfo", "scancel") if shutil.which(name) is None]
    if absent:
        return [
            f"not on PATH: {', '.join(absent)}; no job can be submitted: start on a login node of the "
            "cluster (or load its SLURM module); on a single machine omit --workflow-profile"
        ]
    try:
        partitions = read_partitions(_ask("sinfo", "--all", "--noheader", "--format=%R|%G|%l"))
        memory = read_job_memory(_ask("scontrol", "show", "config"))
    except (subprocess.SubprocessError, OSError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        return [f"SLURM does not answer ({reason}): try `sinfo`, or ask the cluster's administrators"]
    return [
        *partition_problems(wanted, partitions),
        *status_problems(status_command, memory, accounting=status_command != "sacct" or _accounting()),
    ]


def missing_profile(arguments: Sequence[str], start: Path, snakefile: Path) -> str | None:
    """What to do where the profile of a command line does not exist, or None.

    Snakemake leaves it out without a word. With ``--cores`` everything would run on the login node.

    Parameters
    ----------
    arguments
        The command line.
    start
        Folder in which Snakemake was started. With ``--directory`` it is not known, so that only a path from
        the root is looked for.
    snakefile
        The workflow; profiles beside it are found by their names.
    """
    name = None
    for number, argument in enumerate(arguments):
        if argument.startswith("--workflow-profile"):
            following = arguments[number + 1] if number + 1 < len(arguments) else ""
            name = argument.partition("=")[2] if "=" in argument else following
    if not name or name == "none":
        return None
    moved = any(argument.startswith(("--directory", "-d")) for argument in arguments)
    if moved and not Path(name).is_absolute():
        return None
    places = [start / name, start / "profiles" / name, snakefile.parent / "profiles" / name]
    if any(place.exists() for place in places):
        return None
    return (
        f"--workflow-profile {name}: no such folder in {start} or in profiles/. Snakemake would continue "
        "without a profile, and nothing would run on the cluster: correct the name, or make your site's "
        "copy first (cp -r profiles/slurm profiles/mysite; docs/cluster.md)"
    )


def _accounting() -> bool:
    try:
        _ask("sacct", "--noheader", "--allocations", "--starttime=now")
    except (subprocess.SubprocessError, OSError):
        return False
    return True


def _ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout


def read_partitions(text: str) -> dict[str, Partition]:
    """Each partition, from ``sinfo --format=%R|%G|%l``; its nodes may be of several kinds, a line each."""
    partitions: dict[str, Partition] = {}
    for line in text.splitlines():
        name, devices, limit = line.split("|")
        known = partitions.get(name, Partition(False, None)).gpus
        partitions[name] = Partition(known or "gpu" in devices, _minutes(limit))
    return partitions


def _minutes(limit: str) -> int | None:
    """Minutes of a limit as SLURM prints it: ``2-00:00:00``, ``12:00:00``, ``30:00``, ``infinite``."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit.strip())
    if not found:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + minutes


def read_job_memory(text: str) -> int | None:
    """Seconds that SLURM remembers a finished job (MinJobAge), from ``scontrol show config``."""
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", text, re.M)
    return int(found.group(1)) if found else None


def partition_problems(wanted: Iterable[Request], partitions: Mapping[str, Partition]) -> list[str]:
    """Partitions that do not exist, have no GPU for those who ask for one, or allow too little time."""
    unknown: dict[str, list[str]] = {}
    without: dict[str, list[str]] = {}
    short: dict[str, list[str]] = {}
    for request in wanted:
        # SLURM takes a list, too, and chooses the one that starts first.
        for name in filter(None, (request.partition or "").split(",")):
            if name not in partitions:
                unknown.setdefault(name, []).append(request.rule)
                continue
            if request.gpus and not partitions[name].gpus:
                without.setdefault(name, []).append(request.rule)
            limit = partitions[name].minutes
            if limit is not None and request.minutes is not None and request.minutes > limit:
                short.setdefault(name, []).append(f"{request.rule}: {request.minutes} min")
    with_gpus = [name for name, partition in partitions.items() if partition.gpus]
    return [
        *(
            f"no partition '{name}' here (requested by {_first(rules)}); available: {', '.join(partitions)}. "
            "Set the name in the lines marked SITE of your copy of profiles/slurm"
            for name, rules in unknown.items()
        ),
        *(
            f"partition '{name}' has no GPU (requested by {_first(rules)}); "
            + (f"with GPUs: {', '.join(with_gpus)}" if with_gpus else "no partition here has one")
            + ". Change set-resources in your copy of profiles/slurm; without GPUs remove its gpu: lines"
            for name, rules in without.items()
        ),
        *(
            f"partition '{name}' allows {partitions[name].minutes} minutes; longer jobs would wait forever "
            f"({_first(rules)}): name a longer partition in your copy of profiles/slurm, or set runtime there"
            for name, rules in short.items()
        ),
    ]


def status_problems(status_command: str | None, memory: int | None, *, accounting: bool) -> list[str]:
    """A way of asking for finished jobs that cannot see them would make Snakemake wait forever."""
    if not accounting:
        return [
            "sacct does not answer (no job accounting at this site): set slurm-status-command: squeue in "
            "your copy of profiles/slurm"
        ]
    if status_command == "squeue" and memory is not None and memory <= LONGEST_PAUSE:
        return [
            f"squeue forgets a finished job after {memory} s here (MinJobAge), but Snakemake polls up to "
            f"{LONGEST_PAUSE} s apart: set slurm-status-command: sacct in your copy of profiles/slurm"
        ]
    return []


def _first(rules: list[str]) -> str:
    rest = len(rules) - 3
    return ", ".join(rules[:3]) + (f" and {rest} more" if rest > 0 else "")
