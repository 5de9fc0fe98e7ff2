"""Everything that the report says about one target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from markupsafe import Markup

from cislex.report.facts import Fact, count, facts, recorded, shared
from cislex.report.figures.motif_logos import Symbols
from cislex.report.places import target_anchor
from cislex.report.sections.completeness import QualityView, describe_quality
from cislex.report.sections.concerns import Concern, cap_concern, note_concerns, target_concerns
from cislex.report.sections.covered import share_under_hits
from cislex.report.sections.files import split_links
from cislex.report.sections.folds import FoldsView, describe_folds
from cislex.report.sections.hits import HitsView, describe_hits
from cislex.report.sections.lexicon import database_smallness, few_known_motifs, is_composite, match_width
from cislex.report.sections.motifs import Drawing, MotifView, describe_motifs, why_no_motif
from cislex.report.sections.pattern_arrays import KnownMotifs, read_known
from cislex.report.sections.pattern_words import PatternWords, read_pattern_words, words_of
from cislex.report.sections.predictions import AgreementView, describe_agreement
from cislex.report.sections.reference_choice import reference_words
from cislex.report.sections.seqlets import SeqletsView, describe_seqlets
from cislex.report.sections.storage import describe_storage
from cislex.report.sections.summary import method_line, summarise
from cislex.report.sections.syntax import SyntaxView, describe_syntax
from cislex.report.sections.top_regions import (
    Asked,
    RegionView,
    Siblings,
    draw_regions,
    read_top_regions,
)
from cislex.report.sections.truth import TruthView, describe_truth
from cislex.report.sections.used_settings import used
from cislex.report.specs import AnalysisTarget, LexiconTables
from cislex.report.template import capital as _capital

#: Attributes that say where a file comes from, in this order; the others follow by name.
FIRST_ATTRIBUTES = (
    "method",
    "target_settings",
    "precision",
    "seed",
    "folds",
    "model_digests",
    "source_digest",
)


@dataclass(frozen=True)
class TargetView:
    """Everything that the page says about one target of one analysis."""

    spec: AnalysisTarget
    anchor: str
    summary: str
    settings: list[Fact]
    recorded: list[Fact]
    fallbacks: list[str]
    databases: list[str]
    folds: FoldsView | None
    agreement: AgreementView | None
    quality: QualityView
    stored: str
    motifs: list[MotifView]
    flagged: list[MotifView]
    no_motif: str
    hits: HitsView | None
    covered: str
    syntax: SyntaxView | None
    seqlets: SeqletsView | None
    regions: list[RegionView]
    not_found: list[str]
    predictions: Markup | None
    total: int
    truth: TruthView | None
    method: str
    own_links: list[Path]
    symbols: Symbols

    @property
    def searched(self) -> bool:
        """Whether motifs were looked for."""
        return self.spec.motifs is not None

    @cached_property
    def concerns(self) -> list[Concern]:
        """What to know before trusting this target."""
        label, anchor = self.spec.label, self.anchor
        found = {} if self.spec.modisco is None else recorded(self.spec.modisco)
        return [
            *target_concerns(
                label, anchor, folds=self.folds, agreement=self.agreement, quality=self.quality,
                silent=bool(found.get("no_attribution")),
            ),
            *cap_concern(label, anchor, found),
            *note_concerns(label, anchor, self.fallbacks, self.databases),
        ]  # fmt: skip


@dataclass(frozen=True)
class _Room:
    """What targets share: known motifs by database file, why these are too few, words of the patterns.

    ``symbols`` are those of the page, where all targets are on one.
    """

    known: KnownMotifs
    small: Mapping[str, str]
    words: PatternWords
    symbols: Symbols | None
    asked: Asked
    siblings: Siblings


@dataclass(frozen=True)
class Described:
    """All targets, the provenance that they share, and the files that several of them use."""

    targets: list[TargetView]
    recorded: list[Fact]
    shared_links: list[Path]


def describe_targets(
    analyses: Sequence[AnalysisTarget],
    lexicon: LexiconTables | None,
    *,
    top: int,
    window: int,
    symbols: Symbols | None,
    asked: Asked,
) -> Described:
    """Describe every target; provenance that all share is told once.

    Parameters
    ----------
    analyses, lexicon, top, window, asked
        See :func:`cislex.report.render_report`.
    symbols
        Logos that all targets share, on one page; None: each target has a page and logos of its own.
    """
    attributes = [recorded(spec.attributions) for spec in analyses]
    common = shared(attributes)
    databases = sorted({str(path) for spec in analyses for path in spec.databases.values()})
    room = _Room(
        known=read_known(databases),
        small={path: database_smallness(path) for path in databases},
        words=read_pattern_words(lexicon),
        symbols=symbols,
        asked=asked,
        siblings=Siblings(analyses),
    )
    own, several = split_links(analyses)
    views = [
        _describe(spec, given, common, room, links, top=top, window=window)
        for spec, given, links in zip(analyses, attributes, own, strict=True)
    ]
    return Described(views, _in_order(common), several)


def _describe(
    spec: AnalysisTarget,
    attributes: Mapping[str, Any],
    common: Mapping[str, Any],
    room: _Room,
    links: list[Path],
    *,
    top: int,
    window: int,
) -> TargetView:
    known = {name: room.known[str(path)] for name, path in spec.databases.items()}
    widths = {name: {key: ppm.shape[1] for key, ppm in motifs.items()} for name, motifs in known.items()}
    symbols = Symbols() if room.symbols is None else room.symbols
    every = describe_motifs(
        spec,
        Drawing(symbols, room.known),
        composite=lambda width, match: is_composite(width, match_width(match, widths)),
        words=words_of(spec, room.words),
    )
    motifs = [motif for motif in every if not motif.flagged]
    flagged = [motif for motif in every if motif.flagged]
    best = read_top_regions(spec, top=top, asked=room.asked)
    hits = describe_hits(spec, every, best.places, regions=best.total)
    notes = attributes.get("notes") or []
    notes = [str(note) for note in notes] if isinstance(notes, list) else [str(notes)]
    return TargetView(
        spec=spec,
        anchor=target_anchor(spec.analysis, spec.target),
        summary=summarise(motifs, flagged, best.total)
        if spec.motifs is not None
        else f"{_capital(count(best.total, 'region'))} attributed, without motif discovery.",
        settings=facts(used(spec.settings)),
        recorded=_in_order({key: value for key, value in attributes.items() if key not in common}),
        fallbacks=notes,
        databases=few_known_motifs({name: room.small[str(path)] for name, path in spec.databases.items()}),
        folds=describe_folds(spec, attributes),
        agreement=describe_agreement(spec),
        quality=describe_quality(spec),
        stored=describe_storage(spec),
        motifs=motifs,
        flagged=flagged,
        no_motif="" if every else why_no_motif(spec),
        hits=hits,
        covered=share_under_hits(spec, hits.places) if hits else "",
        syntax=describe_syntax(spec, every),
        seqlets=describe_seqlets(spec),
        regions=draw_regions(spec, best, hits.inside if hits else {}, window=window, siblings=room.siblings),
        not_found=list(best.missing),
        predictions=best.figure,
        total=best.total,
        truth=describe_truth(spec, every),
        method=". ".join(filter(None, [method_line(attributes), reference_words(spec).rstrip(".")])),
        own_links=links,
        symbols=symbols,
    )


def _in_order(attributes: Mapping[str, Any]) -> list[Fact]:
    keys = [key for key in FIRST_ATTRIBUTES if key in attributes]
    keys += [key for key in attributes if key not in FIRST_ATTRIBUTES]
    return facts({key: attributes[key] for key in keys})
