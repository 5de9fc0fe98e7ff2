"""Is there a SLURM that can run this plan? Asked once, before the first job is submitted.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


def requests(jobs: Iterable[Any]) -> list[Request]:
    """Partition and GPUs of each rule, from its first job that does not run beside Snakemake."""
    found: dict[str, Request] = {}
    for job in jobs:
        if job.is_local or job.rule.name in found:
            continue
        # The partitions of another cluster of the site are not in this one's list.
        elsewhere = any(job.resources.get(key) for key in ("cluster", "clusters", "slurm_cluster"))
        partition = None if elsewhere else job.resources.get("slurm_partition")
        gpus = int(job.resources.get("gpu") or 0)
        found[job.rule.name] = Request(job.rule.name, None if partition is None else str(partition), gpus)
    return list(found.values())


def check(wanted: Iterable[Request], status_command: str | None) -> list[str]:
    """Ask SLURM for its partitions; return what is wrong, a sentence each, with what to do."""
    absent = [name for name in ("sbatch", "squeue", "sinfo", "scancel") if shutil.which(name) is None]
    if absent:
        return [
            f"not on PATH: {', '.join(absent)}; no job can be submitted: start on a login node of the "
            "cluster (or load its SLURM module); on a single machine leave --workflow-profile out"
        ]
    try:
        partitions = read_partitions(_ask("sinfo", "--all", "--noheader", "--format=%R|%G"))
        memory = read_job_memory(_ask("scontrol", "show", "config"))
    except (subprocess.SubprocessError, OSError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        return [f"SLURM does not answer ({reason}): try `sinfo`, and ask the site's administrators"]
    return [
        *partition_problems(wanted, partitions),
        *status_problems(status_command, memory, accounting=status_command != "sacct" or _accounting()),
    ]


def _accounting() -> bool:
    try:
        _ask("sacct", "--noheader", "--allocations", "--starttime=now")
    except (subprocess.SubprocessError, OSError):
        return False
    return True


def _ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout


def read_partitions(text: str) -> dict[str, bool]:
    """Each partition, and whether one of its nodes has a GPU, from ``sinfo --format=%R|%G``."""
    partitions: dict[str, bool] = {}
    for line in text.splitlines():
        name, _, devices = line.partition("|")
        partitions[name] = partitions.get(name, False) or "gpu" in devices
    return partitions


def read_job_memory(text: str) -> int | None:
    """Seconds that SLURM remembers a finished job (MinJobAge), from ``scontrol show config``."""
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", text, re.M)
    return int(found.group(1)) if found else None


def partition_problems(wanted: Iterable[Request], partitions: Mapping[str, bool]) -> list[str]:
    """Partitions that do not exist, and GPUs asked of partitions that have none."""
    unknown: dict[str, list[str]] = {}
    without: dict[str, list[str]] = {}
    for request in wanted:
        # SLURM takes a list, too, and chooses the one that starts first.
        for name in (request.partition or "").split(","):
            if name and name not in partitions:
                unknown.setdefault(name, []).append(request.rule)
            elif name and request.gpus and not partitions[name]:
                without.setdefault(name, []).append(request.rule)
    with_gpus = [name for name, has in partitions.items() if has]
    return [
        f"no partition '{name}' here (asked by {_first(rules)}); there are: {', '.join(partitions)}. "
        "Write the right name into the lines marked SITE of your copy of profiles/slurm"
        for name, rules in unknown.items()
    ] + [
        f"partition '{name}' has no GPU (asked by {_first(rules)}); "
        + (f"with GPUs: {', '.join(with_gpus)}" if with_gpus else "no partition here has one")
        + ". Change set-resources in your copy of profiles/slurm; without GPUs remove its gpu: lines"
        for name, rules in without.items()
    ]


def status_problems(status_command: str | None, memory: int | None, *, accounting: bool) -> list[str]:
    """A way of asking for finished jobs that cannot see them would make Snakemake wait forever."""
    if not accounting:
        return [
            "sacct does not answer (the site keeps no accounts): set slurm-status-command: squeue in "
            "your copy of profiles/slurm"
        ]
    if status_command == "squeue" and memory is not None and memory <= LONGEST_PAUSE:
        return [
            f"squeue forgets a finished job after {memory} s here (MinJobAge), and Snakemake looks up to "
            f"{LONGEST_PAUSE} s apart: set slurm-status-command: sacct in your copy of profiles/slurm"
        ]
    return []


def _first(rules: list[str]) -> str:
    rest = len(rules) - 3
    return ", ".join(rules[:3]) + (f" and {rest} more" if rest > 0 else "")
