"""Planted sites of a simulated genome in the sequences of regions, and how well scores find their bases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import InputError
from cislex.files.tables import require_file
from cislex.files.text_tables import read_numbers
from cislex.metrics import RankedLabels

TEXTS = ("chrom", "strand", "motif", "name", "assay", "peak")
#: An assay or a motif drives a set of regions that has at least this many functional sites per region.
MIN_DRIVEN = 0.1

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Planted:
    """Functional sites of the assays that drive some regions.

    Attributes
    ----------
    region
        Number of each site's region, ascending, (s,).
    start, end
        Bases of the region's sequence, which on the minus strand is the reverse complement, half-open (s,).
    name
        Names of the motifs, (s,).
    """

    region: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    name: NDArray[np.object_]

    def mask(self, region: int, length: int, names: tuple[str, ...] | None = None) -> Bools:
        """Which bases of a region are planted, (length,); of some motifs, or of all."""
        found = np.zeros(length, bool)
        own = self._of(region)
        for start, end, name in zip(self.start[own], self.end[own], self.name[own], strict=True):
            if names is None or name in names:
                found[start:end] = True
        return found

    def names_in(self, region: int) -> tuple[str, ...]:
        """Motifs of a region, by name."""
        return tuple(sorted(set(self.name[self._of(region)])))

    def _of(self, region: int) -> slice:
        return slice(*np.searchsorted(self.region, [region, region + 1]).tolist())


def read_planted(truth: str | Path, regions: pd.DataFrame) -> Planted:
    """Read the functional sites that lie in regions, of the assays that drive these.

    Parameters
    ----------
    truth
        ``truth.tsv`` of a simulated genome.
    regions
        Regions with coordinates, in the order of the scores.

    Raises
    ------
    InputError
        The table lacks a column.
    """
    sites = read_numbers(require_file(truth, what="planted sites"), texts=TEXTS)
    missing = [name for name in (*TEXTS, "start", "end", "functional") if name not in sites]
    if missing:
        raise InputError(f"{truth} lacks the columns {', '.join(missing)}")
    sites = sites[sites["functional"].astype(str) == "True"].sort_values("start", kind="stable")
    where = [regions[key].to_numpy() for key in ("chrom", "start", "end", "strand")]
    found = []
    for chrom, own in sites.groupby("chrom", sort=False):
        starts, ends = own["start"].to_numpy(np.int64), own["end"].to_numpy(np.int64)
        for region in np.flatnonzero(where[0] == chrom):
            begin, stop, strand = (column[region] for column in where[1:])
            inside = np.arange(*np.searchsorted(starts, [begin, stop]))
            inside = inside[ends[inside] <= stop]
            low = stop - ends[inside] if strand == "-" else starts[inside] - begin
            placed = {"region": region, "start": low, "end": low + (ends - starts)[inside]}
            found.append(own.iloc[inside][["name", "assay"]].assign(**placed))
    empty = pd.DataFrame({"name": [], "assay": [], "region": [], "start": [], "end": []})
    table = pd.concat(found, ignore_index=True) if found else empty
    driving = table["assay"].value_counts()
    table = table[table["assay"].isin(driving.index[driving >= MIN_DRIVEN * len(regions)])]
    table = table.sort_values(["region", "start"], kind="stable")
    columns = [table[key].to_numpy(np.int64) for key in ("region", "start", "end")]
    return Planted(columns[0], columns[1], columns[2], table["name"].to_numpy(object))


def planted_auprc(scores: Floats, planted: Bools) -> float:
    """Average precision of planted bases by absolute score; NaN where none or all are planted."""
    if planted.all() or not planted.any():
        return float("nan")
    return RankedLabels(planted, np.abs(scores)).areas()[1]
