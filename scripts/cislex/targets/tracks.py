"""Targets of models that predict tracks in bins along the sequence, such as Basenji, Enformer and Borzoi.

Bin b of the output covers ``[offset + b·width, offset + (b + 1)·width)`` bp of the sequence 5′ to 3′; the
offset is what the model crops at the start.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cislex.errors import ConfigError, ModelError, offenders
from cislex.targets.base import Target
from cislex.targets.intervals import Intervals, weights_in
from cislex.targets.outputs import axis_last, select_head
from cislex.targets.squash import Squash

REDUCTIONS = ("sum", "mean")
ANCHORS = ("centre", "start")


@dataclass(frozen=True)
class Bins:
    """Where the bins of an output lie in the sequence.

    Parameters
    ----------
    width
        bp of one bin.
    length
        bp of the sequence.
    crop
        bp at the start and at the end of the sequence that no bin covers; None for as many at either end as
        the number of bins leaves.

    Examples
    --------
    >>> Bins(width=10, length=60, crop=(10, 10))
    Bins(width=10, length=60, crop=(10, 10))
    """

    width: int
    length: int
    crop: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.length < 1 or min(self.crop or (0,)) < 0:
            raise ConfigError(
                f"bins: found width {self.width}, length {self.length} and crop {self.crop}; expected a "
                "width and a length of at least 1 bp, and a crop of 0 or more at either end"
            )

    def offset(self, number: int) -> int:
        """Start of the first of ``number`` bins, in bp from the start of the sequence.

        Raises
        ------
        ModelError
            When bins and crop do not make up the sequence.
        """
        rest = self.length - number * self.width
        if self.crop is not None and sum(self.crop) == rest:
            return self.crop[0]
        if self.crop is None and rest >= 0 and rest % 2 == 0:
            return rest // 2
        cropped = "an equal crop at either end" if self.crop is None else f"a crop of {self.crop}"
        raise ModelError(
            f"target: {number} bins of {self.width} bp and {cropped} do not make up the {self.length} bp of "
            "the sequence; correct bins.width and bins.crop, or axis (-1: the bins are the last axis; 1: the "
            "output is (N, bins, tracks))"
        )

    def overlapping(self, start: int, stop: int, number: int) -> tuple[int, int]:
        """First, and one past the last, of ``number`` bins that overlap ``[start, stop)`` bp.

        Neither is cut off at the ends of the output: a first bin below 0 lies in the crop.
        """
        offset = self.offset(number)
        return (start - offset) // self.width, -((offset - stop) // self.width)


@dataclass(frozen=True, repr=False)
class Tracks(Target):
    """Sum or mean of bins × tracks.

    Tracks are brought to another scale first (``unsquash``), then reduced, then bins.

    Parameters
    ----------
    tracks
        Their numbers in the output; None for all.
    head
        Which output, of a model that returns several: (N, tracks, bins), or another ``axis`` of bins.
    axis
        The axis of bins; 1 for (N, bins, tracks).
    bins
        Where the bins lie; needed for ``window``.
    window
        Only bins that overlap ``[from, to)``, in bp 5′ to 3′ relative to ``anchor``.
    anchor
        ``centre`` (base L // 2) or ``start`` of the sequence.
    reduction
        ``sum`` or ``mean`` over bins.
    over_tracks
        ``sum`` or ``mean`` over tracks.
    intervals
        Only bins that overlap these intervals of each region; needs ``bins``. Not with ``window``.
    unsquash
        How the coverage was squashed on which the model was trained; undone for every bin and track.
    strand_pairs
        For each of ``tracks`` the track that has its place on the other strand, where they are stranded.
    strand_unsquash
        How the coverage of ``strand_pairs`` was squashed; None: as that of ``tracks``.

    Examples
    --------
    >>> bins = Bins(width=10, length=60)
    >>> target = Tracks((0,), bins=bins, window=(-10, 10))
    >>> target(torch.ones(2, 1, 6))  # the sum of two bins
    tensor([2., 2.])
    """

    tracks: tuple[int, ...] | None = None
    head: int | str | None = None
    axis: int = -1
    bins: Bins | None = None
    window: tuple[int, int] | None = None
    anchor: str = "centre"
    reduction: str = "sum"
    over_tracks: str = "mean"
    intervals: Intervals | None = None
    unsquash: Squash | None = None
    strand_pairs: tuple[int, ...] | None = None
    strand_unsquash: Squash | None = None

    def __post_init__(self) -> None:
        if isinstance(self.bins, dict):  # plain settings
            object.__setattr__(self, "bins", Bins(**self.bins))
        if isinstance(self.intervals, dict):
            object.__setattr__(self, "intervals", Intervals(**self.intervals))
        for name in ("unsquash", "strand_unsquash"):
            if isinstance(squash := getattr(self, name), dict):
                object.__setattr__(self, name, squash := Squash(**squash))
            if squash is not None:
                squash.check(None if self.tracks is None else len(self.tracks))
        for name, found, known in (
            ("reduction", self.reduction, REDUCTIONS),
            ("over_tracks", self.over_tracks, REDUCTIONS),
            ("anchor", self.anchor, ANCHORS),
        ):
            if found not in known:
                raise ConfigError(f"Tracks.{name}: found {found!r}, expected {' or '.join(known)}")
        if self.tracks is not None and not self.tracks:
            raise ConfigError("Tracks.tracks: found none, expected at least one track")
        if self.strand_pairs is not None and len(self.strand_pairs) != len(self.tracks or ()):
            raise ConfigError(
                f"Tracks.strand_pairs: found {len(self.strand_pairs)}, expected one for each of the tracks"
            )
        if self.bins is None and (self.window or self.intervals) is not None:
            raise ConfigError(
                "Tracks.window, Tracks.intervals: need bins, their width and the sequence's length"
            )
        if self.window is not None:
            if self.intervals is not None:
                raise ConfigError("Tracks: found window and intervals, expected one of them")
            if self.window[0] >= self.window[1]:
                raise ConfigError(f"Tracks.window: found {self.window}, expected a start before the end")

    def __repr__(self) -> str:
        """Name what is not the default."""
        given = [
            f"{field.name}={value!r}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"Tracks({', '.join(given)})" + (" of the other strand" if self.is_turned else "")

    @property
    def is_turned(self) -> bool:
        """Whether the output is that of the reverse complement."""
        return isinstance(self, _TurnedTracks)

    def turned(self) -> Target:
        """Return the target of the reverse complement: the same places, the other strand's tracks."""
        kind = Tracks if self.is_turned else _TurnedTracks
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return self._renamed(kind(**fields))

    @property
    def interval_key(self) -> tuple[Intervals, Bins] | None:
        """What the weights of the intervals are known by."""
        return None if self.intervals is None or self.bins is None else (self.intervals, self.bins)

    def number_of_bins(self, output: Any) -> int:
        """Bins of an output."""
        return int(self._values(output).shape[2])

    def __call__(self, output: Any) -> Tensor:
        """Return (B,) sums or means."""
        values = self._values(output)
        if self.bins is not None:
            self.bins.offset(values.shape[2])
        if self.window is not None:
            first, stop = self._window(values.shape[2])
            values = values[:, :, first:stop]
        values = self._over_tracks(values)
        if self.intervals is None:
            return values.sum(1) if self.reduction == "sum" else values.mean(1)
        return self._weighted(values, weights_in(output, self.interval_key))

    def _values(self, output: Any) -> Tensor:
        """The output, (B, tracks, bins)."""
        values = axis_last(select_head(output, self.head), self.axis)
        if values.ndim != 3:
            raise ModelError(
                f"target: Tracks of shape {tuple(values.shape)}, expected (N, tracks, bins), or (N, bins, "
                "tracks)"
            )
        return values

    def _window(self, number: int) -> tuple[int, int]:
        """First, and one past the last, of the bins of the window."""
        assert self.bins is not None
        assert self.window is not None
        base = self.bins.length // 2 if self.anchor == "centre" else 0
        start, end = base + self.window[0], base + self.window[1]
        if self.is_turned:
            start, end = self.bins.length - end, self.bins.length - start
        first, stop = self.bins.overlapping(start, end, number)
        if first < 0 or stop > number:
            offset = self.bins.offset(number)
            covered = [offset - base, offset + number * self.bins.width - base]
            raise ModelError(
                f"target: window {list(self.window)} bp from the {self.anchor} passes the end of the output, "
                f"whose {number} bins cover {covered}"
            )
        return first, stop

    def _over_tracks(self, values: Tensor) -> Tensor:
        """(B, tracks, bins) reduced to (B, bins)."""
        chosen = self.strand_pairs if self.is_turned and self.strand_pairs is not None else self.tracks
        values = _chosen(values, chosen)
        unsquash = self.unsquash
        if self.is_turned and self.strand_unsquash is not None:
            unsquash = self.strand_unsquash
        if unsquash is not None:
            values = unsquash.undo(values)
        return values.sum(1) if self.over_tracks == "sum" else values.mean(1)

    def _weighted(self, values: Tensor, weights: Tensor) -> Tensor:
        """(B,) sums of (B, bins), weighted by the weights, which are of the strand given."""
        if weights.shape != values.shape:
            raise ModelError(
                f"target: weights {tuple(weights.shape)} of intervals for bins {tuple(values.shape)}"
            )
        if self.is_turned and self.bins is not None:
            if 2 * self.bins.offset(values.shape[1]) + values.shape[1] * self.bins.width != self.bins.length:
                raise ModelError(
                    f"target: intervals on the other strand with a crop of {self.bins.crop}; expected an "
                    "equal crop at either end; give reverse_complement: false, or a window"
                )
            weights = weights.flip(1)
        total = (weights * values).sum(1)
        return total if self.reduction == "sum" else total / weights.sum(1)


@dataclass(frozen=True, repr=False)
class _TurnedTracks(Tracks):
    """The same of the reverse complement."""


def _chosen(values: Tensor, tracks: tuple[int, ...] | None) -> Tensor:
    """``values[:, tracks]``; neighbours as a slice."""
    if tracks is None:
        return values
    wrong = [track for track in tracks if not 0 <= track < values.shape[1]]
    if wrong:
        raise ModelError(
            f"target: tracks {offenders(wrong)} are out of range; the output has {values.shape[1]} tracks, "
            f"0 to {values.shape[1] - 1}; is the axis of bins the one that `axis` says?"
        )
    first = tracks[0]
    if tracks == tuple(range(first, first + len(tracks))):
        return values[:, first : first + len(tracks)]
    return values.index_select(1, torch.tensor(tracks, device=values.device))
