"""Sentences about in-silico experiments and variants, for the section on methods."""

from __future__ import annotations

from collections.abc import Sequence

from cislex.report.facts import count
from cislex.report.sections.insertions import BACKGROUNDS
from cislex.report.sections.methods_sentences import Settings, some
from cislex.report.specs import InsertionTables, VariantTables

ABLATIONS = {
    "background": "the bases that the background has there",
    "shuffle": "a shuffle of its own bases",
    "dinucleotide_shuffle": "a dinucleotide shuffle of its own bases",
}
ANCHORS = {
    "left": "their left side kept in place",
    "right": "their right side kept in place",
    "both": "averages of keeping their left and their right side in place",
}


def insertion_words(specs: Sequence[InsertionTables]) -> str:
    """How motifs were put into sequences; empty without such an experiment."""
    told = [spec for spec in specs if spec.settings]
    if not told:
        return ""
    texts = [
        "Motifs were put into sequences in place of their middle bases, on both strands; effects are means "
        "over these backgrounds of the predictions with the motif minus those without, with intervals and "
        "p-values of paired t-tests (of sign-flip tests where all backgrounds differed alike)."
    ]
    for spec in told:
        texts += _experiment(spec, spec.settings, named=len(told) > 1)
    texts.append("False discovery rates are those of Benjamini and Hochberg.")
    return " ".join(texts)


def _experiment(spec: InsertionTables, given: Settings, *, named: bool) -> list[str]:
    backgrounds, sites = given["backgrounds"], given.get("sites")
    n, kind = backgrounds.get("n"), BACKGROUNDS.get(backgrounds["kind"], "sequences")
    head = f"{spec.name} (model of {spec.analysis})" if named else f"The model of analysis {spec.analysis}"
    form = "consensus sequences" if given.get("form") == "consensus" else "sites drawn from their frequencies"
    number = f"{n:,} " if n else ""
    texts = [f"{head}: {number}{kind}, seed {given.get('seed', 0)}; motifs were inserted as {form}."]
    if given.get("pairs"):
        apart = given["spacings"]
        texts.append(
            f"Pairs were put {apart['from']} to {apart['to']} bp apart (centre to centre) in steps of "
            f"{apart['step']} bp, in the orientations {some(list(given['orientations']))}, and compared with "
            "the sum of the effects of both motifs alone at the same places, on the scale of the target."
        )
    if sites:
        texts.append(
            f"Up to {count(sites['n'], 'site')} of each word were replaced in their own sequences by "
            f"{ABLATIONS.get(sites['ablation'], sites['ablation'])}, and put into "
            f"{count(sites['contexts'], 'background')} each at the same place."
        )
    return texts


def variant_words(specs: Sequence[VariantTables]) -> str:
    """How variants were scored; empty where none were."""
    told = [spec for spec in specs if spec.settings]
    if not told:
        return ""
    texts = [
        "Variants were scored by the difference of the predictions for both alleles in the same window; for "
        "profiles, both alleles had the same weights."
    ]
    for spec in told:
        texts += _variant_set(spec, spec.settings, named=len(told) > 1)
    return " ".join(texts)


def _variant_set(spec: VariantTables, given: Settings, *, named: bool) -> list[str]:
    head = f"{spec.name} (model of {spec.analysis})" if named else f"The model of analysis {spec.analysis}"
    shifts = given.get("shifts") or [0]
    moved = (
        f", averaged over windows moved by {some([str(shift) for shift in shifts])} bp"
        if shifts != [0]
        else ""
    )
    texts = [f"{head}: indels with {ANCHORS.get(given['anchor'], given['anchor'])}{moved}."]
    if given.get("null"):
        texts.append(
            f"Two-sided p-values come from the same changes in {given['null']:,} dinucleotide-shuffled "
            "contexts, of substitutions and of indels each; false discovery rates (Benjamini-Hochberg) are "
            "over all alleles."
        )
    if given.get("top"):
        texts.append(
            f"The {given['top']['n']} strongest of each target were attributed on both alleles against the "
            "same references."
        )
    if given.get("observed"):
        texts.append(f"Effects were compared with the measurements in the column {given['observed']}.")
    return texts
