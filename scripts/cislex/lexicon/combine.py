"""The lexicon of a collection: patterns of all targets and analyses, each word once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from cislex.errors import ConfigError
from cislex.lexicon.clustering import compare_patterns
from cislex.lexicon.composites import find_composites
from cislex.lexicon.files import LexiconFiles, member_table, word_table, write_lexicon
from cislex.lexicon.naming import name_words
from cislex.lexicon.patterns import PatternSource, read_patterns, sorted_sources
from cislex.lexicon.separation import separate, wide_words
from cislex.lexicon.words import Part, Word, numbered
from cislex.logs import get_logger
from cislex.motifs.files import TrimSettings
from cislex.motifs.matching import read_databases
from cislex.wording import counted

#: The only flag with which a pattern may still be a composite.
WIDE = "wide"

logger = get_logger("lexicon")


@dataclasses.dataclass(frozen=True)
class LexiconSettings:
    """When patterns are one word, when a word is a composite, and when it is named after a known motif.

    Parameters
    ----------
    min_similarity
        Clusters of patterns are joined while the mean cosine of their contributions is at least this
        (average linkage; 0 to 1).
    min_composite_similarity
        Least cosine between a word and the part of another one that it is found in.
    max_q
        A word is named after its best known match if that one's q-value is at most this.
    """

    min_similarity: float = 0.85
    min_composite_similarity: float = 0.9
    max_q: float = 0.05

    def __post_init__(self) -> None:
        wrong = [f"{key} = {value}" for key, value in dataclasses.asdict(self).items() if not 0 < value <= 1]
        if wrong:
            raise ConfigError(f"lexicon: {', '.join(wrong)}; expected more than 0 and at most 1")


def combine_lexicon(
    sources: Iterable[PatternSource],
    files: LexiconFiles,
    *,
    databases: Mapping[str, str | Path] | None = None,
    settings: LexiconSettings | None = None,
    trimming: TrimSettings | None = None,
    threads: int = 1,
) -> pd.DataFrame:
    """Combine the patterns of all targets into one lexicon.

    The result depends neither on the order of the sources nor on that of the databases. With one source every
    unflagged pattern is a word.

    Parameters
    ----------
    sources
        One for each target; at least one.
    files
        The files to write.
    databases
        MEME files of known motifs by name; without any, words are named by their consensus.
    settings, trimming
        Thresholds; trimming and flagging of patterns and words. The defaults when None.
    threads
        Threads of numba.

    Returns
    -------
    pandas.DataFrame
        ``lexicon.tsv`` as written.

    Raises
    ------
    InputError
        When no source is given, two have the same names, or a database is malformed or empty.
    StorageError
        When a ``modisco.h5`` is broken.
    """
    settings, trimming = settings or LexiconSettings(), trimming or TrimSettings()
    ordered = sorted_sources(sources)
    known = read_databases(databases or {})
    patterns = read_patterns(ordered, trimming)
    kept = [pattern for pattern in patterns if pattern.motif.flagged in ("", WIDE)]
    left_out = [pattern for pattern in patterns if pattern.motif.flagged not in ("", WIDE)]
    background = [motif.ppm for motifs in known.values() for motif in motifs]
    similarity = compare_patterns(kept, background, threads=threads)
    plain = separate(
        kept,
        similarity,
        trimming,
        min_similarity=settings.min_similarity,
        min_composite_similarity=settings.min_composite_similarity,
    )
    words, wide = _taken_apart(plain, settings)
    left_out += [member.pattern for word in wide for member in word.members]
    names = name_words(words, known, max_q=settings.max_q, threads=threads)
    tables = word_table(words, names), member_table(words, left_out)
    asked = {"settings": dataclasses.asdict(settings), "trimming": dataclasses.asdict(trimming)}
    write_lexicon(files, words, names, tables, sources=ordered, attributes=asked)
    composites = sum(bool(word.parts) for word in words)
    logger.info(
        "%s of %s: %s, %s, %s left out as doubtful",
        counted(len(patterns), "pattern"), counted(len(ordered), "target"),
        counted(len(words) - composites, "word"), counted(composites, "composite"),
        counted(len(left_out), "pattern"),
    )  # fmt: skip
    if not words:
        logger.warning("no target has a pattern that is not flagged: the lexicon is empty")
    return tables[0]


def _taken_apart(plain: list[Word], settings: LexiconSettings) -> tuple[list[Word], list[Word]]:
    """Words with their final identifiers, composites with parts; and what is too wide, but no composite."""
    wide = wide_words(plain)
    found = find_composites(plain, settings.min_composite_similarity, never_parts=wide)
    simple = [word for number, word in enumerate(plain) if number not in wide | found.keys()]
    final = dict(zip((w.identifier for w in simple), (w.identifier for w in numbered(simple)), strict=True))
    composites = [
        dataclasses.replace(plain[number], parts=_renamed(parts, final)) for number, parts in found.items()
    ]
    return numbered([*simple, *composites]), [plain[number] for number in sorted(wide - found.keys())]


def _renamed(parts: tuple[Part, ...], names: Mapping[str, str]) -> tuple[Part, ...]:
    return tuple(dataclasses.replace(part, word=names.get(part.word, "")) for part in parts)
