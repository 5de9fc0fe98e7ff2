"""Who uses which word: seqlets, regions, contributions and hits of every word in every target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cislex.lexicon.naming import Name
from cislex.lexicon.patterns import PatternSource
from cislex.lexicon.words import Member, Word
from cislex.motifs.hits import read_hits

COLUMNS = [
    *("word", "name", "analysis", "target", "n_seqlets", "n_hits", "n_regions", "mean_contribution", "sign"),
    *("n_patterns", "n_hit_regions"),
]
#: Hits by motif of a target, and the regions that they are in.
Hits = dict[str, tuple[int, set[str]]]


def measure_usage(
    words: Sequence[Word], names: Mapping[str, Name], sources: Sequence[PatternSource]
) -> pd.DataFrame:
    """One row for each word and target, zeros included (docs/output.md).

    Parameters
    ----------
    words, names
        The lexicon, in its order.
    sources
        All targets, also those without a pattern.
    """
    hits = {source.key: _count_hits(source) for source in sources}
    rows = []
    for word in words:
        of_target: dict[tuple[str, str], list[Member]] = {}
        for member in word.members:
            of_target.setdefault(member.pattern.source.key, []).append(member)
        for source in sources:
            members = of_target.get(source.key, [])
            row = _row(word, members, hits[source.key])
            rows.append({"word": word.identifier, "name": names[word.identifier].name,
                         "analysis": source.analysis, "target": source.target, **row})  # fmt: skip
    frame = pd.DataFrame(rows, columns=COLUMNS)
    whole = ("n_seqlets", "n_hits", "n_regions", "n_patterns", "n_hit_regions")
    return frame.astype(dict.fromkeys(whole, "Int64"))


def _row(word: Word, members: Sequence[Member], hits: Hits | None) -> dict[str, object]:
    motifs = [member.pattern.motif for member in members]
    seqlets = sum(motif.n_seqlets for motif in motifs)
    known = all(member.pattern.places for member in members)
    regions = [member.pattern.places["example_idx"] for member in members] if known else []
    total = sum(m.n_seqlets * contribution(word, member) for m, member in zip(motifs, members, strict=True))
    row: dict[str, object] = {
        "n_patterns": len(members),
        "n_seqlets": seqlets,
        "n_regions": len(np.unique(np.concatenate(regions))) if regions else (None if members else 0),
        "mean_contribution": total / seqlets if seqlets else None,
        "sign": word.motif.sign if members else "",
    }
    if hits is not None:
        found = [hits[motif.name] for motif in motifs if motif.name in hits]
        row["n_hits"] = sum(number for number, _ in found)
        row["n_hit_regions"] = len(set().union(*(regions for _, regions in found)))
    return row


def contribution(word: Word, member: Member) -> float:
    """Mean contribution of a seqlet of a member in the columns of the word's core."""
    cwm = member.turned(member.pattern.motif.cwm)
    low, high = word.motif.start - member.offset, word.motif.end - member.offset
    return float(cwm[:, max(low, 0) : max(high, 0)].sum())


def _count_hits(source: PatternSource) -> Hits | None:
    """Hits of a target by motif; None where hits are not given."""
    if source.hits is None:
        return None
    table = read_hits(source.hits)
    return {str(motif): (len(rows), set(rows["region"])) for motif, rows in table.groupby("motif")}
