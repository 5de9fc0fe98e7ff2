"""Tables of a model's tracks, such as the targets files of Basenji, Enformer and Borzoi, and names in them.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import csv
import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from cislex_workflow.checks.text_files import whole

#: Columns whose text names a track, the best name first.
NAMES = ("identifier", "name", "description")
#: Lines of a table that are read.
MOST_TRACKS = 1_000_000


@dataclass(frozen=True)
class Track:
    """One row: the number of the track in the output, and the other cells by column."""

    index: int
    cells: dict[str, str]

    @property
    def names(self) -> list[str]:
        """Every text that means this track."""
        return [text for column in NAMES if (text := self.cells.get(column, ""))]

    @property
    def label(self) -> str:
        """What the track is called as part of a target's name."""
        text = next(iter(self.names), str(self.index))
        for sign, word in (("+", ".plus"), ("-", ".minus")):
            text = text.removesuffix(sign) + word if text.endswith(sign) else text
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", text)


@dataclass(frozen=True)
class TrackTable:
    """Tracks of one output of a model by number."""

    path: str
    tracks: dict[int, Track]

    def find(self, text: str) -> list[int]:
        """Numbers of the tracks that a name, or a pattern with ``*`` and ``?``, means.

        Raises
        ------
        ValueError
            When it means none; with the nearest names.
        """
        parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in text)
        pattern = re.compile("".join(parts), re.DOTALL)
        found = [
            track.index
            for track in self.tracks.values()
            if any(pattern.fullmatch(name) for name in track.names)
        ]
        if found:
            return found
        known = dict.fromkeys(name for track in self.tracks.values() for name in track.names)
        near = difflib.get_close_matches(text, list(known), n=3)
        near = near or [name for name in known if text.strip("*?").lower() in name.lower()][:3]
        hint = (
            f"; the nearest are {', '.join(near)}" if near else f"; the first is {next(iter(known), 'none')}"
        )
        what = "matches none of its" if set("*?") & set(text) else "is not one of its"
        raise ValueError(f"{text!r} {what} {len(self.tracks)} tracks in {self.path}{hint}")

    def numbers(self, column: str, tracks: list[int]) -> list[float]:
        """Numbers of some tracks in a column.

        Raises
        ------
        ValueError
            When the table does not have them.
        """
        found = []
        for track in tracks:
            text = self.cell(track, column)
            try:
                found.append(float(text))
            except ValueError:
                raise ValueError(
                    f"{self.path}: track {track} has {text!r} in column {column}; expected a number"
                ) from None
        return found

    def track(self, number: int) -> Track:
        """The track of a number; ValueError where there is none."""
        if number not in self.tracks:
            raise ValueError(f"track {number} is not in {self.path}, which has {len(self.tracks)} tracks")
        return self.tracks[number]

    def cell(self, track: int, column: str) -> str:
        """One cell; ValueError where there is none."""
        cells = self.track(track).cells
        if column not in cells:
            columns = ", ".join(filter(None, cells))
            raise ValueError(f"{self.path} has no column {column}; it has {columns}")
        return cells[column]


def read_track_table(path: Path) -> TrackTable:
    """Read a TSV with a header; numbers are in ``index`` or in a first column without a name, else 0, 1, ….

    Raises
    ------
    ValueError
        When it cannot be read, or a number is none, or occurs twice.
    """
    if not path.is_file():
        raise ValueError(f"no such file: {path}; the names of tracks are looked up in it before any job runs")
    text = whole(path, most=MOST_TRACKS)
    if text is None:
        raise ValueError(
            f"{path}: cannot be read as a table: it is damaged, not text (UTF-8), or has more than "
            f"{MOST_TRACKS:,} lines"
        )
    try:
        rows = list(csv.reader(text, delimiter="\t"))
    except csv.Error as error:
        raise ValueError(f"{path}: cannot be read as a table: {error}") from None
    header = [cell.strip().lstrip("#").lower() for cell in (rows[0] if rows else [])]
    if not set(NAMES) & set(header):
        raise ValueError(
            f"{path}: expected a TSV whose header has {', '.join(NAMES)} or some of them; "
            f"found {', '.join(header[:6]) or 'nothing'}"
        )
    numbered = "index" if "index" in header else "" if header[0] == "" else None
    tracks: dict[int, Track] = {}
    for line, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = {column: cell.strip() for column, cell in zip(header, row, strict=False)}
        number = str(len(tracks)) if numbered is None else cells.get(numbered, "")
        if not number.isdecimal() or int(number) in tracks:
            raise ValueError(f"{path}:{line}: track number {number!r} is no whole number, or occurs twice")
        tracks[int(number)] = Track(int(number), cells)
    return TrackTable(str(path), tracks)
