"""The page itself: every section put together and written as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cislex import __version__
from cislex.errors import InputError
from cislex.files.tables import write_text
from cislex.logs import get_logger
from cislex.report.facts import Fact, count, facts, recorded, shared
from cislex.report.figures.logos import glyph_definitions
from cislex.report.sections.comparison import describe_comparisons
from cislex.report.sections.completeness import QualityView, describe_quality
from cislex.report.sections.concerns import (
    Concern,
    in_order,
    model_concerns,
    region_concerns,
    target_concerns,
)
from cislex.report.sections.contrasts import describe_contrasts
from cislex.report.sections.evolution import describe_evolution
from cislex.report.sections.files import split_links
from cislex.report.sections.folds import FoldsView, describe_folds
from cislex.report.sections.hits import HitsView, describe_hits
from cislex.report.sections.insertions import describe_insertions
from cislex.report.sections.lexicon import (
    composition,
    database_smallness,
    few_known_motifs,
    is_composite,
    known_motifs,
    match_width,
    match_widths,
    read_lexicon,
)
from cislex.report.sections.methods import describe_methods
from cislex.report.sections.models import describe_models
from cislex.report.sections.motifs import MotifView, Pictures, describe_motifs, is_silent, why_no_motif
from cislex.report.sections.pattern_words import PatternWords, read_pattern_words, words_of
from cislex.report.sections.predictions import AgreementView, describe_agreement
from cislex.report.sections.reference_choice import reference_words
from cislex.report.sections.regions import describe_regions
from cislex.report.sections.seqlets import SeqletsView, describe_seqlets
from cislex.report.sections.storage import describe_storage
from cislex.report.sections.summary import method_line, named, some, summarise
from cislex.report.sections.syntax import CHARTS_SHOWN, SyntaxView, describe_syntax
from cislex.report.sections.top_regions import RegionView, draw_regions, read_top_regions
from cislex.report.sections.training import describe_training
from cislex.report.sections.truth import TruthView, describe_truth
from cislex.report.sections.variants import describe_variants
from cislex.report.sections.vocabulary import describe_vocabulary
from cislex.report.specs import (
    AnalysisTarget,
    ComparisonTables,
    ContrastTables,
    EvolutionTables,
    InsertionTables,
    LexiconTables,
    RegionSet,
    TrainedModel,
    VariantTables,
    check_all,
)
from cislex.report.template import capital as _capital
from cislex.report.template import load_template
from cislex.wording import counted

#: The page's template, which is installed with the package.
TEMPLATE = Path(__file__).with_name("report.html.j2")
#: Bytes of motif logos on one page; the rest of the page is small.
LOGO_BUDGET, DOUBTFUL_BUDGET = 2_000_000, 600_000
#: Regions drawn on one page, shared among the targets: a drawing takes about 16 kB.
REGIONS_DRAWN = 100
#: Pairs of words drawn on one page, likewise.
PAIRS_DRAWN = 80
#: Flagged motifs shown for one target (noise alone gives some thirty), and on one page.
FLAGGED_SHOWN, FLAGGED_IN_ALL = 15, 300
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
    notes: list[str]
    folds: FoldsView | None
    agreement: AgreementView | None
    quality: QualityView
    stored: str
    motifs: list[MotifView]
    flagged: list[MotifView]
    flagged_hidden: int
    no_motif: str
    hits: HitsView | None
    syntax: SyntaxView | None
    seqlets: SeqletsView | None
    regions: list[RegionView]
    total: int
    truth: TruthView | None
    method: str

    @property
    def searched(self) -> bool:
        """Whether motifs were looked for."""
        return self.spec.motifs is not None

    @property
    def concerns(self) -> list[Concern]:
        """What to know before trusting this target."""
        return target_concerns(
            self.spec.label, self.anchor, folds=self.folds, agreement=self.agreement,
            quality=self.quality, silent=is_silent(self.spec),
        )  # fmt: skip


@dataclass(frozen=True)
class _Room:
    """How much a page holds: logos of motifs, of flagged motifs, how many of these a target shows, and pairs.

    ``widths`` are those of the known motifs, by database file and identifier; ``small`` says why they are
    too few; ``words`` are of the patterns.
    """

    motifs: Pictures
    doubtful: Pictures
    flagged: int
    pairs: int
    widths: Mapping[str, Mapping[str, int]]
    small: Mapping[str, str]
    words: PatternWords


def render_report(
    out: str | Path,
    *,
    title: str,
    results: str | Path,
    analyses: Sequence[AnalysisTarget],
    regions: Sequence[RegionSet] = (),
    models: Sequence[TrainedModel] = (),
    lexicon: LexiconTables | None = None,
    insertions: Sequence[InsertionTables] = (),
    comparisons: Sequence[ComparisonTables] = (),
    contrasts: Sequence[ContrastTables] = (),
    variants: Sequence[VariantTables] = (),
    evolution: Sequence[EvolutionTables] = (),
    settings: Mapping[str, Any] | None = None,
    template: str | Path = TEMPLATE,
    trusted: Sequence[str] = (),
    model_settings: Mapping[str, Mapping[str, Any]] | None = None,
    engine: str = "",
    date: str | None = None,
    top: int = 10,
    window: int = 90,
) -> None:
    """Write the report: one HTML file that needs nothing else.

    Parameters
    ----------
    out
        The page.
    title
        Its title.
    results
        The results folder, whose name the page shows; links are relative to ``out``.
    analyses
        One entry a target, in the order of the page.
    regions
        The region sets.
    models
        One entry a fold trained in this run.
    lexicon
        The lexicon of all targets, where one was made.
    insertions
        One entry an in-silico experiment.
    comparisons
        One entry a comparison of methods.
    contrasts
        One entry a contrast of two targets or models.
    variants
        Scores of each set of variants.
    evolution
        One entry a design.
    settings
        Facts of the run, shown as they are; ``sources`` (where public files come from) in the methods.
    template
        The Jinja template; by default that of the package.
    trusted
        Models whose weights were unpickled with ``trust_pickle``.
    model_settings
        Settings of each model by name, for the section on methods.
    engine
        ``snakemake`` where the workflow made the results.
    date
        Date that the page shows; none without it, and the page then depends on its inputs alone.
    top
        Regions drawn for each target; fewer on a page of many targets, which says so.
    window
        Bases of each region's logo.

    Raises
    ------
    InputError
        A file that was named is missing, or nothing was given to report.
    StorageError
        A file is broken, or a column or dataset is missing.
    """
    if not analyses:
        raise InputError("report: no analysis was given; name at least one in the config")
    check_all(
        analyses, regions, models, [] if lexicon is None else [lexicon], insertions, variants, evolution
    )
    check_all(comparisons, contrasts)
    drawn = min(top, REGIONS_DRAWN // len(analyses))
    sets = [describe_regions(spec) for spec in regions]
    methods = describe_methods(
        analyses,
        regions=[(view.spec, view.read, view.kept) for view in sets],
        models=model_settings or {},
        settings=settings or {},
        insertions=insertions,
        variants=variants,
        has_lexicon=lexicon is not None,
        engine=engine,
        evolution=evolution,
        contrasts=contrasts,
    )
    page = load_template(template, Path(out).resolve().parent)
    html = page.render(
        title=title,
        date=date,
        version=__version__,
        results=str(results),
        settings=facts({key: value for key, value in (settings or {}).items() if key != "sources"}),
        trusted=list(trusted),
        regions=sets,
        methods=methods,
        folds=(folds := describe_training(models)),
        models=describe_models(analyses, models),
        vocabulary=describe_vocabulary(lexicon),
        insertions=describe_insertions(insertions),
        comparisons=describe_comparisons(comparisons),
        contrasts=describe_contrasts(contrasts),
        variants=describe_variants(variants),
        evolution=describe_evolution(evolution),
        glyphs=glyph_definitions(),
        fewer=drawn < top,
        window=window,
        **(described := _describe_all(analyses, lexicon, top=drawn, window=window)),
        concerns=in_order(
            [
                *model_concerns(folds),
                *region_concerns(sets),
                *(c for t in described["targets"] for c in t.concerns),
            ]
        ),
    )
    write_text(html, out)
    number, size = counted(len(analyses), "target"), len(html.encode()) / 1e6
    get_logger(__name__).info("%s: %s, %.1f MB", out, number, size)


def _describe_all(
    analyses: Sequence[AnalysisTarget], lexicon: LexiconTables | None, *, top: int, window: int
) -> dict[str, Any]:
    """Describe every target; provenance that all share is shown once."""
    attributes = [recorded(spec.attributions) for spec in analyses]
    common = shared(attributes)
    databases = {str(path) for spec in analyses for path in spec.databases.values()}
    room = _Room(
        motifs=Pictures(LOGO_BUDGET),
        doubtful=Pictures(DOUBTFUL_BUDGET),
        flagged=max(3, min(FLAGGED_SHOWN, FLAGGED_IN_ALL // len(analyses))),
        pairs=min(CHARTS_SHOWN, PAIRS_DRAWN // len(analyses)),
        widths={path: match_widths(path) for path in databases},
        small={path: database_smallness(path) for path in databases},
        words=read_pattern_words(lexicon),
    )
    views = [
        _describe(spec, given, common, room, top=top, window=window)
        for spec, given in zip(analyses, attributes, strict=True)
    ]
    return {
        "targets": views,
        "own_links": (links := split_links(analyses))[0],
        "shared_links": links[1],
        "known": any(view.truth is not None for view in views),
        "lead": lead(views),
        "recorded": _in_order(common),
        "logos_left_out": room.motifs.left_out + room.doubtful.left_out,
    }


def lead(views: Sequence[TargetView]) -> str:
    """Say in a few sentences what was found in all: known motifs counted once, composites apart."""
    if len(views) == 1:
        return views[0].summary
    sets = {view.spec.region_set: view.total for view in views}
    where = f"in {count(len(views), 'target')} over {count(sum(sets.values()), 'region')}"
    found = [view for view in views if view.motifs]
    if not any(view.searched for view in views):
        return f"{_capital(where.removeprefix('in '))} were attributed, without motif discovery."
    if not found:
        return f"No motif was found {where}."
    lexicon = read_lexicon(motif for view in found for motif in view.motifs)
    parts = [f"{_capital(known_motifs(lexicon))} {where}{named(lexicon)}.", composition(lexicon)]
    best = [f"{view.motifs[0].best} in {view.spec.label}" for view in found if view.motifs[0].best]
    parts.append(f"Best match of the most frequent pattern: {some(best, '; ')}." if best else "")
    empty = [view.spec.label for view in views if view.searched and not view.motifs]
    parts.append(f"No motif in {some(empty, ', ')}." if empty else "")
    return " ".join(part for part in parts if part)


def _describe(
    spec: AnalysisTarget,
    attributes: Mapping[str, Any],
    common: Mapping[str, Any],
    room: _Room,
    *,
    top: int,
    window: int,
) -> TargetView:
    widths = {name: room.widths[str(path)] for name, path in spec.databases.items()}
    every = describe_motifs(
        spec,
        room.motifs,
        room.doubtful,
        flagged=room.flagged,
        composite=lambda width, match: is_composite(width, match_width(match, widths)),
        words=words_of(spec, room.words),
    )
    motifs = [motif for motif in every if not motif.flagged]
    flagged = [motif for motif in every if motif.flagged]
    best = read_top_regions(spec, top=top)
    hits = describe_hits(spec, every, best.places)
    notes = attributes.get("notes") or []
    notes = [str(note) for note in notes] if isinstance(notes, list) else [str(notes)]
    return TargetView(
        spec=spec,
        anchor=quote(f"{spec.analysis}.{spec.target}", safe=""),
        summary=summarise(motifs, flagged, best.total)
        if spec.motifs is not None
        else f"{_capital(count(best.total, 'region'))} attributed, without motif discovery.",
        settings=facts(spec.settings),
        recorded=_in_order({key: value for key, value in attributes.items() if key not in common}),
        notes=[
            *notes,
            *few_known_motifs({name: room.small[str(path)] for name, path in spec.databases.items()}),
        ],
        folds=describe_folds(spec, attributes),
        agreement=describe_agreement(spec),
        quality=describe_quality(spec),
        stored=describe_storage(spec),
        motifs=motifs,
        flagged=flagged[: room.flagged],
        flagged_hidden=max(len(flagged) - room.flagged, 0),
        no_motif="" if every else why_no_motif(spec),
        hits=hits,
        syntax=describe_syntax(spec, every, charts=room.pairs),
        seqlets=describe_seqlets(spec),
        regions=draw_regions(best, hits.inside if hits else {}, window=window),
        total=best.total,
        truth=describe_truth(spec, every),
        method=". ".join(filter(None, [method_line(attributes), reference_words(spec).rstrip(".")])),
    )


def _in_order(attributes: Mapping[str, Any]) -> list[Fact]:
    keys = [key for key in FIRST_ATTRIBUTES if key in attributes]
    keys += [key for key in attributes if key not in FIRST_ATTRIBUTES]
    return facts({key: attributes[key] for key in keys})
