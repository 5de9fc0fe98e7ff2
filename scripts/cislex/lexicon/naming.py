"""One name for each word: its best known motif where that is sure, else its consensus."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from cislex.errors import InputError
from cislex.lexicon.words import Part, Word
from cislex.motifs.annotation import compare_motifs
from cislex.motifs.files import MemeMotif, read_meme


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
    """

    name: str
    match: str = ""
    match_name: str = ""
    database: str = ""
    p: float | None = None
    q: float | None = None


def read_databases(databases: Mapping[str, str | Path]) -> dict[str, list[MemeMotif]]:
    """Known motifs of each database, by the name of the database.

    Raises
    ------
    InputError
        When a file is no MEME file, holds no motif, or repeats an identifier.
    """
    found = {name: read_meme(path) for name, path in sorted(databases.items())}
    empty = [f"{name} ({databases[name]})" for name, motifs in found.items() if not motifs]
    if empty:
        raise InputError(f"motif databases without a motif: {', '.join(empty)}")
    return found


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
    best: list[Name | None] = [None] * len(simple)
    for database, known in databases.items():
        if not simple:
            break
        queries = [word.motif.core_ppm for word in simple]
        found = compare_motifs(queries, [motif.ppm for motif in known], threads=threads)
        for number in range(len(simple)):
            target = int(found.best(number, 1)[0])
            motif, q = known[target], float(found.q[number, target])
            p = float(found.p[number, target])
            name = Name("", motif.identifier, motif.name, database, p, q)
            held = best[number]
            if held is None or (q, p) < (held.q, held.p):
                best[number] = name
    names: dict[str, Name] = {}
    for word, match in zip(simple, best, strict=True):
        sure = match is not None and match.q is not None and match.q <= max_q
        called = match.match_name if match is not None and sure else word.motif.consensus.strip(".")
        held = match or Name("")
        names[word.identifier] = dataclasses.replace(held, name=_free(called or word.identifier, names))
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
