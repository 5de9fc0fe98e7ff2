"""Files under a second name, without a second copy where the file system allows it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from cislex.files.tables import atomic_path, require_file
from cislex.files.temporary import temporary_path


def link_or_copy(source: str | Path, temporary: Path) -> None:
    """Make a temporary file another name of ``source`` (a hard link); a copy where there can be none.

    Parameters
    ----------
    source
        The file; of a symbolic link what it leads to.
    temporary
        A file of :func:`cislex.files.tables.atomic_path`, which is replaced.
    """
    beside = temporary.with_name(f"{temporary.name}.link")
    beside.unlink(missing_ok=True)
    if not _linked(source, beside, temporary):
        shutil.copyfile(source, temporary)


def link_file(source: str | Path, out: str | Path) -> None:
    """Give a file a second name (a hard link); make a copy where the file system has no links.

    Neither the content nor the permissions of ``source``, perhaps a file of the user, are touched.

    Raises
    ------
    InputError
        When ``source`` is missing or cannot be read.
    StorageError
        When the folder cannot be written, or the disk is full.
    """
    require_file(source, what="link")
    out = Path(out)
    with suppress(OSError):
        out.parent.mkdir(parents=True, exist_ok=True)
    # Not inside of atomic_path, which sets the permissions of what it renames.
    if not _linked(source, temporary_path(out), out):
        with atomic_path(out) as temporary:
            shutil.copyfile(source, temporary)


def _linked(source: str | Path, beside: Path, name: Path) -> bool:
    """Put a hard link to a file, made beside, in the place of ``name``; False where there can be none."""
    with suppress(OSError):
        os.link(Path(source).resolve(), beside)
        os.replace(beside, name)
        return True
    return False
