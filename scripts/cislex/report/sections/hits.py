"""Section about motif hits: how many of each motif, and where in the regions that the page draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cislex.report.facts import count, decimals, percent
from cislex.report.sections.covered import Intervals
from cislex.report.sections.motifs import MotifView
from cislex.report.specs import AnalysisTarget
from cislex.report.tables import numbers, read_hits, read_table

Place = tuple[str, int, int]
#: Start, end, name and strand of a hit.
Hit = tuple[int, int, str, str]
#: Column of the table for the share of a word's seqlets that hits cover.
COVERED = "seqlets covered"
#: And for the hits of a word over the number of regions.
PER_REGION = "per region"

#: Columns of ``hits.bed.gz`` whose mean is told for each motif.
MEANS = {
    "hit_similarity": "mean similarity",
    "contribution": "mean contribution",
    "share": "mean share of the region",
    "log_odds": "mean log-odds",
}


@dataclass(frozen=True)
class HitsView:
    """Hits by motif or word, and the hits inside the regions that the page draws.

    Parameters
    ----------
    of_words
        Whether hits are of the lexicon's words, or of known motifs, whose identifiers the rows then name;
        else of the target's own motifs, whose best matches the rows name.
    recall
        How many of TF-MoDISco's seqlets the hits cover, in a sentence; empty where it is not known.
    places
        Where the hits are.
    """

    total: int
    columns: list[str]
    rows: list[dict[str, str]]
    inside: dict[int, list[Hit]]
    of_words: bool = False
    recall: str = ""
    places: Intervals = field(default_factory=Intervals)


def describe_hits(
    spec: AnalysisTarget, motifs: Sequence[MotifView], drawn: Sequence[Place], *, regions: int = 0
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
    regions
        Number of regions, for hits per region; 0: not told.
    """
    if spec.hits is None:
        return None
    known = {motif.name: motif for motif in motifs}
    inside: dict[int, list[Hit]] = {}
    sums: list[pd.DataFrame] = []
    every = Intervals()
    of_words = spec.usage is not None  # a word without a known motif has its number for a name, too
    for block in read_hits(spec.hits):
        block = block if "word" in block.columns else block.assign(word=block["name"])
        of_words = of_words or bool((block["word"] != block["name"]).any())
        _collect(inside, block, drawn)
        every.add(block)
        columns = {"hits": 1, "plus": block["strand"] == "+", "minus": block["strand"] == "-"}
        means = {title: numbers(block, name) for name, title in MEANS.items() if name in block.columns}
        frame = pd.DataFrame({"word": block["word"], "name": block["name"], **columns, **means})
        sums.append(frame.groupby(["word", "name"]).sum(min_count=1))
    if not of_words:
        inside = {
            index: [
                (low, high, known[name].short if name in known else name, strand)
                for low, high, name, strand in found
            ]
            for index, found in inside.items()
        }
    if not sums:
        return HitsView(0, [], [], inside)
    total = pd.concat(sums).groupby(level=[0, 1]).sum(min_count=1)
    means_of = [title for title in MEANS.values() if title in total.columns and total[title].notna().any()]
    total = total.sort_values("hits", ascending=False, kind="stable").reset_index()
    rows = []
    for _, row in total.iterrows():
        match = known[row["word"]].known if row["word"] in known else "–"
        rows.append(_hits_row(row, row["word"] if of_words else match, means_of))
    if regions:
        means_of.insert(0, PER_REGION)
        for cells, hits in zip(rows, total["hits"], strict=True):
            cells[PER_REGION] = decimals(hits / regions, 2)
    covered = _read_recall(spec)
    if not covered.empty:
        shares = dict(zip(covered["word"], covered["seqlet_recall"], strict=True))
        means_of.append(COVERED)
        for cells, word in zip(rows, total["word"], strict=True):
            cells[COVERED] = percent(shares[word]) if word in shares else "–"
    number, recall = int(total["hits"].sum()), _recall_sentence(covered)
    return HitsView(number, means_of, rows, inside, of_words, recall, every)


def _read_recall(spec: AnalysisTarget) -> pd.DataFrame:
    """Rows of ``usage.tsv`` of this target that say which share of a word's seqlets is hit."""
    columns = ["word", "name", "analysis", "target", "n_seqlets"]
    if spec.usage is None:
        return pd.DataFrame(columns=[*columns, "seqlet_recall"])
    table = read_table(spec.usage, what="usage of the lexicon", columns=columns)
    table = table.assign(seqlet_recall=numbers(table, "seqlet_recall"), n=numbers(table, "n_seqlets"))
    own = (table["analysis"] == spec.analysis) & (table["target"] == spec.target)
    return table[own & table["seqlet_recall"].notna()]


def _recall_sentence(covered: pd.DataFrame) -> str:
    if covered.empty:
        return ""
    total = int(covered["n"].sum())
    share = percent(float((covered["n"] * covered["seqlet_recall"]).sum()) / total)
    missed = covered.loc[covered["seqlet_recall"] == 0, "name"].tolist()
    more = f"; those of {', '.join(missed[:5])} by none" if missed else ""
    return f"Hits cover {share} of TF-MoDISco's {count(total, 'seqlet')} of these words in this target{more}."


def _collect(inside: dict[int, list[Hit]], block: pd.DataFrame, drawn: Sequence[Place]) -> None:
    """Add the hits of a block of rows that overlap each of the regions that are drawn."""
    starts, ends = numbers(block, "start").to_numpy(), numbers(block, "end").to_numpy()
    chroms, names, strands = (block[column].to_numpy() for column in ("chrom", "name", "strand"))
    for index, (chrom, start, end) in enumerate(drawn):
        here = np.flatnonzero((chroms == chrom) & (starts < end) & (ends > start))
        found = [(int(starts[i]), int(ends[i]), str(names[i]), str(strands[i])) for i in here]
        inside.setdefault(index, []).extend(found)


def _hits_row(row: pd.Series, match: str, means: Sequence[str]) -> dict[str, str]:
    counts = {column: f"{int(row[column]):,}" for column in ("hits", "plus", "minus")}
    cells = {"motif": row["name"], "match": match, **counts}
    return {**cells, **{column: decimals(row[column] / row["hits"], 3) for column in means}}
