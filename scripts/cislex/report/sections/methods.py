"""Methods text for a paper, from the settings of a run and the provenance in its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cislex.report.facts import count, in_words, recorded
from cislex.report.sections.contrasts import contrast_words
from cislex.report.sections.evolution import evolution_words
from cislex.report.sections.labels import observed_words
from cislex.report.sections.lexicon import WIDER_BP, database_smallness, match_widths
from cislex.report.sections.methods_experiments import insertion_words, variant_words
from cislex.report.sections.methods_sentences import (
    STOPPED,
    attribution_words,
    model_words,
    region_words,
    some,
)
from cislex.report.sections.motifs import WEAK_Q, database_label
from cislex.report.sections.reference_choice import reference_words
from cislex.report.sections.references import Bibliography
from cislex.report.specs import (
    AnalysisTarget,
    ContrastTables,
    EvolutionTables,
    InsertionTables,
    RegionSet,
    VariantTables,
)

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class MethodsView:
    """Paragraphs with their heads, the references cited in them (line and DOI), and BibTeX."""

    paragraphs: list[tuple[str, str]]
    references: list[tuple[str, str]]
    bibtex: str


def describe_methods(
    analyses: Sequence[AnalysisTarget],
    *,
    regions: Sequence[tuple[RegionSet, int, int]],
    models: Mapping[str, Settings],
    settings: Settings,
    insertions: Sequence[InsertionTables] = (),
    variants: Sequence[VariantTables] = (),
    has_lexicon: bool = False,
    engine: str = "",
    evolution: Sequence[EvolutionTables] = (),
    contrasts: Sequence[ContrastTables] = (),
) -> MethodsView:
    """Write the methods of a run.

    Parameters
    ----------
    analyses
        The targets.
    regions
        Each region set, with the rows read and kept.
    models
        Settings of each model, by name.
    settings
        Facts of the run: ``genome``, ``simulated data``, ``blacklist``, ``seed`` and ``sources`` (of public
        files) are told.
    insertions, variants
        In-silico experiments and sets of variants, with their settings.
    has_lexicon
        Whether the patterns of all targets were merged into words.
    engine
        ``snakemake`` where the run was one of the workflow.
    evolution, contrasts
        The designs, and the contrasts of targets or models.
    """
    cited = Bibliography()
    attributes = [recorded(spec.attributions) for spec in analyses]
    parts = [
        ("Sequences", _sequences(regions, settings)),
        ("Models", _models(analyses, attributes, models, cited)),
        ("Evaluation", _evaluation(analyses, models)),
        ("Attributions", _attributions(analyses, attributes, cited)),
        ("Motifs", _motifs(analyses, cited, has_lexicon=has_lexicon)),
        ("Motif hits", _hits(analyses, cited)),
        ("Seqlets", _seqlets(analyses)),
        ("In-silico experiments", insertion_words(insertions)),
        ("Variants", variant_words(variants)),
        ("Contrasts", contrast_words(contrasts)),
        ("Evolution", " ".join(evolution_words(spec, cited) for spec in evolution)),
        ("Software and reproducibility", _software(attributes, settings, engine, cited)),
        ("Public data", f"{'; '.join(settings['sources'])}." if settings.get("sources") else ""),
    ]
    paragraphs = [(head, text) for head, text in parts if text]
    return MethodsView(paragraphs, cited.references, cited.bibtex)


def _sequences(regions: Sequence[tuple[RegionSet, int, int]], settings: Settings) -> str:
    if not regions:
        return ""
    genome = settings.get("genome")
    sentences = []
    if settings.get("simulated data"):
        sentences.append(
            f"The genome ({genome}) and its peaks were simulated with planted motifs "
            f"({in_words({k: v for k, v in settings['simulated data'].items() if v is not None})})."
        )
    elif genome and not all(spec.direct for spec, _, _ in regions):
        sentences.append(f"Sequences were taken from the genome {genome}.")
    if settings.get("blacklist"):
        sentences.append(f"Regions that overlap {settings['blacklist']} were excluded.")
    grouped = _group((region_words(spec.settings), (spec, read, kept)) for spec, read, kept in regions)
    for words, members in grouped:
        sets = some([f"{spec.name} ({kept:,} of {read:,} rows)" for spec, read, kept in members])
        sentences.append(f"Region {'set' if len(members) == 1 else 'sets'} {sets}{words}.")
    return " ".join(sentences)


def _models(
    analyses: Sequence[AnalysisTarget],
    attributes: Sequence[Settings],
    models: Mapping[str, Settings],
    cited: Bibliography,
) -> str:
    sentences = []
    for name in dict.fromkeys(spec.model for spec in analyses):
        known = next(a for spec, a in zip(analyses, attributes, strict=True) if spec.model == name)
        digests = known.get("model_digests")
        text = model_words(name, models.get(name, {}), cited)
        if isinstance(digests, Mapping) and digests:
            listed = ", ".join(f"{fold} {digest}" for fold, digest in digests.items())
            text += f" Digest of its weights (BLAKE2b-128): {listed}."
        sentences.append(text)
    return " ".join(sentences)


def _evaluation(analyses: Sequence[AnalysisTarget], models: Mapping[str, Settings]) -> str:
    """What predictions were compared with; empty where there was nothing to compare."""
    labelled = [_label(spec) for spec in analyses if spec.evaluation is not None]
    against = []
    if any(isinstance(settings.get("training"), Mapping) for settings in models.values()):
        against.append("labels of held-out windows")
    if labelled:
        against.append(f"observations in the regions ({'; '.join(labelled)})")
    if not against:
        return ""
    compared = " and with ".join(against)
    return f"Predictions were compared with {compared}; intervals are 95 % bootstrap intervals."


def _label(spec: AnalysisTarget) -> str:
    """A target with what its labels are, where that is known."""
    words, _ = observed_words(spec.labels, spec.peaks)
    return f"{spec.label}: {words}" if words else spec.label


def _attributions(
    analyses: Sequence[AnalysisTarget], attributes: Sequence[Settings], cited: Bibliography
) -> str:
    """One stretch of text for each way of attributing; targets that share it are told together."""
    grouped = _group(
        (attribution_words(given, spec.settings, cited), (spec, given))
        for spec, given in zip(analyses, attributes, strict=True)
    )
    sentences = []
    for words, members in grouped:
        targets = some([f"{spec.label} ({_scalar(given)})" for spec, given in members])
        one = len(members) == 1
        sentences.append(f"{'Target' if one else 'Targets'} {targets}: {words}")
        if not words.endswith("."):  # it ends with the gate
            over = sum(int(given.get("n_over_limit", 0)) for _, given in members)
            total = sum(int(given.get("n_regions", 0)) for _, given in members)
            none = words.endswith(STOPPED) and not over
            sentences[-1] += " (none did)." if none else f" ({over:,} of {total:,})."
        sentences += filter(None, dict.fromkeys(reference_words(spec) for spec, _ in members))
    return " ".join(sentences)


def _scalar(attributes: Settings) -> str:
    """``output 0``, ``log counts of task 1``: the number of the model's output that was attributed."""
    target = attributes.get("target_settings")
    if not isinstance(target, Mapping):
        return "one number of the model's output"
    kind = str(target.get("kind", "output")).replace("_", " ")
    given = {key: value for key, value in target.items() if key != "kind" and value is not None}
    if set(given) <= {"index"}:
        return f"{kind} {in_words(given.get('index', 0))}"
    return f"{kind}: {in_words(given)}"


def _motifs(analyses: Sequence[AnalysisTarget], cited: Bibliography, *, has_lexicon: bool) -> str:
    grouped = _group((_modisco(spec, cited), spec) for spec in analyses if spec.modisco is not None)
    texts = [text for text, _ in grouped]
    if len(texts) > 1:
        texts = [f"{some([spec.label for spec in members])}: {text}" for text, members in grouped]
    texts += [*_annotation(analyses, cited), _composites(analyses, has_lexicon=has_lexicon)]
    return " ".join(text for text in texts if text)


def _composites(analyses: Sequence[AnalysisTarget], *, has_lexicon: bool) -> str:
    """What is called a composite; empty where nothing can be."""
    if has_lexicon:
        return (
            "Patterns of all targets that are not flagged were merged into one lexicon of words; patterns "
            "that hold words at a fixed distance are its composites."
        )
    if not any(spec.databases for spec in analyses if spec.settings.get("motifs")):
        return ""
    wider = f"wider than its best match by at least {WIDER_BP} bp and by half"
    return f"A pattern that is {wider} is called a composite."


def _modisco(spec: AnalysisTarget, cited: Bibliography) -> str:
    assert spec.modisco is not None
    facts = recorded(spec.modisco)
    given, versions = facts.get("settings"), facts.get("versions")
    version = f" {versions['modisco-lite']}" if isinstance(versions, Mapping) else ""
    text = (
        f"Motifs were discovered with TF-MoDISco ({cited.cite('shrikumar2018modisco')}) as implemented in "
        f"tfmodisco-lite{version} ({cited.cite('modiscolite')}) from the hypothetical contributions"
    )
    if not isinstance(given, Mapping):
        return f"{text}."
    window = "all bases" if given.get("window") is None else f"the central {given['window']} bp"
    return (
        f"{text} of {window} of each region, with at most {given['max_seqlets']:,} seqlets per sign, a "
        f"sliding window of {given['sliding_window_size']} bp with flanks of {given['flank_size']} bp, a "
        f"seqlet false discovery rate of {given['target_seqlet_fdr']:g}, more than "
        f"{given['min_metacluster_size']} seqlets of a sign, {count(given['n_leiden_runs'], 'run')} of "
        f"Leiden clustering ({cited.cite('traag2019leiden')}), patterns of at least "
        f"{given['final_min_cluster_size']} seqlets, and seed {given['seed']}."
    )


def _annotation(analyses: Sequence[AnalysisTarget], cited: Bibliography) -> list[str]:
    """How patterns were cut, flagged and named."""
    sentences = []
    grouped: dict[tuple[tuple[str, str], ...], AnalysisTarget] = {}
    for spec in analyses:
        grouped.setdefault(tuple((name, str(path)) for name, path in spec.databases.items()), spec)
    for databases, spec in grouped.items():
        motifs = spec.settings.get("motifs")
        if not isinstance(motifs, Mapping):
            continue
        cut, low, wide = (motifs.get(key) for key in ("trim_threshold", "min_information", "max_width"))
        sentences.append(
            f"Patterns were trimmed to the stretch from the first to the last position with at least {cut:g} "
            f"of the largest contribution, and flagged as doubtful if no position exceeded {low:g} bits or "
            f"if {wide} bp or more remained."
        )
        if databases:
            named = some([_database(name, path, cited) for name, path in databases])
            ranked = ", each database with its own q-values" if len(databases) > 1 else ""
            sentences.append(
                f"They were compared with {named} with TOMTOM ({cited.cite('gupta2007tomtom')}) as "
                f"implemented in memelite{ranked}{_null(databases)}; matches with q ≤ {WEAK_Q:g} count as "
                "significant."
            )
    return list(dict.fromkeys(sentences))


def _null(databases: Sequence[tuple[str, str]]) -> str:
    """Where q-values come from, if not from TOMTOM's p-values."""
    few = {database_label(name): why for name, path in databases if (why := database_smallness(path))}
    if not few:
        return ""
    of = f" of {some([*few])}" if len(databases) > 1 else ""
    return f" (q-values{of} from shuffled columns of the patterns: {some([*dict.fromkeys(few.values())])})"


def _database(name: str, path: str, cited: Bibliography) -> str:
    """``the 193 motifs of JASPAR2026 CORE (fungi; …)``, ``the 12 motifs of hocomoco``."""
    size = count(len(match_widths(path)), "motif")
    if not name.startswith("jaspar-"):
        return f"the {size} of {database_label(name)}"
    release, group = database_label(name).split(" ", 1)
    key = release.lower()
    paper = f"; {cited.cite(key)}" if key in ("jaspar2022", "jaspar2024", "jaspar2026") else ""
    return f"the {size} of {release} CORE ({group}{paper})"


def _hits(analyses: Sequence[AnalysisTarget], cited: Bibliography) -> str:
    called = [spec for spec in analyses if spec.hits is not None]
    scans = [spec for spec in called if _hit_setting(spec, "method") == "scan"]
    explained = [spec for spec in called if spec not in scans]
    texts = []
    if explained:
        of_words = any(spec.usage is not None for spec in explained)
        what = "the words of this lexicon, the same in all targets," if of_words else "unflagged motifs"
        known = list(
            dict.fromkeys(f"{a:g}" for s in explained if (a := _hit_setting(s, "alpha")) is not None)
        )
        sparsity = f" with sparsity λ = {some(known)}" if known else ""
        texts.append(f"Instances of {what} were called with Fi-NeMo ({cited.cite('finemo')}){sparsity}.")
    if scans:
        names = [str(_hit_setting(spec, "database") or "") for spec in scans]
        known = list(
            dict.fromkeys(f"the motifs of {Path(name).name}" if name else "the words" for name in names)
        )
        limits = some(list(dict.fromkeys(f"{_hit_setting(spec, 'max_p'):g}" for spec in scans)))
        texts.append(
            f"Sites of {some(known)} were found by scanning the sequences with FIMO "
            f"({cited.cite('grant2011fimo')}) as implemented in memelite, on both strands, at p < {limits} "
            "against equal base frequencies."
        )
    return " ".join(texts)


def _hit_setting(spec: AnalysisTarget, key: str) -> Any:
    """A setting of the hits of a target; None where it is not given."""
    settings = spec.settings.get("hits")
    return settings.get(key) if isinstance(settings, Mapping) else None


def _seqlets(analyses: Sequence[AnalysisTarget]) -> str:
    """How single spans were called and named; empty where none were."""
    called = [spec for spec in analyses if spec.seqlets is not None]
    settings = [s for spec in called if isinstance(s := spec.settings.get("seqlets"), Mapping)]
    if not called:
        return ""
    text = "Seqlets of single regions were called with recursive_seqlets of tangermeme"
    for given in settings[:1]:
        text += (
            f" (p ≤ {given['max_p']:g} for every span of {given['min_length']} to {given['max_length']} bp "
            f"inside) up to a false discovery rate of {given['max_q']:g}"
        )
    return (
        f"{text}, estimated from the same contributions in random order within each region. They were named "
        "with TOMTOM by their hypothetical contributions."
    )


def _software(attributes: Sequence[Settings], settings: Settings, engine: str, cited: Bibliography) -> str:
    versions = attributes[0].get("versions")
    sentences = []
    if isinstance(versions, Mapping):
        own = f"cislex {versions['cislex']} ({cited.cite('cislex')})"
        torch = f"PyTorch {versions['torch']} ({cited.cite('paszke2019pytorch')})"
        rest = [f"{name} {version}" for name, version in versions.items() if name not in ("cislex", "torch")]
        sentences.append(f"The analysis used {', '.join([own, torch, *rest])}.")
    if engine == "snakemake":
        sentences.append(f"The workflow was run with Snakemake ({cited.cite('molder2021snakemake')}).")
    if settings.get("seed") is not None:
        sentences.append(
            f"Random seed: {settings['seed']}; each region's own seed is derived from it, the genome digest "
            f"and the locus, and does not depend on order or batches."
        )
    digests = [str(given["source_digest"]) for given in attributes if given.get("source_digest")]
    if digests:
        found = some(list(dict.fromkeys(digests)))
        sentences.append(f"Digest of the genome or input sequences (BLAKE2b-128): {found}.")
    return " ".join(sentences)


def _group(pairs: Any) -> list[tuple[str, list[Any]]]:
    """Join the members that share a text, in the order of their first."""
    found: dict[str, list[Any]] = {}
    for text, member in pairs:
        found.setdefault(text, []).append(member)
    return list(found.items())
