"""Memory and time that each job requests: its expected use, with margins.

Expected use follows what a job works on: the sizes of files that exist, else the config; for the model,
what ``inspect_model`` measured. Nothing here enters a result, so a better figure never reruns a job.
The figures were measured on the demo, on the yeast set and by benchmarks/scale.py; ``snakemake
compare_resources`` (``make resources``) holds them against what jobs used.
Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from cislex_workflow.expected_use import attributions, experiments, motifs
from cislex_workflow.expected_use.work import Expectation, Use, Work

#: A job asks for this many times the memory (MB) that is expected, and for what Snakemake itself takes in
#: a job of a cluster; never for less than the least.
MEMORY_MARGIN, SNAKEMAKE_MB, LEAST_MB = 1.5, 300, 1000
#: The same for minutes; figures that come from this very model on this very device need less margin.
TIME_MARGIN, MEASURED_TIME_MARGIN, LEAST_MINUTES = 4.0, 2.0, 10


@dataclass(frozen=True)
class Request:
    """What a job asks for at its first attempt: MB of memory, minutes."""

    mem_mb: int
    runtime: int


def request(use: Use) -> Request:
    """Add the margins; memory in steps of 100 MB."""
    memory = math.ceil((MEMORY_MARGIN * use.mb + SNAKEMAKE_MB) / 100) * 100
    margin = MEASURED_TIME_MARGIN if use.measured else TIME_MARGIN
    minutes = math.ceil(margin * use.seconds / 60)
    return Request(max(LEAST_MB, memory), max(LEAST_MINUTES, minutes))


def _constant(mb: float, seconds: float) -> Expectation:
    return lambda work, wildcards: Use(mb, seconds)


#: The wildcards of each rule's benchmark files below ``benchmarks/<rule>/``, and what its jobs use.
RULES: dict[str, tuple[tuple[str, ...], Expectation]] = {
    "index_genome": ((), attributions.index_genome),
    "prepare_variants": (("variants",), experiments.prepare_variants),
    "score_variants": (("variants", "fold", "chunk"), experiments.score_variants),
    "combine_variants": (("variants",), experiments.combine_variants),
    "attribute_variants": (("variants",), experiments.attribute_variants),
    "evaluate_variants": (("variants",), experiments.evaluate_variants),
    "prepare_insertions": (("insertion",), experiments.prepare_insertions),
    "insert_chunk": (("insertion", "fold", "chunk"), experiments.insert_chunk),
    "insert_motifs": (("insertion",), experiments.insert_motifs),
    "measure_faithfulness": (("comparison", "source"), experiments.measure_faithfulness),
    "compare_methods": (("comparison",), experiments.compare_methods),
    "contrast_hits": (("contrast",), experiments.contrast_hits),
    "evolve_sequences": (("evolution",), experiments.evolve_sequences),
    "extract_regions": (("regions",), attributions.extract_regions),
    "encode_sequences": (("regions",), attributions.encode_sequences),
    "import_sequences": (("regions",), attributions.import_sequences),
    "simulate_genome": ((), _constant(250, 20)),
    "plant_model": ((), _constant(400, 20)),
    "fetch_resources": (("file",), _constant(200, 150)),
    "train_model": (("model", "fold"), attributions.train_model),
    "score_baseline": (("model", "fold"), _constant(600, 120)),
    "inspect_model": (("analysis",), attributions.inspect_model),
    "predict_regions": (("analysis",), attributions.predict_regions),
    "evaluate_predictions": (("analysis",), attributions.evaluate_predictions),
    "attribute_chunk": (("analysis", "fold", "chunk"), attributions.attribute_chunk),
    "aggregate_chunks": (("analysis", "target"), attributions.aggregate_chunks),
    "gate_attributions": (("analysis", "target"), attributions.gate_attributions),
    "choose_windows": (("analysis",), attributions.choose_windows),
    "export_tracks": (("analysis", "target"), attributions.export_tracks),
    "export_browser": ((), attributions.export_browser),
    "export_layouts": (("analysis", "target"), attributions.export_layouts),
    "find_motifs": (("analysis", "target"), motifs.find_motifs),
    "fetch_motif_database": (("database",), _constant(600, 180)),
    "annotate_motifs": (("analysis", "target"), motifs.annotate_motifs),
    "call_hits": (("analysis", "target"), motifs.call_hits),
    "analyse_syntax": (("analysis", "target"), motifs.analyse_syntax),
    "combine_lexicon": ((), motifs.combine_lexicon),
    "summarise_usage": ((), motifs.summarise_usage),
    "compare_grammar": (("analysis", "target"), _constant(400, 30)),
    "call_seqlets": (("analysis", "target"), motifs.call_seqlets),
    "compare_with_truth": (("analysis", "target"), _constant(400, 120)),
    "render_report": ((), motifs.render_report),
    "snapshot_config": ((), _constant(150, 10)),
    "verify_results": ((), motifs.verify_results),
    "estimate_cost": ((), _constant(250, 60)),
    "check_budget": ((), _constant(150, 10)),
}


def ask(work: Work, rule: str, wildcards: Mapping[str, str]) -> Request:
    """What a job of a rule asks for at its first attempt."""
    return request(RULES[rule][1](work, wildcards))
