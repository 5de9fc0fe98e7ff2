"""Words: the aligned, seqlet-weighted mean of the patterns of a cluster."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from cislex.lexicon.alignment import align
from cislex.lexicon.patterns import Pattern
from cislex.motifs.files import Matrix, Motif, TrimSettings, oriented_motif, reverse_complement


@dataclasses.dataclass(frozen=True)
class Member:
    """A pattern of a word, and how it lies in it.

    Parameters
    ----------
    pattern
        The pattern.
    is_reversed
        Whether its matrices, as in ``pattern.motif``, are turned to align with the word's.
    offset
        Column of the word's matrices at which those of the pattern, turned, begin.
    similarity
        Cosine of the core's contributions with those of the word's core.
    """

    pattern: Pattern
    is_reversed: bool
    offset: int
    similarity: float

    @property
    def in_file_reversed(self) -> bool:
        """Whether the pattern as it lies in ``modisco.h5`` is turned to align with the word."""
        return self.is_reversed != self.pattern.motif.is_reversed

    def turned(self, matrix: Matrix) -> Matrix:
        """A matrix of the pattern in the orientation of the word."""
        return reverse_complement(matrix) if self.is_reversed else matrix


@dataclasses.dataclass(frozen=True)
class Part:
    """A word inside a composite: its identifier, orientation, and columns of its core there.

    These may lie beyond the composite's matrices, which then hold the rest of the word. What is no word has
    an empty identifier, and is told by its consensus.
    """

    word: str
    is_reversed: bool
    start: int
    end: int
    consensus: str = ""


@dataclasses.dataclass(frozen=True)
class Word:
    """An entry of the lexicon.

    Parameters
    ----------
    motif
        Its matrices; ``name`` is its identifier.
    members
        The patterns that it was made of.
    parts
        Two or more words that it holds, from its start to its end; empty unless it is a composite.
    """

    motif: Motif
    members: tuple[Member, ...]
    parts: tuple[Part, ...] = ()

    @property
    def identifier(self) -> str:
        """``pos_0``, ``neg_2``; of a composite ``pos_composite_0``."""
        return self.motif.name


def merge(cluster: Sequence[Pattern], settings: TrimSettings) -> Word:
    """Make a word of the patterns of a cluster, the best supported of which comes first and sets its frame.

    Patterns are aligned with the first one, and once more with the mean of that; a single one stays as it is.
    """
    members = _aligned(cluster, cluster[0].motif)
    mean = _mean(members, cluster[0].motif, settings)
    if len(cluster) > 1:
        members = _aligned(cluster, mean)
        mean = _mean(members, mean, settings)
    if mean.is_reversed:
        members = tuple(_flipped(member, mean.cwm.shape[1]) for member in members)
    return Word(mean, members)


def _flipped(member: Member, width: int) -> Member:
    """The same member of a word of this width that was turned."""
    end = member.offset + member.pattern.motif.cwm.shape[1]
    return dataclasses.replace(member, is_reversed=not member.is_reversed, offset=width - end)


def _aligned(cluster: Sequence[Pattern], word: Motif) -> tuple[Member, ...]:
    """Each pattern as it lies in a word's matrices."""
    found = align([word.core_cwm], [pattern.motif.core_cwm for pattern in cluster])
    members = []
    for number, pattern in enumerate(cluster):
        motif, is_reversed = pattern.motif, bool(found.is_reversed[0, number])
        begin = motif.cwm.shape[1] - motif.end if is_reversed else motif.start
        offset = word.start + int(found.offset[0, number]) - begin
        members.append(Member(pattern, is_reversed, offset, float(found.cosine[0, number])))
    return tuple(members)


def _mean(members: Sequence[Member], frame: Motif, settings: TrimSettings) -> Motif:
    """Mean of the members' matrices in the columns of a frame, weighted by seqlets; each over those there."""
    width = frame.cwm.shape[1]
    sums = [np.zeros((4, width)) for _ in range(3)]
    weight = np.zeros(width)
    total = sum(member.pattern.motif.n_seqlets for member in members)
    for member in members:
        motif = member.pattern.motif
        share = motif.n_seqlets / total if total else 1 / len(members)
        low, high = max(member.offset, 0), min(member.offset + motif.cwm.shape[1], width)
        if low >= high:
            continue
        weight[low:high] += share
        for matrix, into in zip((motif.ppm, motif.cwm, motif.hypothetical), sums, strict=True):
            into[:, low:high] += share * member.turned(matrix)[:, low - member.offset : high - member.offset]
    ppm, cwm, hypothetical = (into / np.where(weight > 0, weight, 1.0) for into in sums)
    ppm[:, weight == 0] = 0.25
    subpatterns = sum(member.pattern.motif.subpatterns for member in members)
    return oriented_motif(
        frame.name, frame.sign, frame.pattern, (ppm, cwm, hypothetical),
        n_seqlets=total, settings=settings, subpatterns=subpatterns,
    )  # fmt: skip


def numbered(words: Iterable[Word]) -> list[Word]:
    """Words in their final order with their identifiers: by sign, support and content; composites last."""
    counts: dict[str, int] = {}
    found = []
    for word in sorted(words, key=_order):
        prefix = "pos" if word.motif.sign == "+" else "neg"
        kind = f"{prefix}_composite" if word.parts else prefix
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        group = f"composite_{prefix}_patterns" if word.parts else f"{prefix}_patterns"
        motif = dataclasses.replace(
            word.motif, name=f"{kind}_{number}", pattern=f"{group}/pattern_{number}", is_reversed=False
        )
        found.append(dataclasses.replace(word, motif=motif))
    return found


def _order(word: Word) -> tuple[object, ...]:
    motif, digest = word.motif, hashlib.blake2b(digest_size=16)
    for matrix in (motif.ppm, motif.cwm, motif.hypothetical):
        digest.update(np.ascontiguousarray(matrix).tobytes())
    first = word.members[0].pattern
    content = (bool(word.parts), motif.sign != "+", -motif.n_seqlets, motif.consensus, digest.hexdigest())
    return (*content, *first.order[-3:])
