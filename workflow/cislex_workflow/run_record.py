"""The record of a run: command, complete config, versions and digests, written before the first job.

Written on the host of Snakemake and by no rule: whatever a rule depends on, another command would make its
results out of date. Plain Python without the package.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import shlex
import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

#: Packages whose version is kept: those that plan a run, and those that can change a number.
PACKAGES = (
    "snakemake", "snakemake-executor-plugin-slurm", "torch", "keras", "numpy", "numba", "h5py", "pandas",
    "modisco-lite", "finemo", "memelite", "leidenalg", "pybigwig", "pyfaidx", "pyjaspar",
)  # fmt: skip
#: Bytes up to which the content of an input is digested; of larger files size and time are kept. The digests
#: of the genome's sequences and of the models are attributes of every ``attributions.h5``.
MOST_DIGESTED = 200 << 20
#: Folders of the project that results depend on.
CODE = ("Snakefile", "workflow", "scripts", "resources")


def write(
    folder: Path,
    arguments: Sequence[str],
    *,
    config: Mapping[str, Any],
    files: Iterable[tuple[str, str | None]],
    root: Path,
) -> Path:
    """Write ``<folder>/<time>-<process>.yaml`` and return its path.

    Parameters
    ----------
    folder
        Where the records of all runs are kept.
    arguments
        The command line.
    config
        The complete config.
    files
        Key and path of every file that the config names; None for those that are not given.
    root
        Folder of the project.
    """
    now = datetime.now(UTC)
    named = {key: path for key, path in files if path}
    record = {
        "began": now.isoformat(timespec="seconds"),
        "command": shlex.join(arguments),
        "folder": str(Path.cwd()),
        "host": f"{_user()}@{socket.gethostname()}",
        "code": digest_code(root),
        "versions": {"python": platform.python_version(), **_versions()},
        "inputs": {key: describe(Path(path)) for key, path in named.items()},
        "config": dict(config),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.yaml"
    text = yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=110)
    _write_whole(text, path)
    return path


def _write_whole(text: str, path: Path) -> None:
    """Write a file that is complete as soon as it has its name, or not there."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def describe(path: Path) -> dict[str, Any]:
    """Path, bytes, time of change, and the BLAKE2b-128 of a file that is not too large."""
    found: dict[str, Any] = {"path": str(path)}
    if not path.is_file():  # made by a rule of this run, or a folder
        return found
    status = path.stat()
    found["bytes"] = status.st_size
    found["changed"] = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
    if status.st_size <= MOST_DIGESTED:
        found["blake2b"] = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    return found


def digest_code(root: Path) -> str:
    """BLAKE2b-128 of the workflow's own files, names and contents."""
    hasher = hashlib.blake2b(digest_size=16)
    for name in CODE:
        top = root / name
        paths = [top] if top.is_file() else sorted(top.rglob("*"))
        for path in paths:
            if path.is_file() and path.suffix in ("", ".py", ".smk", ".yaml", ".j2"):
                hasher.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return hasher.hexdigest()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in a container
        return str(os.getuid())
