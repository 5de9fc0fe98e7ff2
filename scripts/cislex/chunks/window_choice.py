"""Choose windows of regions by the attributions of a cheap method, for an expensive one to refine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.chunks.thinning import absolute_contributions
from cislex.errors import ConfigError, InputError
from cislex.files.tables import open_hdf5, read_regions, write_table
from cislex.files.unpacked_rows import unpack_rows
from cislex.logs import get_logger, progress
from cislex.regions.strands import on_genome
from cislex.sequences.stored_windows import window_names
from cislex.wording import counted

COLUMNS = ["chrom", "start", "end", "name", "strand", "row", "window_start", "rank", "size", "share"]
#: Values of attributions that are held at once.
BLOCK_VALUES = 1 << 24
logger = get_logger(__name__)


@dataclasses.dataclass(frozen=True)
class ScreenSettings:
    """Which windows are chosen.

    Parameters
    ----------
    width
        Their width (bp).
    top
        Windows of each region at most; those of a region do not overlap.
    regions
        Regions at most, those whose first window has the largest Σ|contribution|; None: all.
    """

    width: int
    top: int = 1
    regions: int | None = None

    def __post_init__(self) -> None:
        for key in ("width", "top", "regions"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"screen.{key}: found {value}, expected at least 1")


def choose_windows(attributions: str | Path, out: str | Path, settings: ScreenSettings) -> pd.DataFrame:
    """Write the windows of each region that hold the most of its absolute contributions.

    Parameters
    ----------
    attributions
        ``attributions.h5`` of the screen.
    out
        ``windows.tsv``: one row a window, by region and by place in its sequence.
    settings
        Which windows.

    Returns
    -------
    pandas.DataFrame
        The table as written. ``row`` is the region's in ``sequences.h5``, ``window_start`` the window's first
        column in the region's sequence, ``rank`` from 1 among the windows of its region, ``size`` its
        Σ|contribution|, and ``share`` that of all that is stored of the region. Of equal windows the first
        counts; those without any contribution are left out.

    Raises
    ------
    ConfigError
        When windows are wider than what is stored.
    InputError
        When no window has any contribution.
    """
    needed = ("hypothetical", "sequences", "rows")
    with open_hdf5(attributions, what="screen: attributions", datasets=needed) as handle:
        found = _all_windows(handle, settings)
        regions = read_regions(handle)
        rows = handle["rows"][:]
        offsets = handle["window_start"][:] if "window_start" in handle else np.zeros(len(rows), np.int64)
    if not len(found):
        raise InputError(
            f"{attributions}: all contributions are zero, so no windows can be chosen; screen with another "
            "target or method"
        )
    if settings.regions is not None:
        first = found[found["rank"] == 1].sort_values(["size", "place"], ascending=[False, True])
        found = found[found["place"].isin(first["place"].iloc[: settings.regions])]
    found = found.sort_values(["place", "column"], ignore_index=True)
    place, column = found["place"].to_numpy(), found["column"].to_numpy()
    where = regions.iloc[place].reset_index(drop=True)
    start, end = on_genome(where, column, column + settings.width)
    table = where.assign(
        start=start, end=end, name=window_names(where["name"], rows[place]),
        row=rows[place], window_start=offsets[place] + column,
        rank=found["rank"], size=found["size"], share=found["share"],
    )[COLUMNS]  # fmt: skip
    write_table(table, out)
    shares = table.groupby("row")["share"].sum()
    logger.info(
        "%s of %d bp in %s; they hold %.0f %% of the absolute contributions (median)",
        counted(len(table), "window"), settings.width, counted(len(shares), "region"), 100 * shares.median(),
    )  # fmt: skip
    return table


def _all_windows(handle: h5py.File, settings: ScreenSettings) -> pd.DataFrame:
    """``place column rank size share`` of the windows of every region, read in blocks."""
    count, _, length = handle["hypothetical"].shape
    if settings.width > length:
        raise ConfigError(f"screen.width: {settings.width} bp, but {length} bp of each region are stored")
    step = max(1, BLOCK_VALUES // (4 * length))
    parts = []
    for first in progress(range(0, count, step), total=count, label="choose windows", weight=step):
        arrays = (unpack_rows(handle[name], first, first + step) for name in ("hypothetical", "sequences"))
        sizes = absolute_contributions(*arrays)
        for place, row in enumerate(sizes.astype(np.float64), first):
            total = row.sum()
            for rank, (column, size) in enumerate(best_windows(row, settings.width, settings.top), 1):
                parts.append((place, column, rank, size, size / total))
    return pd.DataFrame(parts, columns=["place", "column", "rank", "size", "share"])


def best_windows(sizes: NDArray[np.float64], width: int, top: int) -> list[tuple[int, float]]:
    """First column and sum of the windows with the largest sums, which do not overlap, largest first.

    Parameters
    ----------
    sizes
        float64 (L,), at least 0.
    width, top
        Width of a window, and how many there are at most; none of them sums up to zero.
    """
    running = np.concatenate([[0.0], sizes.cumsum()])
    sums = running[width:] - running[:-width]
    found: list[tuple[int, float]] = []
    while len(found) < top:
        column = int(sums.argmax())
        if sums[column] <= 0:
            break
        found.append((column, float(sums[column])))
        sums[max(0, column - width + 1) : column + width] = 0
    return found
