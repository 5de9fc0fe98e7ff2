"""Section about single regions: those with the highest and lowest predictions, random and named ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from cislex.errors import InputError, StorageError
from cislex.files.tables import has_coordinates, open_hdf5, read_regions
from cislex.regions.extraction import bed_names
from cislex.report.facts import number
from cislex.report.figures.histograms import histogram
from cislex.report.figures.regions import Mark, Region, region_figure
from cislex.report.sections.completeness import drawn_locus
from cislex.report.sections.hits import Hit, Place
from cislex.report.specs import AnalysisTarget

#: Groups of regions, in the order of the page; how many of the last two are drawn, and at a locus.
ASKED, HIGHEST, LOWEST, RANDOM = "asked", "highest", "lowest", "random"
OTHERS, AT_LOCUS = 3, 3
#: Further targets that are drawn on the axis of a region, and regions for which they are.
STACKED, STACKED_REGIONS = 4, 3


@dataclass(frozen=True)
class Asked:
    """Regions that the user asks for: loci such as ``chrIV:1,000-2,000`` or ``chrIV:1500``, and names."""

    loci: Sequence[str] = ()
    names: Sequence[str] = ()

    @property
    def parsed(self) -> list[tuple[str, tuple[str, int, int]]]:
        """Each locus as it was given, with chromosome, start and end (0-based, half-open).

        Raises
        ------
        InputError
            A locus that is none.
        """
        return [(locus, parse_locus(locus)) for locus in self.loci]


def parse_locus(locus: str) -> tuple[str, int, int]:
    """Chromosome, start and end of ``chrIV:1,000-2,000`` or ``chrIV:1500``, 0-based and half-open."""
    found = re.fullmatch(r"(\S+):(\d[\d,]*)(?:[-–](\d[\d,]*))?", locus.strip())
    if found is None:
        raise InputError(f"report: locus '{locus}': expected chromosome:start-end or chromosome:position")
    start = int(found[2].replace(",", ""))
    end = int(found[3].replace(",", "")) if found[3] else start + 1
    if end <= start:
        raise InputError(f"report: locus '{locus}': its end is not after its start")
    return found[1], start, end


@dataclass(frozen=True)
class TopRegions:
    """Arrays of the regions that are drawn, in the order of the page.

    Parameters
    ----------
    regions
        Their rows of ``regions/``.
    groups
        The group of each: ``asked``, ``highest``, ``lowest`` or ``random``.
    predictions
        (K,) float32.
    hypothetical
        (K, 4, L) float32.
    sequences
        (K, 4, L) uint8.
    spread
        (K, L) float32, standard deviation over folds; None: not in the file.
    total
        Number of regions in the file.
    missing
        What was asked for and is in no region.
    figure
        Histogram of all predictions; None without any.
    """

    regions: pd.DataFrame
    groups: Sequence[str]
    predictions: NDArray[np.float32]
    hypothetical: NDArray[np.float32]
    sequences: NDArray[np.uint8]
    spread: NDArray[np.float32] | None
    total: int
    missing: Sequence[str] = ()
    figure: Markup | None = None

    @property
    def places(self) -> list[Place]:
        """Chromosome, start and end of each; the name in its place for sequences without coordinates."""
        names = self.regions["chrom"]
        if not has_coordinates(self.regions):
            names = self.regions["place"] if "place" in self.regions else self.regions["name"]
        places = zip(names, self.regions["start"], self.regions["end"], strict=True)
        return [(str(name), int(start), int(end)) for name, start, end in places]


@dataclass(frozen=True)
class RegionView:
    """One region as the page shows it; ``rank`` counts within its ``group``."""

    rank: int
    locus: str
    name: str
    prediction: str
    figure: Markup
    group: str = HIGHEST

    @property
    def identifier(self) -> str:
        """The end of its id on the page."""
        return f"region-{self.rank}" if self.group == HIGHEST else f"region-{self.group}-{self.rank}"

    @property
    def search(self) -> str:
        """What a search finds it by: the locus in plain digits, and the name."""
        locus = self.locus.split(" ")[0].replace(",", "").replace("–", "-")
        return f"{locus} {self.name}".strip()


def read_top_regions(spec: AnalysisTarget, *, top: int, asked: Asked | None = None) -> TopRegions:
    """Read the ``top`` regions by prediction, a few others, and those asked for; only their rows are read.

    Raises
    ------
    StorageError
        The arrays' shapes do not agree.
    """
    needed = ["sequences", "hypothetical", "prediction", "regions"]
    with open_hdf5(
        spec.attributions, what=f"report: attributions of {spec.label}", datasets=needed
    ) as handle:
        predictions = handle["prediction"][:].astype(np.float32)
        shape = handle["sequences"].shape
        if handle["hypothetical"].shape != shape or len(shape) != 3 or shape[:2] != (len(predictions), 4):
            raise StorageError(
                f"report: {spec.attributions}: sequences {shape}, hypothetical {handle['hypothetical'].shape}"
                f" and {len(predictions)} predictions do not agree; expected (N, 4, L), (N, 4, L) and N"
            )
        regions = read_regions(handle)
        if not has_coordinates(regions):
            regions = regions.assign(place=bed_names(regions))
        chosen, missing = choose(predictions, regions, top=top, asked=asked or Asked())
        rows = np.array([row for row, _ in chosen], dtype=np.int64)
        return TopRegions(
            regions=regions.iloc[rows].reset_index(drop=True),
            groups=[group for _, group in chosen],
            predictions=predictions[rows],
            hypothetical=_rows(handle["hypothetical"], rows).astype(np.float32),
            sequences=_rows(handle["sequences"], rows).astype(np.uint8),
            spread=_rows(handle["fold_spread"], rows).astype(np.float32) if "fold_spread" in handle else None,
            total=len(predictions),
            missing=missing,
            figure=_predictions(predictions),
        )


def _predictions(values: NDArray[np.float32]) -> Markup | None:
    """Histogram of the predictions of all regions."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    return histogram(known, x_label="prediction", label="Predictions of all regions")


def choose(
    predictions: NDArray[np.float32], regions: pd.DataFrame, *, top: int, asked: Asked
) -> tuple[list[tuple[int, str]], list[str]]:
    """Rows with their groups, and what was asked for and is nowhere.

    No region is both among the highest and among the lowest or random ones.
    """
    found: list[tuple[int, str]] = []
    missing = []
    for text, (chrom, start, end) in asked.parsed:
        here = (regions["chrom"] == chrom) & (regions["start"] < end) & (regions["end"] > start)
        rows = np.flatnonzero(here)[:AT_LOCUS].tolist()
        found += [(row, ASKED) for row in rows]
        missing += [] if rows else [text]
    for name in asked.names:
        rows = np.flatnonzero(regions["name"].astype(str) == name)[:AT_LOCUS].tolist()
        found += [(row, ASKED) for row in rows]
        missing += [] if rows else [name]
    found = list(dict.fromkeys(found))
    order = np.argsort(-predictions, kind="stable")
    found += [(int(row), HIGHEST) for row in order[:top]]
    rest = order[top:]
    lowest = rest[::-1][:OTHERS]
    between = rest[: max(len(rest) - OTHERS, 0)]
    drawn = np.random.default_rng(0).choice(between, min(OTHERS, len(between)), replace=False)
    return [*found, *((int(row), LOWEST) for row in lowest), *((int(row), RANDOM) for row in drawn)], missing


def _rows(dataset: h5py.Dataset, rows: NDArray[np.int64]) -> NDArray[np.generic]:
    """Rows of a dataset in any order, each read once."""
    once, back = np.unique(rows, return_inverse=True)
    return np.asarray(dataset[once][back])


@dataclass
class Siblings:
    """Contributions of the other targets of an analysis to the same regions; each table is read once."""

    analyses: Sequence[AnalysisTarget] = ()
    _known: dict[Path, pd.DataFrame] = field(default_factory=dict)

    def of(self, spec: AnalysisTarget, regions: pd.DataFrame) -> list[list[tuple[str, NDArray[np.float32]]]]:
        """For each of some regions: names of other targets of the analysis, and contributions (L,)."""
        found: list[list[tuple[str, NDArray[np.float32]]]] = [[] for _ in range(len(regions))]
        others = [one for one in self.analyses if one.analysis == spec.analysis and one.target != spec.target]
        if not has_coordinates(regions):
            return found
        for other in others[:STACKED]:
            with open_hdf5(other.attributions, what=f"report: attributions of {other.label}") as handle:
                path = Path(other.attributions)
                if path not in self._known:
                    columns = read_regions(handle)[["chrom", "start", "end", "strand"]]
                    self._known[path] = columns.assign(row=np.arange(len(columns)))
                keys = ["chrom", "start", "end", "strand"]
                here = regions[keys].merge(self._known[path].drop_duplicates(keys), on=keys, how="left")
                for index, row in enumerate(here["row"].tolist()):
                    if row == row:  # not NaN: the region is there, too
                        scores, bases = (handle[name][int(row)] for name in ("hypothetical", "sequences"))
                        found[index].append((other.target, (scores * bases).sum(axis=0).astype(np.float32)))
        return found


def draw_regions(
    spec: AnalysisTarget,
    regions: TopRegions,
    hits: Mapping[int, Sequence[Hit]],
    *,
    window: int,
    siblings: Siblings | None = None,
) -> list[RegionView]:
    """Draw each region, as it was read (5′ to 3′ on its strand), with its motif hits."""
    views: list[RegionView] = []
    stacked = [index for index, group in enumerate(regions.groups) if group in (ASKED, HIGHEST)]
    stacked = stacked[: STACKED_REGIONS + sum(group == ASKED for group in regions.groups)]
    others = (siblings or Siblings()).of(spec, regions.regions.iloc[stacked])
    beside = dict(zip(stacked, others, strict=True))
    is_placed, ranks = has_coordinates(regions.regions), dict.fromkeys(regions.groups, 0)
    for index, place in enumerate(regions.places):
        row, group = regions.regions.iloc[index], regions.groups[index]
        ranks[group] += 1
        where, is_reversed = drawn_locus(row), row["strand"] == "-"
        region = Region(
            hypothetical=regions.hypothetical[index],
            onehot=regions.sequences[index],
            marks=_on_strand(hits.get(index, []), place, is_reversed=is_reversed),
            chrom=place[0] if is_placed else "",
            start=place[1],
            end=place[2],
            is_reversed=is_reversed,
            spread=None if regions.spread is None else regions.spread[index],
            others=beside.get(index, []),
        )
        drawing = region_figure(region, window=window, label=f"Contributions of {where}")
        name = str(row["name"]) if str(row["name"]) not in (".", where) else ""
        prediction = number(float(regions.predictions[index]))
        views.append(RegionView(ranks[group], where, name, prediction, drawing, group))
    return views


def _on_strand(hits: Sequence[Hit], place: Place, *, is_reversed: bool) -> list[Mark]:
    """Turn genomic intervals into positions in the region as it was read."""
    _, start, end = place
    if not is_reversed:
        return [Mark(left - start, right - start, name, strand) for left, right, name, strand in hits]
    turned = {"+": "-", "-": "+"}
    return [Mark(end - right, end - left, name, turned.get(strand, "")) for left, right, name, strand in hits]
