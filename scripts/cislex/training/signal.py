"""Signal of bigWig files at windows of the genome, as the truth of counts and profile models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
from numpy.typing import NDArray

from cislex.errors import ConfigError, InputError, offenders
from cislex.files.tables import require_file
from cislex.logs import get_logger, progress
from cislex.regions.intervals import genome_name
from cislex.training.windows import Windows

#: Keys of a track's files.
UNSTRANDED, PLUS, MINUS = "bigwig", "plus", "minus"

logger = get_logger(__name__)


@dataclass(frozen=True)
class Channel:
    """One channel of the signal: a bigWig file, and the channel that it is on the other strand.

    Attributes
    ----------
    name
        ``track``, or ``track.plus`` and ``track.minus``.
    path
        The bigWig file.
    is_minus
        Of the minus strand, which some files hold as negative numbers.
    mirror
        Index of the channel that this one becomes where a window is reverse-complemented.
    """

    name: str
    path: Path
    is_minus: bool
    mirror: int


def read_channels(tracks: Mapping[str, Mapping[str, str | Path | None]]) -> list[Channel]:
    """Channels of named tracks, each ``{bigwig: file}`` or ``{plus: file, minus: file}``.

    Raises
    ------
    ConfigError
        When a track has neither form.
    """
    channels: list[Channel] = []
    for name, given in tracks.items():
        files = {key: Path(path) for key, path in given.items() if path is not None}
        first = len(channels)
        if set(files) == {UNSTRANDED}:
            channels.append(Channel(name, files[UNSTRANDED], False, first))
        elif set(files) == {PLUS, MINUS}:
            channels.append(Channel(f"{name}.{PLUS}", files[PLUS], False, first + 1))
            channels.append(Channel(f"{name}.{MINUS}", files[MINUS], True, first))
        else:
            raise ConfigError(
                f"track {name}: found {', '.join(files) or 'no file'}; give bigwig, or both plus and minus"
            )
    if not channels:
        raise ConfigError("tracks is empty; name at least one bigWig file")
    return channels


@dataclass(frozen=True)
class SignalWindows:
    """Windows and the signal at their middle.

    Attributes
    ----------
    windows
        The sequences; their labels are not used.
    signal
        float32 (N, channels, output_length + 2 × jitter), at least 0.
    channels
        What each channel is.
    output_length
        Positions of signal that belong to one window.
    """

    windows: Windows
    signal: NDArray[np.float32]
    channels: tuple[Channel, ...]
    output_length: int

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(channel.name for channel in self.channels)

    @property
    def jitter(self) -> int:
        """Largest shift to either side, bp."""
        return self.windows.jitter

    def crop(
        self, rows: NDArray[np.int64], shifts: NDArray[np.int64], flipped: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.generic]]:
        """Codes uint8 (n, input_length) and signal float32 (n, channels, output_length), as ``Windows.crop``.

        Where a window is reverse-complemented the signal is reversed and the strands change places.
        """
        codes, _ = self.windows.crop(rows, shifts, flipped)
        columns = (shifts + self.jitter)[:, None, None] + np.arange(self.output_length)
        channels = np.arange(len(self.channels))[None, :, None]
        signal = self.signal[rows[:, None, None], channels, columns]
        mirror = [channel.mirror for channel in self.channels]
        signal[flipped] = signal[flipped][:, mirror, ::-1]
        return codes, signal

    def places(self, shifts: NDArray[np.int64]) -> pd.DataFrame:
        """Where each window lies at these shifts: ``chrom, start, end, origin``."""
        return self.windows.places(shifts)


def attach_signal(
    windows: Windows,
    channels: Sequence[Channel],
    *,
    output_length: int,
    known: Mapping[str, int],
    aliases: Mapping[str, str] | None = None,
    label: str = "signal",
) -> SignalWindows:
    """Read the signal at windows.

    Parameters
    ----------
    windows
        The windows.
    channels
        See ``read_channels``.
    output_length
        Positions at the middle of the input; the input may be longer by an even number.
    known
        Chromosomes of the genome and their lengths.
    aliases
        Other names of chromosomes, which a bigWig file may use.
    label
        Name for the progress.

    Raises
    ------
    ConfigError
        When the lengths do not fit.
    InputError
        When a file is not bigWig, is of another genome, or holds negative signal (a minus strand may be
        negative throughout: its absolute value is used).
    """
    margin = windows.input_length - output_length
    if margin < 0 or margin % 2 or output_length < 1:
        raise ConfigError(
            f"output_length is {output_length}; expected 1 to {windows.input_length} (input_length), and an "
            "even difference, so that the middle is the middle on both strands"
        )
    wide = output_length + 2 * windows.jitter
    starts = windows.centre - windows.input_length // 2 + margin // 2 - windows.jitter
    signal = np.empty((len(windows), len(channels), wide), dtype=np.float32)
    for i, channel in enumerate(progress(channels, total=len(channels), label=label, unit="tracks")):
        signal[:, i] = read_signal(channel, windows.chrom, starts, wide, known=known, aliases=aliases)
    return SignalWindows(windows, signal, tuple(channels), output_length)


def read_signal(
    channel: Channel,
    chroms: NDArray[np.object_],
    starts: NDArray[np.int64],
    length: int,
    *,
    known: Mapping[str, int],
    aliases: Mapping[str, str] | None = None,
) -> NDArray[np.float32]:
    """Signal of one channel at ``[start, start + length)``: float32 (N, length); 0 where it is silent."""
    found = np.zeros((len(chroms), length), dtype=np.float32)
    for row, values in _read_windows(channel, chroms, starts, length, known=known, aliases=aliases):
        found[row] = values
    return np.abs(_require_sign(found, channel))


def total_signal(
    channel: Channel,
    chroms: NDArray[np.object_],
    starts: NDArray[np.int64],
    length: int,
    *,
    known: Mapping[str, int],
    aliases: Mapping[str, str] | None = None,
) -> NDArray[np.float64]:
    """Sum of what ``read_signal`` returns over each window, float64 (N,), in the memory of one window."""
    found = np.zeros(len(chroms))
    least = most = np.float32(0)
    for row, values in _read_windows(channel, chroms, starts, length, known=known, aliases=aliases):
        found[row] = values.sum(dtype=np.float64)
        least, most = min(least, values.min()), max(most, values.max())
    _require_sign(np.array([least, most], dtype=np.float32), channel)
    return np.abs(found)


def _read_windows(
    channel: Channel,
    chroms: NDArray[np.object_],
    starts: NDArray[np.int64],
    length: int,
    *,
    known: Mapping[str, int],
    aliases: Mapping[str, str] | None,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield each row and its signal, 0 for NaN; rows on chromosomes that the file lacks are left out."""
    what = _name(channel)
    require_file(channel.path, what=f"track {channel.name}")
    try:
        handle = pyBigWig.open(str(channel.path))
    except RuntimeError as error:
        raise InputError(f"{what}: is not a bigWig file") from error
    try:
        if not handle.isBigWig():
            raise InputError(f"{what}: is bigBed; expected bigWig")
        own = _own_names(handle.chroms(), known, aliases, what)
        order = np.lexsort((starts, chroms.astype(str)))  # the file is read in its own order
        for row in order:
            if (name := own.get(chroms[row])) is not None:
                try:
                    values = handle.values(name, starts[row], starts[row] + length, numpy=True)
                except RuntimeError as error:
                    place = f"{name}:{starts[row]:,}-{starts[row] + length:,}"
                    raise InputError(
                        f"{what}: cannot be read at {place} ({error}): the file is damaged; copy it again"
                    ) from error
                yield int(row), np.nan_to_num(values, nan=0.0)
    finally:
        handle.close()


def _name(channel: Channel) -> str:
    return f"track {channel.name}: {channel.path}"


def _own_names(
    chroms: Mapping[str, int], known: Mapping[str, int], aliases: Mapping[str, str] | None, what: str
) -> dict[str, str]:
    """Name of each chromosome of the genome in the file; silent chromosomes may be missing there."""
    own = {genome_name(name, known, aliases): name for name in chroms}
    shared = [name for name in known if name in own]
    if not shared:
        raise InputError(
            f"{what}: none of its chromosomes is in the genome; found {offenders(chroms)}, expected "
            f"{offenders(known)}. If the names differ, give genome.aliases"
        )
    wrong = [name for name in shared if chroms[own[name]] != known[name]]
    if wrong:
        first = wrong[0]
        raise InputError(
            f"{what}: chromosome lengths differ from the genome: {offenders(wrong)} ({first}: "
            f"{chroms[own[first]]} bp, genome {known[first]} bp); is it from another assembly?"
        )
    missing = [name for name in known if name not in own]
    if missing:
        logger.warning("%s: no signal on %s: taken as 0", what, offenders(missing))
    return {name: own[name] for name in shared}


def _require_sign(signal: NDArray[np.float32], channel: Channel) -> NDArray[np.float32]:
    """Return the signal unless it has a sign that counts have not."""
    negative, positive = bool((signal < 0).any()), bool((signal > 0).any())
    if negative and (positive or not channel.is_minus):
        raise InputError(
            f"{_name(channel)}: found signal below 0 (lowest {signal.min():g}); expected counts, or for a "
            "minus strand negative numbers throughout"
        )
    return signal
