"""Sources of training examples: peaks or signal on a genome, labelled FASTA files, or HDF5 arrays.

Every source has names for the model's outputs and draws the three splits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cislex.errors import ConfigError
from cislex.logs import get_logger
from cislex.regions.aliases import read_aliases
from cislex.regions.genome import Genome
from cislex.regions.intervals import read_blacklist
from cislex.training.fasta import LabelSource
from cislex.training.hdf5 import Hdf5Source
from cislex.training.inputs import SPLITS, Positions, read_positions, split_chromosomes
from cislex.training.negatives import Negatives
from cislex.training.peak_windows import draw_windows
from cislex.training.signal import attach_signal, read_channels
from cislex.training.windows import Examples, Windows, WindowSettings

logger = get_logger(__name__)


class Source(Protocol):
    """What training asks of a source."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the model's outputs."""
        ...

    @property
    def input_length(self) -> int:
        """Sequence length that the model sees, bp."""
        ...

    def draw(self, seed: int) -> Mapping[str, Examples]:
        """Examples of train, validation and test."""
        ...


@dataclass(frozen=True, kw_only=True)
class GenomicSettings:
    """A genome, how it is split, and how windows are laid on it.

    Attributes
    ----------
    fasta, fai, gzi
        The genome and its index, see :class:`cislex.regions.genome.Genome`.
    windows
        What makes a window positive or negative.
    validation_chromosomes, test_chromosomes, exclude_chromosomes
        Whole chromosomes, named as in the genome: those that choose the epoch, those that are scored only,
        and those that are not used. The others train.
    aliases, blacklist
        Table of chromosome names; BED of intervals that are not used.
    negatives
        Where negative windows come from.
    train_negatives_per_positive
        Negative windows per positive one in training; None: as in the other splits.
    malformed
        Whether rows of peak files that cannot be used are an ``error``, or dropped (``drop``).
    """

    fasta: str | Path
    windows: WindowSettings
    validation_chromosomes: Sequence[str]
    test_chromosomes: Sequence[str]
    exclude_chromosomes: Sequence[str] = ()
    fai: str | Path | None = None
    gzi: str | Path | None = None
    aliases: str | Path | None = None
    blacklist: str | Path | None = None
    negatives: Negatives = field(default_factory=Negatives)
    train_negatives_per_positive: float | None = None
    malformed: str = "error"

    def __post_init__(self) -> None:
        self._windows_of("train")  # refuses a number out of range before anything is read

    def _windows_of(self, split: str) -> WindowSettings:
        more = self.train_negatives_per_positive
        if split != "train" or more is None:
            return self.windows
        return replace(self.windows, negatives_per_positive=more)

    def draw(
        self, tasks: Mapping[str, str | Path], seed: int, *, background: str | None = None
    ) -> dict[str, Windows]:
        """Windows of every split around the peaks of each task, see ``peak_windows.draw_windows``."""
        if not tasks:
            raise ConfigError("tasks is empty; name at least one peak file")
        names = read_aliases(self.aliases)
        read = partial(read_positions, aliases=names, malformed=self.malformed)
        drawn = {}
        with Genome(self.fasta, fai=self.fai, gzi=self.gzi) as genome:
            splits = split_chromosomes(
                genome.lengths,
                validation=self.validation_chromosomes,
                test=self.test_chromosomes,
                exclude=self.exclude_chromosomes,
            )
            positions = {task: read(path, genome, task=task) for task, path in tasks.items()}
            avoid = read_blacklist(self.blacklist, genome, aliases=names)
            listed: Positions = {}
            if self.negatives.path is not None:
                listed = read(self.negatives.path, genome, task="negatives")
            for i, split in enumerate(SPLITS):
                rng = np.random.default_rng([seed, 0, i])
                drawn[split] = draw_windows(
                    genome, positions, splits[split], self._windows_of(split), split=split, blacklist=avoid,
                    negatives=self.negatives, listed=listed, background=background, rng=rng,
                )  # fmt: skip
                _tell(split, drawn[split])
        return drawn


def _tell(split: str, windows: Windows) -> None:
    counts = windows.labels[:, windows.jitter].sum(axis=0)
    counted = ", ".join(f"{task} {count}" for task, count in zip(windows.tasks, counts, strict=True))
    logger.info("%s: %d windows, positive: %s", split, len(windows), counted)


@dataclass(frozen=True, kw_only=True)
class PeakSource:
    """Peaks of each task against the rest of the genome.

    Attributes
    ----------
    genome
        The genome.
    tasks
        Peak file of each task, in the order of the model's outputs.
    background
        Name of the class without a peak, where classes exclude each other (softmax); None: independent.
    """

    genome: GenomicSettings
    tasks: Mapping[str, str | Path]
    background: str | None = None

    def __post_init__(self) -> None:
        if self.background in self.tasks:
            raise ConfigError(f"background is {self.background!r}, which is also a task; choose another name")
        if self.genome.negatives.kind == "none":
            raise ConfigError("negatives.kind: none is only valid with signal; classes need negatives")

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tasks, after the background where there is one."""
        return tuple(self.tasks) if self.background is None else (self.background, *self.tasks)

    @property
    def input_length(self) -> int:
        """Sequence length that the model sees, bp."""
        return self.genome.windows.input_length

    def draw(self, seed: int) -> Mapping[str, Examples]:
        """Windows of every split."""
        return self.genome.draw(self.tasks, seed, background=self.background)


@dataclass(frozen=True, kw_only=True)
class SignalSource:
    """Signal of bigWig files around peaks, and at negatives where they are asked for.

    Attributes
    ----------
    genome
        The genome.
    peaks
        Where windows lie.
    tracks
        Files of each track: ``{bigwig: file}`` or ``{plus: file, minus: file}``.
    output_length
        Middle positions whose signal is the truth; None: the whole input.
    """

    genome: GenomicSettings
    peaks: str | Path
    tracks: Mapping[str, Mapping[str, str | Path | None]]
    output_length: int | None = None

    def __post_init__(self) -> None:
        if self.genome.negatives.kind == "shuffle":
            raise ConfigError("negatives.kind: shuffle: shuffled sequences have no signal; use another kind")

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tracks; of a stranded one plus and minus."""
        return tuple(channel.name for channel in read_channels(self.tracks))

    @property
    def input_length(self) -> int:
        """Sequence length that the model sees, bp."""
        return self.genome.windows.input_length

    def draw(self, seed: int) -> Mapping[str, Examples]:
        """Windows of every split with their signal."""
        channels = read_channels(self.tracks)
        drawn = self.genome.draw({"peak": self.peaks}, seed)
        names = read_aliases(self.genome.aliases)
        with Genome(self.genome.fasta, fai=self.genome.fai, gzi=self.genome.gzi) as genome:
            known = genome.lengths
        return {
            split: attach_signal(
                windows,
                channels,
                output_length=self.output_length or self.input_length,
                known=known,
                aliases=names,
                label=f"read signal, {split}",
            )
            for split, windows in drawn.items()
        }


def make_source(kind: str, settings: Mapping[str, Any]) -> Source:
    """Make a source of plain settings, nested mappings for nested dataclasses.

    Raises
    ------
    ConfigError
        When the kind or a key is not known.
    """
    given = dict(settings)
    if "genome" in given:
        genome = dict(given["genome"])
        genome["windows"] = WindowSettings(**genome["windows"])
        genome["negatives"] = Negatives(**genome.get("negatives", {}))
        given["genome"] = GenomicSettings(**genome)
    kinds: dict[str, Any] = {
        "peaks": PeakSource,
        "signal": SignalSource,
        "labels": LabelSource,
        "hdf5": Hdf5Source,
    }
    if kind not in kinds:
        raise ConfigError(f"source: found kind {kind!r}, expected one of {', '.join(kinds)}")
    try:
        source: Source = kinds[kind](**given)
    except TypeError as error:
        raise ConfigError(f"source {kind}: {error}") from None
    return source


def truth_of(examples: Examples) -> NDArray[Any]:
    """Truth of every window at shift 0, (N, tasks, …)."""
    rows = np.arange(len(examples))
    still = np.zeros(len(rows), dtype=np.int64)
    return examples.crop(rows, still, still.astype(bool))[1]
