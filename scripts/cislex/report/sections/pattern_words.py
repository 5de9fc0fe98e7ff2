"""Which word of the lexicon each pattern of a target belongs to, so that the page calls both by one name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cislex.report.specs import AnalysisTarget, LexiconTables
from cislex.report.tables import read_table


@dataclass(frozen=True)
class PatternWord:
    """A word of the lexicon: its identifier, its name, and whether it is a composite of others."""

    word: str
    name: str
    composite: bool


#: Words of patterns, by analysis, target and the pattern's own name in ``motifs.tsv``.
PatternWords = Mapping[tuple[str, str, str], PatternWord]


def read_pattern_words(spec: LexiconTables | None) -> PatternWords:
    """Read the members of the lexicon; nothing without them. Patterns that were left out have no word."""
    if spec is None or spec.members is None:
        return {}
    words = read_table(spec.words, what="lexicon", columns=["word", "name", "composite_of"])
    known = {
        row["word"]: PatternWord(row["word"], row["name"], bool(row["composite_of"]))
        for row in words.to_dict("records")
    }
    columns = ["analysis", "target", "motif", "word"]
    members = read_table(spec.members, what="members of the lexicon", columns=columns)
    return {
        (row["analysis"], row["target"], row["motif"]): known[row["word"]]
        for row in members.to_dict("records")
        if row["word"] in known
    }


def words_of(spec: AnalysisTarget, words: PatternWords) -> dict[str, PatternWord]:
    """Words of the patterns of one target, by the patterns' own names."""
    own = (spec.analysis, spec.target)
    return {motif: word for (analysis, target, motif), word in words.items() if (analysis, target) == own}
