"""Files of the lexicon: tables, MEME, and modisco-lite's layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex import provenance
from cislex.files.hdf5 import new_hdf5
from cislex.files.tables import FORMAT_VERSION, atomic_path, write_array, write_table
from cislex.lexicon.naming import Name, composite_of
from cislex.lexicon.patterns import PLACES, Pattern, PatternSource, window_size
from cislex.lexicon.words import Member, Word
from cislex.motifs.files import MemeMotif, write_meme

WORD_COLUMNS = [
    *("word", "name", "sign", "n_patterns", "n_seqlets", "width", "consensus", "match", "match_q"),
    *("database", "composite_of", "match_name", "match_p", "n_targets", "information", "flagged"),
    *("pattern", "trim_start", "trim_end", "match_null"),
]
MEMBER_COLUMNS = [
    *("analysis", "target", "pattern", "word", "orientation", "offset"),
    *("motif", "sign", "n_seqlets", "consensus", "similarity", "left_out", "contribution"),
]


@dataclasses.dataclass(frozen=True)
class LexiconFiles:
    """Files to write, see docs/output.md.

    Parameters
    ----------
    table, members
        ``lexicon.tsv``, ``lexicon_members.tsv``.
    meme
        ``lexicon.meme``: words without composites.
    modisco
        ``lexicon.h5``: the same in modisco-lite's layout; composites in groups of their own.
    """

    table: str | Path
    members: str | Path
    meme: str | Path
    modisco: str | Path


def word_table(words: Sequence[Word], names: Mapping[str, Name]) -> pd.DataFrame:
    """``lexicon.tsv``: one row a word, composites last."""
    rows = []
    for word in words:
        motif, name = word.motif, names[word.identifier]
        rows.append(
            {
                "word": word.identifier,
                "name": name.name,
                "sign": motif.sign,
                "n_patterns": len(word.members),
                "n_seqlets": motif.n_seqlets,
                "width": motif.width,
                "consensus": motif.consensus,
                "match": name.match,
                "match_q": name.q,
                "database": name.database,
                "composite_of": composite_of(word),
                "match_name": name.match_name,
                "match_p": name.p,
                "n_targets": len({member.pattern.source.key for member in word.members}),
                "information": motif.information,
                "flagged": motif.flagged,
                "pattern": motif.pattern,
                "trim_start": motif.start,
                "trim_end": motif.end,
                "match_null": name.null,
            }
        )
    return pd.DataFrame(rows, columns=WORD_COLUMNS)


def member_table(words: Sequence[Word], left_out: Sequence[Pattern]) -> pd.DataFrame:
    """``lexicon_members.tsv``: one row a pattern, in the order of targets; noise without a word."""
    rows = [
        {
            **_pattern_row(member.pattern),
            "word": word.identifier,
            "orientation": "-" if member.in_file_reversed else "+",
            "offset": member.offset,
            "similarity": member.similarity,
            "contribution": contribution(word, member),
        }
        for word in words
        for member in word.members
    ]
    rows += [{**_pattern_row(pattern), "left_out": pattern.motif.flagged} for pattern in left_out]
    rows.sort(key=lambda row: (row["analysis"], row["target"], row["sign"] != "+", int(row["motif"][4:])))
    return pd.DataFrame(rows, columns=MEMBER_COLUMNS).astype({"offset": "Int64"})


def contribution(word: Word, member: Member) -> float:
    """Mean contribution of a seqlet of a member in the columns of the word's core."""
    cwm = member.turned(member.pattern.motif.cwm)
    low, high = word.motif.start - member.offset, word.motif.end - member.offset
    return float(cwm[:, max(low, 0) : max(high, 0)].sum())


def _pattern_row(pattern: Pattern) -> dict[str, Any]:
    motif = pattern.motif
    return {
        "analysis": pattern.source.analysis,
        "target": pattern.source.target,
        "pattern": motif.pattern,
        "motif": motif.name,
        "sign": motif.sign,
        "n_seqlets": motif.n_seqlets,
        "consensus": motif.consensus,
    }


def write_lexicon(
    files: LexiconFiles,
    words: Sequence[Word],
    names: Mapping[str, Name],
    tables: tuple[pd.DataFrame, pd.DataFrame],
    *,
    sources: Sequence[PatternSource],
    attributes: Mapping[str, Any],
) -> None:
    """Write all files, each atomically.

    Parameters
    ----------
    files, words, names
        What is written.
    tables
        Words and members.
    sources
        All targets, in order; ``seqlets/source`` counts them.
    attributes
        Settings, for ``lexicon.h5``.
    """
    simple = [word for word in words if not word.parts]
    write_meme(
        [
            MemeMotif(w.identifier, names[w.identifier].name, w.motif.core_ppm, w.motif.n_seqlets)
            for w in simple
        ],
        files.meme,
    )
    attributes = {
        "format_version": FORMAT_VERSION,
        "sources": [list(source.key) for source in sources],
        "versions": provenance.versions(),
        **attributes,
    }
    with atomic_path(files.modisco) as temporary, new_hdf5(temporary) as handle:
        handle.attrs["window_size"] = window_size(sources)
        for key, value in provenance.to_attributes(attributes).items():
            handle.attrs[key] = value
        for word in words:
            _write_word(handle.create_group(word.motif.pattern), word, sources)
    for frame, path in zip(tables, (files.table, files.members), strict=True):
        write_table(frame, path)


def _write_word(group: h5py.Group, word: Word, sources: Sequence[PatternSource]) -> None:
    motif = word.motif
    for name, matrix in (
        ("sequence", motif.ppm), ("contrib_scores", motif.cwm), ("hypothetical_contribs", motif.hypothetical),
    ):  # fmt: skip
        write_array(group, name, np.ascontiguousarray(matrix.T))
    seqlets = group.create_group("seqlets")
    write_array(seqlets, "n_seqlets", np.array([motif.n_seqlets], np.int64))
    if not all(member.pattern.places for member in word.members):
        return
    number = {source.key: place for place, source in enumerate(sources)}
    placed = [_placed(member, motif.cwm.shape[1]) for member in word.members]
    for name in PLACES:
        values = np.concatenate([places[name] for places in placed])
        write_array(seqlets, name, values.astype(bool) if name == "is_revcomp" else values)
    origin = [
        np.full(len(places["start"]), number[member.pattern.source.key])
        for member, places in zip(word.members, placed, strict=True)
    ]
    write_array(seqlets, "source", np.concatenate(origin).astype(np.int64))


def _placed(member: Member, width: int) -> dict[str, NDArray[np.int64]]:
    """The seqlets of a member where the word's matrices lie on them; may begin before their sequence."""
    places = dict(member.pattern.places)
    if member.is_reversed:
        places["is_revcomp"] = 1 - places["is_revcomp"]
    # Column 0 of the word is column -offset of the turned pattern, at the seqlet's end if that is turned.
    forward, backward = places["start"] - member.offset, places["end"] + member.offset - width
    places["start"] = np.where(places["is_revcomp"] == 1, backward, forward)
    places["end"] = places["start"] + width
    return places
