"""Temporary files and folders that a killed process left: who made one is in its name.

A process that is killed outright removes nothing. The next one that writes the same output removes what
the killed one left, and only that: what a process of this machine made that is no longer there, or what
another machine made and nobody changed for a week.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cislex.logs import get_logger

#: Seconds without a change after which a temporary of another machine is taken for abandoned. Whether its
#: process lives cannot be asked from here, and no job writes one file for so long without changing it.
FOREIGN_SECONDS = 7 * 86400.0
#: Characters of an output's name that are kept in its temporary's.
KEPT = 80


def temporary_path(target: str | Path) -> Path:
    """Return a new hidden path beside ``target``, with its suffixes, that names this process.

    Nothing is made.

    Parameters
    ----------
    target
        The output, a file or a folder.
    """
    path = Path(target)
    owner = f"{_machine()}-{os.getpid()}"
    return path.with_name(f".{path.stem[:KEPT]}.{owner}.{secrets.token_hex(4)}{_suffix(path)}")


def remove_abandoned(target: str | Path, *, own: bool = False) -> None:
    """Remove temporaries of ``target`` whose process is dead.

    Parameters
    ----------
    target
        The output whose temporaries were named by :func:`temporary_path`.
    own
        Only those of this user: for folders in which others may write, too.
    """
    path = Path(target)
    name = re.compile(
        rf"\.{re.escape(path.stem[:KEPT])}\.([0-9a-f]{{16}})-(\d+)\.[0-9a-f]{{8}}{re.escape(_suffix(path))}"
    )
    for entry in _entries(path.parent):
        found = name.fullmatch(entry)
        if found is None or (own and not _is_own(path.with_name(entry))):
            continue
        if _is_abandoned(path.with_name(entry), found.group(1), int(found.group(2))):
            _remove(path.with_name(entry))


@contextmanager
def temporary_folder(target: str | Path) -> Iterator[Path]:
    """Yield a new folder beside ``target``; it is removed at the end unless it was renamed."""
    remove_abandoned(target)
    folder = temporary_path(target)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace_folder(new: Path, folder: str | Path) -> None:
    """Put a new folder in the place of an old one, if there is one: no half of either has the final name."""
    old = temporary_path(folder)
    with suppress(FileNotFoundError):
        os.rename(folder, old)
    os.rename(new, folder)
    shutil.rmtree(old, ignore_errors=True)


def _suffix(path: Path) -> str:
    """The last two suffixes; some libraries read the format from them."""
    return "".join(path.suffixes[-2:])


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


@functools.cache
def _machine() -> str:
    """Stands for the processes among which this one's number is unique: a running kernel, and a container."""
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        kernel, numbers = socket.gethostname(), ""
    return hashlib.blake2b(f"{kernel} {numbers}".encode(), digest_size=8).hexdigest()


def _is_abandoned(path: Path, machine: str, process: int) -> bool:
    """Whether the process that made a temporary is surely gone."""
    if machine == _machine():
        return not _lives(process)
    try:
        return time.time() - path.stat().st_mtime > FOREIGN_SECONDS
    except FileNotFoundError:
        return False


def _is_own(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.getuid()
    except OSError:
        return False


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    """Remove a file or folder; another process may be doing the same."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    get_logger(__name__).info("%s: removed (left behind by a killed process)", path)
