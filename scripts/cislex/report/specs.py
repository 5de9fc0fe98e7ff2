"""Inputs of the report: names and paths.

A path that is given must exist; ``None`` says that this run has no such file, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cislex.files.tables import require_file


@dataclass(frozen=True, kw_only=True)
class RegionSet:
    """One set of regions.

    Parameters
    ----------
    name
        Its name in the config.
    regions
        ``regions.bed``, or ``None``.
    dropped
        ``dropped.tsv``, or ``None``.
    sequences
        ``sequences.h5``: counts the rows where there is no ``regions.bed``.
    direct
        Sequences given directly, without coordinates.
    settings
        How its windows were chosen, for the section on methods.
    """

    name: str
    regions: str | Path | None = None
    dropped: str | Path | None = None
    sequences: str | Path | None = None
    direct: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ``InputError`` where a file that was named is missing."""
        _require(f"region set {self.name}", self.regions, self.dropped, self.sequences)


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """One fold of a model that was trained in this run.

    Parameters
    ----------
    name, fold
        Names in the config.
    training, evaluation, held_out
        Training curve, held-out scores, and observed and predicted values of the held-out windows, or
        ``None``.
    baseline
        Scores of the best known motif on the same windows, or ``None``.
    """

    name: str
    fold: str
    training: str | Path | None = None
    evaluation: str | Path | None = None
    held_out: str | Path | None = None
    baseline: str | Path | None = None

    @property
    def links(self) -> list[Path]:
        """Every file of this fold that the page links to."""
        given = (self.training, self.evaluation, self.baseline, self.held_out)
        return [Path(path) for path in given if path is not None]

    def check(self) -> None:
        """Raise ``InputError`` where a file that was named is missing."""
        _require(f"model {self.name}, {self.fold}", *self.links)


@dataclass(frozen=True, kw_only=True)
class LexiconTables:
    """The lexicon of all targets.

    Parameters
    ----------
    words, usage
        ``lexicon.tsv`` and ``usage.tsv``.
    members
        ``lexicon_members.tsv``, which tells the word of each pattern; None: patterns go by their own names.
    matrices
        ``lexicon.h5``, from which logos are drawn; None: no logos.
    files
        Further files to link.
    folds
        Groups of analyses that are alike but for the one fold that each uses.
    """

    words: str | Path
    usage: str | Path
    members: str | Path | None = None
    matrices: str | Path | None = None
    files: tuple[str | Path, ...] = ()
    folds: tuple[Sequence[str], ...] = ()

    @property
    def links(self) -> list[Path]:
        """Every file of the lexicon that the page links to."""
        given = (self.words, self.members, self.usage, self.matrices, *self.files)
        return [Path(path) for path in given if path is not None]

    def check(self) -> None:
        """Raise ``InputError`` where a file that was named is missing."""
        _require("lexicon", *self.links)


@dataclass(frozen=True, kw_only=True)
class InsertionTables:
    """One in-silico experiment.

    Parameters
    ----------
    name, analysis
        Names in the config.
    insertions, contexts, sites
        ``insertions.tsv``, ``contexts.tsv`` and ``sites.tsv``.
    backgrounds
        Kind of the backgrounds, as in the config.
    settings
        The experiment's entry in the config, for the section on methods.
    files
        Further files to link.
    """

    name: str
    analysis: str
    insertions: str | Path
    contexts: str | Path
    sites: str | Path | None = None
    backgrounds: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str | Path, ...] = ()

    @property
    def links(self) -> list[Path]:
        """Every file of the experiment that the page links to."""
        given = (self.insertions, self.contexts, self.sites, *self.files)
        return [Path(path) for path in given if path is not None]

    def check(self) -> None:
        """Raise ``InputError`` where a file that was named is missing."""
        _require(f"insertions {self.name}", *self.links)


@dataclass(frozen=True, kw_only=True)
class ComparisonTables:
    """One comparison of methods.

    Parameters
    ----------
    name, yardstick
        Name in the config, and that of the analysis that the others are compared with, or none.
    comparison, methods, curves, words, logos
        ``comparison.tsv``, ``methods.tsv``, ``curves.tsv``, ``words.tsv`` and ``logos.tsv``.
    files
        Further files to link.
    """

    name: str
    comparison: str | Path
    methods: str | Path
    curves: str | Path
    words: str | Path
    logos: str | Path
    yardstick: str | None = None
    files: tuple[str | Path, ...] = ()

    @property
    def links(self) -> list[Path]:
        """Every file of the comparison that the page links to."""
        tables = (self.comparison, self.methods, self.curves, self.words, self.logos)
        return [Path(path) for path in (*tables, *self.files)]

    def check(self) -> None:
        """Raise ``InputError`` where a file that was named is missing."""
        _require(f"comparison {self.name}", *self.links)


@dataclass(frozen=True)
class ContrastTables:
    """One contrast: its name in the config, ``hits.tsv.gz``, ``words.tsv`` and ``sides.tsv``."""

    name: str
    hits: str | Path
    words: str | Path
    sides: str | Path

    def check(self) -> None:
        """Raise ``InputError`` where a file that was named is missing."""
        _require(f"contrast {self.name}", self.hits, self.words, self.sides)


@dataclass(frozen=True)
class EvolutionTables:
    """One design.

    Parameters
    ----------
    name, analysis
        Names in the config.
    trajectories, fasta, arrays
        ``trajectories.tsv``, ``evolved.fa`` and ``evolution.h5``.
    """

    name: str
    analysis: str
    trajectories: str | Path
    fasta: str | Path
    arrays: str | Path

    @property
    def links(self) -> list[Path]:
        """Every file of the design that the page links to."""
        return [Path(path) for path in (self.trajectories, self.fasta, self.arrays)]

    def check(self) -> None:
        """Raise ``InputError`` where a file that was named is missing."""
        _require(f"evolution {self.name}", *self.links)


@dataclass(frozen=True)
class VariantTables:
    """The scores of a set of variants.

    Parameters
    ----------
    name, analysis
        Of the set, and of the analysis whose model and targets score it.
    targets
        Names of the targets, in their order.
    scores, dropped, vcf
        ``variants.tsv``, ``dropped_variants.tsv`` and ``variants.vcf.gz``.
    top, arrays
        Of the strongest variants ``top_variants.tsv`` and ``top_variants.h5``.
    evaluation, enrichment, observed
        Of measured variants ``evaluation.tsv``, ``enrichment.tsv`` and ``observed.tsv``.
    settings
        The set's entry in the config, for the section on methods.
    """

    name: str
    analysis: str
    targets: Sequence[str]
    scores: str | Path
    dropped: str | Path
    vcf: str | Path
    top: str | Path | None = None
    arrays: str | Path | None = None
    evaluation: str | Path | None = None
    enrichment: str | Path | None = None
    observed: str | Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def links(self) -> list[Path]:
        """Every file of the set that the page links to."""
        further = (self.top, self.arrays, self.evaluation, self.enrichment, self.observed)
        return [Path(path) for path in (self.scores, self.vcf, self.dropped, *further) if path is not None]

    def check(self) -> None:
        """Raise ``InputError`` where a file that was named is missing."""
        _require(f"variants {self.name}", *self.links)


@dataclass(frozen=True, kw_only=True)
class AnalysisTarget:
    """One target of one analysis.

    Parameters
    ----------
    analysis, target
        Names in the config.
    region_set, model
        Which regions and model the analysis uses.
    attributions
        ``attributions.h5``.
    motifs
        ``motifs.tsv``, or ``None`` where motifs were left out.
    logos
        Folder with the files that the column ``logo`` of ``motifs.tsv`` names.
    qc
        ``qc.tsv``; without it the deltas are read from ``attributions.h5``.
    modisco
        ``modisco.h5``: TF-MoDISco's settings and version, for the section on methods.
    databases
        Known motifs as MEME files by the names of their databases: they tell composites from motifs, by
        their width.
    hits
        ``hits.bed.gz``, or ``None`` where hits were not called.
    usage
        ``usage.tsv`` of the lexicon, where hits were called with its words: which seqlets they cover.
    positions, syntax, periodicity
        Tables of ``analyse_syntax``, or ``None`` where syntax was not analysed.
    seqlets
        ``seqlets.tsv.gz``, or ``None`` where seqlets were not called.
    truth, grammar
        ``truth.tsv`` and ``grammar.tsv``, or ``None`` for real data.
    evaluation, observed
        ``evaluation.tsv`` and ``observed.tsv``, or ``None`` where the target has no labels.
    labels, peaks
        Where the labels come from, as fields of `cislex.prediction.labels.LabelSource`, and the file of the
        regions: named, not read.
    inspection
        ``inspection.tsv``: class and size of the model.
    limit
        Largest relative delta that passes; ``None`` where nothing was gated.
    settings
        The analysis's settings, shown as they are.
    files
        Further files to link.
    """

    analysis: str
    target: str
    region_set: str
    model: str
    attributions: str | Path
    motifs: str | Path | None
    logos: str | Path | None = None
    qc: str | Path | None = None
    modisco: str | Path | None = None
    databases: Mapping[str, str | Path] = field(default_factory=dict)
    hits: str | Path | None = None
    usage: str | Path | None = None
    positions: str | Path | None = None
    syntax: str | Path | None = None
    periodicity: str | Path | None = None
    seqlets: str | Path | None = None
    truth: str | Path | None = None
    grammar: str | Path | None = None
    evaluation: str | Path | None = None
    observed: str | Path | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    peaks: str | None = None
    inspection: str | Path | None = None
    limit: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str | Path, ...] = ()

    @property
    def label(self) -> str:
        """Analysis and target in one name."""
        return f"{self.analysis} / {self.target}"

    @property
    def links(self) -> list[Path]:
        """Every file of this target that the page links to, in the order of the work flow."""
        given = (
            self.attributions, self.qc, self.modisco, self.motifs, self.hits, self.seqlets,
            self.positions, self.syntax, self.periodicity, self.truth, self.grammar, *self.files,
            self.inspection, self.evaluation, self.observed, *self.databases.values(),
        )  # fmt: skip
        return [Path(path) for path in given if path is not None]

    def check(self) -> None:
        """Raise ``InputError`` where a file that was named is missing."""
        _require(f"analysis {self.analysis}, target {self.target}", *self.links)


#: What each argument of ``render_report`` for a stage after motifs holds.
EXPERIMENTS = {
    "insertions": InsertionTables,
    "variants": VariantTables,
    "evolution": EvolutionTables,
    "comparisons": ComparisonTables,
    "contrasts": ContrastTables,
}


class Spec(Protocol):
    """Anything that the page is made of."""

    def check(self) -> None:
        """Raise ``InputError`` where a file that was named is missing."""


def check_all(*groups: Sequence[Spec]) -> None:
    """Raise ``InputError`` where anything that was named is missing, before anything is read."""
    for group in groups:
        for spec in group:
            spec.check()


def _require(what: str, *paths: str | Path | None) -> None:
    for path in paths:
        if path is not None:
            require_file(path, what=f"report: {what}")
