"""What is put into sequences: words of the lexicon, motifs of a MEME file, and plain strings."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.errors import ConfigError, InputError, offenders
from cislex.files.tables import require_file
from cislex.files.text_tables import read_text
from cislex.motifs.files import information, read_meme
from cislex.regions.genome import UNKNOWN

#: Bases of each letter of IUPAC.
LETTERS = {
    **{base: base for base in BASES},
    **{"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
    **{"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": ""},
}
FORMS = ("consensus", "samples")
#: Columns of a consensus with less information (bits) keep the bases of the background.
LEAST_INFORMATION = 0.25


@dataclass(frozen=True)
class Insert:
    """A motif, as it is put into sequences.

    Attributes
    ----------
    identifier
        The word (``pos_0``), the motif's identifier in its MEME file, or the string's name.
    name
        What it is called.
    source
        ``lexicon``, ``meme`` or ``string``.
    choices
        Probability of each base, float64 (4, w). Columns of zeros keep the base that is there.
    """

    identifier: str
    name: str
    source: str
    choices: NDArray[np.float64]

    @property
    def width(self) -> int:
        """bp."""
        return int(self.choices.shape[1])

    @property
    def letters(self) -> str:
        """The bases, in IUPAC; N keeps the background's base, a drawn column shows every base it can have."""
        sets = {"".join(sorted(bases)): letter for letter, bases in LETTERS.items()} | {"ACGT": "."}
        return "".join(
            sets["".join(base for base, p in zip(BASES, column, strict=True) if p > 0)]
            for column in self.choices.T
        )

    def draw(self, seed: int, number: int) -> NDArray[np.uint8]:
        """Codes (w,) of the site for a background, by its number; 4 keeps the base that is there."""
        kept = self.choices.sum(axis=0) == 0
        codes = self.choices.argmax(axis=0).astype(np.uint8)
        if ((self.choices > 0).sum(axis=0) > 1).any():
            key = hashlib.blake2b(f"{seed}\t{number}\t{self.identifier}".encode(), digest_size=8).digest()
            drawn = np.random.default_rng(int.from_bytes(key, "little")).random(self.width)
            total = self.choices.cumsum(axis=0)
            codes = (drawn >= total / np.where(kept, 1.0, total[-1])).sum(axis=0).clip(0, 3).astype(np.uint8)
        codes[kept] = UNKNOWN
        return codes


def from_frequencies(
    identifier: str, name: str, source: str, ppm: NDArray[np.float64], *, form: str
) -> Insert:
    """An insert of base frequencies (4, w).

    Parameters
    ----------
    identifier, name, source
        As in :class:`Insert`.
    ppm
        Base frequencies.
    form
        ``consensus``: the most frequent base of each column (of equal ones the first), and the background's
        where the column says little; ``samples``: a site drawn from the frequencies for each background.
    """
    if form not in FORMS:
        raise ConfigError(f"form: found {form!r}, expected {' or '.join(FORMS)}")
    if form == "samples":
        return Insert(identifier, name, source, np.asarray(ppm, np.float64))
    choices = np.eye(4)[:, ppm.argmax(axis=0)]
    choices[:, information(ppm) < LEAST_INFORMATION] = 0
    if not choices.any():
        raise InputError(
            f"{name}: no column has {LEAST_INFORMATION} bits of information: its consensus is empty; leave "
            "it out or set form: samples"
        )
    return Insert(identifier, name, source, choices)


def from_string(name: str, letters: str) -> Insert:
    """An insert of a string: N keeps the background's base, R, Y, … are drawn for each background."""
    letters = letters.strip().upper()
    wrong = [f"{letter!r} at {place}" for place, letter in enumerate(letters, 1) if letter not in LETTERS]
    if wrong or not letters.strip("N"):
        found = offenders(wrong) if wrong else repr(letters)
        raise ConfigError(
            f"motifs.{name}: found {found}; expected letters of IUPAC ({''.join(LETTERS)}), not N alone"
        )
    choices = np.array([[base in LETTERS[letter] for letter in letters] for base in BASES], np.float64)
    return Insert(name, name, "string", choices / np.maximum(1, choices.sum(axis=0)))


def read_words(
    lexicon: str | Path, meme: str | Path, chosen: Sequence[str] | None, *, form: str
) -> list[Insert]:
    """Words of the lexicon.

    Parameters
    ----------
    lexicon, meme
        ``lexicon.tsv`` and ``lexicon.meme``, which has no composites.
    chosen
        Words (``pos_0``) or their names; None: all.
    form
        See :func:`from_frequencies`.

    Raises
    ------
    ConfigError
        A word is not in the lexicon, or is a composite of others.
    """
    require_file(lexicon, what="lexicon")
    table = read_text(lexicon)
    motifs = {motif.identifier: motif for motif in read_meme(meme)}
    simple = table[table["word"].isin(list(motifs))]
    rows = range(len(simple)) if chosen is None else [_find(word, simple, table) for word in chosen]
    found = [(str(simple["word"].iloc[row]), str(simple["name"].iloc[row])) for row in dict.fromkeys(rows)]
    return [from_frequencies(word, name, "lexicon", motifs[word].ppm, form=form) for word, name in found]


def _find(word: str, simple: pd.DataFrame, table: pd.DataFrame) -> int:
    """Row of a word in the table of simple words."""
    for column in ("word", "name"):
        if (rows := np.flatnonzero(simple[column] == word)).size:
            return int(rows[0])
    composite = table[(table["word"] == word) | (table["name"] == word)]
    if len(composite):
        raise ConfigError(
            f"words: {word} is made of {composite['composite_of'].iloc[0]}; name its parts, and set pairs"
        )
    both = dict(zip(simple["word"], simple["name"], strict=True))
    raise ConfigError(f"words: no word {word!r} in the lexicon; {near(word, both)}")


def near(word: str, names: Mapping[str, str]) -> str:
    """What is like a name that is not there, or the first that are: ``SPI1 (pos_1)``.

    Parameters
    ----------
    word
        What was looked for.
    names
        The name of each identifier.
    """
    shown = {key: name if name == key else f"{name} ({key})" for key, name in names.items()}
    lower = {text.lower(): key for key, name in names.items() for text in (key, name)}
    close = [lower[text] for text in difflib.get_close_matches(word.lower(), lower, n=3, cutoff=0.5)]
    if close:
        return f"did you mean {', '.join(shown[key] for key in dict.fromkeys(close))}?"
    return f"it has {offenders(shown.values(), first=8)}" if names else "it has none"


def read_inserts(
    *,
    words: Sequence[Insert] = (),
    meme: str | Path | None = None,
    strings: Mapping[str, str] | None = None,
    form: str = "consensus",
    length: int,
) -> list[Insert]:
    """All inserts of an experiment.

    Parameters
    ----------
    words
        Words of the lexicon.
    meme
        MEME file with further motifs.
    strings
        Strings by name.
    form
        See :func:`from_frequencies`.
    length
        Length of the sequences in bp.

    Raises
    ------
    ConfigError
        Two have one name, or one is longer than the sequences.
    """
    found = [*words]
    if meme is not None:
        found += [from_frequencies(m.identifier, m.name, "meme", m.ppm, form=form) for m in read_meme(meme)]
    found += [from_string(name, letters) for name, letters in (strings or {}).items()]
    if wide := [f"{insert.name} ({insert.width} bp)" for insert in found if insert.width > length]:
        raise ConfigError(f"motifs: {offenders(wide)} are longer than the sequences, which have {length} bp")
    seen: dict[str, Insert] = {}
    for insert in found:
        if insert.identifier in seen:
            other = seen[insert.identifier]
            raise ConfigError(
                f"motifs: {insert.identifier} is the name of two motifs ({other.source} {other.letters}, "
                f"{insert.source} {insert.letters}); rename one"
            )
        seen[insert.identifier] = insert
    return found
