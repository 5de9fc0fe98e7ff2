"""The patterns of many targets, read in an order that depends on what they are, not on who comes first."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cislex.errors import InputError, offenders
from cislex.files.tables import open_hdf5
from cislex.motifs.files import Motif, TrimSettings, read_motifs

#: Where seqlets lie, as modisco-lite calls it.
PLACES = ("example_idx", "start", "end", "is_revcomp")
Places = dict[str, NDArray[np.int64]]


@dataclasses.dataclass(frozen=True)
class PatternSource:
    """Files of one target whose patterns join the lexicon.

    Parameters
    ----------
    analysis, target
        Names; together they differ between sources.
    modisco
        ``modisco.h5`` of :func:`cislex.motifs.discovery.find_motifs`.
    """

    analysis: str
    target: str
    modisco: str | Path

    @property
    def key(self) -> tuple[str, str]:
        """Analysis and target."""
        return self.analysis, self.target


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A pattern of one target, turned to the strand that is shown.

    Parameters
    ----------
    source
        Where it comes from.
    motif
        Its matrices and core.
    places
        int64 (n,) each of :data:`PLACES`: its seqlets as in ``modisco.h5``; empty where the file has none.
    """

    source: PatternSource
    motif: Motif
    places: Places

    @property
    def order(self) -> tuple[object, ...]:
        """Sorts patterns: sign, support, then content; only equal patterns are sorted by their names."""
        motif, digest = self.motif, hashlib.blake2b(digest_size=16)
        for matrix in (motif.ppm, motif.cwm, motif.hypothetical):
            digest.update(np.ascontiguousarray(matrix).tobytes())
        content = (motif.sign != "+", -motif.n_seqlets, motif.consensus, digest.hexdigest())
        return (*content, *self.source.key, motif.name)


def sorted_sources(sources: Iterable[PatternSource]) -> list[PatternSource]:
    """Sources by analysis and target, checked.

    Raises
    ------
    InputError
        When there is none, or an analysis and target come twice.
    """
    found = sorted(sources, key=lambda source: source.key)
    if not found:
        raise InputError("combine_lexicon: no target was given; name the modisco.h5 of at least one")
    twice = [" / ".join(key) for key, number in Counter(source.key for source in found).items() if number > 1]
    if twice:
        raise InputError(f"combine_lexicon: targets must differ; given more than once: {offenders(twice)}")
    return found


def read_patterns(sources: Sequence[PatternSource], settings: TrimSettings) -> list[Pattern]:
    """Read every pattern of every source, flagged ones too, sorted by :attr:`Pattern.order`.

    Raises
    ------
    StorageError
        When a file is not complete or holds NaN.
    """
    found = []
    for source in sources:
        motifs = read_motifs(source.modisco, settings)
        with open_hdf5(source.modisco, what="motifs") as handle:
            for motif in motifs:
                seqlets = handle[motif.pattern]["seqlets"]
                names = PLACES if all(name in seqlets for name in PLACES) else ()
                places = {name: seqlets[name][()].astype(np.int64) for name in names}
                found.append(Pattern(source, motif, _turned(places) if motif.is_reversed else places))
    return sorted(found, key=lambda pattern: pattern.order)


def _turned(places: Places) -> Places:
    """The same seqlets for a pattern that is shown on the other strand."""
    return {**places, "is_revcomp": 1 - places["is_revcomp"]} if places else places


def window_size(sources: Sequence[PatternSource]) -> int:
    """Length of the longest sequences that any source's patterns were found in (bp)."""
    lengths = [0]
    for source in sources:
        with open_hdf5(source.modisco, what="motifs") as handle:
            lengths.append(int(handle.attrs.get("window_size", 0)))
    return max(lengths)
