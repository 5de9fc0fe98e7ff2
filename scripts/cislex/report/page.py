"""The report: every section put together, on one page or on an index and a page for each target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cislex import __version__
from cislex.errors import InputError
from cislex.logs import get_logger
from cislex.report.facts import count, facts
from cislex.report.figures.motif_logos import Symbols
from cislex.report.links import Links
from cislex.report.places import places_of
from cislex.report.sections.comparison import describe_comparisons
from cislex.report.sections.concerns import in_order, model_concerns, region_concerns
from cislex.report.sections.contrasts import describe_contrasts
from cislex.report.sections.evolution import describe_evolution
from cislex.report.sections.insertions import describe_insertions
from cislex.report.sections.lexicon import composition, known_motifs, read_lexicon
from cislex.report.sections.methods import describe_methods
from cislex.report.sections.models import describe_models
from cislex.report.sections.regions import describe_regions
from cislex.report.sections.summary import named, some
from cislex.report.sections.top_regions import Asked
from cislex.report.sections.training import describe_training
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
from cislex.report.targets import TargetView, describe_targets
from cislex.report.template import capital as _capital
from cislex.report.template import read_script
from cislex.report.writing import write_pages
from cislex.wording import counted

#: The page's template, which is installed with the package.
TEMPLATE = Path(__file__).with_name("report.html.j2")
#: Reports of more targets have an index and one page for each.
PAGES_ABOVE = 8


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
    pages_above: int = PAGES_ABOVE,
    assembly: str | None = None,
    loci: Sequence[str] = (),
    names: Sequence[str] = (),
) -> None:
    """Write the report: one HTML file that needs nothing else or, of many targets, a folder of them.

    Parameters
    ----------
    out
        The page. With more than ``pages_above`` targets it leads to ``index.html`` in the folder of the same
        name without ``.html``, which also has a page for each target.
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
        Regions drawn for each target.
    window
        Bases of each region's logo.
    pages_above
        Most targets on one page.
    assembly
        Name of the genome's assembly at the UCSC Genome Browser, to which loci then link.
    loci, names
        Regions that are drawn besides: those that overlap ``chrIV:1,000-2,000`` or ``chrIV:1500``, and those
        with such a name.

    Raises
    ------
    InputError
        A file that was named is missing, or nothing was given to report.
    StorageError
        A file is broken, or a column or dataset is missing.

    Examples
    --------
    >>> from cislex.report import AnalysisTarget, render_report
    >>> peaks = AnalysisTarget(
    ...     analysis="peaks",
    ...     target="counts",
    ...     region_set="peaks",
    ...     model="net",
    ...     attributions="results/peaks/counts/attributions.h5",
    ...     motifs=None,
    ... )
    >>> render_report("report.html", title="My model", results="results", analyses=[peaks])  # doctest: +SKIP
    """
    if not analyses:
        raise InputError("report: no analysis was given; name at least one in the config")
    check_all(
        analyses, regions, models, [] if lexicon is None else [lexicon], insertions, variants, evolution
    )
    check_all(comparisons, contrasts)
    places, own = places_of(analyses, pages_above=pages_above)
    symbols = None if own else Symbols()
    described = describe_targets(
        analyses, lexicon, top=top, window=window, symbols=symbols, asked=Asked(loci, names)
    )
    run = _describe_run(
        {"insertions": insertions, "variants": variants, "evolution": evolution, "contrasts": contrasts},
        analyses=analyses,
        regions=regions,
        models=models,
        lexicon=lexicon,
        comparisons=comparisons,
        settings=settings or {},
        model_settings=model_settings or {},
        engine=engine,
        targets=described.targets,
    )
    script, digest = read_script()
    run |= {
        "title": title, "date": date, "version": __version__, "results": str(results),
        "trusted": list(trusted),
        "window": window, "script": script, "script_digest": digest, "recorded": described.recorded,
        "shared_links": described.shared_links, "lead": lead(described.targets),
    }  # fmt: skip
    size = write_pages(out, run, described.targets, places, own, template=template, links=Links(assembly))
    number = counted(len(analyses), "target")
    get_logger(__name__).info("%s: %s, %.1f MB", out, number, size / 1e6)


def _describe_run(
    experiments: Mapping[str, Sequence[Any]],
    *,
    analyses: Sequence[AnalysisTarget],
    regions: Sequence[RegionSet],
    models: Sequence[TrainedModel],
    lexicon: LexiconTables | None,
    comparisons: Sequence[ComparisonTables],
    settings: Mapping[str, Any],
    model_settings: Mapping[str, Mapping[str, Any]],
    engine: str,
    targets: Sequence[TargetView],
) -> dict[str, Any]:
    """Describe all that is not of one target."""
    sets, folds = [describe_regions(spec) for spec in regions], describe_training(models)
    return {
        "settings": facts({key: value for key, value in settings.items() if key != "sources"}),
        "regions": sets,
        "methods": describe_methods(
            analyses,
            regions=[(view.spec, view.read, view.kept) for view in sets],
            models=model_settings,
            settings=settings,
            has_lexicon=lexicon is not None,
            engine=engine,
            **experiments,
        ),
        "folds": folds,
        "models": describe_models(analyses, models),
        "vocabulary": describe_vocabulary(lexicon),
        "insertions": describe_insertions(experiments["insertions"]),
        "comparisons": describe_comparisons(comparisons),
        "contrasts": describe_contrasts(experiments["contrasts"]),
        "variants": describe_variants(experiments["variants"]),
        "evolution": describe_evolution(experiments["evolution"]),
        "concerns": in_order(
            [
                *model_concerns(folds),
                *region_concerns(sets),
                *(concern for target in targets for concern in target.concerns),
            ]
        ),
        "known": any(target.truth is not None for target in targets),
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
    parts.append(f"Best match of the most frequent pattern: {some(best, '; ', first=3)}." if best else "")
    empty = [view.spec.label for view in views if view.searched and not view.motifs]
    parts.append(f"No motif in {some(empty, ', ')}." if empty else "")
    return " ".join(part for part in parts if part)
