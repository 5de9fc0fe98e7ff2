"""Windows of regions: the columns of ``sequences.h5`` whose attributions are stored.

A model sees whole regions; of long ones a window each is kept. Here a window takes the place of its region:
its sequence, and its own place on the genome, so that whoever reads attributions need not know of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError
from cislex.files.hdf5_blocks import RowWriter
from cislex.files.tables import open_hdf5, require_file, write_regions
from cislex.files.text_tables import read_numbers, whole_numbers
from cislex.regions.strands import on_genome
from cislex.sequences.store import SequenceStore

#: Bytes of one-hot sequences that are copied at once.
BLOCK_BYTES = 1 << 24
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Windows of one width, a row each, in the order in which they are stored.

    Parameters
    ----------
    rows
        int64 (m,), ascending: row of the region in ``sequences.h5``.
    starts
        int64 (m,): first column of the window in the region's sequence, 5′ to 3′ on its strand.
    width
        Columns of each, bp.
    """

    rows: Ints
    starts: Ints
    width: int

    @classmethod
    def fixed(cls, n: int, window: tuple[int, int]) -> Windows:
        """The same columns ``[start, end)`` of each of n regions."""
        start, end = window
        return cls(np.arange(n), np.full(n, start, np.int64), end - start)

    @classmethod
    def read(cls, path: str | Path) -> Windows:
        """Those of a ``windows.tsv`` (``choose_windows``).

        Raises
        ------
        InputError
            It is missing, lacks a column, or its windows are of several widths or in another order.
        """
        columns = ("row", "window_start", "start", "end")
        table = read_numbers(require_file(path, what="windows"), texts=(), columns=columns.__contains__)
        missing = [name for name in columns if name not in table]
        if missing or not len(table):
            lack = f"lacks the columns {', '.join(missing)}" if missing else "has no windows"
            raise InputError(f"{path}: {lack}; delete it and run again")
        rows, starts, low, high = (whole_numbers(table, name, path) for name in columns)
        widths = np.unique(high - low)
        if len(widths) > 1 or widths[0] < 1 or (np.diff(rows) < 0).any():
            raise InputError(f"{path}: expected windows of one width, by row; delete it and run again")
        return cls(rows, starts, int(widths[0]))


def window_names(names: pd.Series, rows: Ints) -> pd.Series:
    """Names of windows: those of their regions, with ``.1``, ``.2``, … where these have several.

    Parameters
    ----------
    names, rows
        Name and row of the region of each window, (m,), by row.
    """
    first, last = (np.searchsorted(rows, rows, side) for side in ("left", "right"))
    number = pd.Series(np.arange(len(rows)) - first + 1, index=names.index).map(".{}".format)
    return names.where((last - first < 2) | names.isin(["", "."]), names + number)


class WindowStore(SequenceStore):
    """The windows of a ``sequences.h5`` as if they were its regions; a context manager.

    Regions have the places of their windows on the genome (of sequences given directly: within them); where a
    region has several, ``.1``, ``.2``, … is added to its name.

    Parameters
    ----------
    path
        ``sequences.h5``.
    windows
        Its windows.

    Attributes
    ----------
    n, length : int
        Number of windows and their width (bp).
    whole : int
        Length of the regions (bp).

    Raises
    ------
    ConfigError, InputError
        A window leaves its region, or a row is not there.
    """

    def __init__(self, path: str | Path, windows: Windows) -> None:
        super().__init__(path)
        self.windows, self.whole = windows, self.length
        regions, self.n, self.length = self.n, len(windows.rows), windows.width
        try:
            if len(windows.rows) and not 0 <= windows.rows.min() <= windows.rows.max() < regions:
                raise InputError(
                    f"{path}: has {regions} regions, but windows lie in row {windows.rows.max()}; choose the "
                    "windows again"
                )
            wrong = (windows.starts < 0) | (windows.starts + windows.width > self.whole)
            if windows.width < 1 or wrong.any():
                start = int(windows.starts[wrong.argmax()]) if len(wrong) else 0
                raise ConfigError(
                    f"window: found [{start}, {start + windows.width}) of regions of {self.whole} bp; "
                    f"expected 0 <= start < end <= {self.whole}"
                )
        except (ConfigError, InputError):
            self.close()
            raise

    def regions(self, start: int = 0, stop: int | None = None) -> pd.DataFrame:
        """Rows ``start:stop`` of the windows: ``chrom, start, end, name, strand``."""
        rows = self.windows.rows
        wanted = range(self.n)[start:stop]
        if not wanted:
            return super().regions(0, 0)
        # With all windows of the first and the last region, which are numbered in their names.
        first = int(np.searchsorted(rows, rows[wanted[0]], "left"))
        last = int(np.searchsorted(rows, rows[wanted[-1]], "right"))
        own, starts = rows[first:last], self.windows.starts[first:last]
        table = super().regions(int(own[0]), int(own[-1]) + 1).iloc[own - own[0]].reset_index(drop=True)
        low, high = on_genome(table, starts, starts + self.length)
        table = table.assign(start=low, end=high, name=window_names(table["name"], own))
        return table.iloc[wanted[0] - first : wanted[-1] + 1 - first].reset_index(drop=True)

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Sequences of the windows ``start:stop``: uint8 (n, 4, width)."""
        rows, starts = self.windows.rows[start:stop], self.windows.starts[start:stop]
        data = self._handle["sequences"]
        if len(rows) and len(rows) == rows[-1] - rows[0] + 1 and (starts == starts[0]).all():
            found: NDArray[np.uint8] = data[
                int(rows[0]) : int(rows[-1]) + 1, :, int(starts[0]) : int(starts[0]) + self.length
            ]
            return found
        result = np.empty((len(rows), 4, self.length), np.uint8)
        for place, (row, low) in enumerate(zip(rows.tolist(), starts.tolist(), strict=True)):
            result[place] = data[row, :, low : low + self.length]
        return result

    def read_rows(self, rows: Ints) -> NDArray[np.uint8]:
        """Sequences of some windows (ascending): uint8 (k, 4, width)."""
        low = int(rows[0]) if len(rows) else 0
        return self.read(low, int(rows[-1]) + 1 if len(rows) else 0)[rows - low]

    def copy_into(self, group: h5py.Group, name: str) -> None:
        """Write ``regions``."""
        if name != "regions":
            raise ValueError(f"{name}: only regions are written whole; sequences go through append_to")
        write_regions(group, self.regions())

    def append_to(self, writer: RowWriter) -> None:
        """Add the sequences of all windows to a dataset."""
        step = max(1, BLOCK_BYTES // (4 * self.length))
        for low in range(0, self.n, step):
            writer.append(self.read(low, min(low + step, self.n)))
        writer.finish()


def open_stored(path: str | Path, windows: Windows | tuple[int, int] | None) -> SequenceStore:
    """Open what is stored of the regions of a ``sequences.h5``: windows, or all of each.

    Parameters
    ----------
    path
        ``sequences.h5``.
    windows
        The windows, or one window ``(start, end)`` for every region; None: whole regions.
    """
    if windows is None:
        return SequenceStore(path)
    if isinstance(windows, Windows):
        return WindowStore(path, windows)
    with open_hdf5(path, what="sequences", datasets=("sequences",)) as handle:
        n = len(handle["sequences"])
    return WindowStore(path, Windows.fixed(n, windows))
