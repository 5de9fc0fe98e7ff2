"""Hits with a known syntax, written as ``call_hits`` and ``extract_regions`` write them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from cislex.files.tables import write_table
from cislex.regions.extraction import REGION_COLUMNS, write_regions_bed
from numpy.typing import NDArray

LENGTH = 600
WIDTH = 10
#: Those of the files before words had a column of their own.
HIT_COLUMNS = [
    *("#chrom", "start", "end", "motif", "score", "strand"),
    *("hit_coefficient", "hit_similarity", "contribution", "analysis", "region"),
]


@dataclass
class PlantedHits:
    """Hits in regions of one length, in each region's own orientation.

    Attributes
    ----------
    count
        Regions.
    minus
        Share of the regions that lie on the minus strand.
    direct
        Whether the regions are sequences given directly.
    """

    count: int
    minus: float = 0.0
    direct: bool = False
    length: int = LENGTH
    rows: list[pd.DataFrame] = field(default_factory=list)

    def __post_init__(self) -> None:
        start = np.zeros(self.count, int) if self.direct else 1000 + 2000 * np.arange(self.count)
        is_minus = np.random.default_rng(5).random(self.count) < self.minus
        columns = {
            "chrom": "" if self.direct else "chr1",
            "start": start,
            "end": start + self.length,
            "name": [f"r{row}" for row in range(self.count)],
            "score": ".",
            "strand": "." if self.direct else np.where(is_minus, "-", "+"),
            "peak_start": start,
            "peak_end": start + self.length,
            "source_line": np.arange(self.count) + 1,
        }
        self.regions = pd.DataFrame(columns)[REGION_COLUMNS]

    def add(
        self,
        word: str,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        strands: NDArray[np.int64],
        *,
        width: int = WIDTH,
        contribution: float = 1.0,
    ) -> None:
        """Add hits; those that do not fit into the region are left out."""
        columns = {"row": rows, "low": starts, "strand": strands, "motif": word, "width": width}
        table = pd.DataFrame(columns | {"contribution": contribution})
        self.rows.append(table[(table["low"] >= 0) & (table["low"] + width <= self.length)])

    def write(self, folder: Path, *, order: NDArray[np.int64] | None = None) -> tuple[Path, Path]:
        """Write ``hits.bed.gz`` and ``regions.bed``; ``order`` of the hits, by default by position."""
        hits = pd.concat(self.rows, ignore_index=True)
        where = self.regions.iloc[hits["row"]].reset_index(drop=True)
        turned = (where["strand"] == "-").to_numpy()
        high = hits["low"] + hits["width"]
        hits["start"] = np.where(turned, where["end"] - high, where["start"] + hits["low"])
        hits["end"] = hits["start"] + hits["width"]
        hits["strand"] = np.where(turned, -hits["strand"], hits["strand"])
        hits["strand"] = hits["strand"].map({1: "+", -1: "-"})
        hits["#chrom"] = where["name"] if self.direct else where["chrom"]
        hits = hits.assign(score=900, hit_coefficient=1.0, hit_similarity=0.9, analysis="a")
        hits = hits.assign(region=where["name"])[HIT_COLUMNS]
        hits = hits.sort_values(["#chrom", "start", "end"]) if order is None else hits.iloc[order]
        folder.mkdir(parents=True, exist_ok=True)
        write_table(hits, folder / "hits.bed.gz")
        write_regions_bed(self.regions, folder / "regions.bed")
        return folder / "hits.bed.gz", folder / "regions.bed"


def scatter(planted: PlantedHits, word: str, number: int, random: np.random.Generator) -> None:
    """Add hits of a word anywhere, on either strand."""
    rows = random.integers(planted.count, size=number)
    starts = random.integers(planted.length - WIDTH + 1, size=number)
    planted.add(word, rows, starts, random.choice([-1, 1], size=number))


def pair_up(
    planted: PlantedHits,
    rows: NDArray[np.int64],
    distances: NDArray[np.int64],
    strands_b: NDArray[np.int64] | int,
    random: np.random.Generator,
    *,
    words: tuple[str, str] = ("alpha", "beta"),
) -> None:
    """Add one pair to each row: ``distances`` from a to b along a, ``strands_b`` relative to a.

    Both lie anywhere in the region, and a on either strand.
    """
    strand = random.choice([-1, 1], size=len(rows))
    start = random.integers(planted.length - WIDTH + 1, size=len(rows))
    second = start + strand * distances
    fits = (second >= 0) & (second + WIDTH <= planted.length)
    rows, start, second, strand = rows[fits], start[fits], second[fits], strand[fits]
    other = strand * (strands_b if isinstance(strands_b, int) else strands_b[fits])
    planted.add(words[0], rows, start, strand)
    planted.add(words[1], rows, second, other)
