"""Choose the device of a job; jobs that share the GPUs of one machine each claim a free one.

A claim is a lock on a file, which the system releases when the process ends, however it ends. A batch
system that assigns GPUs (``CUDA_VISIBLE_DEVICES`` within a SLURM job) is obeyed without a claim.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch

from cislex.errors import ConfigError, StorageError
from cislex.files.scratch import temporary_root, user_folder
from cislex.logs import get_logger

#: Share of a GPU's memory that must be free: others may compute there without a claim.
FREE_SHARE = 0.5
#: Seconds between two looks for a free GPU, and between two lines that say so.
LOOK_SECONDS, TELL_SECONDS = 2.0, 60.0


class Gpus(Protocol):
    """The GPUs that this process sees."""

    def names(self) -> list[str]:
        """An identifier of each, the same for every process of the machine."""

    def free_share(self, index: int) -> float:
        """Share of the memory of one that is free now."""


class VisibleGpus:
    """The GPUs that torch sees."""

    def names(self) -> list[str]:
        """Their UUIDs."""
        found = range(torch.cuda.device_count())
        return [str(torch.cuda.get_device_properties(index).uuid) for index in found]

    def free_share(self, index: int) -> float:
        """Free over total memory."""
        free, total = torch.cuda.mem_get_info(index)
        return free / total


@contextmanager
def claim(
    device: str,
    *,
    gpus: Gpus | None = None,
    folder: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    free_share: float = FREE_SHARE,
) -> Iterator[str]:
    """Yield the device to compute on, and hold it until the block ends.

    Parameters
    ----------
    device
        ``cpu``; ``cuda``, a GPU or an error; ``auto``, a GPU where there is one, else the CPU; or one GPU
        by number, ``cuda:1``.
    gpus, folder, environment
        The GPUs, the folder of the locks and the environment variables; by default those of this process.
    free_share
        Share of a GPU's memory that must be free.

    Raises
    ------
    ConfigError
        When ``cuda`` is asked for and no GPU is visible.
    """
    environment = os.environ if environment is None else environment
    names = [] if device == "cpu" else (gpus or VisibleGpus()).names()
    visible = environment.get("CUDA_VISIBLE_DEVICES", "not set")
    if device == "cpu" or (device == "auto" and not names):
        if device == "auto" and "SLURM_JOB_ID" in environment and visible not in ("", "not set"):
            get_logger(__name__).warning(
                "SLURM assigned GPU %s, but torch sees none: computing on the CPU. Is torch a CPU-only "
                "build, or is the driver too old? Set device: cuda to make this an error",
                visible,
            )
        yield "cpu"
        return
    if not names:
        raise ConfigError(
            f"device is {device!r}, but no GPU is visible here (CUDA_VISIBLE_DEVICES is {visible!r}); "
            "request one (gpu: 1 for this rule in the profile), or set device: auto or cpu"
        )
    assigned = "SLURM_JOB_ID" in environment and "CUDA_VISIBLE_DEVICES" in environment
    if assigned or device.startswith("cuda:"):
        yield "cuda:0" if assigned else device
        return
    index, descriptor = _wait(names, gpus or VisibleGpus(), _locks(folder), free_share)
    try:
        get_logger(__name__).info("claimed GPU %d of %d (%s)", index, len(names), names[index])
        yield f"cuda:{index}"
    finally:
        os.close(descriptor)


def _locks(folder: str | Path | None) -> Path:
    """The folder of the locks: one for all jobs of this user, on this machine where possible."""
    if folder is not None:
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(folder)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    elsewhere = [Path(runtime) / "cislex-gpus"] if runtime else []
    found = user_folder("cislex-gpus", elsewhere=[*elsewhere, Path.home() / ".cache" / "cislex" / "gpus"])
    if found is None:
        raise StorageError(
            f"jobs that share GPUs need a private folder for their locks, and the one in {temporary_root()} "
            "is open to other users: set TMPDIR to a folder of your own, or name one GPU (device: cuda:0)"
        )
    return found


def _wait(names: list[str], gpus: Gpus, folder: Path, free_share: float) -> tuple[int, int]:
    """Index of the GPU claimed, and the descriptor that holds its lock."""
    last_notice = -TELL_SECONDS
    while True:
        for index, name in enumerate(names):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(folder / f"{name}.lock", flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            if gpus.free_share(index) >= free_share:
                return index, descriptor
            os.close(descriptor)
        if time.monotonic() - last_notice >= TELL_SECONDS:
            get_logger(__name__).info("all %d GPUs are busy: waiting for a free one", len(names))
            last_notice = time.monotonic()
        time.sleep(LOOK_SECONDS)


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device; ``auto`` is CUDA where there is one, else the CPU."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(
            f"device: found {device!r}, expected auto, cpu, cuda or cuda:0, cuda:1, …"
        ) from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device is {device!r}, but torch sees no CUDA device here; use device: auto or cpu"
        )
    return found
