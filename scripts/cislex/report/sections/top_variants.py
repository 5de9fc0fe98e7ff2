"""Part of the section about variants: contributions of both alleles of the strongest ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import pandas as pd
from markupsafe import Markup

from cislex.files.tables import open_hdf5
from cislex.report.facts import number, variant_name
from cislex.report.figures.logos import allele_figure
from cislex.report.specs import VariantTables
from cislex.report.tables import read_table

#: Variants of a target that are drawn.
DRAWN = 3
ALLELES, PARTS = ("reference", "alternative"), ("hypothetical", "sequences")
COLUMNS = (
    *("target", "rank", "chrom", "pos", "ref", "alt", "effect", "name", "change", "width", "before", "after"),
    *("contribution_before", "contribution_after", "before_start", "after_start"),
)


@dataclass(frozen=True)
class AllelesView:
    """A variant with both alleles drawn; ``words`` says what it does to words."""

    variant: str
    effect: str
    words: str
    figure: Markup


def describe_top(spec: VariantTables, targets: Sequence[str]) -> dict[str, list[AllelesView]]:
    """Draw the strongest variants of some targets; nothing where none were attributed."""
    if spec.top is None or spec.arrays is None:
        return {}
    table = read_table(spec.top, what="strongest variants", columns=COLUMNS)
    needed = [
        f"targets/{target}/{allele}_{what}" for target in targets for allele in ALLELES for what in PARTS
    ]
    with open_hdf5(spec.arrays, what="report: contributions of variants", datasets=needed) as handle:
        return {target: _of_target(handle, target, table[table["target"] == target]) for target in targets}


def _of_target(handle: h5py.File, target: str, table: pd.DataFrame) -> list[AllelesView]:
    arrays = [[handle[f"targets/{target}/{allele}_{what}"][:DRAWN] for what in PARTS] for allele in ALLELES]
    count, _, width = arrays[0][0].shape
    views = []
    for row in range(count):
        own = table[table["rank"] == str(row + 1)]
        first, words = own.iloc[0], own[own["change"] != ""]
        if float(first["effect"]) == 0:
            continue  # of alleles without effect there is nothing to see
        variant = variant_name(first["chrom"], int(first["pos"]), first["ref"], first["alt"])
        drawn = [
            (hypothetical[row], sequences[row], _marks(words, when))
            for when, (hypothetical, sequences) in zip(("before", "after"), arrays, strict=True)
        ]
        label = f"Contributions around {variant} on both alleles"
        figure = allele_figure(drawn, place=width // 2, label=label)
        views.append(AllelesView(variant, number(float(first["effect"])), _words(words), figure))
    return views


def _marks(words: pd.DataFrame, when: str) -> list[tuple[int, int, str]]:
    """Sites that one allele has: start, end and name of each."""
    absent = "gained" if when == "before" else "lost"
    own = words[(words["change"] != absent) & (words[f"{when}_start"] != "")]
    return [
        (int(row[f"{when}_start"]), int(row[f"{when}_start"]) + int(row["width"]), row["name"])
        for row in own.to_dict("records")
    ]


def _words(words: pd.DataFrame) -> str:
    said = []
    for row in words.to_dict("records"):
        bits, added = (
            " → ".join("–" if row[key] == "" else number(float(row[key])) for key in keys)
            for keys in (("before", "after"), ("contribution_before", "contribution_after"))
        )
        said.append(f"{row['name']} {row['change']} ({bits} bits; contribution {added})")
    return "; ".join(said)
