"""Section about single regions: the ones with the highest predictions, base by base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from cislex.errors import StorageError
from cislex.files.tables import has_coordinates, open_hdf5, read_regions
from cislex.regions.extraction import bed_names
from cislex.report.facts import number
from cislex.report.figures.logos import region_figure
from cislex.report.sections.completeness import drawn_locus
from cislex.report.sections.hits import Place
from cislex.report.specs import AnalysisTarget


@dataclass(frozen=True)
class TopRegions:
    """Arrays of the regions with the highest predictions, highest first.

    Parameters
    ----------
    regions
        Their rows of ``regions/``.
    predictions
        (K,) float32.
    hypothetical
        (K, 4, L) float32.
    sequences
        (K, 4, L) uint8.
    total
        Number of regions in the file.
    """

    regions: pd.DataFrame
    predictions: NDArray[np.float32]
    hypothetical: NDArray[np.float32]
    sequences: NDArray[np.uint8]
    total: int

    @property
    def places(self) -> list[Place]:
        """Chromosome, start and end of each; the name and 0..L for sequences without coordinates."""
        if has_coordinates(self.regions):
            columns = self.regions[["chrom", "start", "end"]].itertuples(index=False)
            return [(str(chrom), int(start), int(end)) for chrom, start, end in columns]
        names = self.regions["place"] if "place" in self.regions else self.regions["name"]
        return [(str(name), 0, self.sequences.shape[2]) for name in names]


@dataclass(frozen=True)
class RegionView:
    """One region as the page shows it."""

    rank: int
    locus: str
    name: str
    prediction: str
    figure: Markup

    @property
    def search(self) -> str:
        """What a search finds it by: the locus in plain digits, and the name."""
        locus = self.locus.split(" ")[0].replace(",", "").replace("–", "-")
        return f"{locus} {self.name}".strip()


def read_top_regions(spec: AnalysisTarget, *, top: int) -> TopRegions:
    """Read the ``top`` regions by prediction; only their rows are read.

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
        order = np.argsort(-predictions, kind="stable")[:top]
        rows = np.sort(order)
        back = np.searchsorted(rows, order)
        regions = read_regions(handle)
        if not has_coordinates(regions):
            regions = regions.assign(place=bed_names(regions))
        return TopRegions(
            regions=regions.iloc[order].reset_index(drop=True),
            predictions=predictions[order],
            hypothetical=handle["hypothetical"][rows].astype(np.float32)[back],
            sequences=handle["sequences"][rows].astype(np.uint8)[back],
            total=len(predictions),
        )


def draw_regions(
    regions: TopRegions, hits: dict[int, list[tuple[int, int, str]]], *, window: int
) -> list[RegionView]:
    """Draw each region, as it was read (5′ to 3′ on its strand), with its motif hits."""
    views = []
    for index, place in enumerate(regions.places):
        row = regions.regions.iloc[index]
        where = drawn_locus(row)
        marks = _on_strand(hits.get(index, []), place, reverse=row["strand"] == "-")
        drawing = region_figure(
            regions.hypothetical[index],
            regions.sequences[index],
            window=window,
            marks=marks,
            label=f"Contributions of {where}",
        )
        name = str(row["name"]) if str(row["name"]) not in (".", where) else ""
        views.append(RegionView(index + 1, where, name, number(float(regions.predictions[index])), drawing))
    return views


def _on_strand(
    hits: Sequence[tuple[int, int, str]], place: Place, *, reverse: bool
) -> list[tuple[int, int, str]]:
    """Turn genomic intervals into positions in the region as it was read."""
    _, start, end = place
    if reverse:
        return [(end - right, end - left, name) for left, right, name in hits]
    return [(left - start, right - start, name) for left, right, name in hits]
