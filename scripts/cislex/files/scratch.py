"""Scratch folders below the temporary folder, and the errors of full disks.

The temporary folder (``TMPDIR``) is shared: other users of the machine can make files there under any name
that they foresee, and jobs that are killed leave theirs.
"""

from __future__ import annotations

import atexit
import errno
import functools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cislex.errors import StorageError
from cislex.files.temporary import remove_abandoned, temporary_path
from cislex.logs import get_logger

#: What the system says where no more can be written.
FULL = (errno.ENOSPC, errno.EDQUOT)
#: What else it says of a write, by what happened and what to do.
REFUSED = {
    errno.EFBIG: (
        "the file is too large for ulimit -f or the file system",
        "raise the limit, or choose another folder, and run again",
    ),
    errno.EIO: (
        "the disk or the network failed (Input/output error)",
        "tell the administrator, or choose another folder, and run again",
    ),
    errno.EROFS: ("the file system is read-only", "choose another folder, and run again"),
    errno.ESTALE: ("the network file system lost the file (Stale file handle)", "run again"),
}
#: What is said of a file that is read, too; a copy that is refused bears the name of what is copied.
OF_READING = (errno.EIO, errno.ESTALE)
#: Bytes whose writing tells a full disk from another failure of a program that says nothing.
PROBE = 1 << 20


@contextmanager
def write_errors_named(path: str | Path, *, advice: str = "free some space and run again") -> Iterator[None]:
    """Make a refusal of a full disk, a quota or a broken disk an error that names the file and what to do.

    Parameters
    ----------
    path
        What is written.
    advice
        What to do where the disk is full.

    Raises
    ------
    StorageError
        In place of the system's error.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageError(
                f"disk full or quota exceeded while writing {path}; no partial file is left: {advice}"
            ) from error
        if error.errno not in REFUSED or (error.errno in OF_READING and _is_of_another(error, path)):
            raise
        what, then = REFUSED[error.errno]
        raise StorageError(f"{what}, while writing {path}; no partial file is left: {then}") from error


def _is_of_another(error: OSError, path: str | Path) -> bool:
    """Whether an error names a file that lies elsewhere, such as an input that cannot be read."""
    if error.filename is None or not isinstance(error.filename, str | os.PathLike):
        return False
    return Path(error.filename).parent != Path(path).parent


def refusal_in(error: BaseException | None) -> OSError | None:
    """The refusal of a full or broken disk that led to an error, or None."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (*FULL, *REFUSED):
            return error
        error = error.__cause__ or error.__context__
    return None


def probe_space(path: str | Path) -> None:
    """Raise what the system says, if it does, to another megabyte beside ``path``; none of it stays.

    Raises
    ------
    OSError
        When the disk is full.
    """
    with tempfile.TemporaryFile(dir=Path(path).parent) as handle:
        handle.write(bytes(PROBE))
        handle.flush()
        os.fsync(handle.fileno())


def temporary_root() -> Path:
    """The temporary folder.

    Raises
    ------
    StorageError
        When no folder that the system offers can be written, or all are full.
    """
    try:
        root = Path(tempfile.gettempdir())
        _tell_of_another(os.environ.get("TMPDIR") or str(root), root)
        return root
    except FileNotFoundError as error:
        raise StorageError(
            f"no temporary folder can be written, or all are full ({error.strerror}): free some space, or "
            "set TMPDIR to a folder with space, and run again"
        ) from error


@functools.cache
def _tell_of_another(wanted: str, root: Path) -> None:
    """Say once where temporary files go if TMPDIR is not there."""
    if not Path(wanted).is_dir():
        get_logger(__name__).warning(
            "TMPDIR is %s, which is no folder: temporary files go to %s", wanted, root
        )


@contextmanager
def scratch_folder(what: str) -> Iterator[Path]:
    """Yield a new folder below the temporary folder that no other user can enter; it is removed at the end.

    Those of the same name that killed jobs of this user left are removed first.

    Parameters
    ----------
    what
        For the folder's name.

    Raises
    ------
    StorageError
        When the disk is full, in place of the system's error.
    """
    root = temporary_root()
    advice = "free some space there, or set TMPDIR to a folder with more, and run again"
    with write_errors_named(f"temporary files in {root}", advice=advice):
        folder = _new_folder(root, what)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def user_folder(name: str, *, elsewhere: Iterable[Path] = ()) -> Path | None:
    """A folder of this user that lasts, below the temporary folder or in the first other place that will do.

    Another user may have made it, as a link or a file or to be written by all; what is not this user's alone
    is not used, and the log says so.

    Parameters
    ----------
    name
        The folder's name; the user's number is added.
    elsewhere
        Folders that are tried next.

    Returns
    -------
    Path or None
        None where none will do.
    """
    for folder in (temporary_root() / f"{name}-{os.getuid()}", *elsewhere):
        problem = _claim(folder)
        if not problem:
            return folder
        get_logger(__name__).warning(
            "%s is not used: %s; remove it, or set TMPDIR to a folder of your own", folder, problem
        )
    return None


def private_folder(what: str) -> Path:
    """A new folder below the temporary folder for this process alone, removed when it ends."""
    root = temporary_root()
    with write_errors_named(f"temporary files in {root}"):
        folder = _new_folder(root, what)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _new_folder(root: Path, what: str) -> Path:
    target = root / f"cislex-{what}"
    remove_abandoned(target, own=True)
    folder = temporary_path(target)
    folder.mkdir(mode=0o700)
    return folder


def _claim(folder: Path) -> str:
    """Make the folder if it is not there; what is wrong with it, or nothing."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        return f"it cannot be created ({error.strerror})"
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return f"it is {'a link' if stat.S_ISLNK(status.st_mode) else 'no folder'}"
    if status.st_uid != os.getuid():
        return f"it belongs to user {status.st_uid}"
    if status.st_mode & 0o022:
        return f"others may write it (mode {status.st_mode & 0o777:o})"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"it cannot be written (mode {status.st_mode & 0o777:o})"
    return ""
