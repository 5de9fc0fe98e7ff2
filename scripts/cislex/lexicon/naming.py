"""One name for each word: its best known motif where that is sure, else its consensus."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from cislex.lexicon.words import Part, Word
from cislex.motifs.files import MemeMotif
from cislex.motifs.matching import match_motifs


@dataclasses.dataclass(frozen=True)
class Name:
    """What a word is called, and the known motif nearest to it (empty and None without a database).

    Parameters
    ----------
    name
        Of the known motif if q is small enough, else the word's consensus; differs between words.
    match, match_name, database
        Identifier and name of the known motif, and the database that it is from.
    p, q
        TOMTOM's p-value, and its q-value within that database.
    null
        Where q comes from: ``tomtom`` or ``shuffled`` (:class:`cislex.motifs.matching.Match`).
    """

    name: str
    match: str = ""
    match_name: str = ""
    database: str = ""
    p: float | None = None
    q: float | None = None
    null: str = ""


def name_words(
    words: Sequence[Word], databases: Mapping[str, Sequence[MemeMotif]], *, max_q: float, threads: int
) -> dict[str, Name]:
    """Name every word: by its best match over the databases, each ranked by its own q-values.

    Composites are named after their parts, with the gaps between these (bp; negative: columns shared) and
    their orientations.

    Returns
    -------
    dict
        A name for each identifier.
    """
    simple = [word for word in words if not word.parts]
    queries = [word.motif.core_ppm for word in simple]
    names: dict[str, Name] = {}
    for word, found in zip(simple, match_motifs(queries, databases, count=1, threads=threads), strict=True):
        called, held = word.motif.consensus.strip(".") or word.identifier, Name("")
        for match in found:
            known = match.known
            held = Name("", known.identifier, known.name, match.database, match.p, match.q, match.null)
            called = known.name if match.q <= max_q else called
        names[word.identifier] = dataclasses.replace(held, name=_free(called, names))
    for word in words:
        if word.parts:
            names[word.identifier] = Name(_free(_composite_name(word, names), names))
    return names


def _free(name: str, names: Mapping[str, Name]) -> str:
    """The name, or with ``.2``, ``.3`` … where an earlier word has it."""
    taken = {given.name for given in names.values()}
    candidates = [name, *(f"{name}.{number}" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)


def _composite_name(word: Word, names: Mapping[str, Name]) -> str:
    """``FOS(+) –18 bp– SPI1(-)``."""
    texts = [_oriented(part, names[part.word].name if part.word else "") for part in word.parts]
    gaps = [str(gap).replace("-", "\N{MINUS SIGN}") for gap in _gaps(word)]
    return texts[0] + "".join(f" –{gap} bp– {text}" for gap, text in zip(gaps, texts[1:], strict=True))


def _oriented(part: Part, name: str) -> str:
    """``FOS(+)``; ``[CA]`` for what is no word."""
    return f"{name}({'-' if part.is_reversed else '+'})" if part.word else f"[{part.consensus}]"


def composite_of(word: Word) -> str:
    """``pos_0(+) 18 pos_3(-)``: the parts with their orientations, and the gaps between them in bp."""
    texts = [_oriented(part, part.word) for part in word.parts]
    return "".join(texts[:1]) + "".join(f" {gap} {t}" for gap, t in zip(_gaps(word), texts[1:], strict=True))


def _gaps(word: Word) -> list[int]:
    """Columns between the cores of neighbouring parts; negative where they share some."""
    return [after.start - before.end for before, after in itertools.pairwise(word.parts)]
