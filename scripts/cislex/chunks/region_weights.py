"""Weights of the bins of each region, for targets that sum the bins of its intervals.

Intervals are in genomic coordinates; weights are along the sequence, 5′ to 3′ on the region's strand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.errors import ConfigError, InputError, offenders
from cislex.models.full_precision import own_dtype
from cislex.models.loading import LoadedModel
from cislex.regions.extraction import locus
from cislex.regions.peaks import read_peaks
from cislex.regions.strands import in_sequence
from cislex.sequences.store import SequenceStore
from cislex.targets import Target, Tracks
from cislex.targets.base import every_part
from cislex.targets.intervals import Intervals, interval_keys
from cislex.targets.tracks import Bins

Rows = NDArray[np.int64]
#: Regions that are checked at once.
BLOCK = 10_000


def interval_files(targets: Iterable[Target]) -> list[str]:
    """Files of intervals that targets read, each once, sorted."""
    return sorted({key[0].bed for key in interval_keys(targets)})


class RegionWeights:
    """Weights of bins of the regions of a store, for each set of intervals that some targets read.

    Parameters
    ----------
    store
        The regions.
    targets
        Targets; most have no intervals, and then nothing is read or computed.
    loaded
        The model, which is run on one region, for the number of bins.
    """

    def __init__(self, store: SequenceStore, targets: Sequence[Target], loaded: LoadedModel) -> None:
        self.store = store
        self.keys = interval_keys(targets) if store.n else []
        self._numbers: dict[Any, int] = {}
        self._beds: dict[str, pd.DataFrame] = {}
        if not self.keys:
            return
        x = torch.from_numpy(store.read(0, 1)).to(loaded.device, own_dtype(loaded.model))
        with torch.no_grad():
            output = loaded.model(x)
        for target in every_part(targets):
            if isinstance(target, Tracks) and target.interval_key is not None:
                self._numbers[target.interval_key] = target.number_of_bins(output)
        for intervals, _ in self.keys:
            self._beds[intervals.bed] = read_peaks(intervals.bed, file_format="bed", malformed=None)

    def of(self, rows: Rows, targets: Sequence[Target] | None = None) -> list[Tensor]:
        """Weights of some regions, float32 (n, bins, 1) each, as a model opened for targets takes them.

        Parameters
        ----------
        rows
            Rows of the store.
        targets
            Some of the targets; None for all.

        Raises
        ------
        InputError
            A region has no interval, or one that passes what the bins cover.
        """
        keys = self.keys if targets is None else interval_keys(targets)
        if not self.keys or not len(rows):
            return [torch.zeros((len(rows), self._numbers.get(key, 0), 1)) for key in keys]
        low, high = int(rows.min()), int(rows.max()) + 1
        regions = self.store.regions(low, high).iloc[rows - low].reset_index(drop=True)
        return [torch.from_numpy(self._weights(regions, *key))[:, :, None] for key in keys]

    def check(self) -> None:
        """Make the weights of every region, for the errors."""
        wrong: dict[tuple[str, str], list[str]] = {}
        for start in range(0, self.store.n if self.keys else 0, BLOCK):
            regions = self.store.regions(start, min(start + BLOCK, self.store.n))
            for intervals, bins in self.keys:
                *_, found = self._spans(regions, intervals, bins)
                for what, names in found.items():
                    wrong.setdefault((intervals.bed, what), []).extend(names)
        _refuse(wrong, self.store.n)

    def _weights(self, regions: pd.DataFrame, intervals: Intervals, bins: Bins) -> NDArray[np.float32]:
        """float32 (n, bins)."""
        row, start, stop, wrong = self._spans(regions, intervals, bins)
        _refuse({(intervals.bed, what): names for what, names in wrong.items()}, len(regions))
        number = self._numbers[intervals, bins]
        offset, width = bins.offset(number), bins.width
        weights = np.zeros((len(regions), number), np.float32)
        for i, first, last in zip(row, start - offset, stop - offset, strict=True):
            covered = slice(first // width, -(-last // width))
            if intervals.weighting == "any":
                weights[i, covered] = 1
                continue
            edges = np.arange(covered.start, covered.stop) * width
            weights[i, covered] += (np.minimum(last, edges + width) - np.maximum(first, edges)) / width
        return weights

    def _spans(
        self, regions: pd.DataFrame, intervals: Intervals, bins: Bins
    ) -> tuple[Rows, Rows, Rows, dict[str, list[str]]]:
        """Merged intervals of regions in bp of their sequences: row, start, stop; regions with a problem."""
        number = self._numbers[intervals, bins]
        low = bins.offset(number)
        high = low + number * bins.width
        row, place = _matched(regions, self._beds[intervals.bed], by_name=intervals.match == "name")
        bed = self._beds[intervals.bed].iloc[place]
        start, stop = in_sequence(regions.iloc[row], bed["start"], bed["end"])
        passing = np.unique(row[(start < low) | (stop > high)])
        start, stop = start.clip(low, high), stop.clip(low, high)
        kept = start < stop
        row, start, stop = _merged(row[kept], start[kept], stop[kept])
        lost = np.setdiff1d(np.arange(len(regions)), row)
        wrong = {NONE: _names(regions.iloc[lost])}
        if intervals.outside == "error":
            wrong[PASSING] = _names(regions.iloc[passing])
        return row, start, stop, wrong


#: Weights for the sequences that a model is tried with, of some of the targets.
TrialWeights = Callable[[Sequence[Target]], list[Tensor]]


def trial_weights(
    sequences: str | Path | None, targets: Sequence[Target], loaded: LoadedModel, n: int
) -> TrialWeights:
    """Weights of n regions, the first ones, for sequences that are no regions; checks those of all regions.

    Parameters
    ----------
    sequences
        ``sequences.h5``; needed where targets have intervals.
    targets, loaded
        See ``RegionWeights``.
    n
        Number of sequences; regions come again where there are fewer.
    """
    if not interval_keys(targets):
        return lambda _: []
    if sequences is None:
        raise ConfigError("sequences: found none; targets with intervals need the regions")
    with SequenceStore(sequences) as store:
        if not store.n:
            raise InputError(f"{sequences}: no regions, on whose intervals targets could be tried")
        weights = RegionWeights(store, targets, loaded)
        weights.check()
        found = dict(zip(weights.keys, weights.of(np.arange(n) % store.n), strict=True))
    return lambda some: [found[key] for key in interval_keys(some)]


#: What may be wrong with the intervals of regions, and what to do.
NONE, PASSING = "none", "passing"
REMEDIES = {
    NONE: "without an interval in what the bins cover: {}; add intervals, or leave these regions out",
    PASSING: "with intervals that pass what the bins cover: {}; set outside: clip, or use larger regions",
}


def _names(regions: pd.DataFrame) -> list[str]:
    return [f"{region['name']} {locus(region)}" for _, region in regions.iterrows()]


def _refuse(wrong: dict[tuple[str, str], list[str]], n: int) -> None:
    told = [
        f"{bed}: {len(names)} of {n} regions {REMEDIES[what].format(offenders(names))}"
        for (bed, what), names in wrong.items()
        if names
    ]
    if told:
        raise InputError("\n".join(told))


def _matched(regions: pd.DataFrame, bed: pd.DataFrame, *, by_name: bool) -> tuple[Rows, Rows]:
    """Row of the region and row of the BED file of each pair that belongs together."""
    if by_name:
        left = regions[["chrom", "name"]].assign(row=np.arange(len(regions)))
        right = bed[["chrom", "name"]].assign(place=np.arange(len(bed)))
        both = left.merge(right, on=["chrom", "name"])
        return both["row"].to_numpy(np.int64), both["place"].to_numpy(np.int64)
    found: list[tuple[Rows, Rows]] = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    starts, ends = regions["start"].to_numpy(np.int64), regions["end"].to_numpy(np.int64)
    begins, stops = bed["start"].to_numpy(np.int64), bed["end"].to_numpy(np.int64)
    places = bed.groupby("chrom").indices
    for chrom, rows in regions.groupby("chrom").indices.items():
        own: Rows = np.asarray(places.get(chrom, ()), np.int64)
        own = own[begins[own].argsort(kind="stable")]
        first, last = begins[own], stops[own]
        reach = np.maximum.accumulate(last)
        low, high = np.searchsorted(reach, starts[rows], "right"), np.searchsorted(first, ends[rows], "left")
        count = np.maximum(high - low, 0)
        row: Rows = np.repeat(np.asarray(rows, np.int64), count)
        place = np.arange(count.sum()) + np.repeat(low + count - count.cumsum(), count)
        kept = last[place] > starts[row]
        found.append((row[kept], own[place[kept]]))
    return np.concatenate([row for row, _ in found]), np.concatenate([place for _, place in found])


def _merged(row: Rows, start: Rows, stop: Rows) -> tuple[Rows, Rows, Rows]:
    """Intervals of each row without overlaps."""
    order = np.lexsort((start, row))
    row, start, stop = row[order], start[order], stop[order]
    kept = np.ones(len(row), bool)
    top = 0
    for i in range(1, len(row)):
        if row[i] == row[top] and start[i] <= stop[top]:
            stop[top] = max(stop[top], stop[i])
            kept[i] = False
        else:
            top = i
    return row[kept], start[kept], stop[kept]
