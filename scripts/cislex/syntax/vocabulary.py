"""What hits call their words, and what the lexicon says of them: display names and composites."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cislex.errors import InputError
from cislex.files.tables import require_file
from cislex.files.text_tables import read_text

#: Columns of ``hits.bed.gz`` that name a word: its id in the lexicon, else the target's own pattern.
WORD, PATTERN = "word", "motif"


@dataclass(frozen=True)
class Vocabulary:
    """Words of a lexicon.

    Attributes
    ----------
    names
        Display name of each word.
    composites
        Words that consist of other words.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    composites: frozenset[str] = frozenset()

    def name(self, table: pd.DataFrame) -> pd.DataFrame:
        """Append a column ``name…`` for each column ``word…``; a word without a name is its own."""
        named = {
            column.replace("word", "name", 1): table[column].map(lambda word: self.names.get(word, word))
            for column in ("word", "word_a", "word_b")
            if column in table
        }
        return table.assign(**named)


def word_column(hits: str | Path) -> str:
    """Column that names the words of ``hits.bed.gz``: ``word``, or ``motif`` in files without it."""
    require_file(hits, what="hits")
    try:
        header = pd.read_csv(hits, sep="\t", nrows=0, quoting=csv.QUOTE_NONE)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{hits}: not a complete hits.bed.gz with a header: {error}") from error
    return WORD if WORD in header else PATTERN


def read_vocabulary(lexicon: str | Path) -> Vocabulary:
    """Read names and composites from ``lexicon.tsv``."""
    table = read_text(require_file(lexicon, what="lexicon"))
    missing = [column for column in ("word", "name", "composite_of") if column not in table]
    if missing:
        raise InputError(
            f"{lexicon} lacks the columns {', '.join(missing)}; it has {', '.join(map(str, table.columns))}"
        )
    return Vocabulary(
        names=dict(zip(table["word"], table["name"], strict=True)),
        composites=frozenset(table.loc[table["composite_of"] != "", "word"]),
    )
