"""What edits must not do: change kept positions, leave a GC range, make forbidden strings, be too many."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.insertions.inserts import LETTERS

Codes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
#: Shares of GC closer than this are the same.
GC_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class ConstraintSettings:
    """Limits of every sequence.

    Parameters
    ----------
    keep
        Positions that stay as they are: ranges ``[start, end]``, 0-based half-open.
    gc
        Smallest and largest share of G and C. A sequence outside the range may only approach it.
    forbidden
        Strings in IUPAC letters that no edit may make, on either strand. One that is there from the start may
        stay, but an edit inside it must break it.
    max_edits
        Largest number of positions that differ from the start; None for no limit.
    """

    keep: Sequence[Sequence[int]] = ()
    gc: Sequence[float] = (0.0, 1.0)
    forbidden: Sequence[str] = ()
    max_edits: int | None = None

    def __post_init__(self) -> None:
        for start, end in self.keep:
            if not 0 <= start < end:
                raise ConfigError(f"keep: found [{start}, {end}], expected 0 <= start < end (half-open)")
        if not 0 <= self.gc[0] <= self.gc[1] <= 1:
            raise ConfigError(f"gc: found {list(self.gc)}, expected two shares in order between 0 and 1")
        if self.max_edits is not None and self.max_edits < 1:
            raise ConfigError(f"max_edits: found {self.max_edits}, expected at least 1")
        _ = self.patterns  # strings that are none are refused here

    @functools.cached_property
    def patterns(self) -> list[Mask]:
        """Patterns of the forbidden strings on both strands."""
        return patterns_of(self.forbidden)


def pattern_of(text: str) -> Mask:
    """Bases that each letter of a string allows: bool (w, 4).

    Raises
    ------
    ConfigError
        The string is empty, has other letters than those of IUPAC, or N alone.
    """
    letters = text.upper()
    if not letters.strip("N") or set(letters) - set(LETTERS):
        raise ConfigError(f"forbidden: found {text!r}; expected letters of IUPAC, and not N alone")
    return np.array([[base in (LETTERS[letter] or "ACGT") for base in "ACGT"] for letter in letters])


def patterns_of(texts: Sequence[str]) -> list[Mask]:
    """Patterns of strings and of their reverse complements, each once."""
    found: list[Mask] = []
    for pattern in (one for text in texts for one in (pattern_of(text), pattern_of(text)[::-1, ::-1])):
        if not any(np.array_equal(pattern, other) for other in found):
            found.append(pattern)
    return found


@dataclass(frozen=True)
class Constraints:
    """Settings made ready for sequences of one length.

    Parameters
    ----------
    settings
        The limits.
    kept
        Positions of this sequence that stay, bool (L,), those of the settings among them.
    """

    settings: ConstraintSettings
    kept: Mask

    def allowed(self, codes: Codes, start: Codes) -> Mask:
        """Which single edits are allowed: bool (4, L), False for the present bases.

        Parameters
        ----------
        codes, start
            The sequence now and as it began, codes (L,) without unknown bases.
        """
        bases = np.arange(4)[:, None]
        mask = (bases != codes) & ~self.kept
        mask &= self._gc(codes)
        if self.settings.max_edits is not None:
            differs = codes != start
            after = differs.sum() - differs + (bases != start)
            mask &= after <= self.settings.max_edits
        for pattern in self.settings.patterns:
            mask &= ~makes(pattern, codes)
        return mask

    def _gc(self, codes: Codes) -> Mask:
        low, high = self.settings.gc
        strong = (codes == 1) | (codes == 2)
        gains = np.array([False, True, True, False])[:, None].astype(int) - strong
        before, after = strong.sum() / len(codes), (strong.sum() + gains) / len(codes)
        distance = np.maximum(np.maximum(low - after, after - high), 0)
        outside = max(low - before, before - high, 0)
        allowed: Mask = (distance <= GC_ROUNDING) | (distance < outside - GC_ROUNDING)
        return allowed


def mismatches(pattern: Mask, codes: Codes) -> NDArray[np.int64]:
    """Bases that a pattern does not allow at each place of it: (L − w + 1,); 0 is a match."""
    places = len(codes) - len(pattern) + 1
    wrong = ~pattern[:, codes]  # (w, L)
    found = np.zeros(max(0, places), np.int64)
    for i in range(len(pattern) if places > 0 else 0):
        found += wrong[i, i : i + places]
    return found


def makes(pattern: Mask, codes: Codes) -> Mask:
    """Bases at each position with which a pattern matches there: bool (4, L)."""
    made = np.zeros((4, len(codes)), bool)
    count = mismatches(pattern, codes)
    for place in np.flatnonzero(count <= 1):
        for i, bases in enumerate(pattern):
            if count[place] == (not bases[codes[place + i]]):  # all other positions match
                made[:, place + i] |= bases
    return made


def make_constraints(
    settings: ConstraintSettings, starts: Codes, names: Sequence[str], further: Mask | None = None
) -> list[Constraints]:
    """Constraints of each of n sequences.

    Parameters
    ----------
    settings
        The limits.
    starts, names
        Codes (n, L), and what they are called.
    further
        Positions of each sequence that stay besides those of the settings, bool (n, L).

    Raises
    ------
    ConfigError
        A kept range passes the end; every position is kept.
    InputError
        A kept part has a forbidden string, which no edit could break; no sequence allows any edit.
    """
    n, length = starts.shape
    kept = np.zeros((n, length), bool) if further is None else further.copy()
    for first, last in settings.keep:
        if last > length:
            raise ConfigError(f"keep: [{first}, {last}] passes the end of the sequences of {length} bp")
        kept[:, first:last] = True
    made = [Constraints(settings, row) for row in kept]
    wrong = [
        f"{name} ({text} at {place})"
        for name, codes, row in zip(names, starts, kept, strict=True)
        for text in settings.forbidden
        for pattern in patterns_of([text])
        for place in np.flatnonzero(mismatches(pattern, codes) == 0)
        if row[place : place + len(pattern)].all()
    ]
    if wrong:
        raise InputError(
            f"forbidden: kept positions have a forbidden string, which no edit can break: {offenders(wrong)}"
            "; change keep or forbidden"
        )
    open_ = [one.allowed(codes, codes).any() for one, codes in zip(made, starts, strict=True)]
    if n and not any(open_):
        why = f"all {length} positions are kept" if kept.all() else "keep, gc and forbidden leave none"
        raise ConfigError(f"constraints: no edit is allowed in any of {n} sequences: {why}")
    return made
