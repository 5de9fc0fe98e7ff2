"""More about a motif: hypothetical contributions, base frequencies, places and strengths of its seqlets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.files.tables import open_hdf5, read_regions
from cislex.motifs.logos import information_heights
from cislex.report.facts import number
from cislex.report.figures.histograms import histogram
from cislex.report.figures.motif_logos import motif_logo
from cislex.report.sections.completeness import drawn_locus
from cislex.report.sections.pattern_arrays import Core
from cislex.report.specs import AnalysisTarget

#: Seqlets that are shown as examples: those with the largest contributions.
EXAMPLES = 5
#: What these are read from; files of other programs may lack it.
NEEDED = {"start", "end", "contrib_scores", "sequence", "example_idx"}


@dataclass(frozen=True)
class Example:
    """A seqlet: its region, where its middle lies in it, its bases and its contribution."""

    locus: str
    place: str
    bases: str
    contribution: str


@dataclass(frozen=True)
class MotifDetails:
    """Figures and examples of one motif."""

    hypothetical: Markup
    frequencies: Markup
    positions: Markup | None
    contributions: Markup | None
    examples: Sequence[Example]


def describe_details(spec: AnalysisTarget, cores: dict[str, Core]) -> dict[str, MotifDetails]:
    """Details of each motif by its name.

    Parameters
    ----------
    spec
        The target, with ``modisco.h5``.
    cores
        Its motifs, as :func:`cislex.report.sections.pattern_arrays.read_cores` reads them.
    """
    if spec.modisco is None or not cores:
        return {}
    with open_hdf5(spec.attributions, what="report: attributions", datasets=["regions"]) as handle:
        regions, length = read_regions(handle), int(handle["sequences"].shape[2])
    with open_hdf5(spec.modisco, what="report: motifs") as handle:
        return {
            name: _details(name, core, handle[core.pattern], regions, length) for name, core in cores.items()
        }


def _details(name: str, core: Core, pattern: h5py.Group, regions: pd.DataFrame, length: int) -> MotifDetails:
    seqlets = pattern["seqlets"]
    positions = contributions = None
    examples: list[Example] = []
    if {"start", "end", "contrib_scores", "sequence", "example_idx"} <= seqlets.keys() and len(
        seqlets["start"]
    ):
        middles = (seqlets["start"][:] + seqlets["end"][:]) / 2 - length / 2
        sums = seqlets["contrib_scores"][:].sum(axis=(1, 2), dtype=np.float64)
        half = length / 2
        positions = histogram(
            middles, x_label="bp from the region's centre", label=f"Positions of seqlets of {name}",
            limits=(-half, half), marked=0.0,
        )  # fmt: skip
        contributions = histogram(
            sums, x_label="contribution of a seqlet", label=f"Contributions of seqlets of {name}"
        )
        rows = np.argsort(-np.abs(sums), kind="stable")[:EXAMPLES]
        examples = [_example(seqlets, int(row), regions, sums, middles, core) for row in rows]
    return MotifDetails(
        hypothetical=motif_logo(core.hypothetical, label=f"Hypothetical contributions of {name}"),
        frequencies=motif_logo(
            information_heights(core.ppm), label=f"Base frequencies of {name} in bits", limits=(0.0, 2.0)
        ),
        positions=positions,
        contributions=contributions,
        examples=examples,
    )


def _example(
    seqlets: h5py.Group,
    row: int,
    regions: pd.DataFrame,
    sums: NDArray[np.float64],
    middles: NDArray[np.float64],
    core: Core,
) -> Example:
    index = int(seqlets["example_idx"][row])
    return Example(
        locus=drawn_locus(regions.iloc[index]) if index < len(regions) else f"row {index:,}",
        place=f"{middles[row]:+,.0f}".replace("-", "−"),
        bases=_letters(seqlets["sequence"][row], is_reversed=core.is_reversed),
        contribution=number(float(sums[row])),
    )


def _letters(onehot: NDArray[np.floating], *, is_reversed: bool) -> str:
    """Bases of a seqlet (W, 4) on the strand of the motif that the page shows; N: unknown."""
    turned = onehot[::-1, ::-1] if is_reversed else onehot
    return "".join(BASES[int(column.argmax())] if column.any() else "N" for column in turned)
