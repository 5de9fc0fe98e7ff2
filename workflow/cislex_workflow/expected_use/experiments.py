"""Expected use of the jobs of variants, in-silico experiments, designs and comparisons of methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cislex_workflow.expected_use.attributions import attribution, forward_seconds
from cislex_workflow.expected_use.work import (
    JOB_SECONDS,
    UNKNOWN_BACKGROUNDS,
    UNKNOWN_REGIONS,
    UNKNOWN_WORDS,
    Use,
    Work,
    count_lines,
)


def variant_set(work: Work, name: str) -> tuple[Mapping[str, Any], int]:
    """Settings of a set of variants, and how many there are, about."""
    settings = work.config["variants"][name]
    rows = count_lines(settings["vcf"] or settings["table"])
    return settings, UNKNOWN_REGIONS if rows is None else rows


def variant_sequences(work: Work, name: str) -> int:
    """Sequences that each fold predicts for a set of variants, about."""
    settings, rows = variant_set(work, name)
    return 2 * (rows + 2 * settings["null"]) * len(settings["shifts"])


def prepare_variants(work: Work, wildcards: Mapping[str, str]) -> Use:
    _, rows = variant_set(work, wildcards["variants"])
    return Use(250 + 2e-3 * rows, 10 + rows / 10_000 + work.genome_mb() / 20)


def score_variants(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings, rows = variant_set(work, wildcards["variants"])
    analysis, model, measured = attribution(work, settings["analysis"])
    windows = variant_sequences(work, wildcards["variants"]) / settings["chunks"]
    forward = forward_seconds(analysis, model)
    seconds = 10 + JOB_SECONDS + model.startup_seconds + 2 * windows * forward + rows / 10_000
    return Use(model.host_mb + 2e-3 * rows, seconds, measured)


def combine_variants(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings, rows = variant_set(work, wildcards["variants"])
    targets = len(work.config["analyses"][settings["analysis"]]["targets"])
    return Use(350 + rows * (4e-3 + 1e-3 * targets), 20 + rows * targets / 10_000)


def attribute_variants(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings, rows = variant_set(work, wildcards["variants"])
    analysis, model, measured = attribution(work, settings["analysis"])
    folds = work.folds(analysis)
    windows = 2 * min(settings["top"]["n"] if settings["top"] else 0, rows) * len(analysis["targets"])
    seconds = 10 + JOB_SECONDS + folds * (model.startup_seconds + windows * model.seconds_per_region)
    return Use(model.host_mb + 4e-3 * rows, seconds + rows / 10_000, measured)


def evaluate_variants(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings, rows = variant_set(work, wildcards["variants"])
    targets = len(work.config["analyses"][settings["analysis"]]["targets"])
    # About 900 motifs are scanned over both alleles; 200 resamples are ranked, of each target by four scores.
    return Use(450 + 8e-3 * rows, 30 + rows * (2e-3 + 1.2e-3 * targets))


def insertion_sequences(settings: Mapping[str, Any]) -> int:
    """Sequences that each fold predicts in an experiment, about."""
    words = settings["words"]
    given = len(words) if isinstance(words, list) else UNKNOWN_WORDS if words else 0
    motifs = given + len(settings["motifs"]) + (UNKNOWN_WORDS if settings["meme"] else 0)
    pairs = settings["pairs"] or ()
    pairs = motifs * (motifs + 1) // 2 if isinstance(pairs, str) else len(pairs)
    spacings = settings["spacings"]
    distances = (spacings["to"] - spacings["from"]) // spacings["step"] + 1
    # Each motif of a pair is predicted alone at its place, too.
    constructs = 1 + 2 * motifs + pairs * distances * len(settings["orientations"])
    constructs += min(4 * pairs, 2 * motifs) * 2 * distances
    backgrounds = settings["backgrounds"]["n"] or UNKNOWN_BACKGROUNDS
    sites = settings["sites"] or {"n": 0, "contexts": 0}
    return int(constructs * backgrounds + motifs * sites["n"] * (1 + 3 * sites["contexts"]))


def prepare_insertions(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings = work.config["insertions"][wildcards["insertion"]]
    genomic = settings["backgrounds"]["kind"] == "genomic"
    rows = work.regions(work.config["analyses"][settings["analysis"]]["regions"])
    return Use(600 + 1e-3 * rows + (work.genome_mb() if genomic else 0), 60 + work.genome_mb() / 10)


def insert_chunk(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings = work.config["insertions"][wildcards["insertion"]]
    sequences = insertion_sequences(settings)
    analysis, model, measured = attribution(work, settings["analysis"])
    forward = forward_seconds(analysis, model)
    seconds = JOB_SECONDS + model.startup_seconds + 2 * sequences / settings["chunks"] * forward
    return Use(model.host_mb + 300, 10 + seconds, measured)


def insert_motifs(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings = work.config["insertions"][wildcards["insertion"]]
    sequences = insertion_sequences(settings)
    analysis = work.config["analyses"][settings["analysis"]]
    folds = work.folds(analysis)
    # Predictions of all folds of one target, and a few copies of them.
    return Use(500 + (folds + 8) * sequences * 8e-6, 30 + len(analysis["targets"]) * folds * sequences / 1e6)


def measure_faithfulness(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings = work.config["comparisons"][wildcards["comparison"]]
    given, name = settings["faithfulness"], wildcards["source"]
    name = name if name in settings["analyses"] else name.removesuffix(".uncorrected")
    analysis, model, measured = attribution(work, name)
    n = min(given["n"], work.regions(analysis["regions"]))
    folds = work.folds(analysis)
    # Both curves of each target and of random orders; and the analysis once or twice more.
    sequences = 2 * given["steps"] * given["draws"] * (1 + len(analysis["targets"]))
    again = given["stability"] + given["randomised"]
    region = sequences * forward_seconds(analysis, model) + again * model.seconds_per_region
    seconds = 10 + JOB_SECONDS + folds * (model.startup_seconds + n * region)
    return Use(model.host_mb + 300 + 1e-4 * n * work.length(analysis["regions"]), seconds, measured)


def compare_methods(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings = work.config["comparisons"][wildcards["comparison"]]
    first = work.config["analyses"][settings["analyses"][0]]
    rows, length = work.regions(first["regions"]), work.length(first["regions"])
    sources, targets = len(settings["analyses"]) + len(settings["uncorrected"]), len(first["targets"])
    pairs, measures = sources * (sources - 1) // 2, 2 * (3 + len(settings["top"]))
    memory = 700 + 8e-6 * rows * measures * pairs
    return Use(memory, 20 + targets * rows * (sources * length * 2e-6 + pairs * (4e-5 + length * 1e-7)))


def contrast_hits(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings = work.config["contrasts"][wildcards["contrast"]]
    name = work.config["analyses"][settings["first"]["analysis"]]["regions"]
    rows, length = work.regions(name), work.length(name)
    # Ten hits a region, some of whose columns are text; attributions of both sides are read in blocks.
    return Use(300 + 4e-3 * rows, 20 + rows * (1e-3 + length * 1.2e-6))


def evolution_sequences(work: Work, name: str) -> int:
    """Forward passes of each fold in a design, about; a pair of attribution counts as three."""
    settings = work.config["evolution"][name]
    start, guide = settings["start"], settings["guide"]
    analysis = work.config["analyses"][settings["analysis"]]
    if start["rows"] is not None:
        n = len(start["rows"])
    elif start["kind"] == "regions":
        known = work.regions(analysis["regions"])
        n = min(start["n"] or known, known)
    else:
        n = start["n"] or UNKNOWN_BACKGROUNDS
    references = guide["references"] or {"kind": "dinucleotide_shuffle", "n": 20}
    pairs = {
        "tism": 1,
        "integrated_gradients": guide["steps"],
        "deep_lift_shap": 1 + (references["n"] if "shuffle" in references["kind"] else 1),
    }
    length = work.config["models"][analysis["model"]]["input_length"]
    # ISM recomputes only what a substitution reaches: a third of its predictions, about.
    guided = 3 * pairs[guide["name"]] if guide["name"] in pairs else length
    return int(n * (settings["rounds"] + 1) * settings["beam"] * (guided + settings["beam"]))


def evolve_sequences(work: Work, wildcards: Mapping[str, str]) -> Use:
    settings = work.config["evolution"][wildcards["evolution"]]
    analysis, model, measured = attribution(work, settings["analysis"])
    folds = work.folds(analysis)
    sequences = evolution_sequences(work, wildcards["evolution"])
    seconds = folds * (model.startup_seconds + sequences * forward_seconds(analysis, model))
    # All folds are in memory, and so are the scores of a block of sequences at every round.
    return Use(folds * model.host_mb + 1200, 10 + JOB_SECONDS + seconds, measured)
