"""The table of held-out windows: position, observation and prediction of each."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError
from cislex.files.tables import atomic_path, require_file
from cislex.files.text_tables import as_text, read_numbers
from cislex.training.windows import Examples

#: Columns before those of the outputs: ``{task}.observed`` and ``{task}.predicted``.
PLACE = ["split", "chrom", "start", "end", "origin"]
_LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)


def evaluation_shifts(windows: Examples, seed: int) -> NDArray[np.int64]:
    """The one random shift, bp, at which each window is predicted: int64 (N,)."""
    rng = np.random.default_rng([seed, 2])
    return rng.integers(-windows.jitter, windows.jitter + 1, size=len(windows))


def describe_held_out(
    windows: Examples,
    observed: NDArray[np.generic],
    predicted: NDArray[np.generic],
    *,
    split: str,
    seed: int,
) -> pd.DataFrame:
    """Table of a split's windows, at the shifts at which they were predicted.

    Parameters
    ----------
    windows
        The windows.
    observed, predicted
        (N, tasks), see ``heads.Head.values``.
    split
        Name of the split.
    seed
        Seed of the shifts.

    Returns
    -------
    DataFrame
        ``PLACE``, ``{task}.observed`` and ``{task}.predicted`` of each task, ``sequence``.
    """
    shifts = evaluation_shifts(windows, seed)
    rows = np.arange(len(windows))
    codes, _ = windows.crop(rows, shifts, np.zeros(len(rows), dtype=bool))
    columns: dict[str, object] = {}
    for i, task in enumerate(windows.tasks):
        columns[f"{task}.observed"] = observed[:, i]
        columns[f"{task}.predicted"] = predicted[:, i]
    columns["sequence"] = [row.tobytes().decode("ascii") for row in _LETTERS[codes]]
    places = windows.places(shifts)
    return pd.concat([places.assign(split=split)[PLACE], pd.DataFrame(columns)], axis=1)


def write_held_out(table: pd.DataFrame, path: str | Path) -> None:
    """Write the table gzip-compressed, atomically; the same table gives the same bytes."""
    text = as_text(table)
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))


def read_held_out(path: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Read the table and the names of its outputs.

    Raises
    ------
    InputError
        When it is no such table.
    """
    require_file(path, what="held-out windows")
    table = read_numbers(path, texts=(*PLACE[:2], "origin", "sequence"))
    missing = [name for name in (*PLACE, "sequence") if name not in table]
    if missing:
        raise InputError(f"{path}: no table of held-out windows: it lacks {', '.join(missing)}")
    names = map(str, table.columns)
    return table, [name.removesuffix(".observed") for name in names if name.endswith(".observed")]
