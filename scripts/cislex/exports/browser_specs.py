"""What the files for genome browsers are made of, and what a track of them is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Colours of targets, told apart by colour-blind readers; used again from the ninth target on.
COLORS = (
    "0,114,178", "213,94,0", "0,158,115", "204,121,167", "86,180,233", "180,130,0", "90,60,150", "60,60,60",
)  # fmt: skip


@dataclass(frozen=True)
class BrowserTarget:
    """Files of a target of an analysis on the genome.

    Parameters
    ----------
    analysis, target
        Names.
    contributions
        ``contributions.bw``.
    attributions
        ``attributions.h5``.
    predictions
        ``predictions.tsv`` of the analysis, with a column of the target.
    observed
        ``observed.tsv`` of the analysis where the target has labels, or None.
    hits
        ``hits.bed.gz``, or None.
    signals
        Measured signal: bigWig files by name.
    """

    analysis: str
    target: str
    contributions: Path
    attributions: Path
    predictions: Path
    observed: Path | None = None
    hits: Path | None = None
    signals: Mapping[str, Path] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The analysis's name, and the target's if it is another one."""
        return self.analysis if self.target == self.analysis else f"{self.analysis} / {self.target}"

    @property
    def key(self) -> str:
        """The label as a part of file names."""
        return f"{self.analysis}.{self.target}"


@dataclass(frozen=True)
class BrowserVariants:
    """A set of variants: its name, ``variants.tsv`` and the targets in it."""

    name: str
    table: Path
    targets: Sequence[str]


@dataclass(frozen=True)
class BrowserGenome:
    """The genome of the tracks.

    Parameters
    ----------
    chromosomes
        Table of ``index_genome``.
    fasta
        The genome.
    fai, gzi
        Indexes of ``index_genome``; ``gzi`` is empty for a plain FASTA.
    assembly
        Name of the assembly that browsers know, such as ``hg38``; None: they know none.
    included
        Whether the genome itself is put into the folder.
    """

    chromosomes: Path
    fasta: Path
    fai: Path
    gzi: Path
    assembly: str | None = None
    included: bool = True


@dataclass(frozen=True)
class BrowserSettings:
    """Texts and sizes.

    Parameters
    ----------
    title
        Of the run.
    email
        Of whom readers of the hub can ask; None: the hub names nobody.
    page_regions
        Regions of each target on ``igv.html``; 0: no page.
    page_width
        Bases of each that are shown, at most.
    """

    title: str
    email: str | None = None
    page_regions: int = 5
    page_width: int = 2000


@dataclass(frozen=True)
class Track:
    """A track of a session and of a hub.

    Attributes
    ----------
    kind
        ``contributions``, ``predictions``, ``observed``, ``signal``, ``hits``, ``regions`` or ``variants``.
    name, text
        Short and long name.
    file
        Path below the folder.
    group
        Label of the target, or empty: the track belongs to all.
    color
        ``r,g,b``.
    extra
        Of a bigBed the number of columns beyond the nine standard ones.
    """

    kind: str
    name: str
    text: str
    file: str
    group: str
    color: str
    extra: int = 0

    @property
    def is_signal(self) -> bool:
        """Whether the file is a bigWig."""
        return self.file.endswith(".bw")


def identifier(*names: str) -> str:
    """A name of letters, digits and ``_``, which begins with a letter, as UCSC's hubs want it."""
    return "_".join(["t", *(re.sub(r"[^A-Za-z0-9]", lambda c: f"_{ord(c[0]):x}_", name) for name in names)])


def shortened(text: str, length: int) -> str:
    """The text, or as much of its begin and end as there is room for."""
    if len(text) <= length:
        return text
    return f"{text[: (length + 1) // 2 - 1]}..{text[-(length // 2 - 1) :]}"
