"""Section about seqlets: how many spans stand out, and which of them no pattern of TF-MoDISco holds."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cislex.motifs.matching import SHUFFLED
from cislex.motifs.seqlets import read_seqlets
from cislex.report.facts import count, decimals, probability
from cislex.report.sections.motifs import WEAK_Q, database_label
from cislex.report.specs import AnalysisTarget

#: Known motifs without a word that the table holds; those of fewer seqlets are not shown.
SHOWN, LEAST = 12, 2


@dataclass(frozen=True)
class SeqletRow:
    """A known motif that seqlets resemble, but no word of the lexicon does."""

    name: str
    matrix: str
    source: str
    seqlets: str
    regions: str
    contribution: str
    q: str


@dataclass(frozen=True)
class SeqletsView:
    """Seqlets in a few sentences, and the known motifs that only they show.

    Parameters
    ----------
    text
        Ready to print.
    rows, hidden
        Known motifs without a word, most seqlets first; how many more the page leaves out.
    has_words
        Whether there was a lexicon to compare with.
    """

    text: str
    rows: list[SeqletRow]
    hidden: int
    has_words: bool


def describe_seqlets(spec: AnalysisTarget) -> SeqletsView | None:
    """Read ``seqlets.tsv.gz``; ``None`` where seqlets were not called."""
    if spec.seqlets is None:
        return None
    table = read_seqlets(spec.seqlets)
    if table.empty:
        return SeqletsView("No seqlet is significant.", [], 0, False)
    has_words = bool(table["word_q"].notna().any())
    named, worded = table["match_q"] <= WEAK_Q, table["word"] != ""
    regions = table[["chrom", "name"]].drop_duplicates()
    parts = [f"{count(len(table), 'seqlet')} in {count(len(regions), 'region')}: {_signs(table)}."]
    if has_words:
        parts.append(f"{_share(worded)} match a word of the lexicon (q ≤ {WEAK_Q:g}).")
    if table["match_q"].notna().any():
        parts.append(f"{_share(named)} match a known motif (q ≤ {WEAK_Q:g}).")
    if (table["null"] == SHUFFLED).any():
        parts.append("q-values of matches come from seqlets with shuffled columns: few motifs are known.")
    rows = _unworded(table, named & ~worded, set(table.loc[worded & named, "match"]))
    return SeqletsView(" ".join(parts), rows[:SHOWN], max(len(rows) - SHOWN, 0), has_words)


def _signs(table: pd.DataFrame) -> str:
    up = int((table["sign"] == "+").sum())
    return f"{up:,} raise and {len(table) - up:,} lower the prediction"


def _share(which: pd.Series) -> str:
    return f"{int(which.sum()):,} ({100 * which.mean():.0f} %)"


def _unworded(table: pd.DataFrame, which: pd.Series, spoken: set[str]) -> list[SeqletRow]:
    """Known motifs of seqlets without a word, except those that seqlets with a word resemble, too."""
    rest = table[which & ~table["match"].isin(list(spoken))]
    found = []
    for (matrix, database), group in rest.groupby(["match", "database"], sort=True):
        if len(group) >= LEAST:
            found.append((len(group), _row(str(matrix), str(database), group)))
    return [row for _, row in sorted(found, key=lambda entry: -entry[0])]


def _row(matrix: str, database: str, group: pd.DataFrame) -> SeqletRow:
    return SeqletRow(
        name=str(group["match_name"].iloc[0]),
        matrix=matrix,
        source=database_label(database),
        seqlets=f"{len(group):,}",
        regions=f"{len(group[['chrom', 'name']].drop_duplicates()):,}",
        contribution=decimals(group["contribution"].median(), 3),
        q=probability(group["match_q"].min()),
    )
