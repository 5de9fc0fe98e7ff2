"""Named errors: each is something that a user can act on.

A message says what was wrong, where (file and line, locus or argument), what was found, what was
expected and what to do, with the first three offenders and their count.
"""

from __future__ import annotations

from collections.abc import Iterable


class CislexError(Exception):
    """Base of every error that cislex raises on purpose."""


class ConfigError(CislexError):
    """A setting, argument or combination of settings cannot be used.

    Examples
    --------
    >>> try:
    ...     from_config({"kind": "output", "indx": 0})
    ... except ConfigError as error:
    ...     print(error)
    target of kind output: found indx; its keys are index, head
    """


class InputError(CislexError):
    """A file or array given by the user is missing, malformed or inconsistent with another."""


class ModelError(CislexError):
    """The model cannot be loaded, called, or read in the way that was asked.

    Parameters
    ----------
    message
        What happened.
    rows
        Numbers of the examples for which it happened, where they are known.

    Examples
    --------
    >>> try:
    ...     Output(7)(model(sequences))
    ... except ModelError as error:
    ...     print(error)
    target: index 7 is out of range; the output has shape (N, 2), and each index counts from 0: choose 0 to 1
    """

    def __init__(self, message: str, *, rows: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


class UnsupportedOperationError(ModelError):
    """The model uses an operation for which no exact attribution rule is known."""


class CompletenessError(CislexError):
    """Attributions do not sum to the difference of predictions within the tolerance."""


class DeadlineError(CislexError):
    """A job stopped by itself before its time limit; what it had finished is kept."""


class StorageError(CislexError):
    """A file that cislex wrote is incomplete, of another version, or cannot be written."""


def offenders(items: Iterable[object], *, first: int = 3) -> str:
    """Name the first few offenders and count them all.

    Parameters
    ----------
    items
        The offenders, in the order in which they were met.
    first
        How many to name.

    Returns
    -------
    str
        For example ``"3, 17, 20 (12 in all)"``.
    """
    listed = [str(item) for item in items]
    text = ", ".join(listed[:first])
    return f"{text} ({len(listed)} in all)" if len(listed) > first else text


def message_of(error: BaseException) -> str:
    """Name and message of an error that the user's code raised."""
    if isinstance(error, SystemExit):
        code = "" if error.code is None else repr(error.code)
        return f"SystemExit: sys.exit({code}) was called, which would end the job without an error message"
    return f"{type(error).__name__}: {error}"
