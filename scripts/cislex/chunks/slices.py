"""Which rows of a stage each of its chunks has."""

from __future__ import annotations

from cislex.errors import ConfigError


def slice_of(chunk: int, chunks: int, n: int) -> slice:
    """Rows of a chunk (numbers from 0) among n rows; may be none.

    Raises
    ------
    ConfigError
        When there is no such chunk.
    """
    if not 0 <= chunk < chunks:
        raise ConfigError(f"chunk is {chunk}; expected 0 to {chunks - 1}")
    return slice(chunk * n // chunks, (chunk + 1) * n // chunks)
