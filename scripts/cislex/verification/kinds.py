"""Every kind of file of a results folder: its place, how it is checked by itself, and against others."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from cislex.verification import arrays, attributions, experiments, rows, tables, texts, words

#: Characters of the names that a config gives.
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
Check = Callable[..., None]


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Parameters
    ----------
    name
        As ``verification.tsv`` has it.
    places
        Patterns of its paths below the results folder; names in braces are those of the config.
    alone
        Checks a file by itself.
    across
        Compares it with others, after all were checked by themselves; None: nothing does.
    fragile
        A library may crash or hang on a damaged file of this kind, so that it is read in a process of its own
        unless its bytes are those that its job wrote.
    """

    name: str
    places: tuple[str, ...]
    alone: Check
    across: Check | None = None
    fragile: bool = False


def _table(name: str, *places: str, across: Check | None = None) -> Kind:
    return Kind(name, places, tables.check_table, across)


_TARGET, _LEXICON, _VARIANTS = "{analysis}/{target}", "lexicon", "variants/{variants}"
_INSERTION, _COMPARISON = "insertions/{insertion}", "comparisons/{comparison}"
_CONTRAST, _EVOLUTION, _MODEL = "contrasts/{contrast}", "evolution/{evolution}", "models/{model}"
#: In the order in which they are looked for: a folder with a name of its own before any analysis.
KINDS = (
    _table("chromosomes", "genome/chromosomes.tsv", across=rows.compare_chromosomes),
    Kind("index of the genome", ("genome/index.fai",), texts.check_fai),
    Kind("index of blocks", ("genome/index.gzi",), texts.check_gzi),
    _table("regions", "regions/{regions}/regions.bed", across=rows.compare_regions),
    _table("summary of regions", "regions/{regions}/regions.summary.tsv"),
    _table("dropped rows", "regions/{regions}/dropped.tsv"),
    _table("adjusted rows", "regions/{regions}/adjusted.tsv"),
    Kind("sequences", ("regions/{regions}/sequences.h5",), arrays.check_sequences, rows.compare_sequences),
    Kind("simulated genome", ("simulated/genome.fa",), texts.check_fasta),
    Kind("simulated peaks", ("simulated/{assay}.narrowPeak",), texts.check_peaks),
    _table("simulated truth", "simulated/truth.tsv"),
    _table("simulated grammar", "simulated/grammar.tsv"),
    Kind("planted motifs", ("simulated/motifs.meme",), texts.check_meme),
    Kind("weights", ("simulated/model.pt", f"{_MODEL}/{{fold}}.pt"), texts.check_weights),
    _table("training", f"{_MODEL}/{{fold}}.training.tsv", across=experiments.compare_training),
    _table("evaluation of training", f"{_MODEL}/{{fold}}.evaluation.tsv",
           across=experiments.compare_training_scores),
    _table("baseline", f"{_MODEL}/{{fold}}.baseline.tsv"),
    _table("held-out predictions", f"{_MODEL}/{{fold}}.held_out.tsv.gz"),
    Kind("known motifs", ("motif_databases/{database}.meme",), texts.check_meme),
    _table("lexicon", f"{_LEXICON}/lexicon.tsv", across=words.compare_lexicon),
    _table("members of the lexicon", f"{_LEXICON}/lexicon_members.tsv", across=words.compare_members),
    _table("usage", f"{_LEXICON}/usage.tsv", across=words.compare_usage),
    Kind("matrix of usage", (f"{_LEXICON}/usage.h5ad",), arrays.check_usage, fragile=True),
    Kind("motifs of the lexicon", (f"{_LEXICON}/lexicon.meme",), texts.check_meme,
         words.compare_lexicon_meme),
    Kind("patterns of the lexicon", (f"{_LEXICON}/lexicon.h5",), arrays.check_patterns),
    _table("dropped variants", f"{_VARIANTS}/dropped_variants.tsv"),
    _table("alleles", f"{_VARIANTS}/alleles.tsv", across=experiments.compare_alleles),
    Kind("scored variants", (f"{_VARIANTS}/chunks/{{fold}}/{{chunk}}.h5",), arrays.check_scored),
    _table("variants", f"{_VARIANTS}/variants.tsv", across=experiments.compare_variants),
    Kind("variants in VCF", (f"{_VARIANTS}/variants.vcf.gz",), texts.check_vcf),
    Kind("index", (f"{_VARIANTS}/variants.vcf.gz.tbi", f"{_VARIANTS}/variants.vcf.gz.csi",
                   f"{_TARGET}/hits.bed.gz.tbi", f"{_TARGET}/hits.bed.gz.csi"), texts.check_index),
    Kind("attributed variants", (f"{_VARIANTS}/top_variants.h5",), arrays.check_top, experiments.compare_top),
    _table("top variants", f"{_VARIANTS}/top_variants.tsv"),
    _table("evaluation of variants", f"{_VARIANTS}/evaluation.tsv"),
    _table("enrichment", f"{_VARIANTS}/enrichment.tsv"),
    _table("observed variants", f"{_VARIANTS}/observed.tsv"),
    Kind("plan", (f"{_INSERTION}/plan.h5",), arrays.check_plan, experiments.compare_plan),
    _table("inserts", f"{_INSERTION}/inserts.tsv"),
    Kind("predictions of inserts", (f"{_INSERTION}/chunks/{{fold}}/{{chunk}}.h5",), arrays.check_inserted,
         experiments.compare_inserted),
    _table("insertions", f"{_INSERTION}/insertions.tsv", across=experiments.compare_insertions),
    _table("contexts", f"{_INSERTION}/contexts.tsv"),
    _table("sites", f"{_INSERTION}/sites.tsv", across=experiments.compare_sites),
    _table("comparison", f"{_COMPARISON}/comparison.tsv"),
    _table("compared regions", f"{_COMPARISON}/regions.tsv.gz"),
    _table("methods", f"{_COMPARISON}/methods.tsv"),
    _table("curves", f"{_COMPARISON}/curves.tsv"),
    _table("curves of one analysis", f"{_COMPARISON}/{{source}}/curves.tsv"),
    _table("pairs of planted words", f"{_COMPARISON}/words.tsv", f"{_COMPARISON}/{{source}}/words.tsv"),
    _table("logos of regions", f"{_COMPARISON}/logos.tsv"),
    _table("faithfulness", f"{_COMPARISON}/{{source}}/faithfulness.tsv"),
    _table("contrasted hits", f"{_CONTRAST}/hits.tsv.gz"),
    _table("contrasted words", f"{_CONTRAST}/words.tsv", across=experiments.compare_contrast),
    _table("sides", f"{_CONTRAST}/sides.tsv"),
    _table("trajectories", f"{_EVOLUTION}/trajectories.tsv", across=experiments.compare_trajectories),
    Kind("evolved sequences", (f"{_EVOLUTION}/evolved.fa",), texts.check_fasta),
    Kind("arrays of evolution", (f"{_EVOLUTION}/evolution.h5",), arrays.check_evolution),
    Kind("report", ("report.html", "report/{page}.html"), texts.check_page),
    Kind("file for genome browsers", ("browser/{file}", "browser/data/{file}", "browser/genome/{file}"),
         texts.check_copy),
    Kind("layout of another tool", ("exports/{analysis}/{target}/{file}",), texts.check_copy),
    Kind("config", ("config.yaml",), texts.check_text),
    Kind("record of a run", ("runs/{run}.yaml",), texts.check_text),
    Kind("records of jobs", ("runs/records.jsonl",), texts.check_records),
    Kind("digests", ("runs/digests.json",), texts.check_json),
    _table("cost", "cost.tsv"),
    Kind("cost in words", ("cost.txt",), texts.check_text),
    Kind("inspected models", ("{analysis}/inspected.json",), texts.check_json, experiments.compare_inspected),
    Kind("number of references", ("{analysis}/references.json",), texts.check_json),
    _table("inspection", "{analysis}/inspection.tsv"),
    Kind("inspection in words", ("{analysis}/inspection.txt",), texts.check_text),
    Kind("predictions", ("{analysis}/predictions.h5",), arrays.check_predictions, rows.compare_predictions),
    _table("table of predictions", "{analysis}/predictions.tsv", across=rows.compare_prediction_table),
    _table("observed", "{analysis}/observed.tsv", across=rows.compare_region_table),
    _table("evaluation", "{analysis}/evaluation.tsv"),
    _table("windows", "{analysis}/windows.tsv", across=rows.compare_windows),
    Kind("chunk", ("{analysis}/chunks/{fold}/{chunk}.h5",), arrays.check_chunk),
    Kind("complete attributions", (f"{_TARGET}/attributions.all.h5",), attributions.check_attributions,
         rows.compare_complete),
    Kind("attributions", (f"{_TARGET}/attributions.h5",), attributions.check_attributions,
         rows.compare_gated),
    _table("quality table", f"{_TARGET}/qc.tsv", across=rows.compare_quality),
    Kind("track", (f"{_TARGET}/contributions.bw",), texts.check_track, words.compare_track, fragile=True),
    Kind("patterns", (f"{_TARGET}/modisco.h5",), arrays.check_patterns, words.compare_patterns),
    _table("motifs", f"{_TARGET}/motifs.tsv", across=words.compare_motifs),
    Kind("motifs in MEME format", (f"{_TARGET}/motifs.meme",), texts.check_meme, words.compare_meme),
    Kind("logo", (f"{_TARGET}/logos/{{logo}}.svg",), texts.check_logo),
    Kind("hits", (f"{_TARGET}/hits.bed.gz",), texts.check_hits, words.compare_hits),
    _table("positions", f"{_TARGET}/positions.tsv", across=words.compare_words),
    _table("syntax", f"{_TARGET}/syntax.tsv", across=words.compare_words),
    _table("periodicity", f"{_TARGET}/periodicity.tsv", across=words.compare_words),
    _table("seqlets", f"{_TARGET}/seqlets.tsv.gz", across=words.compare_in_regions),
    _table("recovered motifs", f"{_TARGET}/truth.tsv"),
    _table("recovered grammar", f"{_TARGET}/grammar.tsv"),
)  # fmt: skip
#: Folders and files that are no results: what jobs said and took, and what this check itself writes.
LEFT_OUT = re.compile(r"(logs|benchmarks)/.*|verification\.(tsv|txt)|(.*/)?\..*")


@cache
def _patterns() -> tuple[tuple[Kind, re.Pattern[str]], ...]:
    found = []
    for kind in KINDS:
        for place in kind.places:
            parts = re.split(r"\{(\w+)\}", place)
            text = "".join(
                re.escape(part) if i % 2 == 0 else f"(?P<{part}>{_NAME})" for i, part in enumerate(parts)
            )
            found.append((kind, re.compile(text)))
    return tuple(found)


def kind_of(path: str) -> tuple[Kind, dict[str, Any]] | None:
    """The kind of a file by its path below the results folder, and the names in it; None: unknown."""
    for kind, pattern in _patterns():
        if match := pattern.fullmatch(path):
            return kind, match.groupdict()
    return None
