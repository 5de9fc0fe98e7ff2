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
MEANS = {
    "hit_similarity": "mean similarity",
    "contribution": "mean contribution",
    "share": "mean share of the region",
}


@dataclass(frozen=True)
class HitsView:
    """Hits by motif or word, and the hits inside the regions that the page draws.

    Parameters
    ----------
    of_words
        Whether hits are of the lexicon's words, whose identifiers the rows then name; else of the target's
        own motifs, whose best matches the rows name.
    """

    total: int
    columns: list[str]
    rows: list[dict[str, str]]
    inside: dict[int, list[tuple[int, int, str]]]
    of_words: bool = False


def describe_hits(
    spec: AnalysisTarget, motifs: Sequence[MotifView], drawn: Sequence[Place]
) -> HitsView | None:
    """Count hits by motif and find those inside the regions that the page draws.

    Parameters
    ----------
    spec
        The target; ``None`` is returned where it has no hits.
    motifs
        Its motifs, for their names where hits are of these.
    drawn
        Chromosome (or sequence name), start and end of each region drawn, in the page's order.
    """
    if spec.hits is None:
        return None
    known = {motif.name: motif for motif in motifs}
    inside: dict[int, list[tuple[int, int, str]]] = {}
    sums: list[pd.DataFrame] = []
    of_words = False
    for block in read_hits(spec.hits):
        block = block if "word" in block.columns else block.assign(word=block["name"])
        of_words = of_words or bool((block["word"] != block["name"]).any())
        for index, place in enumerate(drawn):
            inside.setdefault(index, []).extend(_hits_within(block, place))
        columns = {"hits": 1, "plus": block["strand"] == "+", "minus": block["strand"] == "-"}
        means = {title: numbers(block, name) for name, title in MEANS.items() if name in block.columns}
        frame = pd.DataFrame({"word": block["word"], "name": block["name"], **columns, **means})
        sums.append(frame.groupby(["word", "name"]).sum(min_count=1))
    if not of_words:
        inside = {
            index: [(low, high, known[name].short if name in known else name) for low, high, name in found]
            for index, found in inside.items()
        }
    if not sums:
        return HitsView(0, [], [], inside)
    total = pd.concat(sums).groupby(level=[0, 1]).sum(min_count=1)
    means_of = [title for title in MEANS.values() if title in total.columns]
    total = total.sort_values("hits", ascending=False, kind="stable").reset_index()
    rows = []
    for _, row in total.iterrows():
        match = known[row["word"]].known if row["word"] in known else "–"
        rows.append(_hits_row(row, row["word"] if of_words else match, means_of))
    return HitsView(int(total["hits"].sum()), means_of, rows, inside, of_words)


def _hits_within(block: pd.DataFrame, place: Place) -> list[tuple[int, int, str]]:
    chrom, start, end = place
    here = block[block["chrom"] == chrom]
    starts, ends = numbers(here, "start"), numbers(here, "end")
    here = here[(starts >= start) & (ends <= end)]
    return [(int(hit["start"]), int(hit["end"]), hit["name"]) for _, hit in here.iterrows()]


def _hits_row(row: pd.Series, match: str, means: Sequence[str]) -> dict[str, str]:
    counts = {column: f"{int(row[column]):,}" for column in ("hits", "plus", "minus")}
    cells = {"motif": row["name"], "match": match, **counts}
    return {**cells, **{column: decimals(row[column] / row["hits"], 3) for column in means}}
