"""Section about motif hits: how many of each motif, and where in the regions that the page draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from cislex.report.facts import decimals
from cislex.report.sections.motifs import MotifView
from cislex.report.specs import AnalysisTarget
from cislex.report.tables import numbers, read_hits

Place = tuple[str, int, int]

#: Columns of ``hits.bed.gz`` whose mean is told for each motif.
MEANS = {"hit_similarity": "mean similarity", "contribution": "mean contribution"}


@dataclass(frozen=True)
class HitsView:
    """Hits by motif, and the hits inside the regions that the page draws."""

    total: int
    columns: list[str]
    rows: list[dict[str, str]]
    inside: dict[int, list[tuple[int, int, str]]]


def describe_hits(
    spec: AnalysisTarget, motifs: Sequence[MotifView], drawn: Sequence[Place]
) -> HitsView | None:
    """Count hits by motif and find those inside the regions that the page draws.

    Parameters
    ----------
    spec
        The target; ``None`` is returned where it has no hits.
    motifs
        Its motifs, for their names.
    drawn
        Chromosome (or sequence name), start and end of each region drawn, in the page's order.
    """
    if spec.hits is None:
        return None
    known = {motif.name: motif for motif in motifs}
    inside: dict[int, list[tuple[int, int, str]]] = {}
    sums: list[pd.DataFrame] = []
    for block in read_hits(spec.hits):
        for index, place in enumerate(drawn):
            found = _hits_within(block, place)
            inside.setdefault(index, []).extend(
                (start, end, known[name].short if name in known else name) for start, end, name in found
            )
        columns = {"hits": 1, "plus": block["strand"] == "+", "minus": block["strand"] == "-"}
        means = {title: numbers(block, name) for name, title in MEANS.items() if name in block.columns}
        sums.append(
            pd.DataFrame({"name": block["name"], **columns, **means}).groupby("name").sum(min_count=1)
        )
    if not sums:
        return HitsView(0, [], [], inside)
    total = pd.concat(sums).groupby(level=0).sum(min_count=1)
    means_of = [title for title in MEANS.values() if title in total.columns]
    total = total.sort_values("hits", ascending=False, kind="stable")
    rows = [_hits_row(str(name), row, known.get(str(name)), means_of) for name, row in total.iterrows()]
    return HitsView(int(total["hits"].sum()), means_of, rows, inside)


def _hits_within(block: pd.DataFrame, place: Place) -> list[tuple[int, int, str]]:
    chrom, start, end = place
    here = block[block["chrom"] == chrom]
    starts, ends = numbers(here, "start"), numbers(here, "end")
    here = here[(starts >= start) & (ends <= end)]
    return [(int(hit["start"]), int(hit["end"]), hit["name"]) for _, hit in here.iterrows()]


def _hits_row(name: str, row: pd.Series, motif: MotifView | None, means: Sequence[str]) -> dict[str, str]:
    cells = {"motif": name, "match": motif.known if motif else "–"}
    counts = {column: f"{int(row[column]):,}" for column in ("hits", "plus", "minus")}
    return {**cells, **counts, **{column: decimals(row[column] / row["hits"], 3) for column in means}}
